package sms_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/smsc"
)

// An operator is the sandbox's SMSC with a connector of ours bound to it.
type operator struct {
	server *smsc.Server
	fleet  *handset.Fleet
	c      *sms.Connector
	events chan message.Event
	up     chan struct{}
}

func (o *operator) Events(events []message.Event, done func(error)) {
	for _, e := range events {
		o.events <- e
	}
	done(nil)
}

func (o *operator) Health(h channel.Health) {
	if h.Up {
		select {
		case o.up <- struct{}{}:
		default:
		}
	}
}

func operate(t *testing.T, options smsc.Options, more map[string]any) *operator {
	t.Helper()
	begin, began := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC), time.Now()
	c := clock.New(func() time.Time { return begin.Add(time.Since(began)) })
	fleet := handset.New(c, handset.Options{})
	o := &operator{fleet: fleet, events: make(chan message.Event, 1000), up: make(chan struct{}, 1)}
	o.server = smsc.New(options, smsc.Parts{Clock: c, Fleet: fleet, Faults: &fault.Book{}, Journal: journal.New(1000, nil), Log: slog.New(slog.DiscardHandler), Seed: 1})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- o.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = o.server.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		c.Stop()
	})
	config := map[string]any{
		"host": "127.0.0.1", "port": ln.Addr().(*net.TCPAddr).Port, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword,
		"binds": 2, "reconnect_min_seconds": 0.01, "response_timeout_seconds": 0.5,
	}
	for k, v := range more {
		config[k] = v
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if o.c, err = sms.Open(raw, channel.Env{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.c.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, o.c.Close()); err != nil {
			t.Error(err)
		}
	})
	o.wait(t)
	return o
}

func (o *operator) wait(t *testing.T) {
	t.Helper()
	select {
	case <-o.up:
	case <-time.After(10 * time.Second):
		t.Fatal("no link")
	}
}

func (o *operator) next(t *testing.T) message.Event {
	t.Helper()
	select {
	case e := <-o.events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
		return nil
	}
}

func to(number, text string) *message.Outbound {
	return &message.Outbound{
		Echo: "e", To: message.Address{Channel: message.Phone, ID: "+" + number}, From: message.Sender{Address: "Parley"},
		Purpose: message.Utility, Priority: message.Utility.Priority(), Content: message.Content{Text: text},
	}
}

// Whatever the operator's spelling of ids and receipts, each part's receipt
// names the id that the answer gave.
func TestRoundTrip(t *testing.T) {
	text := strings.Repeat("Bonjour, ", 20) + "votre carte est prête 😀"
	for _, ids := range []smsc.IDStyle{smsc.Hex, smsc.Decimal, smsc.HexDecimal, smsc.UpperHex} {
		for _, style := range []smsc.ReceiptStyle{smsc.TextAndTLV, smsc.TextOnly, smsc.TLVOnly} {
			for _, long := range []string{"udh8", "udh16", "sar"} {
				o := operate(t, smsc.Options{IDs: ids, Receipts: style}, map[string]any{"long": long})
				a, err := o.c.Send(t.Context(), to("33612345678", text))
				if err != nil || len(a.Parts) != 4 {
					t.Fatalf("%s %s %s: %v %v", ids, style, long, a, err)
				}
				seen := map[string]bool{}
				for range a.Parts {
					r, ok := o.next(t).(*message.Receipt)
					if !ok || r.Status != message.ReceiptDelivered || r.To.ID != "+33612345678" || r.From != "Parley" {
						t.Fatalf("%+v", r)
					}
					for _, id := range append(r.Alt, r.ID) {
						if slices.Contains(a.Parts, id) {
							seen[id] = true
						}
					}
				}
				if len(seen) != 4 {
					t.Errorf("%s %s %s: receipts name %d of 4 parts", ids, style, long, len(seen))
				}
				if in := o.fleet.Inbox("33612345678"); len(in) != 1 || in[0].Text != text {
					t.Errorf("%s %s %s: the phone shows %+v", ids, style, long, in)
				}
			}
		}
	}
}

func TestPersonWrites(t *testing.T) {
	o := operate(t, smsc.Options{}, nil)
	for _, text := range []string{"STOP", "1", "1", strings.Repeat("où est ma carte ? ", 30), "👍 {merci} €"} {
		if _, err := o.server.Write(smsc.Inbound{From: "33612345678", To: "36111", Text: text}); err != nil {
			t.Fatal(err)
		}
		in, ok := o.next(t).(*message.Inbound)
		if !ok || in.Content.Text != text || in.From.ID != "+33612345678" || in.To != "36111" || in.Raw != nil {
			t.Errorf("%+v", in)
		}
	}
}

// Every magic recipient: what the SMSC did not take is certain, what it did
// not say is not.
func TestMagicRecipients(t *testing.T) {
	o := operate(t, smsc.Options{}, nil)
	for _, m := range fault.Magic() {
		a, err := o.c.Send(t.Context(), to(fault.Number(m.Code, 0), "hello"))
		var f *message.Fault
		failed := errors.As(err, &f)
		for failed && (f.Code == "not_ready" || f.Code == "link" && f.Certain) {
			if f.Code == "not_ready" {
				o.wait(t)
			}
			a, err = o.c.Send(t.Context(), to(fault.Number(m.Code, 0), "hello"))
			failed = errors.As(err, &f)
		}
		switch m.SMS.Kind {
		case fault.Reject, fault.ErrorBefore, fault.ErrorAfter:
			if !failed || !f.Certain || f.Unmapped {
				t.Errorf("%s: %v", m.Name, err)
			}
		case fault.Hang, fault.Silent, fault.Cut, fault.Drop, fault.Garbage:
			if !failed || f.Certain || f.Kind != message.Transient {
				t.Errorf("%s: %v", m.Name, err)
			}
		default:
			if err != nil || len(a.Parts) != 1 {
				t.Errorf("%s: %v %v", m.Name, a, err)
			}
		}
	}
}

// The answer is lost, yet the receipt says which text it is about.
func TestReferenceSettles(t *testing.T) {
	o := operate(t, smsc.Options{}, map[string]any{"reference": true})
	for _, m := range fault.Magic() {
		if m.SMS.Kind != fault.Hang && m.SMS.Kind != fault.Garbage {
			continue
		}
		number := fault.Number(m.Code, 0)
		if _, err := o.c.Send(t.Context(), to(number, "hello")); err == nil {
			t.Fatalf("%s: accepted", m.Name)
		}
		r, ok := o.next(t).(*message.Receipt)
		if !ok || r.Status != message.ReceiptDelivered || r.To.ID != "+"+number || r.Echo != "e" {
			t.Errorf("%s: %+v", m.Name, r)
		}
	}
	// Another text that was answered: its receipt has nothing to settle.
	a, err := o.c.Send(t.Context(), to("33612345678", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := o.next(t).(*message.Receipt); !ok || r.ID != a.Parts[0] {
		t.Errorf("%+v", r)
	}
}

func TestLinksCut(t *testing.T) {
	o := operate(t, smsc.Options{}, nil)
	for len(o.up) > 0 {
		<-o.up
	}
	if o.server.DropLinks("") == 0 {
		t.Fatal("no links")
	}
	o.wait(t)
	for {
		_, err := o.c.Send(t.Context(), to("33612345678", "hello again"))
		if err == nil {
			break
		}
		var f *message.Fault
		if !errors.As(err, &f) || !f.Certain || f.Kind != message.Transient {
			t.Fatal(err)
		}
	}
	if r, ok := o.next(t).(*message.Receipt); !ok || r.Status != message.ReceiptDelivered {
		t.Errorf("%+v", r)
	}
}
