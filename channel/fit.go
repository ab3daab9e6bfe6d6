package channel

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parley-messaging/parley/message"
)

// FitOptions say how to adapt what a channel cannot show. The zero value
// works: attachments become their own URL, and no words are added.
type FitOptions struct {
	// Link gives the public address of an attachment, or "" when it has none.
	// Nil: the attachment's URL.
	Link func(*message.Media) string
	// Prompt is put before numbered choices, in the reader's language; "" puts
	// nothing there.
	Prompt string
	// More is the button of a list made from too many reply buttons; "" = "…".
	More string
}

// Fit adapts content to what a channel can show, keeping its meaning: buttons
// become numbered choices, attachments links, titles and footers lines of the
// text. Every adaptation is told in Changes. It is pure and does not touch c;
// the result fits caps, except that a text longer than the channel allows is
// told as [No] and not cut.
func Fit(c *message.Content, caps Capabilities, opt FitOptions) Rendering {
	if text, ok := bare(c, &caps); ok {
		return Rendering{Content: message.Content{Text: text, Preview: c.Preview}, Text: text, Segments: 1}
	}
	return fit(c, caps, opt)
}

// bare is the way of most messages: a text that the channel takes as it is, and
// nothing beside it.
func bare(c *message.Content, caps *Capabilities) (text string, ok bool) {
	if len(c.Media)+len(c.Actions)+len(c.Cards) > 0 || c.List != nil || c.Location != nil || c.Reaction != nil ||
		c.Header != "" || c.Footer != "" || c.Request != "" || caps.Text.Level != Full && caps.Text.Level != Partial {
		return "", false
	}
	return c.Text, caps.Text.Max > 0 && len(c.Text) <= caps.Text.Max && (caps.Marks != Dropped || Unmark(c.Text) == c.Text)
}

func fit(c *message.Content, caps Capabilities, opt FitOptions) Rendering {
	f := fitter{caps: &caps, opt: &opt, out: Rendering{Content: *c, Segments: 1}}
	f.c = &f.out.Content
	f.c.Media = append([]message.Media(nil), c.Media...)
	f.c.Actions = append([]message.Action(nil), c.Actions...)
	if c.Reaction != nil && f.reaction() {
		return f.finish()
	}
	f.marks()
	f.actions()
	f.list()
	f.request()
	f.location()
	f.cards()
	f.frame()
	f.media()
	f.fold()
	f.limits()
	f.series()
	return f.finish()
}

// A fitter holds the work of one Fit.
type fitter struct {
	caps *Capabilities
	opt  *FitOptions
	out  Rendering
	c    *message.Content // &out.Content

	above []string // lines to put before the text
	below []string // lines to put after it
}

func (f *fitter) change(field string, level Level, detail string) {
	f.out.Changes = append(f.out.Changes, Change{Field: field, Level: level, Detail: detail})
}

// reaction keeps a reaction alone; false when the channel cannot show it and
// the rest must carry the message.
func (f *fitter) reaction() bool {
	if f.caps.Reaction.Level == Full {
		if len(f.c.Media) > 0 || f.c.Text != "" || len(f.c.Actions) > 0 || f.c.List != nil || f.c.Location != nil || len(f.c.Cards) > 0 {
			f.change("content", Dropped, "a reaction goes alone: the rest is left out")
		}
		*f.c = message.Content{Reaction: f.c.Reaction}
		return true
	}
	if f.c.Reaction.Emoji != "" {
		f.above = append(f.above, f.c.Reaction.Emoji)
		f.change("reaction", Partial, "the emoji is sent as text")
	} else {
		f.change("reaction", Dropped, "a reaction cannot be taken back here")
	}
	f.c.Reaction = nil
	return false
}

func (f *fitter) marks() {
	if f.caps.Marks != Dropped {
		return
	}
	if plain := Unmark(f.c.Text); plain != f.c.Text {
		f.c.Text = plain
		f.change("text", Partial, "style marks are taken out")
	}
}

func (f *fitter) request() {
	if f.c.Request == "" || f.caps.Request.Level == Full {
		return
	}
	f.c.Request = ""
	if f.opt.Prompt == "" && f.c.Text != "" {
		f.change("request", Partial, "the question stands in the text only: there is no button for it")
		return
	}
	f.change("request", Dropped, "this channel cannot ask for a location")
}

