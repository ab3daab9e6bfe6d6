package engine_test

import (
	"bytes"
	"encoding/json"
	"io"
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
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
)

var passPDF = append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("boarding pass AF1234 "), 8000)...)

// upload keeps the brand's boarding pass.
func (w *world) upload(who message.ContactID) message.MediaID {
	w.t.Helper()
	f, err := w.media.Put(w.ctx, w.ws, &media.Upload{Contact: who, MIME: "application/pdf", Name: "AF1234.pdf", Body: bytes.NewReader(passPDF)})
	must(w.t, err)
	return f.ID
}

// writes makes a person write on WhatsApp, which opens the window, and waits
// until it is open.
func (w *world) writes(in wa.Inbound) {
	w.t.Helper()
	_, err := w.sandbox.WhatsApp.Write(in)
	must(w.t, err)
	w.eventually("the window opens", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, &engine.Request{
			To: engine.Recipient{Phone: "+" + in.From}, Purpose: message.Service, Content: message.Content{Text: "x"}, Route: []engine.RouteStep{{Channel: message.WhatsApp}},
		})
		return err == nil
	})
}

// last gives what a handset shows last on a channel.
func (w *world) last(number, channel string) (it handset.Item) {
	for _, one := range w.sandbox.Handsets.Inbox(number) {
		if string(one.Channel) == channel && !one.Outgoing {
			it = one
		}
	}
	return it
}

// logged gives the events of a type.
func (w *world) logged(kind string) (out []*store.LogEvent) {
	w.t.Helper()
	list, _, err := w.store.Read(w.ctx, w.ws, "", 10_000)
	must(w.t, err)
	for _, e := range list {
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

func seatRequest(to string, pass message.MediaID, wait time.Duration) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Phone: "+" + to}, Purpose: message.Utility,
		Content: message.Content{
			Text:    "Your boarding pass for AF1234.",
			Media:   []message.Media{{Type: message.Document, ID: pass}},
			Actions: []message.Action{{Type: message.Reply, Title: "Change seat", Payload: "seat"}, {Type: message.Reply, Title: "Café à bord", Payload: "coffee"}},
		},
		Route: []engine.RouteStep{{Channel: message.WhatsApp, Next: message.Trigger{NotDelivered: wait}}, {Channel: message.SMS}},
	}
}

// TestBoardingPass is the mission's case: the PDF with a button in WhatsApp, a
// link with a number in SMS, and the same payload back from both.
func TestBoardingPass(t *testing.T) {
	w := newWorld(t)
	const to = "33612345682"
	w.writes(wa.Inbound{From: to, Text: "Hello"})
	pass := w.upload(message.ContactID{})

	// Online: the PDF itself, with its buttons.
	a := w.send(seatRequest(to, pass, time.Minute))
	w.until(a.ID, "read in WhatsApp", func(d *message.Delivery) bool { return d.State == message.Read })
	it := w.last(to, "whatsapp")
	var wire struct {
		Interactive struct {
			Header struct{ Document struct{ ID, Filename string } }
			Action struct{ Buttons []any }
		}
	}
	document := &wire.Interactive.Header.Document
	must(t, json.Unmarshal([]byte(it.Content), &wire))
	if document.ID == "" || document.Filename != "AF1234.pdf" || len(wire.Interactive.Action.Buttons) != 2 {
		t.Errorf("WhatsApp showed %s", it.Content)
	}
	w.writes(wa.Inbound{From: to, Type: "button_reply", Payload: "seat", Title: "Change seat"})
	w.answered("", "seat", "Change seat")

	// Sent again, the provider's copy is used again.
	a = w.send(seatRequest(to, pass, time.Minute))
	w.until(a.ID, "read again", func(d *message.Delivery) bool { return d.State == message.Read })
	first := document.ID
	must(t, json.Unmarshal([]byte(w.last(to, "whatsapp").Content), &wire))
	if document.ID != first {
		t.Errorf("uploaded twice: %s, %s", first, document.ID)
	}

	// Internet off: a link and numbers.
	off := false
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
	must(t, err)
	p, err := w.engine.Preview(w.ctx, w.ws, seatRequest(to, pass, time.Second))
	must(t, err)
	a = w.send(seatRequest(to, pass, time.Second))
	w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.Steps[1].State == message.StepDelivered })
	text := w.last(to, "sms").Text
	link := regexp.MustCompile(`AF1234\.pdf: https://aero\.example(/m/[0-9A-Za-z]{22})(\n|$)`).FindStringSubmatch(text)
	if link == nil || !strings.Contains(text, "1. Change seat\n2. Café à bord") {
		t.Fatalf("SMS says %q", text)
	}
	if planned := p.Plan[1].Rendered.Text; len(planned) != len(text) || p.Plan[1].Segments != a.Plan[1].Segments {
		t.Errorf("previewed as %q, sent as %q", planned, text)
	}

	// Opened on the phone: the file, and a click.
	mux := http.NewServeMux()
	mux.Handle("GET "+media.Path+"{token}", w.media.Handler())
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for range 2 {
		resp, err := http.Get(srv.URL + link[1])
		must(t, err)
		got, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != 200 || !bytes.Equal(got, passPDF) || resp.Header.Get("Content-Type") != "application/pdf" || resp.Header.Get("Content-Disposition") != "inline; filename=AF1234.pdf" {
			t.Errorf("opened: %d, %d bytes, %v", resp.StatusCode, len(got), resp.Header)
		}
	}
	clicks := w.logged(event.MediaOpened)
	if len(clicks) != 1 || clicks[0].Message != a.ID || clicks[0].Contact != a.Contact {
		t.Errorf("clicks %+v", clicks)
	}

	// "1" comes back as the button's payload; so does the title.
	for _, one := range [][2]string{{"1.", "seat"}, {" cafe a BORD ", "coffee"}, {"2", "coffee"}} {
		typed, want := one[0], one[1]
		_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: typed})
		must(t, err)
		title := map[string]string{"seat": "Change seat", "coffee": "Café à bord"}[want]
		w.answered(typed, want, title)
	}

	// A month later the link is over.
	w.sandbox.Advance(31 * 24 * time.Hour)
	resp, err := http.Get(srv.URL + link[1])
	must(t, err)
	page, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusGone || !strings.Contains(string(page), "no longer open") {
		t.Errorf("a month later: %d %s", resp.StatusCode, page)
	}
}

