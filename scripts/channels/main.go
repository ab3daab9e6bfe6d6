// Command channels writes docs/channels.md: what each channel can show and
// what it tells, from the very data that the code adapts content by.
//
//	go run ./scripts/channels > docs/channels.md
//
// It is a tool of the build and no part of the program. A test compares the
// committed page with what it would write.
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
)

func main() {
	if _, err := os.Stdout.WriteString(page(types())); err != nil {
		fmt.Fprintln(os.Stderr, "channels:", err)
		os.Exit(1)
	}
}

// types are the channels in the order of app/channels.go; a test of it holds
// the two lists together.
func types() []channel.Type { return []channel.Type{whatsapp.Type, sms.Type} }

const head = `# What each channel can show

Written by ` + "`go run ./scripts/channels > docs/channels.md`" + ` from the data in each channel's ` + "`capabilities.go`" + `; change it there.
What a channel cannot show is said otherwise, and the preview tells how; a text too long for the channel is refused, never cut.

**full** as given · **partial** adapted, the meaning is kept · **dropped** left out, with a warning · **refused** the message cannot go out there

`

// page writes the whole page.
func page(all []channel.Type) string {
	var b strings.Builder
	b.WriteString(head)
	overview(&b, all)
	for _, t := range all {
		one(&b, t)
	}
	return b.String()
}

// kinds are the abilities in the order of the page.
func kinds(c channel.Capabilities) []struct {
	name string
	channel.Ability
} {
	return []struct {
		name string
		channel.Ability
	}{
		{"text", c.Text},
		{"header", c.Header},
		{"footer", c.Footer},
		{"reply buttons", c.Replies},
		{"link buttons", c.Links},
		{"call buttons", c.Dial},
		{"list", c.List},
		{"location", c.Location},
		{"contact cards", c.Cards},
		{"reaction", c.Reaction},
		{"reply to a message", c.ReplyTo},
		{"ask for a location", c.Request},
		{"template", c.Templates},
	}
}

func media() []message.MediaType {
	return []message.MediaType{message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker}
}

func overview(b *strings.Builder, all []channel.Type) {
	b.WriteString("|")
	for _, t := range all {
		b.WriteString(" | " + t.Title)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(all)) + "|\n")
	for i, k := range kinds(all[0].Caps) {
		b.WriteString("| " + k.name)
		for _, t := range all {
			b.WriteString(" | " + level(kinds(t.Caps)[i].Level))
		}
		b.WriteString(" |\n")
	}
	for _, m := range media() {
		b.WriteString("| " + string(m))
		for _, t := range all {
			b.WriteString(" | " + level(t.Caps.Media[m].Level))
		}
		b.WriteString(" |\n")
	}
	b.WriteString("| \\*bold\\* and \\_italic\\_ marks")
	for _, t := range all {
		b.WriteString(" | " + level(t.Caps.Marks))
	}
	b.WriteString(" |\n")
}

// level writes a level; none in the data means the channel cannot.
func level(l channel.Level) string {
	if l == "" {
		return string(channel.No)
	}
	return string(l)
}

func one(b *strings.Builder, t channel.Type) {
	fmt.Fprintf(b, "\n## %s\n\nConnector kind `%s`. Reaches people by %s.\n", t.Title, t.Kind, addressed(t.Addressed))
	if t.Window {
		b.WriteString("Free form needs an open customer service window; outside it a template goes.\n")
	}
	b.WriteString("\n| content | level | limits | note | source |\n|---|---|---|---|---|\n")
	for _, k := range kinds(t.Caps) {
		row(b, k.name, level(k.Level), limits(k.Ability), k.Note, k.Source)
	}
	for _, m := range media() {
		a := t.Caps.Media[m]
		row(b, string(m), level(a.Level), mediaLimits(a), a.Note, a.Source)
	}
	attachments := strconv.Itoa(max(1, t.Caps.MediaMax))
	if t.Caps.Series > 1 {
		attachments = fmt.Sprintf("%d; more go one after another, up to %d messages in all with one outcome", max(1, t.Caps.MediaMax), t.Caps.Series)
	}
	fmt.Fprintf(b, "\nAttachments of one message: %s. Button kinds mixed in one message: %s.\n", attachments, yes(t.Caps.Mixed))
	fmt.Fprintf(b, "\n**Receipts**: delivered %s, read %s, failed %s; our own id comes back: %s. Nothing more is expected after %s.\n",
		yes(t.Receipts.Delivered), yes(t.Receipts.Read), yes(t.Receipts.Failed), yes(t.Receipts.Echo), span(t.Receipts.Horizon))
	fmt.Fprintf(b, "\n**Speed**: %s.\n", speed(t.Limits))
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", "\\|") + " ")
	}
	b.WriteString("|\n")
}

func addressed(of []message.Channel) string {
	var words []string
	for _, c := range of {
		words = append(words, "`"+string(c)+"`")
	}
	return strings.Join(words, " and ")
}

func limits(a channel.Ability) string {
	var l []string
	say := func(n int, format string) {
		if n > 0 {
			l = append(l, fmt.Sprintf(format, group(n)))
		}
	}
	say(a.Max, "at most %s")
	say(a.Title, "title %s characters")
	say(a.Detail, "description %s")
	say(a.Payload, "payload %s")
	say(a.Text, "text beside it %s")
	if len(a.Media) > 0 {
		var words []string
		for _, m := range a.Media {
			words = append(words, string(m))
		}
		l = append(l, "beside "+strings.Join(words, ", "))
	}
	if a.Bare != "" && a.Bare != a.Level {
		l = append(l, string(a.Bare)+" without a button or list")
	}
	return strings.Join(l, "; ")
}

func mediaLimits(a channel.MediaAbility) string {
	var l []string
	if a.Bytes > 0 {
		l = append(l, size(a.Bytes))
	}
	if len(a.MIME) > 0 {
		types := append([]string(nil), a.MIME...)
		sort.Strings(types)
		l = append(l, strings.Join(types, ", "))
	}
	if a.Caption > 0 {
		l = append(l, "caption "+group(a.Caption))
	}
	return strings.Join(l, "; ")
}

func size(n int64) string {
	if n >= 1<<20 {
		return strconv.FormatInt(n>>20, 10) + " MB"
	}
	return strconv.FormatInt(n>>10, 10) + " KB"
}

// group writes a number with commas.
func group(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func span(d time.Duration) string {
	switch {
	case d == 0:
		return "the answer"
	case d%(24*time.Hour) == 0:
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	}
	return d.String()
}

func speed(l channel.Limits) string {
	var words []string
	if l.PerSecond > 0 {
		words = append(words, strconv.FormatFloat(l.PerSecond, 'f', -1, 64)+" messages a second and account")
	}
	if l.PairEvery > 0 {
		words = append(words, "one to a person in "+l.PairEvery.String()+", "+strconv.Itoa(l.PairBurst)+" at once")
	}
	if len(words) == 0 {
		return "as the account allows"
	}
	return strings.Join(words, "; ") + "; an account may be given other limits"
}
