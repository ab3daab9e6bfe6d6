package channeltest

import (
	"bytes"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// take gives the events of callbacks, or n events of the link.
func (s *session) take(callbacks []channel.Callback, n int) []message.Event {
	s.t.Helper()
	var events []message.Event
	r, calls := s.c.(channel.Receiver)
	if !calls {
		for range n {
			select {
			case e := <-s.events:
				events = append(events, e)
			case <-time.After(patience):
				s.t.Fatalf("%d of %d events came", len(events), n)
			}
		}
		return events
	}
	for i := range callbacks {
		a, err := r.Verify(&callbacks[i])
		if err != nil || !a.Keep || a.Status < 200 || a.Status > 299 {
			s.t.Fatalf("a good callback is turned away: %+v, %v", a, err)
		}
		got, err := r.Decode(callbacks[i].Body)
		if err != nil {
			s.t.Fatal(err)
		}
		events = append(events, got...)
	}
	return events
}

// receipts sends a message and follows it to the reader.
func (h *Harness) receipts(t *testing.T) {
	s := h.start(t)
	m := h.message(0)
	a, err := s.send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var want []message.ReceiptStatus
	if h.Type.Receipts.Delivered {
		want = append(want, message.ReceiptDelivered)
	}
	if h.Type.Receipts.Read {
		want = append(want, message.ReceiptRead)
	}
	if h.Type.Receipts.Failed {
		want = append(want, message.ReceiptFailed)
	}
	callbacks := s.twin.Receipts(a.Parts[0], m.Echo, want...)
	events := s.take(callbacks, len(want))
	if len(events) != len(want) {
		t.Fatalf("%d events for %d receipts", len(events), len(want))
	}
	for i, e := range events {
		r, ok := e.(*message.Receipt)
		if !ok {
			t.Fatalf("not a receipt: %T", e)
		}
		if r.Status != want[i] || !named(r, a.Parts[0]) {
			t.Errorf("got %v, want %v for the message sent", r.Status, want[i])
		}
		if h.Type.Receipts.Echo && r.Echo != m.Echo {
			t.Errorf("the receipt does not carry our id")
		}
		if r.Status == message.ReceiptFailed && (r.Fault == nil || !r.Fault.Certain) {
			t.Errorf("a failure without a certain fault: %v", r.Fault)
		}
	}
	// The same callback again means the same: deduplication can compare.
	if len(callbacks) > 0 {
		again := s.take(callbacks, len(want))
		if !reflect.DeepEqual(events, again) {
			t.Error("the same callback decodes differently the second time")
		}
	}
}

func named(r *message.Receipt, id string) bool {
	if r.ID == id {
		return true
	}
	for _, alt := range r.Alt {
		if alt == id {
			return true
		}
	}
	return false
}

func (h *Harness) inbound(t *testing.T) {
	s := h.start(t)
	events := s.take(s.twin.Say("Où est ma carte ? \"AF1234\" 👍"), 1)
	if len(events) != 1 {
		t.Fatalf("%d events for one message", len(events))
	}
	in, ok := events[0].(*message.Inbound)
	if !ok {
		t.Fatalf("not an inbound message: %T", events[0])
	}
	if in.Content.Text != "Où est ma carte ? \"AF1234\" 👍" || in.Type != message.InText {
		t.Errorf("got %s %q", in.Type, in.Content.Text)
	}
	if in.From != h.To || in.ID == "" || in.To == "" {
		t.Errorf("an inbound message without its ends: from %v to %q", in.From == h.To, in.To)
	}
}

// callbacks tries what anyone may send to a public address.
func (h *Harness) callbacks(t *testing.T) {
	s := h.start(t)
	r, ok := s.c.(channel.Receiver)
	if !ok {
		t.Log("no callbacks on this channel")
		return
	}
	said := s.twin.Say("hello")
	good := said[0]
	refused := func(name string, c channel.Callback) {
		a, err := r.Verify(&c)
		if a.Keep || a.Status < 400 || a.Status > 499 {
			t.Errorf("%s: answered %d, keep %v", name, a.Status, a.Keep)
		}
		if err == nil {
			t.Errorf("%s: no error tells why", name)
		} else {
			s.told = append(s.told, err.Error())
		}
	}
	changed := good
	changed.Body = append(bytes.Clone(good.Body), ' ')
	refused("changed body", changed)
	bare := good
	bare.Header = http.Header{}
	refused("no signature", bare)
	for name := range good.Header {
		wrong := good
		wrong.Header = good.Header.Clone()
		value := []byte(wrong.Header.Get(name))
		if len(value) < 20 {
			continue // not the signature
		}
		value[len(value)-1] ^= 1
		wrong.Header.Set(name, string(value))
		refused("wrong signature", wrong)
	}
	empty := good
	empty.Body = nil
	refused("empty body", empty)
	refused("strange method", channel.Callback{Method: http.MethodDelete, Header: good.Header, Body: good.Body})

	for _, body := range []string{"", "null", "[]", "{", "<html>", "\x00\xff", `"text"`, "{}"} {
		if events, err := r.Decode([]byte(body)); err == nil && len(events) > 0 {
			t.Errorf("events out of %q", body)
		}
	}
	if s.twin.Batch == nil {
		return
	}
	two := append(said, s.twin.Say("again")...)
	batch := s.twin.Batch(two)
	if events := s.take([]channel.Callback{batch}, 0); len(events) != 2 {
		t.Errorf("a batch of two messages gives %d events", len(events))
	}
}
