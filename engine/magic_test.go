package engine_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// magic gives the sandbox number that orders a fault on both channels.
func magic(code string) string { return "+9990000" + code + "00" }

// TestMagicRecipients plays every fault the sandbox knows against the route
// WhatsApp, then SMS, and says how each message must end.
func TestMagicRecipients(t *testing.T) {
	w := newWorld(t)
	type end struct {
		code, name string
		state      message.State
		first      message.StepState // of the WhatsApp step; 0 = any
		second     message.StepState // of the SMS step; 0 = any
	}
	cases := []end{
		{"10", "throttle once: tried again", message.Read, message.StepRead, 0},
		{"13", "hang after accept: the receipt settles it", message.Read, message.StepRead, 0},
		{"14", "cut after accept: the receipt settles it", message.Read, message.StepRead, 0},
		{"15", "receipts twice", message.Read, message.StepRead, message.StepCancelled},
		{"16", "receipts reordered", message.Read, message.StepRead, message.StepCancelled},
		{"17", "receipt first", message.Read, message.StepRead, message.StepCancelled},
		{"18", "no receipt: the wait passes", 0, 0, 0},
		{"21", "unreachable: the SMS is undeliverable too", message.Failed, message.StepFailed, message.StepFailed},
		{"22", "template paused: by SMS", message.Delivered, message.StepFailed, message.StepDelivered},
		{"26", "pair limit once: held, or by SMS when the wait is over", message.Delivered, 0, 0},
		{"28", "sent, then failed", message.Failed, message.StepFailed, message.StepFailed},
		{"40", "SMS refused", message.Failed, message.StepFailed, message.StepFailed},
		{"43", "SMS undeliverable", message.Failed, message.StepFailed, message.StepFailed},
		{"45", "SMS rejected", message.Failed, message.StepFailed, message.StepFailed},
		{"60", "no WhatsApp: by SMS", message.Delivered, message.StepFailed, message.StepDelivered},
		{"61", "internet off: by SMS", message.Delivered, 0, message.StepDelivered},
	}
	ids := make([]message.MessageID, len(cases))
	for i, c := range cases {
		ids[i] = w.send(boardingPass(magic(c.code), 4*time.Second)).ID
	}
	for i, c := range cases {
		if c.state == 0 {
			continue
		}
		v := w.until(ids[i], c.name, func(d *message.Delivery) bool {
			if c.state == message.Delivered {
				return d.State == message.Delivered || d.State == message.Read
			}
			return d.State == c.state
		})
		d := v.Delivery
		if c.first != 0 && d.Steps[0].State != c.first {
			t.Errorf("%s %s: the WhatsApp step is %v (%s), want %v", c.code, c.name, d.Steps[0].State, d.Steps[0].Reason, c.first)
		}
		if c.second != 0 && d.Steps[1].State != c.second {
			t.Errorf("%s %s: the SMS step is %v (%s), want %v", c.code, c.name, d.Steps[1].State, d.Steps[1].Reason, c.second)
		}
	}
	b, err := w.store.Books(w.ctx, w.ws)
	must(t, err)
	var sum int64
	for _, n := range b.States {
		sum += n
	}
	if sum != b.Accepted || b.Lost != 0 || b.Orphans != 0 {
		t.Errorf("the books do not balance: %+v", b)
	}
}

func TestMarketingIsNeverSentTwice(t *testing.T) {
	w := newWorld(t)
	r := &engine.Request{
		To: engine.Recipient{Phone: magic("42")}, Purpose: message.Marketing, // SMS: never answered
		Content: message.Content{Text: "Spring sale"}, Route: []engine.RouteStep{{Channel: message.SMS}},
	}
	a := w.send(r)
	v := w.until(a.ID, "unknown", func(d *message.Delivery) bool { return d.Steps[0].State == message.StepUnknown })
	if n := len(v.Delivery.Steps[0].Attempts); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
	w.sandbox.Advance(25 * time.Hour)
	v = w.until(a.ID, "given up", func(d *message.Delivery) bool { return d.State.Ended() })
	if v.Delivery.State != message.Failed || v.Delivery.Reason != "outcome_unknown" || len(v.Delivery.Steps[0].Attempts) != 1 {
		t.Errorf("ended %v (%s) after %d attempts", v.Delivery.State, v.Delivery.Reason, len(v.Delivery.Steps[0].Attempts))
	}
}

