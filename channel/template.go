package channel

import (
	"slices"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/message"
)

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
