package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/journal"
	parley "github.com/parley-messaging/parley/sdk/go"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "24h": 24 * time.Hour, "1d": 24 * time.Hour, "2d12h": 60 * time.Hour, "0s": 0,
	} {
		var s span
		if err := s.UnmarshalText([]byte(text)); err != nil || time.Duration(s) != want {
			t.Errorf("%s: %v %v", text, s, err)
		}
	}
	for _, text := range []string{"-1s", "d", "1.5d", "-1d", "soon", "1d-2h"} {
		if new(span).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, s := range []string{"1d", "90s", "2d12h", "d", "65535d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s span
		if s.UnmarshalText([]byte(text)) == nil && s < 0 {
			t.Errorf("%q is below zero: %s", text, s)
		}
	})
}

func TestPlural(t *testing.T) {
	for want, got := range map[string]string{
		"1 key": plural(1, "key"), "2 keys": plural(2, "key"), "0 entries": plural(0, "entry"), "3 messages": plural(3, "message"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMoney(t *testing.T) {
	for want, got := range map[string]string{
		"0.0798 USD": money(79_800, "USD"), "12.00 EUR": money(12_000_000, "EUR"), "-0.50 EUR": money(-500_000, "EUR"), "0.000001 EUR": money(1, "EUR"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSendRequest(t *testing.T) {
	no := false
	c := sendCmd{To: "+33612345678", Text: "Hi", Purpose: "utility", Template: "boarding_pass/en", Param: map[string]string{"flight": "AF1"}, MaxPrice: "0.15,eur", Reply: []string{"Yes=y", "No"}, Plain: &no}
	for _, step := range []string{"whatsapp:60s", "sms"} {
		var r routeStep
		if err := r.UnmarshalText([]byte(step)); err != nil {
			t.Fatal(err)
		}
		c.Route = append(c.Route, r)
	}
	r, err := c.request()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"to":{"phone":"+33612345678"},"purpose":"utility",` +
		`"content":{"text":"Hi","actions":[{"type":"reply","title":"Yes","payload":"y"},{"type":"reply","title":"No","payload":"No"}],"transliterate":false},` +
		`"template":{"name":"boarding_pass","language":"en","parameters":{"flight":"AF1"}},` +
		`"route":[{"channel":"whatsapp","next_if":{"not_delivered_in":"1m0s"}},{"channel":"sms"}],` +
		`"max_price":{"amount":"0.15","currency":"EUR"}}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	for name, bad := range map[string]sendCmd{
		"template without language": {To: "+1", Template: "x"}, "parameters of nothing": {To: "+1", Text: "x", Param: map[string]string{"a": "b"}},
		"nothing": {To: "+1"}, "nobody": {}, "nobody, in a file": {To: "+1", Text: "x", File: "people.csv"},
	} {
		if err := bad.Run(t.Context()); err == nil || strings.Contains(err.Error(), "API key") && !strings.Contains(name, "file") {
			t.Errorf("%s is taken: %v", name, err)
		}
	}
}

func TestConfront(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var id message.MessageID
	id[15] = 1
	echo := message.Echo{Message: id}.String()
	entry := func(channel, id, ref, fate string) journal.Entry {
		return journal.Entry{Direction: "mt", Time: now, Channel: channel, ID: id, Ref: ref, Fate: fate}
	}
	one := func(purpose, state string, refs ...string) []told {
		return []told{{id: id.String(), purpose: purpose, state: state, at: now, steps: []toldStep{{channel: "sms", refs: refs}}}}
	}
	for name, c := range map[string]struct {
		list            []told
		entries         []journal.Entry
		whole           bool
		problems, notes int
	}{
		"agree":                      {one("utility", "delivered", "a"), []journal.Entry{entry("sms", "a", "", "delivered")}, true, 0, 0},
		"nobody received it":         {one("utility", "delivered", "a"), []journal.Entry{entry("sms", "a", "", "accepted")}, true, 1, 0},
		"marketing twice":            {one("marketing", "delivered", "a", "b"), []journal.Entry{entry("sms", "a", "", "delivered"), entry("sms", "b", "", "read")}, true, 1, 0},
		"marketing on two channels":  {one("marketing", "delivered", "a"), []journal.Entry{entry("sms", "a", "", "delivered"), entry("whatsapp", "w", echo, "read")}, true, 1, 0},
		"utility twice is told":      {one("utility", "delivered", "a", "b"), []journal.Entry{entry("sms", "a", "", "delivered"), entry("sms", "b", "", "read")}, true, 0, 1},
		"unknown to the books":       {nil, []journal.Entry{entry("sms", "x", "", "delivered")}, true, 1, 0},
		"another workspace's":        {nil, []journal.Entry{entry("sms", "x", "", "delivered")}, false, 0, 1},
		"refused is nobody's matter": {nil, []journal.Entry{entry("sms", "", "", "refused:0x08")}, true, 0, 0},
		"older than the journal":     {one("utility", "read", "a"), nil, true, 0, 1},
	} {
		got := confront(c.list, c.entries, 0, c.whole)
		if len(got.Problems) != c.problems || len(got.Notes) != c.notes {
			t.Errorf("%s: problems %v, notes %v", name, got.Problems, got.Notes)
		}
	}
}

func TestWantedTypes(t *testing.T) {
	got, err := wantedTypes([]string{"window.*", "message.read"})
	if err != nil || cmp.Diff([]string{"window.opened", "window.closed", "message.read"}, got) != "" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := wantedTypes([]string{"message.eaten"}); err == nil {
		t.Error("a type that does not exist is taken")
	}
}

func TestSpaceOnDisk(t *testing.T) {
	for free, want := range map[uint64]app.Grade{100 << 20: app.Broken, 2 << 30: app.Warned, 50 << 30: app.Fine} {
		k := &checkup{}
		k.space(free, nil)
		if f := k.findings[0]; f.Grade != want || f.Grade != app.Fine && f.Remedy == "" {
			t.Errorf("%d bytes: %+v", free, f)
		}
	}
	k := &checkup{}
	if k.space(0, errors.New("no")); k.findings[0].Grade != app.Warned {
		t.Errorf("%+v", k.findings)
	}
}

// What is no text, and a text with gaps, show as such in tail.
func TestTailShowsWhatIsNoText(t *testing.T) {
	for data, want := range map[string]string{
		`{"channel":"sms","type":"text","content":{"text":"Hi"}}`:                                             "“Hi”",
		`{"channel":"sms","type":"unsupported","content":{},"raw":{"octets":"00","kind":"mms_notification"}}`: "unsupported mms_notification",
		`{"channel":"sms","type":"text","content":{"text":"a […] b"},"raw":{"parts":3,"missing_parts":[2]}}`:  "1 part missing  “a […] b”",
		`{"channel":"whatsapp","type":"media","content":{},"raw":"an odd provider may say anything"}`:         "media",
		`{"channel":"whatsapp","type":"text","content":{"text":"x"},"raw":{"kind":5}}`:                        "“x”",
	} {
		e := &parley.Event{ID: "ev_1", Type: "message.received", Data: json.RawMessage(data)}
		line := ""
		if err := tellEvent(e, func(one *logEvent) error { line = one.line(false); return nil }); err != nil || !strings.HasSuffix(line, want) {
			t.Errorf("%s: %v %q, want %q", data, err, line, want)
		}
	}
}
