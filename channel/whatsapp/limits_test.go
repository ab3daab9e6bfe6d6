package whatsapp_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// What is over a limit is adapted with a word about it, and the twin, which
// knows Meta's limits by itself, takes what comes of it. Unadapted, it refuses
// it, for sure and for good.
func TestOverTheLimits(t *testing.T) {
	p := start(t, twin.Options{})
	w, err := whatsapp.Open(config(p.http.URL), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	send := func(c message.Content) error {
		_, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: c})
		return err
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	reply := func(title string) message.Action {
		return message.Action{Type: message.Reply, Title: title, Payload: title}
	}
	rows := func(n int, title, detail string) *message.List {
		l := &message.List{Button: "Choisir", Sections: []message.Section{{Title: "A"}}}
		for i := range n {
			l.Sections[0].Rows = append(l.Sections[0].Rows, message.Row{Payload: string(rune('a' + i)), Title: title + string(rune('a'+i)), Description: detail})
		}
		return l
	}
	image := message.Media{Type: message.Image, URL: "https://example.com/a.png", MIME: "image/png"}
	with := func(m message.Media, change func(*message.Media)) []message.Media {
		change(&m)
		return []message.Media{m}
	}
	for name, test := range map[string]struct {
		c     message.Content
		taken bool // by the twin as it is: the limit is ours or not in the call
	}{
		"four buttons":        {c: message.Content{Text: "?", Actions: []message.Action{reply("a"), reply("b"), reply("c"), reply("d")}}},
		"a long button":       {c: message.Content{Text: "?", Actions: []message.Action{reply(long(21))}}},
		"a long header":       {c: message.Content{Text: "?", Header: long(61), Actions: []message.Action{reply("a")}}},
		"a long footer":       {c: message.Content{Text: "?", Footer: long(61), Actions: []message.Action{reply("a")}}},
		"a long body":         {c: message.Content{Text: long(1025), Actions: []message.Action{reply("a")}}},
		"a long payload":      {c: message.Content{Text: "?", Actions: []message.Action{{Type: message.Reply, Title: "a", Payload: long(257)}}}},
		"the same title":      {c: message.Content{Text: "?", Actions: []message.Action{reply("a"), reply("a")}}},
		"a long row payload":  {c: message.Content{Text: "?", List: &message.List{Button: "b", Sections: []message.Section{{Rows: []message.Row{{Payload: long(201), Title: "a"}}}}}}},
		"the same row twice":  {c: message.Content{Text: "?", List: &message.List{Button: "b", Sections: []message.Section{{Rows: []message.Row{{Payload: "1", Title: "a"}, {Payload: "1", Title: "b"}}}}}}},
		"alike when cut":      {c: message.Content{Text: "?", Actions: []message.Action{reply(long(20) + "a"), reply(long(20) + "b")}}},
		"eleven rows":         {c: message.Content{Text: "?", List: rows(11, "t", "")}},
		"a long row":          {c: message.Content{Text: "?", List: rows(2, long(24), "")}},
		"a long description":  {c: message.Content{Text: "?", List: rows(2, "t", long(73))}},
		"a long caption":      {c: message.Content{Media: with(image, func(m *message.Media) { m.Caption = long(1025) })}},
		"a wrong type":        {c: message.Content{Media: with(image, func(m *message.Media) { m.MIME = "image/tiff" })}, taken: true},
		"a large image":       {c: message.Content{Media: with(image, func(m *message.Media) { m.Size = 6 << 20 })}, taken: true},
		"two links":           {c: message.Content{Text: "?", Actions: []message.Action{{Type: message.URL, Title: "a", URL: "https://a.example"}, {Type: message.URL, Title: "b", URL: "https://b.example"}}}},
		"a link and a button": {c: message.Content{Text: "?", Actions: []message.Action{{Type: message.URL, Title: "a", URL: "https://a.example"}, reply("b")}}},
	} {
		t.Run(name, func(t *testing.T) {
			var f *message.Fault
			if err := send(test.c); test.taken != (err == nil) || err != nil && (!errors.As(err, &f) || !f.Certain || f.Kind != message.Refused) {
				t.Errorf("as it is: %v", err)
			}
			r, err := whatsapp.Render(&test.c, nil)
			if err != nil || len(r.Changes) == 0 {
				t.Fatalf("nothing is said of it: %v", err)
			}
			if err := send(r.Content); err != nil {
				t.Errorf("adapted to %+v: %v", r.Content, err)
			}
		})
	}
	// A text too long for any form is told, not cut.
	r, err := whatsapp.Render(&message.Content{Text: long(4097)}, nil)
	if err != nil || len(r.Changes) == 0 || r.Changes[0].Level != channel.No {
		t.Errorf("%+v %v", r.Changes, err)
	}
	var f *message.Fault
	if err := send(message.Content{Text: long(4097)}); !errors.As(err, &f) || !f.Certain || f.Kind != message.Refused {
		t.Error(err)
	}
}

// Meta refuses line breaks, tabs and runs of spaces in parameters; they go as
// what a person reads the same.
func TestParametersWithNewlines(t *testing.T) {
	p := start(t, twin.Options{})
	w, err := whatsapp.Open(config(p.http.URL), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for _, value := range []string{"Ada\nLovelace", "Ada\r\nLovelace", "Ada\tLovelace", "Ada" + strings.Repeat(" ", 9) + "Lovelace", "Ada\n\n\n\n\n\n\nLovelace"} {
		use := &message.TemplateUse{
			Name: "order_update", Language: "en_US", Category: message.Utility, Body: "Hi {{1}}, your order {{2}} is on its way.",
			Order: []string{"1", "2"}, Parameters: map[string]string{"1": value, "2": "A-42"},
		}
		r, err := whatsapp.Render(&message.Content{}, use)
		if err != nil || len(r.Changes) != 1 || strings.ContainsAny(r.Text, "\r\n\t") {
			t.Errorf("%q: %+v %v", value, r, err)
		}
		if _, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Template: use, Purpose: message.Utility}); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A file of the wrong type or size never becomes an id.
func TestUploadsRefused(t *testing.T) {
	p := start(t, twin.Options{})
	w, err := whatsapp.Open(config(p.http.URL), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for name, file := range map[string]struct {
		mime string
		size int
	}{
		"no type":       {"", 10},
		"a type broken": {"image/png\r\nX-Evil: 1", 10},
		"a large image": {"image/png", 5<<20 + 1},
		"a large video": {"video/mp4", 16<<20 + 1},
		"a large audio": {"audio/ogg", 16<<20 + 1},
		"sticker":       {"image/webp", 500<<10 + 1},
	} {
		id, err := w.Upload(t.Context(), file.mime, "a.bin", bytes.NewReader(make([]byte, file.size)))
		var f *message.Fault
		if !errors.As(err, &f) || !f.Certain || f.Unmapped {
			t.Errorf("%s: %q %v", name, id, err)
		}
	}
}
