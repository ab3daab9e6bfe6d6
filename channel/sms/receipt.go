package sms

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// receipt turns what the SMSC says about a part into our event. Its dates are
// left out: they are local times of a zone that is not told.
func (c *Connector) receipt(d *smpp.DeliverSM, r *smpp.Receipt) *message.Receipt {
	e := &message.Receipt{
		Status: receiptStatus(r.State, d.ESMClass),
		To:     c.s.person(d.Source),
		From:   c.s.own(d.Destination),
		Text:   clean(r.Text),
	}
	if r.State == smpp.StateUnset {
		c.log.Warn("unmapped state in a receipt", "connector", c.id, "code", word(r.Stat))
	}
	e.ID, e.Alt = c.spellings(clean(r.ID))
	if ref, ok := d.TLVs.Uint(smpp.TagUserMessageReference); ok && c.s.Reference {
		e.Echo = c.unsure.find(uint16(ref), d.Source.Addr)
	}
	if e.Status == message.ReceiptFailed || e.Status == message.ReceiptExpired {
		e.Fault = c.s.receiptFault(r)
	}
	return e
}

// receiptStatus reads message_state (SMPP 3.4 section 5.2.28). An intermediate
// notification tells of one try: nothing bad in it is final. Neither is a word
// that nobody knows: silence until the horizon would say as much.
func receiptStatus(state smpp.MessageState, class uint8) message.ReceiptStatus {
	if state == smpp.StateDelivered {
		return message.ReceiptDelivered
	}
	if class&smpp.ESMTypeMask == smpp.ESMIntermediate {
		return message.ReceiptSent
	}
	switch state {
	case smpp.StateExpired:
		return message.ReceiptExpired
	case smpp.StateUndeliverable, smpp.StateRejected, smpp.StateDeleted, smpp.StateSkipped:
		return message.ReceiptFailed
	case smpp.StateUnknown:
		return message.ReceiptUnknown
	}
	return message.ReceiptSent // scheduled, enroute, accepted, none that is known
}

// receiptFault says why a message did not arrive. It is certain: the SMSC has
// stopped trying. The err value belongs to the operator, so it counts only when
// the account's table names it; of network causes only the GSM ones are read,
// and only those that mean that the number cannot get texts speak about the
// person.
func (s *settings) receiptFault(r *smpp.Receipt) *message.Fault {
	stat := r.State.Stat()
	if stat == "" {
		stat = r.Stat
	}
	f := &message.Fault{Kind: message.Refused, Certain: true, Code: stat, Title: strings.ToLower(stat)}
	if code := normalError(r.Err); code != "" && code != "0" {
		f.Code = stat + "/" + word(r.Err)
		if kind, ok := s.errors[code]; ok {
			f.Kind, f.Scope = kind, scopeOf(kind)
			return f
		}
		f.Unmapped = true
	}
	if r.HasNetworkError {
		network := uint16(r.NetworkError[1])<<8 | uint16(r.NetworkError[2])
		f.Code = fmt.Sprintf("%s/net%d:%d", stat, r.NetworkError[0], network)
		if r.NetworkError[0] == 3 {
			kind, title := gsmError(network)
			if title != "" {
				f.Kind, f.Scope, f.Title, f.Unmapped = kind, scopeOf(kind), title, false
			}
		}
	}
	return f
}

// clean makes foreign octets a text that stores take.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// word keeps a foreign code short and printable: it is shown to clients.
func word(s string) string {
	if len(s) > 16 || !plain(s, 16) {
		return "odd"
	}
	return s
}

// learn notes whether the SMSC answers with ids that can only be hex.
func (c *Connector) learn(id string) {
	if c.s.ReceiptID != "auto" || c.allIDs.Load() >= sureAfter {
		return
	}
	if strings.IndexFunc(id, func(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'f' }) >= 0 {
		c.hexIDs.Add(1)
	}
	c.allIDs.Add(1)
}

// sureAfter is how many ids show beyond doubt whether an SMSC writes hex: an id
// of eight hex digits has no letter once in forty.
const sureAfter = 16

// spellings gives the id of a receipt as the answer to the submit spelled it,
// as far as the account's setting or what was seen tells, and the other
// spellings it may have had. Guesses stay rare on purpose: a wrong one could
// name another message.
func (c *Connector) spellings(id string) (string, []string) {
	if id == "" {
		return "", nil
	}
	switch c.s.ReceiptID {
	case "same":
		return id, variants(id, false, false)
	case "hex_resp_dec_receipt":
		return id, variants(id, true, false)
	case "dec_resp_hex_receipt":
		return id, variants(id, false, true)
	}
	hex := c.hexIDs.Load() > 0
	sure := c.allIDs.Load() >= sureAfter
	return id, variants(id, hex || !sure, !hex && !numeric(id))
}

// variants gives other spellings of id: in the other case and without leading
// zeros always, its number in hex and in decimal where wanted.
func variants(id string, toHex, toDecimal bool) []string {
	var out []string
	add := func(s string) {
		if s != "" && s != id && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	lower := strings.ToLower(id)
	trimmed := strings.TrimLeft(lower, "0")
	add(lower)
	add(strings.ToUpper(id))
	add(trimmed)
	if n, err := strconv.ParseUint(trimmed, 10, 64); err == nil && toHex {
		form := strconv.FormatUint(n, 16)
		add(form)
		add(strings.ToUpper(form))
		// Answers in hex are often filled up to eight digits.
		add(fmt.Sprintf("%08x", n))
		add(fmt.Sprintf("%08X", n))
	}
	if n, err := strconv.ParseUint(trimmed, 16, 64); err == nil && toDecimal {
		add(strconv.FormatUint(n, 10))
	}
	return out
}
