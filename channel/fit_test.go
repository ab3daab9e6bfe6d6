package channel_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// plain is a channel of texts only, like SMS.
var plain = channel.Capabilities{Text: channel.Ability{Level: channel.Full, Max: 1000}, Marks: channel.Dropped}

func TestFitToPlainText(t *testing.T) {
	for _, c := range []struct {
		name    string
		content message.Content
		opt     channel.FitOptions
		text    string
		choices []channel.Choice
	}{
		{
			"buttons",
			message.Content{Header: "AF1234", Text: "Ready?", Footer: "Air Parley", Actions: []message.Action{
				{Type: message.Reply, Title: "Yes", Payload: "y"}, {Type: message.URL, Title: "Card", URL: "https://x/1"}, {Type: message.Reply, Title: "No"}, {Type: message.Dial, Title: "Call us", Phone: "+33123456789"},
			}},
			channel.FitOptions{Prompt: "Reply with a number:"},
			"AF1234\nReady?\nReply with a number:\n1. Yes\nCard: https://x/1\n2. No\nCall us: +33123456789\nAir Parley",
			[]channel.Choice{{Key: "1", Title: "Yes", Payload: "y"}, {Key: "2", Title: "No", Payload: "No"}},
		},
		{
			"list",
			message.Content{Text: "Which?", List: &message.List{Button: "Choose", Sections: []message.Section{{Title: "Seats", Rows: []message.Row{{Payload: "a", Title: "12A", Description: "window"}, {Payload: "b", Title: "12B"}}}}}},
			channel.FitOptions{},
			"Which?\nSeats\n1. 12A - window\n2. 12B",
			[]channel.Choice{{Key: "1", Title: "12A", Payload: "a"}, {Key: "2", Title: "12B", Payload: "b"}},
		},
		{
			"media",
			message.Content{Text: "Your card", Media: []message.Media{{Type: message.Document, URL: "https://x/a.pdf", Filename: "AF1234.pdf", Caption: "Print it"}}},
			channel.FitOptions{},
			"Your card\nPrint it\nAF1234.pdf: https://x/a.pdf", nil,
		},
		{
			"own links",
			message.Content{Media: []message.Media{{Type: message.Image, ID: message.MediaID{1}}}},
			channel.FitOptions{Link: func(m *message.Media) string { return "https://p/" + string(m.Type) }},
			"https://p/image", nil,
		},
		{
			"location",
			message.Content{Text: "Here", Location: &message.Location{Latitude: 48.5, Longitude: -2.25, Name: "Gate", Address: "CDG"}},
			channel.FitOptions{},
			"Here\nGate, CDG\nhttps://maps.google.com/?q=48.5,-2.25", nil,
		},
		{
			"card",
			message.Content{Cards: []message.Card{{Name: "Ada", Company: "AE", Phones: []message.CardValue{{Value: "+44 20"}}, Emails: []message.CardValue{{Value: "a@x"}}}}},
			channel.FitOptions{},
			"Ada, AE +44 20 a@x", nil,
		},
		{"reaction", message.Content{Reaction: &message.Reaction{Target: "x", Emoji: "👍"}}, channel.FitOptions{}, "👍", nil},
		{"marks", message.Content{Text: "*Hi* _you_, 2*3*4 and snake_case_name https://x/_a_/b ```x``` ~no~."}, channel.FitOptions{}, "Hi you, 2*3*4 and snake_case_name https://x/_a_/b x no.", nil},
	} {
		r := channel.Fit(&c.content, plain, c.opt)
		if r.Content.Text != c.text || r.Text != c.text {
			t.Errorf("%s: got %q, preview %q", c.name, r.Content.Text, r.Text)
		}
		if diff := cmp.Diff(c.choices, r.Choices); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if len(r.Changes) == 0 {
			t.Errorf("%s: nothing is told", c.name)
		}
	}
}

