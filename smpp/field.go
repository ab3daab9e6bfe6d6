package smpp

import (
	"bytes"
	"fmt"
	"strings"
)

// A DecodeError says why octets are not a legal PDU.
type DecodeError struct {
	Command Command
	Field   string // as the specification names it
	Status  Status // what a response to this PDU should carry
	Reason  string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("smpp: decode %s: %s: %s", e.Command, e.Field, e.Reason)
}

// An EncodeError says why a PDU cannot be put on the wire. Nothing was sent.
type EncodeError struct {
	Field  string // as the specification names it
	Reason string
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("smpp: encode: %s: %s", e.Field, e.Reason)
}

// Longest values without the closing NUL.
const (
	maxSystemID     = 15
	maxPassword     = 8
	maxSystemType   = 12
	maxAddressRange = 40
	maxServiceType  = 5
	maxAddress      = 20
	maxLongAddress  = 64 // data_sm and alert_notification; also taken in deliver_sm
	maxMessageID    = 64
	maxAnswerID     = 254 // responses come from SMSCs that know no limit
	maxTime         = 16
	maxShortMessage = 255 // 254 in 3.4, 255 in 5.0
)

// A cursor walks through a body and remembers the first error.
type cursor struct {
	b    []byte
	i    int
	text string // copy of the front of b, so that all strings share one allocation
	err  *DecodeError
}

// textFront is enough for the mandatory strings of every body.
const textFront = 192

func newCursor(b []byte) cursor {
	return cursor{b: b, text: string(b[:min(len(b), textFront)])}
}

func (c *cursor) fail(field string, s Status, reason string) {
	if c.err == nil {
		c.err = &DecodeError{Field: field, Status: s, Reason: reason}
	}
}

func (c *cursor) byte(field string) byte {
	if c.err != nil {
		return 0
	}
	if c.i >= len(c.b) {
		c.fail(field, StatusInvalidCommandLength, "missing")
		return 0
	}
	c.i++
	return c.b[c.i-1]
}

func (c *cursor) str(field string, limit int, tooLong Status) string {
	if c.err != nil {
		return ""
	}
	rest := c.b[c.i:]
	n := bytes.IndexByte(rest[:min(len(rest), limit+1)], 0)
	switch {
	case n >= 0:
	case len(rest) > limit:
		c.fail(field, tooLong, "too long")
		return ""
	default:
		c.fail(field, StatusInvalidCommandLength, "not closed by a NUL")
		return ""
	}
	start := c.i
	c.i += n + 1
	if start+n <= len(c.text) {
		return c.text[start : start+n]
	}
	return string(rest[:n])
}

// answerID reads the message_id of a response, where a missing NUL or an
// overlong id must not turn an accepted message into an error.
func (c *cursor) answerID() string {
	rest := c.b[c.i:]
	n := bytes.IndexByte(rest, 0)
	if n < 0 {
		n = len(rest)
		c.i = len(c.b)
	} else {
		c.i += n + 1
	}
	return string(rest[:min(n, maxAnswerID)])
}

func (c *cursor) octets(field string, n int, short Status) []byte {
	if c.err != nil {
		return nil
	}
	if len(c.b)-c.i < n {
		c.fail(field, short, "longer than the PDU")
		return nil
	}
	c.i += n
	return c.b[c.i-n : c.i : c.i]
}

// An appender builds a body and remembers the first error.
type appender struct {
	b   []byte
	err error
}

func (a *appender) str(field, v string, limit int) {
	if a.err != nil {
		return
	}
	if len(v) > limit {
		a.err = &EncodeError{field, fmt.Sprintf("longer than %d octets", limit)}
		return
	}
	if strings.IndexByte(v, 0) >= 0 {
		a.err = &EncodeError{field, "contains a NUL"}
		return
	}
	a.b = append(append(a.b, v...), 0)
}

func (a *appender) bytes(v ...byte) {
	if a.err == nil {
		a.b = append(a.b, v...)
	}
}

func (a *appender) message(v []byte) {
	if a.err != nil {
		return
	}
	if len(v) > maxShortMessage {
		a.err = &EncodeError{"short_message", "longer than 255 octets: use message_payload or split"}
		return
	}
	a.b = append(append(a.b, byte(len(v))), v...)
}

func (a *appender) tlvs(l TLVs) {
	if a.err == nil {
		a.b, a.err = l.append(a.b)
	}
}
