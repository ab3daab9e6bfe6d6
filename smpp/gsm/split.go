package gsm

import "fmt"

// Encoding is how the characters of a message are written.
type Encoding uint8

// The encodings.
const (
	GSM7 Encoding = iota // septets
	UCS2                 // UTF-16 big endian
)

// String returns "gsm7" or "ucs2".
func (e Encoding) String() string {
	if e == UCS2 {
		return "ucs2"
	}
	return "gsm7"
}

// Concat is how the phone learns that parts belong together.
type Concat uint8

// The ways to concatenate.
const (
	// UDH8 puts a header with an 8-bit reference in front of each part:
	// 153 septets or 67 units.
	UDH8 Concat = iota
	// UDH16 does it with a 16-bit reference: 152 or 66.
	UDH16
	// SAR leaves the header to the SMSC, which is told in the sar_ TLVs. The
	// parts are as with UDH8, so that they fit whatever header it makes of a
	// reference up to 255; give larger ones to UDH16.
	SAR
	// Payload leaves the splitting to the SMSC as well: one segment, for
	// message_payload. [Message.Billed] is what UDH8 would need.
	Payload
)

// MaxParts is the highest number of parts a header can count.
const MaxParts = 255

// Options say how to split. The zero value is what every SMSC takes.
type Options struct {
	Concat Concat
	// Reference ties the parts together; UDH8 uses its low octet.
	Reference uint16
	// Languages are the national tables the SMSC has agreed to. They are used
	// when that needs fewer parts than UCS-2.
	Languages []Language
	// Encoding UCS2 forces it. GSM7 means: if the text allows it.
	Encoding Encoding
	// MaxParts refuses longer texts. 0 means [MaxParts].
	MaxParts int
}

// A Message is a text ready to be sent.
type Message struct {
	Encoding Encoding
	Alphabet Alphabet // of GSM7
	Segments []Segment
	Units    int // septets or UTF-16 units of all parts, without headers
	Billed   int // parts on the air
}

// DataCoding returns the data_coding of SMPP.
func (m Message) DataCoding() uint8 {
	if m.Encoding == UCS2 {
		return 8
	}
	return 0
}

// A Segment is one part.
type Segment struct {
	Number, Total int    // from 1
	Text          string // this part's piece of the text
	Units         int    // septets or UTF-16 units, without the header
	Header        []byte // user data header with its length, empty if none
	Octets        []byte // Header and then the text: what short_message holds
}

// A TooLongError says that a text needs more parts than allowed.
type TooLongError struct{ Parts, Max int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("gsm: text needs %d parts, %d allowed", e.Parts, e.Max)
}

// coder is a way to write a text.
type coder struct {
	encoding Encoding
	alphabet Alphabet
}

// cost returns the units of a character, 0 if it cannot be written.
func (c coder) cost(r rune) int {
	if c.encoding == UCS2 {
		if r > 0xFFFF {
			return 2
		}
		return 1
	}
	n, _ := c.alphabet.septets(r)
	return n
}

// room returns the units that fit behind a header.
func (c coder) room(header int) int {
	if c.encoding == UCS2 {
		return (140 - header) / 2
	}
	return 160 - (header*8+6)/7
}

// shiftSize is the octets of the header's elements for national tables.
func (c coder) shiftSize() int {
	n := 0
	if c.alphabet.Single != Default {
		n += 3
	}
	if c.alphabet.Locking != Default {
		n += 3
	}
	return n
}

// single and part return the units of a lone message and of one part.
func (c coder) single() int {
	if n := c.shiftSize(); n > 0 {
		return c.room(1 + n)
	}
	return c.room(0)
}

func (c coder) part(concat Concat) int {
	if concat == UDH16 {
		return c.room(1 + 6 + c.shiftSize())
	}
	return c.room(1 + 5 + c.shiftSize())
}

