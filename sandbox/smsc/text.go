package smsc

import (
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// gsmDefault is the GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1); the
// escape at 0x1B is a space that no lookup reaches.
const gsmDefault = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// gsmTable is gsmDefault by code; nobody writes it.
var gsmTable = [128]rune([]rune(gsmDefault))

// gsmExtension is what follows an escape (23.038, 6.2.1.1).
var gsmExtension = map[byte]rune{0x0A: '\f', 0x14: '^', 0x28: '{', 0x29: '}', 0x2F: '\\', 0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|', 0x65: '€'}

const escape = 0x1B

// decodeText reads the characters of a message by its data_coding.
func decodeText(coding uint8, b []byte) string {
	switch {
	case coding == 8 || coding&0xFC == 0x18:
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		return string(utf16.Decode(units))
	case coding == 1 || coding == 3:
		var s strings.Builder
		for _, c := range b {
			s.WriteRune(rune(c))
		}
		return s.String()
	case coding == 0 || coding&0xFC == 0x10 || coding&0xF4 == 0xF0:
		return decodeGSM(b)
	}
	return hex.EncodeToString(b)
}

func decodeGSM(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i++ {
		c := b[i] & 0x7F
		if c == escape && i+1 < len(b) {
			i++
			if r, ok := gsmExtension[b[i]&0x7F]; ok {
				s.WriteRune(r)
				continue
			}
			c = b[i] & 0x7F
		}
		s.WriteRune(gsmTable[c])
	}
	return s.String()
}

// encodeGSM returns the septets of a text, one in an octet; ok is false when a
// character is not in the alphabet.
func encodeGSM(text string) (septets []byte, ok bool) {
	codes := map[rune][]byte{}
	for i, r := range gsmTable {
		if i != escape {
			codes[r] = []byte{byte(i)}
		}
	}
	for b, r := range gsmExtension {
		codes[r] = []byte{escape, b}
	}
	for _, r := range text {
		c, ok := codes[r]
		if !ok {
			return nil, false
		}
		septets = append(septets, c...)
	}
	return septets, true
}

// encodeParts splits the text of a person as a phone does: GSM 7-bit when it
// can, else UCS-2; parts carry a header with an 8-bit reference.
func encodeParts(text string, ref byte) (coding uint8, parts [][]byte) {
	body, ok := encodeGSM(text)
	single, part := 160, 153
	if !ok {
		coding, single, part = 8, 140, 134
		for _, u := range utf16.Encode([]rune(text)) {
			body = append(body, byte(u>>8), byte(u))
		}
	}
	if len(body) <= single {
		return coding, [][]byte{body}
	}
	for len(body) > 0 {
		n := min(part, len(body))
		if n < len(body) && coding == 0 && body[n-1] == escape {
			n-- // an escape pair stays together
		}
		if n < len(body) && coding == 8 && body[n-2]&0xFC == 0xD8 {
			n -= 2 // and so does a surrogate pair
		}
		parts = append(parts, body[:n])
		body = body[n:]
	}
	for i, p := range parts {
		parts[i] = append([]byte{5, 0, 3, ref, byte(len(parts)), byte(i + 1)}, p...)
	}
	return coding, parts
}

// header is what a user data header says of a part.
type header struct{ ref, total, number int }

// splitHeader takes the user data header off a message; a broken one is taken
// for text, as phones do.
func splitHeader(b []byte) (header, []byte) {
	if len(b) == 0 || int(b[0])+1 > len(b) {
		return header{}, b
	}
	var h header
	text := b[int(b[0])+1:]
	for ies := b[1 : int(b[0])+1]; len(ies) >= 2 && len(ies) >= 2+int(ies[1]); ies = ies[2+int(ies[1]):] {
		v := ies[2 : 2+int(ies[1])]
		switch {
		case ies[0] == 0x00 && len(v) == 3:
			h = header{int(v[0]), int(v[1]), int(v[2])}
		case ies[0] == 0x08 && len(v) == 4:
			h = header{int(v[0])<<8 | int(v[1]), int(v[2]), int(v[3])}
		}
	}
	if h.number < 1 || h.number > h.total {
		return header{}, text
	}
	return h, text
}
