package smpp

import (
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func TestParseReceipt(t *testing.T) {
	full := Receipt{ID: "4e2f1a", Sub: "001", Dlvrd: "001", SubmitDate: "2611220730", DoneDate: "2611220731", Stat: "DELIVRD", Err: "000", Text: "Hello", State: StateDelivered}
	with := func(change func(r *Receipt)) Receipt {
		r := full
		change(&r)
		return r
	}
	tests := map[string]struct {
		text string
		want Receipt
	}{
		"usual":      {"id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000 text:Hello", full},
		"other case": {"ID:4e2f1a SUB:001 Dlvrd:001 Submit Date:2611220730 Done Date:2611220731 Stat:delivrd Err:000 Text:Hello", full},
		"spaces":     {"  id: 4e2f1a  sub : 001 dlvrd:001  submit date: 2611220730 done date:2611220731 stat: DELIVRD  err:000 text: Hello ", full},
		"order":      {"stat:DELIVRD err:000 id:4e2f1a submit date:2611220730 done date:2611220731 sub:001 dlvrd:001 text:Hello", full},
		"underscore": {"id:4e2f1a sub:001 dlvrd:001 submit_date:2611220730 done_date:2611220731 stat:DELIVRD err:000 text:Hello", full},
		"text first": {"text:Hello id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000", full},
		"seconds": {"id:4e2f1a sub:001 dlvrd:001 submit date:261122073000 done date:261122073159 stat:EXPIRED err:000 text:", with(func(r *Receipt) {
			r.SubmitDate, r.DoneDate, r.Stat, r.State, r.Text = "261122073000", "261122073159", "EXPIRED", StateExpired, ""
		})},
		"no text":   {"id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000", with(func(r *Receipt) { r.Text = "" })},
		"least":     {"id:9 stat:UNDELIV", Receipt{ID: "9", Stat: "UNDELIV", State: StateUndeliverable}},
		"empty err": {"id:9 stat:REJECTD err: text:x", Receipt{ID: "9", Stat: "REJECTD", State: StateRejected, Text: "x"}},
		"keys within the text": {"id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000 text:id:7 stat:x err:1", with(func(r *Receipt) {
			r.Text = "id:7 stat:x err:1"
		})},
		"unknown stat":             {"id:9 stat:BUFFRED err:1", Receipt{ID: "9", Stat: "BUFFRED", Err: "1", State: StateUnset}},
		"words that end like keys": {"paid:1 id:9 stat:DELIVRD", Receipt{ID: "9", Stat: "DELIVRD", State: StateDelivered}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseReceipt(test.text)
			if diff := cmp.Diff(test.want, got); diff != "" || !ok {
				t.Error(ok, diff)
			}
			again, ok := ParseReceipt(string(got.AppendText(nil)))
			if !ok || again.ID != got.ID || again.Stat != got.Stat || again.State != got.State || again.DoneDate != got.DoneDate || again.Text != got.Text {
				t.Errorf("written and read again: %+v", again)
			}
		})
	}
	for _, text := range []string{"", "Hello", "identity: 5", "sub:001 text:id", ":", "id:", "stat: "} {
		if r, ok := ParseReceipt(text); ok {
			t.Errorf("%q is a receipt: %+v", text, r)
		}
	}
}

func TestReceiptOfVectors(t *testing.T) {
	want := map[string]struct {
		id, stat string
		state    MessageState
		network  [3]byte
	}{
		"deliver-dlr-delivrd":         {"4e2f1a", "DELIVRD", StateDelivered, [3]byte{}},
		"deliver-dlr-textonly":        {"4e2f1a", "DELIVRD", StateDelivered, [3]byte{}},
		"deliver-dlr-undeliv":         {"4e2f1a", "UNDELIV", StateUndeliverable, [3]byte{3, 0, 0x1b}},
		"deliver-dlr-seconds-expired": {"5124650", "EXPIRED", StateExpired, [3]byte{}},
		"deliver-dlr-decimal-vs-hex":  {"5123866", "DELIVRD", StateDelivered, [3]byte{}},
		"deliver-intermediate":        {"4e2f1a", "ENROUTE", StateEnroute, [3]byte{}},
		"deliver-dlr-tlv-only":        {"4e2f1a", "", StateRejected, [3]byte{}},
	}
	for _, v := range vectors(t, "valid") {
		if v.PDU != "deliver_sm" {
			continue
		}
		p, err := Decode(unhex(t, v.Hex))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := p.Body.(*DeliverSM).Receipt()
		w, isReceipt := want[v.ID]
		if ok != isReceipt {
			t.Errorf("%s: receipt %v, want %v", v.ID, ok, isReceipt)
			continue
		}
		if ok && (r.ID != w.id || r.Stat != w.stat || r.State != w.state || r.NetworkError != w.network) {
			t.Errorf("%s: %+v", v.ID, r)
		}
	}
}

