package smpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// smsc starts a server on the loopback and returns its address.
func smsc(tb testing.TB, cfg ServerConfig) (*Server, string) {
	tb.Helper()
	if cfg.Authenticate == nil {
		cfg.Authenticate = func(*Session, Command, *Bind) Status { return StatusOK }
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	srv := NewServer(cfg)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			tb.Errorf("close server: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return srv, ln.Addr().String()
}

func dial(tb testing.TB, addr string, cfg ClientConfig) *Session {
	tb.Helper()
	cfg.Addr = addr
	if cfg.Bind.SystemID == "" {
		cfg.Bind = Bind{SystemID: "esme01", Password: "secret"}
	}
	s, err := Dial(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

func hello() *SubmitSM {
	return &SubmitSM{
		Source: Address{TON: 5, Addr: "ACME"}, Destination: Address{TON: 1, NPI: 1, Addr: "491701234567"},
		RegisteredDelivery: ReceiptFinal, ShortMessage: []byte("Hello"),
	}
}

func await[T any](tb testing.TB, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}

type result struct {
	r   Response
	err error
}

func into(c chan<- result) func(Response, error) {
	return func(r Response, err error) { c <- result{r, err} }
}

// A counted connection counts calls of Write.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// TestWritesGather: what many send at the same moment goes in few calls.
func TestWritesGather(t *testing.T) {
	// With one processor the order of things is always the same.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Window: 200, Handler: func(r *Request) { r.Accept("1") }}})
	var writes atomic.Int64
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{Window: 200}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return counted{conn, &writes}, err
	}})
	before := writes.Load()
	const many = 100
	answers := make(chan result, many)
	for range many {
		go func() {
			if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
				answers <- result{err: err}
			}
		}()
	}
	for range many {
		if a := await(t, answers); a.err != nil {
			t.Fatal(a.err)
		}
	}
	if n := writes.Load() - before; n > many/5 {
		t.Errorf("%d calls for %d requests", n, many)
	}
}

func TestSubmitAndDeliver(t *testing.T) {
	srv, addr := smsc(t, ServerConfig{SystemID: "SMSC1", SessionConfig: SessionConfig{Handler: func(r *Request) {
		m := r.Body.(*SubmitSM)
		if string(m.ShortMessage) != "Hello" || m.Destination.Addr != "491701234567" {
			r.Refuse(StatusSystemError)
			return
		}
		r.Accept("4e2f1a")
	}}})
	got := make(chan *Request, 1)
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{Handler: func(r *Request) { got <- r }}})
	if c.SystemID() != "SMSC1" || c.PeerVersion() != Version34 || c.Mode() != BindTransceiver {
		t.Errorf("%q %x %v", c.SystemID(), c.PeerVersion(), c.Mode())
	}
	r, err := c.SubmitWait(t.Context(), hello())
	if err != nil || r.MessageID != "4e2f1a" {
		t.Fatalf("%+v, %v", r, err)
	}

	peer := srv.Sessions()[0]
	if peer.SystemID() != "esme01" {
		t.Error(peer.SystemID())
	}
	answers := make(chan result, 1)
	if err := peer.Deliver(t.Context(), &DeliverSM{ESMClass: ESMReceipt, ShortMessage: []byte("id:4e2f1a stat:DELIVRD")}, into(answers)); err != nil {
		t.Fatal(err)
	}
	req := await(t, got)
	if m := req.Body.(*DeliverSM); string(m.ShortMessage) != "id:4e2f1a stat:DELIVRD" {
		t.Errorf("%q", m.ShortMessage)
	}
	select {
	case a := <-answers:
		t.Fatalf("answered before the handler did: %+v", a)
	default:
	}
	if err := req.Refuse(StatusTemporaryAppError); err != nil {
		t.Fatal(err)
	}
	if err := req.Accept(""); !errors.Is(err, ErrAnswered) {
		t.Errorf("second answer: %v", err)
	}
	if a := await(t, answers); a.err != nil || a.r.Status != StatusTemporaryAppError {
		t.Errorf("%+v", a)
	}
}

func TestOutOfOrderResponses(t *testing.T) {
	var mu sync.Mutex
	var kept []*Request
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) {
		mu.Lock()
		defer mu.Unlock()
		if kept = append(kept, r); len(kept) == 5 {
			for i := 4; i >= 0; i-- {
				kept[i].Accept(fmt.Sprint(kept[i].Sequence))
			}
		}
	}}})
	c := dial(t, addr, ClientConfig{})
	answers := make(chan result, 5)
	for range 5 {
		if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if a := await(t, answers); a.err != nil || a.r.MessageID != fmt.Sprint(a.r.Sequence) {
			t.Errorf("%+v", a)
		}
	}
}

