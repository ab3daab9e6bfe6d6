package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrSyntax is returned for bytes that are not JSON.
var ErrSyntax = errors.New("not valid JSON")

// A Decoder walks over JSON without reflection and nearly without garbage. It
// is lenient on purpose: a value of an unexpected type is skipped and reads as
// absent, null is absent, numbers may stand in quotes and texts may be
// numbers. What is not read is skipped, so a loop names only what it wants:
//
//	if d.Object() {
//		for d.Next() {
//			switch string(d.Key()) {
//			case "id":
//				id = d.Text()
//			}
//		}
//	}
//
// Loops must run to their end. After the first syntax error every loop ends
// and Err tells it.
type Decoder struct {
	data    []byte
	pos     int
	key     []byte
	pending bool // a value stands at pos that nobody has read
	first   bool // a container was just opened
	bad     bool
}

// NewDecoder reads data, which must not change while values are read.
func NewDecoder(data []byte) Decoder { return Decoder{data: data} }

// Err tells whether anything read so far was broken.
func (d *Decoder) Err() error {
	if d.bad {
		return ErrSyntax
	}
	return nil
}

// End tells whether the whole input was one well-formed value.
func (d *Decoder) End() error {
	if d.pending {
		d.Skip()
	}
	d.space()
	if d.pos != len(d.data) {
		d.fail()
	}
	return d.Err()
}

func (d *Decoder) fail() {
	d.bad = true
	d.pending = false
	d.pos = len(d.data)
}

func (d *Decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\n', '\r', '\t':
			d.pos++
		default:
			return
		}
	}
}

// peek gives the next significant byte, or 0 at the end.
func (d *Decoder) peek() byte {
	d.space()
	if d.pos >= len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

// Object steps into an object; any other value is skipped and gives false.
func (d *Decoder) Object() bool { return d.open('{') }

// Array steps into an array; any other value is skipped and gives false.
func (d *Decoder) Array() bool { return d.open('[') }

func (d *Decoder) open(c byte) bool {
	if d.peek() != c {
		d.Skip()
		return false
	}
	d.pos++
	d.pending, d.first = false, true
	return true
}

// Next goes to the next member of the object stepped into.
func (d *Decoder) Next() bool {
	if !d.advance('}') {
		return false
	}
	if d.peek() != '"' {
		d.fail()
		return false
	}
	raw, escaped := d.quoted()
	if escaped {
		raw = unescape(raw)
	}
	d.key = raw
	if d.peek() != ':' {
		d.fail()
		return false
	}
	d.pos++
	d.pending = true
	return !d.bad
}

// Item goes to the next element of the array stepped into.
func (d *Decoder) Item() bool {
	if !d.advance(']') {
		return false
	}
	d.pending = true
	return true
}

// advance steps over an unread value and a comma; false at the end.
func (d *Decoder) advance(end byte) bool {
	if d.pending {
		d.Skip()
	}
	c := d.peek()
	if c == end && !d.bad {
		d.pos++
		d.first = false
		return false
	}
	if !d.first {
		if c != ',' {
			d.fail()
			return false
		}
		d.pos++
	}
	d.first = false
	if d.bad || d.peek() == 0 {
		d.fail()
		return false
	}
	return true
}

// Key is the name of the member that Next went to; it is valid until the next
// call.
func (d *Decoder) Key() []byte { return d.key }

// quoted reads a string that begins at pos and gives its raw inside.
func (d *Decoder) quoted() (raw []byte, escaped bool) {
	start := d.pos + 1
	n := bytes.IndexByte(d.data[start:], '"')
	if n < 0 {
		d.fail()
		return nil, false
	}
	if bytes.IndexByte(d.data[start:start+n], '\\') < 0 {
		d.pos = start + n + 1
		return d.data[start : start+n], false
	}
	for i := start; i < len(d.data); i++ {
		switch d.data[i] {
		case '\\':
			i++
		case '"':
			d.pos = i + 1
			return d.data[start:i], true
		}
	}
	d.fail()
	return nil, false
}

// Skip steps over one value of any kind.
func (d *Decoder) Skip() {
	d.pending = false
	switch c := d.peek(); {
	case c == '"':
		d.quoted()
	case c == '{' || c == '[':
		d.skipNested()
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
		d.literal()
	default:
		d.fail()
	}
}

func (d *Decoder) skipNested() {
	depth := 0
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case '"':
			d.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				d.pos++
				return
			}
		}
		d.pos++
	}
	d.fail()
}

// literal reads a number, true, false or null.
func (d *Decoder) literal() []byte {
	start := d.pos
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ',', '}', ']', ' ', '\n', '\r', '\t', ':':
			return d.data[start:d.pos]
		}
		d.pos++
	}
	return d.data[start:d.pos]
}

// scalar gives the bytes of a string or literal, unescaped; nil for null,
// objects and arrays. The bytes belong to the input.
func (d *Decoder) scalar() []byte {
	d.pending = false
	switch c := d.peek(); {
	case c == '"':
		raw, escaped := d.quoted()
		if escaped {
			return unescape(raw)
		}
		return raw
	case c == '{' || c == '[':
		d.skipNested()
		return nil
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f':
		return d.literal()
	case c == 'n':
		d.literal()
		return nil
	}
	d.fail()
	return nil
}

// Text reads a text; numbers and booleans read as they are written. Broken
// UTF-8 is repaired.
func (d *Decoder) Text() string {
	b := d.scalar()
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// Bytes is Text without a copy: the bytes belong to the input.
func (d *Decoder) Bytes() []byte { return d.scalar() }

// Int reads a whole number, quoted or not; anything else is 0.
func (d *Decoder) Int() int64 {
	b := d.scalar()
	var n int64
	negative := false
	for i, c := range b {
		switch {
		case i == 0 && c == '-':
			negative = true
		case c >= '0' && c <= '9' && n <= (math.MaxInt64-9)/10:
			n = n*10 + int64(c-'0')
		default:
			return 0
		}
	}
	if negative {
		return -n
	}
	return n
}

// Float reads a number, quoted or not; anything that is not finite is 0.
func (d *Decoder) Float() float64 {
	f, err := strconv.ParseFloat(string(d.scalar()), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// Bool reads true or "true"; anything else is false.
func (d *Decoder) Bool() bool { return string(d.scalar()) == "true" }

// Null tells whether the next value is null, and steps over it if it is.
func (d *Decoder) Null() bool {
	if d.peek() != 'n' {
		return false
	}
	d.Skip()
	return true
}

// Raw gives a copy of the next value as JSON, or nil if it is null or broken.
func (d *Decoder) Raw() []byte {
	part := d.Span()
	if part == nil || !json.Valid(part) {
		return nil
	}
	return bytes.Clone(part)
}

// Span gives the bytes of the next value, which belong to the input; nil if
// it is null.
func (d *Decoder) Span() []byte {
	if d.Null() {
		return nil
	}
	start := d.pos
	d.Skip()
	if d.bad {
		return nil
	}
	return d.data[start:d.pos]
}
