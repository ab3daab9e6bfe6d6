package channel

import (
	"strconv"

	"github.com/parley-messaging/parley/message"
)

// Series gives fitted content as the messages a channel that shows one
// attachment in each sends one after another: the text stands under the first
// attachment that takes it, else before all; buttons come last, with the first
// attachment that may stand above them. Content that is one message is given
// back alone. It is pure and does not touch c.
func Series(c *message.Content, caps *Capabilities) []message.Content {
	if caps.Series <= 1 || len(c.Media) == 0 {
		return []message.Content{*c}
	}
	above, allowed, rich := -1, []message.MediaType(nil), true
	switch {
	case c.List != nil:
		allowed = caps.List.Media
	case len(c.Actions) > 0:
		allowed = caps.ability(c.Actions[0].Type).Media
	case c.Request != "":
		allowed = caps.Request.Media
	default:
		rich = false
	}
	alone := func(out []message.Content, except int) []message.Content {
		for i := range c.Media {
			if i != except {
				out = append(out, message.Content{Media: c.Media[i : i+1 : i+1]})
			}
		}
		return out
	}
	if !rich {
		if c.Text == "" || captioned(c, caps) {
			first := *c
			first.Media = c.Media[:1:1]
			return alone([]message.Content{first}, 0)
		}
		first := *c
		first.Media = nil
		return alone([]message.Content{first}, -1)
	}
	for i := range c.Media {
		if contains(allowed, c.Media[i].Type) {
			above = i
			break
		}
	}
	last := *c
	last.Media = nil
	if above >= 0 {
		last.Media = c.Media[above : above+1 : above+1]
	}
	return append(alone(nil, above), last)
}

// captioned reports whether the text may stand under the first attachment.
func captioned(c *message.Content, caps *Capabilities) bool {
	limit := caps.Media[c.Media[0].Type].Caption
	return c.Media[0].Caption == "" && limit > 0 && !over(c.Text, limit)
}

// series counts the messages of what was fitted, and says so when they are
// several.
func (f *fitter) series() {
	if n := len(Series(f.c, f.caps)); n > 1 {
		f.out.Segments = n
		f.change("media", Full, "goes as "+strconv.Itoa(n)+" messages, one after another")
	}
}
