package channel

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-messaging/parley/message"
)

// beside gives the text limit and the attachments allowed by what the message
// carries; rich is false for plain texts and captions.
func (f *fitter) beside() (text int, media []message.MediaType, rich bool) {
	switch {
	case f.c.List != nil:
		return f.caps.List.Text, f.caps.List.Media, true
	case len(f.c.Actions) > 0:
		a := f.ability(f.c.Actions[0].Type)
		return a.Text, a.Media, true
	case f.c.Request != "":
		return f.caps.Request.Text, f.caps.Request.Media, true
	}
	return 0, nil, false
}

// media keeps the attachments the channel shows with the rest and turns the
// others into links.
func (f *fitter) media() {
	_, allowed, rich := f.beside()
	limit, several := max(f.caps.MediaMax, 1), f.caps.Series > 1
	if several {
		limit = f.caps.Series
		if rich {
			limit-- // the buttons are a message of their own, unless one stands above them
		}
	}
	above := false
	var kept []message.Media
	for i := range f.c.Media {
		m := f.c.Media[i]
		a, known := f.caps.Media[m.Type]
		fits := known && a.Level == Full && len(kept) < limit && (a.Bytes == 0 || m.Size <= a.Bytes) && takes(a.MIME, m.MIME)
		stands := rich && contains(allowed, m.Type) && !(several && above)
		if rich && !several {
			fits = fits && stands
		}
		if !fits {
			f.mediaToText(&m, i)
			continue
		}
		above = above || stands
		if m.Caption != "" && (rich && (stands || !several) || a.Caption == 0 || over(m.Caption, a.Caption)) {
			f.above = append(f.above, m.Caption)
			m.Caption = ""
			f.note("media", "captions moved into the text")
		}
		kept = append(kept, m)
	}
	f.c.Media = kept
}

func takes(list []string, mime string) bool {
	if mime == "" || len(list) == 0 {
		return true
	}
	mime, _, _ = strings.Cut(strings.ToLower(mime), ";")
	for _, m := range list {
		if m == strings.TrimSpace(mime) {
			return true
		}
	}
	return false
}

func contains(list []message.MediaType, t message.MediaType) bool {
	for _, m := range list {
		if m == t {
			return true
		}
	}
	return false
}

// mediaToText says what the attachment was and where it can be seen.
func (f *fitter) mediaToText(m *message.Media, i int) {
	link := m.URL
	if f.opt.Link != nil {
		link = f.opt.Link(m)
	}
	field := "media[" + strconv.Itoa(i) + "]"
	if m.Caption != "" {
		f.below = append(f.below, m.Caption)
	}
	if link != "" {
		f.below = append(f.below, join(": ", m.Filename, link))
		f.change(field, Partial, "the attachment became a link")
		return
	}
	if m.Filename != "" {
		f.below = append(f.below, m.Filename)
	}
	f.change(field, Dropped, "the attachment cannot be shown and has no public link")
}

// fold puts what became text around the text, and the text where the message
// has place for it.
func (f *fitter) fold() {
	text := strings.Join(nonEmpty(append(append(f.above, f.c.Text), f.below...)), "\n")
	f.c.Text = text
	_, _, rich := f.beside()
	if rich {
		if text == "" {
			// Buttons hang under a text; a header or the button's own words serve.
			f.c.Text = f.c.Header
			if f.c.Text == "" && len(f.c.Actions) > 0 {
				f.c.Text = f.c.Actions[0].Title
			} else if f.c.Text == "" && f.c.List != nil {
				f.c.Text = f.c.List.Button
			} else {
				f.c.Header = ""
			}
			if f.c.Text != "" {
				f.change("text", Partial, "buttons need a text: one was taken from the rest")
			}
		}
		return
	}
	f.caption()
}

