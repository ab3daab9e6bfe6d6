package channel

import (
	"slices"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/message"
)

// A Misfit says what of a message a channel cannot take, and what to do about
// it. Render returns it; it never repeats what the message says.
type Misfit struct {
	Field  string // JSON path below the message, such as "template.buttons[1]"
	Detail string
	Remedy string
}

// Error implements error.
func (m *Misfit) Error() string { return m.Field + ": " + m.Detail }

// Placeholders lists the parameters of a text, each once: names in the order
// of the text, places ("1", "2" …) in their own, which a translation may turn
// round.
func Placeholders(text string) (names []string) {
	_, missing := Fill(text, nil)
	for _, name := range missing {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, byPlace)
	return names
}

// byPlace puts numbers in their order and leaves names where they are.
func byPlace(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX != nil || errY != nil {
		return 0
	}
	return x - y
}

// ParameterOrder gives the names of a template's parameters in the order of
// its body, and whether the body uses names instead of places. When the
// registered body is unknown, numbers go in their order and anything else is
// taken as named.
func ParameterOrder(t *message.TemplateUse) (order []string, named bool) {
	if len(t.Order) > 0 {
		return t.Order, t.Named
	}
	order = make([]string, 0, len(t.Parameters))
	for name := range t.Parameters {
		order = append(order, name)
		if _, err := strconv.Atoi(name); err != nil {
			named = true
		}
	}
	slices.SortFunc(order, func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		if errX == nil && errY == nil {
			return x - y
		}
		return strings.Compare(a, b)
	})
	return order, named || t.Named
}

// Fill puts parameters into the placeholders of a template's text, {{1}} or
// {{name}}. missing lists placeholders without a value, which stay as they are.
func Fill(text string, parameters map[string]string) (filled string, missing []string) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{{")
		b.WriteString(before)
		if !ok {
			return b.String(), missing
		}
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			b.WriteString("{{")
			b.WriteString(rest)
			return b.String(), missing
		}
		text = after
		name = strings.TrimSpace(name)
		if value, ok := parameters[name]; ok {
			b.WriteString(value)
			continue
		}
		missing = append(missing, name)
		b.WriteString("{{")
		b.WriteString(name)
		b.WriteString("}}")
	}
}
