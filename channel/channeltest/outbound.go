package channeltest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

func (h *Harness) config(t *testing.T) {
	if err := h.Type.Check(h.Type.Example); err != nil {
		t.Errorf("the example is refused: %v", err)
	}
	for field, config := range h.Bad {
		err := h.Type.Check(config)
		var wrong *channel.ConfigError
		if !errors.As(err, &wrong) {
			t.Errorf("bad %s: want a *channel.ConfigError, got %v", field, err)
			continue
		}
		if wrong.Field != field || wrong.Problem == "" || wrong.Remedy == "" {
			t.Errorf("bad %s: names %q, problem %q, remedy %q", field, wrong.Field, wrong.Problem, wrong.Remedy)
		}
		for _, secret := range h.Secrets {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("bad %s: the error repeats a secret", field)
			}
		}
		if _, err := h.Type.Open(config, channel.Env{Now: time.Now}); err == nil {
			t.Errorf("bad %s: Open takes what Check refuses", field)
		}
	}
}

func (h *Harness) accept(t *testing.T) {
	s := h.start(t)
	a, err := s.send(t.Context(), h.message(0))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Parts) == 0 || a.Parts[0] == "" {
		t.Errorf("accepted without a provider id: %+v", a)
	}
	if n := s.twin.Taken(); n != len(a.Parts) {
		t.Errorf("the provider took %d messages for %d parts", n, len(a.Parts))
	}
}

// A piece is one kind of content and the level the channel claims for it.
type piece struct {
	name    string
	content message.Content
	level   channel.Level
}

// pieces gives every kind of content, none of it too large for any channel
// that shows it.
func pieces(caps channel.Capabilities) []piece {
	reply := []message.Action{{Type: message.Reply, Title: "Yes", Payload: "y"}, {Type: message.Reply, Title: "No", Payload: "n"}}
	list := []piece{
		{"text", message.Content{Text: secretText}, caps.Text.Level},
		{"replies", message.Content{Text: secretText, Actions: reply}, caps.Replies.Level},
		{"link", message.Content{Text: secretText, Actions: []message.Action{{Type: message.URL, Title: "Open", URL: "https://example.com/a"}}}, caps.Links.Level},
		{"dial", message.Content{Text: secretText, Actions: []message.Action{{Type: message.Dial, Title: "Call", Phone: "+33199000000"}}}, caps.Dial.Level},
		{"list", message.Content{Text: secretText, List: &message.List{Button: "Choose", Sections: []message.Section{{Title: "All", Rows: []message.Row{{Payload: "1", Title: "One", Description: "first"}, {Payload: "2", Title: "Two"}}}}}}, caps.List.Level},
		{"location", message.Content{Location: &message.Location{Latitude: 48.5, Longitude: 2.25, Name: "There"}}, caps.Location.Level},
		{"contact", message.Content{Cards: []message.Card{{Name: "Ada Lovelace", First: "Ada", Phones: []message.CardValue{{Value: "+33199000000"}}}}}, caps.Cards.Level},
		{"reaction", message.Content{Reaction: &message.Reaction{Target: "wamid.target", Emoji: "👍"}}, caps.Reaction.Level},
		{"request", message.Content{Text: secretText, Request: "location"}, caps.Request.Level},
	}
	for _, m := range [...]message.MediaType{message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker} {
		list = append(list, piece{string(m), message.Content{Media: []message.Media{{Type: m, URL: "https://example.com/" + string(m)}}}, caps.Media[m].Level})
	}
	framed := piece{"framed", message.Content{Header: "Title", Text: secretText, Footer: "Bye", Actions: reply}, channel.Partial}
	if caps.Header.Level == channel.Full && caps.Footer.Level == channel.Full && caps.Replies.Level == channel.Full {
		framed.level = channel.Full
	}
	return append(list, framed)
}

func (h *Harness) contents(t *testing.T) {
	s := h.start(t)
	for i, p := range pieces(h.Type.Caps) {
		before, err := json.Marshal(p.content)
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.Type.Render(&p.content, nil)
		if err != nil {
			t.Errorf("%s: render: %v", p.name, err)
			continue
		}
		if after, _ := json.Marshal(p.content); string(after) != string(before) {
			t.Errorf("%s: Render changed its input", p.name)
		}
		again, _ := h.Type.Render(&p.content, nil)
		if !reflect.DeepEqual(r, again) {
			t.Errorf("%s: Render is not pure", p.name)
		}
		if p.level == channel.Full && len(r.Changes) > 0 {
			t.Errorf("%s is said to be shown in full, yet: %v", p.name, r.Changes)
		}
		if p.level != channel.Full && len(r.Changes) == 0 {
			t.Errorf("%s is not said to be shown in full, yet nothing changed", p.name)
		}
		if r.Segments < 1 || r.Text == "" {
			t.Errorf("%s: rendered as %d segments, text %q", p.name, r.Segments, r.Text)
		}
		h.choices(t, &p, &r)
		m := h.message(byte(i))
		m.Content = r.Content
		if a, err := s.send(t.Context(), m); err != nil || len(a.Parts) == 0 {
			t.Errorf("%s: rendered content is refused: %v", p.name, err)
		}
	}
}

