package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
)

// What a person writes to the short code stands in the same thread as what was
// said on WhatsApp: one contact, found by the number.
func TestTextToTheShortCodeThreads(t *testing.T) {
	w := newWorld(t)
	const person = "33612345731"
	a := w.send(boardingPass("+"+person, time.Minute))
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State >= message.Delivered })
	_, err := w.sandbox.WhatsApp.Write(wa.Inbound{From: person, Text: "By WhatsApp"})
	must(t, err)
	_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: person, To: "38123", Text: strings.Repeat("By SMS, in parts. ", 20)})
	must(t, err)
	thread := map[message.Channel]message.SenderID{}
	w.eventually("both stand in the contact's thread", func() bool {
		list, err := w.store.List(w.ctx, w.ws, store.Filter{Contact: a.Contact, Direction: store.MO, Limit: 10})
		must(t, err)
		clear(thread)
		for _, m := range list {
			thread[m.Channel] = m.Sender
		}
		return len(list) == 2
	})
	if thread[message.SMS] != w.sms || thread[message.WhatsApp] != w.waSender {
		t.Errorf("they came to %v", thread)
	}
}

// What is no text is received, kept and told as such: in the message and in the
// event, and never as a text or as an opt-out word.
func TestWhatIsNoTextIsTold(t *testing.T) {
	w := newWorld(t)
	const person = "33612345732"
	// A push that would read STOP if it were a text.
	_, err := w.sandbox.SMSC.Write(smsc.Inbound{From: person, To: "38123", Octets: append([]byte{6, 5, 4, 0x0B, 0x84, 0x23, 0xF0}, "STOP"...), Header: true})
	must(t, err)
	data := w.data("message.received")
	if !strings.Contains(data, `"unsupported"`) || strings.Contains(data, "opt") {
		t.Errorf("the event says %s", data)
	}
	list, err := w.store.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 10})
	must(t, err)
	v, err := w.engine.View(w.ctx, w.ws, list[0].ID)
	must(t, err)
	const raw = `{"data_coding":0,"octets":"53544f50","header":"0605040b8423f0","kind":"wap_push","port":2948}`
	if v.Inbound == nil || v.Inbound.Type != message.InUnsupported || v.Inbound.Content.Text != "" || string(v.Inbound.Raw) != raw {
		t.Errorf("%+v %s", v.Inbound, v.Inbound.Raw)
	}
	if a := w.send(smsTo("+"+person, message.Marketing)); a.State == 0 {
		t.Error("the push was taken for an opt-out")
	}
	// The same word as a flash text is one.
	_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: person, To: "38123", Octets: []byte("STOP"), Coding: 0x10})
	must(t, err)
	w.data("contact.opted_out")
}
