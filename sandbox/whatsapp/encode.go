package whatsapp

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string in the form Meta sends and signs:
// everything outside ASCII as \uXXXX with lower-case hex, slashes as \/ (wire
// facts, section 1.1).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '/' {
			i++
			continue
		}
		b = append(b, s[plain:i]...)
		size := 1
		switch {
		case c == '"' || c == '\\' || c == '/':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c < 0x20:
			b = appendUnit(b, uint16(c))
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if r > 0xFFFF {
				high, low := utf16.EncodeRune(r)
				b = appendUnit(appendUnit(b, uint16(high)), uint16(low))
			} else {
				b = appendUnit(b, uint16(r))
			}
		}
		i += size
		plain = i
	}
	return append(append(b, s[plain:]...), '"')
}

func appendUnit(b []byte, u uint16) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// appendMember appends "key":"text", after a comma unless it is the first of
// its object.
func appendMember(b []byte, key, text string) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return appendString(b, text)
}

// appendValue appends a parsed value in Meta's form.
func appendValue(b []byte, v *value) []byte {
	switch v.kind {
	case isString:
		return appendString(b, v.str)
	case isObject:
		b = append(b, '{')
		for i := range v.vals {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, v.keys[i]), ':')
			b = appendValue(b, &v.vals[i])
		}
		return append(b, '}')
	case isArray:
		b = append(b, '[')
		for i := range v.vals {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, &v.vals[i])
		}
		return append(b, ']')
	case isNumber, isBool:
		return append(b, v.str...)
	}
	return append(b, "null"...)
}
