package engine_test

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

func (w *world) smppAccount(id message.ConnectorID, name string, more map[string]any) message.ConnectorID {
	w.t.Helper()
	host, port, err := net.SplitHostPort(w.sandbox.SMPPAddr())
	must(w.t, err)
	n, err := strconv.Atoi(port)
	must(w.t, err)
	config := map[string]any{"host": host, "port": n, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword}
	for k, v := range more {
		config[k] = v
	}
	raw, err := json.Marshal(config)
	must(w.t, err)
	c, err := w.rooms.PutConnector(w.ctx, w.ws, workspace.ConnectorInput{ID: id, Kind: "smpp", Name: name, Config: raw})
	must(w.t, err)
	return c.ID
}

func smsTo(to string, purpose message.Purpose) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Phone: to}, Purpose: purpose,
		Content: message.Content{Text: "Your order is on its way."}, Route: []engine.RouteStep{{Channel: message.SMS}},
	}
}

// An account asked for no receipts: a wait on them is refused, and "sent" is
// all that will ever be known.
func TestNoReceipts(t *testing.T) {
	w := newWorld(t)
	w.smppAccount(w.smpp, "silent", map[string]any{"receipts": "none"})
	r := smsTo("+33612345700", message.Utility)
	r.Route = []engine.RouteStep{{Channel: message.SMS, Next: message.Trigger{NotDelivered: time.Minute}}, {Channel: message.WhatsApp}}
	r.Template = &message.TemplateUse{Name: "hello_world", Language: "en_US"}
	w.eventually("the wait is refused", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, r)
		var refusal *engine.Refusal
		return errors.As(err, &refusal) && refusal.Code == engine.CodeTrigger
	})
	w.links()
	a := w.send(smsTo("+33612345700", message.Utility))
	v := w.until(a.ID, "unconfirmed", func(d *message.Delivery) bool { return d.State.Ended() })
	if v.Delivery.State != message.Unconfirmed {
		t.Errorf("ended %v (%s), want unconfirmed", v.Delivery.State, v.Delivery.Reason)
	}
}

// A sender with two accounts: what waits for one that is refused goes out
// through the other.
func TestNextAccount(t *testing.T) {
	w := newWorld(t)
	bad := w.smppAccount(message.ConnectorID{}, "wrong password", map[string]any{"password": "wrong", "reconnect_min_seconds": 0.1})
	cfg, err := w.rooms.Config(w.ctx, w.ws)
	must(t, err)
	s := *cfg.Sender(w.sms)
	s.Connectors = []message.ConnectorID{bad, w.smpp}
	_, err = w.rooms.PutSender(w.ctx, &s)
	must(t, err)
	a := w.send(smsTo("+33612345701", message.Utility))
	v := w.until(a.ID, "delivered through the other account", func(d *message.Delivery) bool { return d.State == message.Delivered })
	if c := v.Delivery.Steps[0].Last().Connector; c != w.smpp {
		t.Errorf("sent through %v", c)
	}
	w.eventually("the broken one is told of", func() bool {
		cfg, err := w.rooms.Config(w.ctx, w.ws)
		must(t, err)
		return cfg.Connector(bad).Health.State == engine.Misconfigured
	})
}

// STOP is heard at once, also by a message that was accepted before, and START
// takes it back.
func TestStopAndStart(t *testing.T) {
	w := newWorld(t)
	const to = "33612345702"
	a := w.send(smsTo("+"+to, message.Marketing))
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	later := smsTo("+"+to, message.Marketing)
	later.SendAt = w.sandbox.Clock.Now().Add(time.Hour)
	b := w.send(later)
	_, err := w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: " stop. "})
	must(t, err)
	var refusal *engine.Refusal
	w.eventually("marketing is refused", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, smsTo("+"+to, message.Marketing))
		return errors.As(err, &refusal) && refusal.Code == engine.CodeOptedOut
	})
	w.sandbox.Advance(time.Hour)
	v := w.until(b.ID, "ended", func(d *message.Delivery) bool { return d.State.Ended() })
	if v.Delivery.State != message.Failed || v.Delivery.Reason != "opted_out" || len(v.Delivery.Steps[0].Attempts) != 0 {
		t.Errorf("the message accepted before STOP ended %v (%s) after %d attempts", v.Delivery.State, v.Delivery.Reason, len(v.Delivery.Steps[0].Attempts))
	}
	_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: "START"})
	must(t, err)
	w.eventually("they are back", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, smsTo("+"+to, message.Marketing))
		return err == nil
	})
}