// An SMSC that takes a text and answers with a system error: other purposes are
// tried again, marketing is not, and its receipt settles it.
func TestRefusedAfterItWasTaken(t *testing.T) {
	w := newWorld(t)
	to := strings.TrimPrefix(magic("12"), "+")
	a := w.send(smsTo("+"+to, message.Marketing))
	v := w.until(a.ID, "delivered by its receipt", func(d *message.Delivery) bool { return d.State.Ended() })
	if d := v.Delivery; d.State != message.Delivered || len(d.Steps[0].Attempts) != 1 || !d.Steps[0].Attempts[0].Inferred {
		t.Errorf("ended %v (%s) after %d attempts", d.State, d.Reason, len(d.Steps[0].Attempts))
	}
	if n := len(w.sandbox.Handsets.Inbox(to)); n != 1 {
		t.Errorf("the phone shows %d texts, want 1", n)
	}
	// Refused for good with the same word: nothing is tried again or elsewhere.
	r := smsTo(magic("27"), message.Marketing)
	r.Route = append(r.Route, engine.RouteStep{Channel: message.WhatsApp})
	r.Template = &message.TemplateUse{Name: "hello_world", Language: "en_US"}
	a = w.send(r)
	w.until(a.ID, "unknown", func(d *message.Delivery) bool { return d.Steps[0].State == message.StepUnknown })
	w.sandbox.Advance(25 * time.Hour)
	v = w.until(a.ID, "given up", func(d *message.Delivery) bool { return d.State.Ended() })
	if d := v.Delivery; d.State != message.Failed || d.Reason != "outcome_unknown" || len(d.Steps[0].Attempts) != 1 || len(d.Steps[1].Attempts) != 0 {
		t.Errorf("ended %v (%s), %d and %d attempts", d.State, d.Reason, len(d.Steps[0].Attempts), len(d.Steps[1].Attempts))
	}
	a = w.send(smsTo(magic("11"), message.Utility))
	v = w.until(a.ID, "tried again", func(d *message.Delivery) bool { return d.State.Ended() })
	if d := v.Delivery; d.State != message.Delivered || len(d.Steps[0].Attempts) != 2 {
		t.Errorf("utility ended %v (%s) after %d attempts", d.State, d.Reason, len(d.Steps[0].Attempts))
	}
}

func TestMisconfiguredKeepsTheQueue(t *testing.T) {
	w := newWorld(t)
	w.sandbox.WhatsApp.SetToken("another token")
	r := boardingPass("+33612345690", 0)
	r.Route[0].Next = message.Trigger{}
	a := w.send(r)
	w.eventually("the connector is paused", func() bool {
		for _, l := range w.engine.Lanes() {
			if l.Connector == w.whatsapp && l.Fault != nil {
				return true
			}
		}
		return false
	})
	w.until(a.ID, "kept in the queue", func(d *message.Delivery) bool {
		return !d.State.Ended() && d.Steps[0].State == message.StepQueued && len(d.Steps[0].Attempts) == 1
	})
	w.sandbox.WhatsApp.SetToken("sandbox-token")
	must(t, w.engine.ResumeConnector(w.ctx, w.ws, w.whatsapp))
	w.until(a.ID, "sent after all", func(d *message.Delivery) bool { return d.State >= message.Delivered && d.State <= message.Read })
}

