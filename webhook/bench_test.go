package webhook_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/webhook"
)

// sink is a receiver that costs little of the CPU that is measured: it reads
// requests by hand and counts the events in them.
func sink(b *testing.B, events *atomic.Int64, total int64, done chan struct{}) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReaderSize(c, 64<<10)
				for {
					size := 0
					for {
						line, err := in.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) <= 2 {
							break
						}
						if n := len("Content-Length: "); len(line) > n && string(line[:n]) == "Content-Length: " {
							size, _ = strconv.Atoi(string(line[n : len(line)-2]))
						}
					}
					n, err := count(in, size)
					if err != nil {
						return
					}
					if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
					if events.Add(n) == total {
						close(done)
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// count reads a body and counts how often an event begins in it.
func count(in *bufio.Reader, size int) (n int64, err error) {
	for ; size > 0; size-- {
		c, err := in.ReadByte()
		if err != nil {
			return n, err
		}
		if c == 'e' {
			if p, err := in.Peek(3); err == nil && string(p) == "vt_" {
				n++
			}
		}
	}
	return n, nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDeliver measures the way of events that are in the log through
// reader, rows, requests and settling, on SQLite. Of the CPU the receiver's
// part is included.
func BenchmarkDeliver(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := start(b)
			var events atomic.Int64
			done := make(chan struct{})
			url := sink(b, &events, int64(b.N), done)
			e, _ := r.endpoint(url, func(e *store.Endpoint) { e.Batch = batch })
			for left := b.N; left > 0; left -= 500 {
				r.events(event.MessageSent, r.messages(min(left, 500))...)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			r.dispatcher(func(o *webhook.Options) { o.Now = time.Now })
			select {
			case <-done:
			case <-time.After(time.Minute):
				b.Fatalf("%d of %d\n%s", events.Load(), b.N, r.log)
			}
			b.StopTimer()
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/event")
			r.until("settled", func() bool { rows := r.rows(e, store.WebhookPending); return len(rows) == 0 })
		})
	}
}