// Where each attachment is a message of its own, the text stands under the
// first that takes it, and buttons come last, below what may stand above them.
func TestSeries(t *testing.T) {
	caps := channel.Capabilities{
		Text: channel.Ability{Level: channel.Full, Max: 100}, MediaMax: 1, Series: 4,
		Replies: channel.Ability{Level: channel.Full, Max: 3, Text: 50, Media: []message.MediaType{message.Image}},
		List:    channel.Ability{Level: channel.Full, Max: 10, Text: 50},
		Media: map[message.MediaType]channel.MediaAbility{
			message.Image: {Level: channel.Full, Caption: 20}, message.Document: {Level: channel.Full, Caption: 20}, message.Audio: {Level: channel.Full},
		},
	}
	file := func(kind message.MediaType, caption string) message.Media {
		return message.Media{Type: kind, URL: "https://x/" + string(kind), Caption: caption}
	}
	long, reply := strings.Repeat("x", 60), []message.Action{{Type: message.Reply, Title: "Yes"}}
	for name, c := range map[string]struct {
		content message.Content
		want    string
	}{
		"one":              {message.Content{Text: "hi", Media: []message.Media{file("image", "")}}, "image:hi"},
		"two":              {message.Content{Text: "hi", Media: []message.Media{file("document", ""), file("image", "b")}}, "document:hi | image b"},
		"own captions":     {message.Content{Text: "hi", Media: []message.Media{file("image", "a"), file("image", "b")}}, "hi | image a | image b"},
		"a long text":      {message.Content{Text: long, Media: []message.Media{file("image", "")}}, long + " | image"},
		"no words":         {message.Content{Media: []message.Media{file("audio", ""), file("image", "")}}, "audio | image"},
		"audio":            {message.Content{Text: "hi", Media: []message.Media{file("audio", "")}}, "hi | audio"},
		"a caption moved":  {message.Content{Media: []message.Media{file("audio", "hear")}}, "hear | audio"},
		"buttons":          {message.Content{Text: "hi", Actions: reply, Media: []message.Media{file("document", "d"), file("image", "i"), file("image", "")}}, "document d | image | image:i+hi [Yes]"},
		"a list":           {message.Content{Text: "hi", List: &message.List{Button: "b", Sections: []message.Section{{Rows: []message.Row{{Title: "r"}}}}}, Media: []message.Media{file("image", "i")}}, "image i | hi [list]"},
		"buttons too long": {message.Content{Text: long, Actions: reply, Media: []message.Media{file("image", "")}}, long + "+1. Yes | image"},
		"too many":         {message.Content{Text: "hi", Media: []message.Media{file("image", ""), file("image", ""), file("image", ""), file("image", ""), file("image", "")}}, "image:hi+https://x/image | image | image | image"},
	} {
		r := channel.Fit(&c.content, caps, channel.FitOptions{})
		var got []string
		for _, m := range channel.Series(&r.Content, &caps) {
			s := strings.ReplaceAll(m.Text, "\n", "+")
			if len(m.Media) > 0 {
				if s != "" {
					s = ":" + s
				}
				s = strings.TrimSpace(string(m.Media[0].Type) + " " + m.Media[0].Caption + s)
				s = strings.ReplaceAll(s, " :", ":")
			}
			if len(m.Actions) > 0 {
				s += " [Yes]"
			}
			if m.List != nil {
				s += " [list]"
			}
			got = append(got, s)
		}
		if all := strings.Join(got, " | "); all != c.want || r.Segments != len(got) {
			t.Errorf("%s: %q in %d, want %q", name, all, r.Segments, c.want)
		}
	}
}

func TestTooLongIsToldNotCut(t *testing.T) {
	c := message.Content{Text: strings.Repeat("é", 1001)}
	r := channel.Fit(&c, plain, channel.FitOptions{})
	if r.Content.Text != c.Text || len(r.Changes) != 1 || r.Changes[0].Level != channel.No {
		t.Errorf("%v", r.Changes)
	}
}

func TestNoLinkIsTold(t *testing.T) {
	c := message.Content{Text: "x", Media: []message.Media{{Type: message.Image, Provider: "77"}}}
	r := channel.Fit(&c, plain, channel.FitOptions{})
	if len(r.Changes) != 1 || r.Changes[0].Level != channel.Dropped {
		t.Errorf("%v", r.Changes)
	}
}

