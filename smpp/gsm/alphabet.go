// Package gsm knows the characters of short messages: the GSM 7-bit alphabet
// with its national tables and UCS-2, how text is cut into parts, and how parts
// become text again.
//
// It is pure: no network, no clock, no state but the [Reassembler]'s. It does not
// know SMPP, except that septets are used one to an octet, as SMPP carries
// them; [Pack] makes the form of handsets.
//
// Start with [Split] to send, [Count] to price, [ParseHeader] and [DecodeText]
// to receive.
//
// The source is 3GPP TS 23.038 and, for user data headers, TS 23.040 section
// 9.2.3.24.
package gsm

import (
	"errors"
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

//go:generate go run generate.go

// Language is a national language identifier (23.038 section 6.2.1.2.4); 0 is
// the default alphabet.
type Language uint8

// The languages with national tables. Spanish has a single shift table only.
const (
	Default Language = iota
	Turkish
	Spanish
	Portuguese
	Bengali
	Gujarati
	Hindi
	Kannada
	Malayalam
	Oriya
	Punjabi
	Tamil
	Telugu
	Urdu
	languages
)

const escape = 0x1B

// entry is a character and its septet.
type entry struct {
	char   uint16
	septet byte
}

func find(table []entry, r rune) (byte, bool) {
	i := sort.Search(len(table), func(i int) bool { return rune(table[i].char) >= r })
	if i < len(table) && rune(table[i].char) == r {
		return table[i].septet, true
	}
	return 0, false
}

// An Alphabet is a pair of tables. The zero value is the default alphabet with
// its extension, which every phone and SMSC knows; others need a user data
// header, and an SMSC that agrees.
type Alphabet struct {
	Locking Language // instead of the default table
	Single  Language // instead of the extension table
}

func (a Alphabet) known() bool {
	return a.Locking < languages && a.Locking != Spanish && a.Single < languages
}

// septets returns how a character is written: not at all (n 0), as one septet,
// or as ESC and a septet.
func (a Alphabet) septets(r rune) (n int, septet byte) {
	if a.Locking == Default && r >= ' ' && r <= 'z' && r != '`' && r != '$' && r != '@' && (r < '[' || r > '_') {
		return 1, byte(r)
	}
	if s, ok := find(lockingReverse[a.Locking], r); ok {
		return 1, s
	}
	if s, ok := find(singleReverse[a.Single], r); ok {
		return 2, s
	}
	return 0, 0
}

// Append puts text behind dst, one septet to an octet. It is not ok, and dst
// comes back as it was, if the alphabet lacks a character.
func (a Alphabet) Append(dst []byte, text string) (septets []byte, ok bool) {
	if !a.known() {
		return dst, false
	}
	start := len(dst)
	for _, r := range text {
		n, s := a.septets(r)
		switch n {
		case 0:
			return dst[:start], false
		case 2:
			dst = append(dst, escape)
		}
		dst = append(dst, s)
	}
	return dst, true
}

// Decode reads septets, one to an octet. What no table knows is shown as
// 23.038 asks: an unknown septet after ESC as the one of the main table, a
// double ESC as a space. Octets above 0x7F, which are no septets, are read as
// Latin-1, which SMSCs that send them mean. Unknown languages read as default.
func (a Alphabet) Decode(septets []byte) string {
	if !a.known() {
		a = Alphabet{}
	}
	text := make([]byte, 0, len(septets)+8)
	for i := 0; i < len(septets); i++ {
		s := septets[i]
		var r rune
		switch {
		case s > 0x7F:
			r = rune(s)
		case s != escape:
			r = rune(locking[a.Locking][s])
		case i+1 == len(septets):
			continue
		case septets[i+1] == escape:
			i++
			r = ' '
		case septets[i+1] > 0x7F:
			continue
		default:
			i++
			if r = rune(single[a.Single][septets[i]]); r == 0 {
				r = rune(locking[a.Locking][septets[i]])
			}
		}
		if r == 0 {
			r = utf8.RuneError // an empty place in a national table
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text)
}

// Pack puts septets behind dst as handsets have them, eight in seven octets,
// lowest bits first. fill is the number of bits to leave free in front, which
// after a user data header is [FillBits].
func Pack(dst, septets []byte, fill int) []byte {
	var bits uint
	have := fill
	for _, s := range septets {
		bits |= uint(s&0x7F) << have
		for have += 7; have >= 8; have -= 8 {
			dst = append(dst, byte(bits))
			bits >>= 8
		}
	}
	if have > 0 && (have != fill || len(septets) > 0) {
		dst = append(dst, byte(bits))
	}
	return dst
}

// Unpack puts count septets behind dst, one to an octet; fill as in [Pack]. It
// stops early where octets end.
func Unpack(dst, octets []byte, count, fill int) []byte {
	var bits uint
	have := -fill
	for _, o := range octets {
		if have < 0 {
			bits, have = uint(o)>>-have, have+8
		} else {
			bits, have = bits|uint(o)<<have, have+8
		}
		for ; have >= 7; have -= 7 {
			if count <= 0 {
				return dst
			}
			dst = append(dst, byte(bits&0x7F))
			bits >>= 7
			count--
		}
	}
	return dst
}

// FillBits returns how many bits bring a header of this many octets to a
// septet's end.
func FillBits(header int) int { return (7 - header*8%7) % 7 }

// AppendUTF16 puts text behind dst as UTF-16 big endian, which is what UCS-2
// means today.
func AppendUTF16(dst []byte, text string) []byte {
	for _, r := range text {
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			dst = append(dst, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
		} else {
			dst = append(dst, byte(r>>8), byte(r))
		}
	}
	return dst
}

// DecodeUTF16 reads UTF-16 big endian. Lone surrogates and an odd last octet
// become U+FFFD.
func DecodeUTF16(b []byte) string {
	text := make([]byte, 0, len(b))
	for len(b) >= 2 {
		r := rune(b[0])<<8 | rune(b[1])
		b = b[2:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if len(b) >= 2 {
				low = rune(b[0])<<8 | rune(b[1])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				b = b[2:]
			}
		}
		text = utf8.AppendRune(text, r)
	}
	if len(b) > 0 {
		text = utf8.AppendRune(text, utf8.RuneError)
	}
	return string(text)
}

// ErrNotText means that a data_coding stands for octets, or for a character set
// this package does not know.
var ErrNotText = errors.New("gsm: data coding is not of text")

// DecodeText reads the octets behind the user data header by the data_coding
// of SMPP; a is what the header says (see [Header.Alphabet]). Codings 1 and 3
// are both read as Latin-1.
func DecodeText(coding uint8, octets []byte, a Alphabet) (string, error) {
	switch {
	case coding == 0, coding&0xFC == 0x10, coding&0xFC == 0xF0, coding&0xF0 == 0xC0, coding&0xF0 == 0xD0:
		return a.Decode(octets), nil
	case coding == 8, coding&0xFC == 0x18, coding&0xF0 == 0xE0:
		return DecodeUTF16(octets), nil
	case coding == 1, coding == 3:
		text := make([]byte, 0, len(octets)+8)
		for _, o := range octets {
			text = utf8.AppendRune(text, rune(o))
		}
		return string(text), nil
	}
	return "", ErrNotText
}
