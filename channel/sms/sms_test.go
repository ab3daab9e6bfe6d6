package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// smsc is a real SMPP server on the loopback.
type smsc struct {
	*smpp.Server
	host string
	port int
	reqs chan *smpp.Request

	mu   sync.Mutex
	last *smpp.Session // that bound and can receive
	some chan struct{} // closed when there is one
	news chan *smpp.Session
}

// serve starts an SMSC. Without a handler requests go to reqs.
func serve(tb testing.TB, cfg smpp.ServerConfig) *smsc {
	tb.Helper()
	s := &smsc{reqs: make(chan *smpp.Request, 1000), news: make(chan *smpp.Session, 1000), some: make(chan struct{})}
	cfg.Bound = func(session *smpp.Session) {
		if session.Mode() != smpp.BindTransmitter {
			s.mu.Lock()
			if s.last == nil {
				close(s.some)
			}
			s.last = session
			s.mu.Unlock()
			s.news <- session
		}
	}
	if cfg.Handler == nil {
		cfg.Handler = func(r *smpp.Request) { s.reqs <- r }
	}
	if cfg.Authenticate == nil {
		cfg.Authenticate = func(*smpp.Session, smpp.Command, *smpp.Bind) smpp.Status { return smpp.StatusOK }
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Server = smpp.NewServer(cfg)
	s.host, s.port = "127.0.0.1", ln.Addr().(*net.TCPAddr).Port
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
		<-served
	})
	return s
}

// sink keeps what a connector hands on.
type sink struct {
	mu     sync.Mutex
	answer func([]message.Event) error // nil: stored
	events chan message.Event
	health chan channel.Health
}

func newSink() *sink {
	return &sink{events: make(chan message.Event, 1000), health: make(chan channel.Health, 1000)}
}

func (s *sink) Events(events []message.Event, done func(error)) {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(events)
	}
	for _, e := range events {
		s.events <- e
	}
	done(err)
}

func (s *sink) Health(h channel.Health) { s.health <- h }

func (s *sink) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func([]message.Event) error { return err }
}

func (s *sink) store() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = nil
}

// await gives the next value, or fails.
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

// config writes a configuration for an SMSC; more overrides keys.
func config(s *smsc, more map[string]any) json.RawMessage {
	c := map[string]any{
		"host": s.host, "port": s.port, "system_id": "acme", "password": "secret",
		"reconnect_min_seconds": 0.01, "reconnect_max_seconds": 0.05,
	}
	for k, v := range more {
		c[k] = v
	}
	raw, _ := json.Marshal(c)
	return raw
}

