package whatsapp

import (
	"strings"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// renderTemplate writes what a person would read of a filled template.
func renderTemplate(t *message.TemplateUse, registered *shape) (channel.Rendering, error) {
	r := channel.Rendering{Segments: 1}
	flatten := func(at string, given map[string]string) map[string]string {
		values := make(map[string]string, len(given))
		for name, v := range given {
			values[name] = flat(v)
			if values[name] != v {
				r.Changes = append(r.Changes, channel.Change{Field: at + name, Level: channel.Partial, Detail: "line breaks and long runs of spaces became single spaces: WhatsApp refuses them"})
			}
		}
		return values
	}
	var lines []string
	add := func(s string) {
		if s != "" {
			lines = append(lines, s)
		}
	}
	switch {
	case registered.headerText != "":
		head, _ := channel.Fill(registered.headerText, map[string]string{registered.headerName: flat(t.HeaderText)})
		add(head)
	case t.HeaderText != "":
		add(flat(t.HeaderText))
	default:
		add(shown(t.Header, t.Product, t.Place))
	}
	add(registered.offer)
	text, missing := channel.Fill(t.Body, flatten("template.parameters.", t.Parameters))
	add(text)
	add(registered.footer)
	for _, b := range registered.buttons {
		add(labelled(b.title, b.kind))
	}
	for i := range t.Cards {
		c, known := &t.Cards[i], registered.at(i)
		body, left := channel.Fill(known.body, flatten("template.cards.parameters.", c.Parameters))
		missing = append(missing, left...)
		parts := []string{shown(c.Header, c.Product, nil), body}
		for _, b := range known.buttons {
			parts = append(parts, labelled(b.title, b.kind))
		}
		add("· " + strings.TrimSpace(strings.Join(parts, " ")))
	}
	r.Text = strings.Join(lines, "\n")
	if len(missing) > 0 {
		return r, &message.Fault{Kind: message.Refused, Certain: true, Code: "132000", Title: "template parameter count mismatch"}
	}
	return r, nil
}

// shown names what stands above a text.
func shown(m *message.Media, p *message.Product, l *message.Location) string {
	switch {
	case m != nil && m.Filename != "":
		return "[" + string(m.Type) + ": " + m.Filename + "]"
	case m != nil:
		return "[" + string(m.Type) + "]"
	case p != nil:
		return "[product: " + p.ID + "]"
	case l != nil:
		return strings.TrimSpace("[location] " + l.Name)
	}
	return ""
}

// labelled gives a button as a person sees it; some have no words of their own.
func labelled(title, kind string) string {
	if title == "" {
		title = strings.ToLower(strings.ReplaceAll(kind, "_", " "))
	}
	return "[" + title + "]"
}