func TestReceiptElsewhere(t *testing.T) {
	text := "id:9 stat:DELIVRD"
	var wide []byte
	for _, u := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(u>>8), byte(u))
	}
	for name, m := range map[string]*DeliverSM{
		"payload": {ESMClass: ESMReceipt, TLVs: TLVs{TagMessagePayload.Octets([]byte(text))}},
		"ucs2":    {ESMClass: ESMReceipt, DataCoding: 8, ShortMessage: wide},
		"no bit":  {ShortMessage: []byte(text), TLVs: TLVs{TagReceiptedMessageID.CString("9")}},
	} {
		if r, ok := m.Receipt(); !ok || r.ID != "9" || r.State != StateDelivered {
			t.Errorf("%s: %+v %v", name, r, ok)
		}
	}
	for name, m := range map[string]*DeliverSM{
		"a text with a number":        {ShortMessage: []byte("Yes please"), TLVs: TLVs{TagReceiptedMessageID.CString("9")}},
		"a text that names a message": {ShortMessage: []byte("id:9 is mine"), TLVs: TLVs{TagReceiptedMessageID.CString("9")}},
	} {
		if r, ok := m.Receipt(); ok {
			t.Errorf("%s: taken for a receipt: %+v", name, r)
		}
	}
	only := &DeliverSM{TLVs: TLVs{TagReceiptedMessageID.CString("9"), TagMessageState.Uint8(2)}}
	if r, ok := only.Receipt(); !ok || r.State != StateDelivered {
		t.Errorf("no bit, no text: %+v %v", r, ok)
	}
	m := &DataSM{ESMClass: ESMReceipt, TLVs: TLVs{TagMessagePayload.Octets([]byte(text)), TagMessageState.Uint8(5)}}
	if r, ok := m.Receipt(); !ok || r.State != StateUndeliverable {
		t.Errorf("%+v %v", r, ok)
	}
	if _, ok := (&DeliverSM{ShortMessage: []byte(text)}).Receipt(); ok {
		t.Error("a message of a person that looks like a receipt was taken for one")
	}
}

func TestIDSpellings(t *testing.T) {
	for id, want := range map[string][]string{
		"945568d":                              {"945568d", "155539085"},
		"155539085":                            {"155539085", "5726507141", "945568d"},
		"0004E2F1A":                            {"0004E2F1A", "0004e2f1a", "4e2f1a", "5123866"},
		"0194f3a2-6c1e-7d34-9b1f-2d9c1c7e0a11": {"0194f3a2-6c1e-7d34-9b1f-2d9c1c7e0a11", "194f3a2-6c1e-7d34-9b1f-2d9c1c7e0a11"},
		"":                                     {""},
	} {
		if diff := cmp.Diff(want, IDSpellings(id)); diff != "" {
			t.Error(id, diff)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"261122093000004+": time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC),
		"261122093000020-": time.Date(2026, 11, 22, 14, 30, 0, 0, time.UTC),
		"261122073100000+": time.Date(2026, 11, 22, 7, 31, 0, 0, time.UTC),
		"000000010000000R": now.Add(time.Hour),
		"000002030405000R": now.Add(51*time.Hour + 4*time.Minute + 5*time.Second),
		"010000000000000R": time.Date(2027, 11, 22, 9, 30, 0, 0, time.UTC),
		"991122093000700+": time.Date(2099, 11, 22, 9, 30, 0, 7e8, time.UTC),
		"":                 {},
	} {
		if got, err := ParseTime(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"x", "261322093000004+", "261122093000004x", "26112209300000a+", "2611220930000040+"} {
		if got, err := ParseTime(s, now); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
	zoned := time.Date(2026, 11, 22, 9, 30, 0, 0, time.FixedZone("", 3600))
	if got := FormatTime(zoned); got != "261122093000004+" {
		t.Error(got)
	}
	if got := FormatTime(zoned.In(time.FixedZone("", -5*3600))); got != "261122033000020-" {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{time.Hour: "000000010000000R", 30*24*time.Hour + time.Second: "000030000001000R", 0: "000000000000000R"} {
		if got, err := FormatPeriod(d); err != nil || got != want {
			t.Errorf("%v: %q, %v", d, got, err)
		}
	}
	if _, err := FormatPeriod(31 * 24 * time.Hour); err == nil {
		t.Error("31 days were accepted")
	}
	if got, err := ParseReceiptDate("261122073159", time.UTC); err != nil || !got.Equal(time.Date(2026, 11, 22, 7, 31, 59, 0, time.UTC)) {
		t.Error(got, err)
	}
	if got := ReceiptDate(now); got != "2611220930" {
		t.Error(got)
	}
}

func BenchmarkParseReceipt(b *testing.B) {
	text := "id:4e2f1a sub:001 dlvrd:001 submit date:2611220730 done date:2611220731 stat:DELIVRD err:000 text:Hello"
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParseReceipt(text); !ok {
			b.Fatal("not a receipt")
		}
	}
}
