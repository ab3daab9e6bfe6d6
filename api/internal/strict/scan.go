package strict

import (
	"encoding"
	"math"
	"reflect"
	"strconv"
)

const maxDepth = 32

type scanner struct {
	b []byte
	i int
}

func (s *scanner) malformed(want string) *Fault {
	return &Fault{Class: Malformed, Want: "the body is not valid JSON (byte " + strconv.Itoa(s.i) + "): " + want}
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// kind tells the type of the next value; ok is false for null and for what is
// no value at all.
func (s *scanner) kind() (k Kind, ok bool) {
	if s.i >= len(s.b) {
		return 0, false
	}
	switch c := s.b[s.i]; {
	case c == '"':
		return String, true
	case c == '{':
		return Object, true
	case c == '[':
		return Array, true
	case c == 't' || c == 'f':
		return Bool, true
	case c == '-' || c >= '0' && c <= '9':
		return Number, true
	}
	return 0, false
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i >= len(w) && string(s.b[s.i:s.i+len(w)]) == w {
		s.i += len(w)
		return true
	}
	return false
}

// value decodes the next value. Faults get their path on the way back.
func (s *scanner) value(n *node, v reflect.Value, depth int) *Fault {
	if depth > maxDepth {
		return s.malformed("nested too deeply")
	}
	k, ok := s.kind()
	if !ok {
		if s.word("null") {
			return nil
		}
		return s.malformed("a value is expected")
	}
	switch n.shape {
	case asPointer:
		p := reflect.New(n.elem.typ)
		if err := s.value(n.elem, p.Elem(), depth); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case asEither:
		to := n.either[k]
		if to == nil {
			return s.wrong(n, depth)
		}
		return s.value(to, reflect.ValueOf(v.Addr().Interface().(Either).Either(k)).Elem(), depth)
	case asRaw:
		from := s.i
		if err := s.skip(depth); err != nil {
			return err
		}
		v.SetBytes(append([]byte(nil), s.b[from:s.i]...))
		return nil
	}
	switch {
	case k == String && (n.shape == asString || n.shape == asText):
		return s.text(n, v)
	case k == Object && n.shape == asStruct:
		return s.object(n, v, depth)
	case k == Object && n.shape == asMap:
		return s.dictionary(n, v, depth)
	case k == Array && n.shape == asSlice:
		return s.array(n, v, depth)
	case k == Bool && n.shape == asBool:
		switch {
		case s.word("true"):
			v.SetBool(true)
		case s.word("false"):
			v.SetBool(false)
		default:
			return s.malformed("a value is expected")
		}
		return nil
	case k == Number && (n.shape == asInt || n.shape == asUint || n.shape == asFloat):
		return s.number(n, v)
	}
	return s.wrong(n, depth)
}

// wrong tells of a value of another type, unless it is no JSON at all.
func (s *scanner) wrong(n *node, depth int) *Fault {
	if err := s.skip(depth); err != nil {
		return err
	}
	return &Fault{Class: Type, Want: "must be " + n.want}
}

func (s *scanner) text(n *node, v reflect.Value) *Fault {
	raw, err := s.str()
	if err != nil {
		return err
	}
	if n.shape == asString {
		v.SetString(string(raw))
		return nil
	}
	into := v.Addr().Interface()
	if err := into.(encoding.TextUnmarshaler).UnmarshalText(raw); err != nil {
		return &Fault{Class: Value, Want: hint(into, err)}
	}
	return nil
}

func (s *scanner) object(n *node, v reflect.Value, depth int) *Fault {
	s.i++
	var seen uint64
	next := 0
	for first := true; ; first = false {
		key, end, err := s.key(first)
		if err != nil || end {
			return err
		}
		at := -1
		// Clients write fields in the documented order more often than not.
		for j := range n.fields {
			if k := (next + j) % len(n.fields); n.fields[k].name == string(key) {
				at = k
				break
			}
		}
		if at < 0 {
			return &Fault{Class: Unknown, Path: printable(key), Want: "is not a field of this request"}
		}
		f := &n.fields[at]
		if seen&(1<<at) != 0 {
			return &Fault{Class: Twice, Path: f.name, Want: "is given twice"}
		}
		seen |= 1 << at
		next = at + 1
		if err := s.value(f.node, v.Field(f.at), depth+1); err != nil {
			return err.under(f.name)
		}
	}
}

func (s *scanner) dictionary(n *node, v reflect.Value, depth int) *Fault {
	s.i++
	m := reflect.MakeMap(n.typ)
	elem := reflect.New(n.elem.typ).Elem()
	for first := true; ; first = false {
		key, end, err := s.key(first)
		if err != nil {
			return err
		}
		if end {
			v.Set(m)
			return nil
		}
		name := reflect.ValueOf(string(key)).Convert(n.typ.Key())
		if m.MapIndex(name).IsValid() {
			return &Fault{Class: Twice, Path: printable(key), Want: "is given twice"}
		}
		elem.SetZero()
		err = nil
		if s.i < len(s.b) && s.b[s.i] == 'n' {
			err = s.wrong(n.elem, depth)
		} else {
			err = s.value(n.elem, elem, depth+1)
		}
		if err != nil {
			return err.under(printable([]byte(name.String())))
		}
		m.SetMapIndex(name, elem)
	}
}

// key reads the next key of an object up to its value.
func (s *scanner) key(first bool) (key []byte, end bool, err *Fault) {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == '}' {
		s.i++
		return nil, true, nil
	}
	if !first {
		if s.i >= len(s.b) || s.b[s.i] != ',' {
			return nil, false, s.malformed("a comma or a closing brace is expected")
		}
		s.i++
		s.space()
	}
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return nil, false, s.malformed("a field name is expected")
	}
	if key, err = s.str(); err != nil {
		return nil, false, err
	}
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != ':' {
		return nil, false, s.malformed("a colon is expected")
	}
	s.i++
	s.space()
	return key, false, nil
}

