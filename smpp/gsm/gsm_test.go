package gsm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func load(tb testing.TB, name string, into any) {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		tb.Fatal(err)
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestTables(t *testing.T) {
	var facts struct {
		Default, Extension map[string]string
		Locking, Single    map[string]struct{ Map map[string]string }
	}
	load(t, "gsm7_tables.json", &facts)
	check := func(name string, want map[string]string, got [128]uint16, back []entry) {
		t.Helper()
		filled := 0
		for s, c := range got {
			if c == 0 {
				continue
			}
			filled++
			if again, ok := find(back, rune(c)); !ok || got[again] != c {
				t.Errorf("%s: %04X has no way back", name, c)
			}
			n, _ := strconv.ParseUint(want[hex.EncodeToString([]byte{byte(s)})], 16, 16)
			if uint64(c) != n {
				t.Errorf("%s: septet %02x is %04X, want %04X", name, s, c, n)
			}
		}
		if filled != len(want) {
			t.Errorf("%s: %d characters, want %d", name, filled, len(want))
		}
	}
	check("default", facts.Default, locking[0], lockingReverse[0])
	check("extension", facts.Extension, single[0], singleReverse[0])
	for l := range languages - 1 {
		id := strconv.Itoa(int(l + 1))
		check("single "+id, facts.Single[id].Map, single[l+1], singleReverse[l+1])
		check("locking "+id, facts.Locking[id].Map, locking[l+1], lockingReverse[l+1])
	}
}

func TestPackingVectors(t *testing.T) {
	var facts struct {
		Packing []struct {
			Text     string
			Septets  int
			Unpacked string `json:"unpacked_hex"`
			Packed   string `json:"packed_hex"`
			UDH      string `json:"udh_hex"`
			Fill     int    `json:"fill_bits"`
			UserData string `json:"tp_ud_hex"`
			Length   int    `json:"tp_udl_septets"`
			Octets   int
		}
	}
	load(t, "gsm7_vectors.json", &facts)
	if len(facts.Packing) != 12 {
		t.Fatalf("%d vectors", len(facts.Packing))
	}
	for _, v := range facts.Packing {
		septets, ok := Alphabet{}.Append(nil, v.Text)
		if !ok {
			t.Fatalf("%q cannot be written", v.Text)
		}
		udh := unhex(t, v.UDH)
		fill := FillBits(len(udh))
		want := v.Packed + v.UserData
		if v.UDH == "" {
			if hex.EncodeToString(septets) != v.Unpacked {
				t.Errorf("%q: %x, want %s", v.Text, septets, v.Unpacked)
			}
		} else if n := (len(udh)*8+6)/7 + len(septets); fill != v.Fill || n != v.Length {
			t.Errorf("%s: fill %d, %d septets, want %d, %d", v.UDH, fill, n, v.Fill, v.Length)
		}
		packed := Pack(bytes.Clone(udh), septets, fill)
		if hex.EncodeToString(packed) != want || len(packed) != v.Octets {
			t.Errorf("%q: packed %x, want %s", v.Text, packed, want)
		}
		back := Unpack(nil, packed[len(udh):], len(septets), fill)
		if got := (Alphabet{}).Decode(back); got != v.Text {
			t.Errorf("%q: read back %q", v.Text, got)
		}
	}
}

func TestSegmentationVectors(t *testing.T) {
	var facts struct {
		Segmentation []struct {
			Case, Text, Encoding string
			RefBits              int `json:"ref_bits"`
			Parts                int
			UnitsPerPart         []int `json:"units_per_part"`
		}
	}
	load(t, "gsm7_vectors.json", &facts)
	if len(facts.Segmentation) != 44 {
		t.Fatalf("%d vectors", len(facts.Segmentation))
	}
	for _, v := range facts.Segmentation {
		o := Options{Reference: 0x12A7}
		if v.RefBits == 16 {
			o.Concat = UDH16
		}
		m, err := Split(v.Text, o)
		if err != nil {
			t.Fatal(err)
		}
		var units []int
		for _, s := range m.Segments {
			units = append(units, s.Units)
		}
		if m.Encoding.String() != v.Encoding || m.Billed != v.Parts || !cmp.Equal(units, v.UnitsPerPart) {
			t.Errorf("%s, %d bits: %v %d %v, want %s %d %v", v.Case, v.RefBits, m.Encoding, m.Billed, units, v.Encoding, v.Parts, v.UnitsPerPart)
		}
		if e, n, u := CountWith(v.Text, o); e != m.Encoding || n != m.Billed || u != m.Units {
			t.Errorf("%s: counted %v %d %d", v.Case, e, n, u)
		}
	}
}

func TestHeadersOfParts(t *testing.T) {
	long := strings.Repeat("a", 161)
	for _, test := range []struct {
		o             Options
		first, second string
		octets        int
	}{
		{Options{Concat: UDH8, Reference: 0x12A7}, "050003a70201", "050003a70202", 159},
		{Options{Concat: UDH16, Reference: 0x1234}, "06080412340201", "06080412340202", 159},
		{Options{Concat: SAR, Reference: 7}, "", "", 153},
	} {
		m, err := Split(long, test.o)
		if err != nil || len(m.Segments) != 2 {
			t.Fatalf("%+v, %v", m, err)
		}
		if a, b := hex.EncodeToString(m.Segments[0].Header), hex.EncodeToString(m.Segments[1].Header); a != test.first || b != test.second {
			t.Errorf("headers %s %s, want %s %s", a, b, test.first, test.second)
		}
		if n := len(m.Segments[0].Octets); n != test.octets {
			t.Errorf("first part has %d octets, want %d", n, test.octets)
		}
	}
	m, err := Split(long, Options{Concat: Payload})
	if err != nil || len(m.Segments) != 1 || m.Billed != 2 || string(m.Segments[0].Octets) != long {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestTooLong(t *testing.T) {
	for text, o := range map[string]Options{
		strings.Repeat("a", 153*255+1): {},
		strings.Repeat("a", 161):       {MaxParts: 1},
	} {
		if _, err := Split(text, o); err == nil {
			t.Errorf("%d characters were split", len(text))
		}
	}
	if m, err := Split(strings.Repeat("a", 153*255), Options{}); err != nil || len(m.Segments) != 255 {
		t.Errorf("%d parts, %v", len(m.Segments), err)
	}
}

func TestNationalTables(t *testing.T) {
	m, err := Split("Başka", Options{Languages: []Language{Turkish}})
	if err != nil || m.Encoding != UCS2 {
		t.Errorf("one part either way: %v, %v", m.Encoding, err)
	}
	turkish := strings.Repeat("Başka bir ", 14)
	m, err = Split(turkish, Options{Languages: []Language{Turkish}})
	if err != nil || m.Encoding != GSM7 || m.Billed != 1 || (m.Alphabet != Alphabet{Single: Turkish}) {
		t.Fatalf("%+v, %v", m, err)
	}
	h, rest, err := ParseHeader(m.Segments[0].Octets)
	if err != nil || h.Alphabet().Decode(rest) != turkish {
		t.Errorf("%v, %v", h, err)
	}
	for text, want := range map[string]int{
		strings.Repeat("a", 155) + "\u015f": 2, // 156 septets with the locking table
		strings.Repeat("a", 154) + "\u015f": 1, // 155
	} {
		if _, n, _ := CountWith(text, Options{Languages: []Language{Turkish}}); n != want {
			t.Errorf("%d parts, want %d", n, want)
		}
	}
	for _, c := range []struct {
		a            Alphabet
		single, part int
	}{{Alphabet{}, 160, 153}, {Alphabet{Single: Turkish}, 155, 149}, {Alphabet{Turkish, Turkish}, 152, 146}} {
		if k := (coder{alphabet: c.a}); k.single() != c.single || k.part(UDH8) != c.part {
			t.Errorf("%+v: %d, %d", c, k.single(), k.part(UDH8))
		}
	}
}

func TestParseHeader(t *testing.T) {
	h, rest, err := ParseHeader(unhex(t, "0b05040b8423f00003a7020161"+"62"))
	if err != nil || string(rest) != "ab" {
		t.Fatalf("%v %q %v", h, rest, err)
	}
	if d, s, ok := h.Ports(); !ok || d != 2948 || s != 9200 {
		t.Error(d, s, ok)
	}
	if p, ok := h.Concat(); !ok || p != (Part{Reference: 0xA7, Number: 1, Total: 2}) {
		t.Error(p, ok)
	}
	if h, rest, err := ParseHeader(unhex(t, "0470020102"+"63")); err != nil || len(h) != 1 || h[0].ID != 0x70 || string(rest) != "c" {
		t.Errorf("unknown element: %v %q %v", h, rest, err)
	}
	for _, bad := range []string{"", "03090003", "02000361", "0100"} {
		if _, rest, err := ParseHeader(unhex(t, bad)); err == nil || len(rest) != len(bad)/2 {
			t.Errorf("%q: %q, %v", bad, rest, err)
		}
	}
	for _, none := range []string{"050003a70200", "050003a70203", "050003a70000", "0400020102"} {
		h, _, err := ParseHeader(unhex(t, none))
		if _, ok := h.Concat(); ok || err != nil {
			t.Errorf("%q is a part (%v)", none, err)
		}
	}
}

func TestDecodeText(t *testing.T) {
	for _, c := range []struct {
		coding uint8
		hex    string
		want   string
	}{
		{0, "50726963653a2031301b65", "Price: 10€"},
		{0x10, "466c617368", "Flash"},
		{0xF0, "466c617368", "Flash"},
		{3, "4772fcdf65", "Grüße"},
		{8, "004f004bd83ddc4d", "OK👍"},
		{8, "d83d0041", "\ufffdA"},
		{8, "004100", "A\ufffd"},
		{0, "411b1b42", "A B"},
		{0, "411b41", "AA"},
		{0, "411b", "A"},
		{0, "e9", "é"},
	} {
		if got, err := DecodeText(c.coding, unhex(t, c.hex), Alphabet{}); err != nil || got != c.want {
			t.Errorf("%d %s: %q, %v, want %q", c.coding, c.hex, got, err, c.want)
		}
	}
	for _, coding := range []uint8{2, 4, 0xF4, 14} {
		if _, err := DecodeText(coding, []byte("a"), Alphabet{}); err == nil {
			t.Errorf("coding %d is text", coding)
		}
	}
	if got := (Alphabet{Locking: Turkish}).Decode(unhex(t, "42611d6b61")); got != "Başka" {
		t.Error(got)
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{"“It’s” – naïve… 10 €": `"It's" - naive... 10 €`, "plain {é}": "plain {é}", "": ""} {
		if got, ok := Plain(text); !ok || got != want {
			t.Errorf("%q became %q, %v", text, got, ok)
		}
	}
	for _, text := range []string{"it’s م", "👍"} {
		if got, ok := Plain(text); ok || got != text {
			t.Errorf("%q was given for %q", got, text)
		}
	}
	for _, f := range plainForms {
		if _, n, _ := Count(f.plain); n != 1 {
			t.Error(f)
		}
		if e, _, _ := Count(f.plain); e != GSM7 {
			t.Errorf("%q is not plain", f.plain)
		}
		for _, r := range f.chars {
			if n, _ := (Alphabet{}).septets(r); n > 0 {
				t.Errorf("%q needs no plain form", r)
			}
		}
	}
}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{"abc 123\n", "a€{}^[", "aşğİ€", "م✓👍a", "हिन्दी"}).Draw(t, "alphabet")
		text := rapid.StringOfN(rapid.SampledFrom([]rune(alphabet)), 0, 20, -1).Draw(t, "text")
		text = strings.Repeat(text, rapid.SampledFrom([]int{1, 10, 40, 90}).Draw(t, "times"))
		o := Options{
			Concat:    rapid.SampledFrom([]Concat{UDH8, UDH16, SAR}).Draw(t, "concat"),
			Reference: rapid.Uint16().Draw(t, "reference"),
			Languages: rapid.SliceOfN(rapid.SampledFrom([]Language{Turkish, Spanish, Hindi, 77}), 0, 3).Draw(t, "languages"),
		}
		m, err := Split(text, o)
		if err != nil {
			t.Fatal(err)
		}
		_, counted, units := CountWith(text, o)
		if counted != len(m.Segments) || counted != m.Billed || units != m.Units {
			t.Fatalf("counted %d, split into %d", counted, len(m.Segments))
		}
		var pieces, decoded strings.Builder
		var r Reassembler
		for i, s := range m.Segments {
			pieces.WriteString(s.Text)
			header, rest, a := Header(nil), s.Octets, Alphabet{}
			if len(s.Header) > 0 {
				if header, rest, err = ParseHeader(s.Octets); err != nil {
					t.Fatal(err)
				}
				a = header.Alphabet()
			}
			piece, err := DecodeText(m.DataCoding(), rest, a)
			if err != nil || piece != s.Text {
				t.Fatalf("part %d reads %q, want %q", i, piece, s.Text)
			}
			decoded.WriteString(piece)
			air := len(s.Header) + len(rest)
			if m.Encoding == GSM7 {
				air = len(s.Header) + (len(rest)*7+7)/8
			}
			if air > 140 {
				t.Fatalf("part %d has %d octets on the air", i, air)
			}
			if p, ok := header.Concat(); ok != (len(m.Segments) > 1 && o.Concat != SAR) || ok && (int(p.Number) != i+1 || int(p.Total) != len(m.Segments)) {
				t.Fatalf("part %d says %+v", i, p)
			}
			_, complete := r.Add(PartKey{Total: uint8(len(m.Segments))}, uint8(i+1), rest, clock)
			if complete != (i == len(m.Segments)-1) {
				t.Fatalf("complete after part %d", i)
			}
		}
		if pieces.String() != text || decoded.String() != text {
			t.Fatalf("%q became %q", text, decoded.String())
		}
	})
}
