package smpp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"valid", "malformed"} {
		for _, v := range vectors(f, kind) {
			f.Add(unhex(f, v.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		p, err := Decode(b)
		if err != nil {
			return
		}
		if m, ok := p.Body.(*DeliverSM); ok {
			m.Receipt()
		}
		again, err := p.Append(nil)
		if err != nil {
			t.Fatalf("decoded %+v cannot be encoded: %v", p, err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("input changed")
		}
	})
}

func FuzzReader(f *testing.F) {
	for _, v := range vectors(f, "valid") {
		f.Add(unhex(f, v.Hex+v.Hex), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var parts [][]byte
		for n := int(step) + 1; len(b) > 0; b = b[min(n, len(b)):] {
			parts = append(parts, b[:min(n, len(b))])
		}
		r := NewReader(&chunks{parts}, 1024)
		for {
			p, err := r.Next()
			if err != nil {
				return
			}
			if len(p) < HeaderSize || len(p) > 1024 {
				t.Fatalf("%d octets", len(p))
			}
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	f.Add("id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000 text:Hello")
	f.Add("Text:id:1 stat:2")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ParseReceipt(text)
		if ok != (r.ID != "" || r.Stat != "") {
			t.Fatalf("%+v %v", r, ok)
		}
		IDSpellings(r.ID)
	})
}
