package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/parley-messaging/parley/sandbox/smsc"
)

// KannelOptions say how to measure Kannel (kannel.org), the gateway that
// telecom operators have used for twenty years, as Debian packages it.
type KannelOptions struct {
	Dir           string // where it keeps its files and logs; it must exist
	Now           func() time.Time
	SMPP, Control string // of a running sandbox
	Messages      int64
	Concurrency   int
	Window        int
	Receipts      bool
	Durable       bool // keeps its queue in files (store-type = spool); else in memory alone
	Progress      func(phase string, done, total int64)
}

// A KannelResult is what was measured, in the words of [Result].
type KannelResult struct {
	Messages          int64   `json:"messages"`
	MessagesPerSecond float64 `json:"messages_per_second"`
	Delivered         int64   `json:"delivered"` // told by its callback; without receipts: taken by the operator
	CPUPerMessage     float64 `json:"cpu_us_per_message"`
	AcceptP50         float64 `json:"accept_p50_ms"`
	AcceptP99         float64 `json:"accept_p99_ms"`
	PeakRSS           int64   `json:"peak_rss_bytes"` // of bearerbox and smsbox together
	StealPercent      float64 `json:"steal_percent"`
	Refused           int64   `json:"refused"`
	Seconds           float64 `json:"seconds"`
}

// ErrNoKannel says what to install.
var ErrNoKannel = errors.New("no Kannel is installed; run: sudo apt-get install -y --no-install-recommends kannel")

// kannelConf is Kannel's configuration: its defaults, with the window and the
// queue that Parley gets too.
var kannelConf = template.Must(template.New("").Parse(`group = core
admin-port = {{.Admin}}
admin-password = bench
smsbox-port = {{.Box}}
box-allow-ip = 127.0.0.1
dlr-storage = internal
log-file = "{{.Dir}}/bearerbox.log"
log-level = 3
{{if .Durable}}store-type = spool
store-location = "{{.Dir}}/spool"
{{end}}
group = smsc
smsc = smpp
smsc-id = sandbox
host = {{.Host}}
port = {{.Port}}
transceiver-mode = true
smsc-username = "{{.User}}"
smsc-password = "{{.Password}}"
system-type = "bench"
max-pending-submits = {{.Window}}

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {{.Box}}
sendsms-port = {{.Send}}
log-file = "{{.Dir}}/smsbox.log"
log-level = 3

group = sendsms-user
username = bench
password = bench

group = sms-service
keyword = default
text = ""
max-messages = 0
`))

// RunKannel measures messages through Kannel to the sandbox: accepted by its
// smsbox over HTTP, until the receipt of each was told to a callback, or,
// without receipts, until the operator has taken each.
func RunKannel(ctx context.Context, o KannelOptions) (res *KannelResult, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	k := &kannel{o: o, r: &run{o: Options{Dir: o.Dir, Now: o.Now, Progress: o.Progress}, control: o.Control}}
	defer func() { err = errors.Join(err, k.r.stop()) }()
	if err := k.start(ctx); err != nil {
		return nil, err
	}
	return k.measure(ctx)
}

type kannel struct {
	o     KannelOptions
	r     *run
	boxes [2]*process
	send  string // host:port of smsbox
}

