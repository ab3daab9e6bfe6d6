package smsc_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/smpp"
)

// fixture is a server on a real socket.
type fixture struct {
	t       testing.TB
	clock   *clock.Clock
	fleet   *handset.Fleet
	faults  *fault.Book
	journal *journal.Journal
	server  *smsc.Server
	addr    string
}

func newFixture(t testing.TB, o smsc.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, faults: &fault.Book{}, journal: journal.New(1000, nil)}
	start, begin := time.Now(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.clock = clock.New(func() time.Time { return begin.Add(time.Since(start)) })
	f.fleet = handset.New(f.clock, handset.Options{Seed: 1})
	f.server = smsc.New(o, smsc.Parts{Clock: f.clock, Fleet: f.fleet, Faults: f.faults, Journal: f.journal, Log: slog.New(slog.DiscardHandler), Seed: 1})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = f.server.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		f.clock.Stop()
	})
	return f
}

// esme is a customer's bind with what it was told.
type esme struct {
	*smpp.Session
	told chan *smpp.DeliverSM
}

// bind opens one more bind; status answers each deliver_sm.
func (f *fixture) bind(mode smpp.Command, status func() smpp.Status) *esme {
	f.t.Helper()
	e := &esme{told: make(chan *smpp.DeliverSM, 1_000_000)}
	cfg := smpp.ClientConfig{Addr: f.addr, Mode: mode, Bind: smpp.Bind{SystemID: "parley", Password: "sandbox"}}
	cfg.Window = 1000
	cfg.Handler = func(r *smpp.Request) {
		if st := status(); st != smpp.StatusOK {
			_ = r.Refuse(st)
			return
		}
		e.told <- r.PDU.Body.(*smpp.DeliverSM)
		_ = r.Accept("")
	}
	var err error
	if e.Session, err = smpp.Dial(context.Background(), cfg); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Close(ctx)
	})
	return e
}

func ok() smpp.Status { return smpp.StatusOK }

func submit(to, text string) *smpp.SubmitSM {
	return &smpp.SubmitSM{
		Source: smpp.Address{TON: 5, Addr: "Parley"}, Destination: smpp.Address{TON: 1, NPI: 1, Addr: to},
		RegisteredDelivery: 0x11, ShortMessage: []byte(text),
	}
}

func (f *fixture) next(e *esme) *smpp.DeliverSM {
	f.t.Helper()
	select {
	case d := <-e.told:
		return d
	case <-time.After(5 * time.Second):
		f.t.Fatal("no deliver_sm within 5 s")
		return nil
	}
}

func stat(d *smpp.DeliverSM) string {
	_, rest, _ := strings.Cut(string(d.ShortMessage), "stat:")
	word, _, _ := strings.Cut(rest, " ")
	return word
}

func (f *fixture) stats(e *esme, n int) []string {
	f.t.Helper()
	var got []string
	for range n {
		got = append(got, stat(f.next(e)))
	}
	return got
}
