package vault

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type vectorFile struct {
	MasterID    string            `json:"master_id"`
	Wrapped     map[string]string `json:"wrapped"`
	Contact     string            `json:"contact"`
	Day         string            `json:"day"`
	ByContact   string            `json:"by_contact"`
	ByDay       string            `json:"by_day"`
	ByWorkspace string            `json:"by_workspace"`
	Index       string            `json:"index"`
	Fingerprint string            `json:"fingerprint"`
	Ref         string            `json:"ref"`
	APIKey      string            `json:"api_key"`
	Receipt     string            `json:"receipt"`
	Journal     []string          `json:"journal"`
}

const (
	vectorMaster = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	vectorDay    = Day(20779)
)

var (
	vectorWorkspace = [16]byte(bytes.Repeat([]byte{0x11}, 16))
	vectorContact   = [16]byte(bytes.Repeat([]byte{0x22}, 16))
)

// vectorKeys opens everything the vector file holds.
func vectorKeys(t testing.TB) (vectorFile, *Masters, *Workspace, *Installation) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectorFile
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMasters(vectorMaster)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := func(workspace [16]byte, kind Kind) WrappedKey {
		return WrappedKey{Workspace: workspace, Kind: kind, Version: 1, MasterID: v.MasterID, Bytes: unhex(t, v.Wrapped[string(kind)])}
	}
	ring := NewKeyring(m)
	if err := ring.Add(wrapped(vectorWorkspace, KindKEK), wrapped(vectorWorkspace, KindIndex)); err != nil {
		t.Fatal(err)
	}
	w, err := ring.Workspace(vectorWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	in, err := OpenInstallation(m, []WrappedKey{
		wrapped([16]byte{}, KindSigning), wrapped([16]byte{}, KindPepper), wrapped([16]byte{}, KindJournal),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, m, w, in
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors holds the stored formats to what was promised.
func TestVectors(t *testing.T) {
	v, m, w, in := vectorKeys(t)
	aad := AppendAAD(nil, "messages.content", bytes.Repeat([]byte{0x33}, 16))
	if m.CurrentID() != v.MasterID {
		t.Errorf("master id %s, want %s", m.CurrentID(), v.MasterID)
	}
	if vectorDay.String() != "2026-11-22" || DayOf(time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)) != vectorDay {
		t.Errorf("day is %s", vectorDay)
	}

	key, err := w.OpenContactKey(vectorContact, unhex(t, v.Contact))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddDay(WrappedDay{Workspace: vectorWorkspace, Day: vectorDay, Bytes: unhex(t, v.Day)}); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"by contact":   func() ([]byte, error) { return key.Open(nil, aad, unhex(t, v.ByContact)) },
		"by day":       func() ([]byte, error) { return w.OpenDay(nil, aad, unhex(t, v.ByDay)) },
		"by workspace": func() ([]byte, error) { return w.Open(nil, aad, unhex(t, v.ByWorkspace)) },
	} {
		if got, err := open(); err != nil || string(got) != "Bonjour" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	connector := [16]byte(unhex(t, "404142434445464748494a4b4c4d4e4f"))
	macs := map[string][16]byte{
		v.Index:       w.Index("phone", "+33612345678"),
		v.Fingerprint: w.Fingerprint("suppression", []byte("+33612345678")),
		v.Ref:         w.Ref(connector, "wamid.HBgL"),
	}
	for want, got := range macs {
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("index format: got %x, want %s", got, want)
		}
	}
	if got := in.HashAPIKey("pk_live_example"); hex.EncodeToString(got[:]) != v.APIKey {
		t.Errorf("API key hash %x, want %s", got, v.APIKey)
	}
}

func TestVectorReceipt(t *testing.T) {
	v, _, _, in := vectorKeys(t)
	want := ErasureReceipt{
		V: 1, ID: "er_1", Workspace: "ws_1", Contact: "ct_1",
		RequestedAt: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		ErasedAt:    time.Date(2026, 11, 22, 10, 0, 1, 5e8, time.UTC),
		Erased:      []ErasedItem{{What: "messages", Count: 42}}, Suppressed: true,
		CompleteAt: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), Journal: 7,
	}
	signed, err := in.SignReceipt(want)
	if err != nil || string(signed) != v.Receipt {
		t.Errorf("signed %s, %v\nwant   %s", signed, err, v.Receipt)
	}
	got, err := VerifyReceipt(in.PublicKey(), []byte(v.Receipt))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("verified: %v\n%s", err, diff)
	}
}

func vectorErasures() []Erasure {
	return []Erasure{
		{
			Seq: 1, At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Workspace: vectorWorkspace, Contact: vectorContact,
			Indexes: [][16]byte{{0x01, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}}, Receipt: "er_1",
		},
		{
			Seq: 2, At: time.Date(2026, 11, 22, 10, 0, 1, 5e8, time.UTC), Workspace: vectorWorkspace,
			Contact: [16]byte(bytes.Repeat([]byte{0x44}, 16)), Receipt: "er_2",
		},
	}
}

func TestVectorJournal(t *testing.T) {
	v, _, _, in := vectorKeys(t)
	var head JournalHead
	var text []byte
	for i, e := range vectorErasures() {
		line, next, err := in.encodeLine(head, e)
		if err != nil || string(line) != v.Journal[i]+"\n" {
			t.Errorf("line %d: %s, %v\nwant %s", i+1, line, err, v.Journal[i])
		}
		head, text = next, append(text, line...)
	}
	var got []Erasure
	end, err := ReadJournal(bytes.NewReader(text), in, head, func(e Erasure) error { got = append(got, e); return nil })
	if err != nil || end != head {
		t.Errorf("head %v, want %v: %v", end, head, err)
	}
	if diff := cmp.Diff(vectorErasures(), got); diff != "" {
		t.Error(diff)
	}
}