// A broken account is left alone for a minute, then tried with one message of
// those that wait; when that works, the others follow in order.
func TestBrokenAccountIsTriedWithOneMessage(t *testing.T) {
	c := &turnstile{broken: &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeConnector, Certain: true, Code: "unpaid"}}
	w := newWorldOn(t, nil, c.open)
	account, senders := c.account(w, "BRAND")
	for i := range 20 {
		w.send(from(senders[0], i, message.Service, strconv.Itoa(i)))
	}
	must(t, w.engine.ResumeConnector(w.ctx, w.ws, account))
	lane := func() (l engine.LaneState) {
		for _, one := range w.engine.Lanes() {
			if one.Connector == account {
				l = one
			}
		}
		return l
	}
	w.eventually("the account is broken", func() bool { l := lane(); return l.Fault != nil && l.InFlight == 0 })
	tried := len(c.order())
	if tried > 8 {
		t.Errorf("%d of 20 were tried before it was left alone", tried)
	}
	// What happens elsewhere meanwhile takes longer than trying again would.
	a := w.send(smsTo("+33612345734", message.Service))
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	if n := len(c.order()); n != tried {
		t.Errorf("%d were tried while it should be left alone", n-tried)
	}
	w.sandbox.Advance(time.Minute)
	w.eventually("one is tried", func() bool { return len(c.order()) > tried && lane().InFlight == 0 })
	if n := len(c.order()); n != tried+1 {
		t.Errorf("%d were tried at once after a minute", n-tried)
	}
	c.mu.Lock()
	c.broken, c.came = nil, nil
	c.mu.Unlock()
	w.eventually("all go", func() bool {
		w.sandbox.Advance(time.Minute) // from whenever the last failure was stored
		return len(c.order()) == 20 && lane().Fault == nil
	})
}

// TestOneSegmentIsNotTheMessage: of a long text whose link broke half way, the
// receipt of the one segment that arrived does not make it delivered.
func TestOneSegmentIsNotTheMessage(t *testing.T) {
	w := newWorld(t)
	r := &engine.Request{
		To: engine.Recipient{Phone: magic("48")}, Purpose: message.Utility, // SMS: every other segment breaks the link
		Content: message.Content{Text: strings.Repeat("Your boarding pass and more of it. ", 12)}, Route: []engine.RouteStep{{Channel: message.SMS}},
	}
	a := w.send(r)
	v := w.until(a.ID, "a segment's receipt is joined", func(d *message.Delivery) bool {
		return len(d.Steps[0].Attempts) > 0 && d.Steps[0].Attempts[0].Inferred
	})
	if d := v.Delivery; d.State.Ended() || d.Steps[0].State.Success() {
		t.Fatalf("message %v, step %v with one segment of %d", d.State, d.Steps[0].State, d.Steps[0].Segments)
	}
	w.sandbox.Advance(25 * time.Hour)
	v = w.until(a.ID, "given up", func(d *message.Delivery) bool { return d.State.Ended() })
	if v.Delivery.State != message.Failed && v.Delivery.State != message.Unconfirmed {
		t.Errorf("ended %v (%s)", v.Delivery.State, v.Delivery.Reason)
	}
}

// TestTornTextIsNotDelivered: one segment was refused and the others arrived.
func TestTornTextIsNotDelivered(t *testing.T) {
	w := newWorld(t)
	r := &engine.Request{
		To: engine.Recipient{Phone: magic("11")}, Purpose: message.Marketing, // SMS: every other segment is refused
		Content: message.Content{Text: strings.Repeat("Spring sale and more of it. ", 15)}, Route: []engine.RouteStep{{Channel: message.SMS}},
	}
	a := w.send(r)
	v := w.until(a.ID, "a segment's receipt is joined", func(d *message.Delivery) bool {
		return len(d.Steps[0].Attempts) > 0 && len(d.Steps[0].Attempts[0].Parts) > 0 && d.Steps[0].Attempts[0].Parts[0].State != 0
	})
	if d := v.Delivery; d.Steps[0].State.Success() {
		t.Fatalf("message %v, step %v with one segment of %d", d.State, d.Steps[0].State, d.Steps[0].Segments)
	}
}
