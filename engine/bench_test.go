package engine_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// BenchmarkLife measures the whole life of an SMS inside one process: accept,
// attempt, the real wire, receipt, delivered. The sandbox's work is in it.
func BenchmarkLife(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchmarkLife(b, batch) })
	}
}

func benchmarkLife(b *testing.B, batch int) {
	w := newWorldTB(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for {
				from := next.Add(int64(batch))
				if from-int64(batch) >= int64(b.N) {
					return
				}
				rs := make([]*engine.Request, batch)
				for i := range rs {
					rs[i] = &engine.Request{
						To: engine.Recipient{Phone: fmt.Sprintf("+336%08d", (from+int64(i))%100000)}, Purpose: message.Utility,
						Content: message.Content{Text: "Your order 12345 is on its way and will arrive tomorrow."},
						Route:   []engine.RouteStep{{Channel: message.SMS}},
					}
				}
				out, err := w.engine.AcceptBatch(w.ctx, w.ws, rs, engine.Idempotency{Key: fmt.Sprint(from), Body: []byte("body")})
				if err != nil {
					b.Error(err)
					return
				}
				for _, o := range out {
					if o.Err != nil {
						b.Error(o.Err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for {
		books, err := w.store.Books(w.ctx, w.ws)
		if err != nil {
			b.Fatal(err)
		}
		if books.Accepted >= int64(b.N) && books.States[message.Delivered] == books.Accepted {
			break
		}
		<-time.After(time.Second)
	}
}
