package sms

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// encode makes the submits of one message, one for each part. It is pure but
// for the reference of long texts. Its errors are certain *message.Fault.
func (c *Connector) encode(m *message.Outbound) ([]smpp.SubmitSM, error) {
	text, err := c.s.text(m)
	if err != nil {
		return nil, err
	}
	o := c.options
	if len(text) > shortText {
		o.Reference = uint16(c.ref.Add(1))
		if o.Concat == gsm.SAR {
			o.Reference &= 0xFF
		}
	}
	return c.s.submits(m, text, o, c.now)
}

// shortText is the most bytes that surely fit one part.
const shortText = 70

// text gives what the person is to read.
func (s *settings) text(m *message.Outbound) (string, error) {
	content := &m.Content
	var text string
	switch {
	case m.Template != nil:
		filled, err := templateText(m.Template)
		if err != nil {
			return "", err
		}
		text = filled
	case onlyText(content):
		text = content.Text
	default:
		text = fitted(content)
	}
	if strings.TrimSpace(text) == "" {
		return "", &message.Fault{Kind: message.Refused, Certain: true, Code: "empty", Title: "there is no text to send; SMS carries nothing else"}
	}
	text += s.mention(text, m.Purpose)
	if s.wanted(content) {
		text, _, _ = s.plainer(text)
	}
	return text, nil
}

// fitted makes text of what should have been fitted and was not. Inlined, it would
// make every sender's stack grow for its sake.
//
//go:noinline
func fitted(c *message.Content) string {
	return channel.Fit(c, capabilities, channel.FitOptions{}).Content.Text
}

func onlyText(c *message.Content) bool {
	return c.Header == "" && c.Footer == "" && len(c.Media) == 0 && len(c.Actions) == 0 && c.List == nil &&
		c.Location == nil && len(c.Cards) == 0 && c.Reaction == nil
}

// submits cuts the text and writes the parts.
func (s *settings) submits(m *message.Outbound, text string, o gsm.Options, now func() time.Time) ([]smpp.SubmitSM, error) {
	source, err := s.sender(m.From.Address)
	if err != nil {
		return nil, err
	}
	destination, err := s.recipient(m.To)
	if err != nil {
		return nil, err
	}
	o = s.options(text, o)
	split, err := gsm.Split(text, o)
	if err != nil {
		var long *gsm.TooLongError
		title := "the text is too long"
		if errors.As(err, &long) {
			title = fmt.Sprintf("the text needs %d parts, %d are allowed", long.Parts, long.Max)
		}
		return nil, &message.Fault{Kind: message.Refused, Certain: true, Code: "too_long", Title: title, Cause: err}
	}
	base := smpp.SubmitSM{
		ServiceType: s.ServiceType, Source: source, Destination: destination,
		DataCoding: split.DataCoding(), ValidityPeriod: validity(m.ValidFor, now),
	}
	if s.Priority == "purpose" {
		base.Priority = 3 - min(uint8(m.Priority), 3)
	}
	parts := make([]smpp.SubmitSM, len(split.Segments))
	for i := range split.Segments {
		part := &parts[i]
		*part = base
		s.fill(part, &split, i, o)
		part.RegisteredDelivery = s.registered(i, len(parts))
	}
	return parts, nil
}

// fill puts one segment into its submit.
func (s *settings) fill(part *smpp.SubmitSM, split *gsm.Message, i int, o gsm.Options) {
	segment := &split.Segments[i]
	octets := segment.Octets
	if s.Alphabet == "latin1" && split.Encoding == gsm.GSM7 {
		octets = appendLatin1(append([]byte(nil), segment.Header...), segment.Text)
	}
	if len(segment.Header) > 0 {
		part.ESMClass |= smpp.ESMUDHI
	}
	if s.Long == "payload" && split.Billed > 1 {
		part.TLVs = smpp.TLVs{smpp.TagMessagePayload.Octets(octets)}
		return
	}
	part.ShortMessage = octets
	if s.Long == "sar" && segment.Total > 1 {
		part.TLVs = smpp.TLVs{
			smpp.TagSARMsgRefNum.Uint16(o.Reference),
			smpp.TagSARTotalSegments.Uint8(uint8(segment.Total)),
			smpp.TagSARSegmentSeqnum.Uint8(uint8(segment.Number)),
		}
	}
}

// registered gives registered_delivery of part i of n (SMPP 3.4 section 5.2.17).
func (s *settings) registered(i, n int) uint8 {
	if s.ReceiptParts == "first" && i != 0 || s.ReceiptParts == "last" && i != n-1 {
		return smpp.ReceiptNever
	}
	switch s.Receipts {
	case "final":
		return smpp.ReceiptFinal
	case "failure":
		return smpp.ReceiptFailure
	}
	return smpp.ReceiptNever
}

// validity writes how long the SMSC should try, in whole seconds.
func validity(d time.Duration, now func() time.Time) string {
	if d <= 0 {
		return ""
	}
	d = max(d, time.Second)
	if text, err := smpp.FormatPeriod(d); err == nil {
		return text
	}
	return smpp.FormatTime(now().Add(d).UTC())
}

func isLatin1(text string) bool {
	for _, r := range text {
		if r > 0xFF {
			return false
		}
	}
	return true
}

func appendLatin1(b []byte, text string) []byte {
	for _, r := range text {
		b = append(b, byte(r))
	}
	return b
}