func (k *kannel) start(ctx context.Context) error {
	s, err := newSink()
	if err != nil {
		return err
	}
	k.r.sink = s
	k.r.undo = append(k.r.undo, s.stop)
	ports, err := k.r.takePorts(3)
	if err != nil {
		return err
	}
	port := func(address string) string { _, p, _ := net.SplitHostPort(address); return p }
	host, smpp, err := net.SplitHostPort(k.o.SMPP)
	if err != nil {
		return err
	}
	k.send = ports[2]
	conf, err := os.OpenFile(filepath.Join(k.o.Dir, "kannel.conf"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = kannelConf.Execute(conf, map[string]any{
		"Dir": k.o.Dir, "Admin": port(ports[0]), "Box": port(ports[1]), "Send": port(ports[2]), "Host": host, "Port": smpp,
		"User": smsc.DefaultSystemID, "Password": smsc.DefaultPassword, "Window": k.o.Window, "Durable": k.o.Durable,
	})
	if err := errors.Join(err, conf.Close(), os.MkdirAll(filepath.Join(k.o.Dir, "spool"), 0o700)); err != nil {
		return err
	}
	before, err := k.r.smsc(ctx)
	if err != nil {
		return err
	}
	for i, box := range [...]string{"bearerbox", "smsbox"} {
		path, err := exec.LookPath(box)
		if err != nil {
			return errors.Join(ErrNoKannel, err)
		}
		k.r.o.Program = path
		if k.boxes[i], err = k.r.spawn(box+"-out", "-v", "3", conf.Name()); err != nil {
			return err
		}
		wait := ports[i+1]
		if err := k.r.until(ctx, box+" does not listen", func(context.Context) error {
			c, err := net.DialTimeout("tcp", wait, time.Second)
			if err == nil {
				err = c.Close()
			}
			return err
		}); err != nil {
			return fmt.Errorf("%w; it says:\n%s", err, k.boxes[i].tail())
		}
	}
	return k.r.until(ctx, "Kannel does not bind", func(ctx context.Context) error {
		st, err := k.r.smsc(ctx)
		if err == nil && st.Sessions <= before.Sessions {
			err = errors.New("no link is bound")
		}
		return err
	})
}

// warm is how many messages go through first and do not count.
const warm = 2000

func (k *kannel) measure(ctx context.Context) (*KannelResult, error) {
	k.r.people.begin(80_000, 0)
	if _, _, err := k.load(ctx, "warming up Kannel", min(warm, k.o.Messages)); err != nil {
		return nil, err
	}
	before, err := k.spent()
	if err != nil {
		return nil, err
	}
	m, err := machine()
	if err != nil {
		return nil, err
	}
	began := k.o.Now()
	out, done, err := k.load(ctx, "measuring Kannel", k.o.Messages)
	if err != nil {
		return nil, err
	}
	took := k.o.Now().Sub(began).Seconds()
	after, err := k.spent()
	if err != nil {
		return nil, err
	}
	end, err := machine()
	if err != nil {
		return nil, err
	}
	used := usage{machine: end}.minus(usage{machine: m})
	res := &KannelResult{
		Messages: out.accepted, MessagesPerSecond: round(float64(done)/took, 1), Delivered: done,
		CPUPerMessage: round(float64((after-before).Microseconds())/float64(max(out.accepted, 1)), 1),
		AcceptP50:     out.percentile(50), AcceptP99: out.percentile(99), StealPercent: used.steal(), Refused: out.refused, Seconds: round(took, 2),
	}
	for _, b := range k.boxes {
		size, err := peak(b.pid())
		if err != nil {
			return nil, err
		}
		res.PeakRSS += size
	}
	return res, nil
}

func (k *kannel) spent() (time.Duration, error) {
	var sum time.Duration
	for _, b := range k.boxes {
		d, err := tree(b.pid())
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// done is how many messages came to what counts as their end.
func (k *kannel) done(ctx context.Context) (int64, error) {
	if k.o.Receipts {
		return k.r.sink.ended.Load(), nil
	}
	st, err := k.r.smsc(ctx)
	return st.Accepted, err
}

// load sends n messages and waits for their ends; it gives how many ended.
func (k *kannel) load(ctx context.Context, phase string, n int64) (*tally, int64, error) {
	from, err := k.done(ctx)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := k.o.Now()
	var taken, accepted, refused atomic.Int64
	waits := make([][]int32, k.o.Concurrency)
	var wg sync.WaitGroup
	for i := range k.o.Concurrency {
		wg.Go(func() {
			c := &conn{address: k.send, timeout: requestTimeout, now: k.o.Now}
			defer c.close()
			var b []byte
			for ctx.Err() == nil && taken.Add(1) <= n {
				b = k.appendRequest(b[:0])
				for {
					sent := k.o.Now()
					a, err := c.ask(b)
					if err != nil {
						cancel(fmt.Errorf("a request to Kannel failed: %w", err))
						return
					}
					if a.status == 202 {
						waits[i] = append(waits[i], int32(k.o.Now().Sub(sent).Microseconds()))
						accepted.Add(1)
						break
					}
					if a.status != 503 {
						cancel(fmt.Errorf("its answer was %d: %s", a.status, a.body))
						return
					}
					refused.Add(1)
					if pause(ctx, max(a.retry, 50*time.Millisecond)) != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	t := &tally{accepted: accepted.Load(), refused: refused.Load(), took: k.o.Now().Sub(began), waits: merged(waits)}
	last, since := int64(-1), k.o.Now()
	for {
		at, err := k.done(ctx)
		if err != nil {
			return nil, 0, err
		}
		k.o.Progress(phase, at-from, n)
		if at-from >= t.accepted {
			return t, at - from, nil
		}
		if at != last {
			last, since = at, k.o.Now()
		}
		if k.o.Now().Sub(since) > settle {
			return t, at - from, nil // the rest is lost: the difference is told
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, 0, err
		}
	}
}

func (k *kannel) appendRequest(b []byte) []byte {
	to := url.QueryEscape(string(k.r.people.appendNext(nil)))
	b = append(b, "GET /cgi-bin/sendsms?username=bench&password=bench&from=38100&to="...)
	b = append(append(b, to...), "&text=Your+order+"...)
	b = strconv.AppendUint(b, 10000+k.r.people.turn.Load()%90000, 10)
	b = append(b, "+is+on+its+way+and+will+arrive+tomorrow."...)
	if k.o.Receipts {
		b = append(b, "&dlr-mask=3&dlr-url="...)
		b = append(b, url.QueryEscape(k.r.sink.url+dlrPath+"?status=%d")...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), k.send...)
	return append(b, "\r\n\r\n"...)
}
