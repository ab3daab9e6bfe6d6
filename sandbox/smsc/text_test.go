package smsc

import (
	"bytes"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), []byte{5, 0, 3, 1, 2, 1, 'a', 0x1B, 0x65, 0x1B})
	f.Add(uint8(8), []byte{6, 8, 4, 0, 1, 2, 2, 0xD8, 0x3D, 0xDC})
	f.Add(uint8(4), []byte{255})
	f.Fuzz(func(t *testing.T, coding uint8, b []byte) {
		h, text := splitHeader(b)
		if h.number > h.total || h.number < 0 || len(text) > len(b) {
			t.Fatalf("%+v of %x", h, b)
		}
		if s := decodeText(coding, text); !utf8.ValidString(s) {
			t.Fatalf("%q of %x", s, b)
		}
		parseTime(string(b), time.Unix(0, 0))
	})
}

func TestAlphabetComesBack(t *testing.T) {
	for i, r := range gsmTable {
		if i == escape {
			continue
		}
		b, ok := encodeGSM(string(r))
		if !ok || !bytes.Equal(b, []byte{byte(i)}) || decodeGSM(b) != string(r) {
			t.Errorf("%q became %x", r, b)
		}
	}
	for _, r := range gsmExtension {
		if b, ok := encodeGSM(string(r)); !ok || decodeGSM(b) != string(r) {
			t.Errorf("%q became %x", r, b)
		}
	}
	if _, ok := encodeGSM("`"); ok {
		t.Error("the back-tick is not in the alphabet")
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"000001020304000R": now.Add(26*time.Hour + 3*time.Minute + 4*time.Second),
		"260301140000008+": now,
		"260301100000008-": now,
	} {
		if got, ok := parseTime(text, now); !ok || !got.Equal(want) {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "26030114000000 8", "2603011400000x8+", "260301140000099+"} {
		if at, ok := parseTime(text, now); ok {
			t.Errorf("%s: %v", text, at)
		}
	}
}
