package gsm

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Every national table alone and both together, at the last septet of one part,
// of two parts, and one behind: exact counts, and every part reads back alone.
func TestNationalBoundaries(t *testing.T) {
	tried := 0
	for l := Language(1); l < languages; l++ {
		for _, c := range []struct {
			a            Alphabet
			single, part int
		}{{Alphabet{Single: l}, 155, 149}, {Alphabet{Locking: l}, 155, 149}, {Alphabet{Locking: l, Single: l}, 152, 146}} {
			if !c.a.known() {
				continue // Spanish has no locking table
			}
			one, ok := filler(c.a)
			if !ok {
				continue // the table holds nothing that fewer tables could not write
			}
			need, _ := c.a.septets(one)
			for _, septets := range []int{c.single, c.single + 1, 2 * c.part, 2*c.part + 1} {
				text := string(one) + pad(c.a, septets-need)
				m := coder{alphabet: c.a}
				units, parts, ok := m.measure(text, UDH8)
				want := 1
				if septets > c.single {
					want = (septets + c.part - 1) / c.part
				}
				if !ok || units != septets || parts != want {
					t.Errorf("%+v, %d septets: %d in %d parts, want %d", c.a, septets, units, parts, want)
				}
				split, err := Split(text, Options{Languages: []Language{l}})
				if err != nil || split.Encoding != GSM7 {
					continue // another way takes no more parts
				}
				tried++
				var read strings.Builder
				for _, s := range split.Segments {
					h, rest := Header(nil), s.Octets
					if len(s.Header) > 0 {
						if h, rest, err = ParseHeader(s.Octets); err != nil {
							t.Fatal(err)
						}
					}
					if got := len(s.Header) + (len(rest)*7+7)/8; got > 140 {
						t.Errorf("%+v: %d octets on the air", c.a, got)
					}
					read.WriteString(h.Alphabet().Decode(rest))
				}
				if read.String() != text {
					t.Errorf("%+v: %q became %q", c.a, text, read.String())
				}
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d texts were split", tried)
	}
}

// filler gives a character that a needs all of its tables for.
func filler(a Alphabet) (rune, bool) {
	for r := rune(0x80); r < 0x2000; r++ {
		n, _ := a.septets(r)
		if n == 0 {
			continue
		}
		fewer := 0
		for _, b := range []Alphabet{{}, {Single: a.Single}, {Locking: a.Locking}} {
			if b != a {
				m, _ := b.septets(r)
				fewer = max(fewer, m)
			}
		}
		if fewer == 0 || a.Single != Default && a.Locking != Default {
			return r, true
		}
	}
	return 0, false
}

// pad gives a text of n septets.
func pad(a Alphabet, n int) string {
	for _, r := range "a1 \n" {
		if cost, _ := a.septets(r); cost == 1 {
			return strings.Repeat(string(r), n)
		}
	}
	panic("no character of one septet")
}

// An emoji of several code points may end up in two parts, which phones put
// together before they show it; a surrogate pair never does.
func TestEmojiAtBoundaries(t *testing.T) {
	for name, emoji := range map[string]string{
		"family (ZWJ)": "👨‍👩‍👧‍👦", "flag": "🇫🇷", "skin": "👍🏽", "keycap": "1️⃣", "heart": "❤️", "pirate (ZWJ)": "🏴‍☠️",
	} {
		for before := range 140 {
			text := strings.Repeat("ш", before) + emoji + strings.Repeat("ш", 10)
			for _, concat := range []Concat{UDH8, UDH16, SAR} {
				m, err := Split(text, Options{Concat: concat})
				if err != nil {
					t.Fatal(err)
				}
				room := 67
				if concat == UDH16 {
					room = 66
				}
				var whole strings.Builder
				for i, s := range m.Segments {
					if len(m.Segments) > 1 && (s.Units > room || i < len(m.Segments)-1 && s.Units < room-1) {
						t.Fatalf("%s after %d: part %d has %d units", name, before, i, s.Units)
					}
					octets := s.Octets[len(s.Header):]
					if piece := DecodeUTF16(octets); piece != s.Text || !utf8.ValidString(s.Text) || strings.ContainsRune(piece, utf8.RuneError) {
						t.Fatalf("%s after %d: part %d reads %q", name, before, i, piece)
					}
					whole.WriteString(s.Text)
				}
				if whole.String() != text {
					t.Fatalf("%s after %d: %q", name, before, whole.String())
				}
			}
		}
	}
}
