package engine_test

import (
	"strings"
	"testing"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
)

// wrote makes a person write and gives what was stored.
func (w *world) wrote(from, text string) *engine.View {
	w.t.Helper()
	_, err := w.sandbox.WhatsApp.Write(wa.Inbound{From: from, To: wa.DefaultNumber, Text: text})
	must(w.t, err)
	v, err := w.engine.View(w.ctx, w.ws, w.heard(text, message.WhatsApp))
	must(w.t, err)
	return v
}

// addresses waits until a contact has so many addresses.
func (w *world) addresses(who message.ContactID, n int) {
	w.t.Helper()
	w.eventually("the new address is stored", func() bool {
		w.people.Forget(w.ws, who)
		p, err := w.people.ByID(w.ctx, w.ws, who)
		must(w.t, err)
		return len(p.Identities) == n
	})
}

func (w *world) toContact(who message.ContactID) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Contact: who}, Purpose: message.Utility, Template: &message.TemplateUse{Name: "hello_world", Language: "en_US"},
		Route: []engine.RouteStep{{Channel: message.WhatsApp}},
	}
}

// A person who changes their number stays the same contact: what is sent next
// goes to the new number, and what they write from it is theirs.
func TestChangedNumber(t *testing.T) {
	w := newWorld(t)
	const was, is = "33612345640", "33612345641"
	first := w.wrote(was, "From my old number")
	who := first.Message.Contact
	before, err := w.people.ByID(w.ctx, w.ws, who)
	must(t, err)
	_, err = w.sandbox.WhatsApp.Write(wa.Inbound{From: was, To: wa.DefaultNumber, Type: "user_changed_number", NewNumber: is})
	must(t, err)
	w.addresses(who, len(before.Identities)+1)
	a := w.send(w.toContact(who))
	w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if len(w.shown(is)) != 1 || len(w.shown(was)) != 0 {
		t.Errorf("the new phone shows %d, the old %d", len(w.shown(is)), len(w.shown(was)))
	}
	if v := w.wrote(is, "From my new number"); v.Message.Contact != who {
		t.Error("the new number is another contact")
	}
	list, err := w.engine.List(w.ctx, w.ws, store.Filter{Contact: who, Limit: 10})
	must(t, err)
	if len(list) != 3 {
		t.Errorf("%d messages in the thread", len(list))
	}
}

// A person who hides their number is reached by their business-scoped id, also
// when named by it in the API, and keeps their contact when the id changes.
func TestHiddenNumber(t *testing.T) {
	w := newWorld(t)
	const was, is = "33612345642", "33612345643"
	hidden := true
	for _, number := range []string{was, is} {
		_, err := w.sandbox.Handsets.Put(number, handset.Change{HideNumber: &hidden})
		must(t, err)
	}
	first := w.wrote(was, "You do not know my number")
	who, old := first.Message.Contact, first.To
	if strings.Contains(old, was) || !strings.Contains(old, ".") {
		t.Fatalf("known by %q", old)
	}
	if v := w.wrote(was, "Me again"); v.Message.Contact != who {
		t.Error("the second message is of another contact")
	}
	a := w.send(w.toContact(who))
	v := w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if len(w.shown(was)) != 1 || v.To != "" && v.To != old {
		t.Errorf("the phone shows %d, sent to %q", len(w.shown(was)), v.To)
	}
	named := w.toContact(message.ContactID{})
	named.To = engine.Recipient{Channel: message.WhatsApp, Sender: w.waSender, ID: old}
	a = w.send(named)
	w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if a.Contact != who || len(w.shown(was)) != 2 {
		t.Errorf("named by the id: contact %v, the phone shows %d", a.Contact == who, len(w.shown(was)))
	}

	// A code needs a phone number: refused for sure, and told.
	code := w.toContact(who)
	code.Purpose, code.Template = message.Authentication, &message.TemplateUse{Name: "one_time_code", Language: "en_US", Parameters: map[string]string{"1": "123456"}}
	a = w.send(code)
	v = w.until(a.ID, "failed", func(d *message.Delivery) bool { return d.State == message.Failed })
	if c := v.Delivery.Steps[0].Attempts[0].Code; c != "131062" {
		t.Errorf("failed with %s", c)
	}

	// The id changes with the number.
	second := w.wrote(is, "Whose is this?")
	fresh := second.To
	if second.Message.Contact == who {
		t.Fatal("two people are one")
	}
	p, err := w.people.ByID(w.ctx, w.ws, who)
	must(t, err)
	rotated := strings.TrimSuffix(fresh, fresh[len(fresh)-1:]) // nobody's so far
	w.tell(`{"object":"whatsapp_business_account","entry":[{"id":"` + wa.DefaultWABA + `","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",` +
		`"metadata":{"display_phone_number":"15550783881","phone_number_id":"` + wa.DefaultNumber + `"},` +
		`"messages":[{"from_user_id":"` + old + `","id":"wamid.rotated","timestamp":"1763841600","type":"system","system":{"type":"user_changed_user_id","previous_user_id":"` + old + `","user_id":"` + rotated + `"}}]}}]}]}`)
	w.addresses(who, len(p.Identities)+1)
	a = w.send(w.toContact(who))
	w.until(a.ID, "on its way", func(d *message.Delivery) bool {
		return d.Steps[0].Last() != nil && d.Steps[0].Last().Outcome == message.Taken
	})
	if len(w.shown(was)) != 2 {
		t.Error("it went to the old id")
	}
}
