package whatsapp

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is what a JSON value is. An explicit null in an object is dropped while
// parsing, since the Graph API reads it as absent (wire facts, section 1).
type kind byte

const (
	absent kind = iota
	isString
	isNumber
	isBool
	isObject
	isArray
	isNull
)

// value is one parsed JSON value. Strings without escapes share the memory of
// the document.
type value struct {
	kind kind
	str  string // of a string; the literal of a number or bool
	raw  string // the document's own bytes of this value
	keys []string
	vals []value // of an object, as keys; of an array
}

var errJSON = errors.New("malformed JSON")

const maxDepth = 24

type parser struct {
	doc string
	pos int
}

// parse reads exactly one JSON document.
func parse(doc string) (value, error) {
	p := parser{doc: doc}
	v, err := p.value(0)
	if err != nil {
		return value{}, err
	}
	p.space()
	if p.pos != len(doc) {
		return value{}, errJSON
	}
	return v, nil
}

// get returns a member of an object; absent when it is not there.
func (v *value) get(key string) *value {
	for i := range v.keys {
		if v.keys[i] == key {
			return &v.vals[i]
		}
	}
	return &none
}

// none is what get returns for a member that is not there; nobody writes it.
var none value

// text returns the string value of a member, or "".
func (v *value) text(key string) string {
	if m := v.get(key); m.kind == isString {
		return m.str
	}
	return ""
}

func (v *value) has(key string) bool {
	return v.get(key).kind != absent
}

// runes counts the characters of a string value.
func runes(s string) int { return utf8.RuneCountInString(s) }

func (p *parser) space() {
	for p.pos < len(p.doc) {
		switch p.doc[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errJSON
	}
	p.space()
	if p.pos >= len(p.doc) {
		return value{}, errJSON
	}
	start := p.pos
	var v value
	var err error
	switch c := p.doc[p.pos]; {
	case c == '"':
		v.kind = isString
		v.str, err = p.str()
	case c == '{':
		err = p.object(&v, depth)
	case c == '[':
		err = p.array(&v, depth)
	case c == 't':
		err = p.word(&v, "true", isBool)
	case c == 'f':
		err = p.word(&v, "false", isBool)
	case c == 'n':
		err = p.word(&v, "null", isNull)
	case c == '-' || c >= '0' && c <= '9':
		err = p.number(&v)
	default:
		err = errJSON
	}
	v.raw = p.doc[start:p.pos]
	return v, err
}

func (p *parser) word(v *value, word string, k kind) error {
	if !strings.HasPrefix(p.doc[p.pos:], word) {
		return errJSON
	}
	p.pos += len(word)
	v.kind, v.str = k, word
	return nil
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.doc) && p.doc[p.pos] >= '0' && p.doc[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) number(v *value) error {
	start := p.pos
	if p.doc[p.pos] == '-' {
		p.pos++
	}
	if p.pos < len(p.doc) && p.doc[p.pos] == '0' {
		p.pos++
	} else if !p.digits() {
		return errJSON
	}
	if p.pos < len(p.doc) && p.doc[p.pos] == '.' {
		p.pos++
		if !p.digits() {
			return errJSON
		}
	}
	if p.pos < len(p.doc) && (p.doc[p.pos] == 'e' || p.doc[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.doc) && (p.doc[p.pos] == '+' || p.doc[p.pos] == '-') {
			p.pos++
		}
		if !p.digits() {
			return errJSON
		}
	}
	v.kind, v.str = isNumber, p.doc[start:p.pos]
	return nil
}

func (p *parser) object(v *value, depth int) error {
	v.kind = isObject
	p.pos++
	p.space()
	if p.pos < len(p.doc) && p.doc[p.pos] == '}' {
		p.pos++
		return nil
	}
	for {
		p.space()
		if p.pos >= len(p.doc) || p.doc[p.pos] != '"' {
			return errJSON
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		p.space()
		if p.pos >= len(p.doc) || p.doc[p.pos] != ':' {
			return errJSON
		}
		p.pos++
		m, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if v.keys == nil {
			v.keys, v.vals = make([]string, 0, 6), make([]value, 0, 6)
		}
		if m.kind != isNull {
			v.keys, v.vals = append(v.keys, key), append(v.vals, m)
		}
		if more, err := p.next('}'); !more {
			return err
		}
	}
}

func (p *parser) array(v *value, depth int) error {
	v.kind = isArray
	p.pos++
	p.space()
	if p.pos < len(p.doc) && p.doc[p.pos] == ']' {
		p.pos++
		return nil
	}
	for {
		m, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.vals = append(v.vals, m)
		if more, err := p.next(']'); !more {
			return err
		}
	}
}

// next reads a comma (more follows) or the closing character.
func (p *parser) next(closing byte) (bool, error) {
	p.space()
	if p.pos >= len(p.doc) {
		return false, errJSON
	}
	c := p.doc[p.pos]
	p.pos++
	switch c {
	case ',':
		return true, nil
	case closing:
		return false, nil
	}
	return false, errJSON
}

// str reads a string, its opening quote being at pos.
func (p *parser) str() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.doc) {
		switch c := p.doc[p.pos]; {
		case c == '"':
			s := p.doc[start:p.pos]
			p.pos++
			if !utf8.ValidString(s) {
				s = string([]rune(s)) // one U+FFFD for each bad octet
			}
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", errJSON
		}
		p.pos++
	}
	return "", errJSON
}

var simpleEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads on from the first backslash of a string that began at start.
func (p *parser) escaped(start int) (string, error) {
	b := []byte(p.doc[start:p.pos])
	for p.pos < len(p.doc) {
		c := p.doc[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string([]rune(string(b))), nil
		case c < 0x20:
			return "", errJSON
		case c != '\\':
			b = append(b, c)
			continue
		}
		if p.pos >= len(p.doc) {
			return "", errJSON
		}
		e := p.doc[p.pos]
		p.pos++
		if e != 'u' {
			if simpleEscapes[e] == 0 {
				return "", errJSON
			}
			b = append(b, simpleEscapes[e])
			continue
		}
		r, err := p.hex4()
		if err != nil {
			return "", err
		}
		if utf16.IsSurrogate(r) && strings.HasPrefix(p.doc[p.pos:], `\u`) {
			back := p.pos
			p.pos += 2
			low, err := p.hex4()
			if err != nil {
				return "", err
			}
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				r = full
			} else {
				p.pos = back
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return "", errJSON
}

func (p *parser) hex4() (rune, error) {
	if p.pos+4 > len(p.doc) {
		return 0, errJSON
	}
	n, err := strconv.ParseUint(p.doc[p.pos:p.pos+4], 16, 32)
	if err != nil || strings.ContainsAny(p.doc[p.pos:p.pos+4], "+-_") {
		return 0, errJSON
	}
	p.pos += 4
	return rune(n), nil
}
