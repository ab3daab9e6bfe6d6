package rules

import "time"

// A Window is a span in which a person's act lets us write freely.
type Window struct {
	Channel  string   `yaml:"channel"`
	Kind     string   `yaml:"kind"`    // customer_service, entry_point, human_agent, private_reply, session, started
	Hours    int      `yaml:"hours"`   // 0: until the person blocks us
	Renewed  bool     `yaml:"renewed"` // each opener starts it anew; else the first one counts
	Openers  []string `yaml:"openers"` // acts of the person: message, reaction, ad_click …
	Inside   []string `yaml:"inside"`  // what may be sent while it is open
	Outside  []string `yaml:"outside"` // what remains allowed once it is closed
	Answered int      `yaml:"answer_within_hours"`
	Origin   `yaml:",inline"`
}

// Duration is how long the window lasts; 0 means without end.
func (w Window) Duration() time.Duration { return time.Duration(w.Hours) * time.Hour }

// AnswerWithin is how soon we must answer for the window to begin at all, and
// it then runs from our answer; 0 where it runs from the person's act.
func (w Window) AnswerWithin() time.Duration { return time.Duration(w.Answered) * time.Hour }

// ClosesAt is when a window opened at t ends; the zero time if it has no end.
func (w Window) ClosesAt(t time.Time) time.Time {
	if w.Hours == 0 {
		return time.Time{}
	}
	return t.Add(w.Duration())
}

// OpenedBy reports whether this act of the person opens the window.
func (w Window) OpenedBy(act string) bool { return has(w.Openers, act) }

func has(list []string, word string) bool {
	for _, s := range list {
		if s == word {
			return true
		}
	}
	return false
}

type margin struct {
	Seconds int `yaml:"seconds"`
	Origin  `yaml:",inline"`
}

func (s *Set) loadWindows() error {
	var file struct {
		Margin  []margin `yaml:"margin"`
		Windows []Window `yaml:"windows"`
	}
	if err := decode("windows.yaml", &file); err != nil {
		return err
	}
	for _, m := range file.Margin {
		if err := m.check("the window margin"); err != nil {
			return err
		}
	}
	for _, w := range file.Windows {
		if err := w.check("window " + w.Channel + " " + w.Kind); err != nil {
			return err
		}
	}
	s.margins = group(file.Margin, func(margin) string { return "" })[""]
	s.windows = group(file.Windows, func(w Window) string { return w.Channel })
	return nil
}

// Window gives a channel's window of that kind, false if it has none.
func (v View) Window(channel, kind string) (Window, bool) {
	if v.set == nil {
		return Window{}, false
	}
	list := v.set.windows[channel]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kind == kind && !list[i].From.After(v.at) {
			return list[i], true
		}
	}
	return Window{}, false
}

// Windows lists a channel's windows in force; none for channels such as SMS
// and RCS, where consent and law decide alone.
func (v View) Windows(channel string) []Window {
	if v.set == nil {
		return nil
	}
	var out []Window
	for _, w := range v.set.windows[channel] {
		if now, ok := v.Window(channel, w.Kind); ok && now.From.Equal(w.From) {
			out = append(out, w)
		}
	}
	return out
}

// FreeFormMargin is how long before a window's end free-form sends stop, so
// that the provider still sees them inside.
func (v View) FreeFormMargin() time.Duration {
	if v.set == nil {
		return 0
	}
	m, _ := latest(v.set.margins, v.at)
	return time.Duration(m.Seconds) * time.Second
}
