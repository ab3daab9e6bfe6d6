package strict

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string. The result may be a piece of the input: copy it.
func (s *scanner) str() ([]byte, *Fault) {
	s.i++
	from := s.i
	plain := true
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			out := s.b[from:s.i]
			s.i++
			if plain {
				return out, nil
			}
			if !utf8.Valid(out) {
				return nil, s.malformed("a string is not UTF-8")
			}
			return s.unescape(out)
		case c == '\\':
			plain = false
			s.i += 2
		case c < 0x20:
			return nil, s.malformed("a string holds a control character")
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && size == 1 {
				return nil, s.malformed("a string is not UTF-8")
			}
			s.i += size
		default:
			s.i++
		}
	}
	return nil, s.malformed("a string does not end")
}

func (s *scanner) unescape(in []byte) ([]byte, *Fault) {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		c := in[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++ // str made sure that something follows
		switch in[i] {
		case '"', '\\', '/':
			out = append(out, in[i])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(in[i+1:])
			if !ok {
				return nil, s.malformed("four hexadecimal digits must follow \\u")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				if i+2 >= len(in) || in[i+1] != '\\' || in[i+2] != 'u' {
					return nil, s.malformed("half a surrogate pair")
				}
				low, ok := hex4(in[i+3:])
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return nil, s.malformed("half a surrogate pair")
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, s.malformed("an unknown escape in a string")
		}
	}
	return out, nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
