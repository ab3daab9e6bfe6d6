package channel

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parley-messaging/parley/message"
)

// ability gives what the channel can do with one kind of button.
func (f *fitter) ability(t message.ActionType) Ability { return f.caps.ability(t) }

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
	apart := f.repliesApart()
	// Where kinds do not mix, answers matter more than links.
	keep := func(t message.ActionType) bool {
		a := f.ability(t)
		if a.Level != Full || a.Max > 0 && counts[t] > a.Max || t == message.Reply && !apart {
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

// repliesApart reports whether the channel can tell the reply buttons apart:
// payloads and titles, as far as they are shown, are different and not too
// long. A payload must come back as it was, so it is never shortened.
func (f *fitter) repliesApart() bool {
	a := f.caps.Replies
	payloads, titles := map[string]bool{}, map[string]bool{}
	for _, b := range f.c.Actions {
		if b.Type != message.Reply {
			continue
		}
		id, title := payload(b.Payload, b.Title), []rune(b.Title)
		if a.Title > 0 && len(title) > a.Title {
			title = title[:a.Title-1]
		}
		if a.Payload > 0 && (utf8.RuneCountInString(id) > a.Payload || payloads[id] || titles[string(title)]) {
			return false
		}
		payloads[id], titles[string(title)] = true, true
	}
	return true
}

// rowsApart is repliesApart for a list, whose titles may be alike.
func (f *fitter) rowsApart(l *message.List) bool {
	payloads := map[string]bool{}
	for _, s := range l.Sections {
		for _, r := range s.Rows {
			id := payload(r.Payload, r.Title)
			if limit := f.caps.List.Payload; limit > 0 && (utf8.RuneCountInString(id) > limit || payloads[id]) {
				return false
			}
			payloads[id] = true
		}
	}
	return true
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
	if a.Level == Full && rows > 0 && (a.Max == 0 || rows <= a.Max) && len(f.c.Actions) == 0 && f.rowsApart(l) {
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