// measure counts units and parts; ok is false if a character cannot be written.
func (c coder) measure(text string, concat Concat) (units, parts int, ok bool) {
	limit, used := c.part(concat), 0
	parts = 1
	for _, r := range text {
		n := c.cost(r)
		if n == 0 {
			return 0, 0, false
		}
		units += n
		if used += n; used > limit {
			parts, used = parts+1, n
		}
	}
	if units <= c.single() {
		parts = 1
	}
	return units, parts, true
}

// choose finds the way with the fewest parts; at equality the plainest.
func choose(text string, o Options) (best coder, units, parts int) {
	if o.Encoding != UCS2 {
		if units, parts, ok := best.measure(text, o.Concat); ok {
			return best, units, parts
		}
	}
	best = coder{encoding: UCS2}
	units, parts, _ = best.measure(text, o.Concat)
	if o.Encoding == UCS2 {
		return best, units, parts
	}
	for _, l := range o.Languages {
		for _, a := range [...]Alphabet{{Single: l}, {Locking: l}, {Single: l, Locking: l}} {
			if !a.known() || l == Default {
				continue
			}
			c := coder{alphabet: a}
			if u, p, ok := c.measure(text, o.Concat); ok && p < parts {
				best, units, parts = c, u, p
			}
		}
	}
	return best, units, parts
}

// Count says what a text costs with the default options: how it is written, in
// how many parts, and how many septets or UTF-16 units. It does not allocate.
func Count(text string) (encoding Encoding, segments, units int) {
	return CountWith(text, Options{})
}

// CountWith is [Count] for other options.
func CountWith(text string, o Options) (encoding Encoding, segments, units int) {
	c, units, segments := choose(text, o)
	return c.encoding, segments, units
}

// Split cuts a text into parts. Neither an escape pair nor a surrogate pair is
// ever torn. An empty text is one empty part. The error is a [*TooLongError].
func Split(text string, o Options) (Message, error) {
	c, units, parts := choose(text, o)
	limit := o.MaxParts
	if limit <= 0 || limit > MaxParts {
		limit = MaxParts
	}
	if parts > limit {
		return Message{}, &TooLongError{Parts: parts, Max: limit}
	}
	m := Message{Encoding: c.encoding, Alphabet: c.alphabet, Units: units, Billed: parts}
	if parts == 1 || o.Concat == Payload {
		m.Segments = []Segment{c.segment(text, units, 1, 1, o)}
		return m, nil
	}
	m.Segments = make([]Segment, 0, parts)
	room, used, from := c.part(o.Concat), 0, 0
	for i, r := range text {
		n := c.cost(r)
		if used+n > room {
			m.Segments = append(m.Segments, c.segment(text[from:i], used, len(m.Segments)+1, parts, o))
			used, from = 0, i
		}
		used += n
	}
	m.Segments = append(m.Segments, c.segment(text[from:], used, len(m.Segments)+1, parts, o))
	return m, nil
}

func (c coder) segment(text string, units, number, total int, o Options) Segment {
	s := Segment{Number: number, Total: total, Text: text, Units: units}
	b := make([]byte, 0, 16+2*units)
	b = c.header(b, number, total, o)
	head := len(b)
	if c.encoding == UCS2 {
		b = AppendUTF16(b, text)
	} else {
		b, _ = c.alphabet.Append(b, text) // choose has seen that it can be
	}
	s.Header, s.Octets = b[:head:head], b
	return s
}

// header puts the user data header behind b, nothing if none is needed.
func (c coder) header(b []byte, number, total int, o Options) []byte {
	b = append(b, 0)
	if total > 1 {
		switch o.Concat {
		case UDH8:
			b = append(b, ElementConcat8, 3, byte(o.Reference), byte(total), byte(number))
		case UDH16:
			b = append(b, ElementConcat16, 4, byte(o.Reference>>8), byte(o.Reference), byte(total), byte(number))
		}
	}
	if c.alphabet.Single != Default {
		b = append(b, ElementSingleShift, 1, byte(c.alphabet.Single))
	}
	if c.alphabet.Locking != Default {
		b = append(b, ElementLockingShift, 1, byte(c.alphabet.Locking))
	}
	if len(b) == 1 {
		return b[:0]
	}
	b[0] = byte(len(b) - 1)
	return b
}