// answered waits for an inbound message with a text, its payload and its title.
func (w *world) answered(typed, payload, title string) {
	w.t.Helper()
	w.eventually(payload+" comes back", func() bool {
		list, err := w.engine.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 20})
		must(w.t, err)
		for _, m := range list {
			if in := m.Inbound; in.Content.Text == typed && in.Payload == payload && in.Choice == title && in.Type == message.InReply {
				return true
			}
		}
		return false
	})
}

// TestTypedNumberIsText: a number that answers no choices stays a text.
func TestTypedNumberIsText(t *testing.T) {
	w := newWorld(t)
	const to = "33612345684"
	plain := &engine.Request{To: engine.Recipient{Phone: "+" + to}, Purpose: message.Service, Content: message.Content{Text: "How many bags?"}, Route: []engine.RouteStep{{Channel: message.SMS}}}
	choice := *plain
	choice.Content.Actions = []message.Action{{Type: message.Reply, Title: "Yes", Payload: "y"}}
	for _, c := range []struct {
		said *engine.Request
		want message.InboundType
	}{{nil, message.InText}, {&choice, message.InReply}, {plain, message.InText}} {
		if c.said != nil {
			a := w.send(c.said)
			w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
		}
		before := len(w.logged(event.MessageReceived))
		_, err := w.sandbox.SMSC.Write(smsc.Inbound{From: to, To: "38123", Text: "1"})
		must(t, err)
		w.eventually("it is received", func() bool { return len(w.logged(event.MessageReceived)) == before+1 })
		list, err := w.engine.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 1})
		must(t, err)
		if got := list[0].Inbound; got.Type != c.want || (got.Payload != "") != (c.want == message.InReply) || got.Content.Text != "1" {
			t.Errorf("read as %+v, want %s", got, c.want)
		}
	}
}

// TestMediaFromPerson: what a person sends is fetched at once, and is theirs.
func TestMediaFromPerson(t *testing.T) {
	w := newWorld(t)
	const to = "33612345685"
	picture := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{1, 2, 3}, 50_000)...)
	w.writes(wa.Inbound{From: to, Type: "image", Text: "My bag", MIME: "image/png", Data: picture})
	w.eventually("it is here", func() bool { return len(w.logged(event.MediaReady)) == 1 })
	list, err := w.engine.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 1})
	must(t, err)
	m := list[0].Content.Media[0]
	if e := w.logged(event.MediaReady)[0]; e.Message != list[0].Message.ID || e.Contact != list[0].Message.Contact || !strings.Contains(string(e.Data), m.ID.String()) {
		t.Errorf("event %+v %s", e, e.Data)
	}
	f, content, err := w.media.Open(w.ctx, w.ws, m.ID)
	must(t, err)
	got, err := io.ReadAll(content)
	must(t, err)
	if !bytes.Equal(got, picture) || f.MIME != "image/png" || f.Contact != list[0].Message.Contact || f.Message != list[0].Message.ID {
		t.Errorf("%d bytes of %+v", len(got), f)
	}
	// It is this person's: another is not sent it.
	_, err = w.engine.Accept(w.ctx, w.ws, seatRequest("33612345686", m.ID, time.Minute), engine.Idempotency{})
	if r, ok := err.(*engine.Refusal); !ok || r.Code != engine.CodeMedia || r.Field != "content.media[0].id" {
		t.Errorf("to another: %v", err)
	}
	_, err = w.engine.Accept(w.ctx, w.ws, seatRequest(to, message.MediaID{9}, time.Minute), engine.Idempotency{})
	if r, ok := err.(*engine.Refusal); !ok || r.Code != engine.CodeMedia {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestFileDeletedMeanwhile: a file that is gone when its message goes out ends
// the step, and is told.
func TestFileDeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	pass := w.upload(message.ContactID{})
	r := seatRequest("33612345687", pass, 0)
	r.Route = []engine.RouteStep{{Channel: message.SMS}}
	r.SendAt = w.sandbox.Clock.Now().Add(time.Hour)
	a := w.send(r)
	must(t, w.media.Delete(w.ctx, w.ws, pass))
	w.sandbox.Advance(2 * time.Hour)
	w.engine.Kick()
	v := w.until(a.ID, "failed", func(d *message.Delivery) bool { return d.State.Ended() })
	if at := v.Delivery.Steps[0].Last(); v.Delivery.State != message.Failed || at == nil || at.Code != "media_gone" {
		t.Errorf("ended %v: %+v", v.Delivery.State, v.Delivery.Steps[0])
	}
}
