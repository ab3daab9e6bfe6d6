package gsm

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzDecodeText(f *testing.F) {
	f.Add(uint8(0), []byte("Price: 10\x1be"), uint8(1), uint8(1))
	f.Add(uint8(8), []byte("\x00O\xd8\x3d\xdc\x4d"), uint8(0), uint8(200))
	f.Fuzz(func(t *testing.T, coding uint8, b []byte, l, s uint8) {
		text, err := DecodeText(coding, b, Alphabet{Language(l), Language(s)})
		if err == nil && !utf8.ValidString(text) {
			t.Fatalf("%q", text)
		}
		septets := Unpack(nil, b, len(b)*8/7, 0)
		if again := Pack(nil, septets, 0); !bytes.HasPrefix(b, again[:len(again)*7/8]) {
			t.Fatalf("%x packed again %x", b, again)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	f.Add(unhex(f, "0b05040b8423f00003a7020161"))
	f.Add(unhex(f, "08000309010124010178"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := ParseHeader(b)
		if err != nil {
			return
		}
		n := 1
		for _, e := range h {
			n += 2 + len(e.Data)
		}
		if n+len(rest) != len(b) {
			t.Fatalf("%d octets of %d", n+len(rest), len(b))
		}
		h.Concat()
		h.Ports()
		h.Alphabet().Decode(rest)
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("it’s 10€", uint8(1))
	f.Fuzz(func(t *testing.T, text string, l uint8) {
		m, err := Split(text, Options{Languages: []Language{Language(l)}})
		if err != nil {
			return
		}
		var whole string
		for _, s := range m.Segments {
			whole += s.Text
		}
		if whole != text {
			t.Fatalf("%q became %q", text, whole)
		}
		if plain, ok := Plain(text); ok {
			if encoding, _, _ := Count(plain); encoding != GSM7 {
				t.Fatalf("%q is not plain", plain)
			}
		}
	})
}

func BenchmarkCount(b *testing.B) {
	for name, text := range map[string]string{
		"short ascii": "Your code is 123456. Do not share it.", "two parts": strings.Repeat("Grüße ", 30), "arabic": strings.Repeat("م", 70),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Count(text)
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Repeat("Grüße ", 30)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Split(text, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
