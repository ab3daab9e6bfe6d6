package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

const (
	short   = 12_000
	workers = 8
	every   = 100 // one message in so many meets a fault
	slack   = 24 << 20
)

// A way is a connector at work and what fits through it.
type way struct {
	name           string
	c              channel.Connector
	from           message.Sender
	to             fault.Channel
	septets, units int
	settle         func()
}

func TestSoak(t *testing.T) {
	total := short
	if s := os.Getenv("PARLEY_SOAK"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil || total < workers {
			t.Fatalf("PARLEY_SOAK=%q is no number of messages", s)
		}
	}
	s, err := sandbox.New(sandbox.Options{
		Seed: 1, Now: time.Now, JournalSize: 1000, Handsets: handset.Options{Handsets: 2000, Items: 4000},
		WhatsApp: twin.Options{IgnoreWindow: true, Hang: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	ways := []way{cloud(t, s)}
	for _, long := range []string{"udh8", "udh16", "sar", "payload"} {
		ways = append(ways, operator(t, s, long))
	}
	r := &report{t: t, began: time.Now()}
	var next atomic.Int64
	var wg sync.WaitGroup
	quarter := int64(total / 4)
	var first uint64
	var firstRSS int64
	for stop := quarter; stop <= int64(total); stop += quarter {
		for w := range workers {
			wg.Go(func() {
				text := newWriter(uint64(stop)<<8 | uint64(w))
				for n := next.Add(1); n <= stop && !t.Failed(); n = next.Add(1) {
					r.send(s, &ways[n%int64(len(ways))], text, n)
				}
			})
		}
		wg.Wait()
		next.Store(stop)
		heap, rss := memory(t)
		t.Logf("%9d messages: heap %d MB, resident %d MB, %.0f/s, %d accepted, %d uncertain, %d tries again", stop, heap>>20, rss>>20,
			float64(stop)/time.Since(r.began).Seconds(), r.accepted.Load(), r.uncertain.Load(), r.again.Load())
		if stop == quarter {
			first, firstRSS = heap, rss
		} else if heap > first+slack || rss > firstRSS+firstRSS/2+4*slack {
			t.Errorf("memory grows: heap %d to %d MB, resident %d to %d MB", first>>20, heap>>20, firstRSS>>20, rss>>20)
		}
	}
	if r.accepted.Load() < int64(total)*95/100 {
		t.Errorf("only %d of %d were accepted", r.accepted.Load(), total)
	}
}

// faults that a provider shows, with what they leave behind.
func faults(ch fault.Channel) []fault.Fault {
	throttled := fault.Fault{Kind: fault.Reject, Code: 130429}
	if ch == fault.SMS {
		throttled.Code = 0x58
	}
	return []fault.Fault{
		throttled, throttled,
		{Kind: fault.ErrorBefore},
		{Kind: fault.ErrorBefore},
		{Kind: fault.Duplicate},
		{Kind: fault.Reorder},
		{Kind: fault.ReceiptFirst},
		{Kind: fault.ErrorAfter},
		{Kind: fault.Garbage},
		{Kind: fault.Cut},
		{Kind: fault.Drop},
		{Kind: fault.Hang},
	}
}

type report struct {
	t                          *testing.T
	began                      time.Time
	accepted, uncertain, again atomic.Int64
}

// send sends one text to a person nobody wrote to yet, again while it surely
// did not leave, and looks at the phone. What the provider took must be there
// letter by letter; of what is not known nothing or all of it.
func (r *report) send(s *sandbox.Sandbox, w *way, text *writer, n int64) {
	number := fmt.Sprintf("336%010d", n)
	m := &message.Outbound{
		Echo: "e" + number, To: message.Address{Channel: message.Phone, ID: "+" + number}, From: w.from,
		Purpose: message.Utility, Priority: message.Utility.Priority(), Content: message.Content{Text: text.text(w.septets, w.units)},
	}
	if text.IntN(every) == 0 {
		all := faults(w.to)
		s.Faults.Place(fault.Order{To: number, Channel: w.to, Fault: all[text.IntN(len(all))], Times: 1})
	}
	var a message.Accepted
	var err error
	var f *message.Fault
	for limit := time.Now().Add(30 * time.Second); ; {
		ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Second)
		a, err = w.c.Send(ctx, m)
		cancel()
		if err == nil || !errors.As(err, &f) || !f.Certain || f.Kind == message.Refused || time.Now().After(limit) {
			break
		}
		r.again.Add(1)
		runtime.Gosched()
	}
	w.settle()
	inbox := s.Handsets.Inbox(number)
	for _, item := range inbox {
		if item.Text != m.Content.Text {
			r.t.Errorf("%s: message %d\nsent  %q\nshown %q", w.name, n, m.Content.Text, item.Text)
			return
		}
	}
	switch {
	case err == nil:
		r.accepted.Add(1)
		last := len(inbox) - 1
		if last < 0 || !slices.Contains(a.Parts, inbox[last].ID) {
			r.t.Errorf("%s: message %d of %d characters was accepted as %v; the phone shows %d texts", w.name, n, len([]rune(m.Content.Text)), a.Parts, len(inbox))
		}
	case f == nil || f.Certain || f.Unmapped:
		r.t.Errorf("%s: message %d: %v", w.name, n, err)
	default:
		r.uncertain.Add(1)
	}
}

type sink struct{ up chan struct{} }

func (k *sink) Events(_ []message.Event, done func(error)) { done(nil) }

func (k *sink) Health(h channel.Health) {
	if h.Up {
		select {
		case k.up <- struct{}{}:
		default:
		}
	}
}

// operator is our SMS channel bound to the pretend SMSC.
func operator(t *testing.T, s *sandbox.Sandbox, long string) way {
	t.Helper()
	host, port, err := net.SplitHostPort(s.SMPPAddr())
	if err != nil {
		t.Fatal(err)
	}
	c, err := sms.Open([]byte(fmt.Sprintf(`{"host":%q,"port":%s,"system_id":"parley","password":"sandbox","long":%q,"binds":3,"window":100,"reconnect_min_seconds":0.01,"reconnect_max_seconds":0.05,"response_timeout_seconds":1,"country_code":"33"}`, host, port, long)), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	k := &sink{up: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, k) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	})
	<-k.up
	w := way{name: "sms " + long, c: c, from: message.Sender{Address: "Parley"}, to: fault.SMS, septets: 10 * 150, units: 10 * 50, settle: s.SMSC.Settle}
	return w
}

// cloud is our WhatsApp channel before the pretend Cloud API, its webhooks
// verified and decoded.
func cloud(t *testing.T, s *sandbox.Sandbox) way {
	t.Helper()
	c, err := whatsapp.Open([]byte(fmt.Sprintf(`{"base_url":%q,"phone_number_id":%q,"token":%q,"app_secret":%q,"verify_token":%q}`,
		s.WhatsAppURL(), twin.DefaultNumber, twin.DefaultToken, twin.DefaultAppSecret, twin.DefaultVerifyToken)), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a, err := c.Verify(&channel.Callback{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body})
		if err == nil && a.Keep {
			_, err = c.Decode(body)
		}
		if err != nil {
			t.Error(err)
		}
		rw.WriteHeader(a.Status)
		_, _ = io.WriteString(rw, a.Body)
	}))
	t.Cleanup(hook.Close)
	if err := s.SetCallback(t.Context(), hook.URL, ""); err != nil {
		t.Fatal(err)
	}
	return way{name: "whatsapp", c: c, to: fault.WhatsApp, septets: 2000, units: 2000, settle: s.WhatsApp.Settle}
}

// memory gives the live heap and what the system holds for the process.
func memory(t *testing.T) (heap uint64, resident int64) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return m.HeapAlloc, int64(m.Sys) // not Linux: what the runtime asked for
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return m.HeapAlloc, pages * int64(os.Getpagesize())
}