func (s *scanner) array(n *node, v reflect.Value, depth int) *Fault {
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		v.Set(reflect.MakeSlice(n.typ, 0, 0))
		return nil
	}
	for at := 0; ; at++ {
		v.Grow(1)
		v.SetLen(at + 1)
		if err := s.value(n.elem, v.Index(at), depth+1); err != nil {
			return err.at(at)
		}
		s.space()
		if s.i >= len(s.b) {
			return s.malformed("a comma or a closing bracket is expected")
		}
		c := s.b[s.i]
		if c != ',' && c != ']' {
			return s.malformed("a comma or a closing bracket is expected")
		}
		s.i++
		if c == ']' {
			return nil
		}
		s.space()
	}
}

func (s *scanner) number(n *node, v reflect.Value) *Fault {
	from := s.i
	if err := s.skipNumber(); err != nil {
		return err
	}
	text := string(s.b[from:s.i])
	wrong := &Fault{Class: Type, Want: "must be " + n.want}
	switch n.shape {
	case asInt:
		x, err := strconv.ParseInt(text, 10, n.typ.Bits())
		if err != nil {
			return wrong
		}
		v.SetInt(x)
	case asUint:
		x, err := strconv.ParseUint(text, 10, n.typ.Bits())
		if err != nil {
			return wrong
		}
		v.SetUint(x)
	default:
		x, err := strconv.ParseFloat(text, n.typ.Bits())
		if err != nil || math.IsInf(x, 0) {
			return wrong
		}
		v.SetFloat(x)
	}
	return nil
}

// skipNumber reads a number by the grammar of RFC 8259.
func (s *scanner) skipNumber() *Fault {
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i > from
	}
	is := func(c byte) bool {
		if s.i < len(s.b) && s.b[s.i] == c {
			s.i++
			return true
		}
		return false
	}
	is('-')
	if is('0') {
		if s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			return s.malformed("a number begins with a zero")
		}
	} else if !digits() {
		return s.malformed("a digit is expected")
	}
	if is('.') && !digits() {
		return s.malformed("a digit is expected")
	}
	if is('e') || is('E') {
		if !is('+') {
			is('-')
		}
		if !digits() {
			return s.malformed("a digit is expected")
		}
	}
	return nil
}

// skip passes over any value.
func (s *scanner) skip(depth int) *Fault {
	if depth > maxDepth {
		return s.malformed("nested too deeply")
	}
	k, ok := s.kind()
	switch {
	case !ok && s.word("null"):
		return nil
	case !ok:
		return s.malformed("a value is expected")
	case k == String:
		_, err := s.str()
		return err
	case k == Number:
		return s.skipNumber()
	case k == Bool:
		if s.word("true") || s.word("false") {
			return nil
		}
		return s.malformed("a value is expected")
	case k == Object:
		s.i++
		for first := true; ; first = false {
			_, end, err := s.key(first)
			if err != nil || end {
				return err
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
	}
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		s.space()
		if s.i < len(s.b) && s.b[s.i] == ']' {
			s.i++
			return nil
		}
		if s.i >= len(s.b) || s.b[s.i] != ',' {
			return s.malformed("a comma or a closing bracket is expected")
		}
		s.i++
		s.space()
	}
}

func (f *Fault) under(name string) *Fault {
	if f.Class == Malformed {
		return f
	}
	switch {
	case f.Path == "":
		f.Path = name
	case f.Path[0] == '[':
		f.Path = name + f.Path
	default:
		f.Path = name + "." + f.Path
	}
	return f
}

func (f *Fault) at(i int) *Fault { return f.under("[" + strconv.Itoa(i) + "]") }

// printable shows a field name that a client made up: short and harmless.
func printable(name []byte) string {
	out := make([]byte, 0, len(name))
	for _, c := range name[:min(len(name), 40)] {
		if c < 0x20 || c > 0x7e || c == '"' || c == '<' || c == '>' {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}
