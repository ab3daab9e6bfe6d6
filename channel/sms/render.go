package sms

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// errTemplate is the fault of a template that cannot become text.
func errTemplate(title string) error {
	return &message.Fault{Kind: message.Refused, Certain: true, Code: "template", Title: title}
}

// Render shows content as phones will show it, with the number of parts of an
// account that changes nothing. It is pure. See [Connector.Preview] for one
// account's own settings, which plans are made with.
func Render(c *message.Content, t *message.TemplateUse) (channel.Rendering, error) {
	var plain settings
	return plain.render(c, t, "")
}

// Preview implements channel.Previewer: it is [Render] with the account's settings: transliteration, national
// tables, the way long texts go, and the stop mention of marketing.
func (c *Connector) Preview(content *message.Content, t *message.TemplateUse, purpose message.Purpose) (channel.Rendering, error) {
	return c.s.render(content, t, purpose)
}

func (s *settings) render(c *message.Content, t *message.TemplateUse, purpose message.Purpose) (channel.Rendering, error) {
	body := *c
	if t != nil {
		text, err := templateText(t)
		if err != nil {
			return channel.Rendering{}, err
		}
		body.Text = text
	}
	r := channel.Fit(&body, capabilities, channel.FitOptions{})
	text := r.Content.Text
	if mention := s.mention(text, purpose); mention != "" {
		text += mention
		r.Changes = append(r.Changes, channel.Change{Field: "text", Level: channel.Partial, Detail: "the stop mention is added"})
	}
	encoding, parts := s.count(text)
	plain, fewer, saves := text, parts, false
	if encoding == gsm.UCS2 && parts > 1 {
		plain, fewer, saves = s.plainer(text)
	}
	if saves && s.wanted(c) {
		text, encoding, parts = plain, gsm.GSM7, fewer
		r.Changes = append(r.Changes, channel.Change{Field: "text", Level: channel.Partial, Detail: "characters outside the GSM alphabet are replaced by near ones"})
	} else if saves {
		r.Saving = &channel.Saving{
			Text: plain, Encoding: gsm.GSM7.String(), Segments: fewer,
			Detail: fmt.Sprintf("%q makes the text UCS-2 with %d parts; with near characters of the GSM alphabet it would be %d: set content.transliterate", foreign(text), parts, fewer),
		}
	}
	if limit := s.Parts; limit > 0 && parts > limit {
		r.Changes = append(r.Changes, channel.Change{Field: "text", Level: channel.No, Detail: fmt.Sprintf("the text needs %d parts; the account allows %d", parts, limit)})
	}
	r.Content.Text, r.Text = text, text
	r.Encoding, r.Segments = encoding.String(), parts
	return r, nil
}

// count says how the account writes a text and in how many parts.
func (s *settings) count(text string) (gsm.Encoding, int) {
	encoding, parts, _ := gsm.CountWith(text, s.options(text, s.split()))
	return encoding, parts
}

// wanted reports whether characters are to be replaced where that saves parts:
// the message's word, else the account's.
func (s *settings) wanted(c *message.Content) bool {
	if c.Transliterate != nil {
		return *c.Transliterate
	}
	return s.Transliterate
}

// plainer gives a text with near characters of the GSM alphabet, and its parts,
// where it takes fewer parts so; else the text as it is.
func (s *settings) plainer(text string) (plain string, parts int, saves bool) {
	encoding, before := s.count(text)
	if encoding != gsm.UCS2 {
		return text, before, false
	}
	plain, ok := gsm.Plain(text)
	if !ok {
		return text, before, false
	}
	if encoding, parts = s.count(plain); encoding != gsm.GSM7 || parts >= before {
		return text, before, false
	}
	return plain, parts, true
}

// foreign gives the first character that is not of the GSM alphabet.
func foreign(text string) string {
	for i, r := range text {
		if encoding, _, _ := gsm.Count(text[i : i+utf8.RuneLen(r)]); r == utf8.RuneError || encoding == gsm.UCS2 {
			return string(r)
		}
	}
	return ""
}

// mention gives what marketing needs under its text, "" when nothing.
func (s *settings) mention(text string, purpose message.Purpose) string {
	if purpose != message.Marketing || s.StopMention == "" || strings.Contains(strings.ToUpper(text), strings.ToUpper(s.StopMention)) {
		return ""
	}
	return "\n" + s.StopMention
}

// split gives the account's way to cut texts; the reference is still to set.
func (s *settings) split() gsm.Options {
	o := gsm.Options{MaxParts: s.Parts}
	switch s.Long {
	case "udh16":
		o.Concat = gsm.UDH16
	case "sar":
		o.Concat = gsm.SAR
	case "payload":
		o.Concat = gsm.Payload
	}
	for _, n := range s.Tables {
		o.Languages = append(o.Languages, gsm.Language(n))
	}
	return o
}

// options adds to o what the text itself asks for: what the SMSC's Latin-1
// lacks goes as UCS-2.
func (s *settings) options(text string, o gsm.Options) gsm.Options {
	if s.Alphabet == "latin1" && !isLatin1(text) {
		o.Encoding = gsm.UCS2
	}
	return o
}

// templateText fills the registered body of a template.
func templateText(t *message.TemplateUse) (string, error) {
	if t.Body == "" {
		return "", errTemplate("the template has no body to send as text")
	}
	text, missing := channel.Fill(t.Body, t.Parameters)
	if len(missing) > 0 {
		return "", errTemplate("the template lacks a value for " + strings.Join(missing, ", "))
	}
	return text, nil
}