func open(tb testing.TB, raw json.RawMessage) *Connector {
	tb.Helper()
	c, err := Open(raw, channel.Env{Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// run runs a connector until the test ends and waits for its links.
func run(tb testing.TB, c *Connector, links int) *sink {
	tb.Helper()
	s := newSink()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, s) }()
	tb.Cleanup(func() {
		cancel()
		if err := await(tb, ended); err != nil {
			tb.Errorf("run: %v", err)
		}
		if err := c.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	for h := (channel.Health{}); h.Links < links; h = await(tb, s.health) {
	}
	return s
}

func outbound(text string) *message.Outbound {
	return &message.Outbound{
		Message: message.MessageID{1}, Echo: "echo-1",
		To:   message.Address{Channel: message.Phone, ID: "+491701234567"},
		From: message.Sender{Channel: message.SMS, Address: "ACME"}, Purpose: message.Utility,
		Priority: message.Utility.Priority(), Content: message.Content{Text: text},
	}
}

type sent struct {
	accepted message.Accepted
	err      error
}

// send sends in the background.
func send(c *Connector, m *message.Outbound) <-chan sent {
	out := make(chan sent, 1)
	go func() {
		a, err := c.Send(context.Background(), m)
		out <- sent{a, err}
	}()
	return out
}

func fault(tb testing.TB, err error) *message.Fault {
	tb.Helper()
	var f *message.Fault
	if !errors.As(err, &f) {
		tb.Fatalf("not a fault: %v", err)
	}
	return f
}

func TestTextOutAndReceiptBack(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, nil))
	s := run(t, c, 1)
	out := send(c, outbound("Votre code est 4821 €"))
	r := await(t, srv.reqs)
	m := r.Body.(*smpp.SubmitSM)
	if m.Source != (smpp.Address{TON: 5, Addr: "ACME"}) || m.Destination != (smpp.Address{TON: 1, NPI: 1, Addr: "491701234567"}) {
		t.Errorf("%+v %+v", m.Source, m.Destination)
	}
	if string(m.ShortMessage) != "Votre code est 4821 \x1be" || m.RegisteredDelivery != 1 || m.Priority != 1 || m.DataCoding != 0 {
		t.Errorf("%+v", m)
	}
	if err := r.Accept("0A1B2C3D"); err != nil {
		t.Fatal(err)
	}
	got := await(t, out)
	if got.err != nil || len(got.accepted.Parts) != 1 || got.accepted.Parts[0] != "0A1B2C3D" {
		t.Fatalf("%+v", got)
	}

	status := deliver(t, srv, &smpp.DeliverSM{
		Source: m.Destination, Destination: m.Source, ESMClass: smpp.ESMReceipt,
		ShortMessage: []byte("id:169552957 sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD err:000 text:Votre code"),
	})
	if status != smpp.StatusOK {
		t.Errorf("answered %v", status)
	}
	e := await(t, s.events).(*message.Receipt)
	if e.Status != message.ReceiptDelivered || e.To.ID != "+491701234567" || e.To.Channel != message.Phone || e.From != "ACME" || e.Text != "Votre code" {
		t.Errorf("%+v", e)
	}
	if !contains(append(e.Alt, e.ID), "0A1B2C3D") {
		t.Errorf("ids %q %q", e.ID, e.Alt)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// offer sends a deliver_sm on the newest link and gives the answer later.
func offer(tb testing.TB, srv *smsc, d *smpp.DeliverSM) <-chan smpp.Status {
	tb.Helper()
	await(tb, srv.some)
	srv.mu.Lock()
	session := srv.last
	srv.mu.Unlock()
	out := make(chan smpp.Status, 1)
	err := session.Deliver(context.Background(), d, func(r smpp.Response, err error) {
		if err != nil {
			r.Status = 0xFFFFFFFF
		}
		out <- r.Status
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func deliver(tb testing.TB, srv *smsc, d *smpp.DeliverSM) smpp.Status {
	tb.Helper()
	return await(tb, offer(tb, srv, d))
}

func TestTextIn(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, nil)), 1)
	mo := func() *smpp.DeliverSM {
		return &smpp.DeliverSM{
			Source: smpp.Address{TON: 1, NPI: 1, Addr: "491701234567"}, Destination: smpp.Address{TON: 3, Addr: "36111"},
			DataCoding: 8, ShortMessage: []byte{0x00, 'S', 0x00, 't', 0xD8, 0x3D, 0xDE, 0x00},
		}
	}
	s.refuse(errors.New("disk full"))
	if status := deliver(t, srv, mo()); status != smpp.StatusTemporaryAppError {
		t.Errorf("answered %v", status)
	}
	first := await(t, s.events).(*message.Inbound)
	if first.Content.Text != "St😀" || first.From.ID != "+491701234567" || first.To != "36111" || first.Type != message.InText || first.At.IsZero() {
		t.Errorf("%+v", first)
	}
	s.store()
	if status := deliver(t, srv, mo()); status != smpp.StatusOK {
		t.Errorf("answered %v", status)
	}
	if again := await(t, s.events).(*message.Inbound); again.ID != first.ID {
		t.Errorf("the repetition of a refused text has another id: %q, %q", first.ID, again.ID)
	}
	deliver(t, srv, mo())
	if other := await(t, s.events).(*message.Inbound); other.ID == first.ID {
		t.Error("the same words said twice have the same id")
	}
}

func TestRepetitionAfterABrokenLink(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, nil))
	s := run(t, c, 1)
	mo := &smpp.DeliverSM{Source: smpp.Address{TON: 1, Addr: "491701234567"}, Destination: smpp.Address{Addr: "36111"}, ShortMessage: []byte("1")}
	deliver(t, srv, mo)
	first := await(t, s.events).(*message.Inbound)
	await(t, srv.news).Cut()
	await(t, srv.news)
	deliver(t, srv, mo)
	if again := await(t, s.events).(*message.Inbound); again.ID != first.ID {
		t.Errorf("%q, %q", first.ID, again.ID)
	}
}

func TestLongTextOut(t *testing.T) {
	for _, long := range []string{"udh8", "udh16", "sar", "payload"} {
		t.Run(long, func(t *testing.T) {
			srv := serve(t, smpp.ServerConfig{})
			c := open(t, config(srv, map[string]any{"long": long}))
			run(t, c, 1)
			text := ""
			for i := range 40 {
				text += fmt.Sprintf("line %02d. ", i)
			}
			out := send(c, outbound(text))
			n := 3
			if long == "payload" {
				n = 1
			}
			var got string
			for i := range n {
				r := await(t, srv.reqs)
				m := r.Body.(*smpp.SubmitSM)
				p := dissect((*smpp.DeliverSM)(m))
				if n > 1 && (p.total != 3 || int(p.number) != i+1) {
					t.Errorf("part %d: %+v", i, p)
				}
				if (m.ESMClass&smpp.ESMUDHI != 0) != (long == "udh8" || long == "udh16") {
					t.Errorf("esm_class %x", m.ESMClass)
				}
				got += string(p.octets)
				r.Accept(fmt.Sprint(i))
			}
			if a := await(t, out); a.err != nil || len(a.accepted.Parts) != n {
				t.Errorf("%+v", a)
			}
			if got != text {
				t.Errorf("%q", got)
			}
		})
	}
}