// choices checks that no answer is lost: each reply comes back as a button, a
// row or a numbered choice.
func (h *Harness) choices(t *testing.T, p *piece, r *channel.Rendering) {
	t.Helper()
	want := map[string]bool{}
	for _, a := range p.content.Actions {
		if a.Type == message.Reply {
			want[a.Payload] = true
		}
	}
	got := map[string]bool{}
	for _, a := range r.Content.Actions {
		got[a.Payload] = true
	}
	for _, c := range r.Choices {
		got[c.Payload] = true
		if !strings.Contains(r.Content.Text, c.Key) || !strings.Contains(r.Content.Text, c.Title) {
			t.Errorf("%s: the choice %s is not in the text %q", p.name, c.Key, r.Content.Text)
		}
	}
	for _, l := range [...]*message.List{p.content.List, r.Content.List} {
		if l == nil {
			continue
		}
		for _, section := range l.Sections {
			for _, row := range section.Rows {
				if l == p.content.List {
					want[row.Payload] = true
				}
				if l == r.Content.List {
					got[row.Payload] = true
				}
			}
		}
	}
	for payload := range want {
		if !got[payload] {
			t.Errorf("%s: the answer %q was lost", p.name, payload)
		}
	}
}

// outcomes holds law 3: what is certain is said to be, and nothing else is.
func (h *Harness) outcomes(t *testing.T) {
	for _, c := range [...]struct {
		order   Order
		kind    message.FaultKind
		certain bool
	}{
		{Refuse, message.Refused, true},
		{Throttle, message.Throttled, true},
		{Unauthorized, message.Misconfigured, true},
		{Busy, message.Transient, true},
		{Broken, message.Transient, false},
		{Cut, message.Transient, false},
		{Hang, message.Transient, false},
	} { // Drop and the moments between stand in crash.go
		t.Run(string(c.order), func(t *testing.T) {
			s := h.start(t)
			if !s.order(c.order) {
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if c.order == Hang {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 250*time.Millisecond)
			}
			defer cancel()
			a, err := s.send(ctx, h.message(0))
			if err == nil {
				t.Fatalf("accepted as %v", a.Parts)
			}
			f := s.fault(err)
			if f.Kind != c.kind || f.Certain != c.certain {
				t.Errorf("got %v, certain %v; want %v, certain %v (%v)", f.Kind, f.Certain, c.kind, c.certain, f)
			}
			if took := s.twin.Taken() > 0; took == c.certain {
				t.Errorf("the twin took the message: %v, yet certain is %v", took, c.certain)
			}
		})
	}
	t.Run("recovers", func(t *testing.T) {
		s := h.start(t)
		if !s.order(Refuse) {
			return
		}
		if _, err := s.send(t.Context(), h.message(0)); err == nil {
			t.Fatal("accepted")
		}
		s.order(Accept)
		if _, err := s.send(t.Context(), h.message(1)); err != nil {
			t.Errorf("after a refusal: %v", err)
		}
	})
}

func (h *Harness) nobody(t *testing.T) {
	s := h.open(t, nil, h.Nobody(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := s.send(ctx, h.message(0))
	if err == nil {
		t.Fatal("accepted by nobody")
	}
	if f := s.fault(err); f.Kind != message.Transient || !f.Certain {
		t.Errorf("got %v, certain %v; want transient and certain", f.Kind, f.Certain)
	}
}

func (h *Harness) cancelled(t *testing.T) {
	s := h.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.send(ctx, h.message(0))
	if err == nil {
		t.Fatal("accepted with an ended context")
	}
	if f := s.fault(err); !f.Certain {
		t.Errorf("nothing can have left, yet: %v", f)
	}
	if n := s.twin.Taken(); n != 0 {
		t.Errorf("the twin took %d messages", n)
	}
}

func (h *Harness) close(t *testing.T) {
	s := h.start(t)
	if _, err := s.send(t.Context(), h.message(0)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, err := s.send(t.Context(), h.message(1))
	if err == nil {
		t.Fatal("accepted after Close")
	}
	if f := s.fault(err); f.Kind != message.Transient || !f.Certain {
		t.Errorf("after Close: %v, certain %v; want transient and certain", f.Kind, f.Certain)
	}
}

func (h *Harness) many(t *testing.T) {
	const n = 64
	s := h.start(t)
	type answer struct {
		a   message.Accepted
		err error
	}
	answers := make(chan answer, n)
	for i := range n {
		m := h.message(byte(i))
		m.Content.Text = "message " + strconv.Itoa(i)
		go func() {
			a, err := s.send(t.Context(), m)
			answers <- answer{a, err}
		}()
	}
	seen := map[string]bool{}
	for range n {
		got := <-answers
		if got.err != nil {
			t.Errorf("%v", got.err)
			continue
		}
		for _, id := range got.a.Parts {
			if seen[id] {
				t.Errorf("two messages have one id")
			}
			seen[id] = true
		}
	}
	if taken := s.twin.Taken(); taken != n {
		t.Errorf("the twin took %d of %d", taken, n)
	}
}