// Both orders of one key: the same request gives the same answer, another one
// is refused.
func TestIdempotency(t *testing.T) {
	w := newWorld(t)
	r := smsTo("+33612345703", message.Utility)
	key := engine.Idempotency{Key: "7d1c", Body: []byte("body")}
	first, err := w.engine.Accept(w.ctx, w.ws, r, key)
	must(t, err)
	again, err := w.engine.Accept(w.ctx, w.ws, r, key)
	must(t, err)
	if again.ID != first.ID || !again.Replayed {
		t.Errorf("the second answer is %v (replayed %v), want %v", again.ID, again.Replayed, first.ID)
	}
	_, err = w.engine.Accept(w.ctx, w.ws, r, engine.Idempotency{Key: "7d1c", Body: []byte("another body")})
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Code != engine.CodeIdempotency {
		t.Errorf("another request under the key: %v", err)
	}
	list, err := w.engine.List(w.ctx, w.ws, store.Filter{Limit: 10})
	must(t, err)
	if len(list) != 1 {
		t.Errorf("%d messages stored, want 1", len(list))
	}
}

// A contact made with a message is no version of that message, whichever way the
// message goes.
func TestContactCreatedHasNoVersion(t *testing.T) {
	w := newWorld(t)
	w.send(smsTo("+33612345707", message.Utility))
	later := smsTo("+33612345708", message.Utility)
	later.SendAt = w.sandbox.Clock.Now().Add(time.Hour)
	w.send(later)
	list := w.logged(event.ContactCreated)
	if len(list) != 2 {
		t.Fatalf("%d contacts were made", len(list))
	}
	for _, e := range list {
		if e.Version != 0 || !e.Message.IsZero() {
			t.Errorf("version %d of message %v", e.Version, e.Message)
		}
	}
}

// A batch repeated under its key gives each item the answer it had: all of it but
// the plan, which only a message taken in alone is answered with.
func TestIdempotentBatch(t *testing.T) {
	w := newWorld(t)
	dear := smsTo("+33612345705", message.Utility)
	dear.Content.Text = "It’s " + strings.Repeat("a message of two parts for one sign ", 3) // a warning
	batch := []*engine.Request{smsTo("+33612345704", message.Utility), dear}
	key := engine.Idempotency{Key: "b47c", Body: []byte("body")}
	first, err := w.engine.AcceptBatch(w.ctx, w.ws, batch, key)
	must(t, err)
	again, err := w.engine.AcceptBatch(w.ctx, w.ws, batch, key)
	must(t, err)
	for i := range batch {
		a, b := first[i].Answer, again[i].Answer
		if a == nil || b == nil || !b.Replayed {
			t.Fatalf("item %d: %+v, then %+v", i, first[i], again[i])
		}
		want := *a
		want.Replayed = true
		if diff := cmp.Diff(&want, b, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("item %d: the second answer differs (-first +second)\n%s", i, diff)
		}
		if len(a.Plan) != 0 {
			t.Errorf("item %d has a plan of %d steps", i, len(a.Plan))
		}
	}
	if len(first[1].Answer.Warnings) == 0 {
		t.Error("no warning: little was compared")
	}
}

// A key gives its answer also when the same request would be refused by now,
// and another request under it is a conflict, not a refusal.
func TestReplayOfWhatIsRefusedByNow(t *testing.T) {
	w := newWorld(t)
	const to = "33612345731"
	r := smsTo("+"+to, message.Marketing)
	key := engine.Idempotency{Key: "7d1c", Body: []byte("body")}
	first, err := w.engine.Accept(w.ctx, w.ws, r, key)
	must(t, err)
	_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: "STOP"})
	must(t, err)
	var refusal *engine.Refusal
	w.eventually("marketing is refused", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, r)
		return errors.As(err, &refusal) && refusal.Code == engine.CodeOptedOut
	})
	again, err := w.engine.Accept(w.ctx, w.ws, r, key)
	must(t, err)
	if again.ID != first.ID || !again.Replayed {
		t.Errorf("the second answer is %v (replayed %v), want %v", again.ID, again.Replayed, first.ID)
	}
	_, err = w.engine.Accept(w.ctx, w.ws, r, engine.Idempotency{Key: "7d1c", Body: []byte("another body")})
	if !errors.As(err, &refusal) || refusal.Code != engine.CodeIdempotency {
		t.Errorf("another request under the key: %v", err)
	}
}