// wordless reports whether nothing else is to be said: a location or a card
// goes alone.
func (f *fitter) wordless() bool {
	c := f.c
	return c.Text == "" && c.Header == "" && c.Footer == "" && len(c.Actions) == 0 && c.List == nil && c.Request == "" &&
		len(c.Media) == 0 && len(f.above) == 0 && len(f.below) == 0
}

func (f *fitter) location() {
	l := f.c.Location
	if l == nil {
		return
	}
	if f.caps.Location.Level == Full && len(f.c.Cards) == 0 && f.wordless() {
		return
	}
	f.c.Location = nil
	f.below = append(f.below, join(", ", l.Name, l.Address), mapLink(l))
	f.change("location", Partial, "the location became a map link")
}

// mapLink gives an address that phones open in their map.
func mapLink(l *message.Location) string {
	n := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	return "https://maps.google.com/?q=" + n(l.Latitude) + "," + n(l.Longitude)
}

func (f *fitter) cards() {
	if len(f.c.Cards) == 0 {
		return
	}
	if f.caps.Cards.Level == Full && f.c.Location == nil && f.wordless() && (f.caps.Cards.Max == 0 || len(f.c.Cards) <= f.caps.Cards.Max) {
		return
	}
	for _, c := range f.c.Cards {
		parts := []string{join(", ", c.Name, c.Company)}
		for _, list := range [...][]message.CardValue{c.Phones, c.Emails, c.URLs, c.Addresses} {
			for _, v := range list {
				parts = append(parts, v.Value)
			}
		}
		f.below = append(f.below, join(" ", parts...))
	}
	f.c.Cards = nil
	f.change("contacts", Partial, "address-book entries became text")
}

// frame folds the header and the footer into the text where the channel has
// no place for them.
func (f *fitter) frame() {
	rich := len(f.c.Actions) > 0 || f.c.List != nil || f.c.Request != ""
	if f.c.Header != "" {
		// One thing stands above the buttons: an attachment wins.
		taken := rich && len(f.c.Media) > 0
		if level(f.caps.Header, rich) != Full || taken || over(f.c.Header, f.caps.Header.Max) {
			f.above = append([]string{f.emphasised(f.c.Header)}, f.above...)
			f.c.Header = ""
			f.change("header", Partial, "the header became the first line")
		}
	}
	if f.c.Footer != "" && (level(f.caps.Footer, rich) != Full || over(f.c.Footer, f.caps.Footer.Max)) {
		f.below = append(f.below, f.c.Footer)
		f.c.Footer = ""
		f.change("footer", Partial, "the footer became the last line")
	}
}

func (f *fitter) emphasised(s string) string {
	if f.caps.Marks == Full && !strings.ContainsAny(s, "*\n") {
		return "*" + s + "*"
	}
	return s
}

func level(a Ability, rich bool) Level {
	if !rich && a.Bare != "" {
		return a.Bare
	}
	return a.Level
}

func over(s string, limit int) bool { return limit > 0 && utf8.RuneCountInString(s) > limit }

func (f *fitter) finish() Rendering {
	f.out.Text = f.plain()
	return f.out
}

// plain writes what a person would read, for previews.
func (f *fitter) plain() string {
	c := f.c
	var lines []string
	add := func(s string) {
		if s != "" {
			lines = append(lines, s)
		}
	}
	add(c.Header)
	for i := range c.Media {
		m := &c.Media[i]
		add(join(" ", "["+join(": ", string(m.Type), m.Filename)+"]", m.Caption))
	}
	add(c.Text)
	if c.Location != nil {
		add(join(", ", "[location]", c.Location.Name, c.Location.Address))
	}
	for i := range c.Cards {
		add("[contact] " + c.Cards[i].Name)
	}
	if c.Reaction != nil {
		add(c.Reaction.Emoji)
	}
	for _, a := range c.Actions {
		add("[" + a.Title + "]")
	}
	if c.List != nil {
		add("[" + c.List.Button + "]")
	}
	add(c.Footer)
	return strings.Join(lines, "\n")
}

// join joins the parts that are not empty.
func join(separator string, parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, separator)
}