func drawCaps(t *rapid.T) channel.Capabilities {
	level := rapid.SampledFrom([]channel.Level{channel.Full, channel.Partial, channel.No})
	kinds := []message.MediaType{message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker}
	ability := func(name string) channel.Ability {
		return channel.Ability{
			Level: level.Draw(t, name), Max: rapid.IntRange(0, 5).Draw(t, name+" max"), Title: rapid.SampledFrom([]int{0, 5, 20}).Draw(t, name+" title"),
			Text: rapid.SampledFrom([]int{0, 40}).Draw(t, name+" text"), Media: rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 3).Draw(t, name+" media"),
		}
	}
	caps := channel.Capabilities{
		Text: channel.Ability{Level: channel.Full}, Header: ability("header"), Footer: ability("footer"), Replies: ability("replies"), Links: ability("links"), Dial: ability("dial"),
		List: ability("list"), Location: ability("location"), Cards: ability("cards"), Reaction: ability("reaction"), Request: ability("request"),
		Series: rapid.IntRange(0, 5).Draw(t, "series"), Mixed: rapid.Bool().Draw(t, "mixed"), MediaMax: rapid.IntRange(0, 2).Draw(t, "media max"), Media: map[message.MediaType]channel.MediaAbility{},
	}
	caps.Header.Max, caps.Footer.Max = rapid.SampledFrom([]int{0, 8}).Draw(t, "header chars"), rapid.SampledFrom([]int{0, 8}).Draw(t, "footer chars")
	for _, k := range kinds {
		caps.Media[k] = channel.MediaAbility{Level: level.Draw(t, string(k)), Caption: rapid.SampledFrom([]int{0, 30, 1000}).Draw(t, "caption")}
	}
	return caps
}

// drawContent gives content whose every piece has a word of its own.
func drawContent(t *rapid.T) (message.Content, []string) {
	var words []string
	n := 0
	word := func(kind string) string {
		n++
		w := fmt.Sprintf("%s%dq", kind, n)
		words = append(words, w)
		return w
	}
	maybe := rapid.Bool()
	var c message.Content
	if maybe.Draw(t, "text") {
		c.Text = word("t")
	}
	if maybe.Draw(t, "header") {
		c.Header = word("h")
	}
	if maybe.Draw(t, "footer") {
		c.Footer = word("f")
	}
	for range rapid.IntRange(0, 3).Draw(t, "media") {
		c.Media = append(c.Media, message.Media{Type: rapid.SampledFrom([]message.MediaType{message.Image, message.Audio, message.Document, message.Sticker}).Draw(t, "type"), URL: "https://x/" + word("u"), Caption: word("c")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "actions") {
		a := message.Action{Type: rapid.SampledFrom([]message.ActionType{message.Reply, message.URL, message.Dial}).Draw(t, "action")}
		switch a.Type {
		case message.Reply:
			a.Payload = word("p")
			a.Title = "yes"
		case message.URL:
			a.URL = "https://x/" + word("l")
			a.Title = "open"
		case message.Dial:
			a.Phone, a.Title = word("d"), "call"
		}
		c.Actions = append(c.Actions, a)
	}
	if maybe.Draw(t, "list") {
		l := &message.List{Button: "more"}
		for range rapid.IntRange(1, 2).Draw(t, "sections") {
			s := message.Section{}
			for range rapid.IntRange(1, 3).Draw(t, "rows") {
				s.Rows = append(s.Rows, message.Row{Title: "row", Payload: word("r")})
			}
			l.Sections = append(l.Sections, s)
		}
		c.List = l
	}
	if maybe.Draw(t, "location") {
		c.Location = &message.Location{Latitude: 1.5, Longitude: 2, Name: word("n")}
	}
	if maybe.Draw(t, "card") {
		c.Cards = []message.Card{{Name: word("k"), Phones: []message.CardValue{{Value: word("m")}}}}
	}
	if maybe.Draw(t, "request") {
		c.Request = "location"
	}
	return c, words
}

// Whatever the channel can do: nothing said is lost, nothing kept is more than
// the channel shows, the input stays as it was and the result fits already.
func TestFitKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		caps := drawCaps(t)
		c, words := drawContent(t)
		before := marshal(t, c)
		r := channel.Fit(&c, caps, channel.FitOptions{})
		if marshal(t, c) != before {
			t.Fatal("the input was changed")
		}
		parts := channel.Series(&r.Content, &caps)
		if r.Segments != len(parts) || len(parts) > max(caps.Series, 1) {
			t.Fatalf("%d messages, said %d, allowed %d", len(parts), r.Segments, caps.Series)
		}
		everything := marshal(t, parts) + marshal(t, r.Choices)
		for _, w := range words {
			if !strings.Contains(everything, w) {
				t.Fatalf("%q was lost in %s\nof %s", w, everything, before)
			}
		}
		for i := range parts {
			checkFits(t, &parts[i], &caps)
			if len(parts) > 1 && len(parts[i].Media) > 1 {
				t.Fatalf("several attachments in one of several messages: %s", marshal(t, parts))
			}
		}
		again := channel.Fit(&r.Content, caps, channel.FitOptions{})
		if marshal(t, again.Content) != marshal(t, r.Content) {
			t.Fatalf("fitting twice differs:\n%s\n%s\n%v", marshal(t, r.Content), marshal(t, again.Content), again.Changes)
		}
	})
}

