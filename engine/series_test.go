package engine_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// album asks for a text with three attachments, which WhatsApp shows as three
// messages.
func (w *world) album(to string, purpose message.Purpose, next ...engine.RouteStep) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Phone: "+" + to}, Purpose: purpose,
		Content: message.Content{Text: "Your trip", Media: []message.Media{
			{Type: message.Image, ID: w.picture()}, {Type: message.Document, ID: w.upload(message.ContactID{})}, {Type: message.Image, URL: "https://example.com/map.png", Caption: "The gate"},
		}},
		Route: append([]engine.RouteStep{{Channel: message.WhatsApp}}, next...),
	}
}

// faultOn makes the n-th message to a number (from 0) go wrong.
func (w *world) faultOn(to string, n int, kind fault.Kind, code int) {
	for range n {
		w.sandbox.Faults.Place(fault.Order{To: to, Channel: fault.WhatsApp, Times: 1})
	}
	w.sandbox.Faults.Place(fault.Order{To: to, Channel: fault.WhatsApp, Times: 1, Fault: fault.Fault{Kind: kind, Code: code}})
}

// shown gives what a handset shows on WhatsApp.
func (w *world) shown(number string) (list []handset.Item) {
	for _, it := range w.sandbox.Handsets.Inbox(number) {
		if it.Channel == fault.WhatsApp && !it.Outgoing {
			list = append(list, it)
		}
	}
	return list
}

// Several attachments arrive as several messages in their order, and are one
// message with one outcome to everybody else.
func TestSeveralAttachments(t *testing.T) {
	w := newWorld(t)
	const to = "33612345690"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	r := w.album(to, message.Utility)
	preview, err := w.engine.Preview(w.ctx, w.ws, r)
	must(t, err)
	if preview.Plan[0].Segments != 3 {
		t.Errorf("the preview tells of %d messages", preview.Plan[0].Segments)
	}
	a := w.send(r)
	v := w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	s := &v.Delivery.Steps[0]
	if len(s.Attempts) != 1 || len(s.Attempts[0].Parts) != 3 || s.Segments != 3 || len(v.Refs[0][0]) != 3 || v.Refs[0][0][2] == "" {
		t.Errorf("the story: %+v, ids %v", s, v.Refs)
	}
	list := w.shown(to)
	if len(list) != 3 || list[0].Type != "image" || list[0].Text != "Your trip" || list[1].Type != "document" || list[2].Text != "The gate" {
		t.Errorf("the phone shows %+v", list)
	}
}

// An answer lost on the last part: its receipt, which names the part, settles
// the whole, and nothing is sent twice.
func TestLastPartUnknown(t *testing.T) {
	w := newWorld(t)
	const to = "33612345691"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	w.faultOn(to, 2, fault.Cut, 0)
	a := w.send(w.album(to, message.Utility))
	v := w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if at := v.Delivery.Steps[0].Attempts; len(at) != 1 || len(v.Refs[0][0]) != 3 || v.Refs[0][0][2] == "" {
		t.Errorf("attempts %+v, ids %v", at, v.Refs)
	}
	if n := len(w.shown(to)); n != 3 {
		t.Errorf("the phone shows %d messages", n)
	}
}

// Receipts that come before the answer to their part are joined all the same.
func TestReceiptsBeforeAnswers(t *testing.T) {
	w := newWorld(t)
	const to = "33612345695"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	w.sandbox.Faults.Place(fault.Order{To: to, Fault: fault.Fault{Kind: fault.ReceiptFirst}})
	a := w.send(w.album(to, message.Utility))
	v := w.until(a.ID, "read", func(d *message.Delivery) bool {
		return d.State == message.Read && len(d.Steps[0].Attempts[0].Parts) == 3
	})
	seen := map[string]bool{}
	for _, ref := range v.Refs[0][0] {
		seen[ref] = true
	}
	if len(seen) != 3 || seen[""] {
		t.Errorf("ids %v", v.Refs[0][0])
	}
}

