package engine_test

import (
	"errors"
	"testing"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
)

// heard waits for what a person wrote on a channel and gives its id.
func (w *world) heard(text string, on message.Channel) (id message.MessageID) {
	w.t.Helper()
	w.eventually("the message is stored", func() bool {
		list, err := w.engine.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 50})
		must(w.t, err)
		for _, v := range list {
			if v.Content != nil && v.Content.Text == text && v.Message.Channel == on {
				id = v.Message.ID
				return true
			}
		}
		return false
	})
	return id
}

// A person sees blue ticks on all they wrote, and typing until the answer.
func TestMarkRead(t *testing.T) {
	w := newWorld(t)
	const to = "33612345697"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	_, err := w.sandbox.WhatsApp.Write(wa.Inbound{From: to, Text: "Where is my gate?"})
	must(t, err)
	id := w.heard("Where is my gate?", message.WhatsApp)
	must(t, w.engine.MarkRead(w.ctx, w.ws, id, false))
	for _, it := range w.sandbox.Handsets.Inbox(to) {
		if it.Outgoing && !it.Seen {
			t.Errorf("not seen: %q", it.Text)
		}
	}
	if w.sandbox.Handsets.Typing(to, wa.DefaultNumber) {
		t.Error("typing is shown, nobody asked")
	}
	must(t, w.engine.MarkRead(w.ctx, w.ws, id, true))
	if !w.sandbox.Handsets.Typing(to, wa.DefaultNumber) {
		t.Error("no typing is shown")
	}
	a := w.send(&engine.Request{To: engine.Recipient{Phone: "+" + to}, Purpose: message.Service, Content: message.Content{Text: "K42"}, ReplyTo: id, Route: []engine.RouteStep{{Channel: message.WhatsApp}}})
	w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if w.sandbox.Handsets.Typing(to, wa.DefaultNumber) {
		t.Error("typing is shown although the answer came")
	}
}

// What cannot be marked is refused in words a client can act on, and a
// provider that fails is told as such.
func TestNotMarkedRead(t *testing.T) {
	w := newWorld(t)
	const to = "33612345698"
	trouble := fault.Number("27", 0) // server error, always
	sent := w.send(smsTo("+"+to, message.Utility))
	_, err := w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: "Bonjour"})
	must(t, err)
	sms := w.heard("Bonjour", message.SMS)
	_, err = w.sandbox.WhatsApp.Write(wa.Inbound{From: trouble, Text: "Trouble"})
	must(t, err)
	failing := w.heard("Trouble", message.WhatsApp)
	other, err := w.rooms.Create(w.ctx, "other")
	must(t, err)
	if err := w.engine.MarkRead(w.ctx, other.ID, failing, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant: %v", err)
	}
	if err := w.engine.MarkRead(w.ctx, w.ws, message.MessageID{9}, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no message: %v", err)
	}
	for name, c := range map[string]struct {
		id   message.MessageID
		code string
	}{
		"our own":  {sent.ID, engine.CodeInvalid},
		"an SMS":   {sms, engine.CodeNoRead},
		"a failed": {failing, engine.CodeProvider},
	} {
		var r *engine.Refusal
		if err := w.engine.MarkRead(w.ctx, w.ws, c.id, true); !errors.As(err, &r) || r.Code != c.code || r.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if box := w.sandbox.Handsets.Inbox(trouble); box[0].Seen {
		t.Error("a failed call showed blue ticks")
	}
}