func marshal(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func checkFits(t *rapid.T, c *message.Content, caps *channel.Capabilities) {
	counts := map[message.ActionType]int{}
	for _, a := range c.Actions {
		counts[a.Type]++
	}
	for kind, ability := range map[message.ActionType]channel.Ability{message.Reply: caps.Replies, message.URL: caps.Links, message.Dial: caps.Dial} {
		if n := counts[kind]; n > 0 && (ability.Level != channel.Full || ability.Max > 0 && n > ability.Max) {
			t.Fatalf("%d buttons of kind %s", n, kind)
		}
	}
	if !caps.Mixed && len(counts) > 1 {
		t.Fatalf("mixed buttons: %v", counts)
	}
	if c.List != nil && (caps.List.Level != channel.Full || len(c.Actions) > 0) {
		t.Fatal("a list that is not shown")
	}
	if len(c.Media) > max(1, caps.MediaMax) {
		t.Fatalf("%d attachments", len(c.Media))
	}
	for _, m := range c.Media {
		if caps.Media[m.Type].Level != channel.Full || m.Caption != "" && utf8.RuneCountInString(m.Caption) > caps.Media[m.Type].Caption {
			t.Fatalf("an attachment that is not shown: %+v", m)
		}
	}
	if c.Location != nil && caps.Location.Level != channel.Full || len(c.Cards) > 0 && caps.Cards.Level != channel.Full || c.Request != "" && caps.Request.Level != channel.Full {
		t.Fatal("content that is not shown")
	}
}

func TestParameterOrderAndFill(t *testing.T) {
	order, named := channel.ParameterOrder(&message.TemplateUse{Parameters: map[string]string{"10": "", "2": "", "1": ""}})
	if fmt.Sprint(order, named) != "[1 2 10] false" {
		t.Error(order, named)
	}
	order, named = channel.ParameterOrder(&message.TemplateUse{Parameters: map[string]string{"name": "", "flight": ""}})
	if fmt.Sprint(order, named) != "[flight name] true" {
		t.Error(order, named)
	}
	text, missing := channel.Fill("Hi {{1}}, {{ name }} {{x}} {{", map[string]string{"1": "{{name}}", "name": "Ada"})
	if text != "Hi {{name}}, Ada {{x}} {{" || fmt.Sprint(missing) != "[x]" {
		t.Errorf("%q %v", text, missing)
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	type config struct {
		Token channel.Secret `json:"token"`
	}
	var c config
	if err := channel.DecodeConfig(json.RawMessage(`{"//":"why","//token":"x","token":"hunter2"}`), &c); err != nil || c.Token.Reveal() != "hunter2" {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x", c, c, c.Token, c.Token, c.Token), string(b)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
			t.Errorf("shown: %s", s)
		}
	}
	for _, raw := range []string{`{"tokn":"hunter2"}`, `{"token":["hunter2"]}`, `"hunter2"`, `{`} {
		if err := channel.DecodeConfig(json.RawMessage(raw), &c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestBareTextIsFittedAlike: the short way gives what the long way does.
func TestBareTextIsFittedAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		caps := channel.Capabilities{
			Text:  channel.Ability{Level: rapid.SampledFrom([]channel.Level{channel.Full, channel.Partial, channel.No}).Draw(t, "level"), Max: rapid.IntRange(0, 20).Draw(t, "max")},
			Marks: rapid.SampledFrom([]channel.Level{"", channel.Dropped}).Draw(t, "marks"),
		}
		c := message.Content{Text: rapid.StringOf(rapid.RuneFrom([]rune("ab é*_~`\n😀"))).Draw(t, "text"), Preview: rapid.Bool().Draw(t, "preview")}
		short := channel.Fit(&c, caps, channel.FitOptions{})
		long := channel.FitAll(&c, caps, channel.FitOptions{})
		if diff := cmp.Diff(long, short); diff != "" {
			t.Fatal(diff)
		}
	})
}
