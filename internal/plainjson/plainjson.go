// Package plainjson writes and walks through JSON objects of the form that Parley itself
// writes several times for every message: compact, whole numbers, names without
// escapes. It tells whether an object is of that form and well formed; any other
// is left to encoding/json, which knows all of JSON and takes its time.
//
// Start with [Walk].
package plainjson

import "encoding/json"

// maxDepth is how deep objects and arrays may stand in each other.
const maxDepth = 16

// Walk calls member for each member of an object in order, with its name and the
// JSON of its value, both parts of object. It reports whether the whole object is
// well formed and plain; member may have been called before it is found not to
// be. When member gives false the walk ends and so does Walk, with false.
func Walk(object []byte, member func(name, value []byte) bool) (plain bool) {
	s := scanner{b: object}
	return s.object(0, member) && s.i == len(s.b)
}

// Text gives what a string says, when it says it in ASCII and without escapes.
func Text(value []byte) (text []byte, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	text = value[1 : len(value)-1]
	for _, c := range text {
		if c == '\\' || c > '~' {
			return nil, false
		}
	}
	return text, true
}

// AppendText appends a string as JSON.
func AppendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				quoted = []byte(`""`) // a string always encodes
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

type scanner struct {
	b []byte
	i int
}

// next takes a byte that has to be there.
func (s *scanner) next(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) object(depth int, member func(name, value []byte) bool) bool {
	if depth > maxDepth || !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		from := s.i + 1
		if !s.text(false) {
			return false
		}
		name := s.b[from : s.i-1]
		if !s.next(':') {
			return false
		}
		from = s.i
		if !s.value(depth) || member != nil && !member(name, s.b[from:s.i]) {
			return false
		}
		if !s.next(',') {
			return s.next('}')
		}
	}
}

func (s *scanner) array(depth int) bool {
	if depth > maxDepth || !s.next('[') {
		return false
	}
	if s.next(']') {
		return true
	}
	for {
		if !s.value(depth) {
			return false
		}
		if !s.next(',') {
			return s.next(']')
		}
	}
}

func (s *scanner) value(depth int) bool {
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"':
		return s.text(true)
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth + 1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// number takes a whole number.
func (s *scanner) number() bool {
	s.next('-')
	if s.next('0') {
		return true // a digit behind it is found to be no end of a member
	}
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

// text takes a string.
func (s *scanner) text(escapes bool) bool {
	if !s.next('"') {
		return false
	}
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return true
		case c < ' ':
			return false
		case c == '\\' && (!escapes || !s.escape()):
			return false
		}
	}
	return false
}

// escape takes what follows a backslash.
func (s *scanner) escape() bool {
	if s.i >= len(s.b) {
		return false
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.i >= len(s.b) || !hex(s.b[s.i]) {
				return false
			}
			s.i++
		}
		return true
	default:
		return false
	}
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