// An answer lost in the middle: what follows stays here. The receipts of what
// arrived do not make the message delivered, nothing is sent twice, and with
// time the route goes on.
func TestMiddlePartUnknown(t *testing.T) {
	w := newWorld(t)
	const to = "33612345692"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	w.faultOn(to, 1, fault.Cut, 0)
	a := w.send(w.album(to, message.Utility, engine.RouteStep{Channel: message.SMS}))
	v := w.until(a.ID, "two parts heard of", func(d *message.Delivery) bool {
		at := d.Steps[0].Last()
		return at != nil && len(at.Parts) == 3 && at.Parts[0].State == message.ReceiptRead && at.Parts[1].State == message.ReceiptRead
	})
	if s := v.Delivery.Steps[0].State; s != message.StepUnknown || v.Delivery.State == message.Delivered {
		t.Errorf("with a part missing the step is %s", s)
	}
	if n := len(w.shown(to)); n != 2 {
		t.Errorf("the phone shows %d messages", n)
	}
	w.sandbox.Clock.Advance(25 * time.Hour)
	v = w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
	if n := len(w.shown(to)); n != 2 || v.Delivery.Steps[1].State != message.StepDelivered {
		t.Errorf("the phone shows %d messages, the SMS is %s", n, v.Delivery.Steps[1].State)
	}
}

// A part refused in the middle, or failing later, is no message delivered: the
// route goes on, and marketing is not tried again.
func TestMiddlePartFails(t *testing.T) {
	w := newWorld(t)
	const later, never = "33612345693", "33612345694"
	for _, to := range []string{later, never} {
		w.writes(wa.Inbound{From: to, Text: "Hello"})
	}
	w.faultOn(later, 1, fault.Fail, 131053)
	a := w.send(w.album(later, message.Utility, engine.RouteStep{Channel: message.SMS}))
	v := w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
	if s := v.Delivery.Steps; s[0].State != message.StepFailed || s[1].State != message.StepDelivered || s[0].Attempts[0].Code != "131053" {
		t.Errorf("steps %+v", s)
	}
	w.faultOn(never, 1, fault.Reject, 131009)
	a = w.send(w.album(never, message.Marketing))
	v = w.until(a.ID, "unknown", func(d *message.Delivery) bool { return d.Steps[0].State == message.StepUnknown })
	if at := v.Delivery.Steps[0].Attempts; len(at) != 1 || at[0].Code != "131009" {
		t.Errorf("attempts %+v", at)
	}
	w.sandbox.Clock.Advance(49 * time.Hour)
	w.until(a.ID, "failed", func(d *message.Delivery) bool { return d.State == message.Failed })
	if n := len(w.shown(never)); n != 1 {
		t.Errorf("the phone shows %d messages", n)
	}
}

// TestBoardingPassWithCode is the mission's case in full: the code to scan, the
// PDF and the buttons in WhatsApp; a link for each in SMS, which open on any
// phone, are counted, and end.
func TestBoardingPassWithCode(t *testing.T) {
	w := newWorld(t)
	const to = "33612345696"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	r := seatRequest(to, w.upload(message.ContactID{}), time.Second)
	r.Content.Media = append(r.Content.Media, message.Media{Type: message.Image, ID: w.picture(), Caption: "Scan at the gate"})
	a := w.send(r)
	w.until(a.ID, "read in WhatsApp", func(d *message.Delivery) bool { return d.State == message.Read })
	list := w.shown(to)
	if len(list) != 2 || list[0].Type != "image" || list[0].Text != "Scan at the gate" || list[1].Type != "interactive" || !strings.Contains(string(list[1].Content), `"document"`) {
		t.Errorf("the phone shows %+v", list)
	}

	off := false
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
	must(t, err)
	a = w.send(r)
	w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.Steps[1].State == message.StepDelivered })
	text := w.last(to, "sms").Text
	links := regexp.MustCompile(`https://aero\.example(/m/[0-9A-Za-z]{22})`).FindAllStringSubmatch(text, -1)
	if len(links) != 2 || !strings.Contains(text, "Scan at the gate\ncity.png: ") {
		t.Fatalf("SMS says %q", text)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+media.Path+"{token}", w.media.Handler())
	open := func(link []string) (int, string) {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, link[1], nil))
		return answer.Code, answer.Header().Get("Content-Type")
	}
	for i, want := range []string{"application/pdf", "image/png"} {
		if status, is := open(links[i]); status != http.StatusOK || is != want {
			t.Errorf("link %d opens as %d %s", i, status, is)
		}
	}
	if n := len(w.logged(event.MediaOpened)); n != 2 {
		t.Errorf("%d clicks", n)
	}
	w.sandbox.Advance(31 * 24 * time.Hour)
	for i := range links {
		if status, _ := open(links[i]); status != http.StatusGone {
			t.Errorf("a month later link %d answers %d", i, status)
		}
	}
}