// A message that is in memory is still nobody else's to cancel (law 10).
func TestCancelOfAStranger(t *testing.T) {
	w := newWorld(t)
	off := false
	const to = "33612345732"
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Phone: &off})
	must(t, err)
	a := w.send(smsTo("+"+to, message.Utility))
	w.until(a.ID, "sent", func(d *message.Delivery) bool { return d.State == message.Sent })
	other, err := w.rooms.Create(w.ctx, "another brand")
	must(t, err)
	if _, err := w.engine.Cancel(w.ctx, other.ID, a.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a stranger hears %v", err)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	r := smsTo("+33612345704", message.Utility)
	r.SendAt = w.sandbox.Clock.Now().Add(time.Hour)
	a := w.send(r)
	v, err := w.engine.Cancel(w.ctx, w.ws, a.ID)
	must(t, err)
	if v.Delivery.State != message.Cancelled {
		t.Errorf("state %v", v.Delivery.State)
	}
	b := w.send(smsTo("+33612345704", message.Utility))
	w.until(b.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	_, err = w.engine.Cancel(w.ctx, w.ws, b.ID)
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Code != engine.CodeNotCancellable {
		t.Errorf("cancelling a delivered message: %v", err)
	}
	w.sandbox.Advance(2 * time.Hour)
	if v, err = w.engine.View(w.ctx, w.ws, a.ID); err != nil || v.Delivery.State != message.Cancelled {
		t.Errorf("a cancelled message went on: %v %v", v.Delivery.State, err)
	}
}

// A plan counts and prices the parts as the account sends them: with its stop
// mention, its way to save parts and its most parts.
func TestPlanOfTheAccountsSettings(t *testing.T) {
	w := newWorld(t)
	w.smppAccount(w.smpp, "settings", map[string]any{"stop_mention": "STOP 38123", "max_parts": 2})
	preview := func(r *engine.Request) (*engine.Preview, error) { return w.engine.Preview(w.ctx, w.ws, r) }
	r := smsTo("+33612345700", message.Marketing)
	r.Content.Text = strings.Repeat("a", 155)
	w.eventually("the mention makes a second part", func() bool {
		p, err := preview(r)
		return err == nil && p.Plan[0].Segments == 2 && strings.HasSuffix(p.Plan[0].Rendered.Text, "\nSTOP 38123")
	})
	r.Purpose = message.Utility
	p, err := preview(r)
	must(t, err)
	one := p.Expected.Micros
	if p.Plan[0].Segments != 1 || one == 0 {
		t.Errorf("without a mention: %d parts, %d", p.Plan[0].Segments, one)
	}

	r.Content.Text = "Dobrý den, Vaše zásilka je připravena k vyzvednutí na pobočce. Děkujeme, že nakupujete u nás."
	p, err = preview(r)
	must(t, err)
	s := p.Plan[0].Rendered.Saving
	if p.Plan[0].Segments != 2 || p.Plan[0].Encoding != "ucs2" || s == nil || s.Segments != 1 || p.Expected.Micros != 2*one {
		t.Fatalf("%d parts %s, %d; saving %+v", p.Plan[0].Segments, p.Plan[0].Encoding, p.Expected.Micros, s)
	}
	if len(p.Warnings) != 1 || p.Warnings[0].Code != "fewer_parts_possible" {
		t.Errorf("warnings %+v", p.Warnings)
	}
	yes := true
	r.Content.Transliterate = &yes
	a := w.send(r)
	if a.Plan[0].Segments != 1 || a.Plan[0].Encoding != "gsm7" {
		t.Errorf("asked for: %+v", a.Plan[0])
	}
	w.links()
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	if texts := w.sandbox.Handsets.Inbox("33612345700"); len(texts) != 1 || texts[0].Text != s.Text {
		t.Errorf("the phone shows %+v, want %q", texts, s.Text)
	}

	r.Content.Text = strings.Repeat("long ", 70)
	var refusal *engine.Refusal
	if _, err := preview(r); !errors.As(err, &refusal) || refusal.Code != engine.CodeTooLong || refusal.Field != "route[0].content.text" {
		t.Errorf("three parts where two are allowed: %v", err)
	}
}

// One sender of an account is not registered with the SMSC: its messages wait,
// those of the other go out, and the account is not paused.
func TestOneSenderUnknown(t *testing.T) {
	w := newWorld(t)
	s, err := w.rooms.PutSender(w.ctx, &store.Sender{Workspace: w.ws, Channel: message.SMS, Address: "NoSuch", Display: "NoSuch", Connectors: []message.ConnectorID{w.smpp}, CreatedAt: time.Now()})
	must(t, err)
	r := smsTo("+33612345700", message.Utility)
	r.Route[0].Sender = s.ID
	bad := w.send(r)
	w.until(bad.ID, "held", func(d *message.Delivery) bool {
		return d.Steps[0].State == message.StepHeld && d.Steps[0].Reason == "sender_misconfigured"
	})
	good := w.send(smsTo("+33612345701", message.Utility))
	w.until(good.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	for _, l := range w.engine.Lanes() {
		if l.Fault != nil {
			t.Errorf("an account is paused: %+v", l)
		}
	}
}

// A pause holds when it returns, not a moment later.
func TestPauseHoldsAtOnce(t *testing.T) {
	w := newWorld(t)
	must(t, w.engine.PauseConnector(w.ctx, w.ws, w.smpp))
	for _, l := range w.engine.Lanes() {
		if l.Paused != (l.Connector == w.smpp) {
			t.Errorf("%v is paused: %v", l.Connector, l.Paused)
		}
	}
}
