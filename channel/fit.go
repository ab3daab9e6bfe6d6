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

// ability gives what the channel can do with one kind of button.
func (f *fitter) ability(t message.ActionType) Ability {
	switch t {
	case message.Reply:
		return f.caps.Replies
	case message.URL:
		return f.caps.Links
	}
	return f.caps.Dial
}

// actions keeps the buttons the channel shows together and turns the others
// into lines of text.
func (f *fitter) actions() {
	if len(f.c.Actions) == 0 {
		return
	}
	counts := map[message.ActionType]int{}
	for _, a := range f.c.Actions {
		counts[a.Type]++
	}
	// Where kinds do not mix, answers matter more than links.
	keep := func(t message.ActionType) bool {
		a := f.ability(t)
		if a.Level != Full || a.Max > 0 && counts[t] > a.Max {
			return false
		}
		return f.caps.Mixed || len(counts) == 1 || t == message.Reply ||
			t == message.URL && (counts[message.Reply] == 0 || f.caps.Replies.Level != Full)
	}
	replies := counts[message.Reply]
	if replies > 0 && f.caps.Replies.Level == Full && f.caps.Replies.Max > 0 && replies > f.caps.Replies.Max &&
		f.caps.List.Level == Full && replies <= f.caps.List.Max && f.c.List == nil {
		f.repliesToList()
	}
	var kept []message.Action
	for _, a := range f.c.Actions {
		if keep(a.Type) {
			kept = append(kept, a)
			continue
		}
		f.actionToText(a)
	}
	f.c.Actions = kept
	for i := range f.c.Actions {
		f.shorten(&f.c.Actions[i].Title, f.ability(f.c.Actions[i].Type).Title, "actions["+strconv.Itoa(i)+"].title")
	}
}

func (f *fitter) repliesToList() {
	button := f.opt.More
	if button == "" {
		button = "…"
	}
	var rows []message.Row
	var rest []message.Action
	for _, a := range f.c.Actions {
		if a.Type == message.Reply {
			rows = append(rows, message.Row{Payload: payload(a.Payload, a.Title), Title: a.Title})
		} else {
			rest = append(rest, a)
		}
	}
	f.c.Actions = rest
	f.c.List = &message.List{Button: button, Sections: []message.Section{{Rows: rows}}}
	f.change("actions", Partial, "too many buttons: they became a list")
}

// actionToText says in words what a button would do.
func (f *fitter) actionToText(a message.Action) {
	switch a.Type {
	case message.Reply:
		f.choice(a.Title, payload(a.Payload, a.Title))
		f.note("actions", "reply buttons became numbered choices")
	case message.URL:
		f.below = append(f.below, join(": ", a.Title, a.URL))
		f.note("actions", "link buttons became links in the text")
	case message.Dial:
		f.below = append(f.below, join(": ", a.Title, a.Phone))
		f.note("actions", "call buttons became numbers in the text")
	default:
		f.change("actions", Dropped, "a button of an unknown kind is left out")
	}
}

// note records a partial change once.
func (f *fitter) note(field, detail string) {
	for _, c := range f.out.Changes {
		if c.Field == field && c.Detail == detail {
			return
		}
	}
	f.change(field, Partial, detail)
}

// choice adds a numbered line whose number comes back as payload.
func (f *fitter) choice(title, payload string) {
	if len(f.out.Choices) == 0 && f.opt.Prompt != "" {
		f.below = append(f.below, f.opt.Prompt)
	}
	key := strconv.Itoa(len(f.out.Choices) + 1)
	f.out.Choices = append(f.out.Choices, Choice{Key: key, Title: title, Payload: payload})
	f.below = append(f.below, key+". "+title)
}

func payload(payload, title string) string {
	if payload == "" {
		return title
	}
	return payload
}

func (f *fitter) list() {
	l := f.c.List
	if l == nil {
		return
	}
	rows := 0
	for _, s := range l.Sections {
		rows += len(s.Rows)
	}
	a := f.caps.List
	if a.Level == Full && rows > 0 && (a.Max == 0 || rows <= a.Max) && len(f.c.Actions) == 0 {
		f.fitList(l)
		return
	}
	f.c.List = nil
	for _, s := range l.Sections {
		if s.Title != "" {
			f.below = append(f.below, s.Title)
		}
		for _, r := range s.Rows {
			f.choice(join(" - ", r.Title, r.Description), payload(r.Payload, r.Title))
			f.out.Choices[len(f.out.Choices)-1].Title = r.Title
		}
	}
	f.note("list", "the list became numbered choices")
}

// fitList copies a list with titles cut to what is shown.
func (f *fitter) fitList(l *message.List) {
	a := f.caps.List
	out := &message.List{Button: l.Button}
	if out.Button == "" {
		out.Button = "…"
	}
	f.shorten(&out.Button, min(a.Title, 20), "list.button")
	for i, s := range l.Sections {
		if len(s.Rows) == 0 {
			continue
		}
		at := "list.sections[" + strconv.Itoa(i) + "]"
		section := message.Section{Title: s.Title, Rows: append([]message.Row(nil), s.Rows...)}
		if section.Title == "" && len(l.Sections) > 1 {
			section.Title = strconv.Itoa(i + 1) // several sections need titles
		}
		f.shorten(&section.Title, a.Title, at+".title")
		for j := range section.Rows {
			r := &section.Rows[j]
			r.Payload = payload(r.Payload, r.Title)
			row := at + ".rows[" + strconv.Itoa(j) + "]"
			f.shorten(&r.Title, a.Title, row+".title")
			f.shorten(&r.Description, a.Detail, row+".description")
		}
		out.Sections = append(out.Sections, section)
	}
	f.c.List = out
}

// shorten cuts a label to what the channel shows of it anyway.
func (f *fitter) shorten(s *string, limit int, field string) {
	if limit <= 0 || utf8.RuneCountInString(*s) <= limit {
		return
	}
	runes := []rune(*s)
	*s = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	f.change(field, Partial, "shortened to "+strconv.Itoa(limit)+" characters")
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

func (f *fitter) location() {
	l := f.c.Location
	if l == nil {
		return
	}
	alone := f.c.Text == "" && len(f.c.Actions) == 0 && f.c.List == nil && f.c.Request == "" && len(f.c.Media) == 0 && len(f.c.Cards) == 0 && len(f.below) == 0
	if f.caps.Location.Level == Full && alone {
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
	alone := f.c.Text == "" && len(f.c.Actions) == 0 && f.c.List == nil && f.c.Request == "" && len(f.c.Media) == 0 && len(f.below) == 0
	if f.caps.Cards.Level == Full && alone && (f.caps.Cards.Max == 0 || len(f.c.Cards) <= f.caps.Cards.Max) {
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