func TestWindowIsABound(t *testing.T) {
	reqs := make(chan *Request, 10)
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) { reqs <- r }}})
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{Window: 2}})
	answers := make(chan result, 3)
	for range 2 {
		if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.Submit(ctx, hello(), into(answers))
	var unanswered *UnansweredError
	if !errors.As(err, &unanswered) || unanswered.Left || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	await(t, reqs).Accept("1")
	if a := await(t, answers); a.r.MessageID != "1" {
		t.Errorf("%+v", a)
	}
	if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
		t.Fatal(err)
	}
	await(t, reqs).Accept("2")
	await(t, reqs).Accept("3")
	await(t, answers)
	await(t, answers)
}

func TestTimeoutIsUncertainAndLateResponseIsStray(t *testing.T) {
	reqs := make(chan *Request, 1)
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) { reqs <- r }}})
	strays := make(chan Response, 1)
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{
		ResponseTimeout: 30 * time.Millisecond,
		Stray:           func(_ *Session, r Response) { strays <- r },
	}})
	answers := make(chan result, 1)
	if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
		t.Fatal(err)
	}
	a := await(t, answers)
	var unanswered *UnansweredError
	if !errors.As(a.err, &unanswered) || !unanswered.Left || !errors.Is(a.err, ErrTimeout) {
		t.Fatalf("%+v", a)
	}
	await(t, reqs).Accept("late")
	if r := await(t, strays); r.MessageID != "late" || r.Sequence != unanswered.Sequence {
		t.Errorf("%+v, want sequence %d", r, unanswered.Sequence)
	}
	if c.Err() != nil {
		t.Errorf("session ended: %v", c.Err())
	}
}

// gate is a connection whose writes can be stopped.
type gate struct {
	net.Conn
	shut atomic.Bool
	seen chan struct{} // one for each write that is stopped
	over chan struct{}
	once sync.Once
}

func (g *gate) Write(b []byte) (int, error) {
	if g.shut.Load() {
		g.seen <- struct{}{}
		<-g.over
		return 0, net.ErrClosed
	}
	return g.Conn.Write(b)
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.over) })
	return g.Conn.Close()
}

func TestEndTellsWhatLeft(t *testing.T) {
	reqs := make(chan *Request, 1)
	srv, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) { reqs <- r }}})
	g := &gate{seen: make(chan struct{}, 1), over: make(chan struct{})}
	c := dial(t, addr, ClientConfig{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		var err error
		g.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return g, err
	}})
	left, stuck, waiting := make(chan result, 1), make(chan result, 1), make(chan result, 1)
	if err := c.Submit(t.Context(), hello(), into(left)); err != nil {
		t.Fatal(err)
	}
	await(t, reqs)
	g.shut.Store(true)
	if err := c.Submit(t.Context(), hello(), into(stuck)); err != nil {
		t.Fatal(err)
	}
	await(t, g.seen)
	if err := c.Submit(t.Context(), hello(), into(waiting)); err != nil {
		t.Fatal(err)
	}
	srv.Sessions()[0].Cut()
	for i, want := range []struct {
		c    chan result
		left bool
	}{{left, true}, {stuck, false}, {waiting, false}} {
		var unanswered *UnansweredError
		if a := await(t, want.c); !errors.As(a.err, &unanswered) || unanswered.Left != want.left {
			t.Errorf("submit %d: %v, want left %v", i, a.err, want.left)
		}
	}
	await(t, c.Done())
	var unanswered *UnansweredError
	if err := c.Submit(t.Context(), hello(), nil); !errors.As(err, &unanswered) || unanswered.Left {
		t.Errorf("after the end: %v", err)
	}
}

func TestStalledPeer(t *testing.T) {
	_, addr := smsc(t, ServerConfig{})
	g := &gate{seen: make(chan struct{}, 1), over: make(chan struct{})}
	c := dial(t, addr, ClientConfig{
		SessionConfig: SessionConfig{ResponseTimeout: 20 * time.Millisecond},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var err error
			g.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
			return g, err
		},
	})
	g.shut.Store(true)
	answers := make(chan result, 1)
	if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
		t.Fatal(err)
	}
	var unanswered *UnansweredError
	if a := await(t, answers); !errors.As(a.err, &unanswered) || unanswered.Left || !errors.Is(a.err, ErrStalled) {
		t.Errorf("%v", a.err)
	}
}