// caption moves the text under the one attachment, or keeps both apart where
// the attachment takes no words.
func (f *fitter) caption() {
	if len(f.c.Media) == 0 || f.c.Text == "" {
		return
	}
	m := &f.c.Media[0]
	a := f.caps.Media[m.Type]
	several := f.caps.Series > 1
	if m.Caption != "" && (!several || len(f.c.Media) == 1) {
		if both := f.c.Text + "\n" + m.Caption; !over(both, a.Caption) {
			m.Caption = ""
			f.c.Text = both
		}
	}
	if m.Caption == "" && a.Caption > 0 && !over(f.c.Text, a.Caption) {
		return
	}
	if several && len(f.c.Media) < f.caps.Series {
		return // the text is a message of its own
	}
	// Words win: the attachment becomes a link beside them.
	media := f.c.Media
	f.c.Media, f.below = nil, nil
	for i := range media {
		f.mediaToText(&media[i], i)
	}
	f.c.Text = strings.Join(nonEmpty(append([]string{f.c.Text}, f.below...)), "\n")
}

func nonEmpty(list []string) []string {
	var kept []string
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// limits turns a rich message whose text is too long into a plain one with
// choices, and tells of a text that fits nowhere.
func (f *fitter) limits() {
	limit, _, rich := f.beside()
	if rich && over(f.c.Text, limit) {
		f.plainWithChoices(limit)
	}
	if f.caps.Text.Level != Full && f.caps.Text.Level != Partial && f.c.Text != "" {
		f.change("text", No, "this channel carries no text")
		return
	}
	alone := len(f.c.Media) == 0 || f.caps.Series > 1 && !captioned(f.c, f.caps)
	if _, _, rich := f.beside(); !rich && alone && over(f.c.Text, f.caps.Text.Max) {
		f.change("text", No, "longer than the "+strconv.Itoa(f.caps.Text.Max)+" characters this channel takes")
	}
}

// plainWithChoices gives up buttons for the sake of a long text.
func (f *fitter) plainWithChoices(limit int) {
	f.change("text", Partial, "longer than the "+strconv.Itoa(limit)+" characters that can stand with buttons: they became text")
	f.below = nil
	header, footer := f.c.Header, f.c.Footer
	if header != "" {
		header = f.emphasised(header)
	}
	for _, a := range f.c.Actions {
		f.actionToText(a)
	}
	if l := f.c.List; l != nil {
		for _, s := range l.Sections {
			for _, r := range s.Rows {
				f.choice(r.Title, payload(r.Payload, r.Title))
			}
		}
	}
	media := f.c.Media
	f.c.Actions, f.c.List, f.c.Request, f.c.Media, f.c.Header, f.c.Footer = nil, nil, "", nil, "", ""
	if len(media) < f.caps.Series {
		f.c.Media, media = media, nil // they go by themselves
	}
	for i := range media {
		f.mediaToText(&media[i], i)
	}
	lines := append([]string{header, f.c.Text}, f.below...)
	f.c.Text = strings.Join(nonEmpty(append(lines, footer)), "\n")
	f.caption()
}

// Unmark takes *bold*, _italic_, ~struck~ and ```fixed``` marks out of a text
// where they stand at the borders of words, as WhatsApp reads them, and leaves
// every other such sign alone. Web addresses are not touched.
func Unmark(s string) string {
	if !strings.ContainsAny(s, "*_~`") {
		return s
	}
	s = strings.ReplaceAll(s, "```", "")
	for _, mark := range [...]byte{'*', '_', '~'} {
		s = unmark(s, mark)
	}
	return s
}

func unmark(s string, mark byte) string {
	var b strings.Builder
	for {
		open := opening(s, mark)
		if open < 0 {
			break
		}
		end := closing(s[open+1:], mark)
		if end < 0 {
			b.WriteString(s[:open+1])
			s = s[open+1:]
			continue
		}
		b.WriteString(s[:open])
		b.WriteString(s[open+1 : open+1+end])
		s = s[open+1+end+1:]
	}
	b.WriteString(s)
	return b.String()
}

// opening finds a mark that begins a marked span: at a border, before a word.
func opening(s string, mark byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] != mark || i+1 >= len(s) {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+1:])
		if (i == 0 || border(before)) && !unicode.IsSpace(after) && after != rune(mark) {
			return i
		}
	}
	return -1
}

// closing finds the mark that ends the span, on the same line.
func closing(s string, mark byte) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		if s[i] != mark {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+1:])
		if !unicode.IsSpace(before) && (i+1 == len(s) || border(after)) {
			return i
		}
	}
	return -1
}

// border reports whether a mark may stand beside r. A slash is none, so that
// paths and addresses stay whole.
func border(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`([{"'“”‘’«».,;:!?)]}*_~-`, r)
}
