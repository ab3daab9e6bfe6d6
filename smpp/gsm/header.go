package gsm

import "errors"

// Elements of a user data header (23.040 section 9.2.3.24).
const (
	ElementConcat8      = 0x00
	ElementPort8        = 0x04
	ElementPort16       = 0x05
	ElementConcat16     = 0x08
	ElementSingleShift  = 0x24
	ElementLockingShift = 0x25
)

// An Element is one information element, known or not.
type Element struct {
	ID   byte
	Data []byte // part of the message it was read from
}

// A Header is the user data header of a message, in the order of the wire.
type Header []Element

// ErrHeader means that a message does not begin with a whole header though its
// esm_class says so. Show it as it is, or not at all.
var ErrHeader = errors.New("gsm: user data header longer than the message")

// ParseHeader takes the header off a message and returns what is behind it.
func ParseHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, b, ErrHeader
	}
	head, rest := b[1:1+int(b[0])], b[1+int(b[0]):]
	for len(head) > 0 {
		if len(head) < 2 || len(head) < 2+int(head[1]) {
			return nil, b, ErrHeader
		}
		n := 2 + int(head[1])
		h = append(h, Element{head[0], head[2:n:n]})
		head = head[n:]
	}
	return h, rest, nil
}

// A Part says which part of which message this is.
type Part struct {
	Reference     uint16
	Number, Total uint8 // from 1
}

// Concat returns the concatenation. As 23.040 asks, the last element counts and
// impossible numbers mean that there is none.
func (h Header) Concat() (p Part, ok bool) {
	for _, e := range h {
		var q Part
		switch {
		case e.ID == ElementConcat8 && len(e.Data) == 3:
			q = Part{uint16(e.Data[0]), e.Data[2], e.Data[1]}
		case e.ID == ElementConcat16 && len(e.Data) == 4:
			q = Part{uint16(e.Data[0])<<8 | uint16(e.Data[1]), e.Data[3], e.Data[2]}
		default:
			continue
		}
		if q.Number > 0 && q.Number <= q.Total {
			p, ok = q, true
		}
	}
	return p, ok
}

// Ports returns the application ports. A message that has them is for a
// program on the phone: never show it as text.
func (h Header) Ports() (destination, source uint16, ok bool) {
	for _, e := range h {
		switch {
		case e.ID == ElementPort8 && len(e.Data) == 2:
			destination, source, ok = uint16(e.Data[0]), uint16(e.Data[1]), true
		case e.ID == ElementPort16 && len(e.Data) == 4:
			destination, source, ok = uint16(e.Data[0])<<8|uint16(e.Data[1]), uint16(e.Data[2])<<8|uint16(e.Data[3]), true
		}
	}
	return destination, source, ok
}

// Alphabet returns the tables the septets behind the header are written in.
func (h Header) Alphabet() (a Alphabet) {
	for _, e := range h {
		if len(e.Data) != 1 {
			continue
		}
		switch e.ID {
		case ElementSingleShift:
			a.Single = Language(e.Data[0])
		case ElementLockingShift:
			a.Locking = Language(e.Data[0])
		}
	}
	if !a.known() {
		return Alphabet{}
	}
	return a
}
