package vault

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

const (
	masterA = "3q2+796tvu/erb7v3q2+7wABAgMEBQYHCAkKCwwNDg8="
	masterB = "ffeeddccbbaa99887766554433221100f0e1d2c3b4a5968778695a4b3c2d1e0f"
)

func masters(t testing.TB, text string) *Masters {
	t.Helper()
	m, err := ParseMasters(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// room makes a workspace with fresh keys and gives its stored form too.
func room(t testing.TB, m *Masters, id byte) (*Keyring, *Workspace, []WrappedKey) {
	t.Helper()
	ring := NewKeyring(m)
	stored, err := ring.NewWorkspace([16]byte{id})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(stored...); err != nil {
		t.Fatal(err)
	}
	w, err := ring.Workspace([16]byte{id})
	if err != nil {
		t.Fatal(err)
	}
	return ring, w, stored
}

func isMissing(err error) bool {
	missing := (*MissingKeyError)(nil)
	return errors.As(err, &missing)
}

func TestRoundTrip(t *testing.T) {
	_, w, _ := room(t, masters(t, masterA), 1)
	if err := w.AddDay(w.NewDay(20000)); err != nil {
		t.Fatal(err)
	}
	key, wrapped := w.NewContactKey([16]byte{7})
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		aad := AppendAAD(nil, rapid.String().Draw(t, "purpose"), rapid.SliceOf(rapid.Byte()).Draw(t, "row"))
		again, err := w.OpenContactKey([16]byte{7}, wrapped)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := key.Seal([]byte("before"), aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Open([]byte("x"), aad, sealed[6:]); err != nil || !bytes.Equal(got[1:], plain) {
			t.Fatalf("contact: %q, %v", got, err)
		}
		day, err := w.Day(20000)
		if err != nil {
			t.Fatal(err)
		}
		byDay := day.Seal(nil, aad, plain)
		if got, err := w.OpenDay(nil, aad, byDay); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("day: %q, %v", got, err)
		}
		if len(byDay) > len(plain)+Overhead {
			t.Fatalf("overhead is %d", len(byDay)-len(plain))
		}
		if got, err := w.Open(nil, aad, w.Seal(nil, aad, plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("workspace: %q, %v", got, err)
		}
	})
}

func TestSealRefusesEveryChange(t *testing.T) {
	_, w, _ := room(t, masters(t, masterA), 1)
	if err := w.AddDay(w.NewDay(20000)); err != nil {
		t.Fatal(err)
	}
	key, _ := w.NewContactKey([16]byte{7})
	sealer, err := key.Sealer()
	if err != nil {
		t.Fatal(err)
	}
	day, err := w.Day(20000)
	if err != nil {
		t.Fatal(err)
	}
	aad := AppendAAD(nil, "messages.content", []byte{1})
	type opener func(dst, aad, sealed []byte) ([]byte, error)
	for name, c := range map[string]struct {
		sealed []byte
		open   opener
	}{
		"contact":   {sealer.Seal(nil, aad, []byte("salut")), sealer.Open},
		"day":       {day.Seal(nil, aad, []byte("salut")), w.OpenDay},
		"workspace": {w.Seal(nil, aad, []byte("salut")), w.Open},
	} {
		for bit := range len(c.sealed) * 8 {
			bad := bytes.Clone(c.sealed)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := c.open(nil, aad, bad); err == nil {
				t.Errorf("%s: bit %d flipped opens as %q", name, bit, got)
			}
		}
		for n := range len(c.sealed) {
			if _, err := c.open(nil, aad, c.sealed[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes open", name, n, len(c.sealed))
			}
		}
		for _, other := range [][]byte{nil, AppendAAD(nil, "messages.content", []byte{2}), AppendAAD(nil, "messages.conten", []byte{'t', 1})} {
			if _, err := c.open(nil, other, c.sealed); !errors.Is(err, ErrOpen) {
				t.Errorf("%s: opened in another place: %v", name, err)
			}
		}
	}
}

func TestWrappedKeysStayInTheirPlace(t *testing.T) {
	a := masters(t, masterA)
	ring, w, stored := room(t, a, 1)
	_, other, _ := room(t, a, 2)
	_, wrapped := w.NewContactKey([16]byte{7})

	if _, err := w.OpenContactKey([16]byte{8}, wrapped); !errors.Is(err, ErrOpen) {
		t.Errorf("another contact: %v", err)
	}
	if _, err := other.OpenContactKey([16]byte{7}, wrapped); !errors.Is(err, ErrOpen) {
		t.Errorf("another workspace: %v", err)
	}
	day := w.NewDay(20000)
	if _, err := w.OpenContactKey([16]byte{7}, day.Bytes); !errors.Is(err, ErrFormat) {
		t.Errorf("a daily key as contact key: %v", err)
	}
	moved := day
	moved.Day++
	if err := w.AddDay(moved); !errors.Is(err, ErrOpen) {
		t.Errorf("another day: %v", err)
	}
	if err := other.AddDay(day); !errors.Is(err, ErrOpen) {
		t.Errorf("another workspace's day: %v", err)
	}

	for name, edit := range map[string]func(*WrappedKey){
		"workspace": func(k *WrappedKey) { k.Workspace = [16]byte{9} },
		"kind":      func(k *WrappedKey) { k.Kind = KindIndex },
		"version":   func(k *WrappedKey) { k.Version = 2 },
		"bytes":     func(k *WrappedKey) { k.Bytes = append(bytes.Clone(k.Bytes[:60]), k.Bytes[60]^1) },
	} {
		k := stored[0]
		edit(&k)
		if err := NewKeyring(a).Add(k); !errors.Is(err, ErrOpen) {
			t.Errorf("wrapped key with other %s: %v", name, err)
		}
	}
	if err := NewKeyring(masters(t, masterB)).Add(stored...); !isMissing(err) {
		t.Errorf("wrong master: %v", err)
	}
	forged := stored[0]
	forged.MasterID = masters(t, masterB).CurrentID()
	if err := NewKeyring(masters(t, masterB)).Add(forged); !errors.Is(err, ErrOpen) {
		t.Errorf("wrong master under a forged id: %v", err)
	}
	if err := NewKeyring(a).Add(stored[0]); !isMissing(err) {
		t.Errorf("a KEK without index key: %v", err)
	}
	if _, err := ring.Workspace([16]byte{9}); !isMissing(err) {
		t.Errorf("unknown workspace: %v", err)
	}
}

func TestRotateMaster(t *testing.T) {
	old := masters(t, masterA)
	_, w, stored := room(t, old, 1)
	stored[0].Staged = true // the flag must survive
	index := w.Index("phone", "+33612345678")
	_, contact := w.NewContactKey([16]byte{7})

	both := masters(t, masterB+"\n"+masterA)
	var fresh []WrappedKey
	for _, k := range stored {
		out, changed, err := both.Rewrap(k)
		if err != nil || !changed || out.MasterID != both.CurrentID() || out.Staged != k.Staged {
			t.Fatalf("rewrap: %v, %t", err, changed)
		}
		if _, changed, err := both.Rewrap(out); err != nil || changed {
			t.Errorf("rewrapped twice: %v, %t", err, changed)
		}
		out.Staged = false
		fresh = append(fresh, out)
	}
	ring := NewKeyring(masters(t, masterB))
	if err := ring.Add(fresh...); err != nil {
		t.Fatal(err)
	}
	again, err := ring.Workspace([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if again.Index("phone", "+33612345678") != index {
		t.Error("the index changed with the master key")
	}
	if _, err := again.OpenContactKey([16]byte{7}, contact); err != nil {
		t.Errorf("contact key after rotation: %v", err)
	}
	if _, _, err := masters(t, masterB).Rewrap(stored[0]); !isMissing(err) {
		t.Errorf("rewrap without the old key: %v", err)
	}
}

func TestRotateWorkspaceKeys(t *testing.T) {
	ring, w, _ := room(t, masters(t, masterA), 1)
	key, wrapped := w.NewContactKey([16]byte{7})
	sealed, err := key.Seal(nil, nil, []byte("salut"))
	if err != nil {
		t.Fatal(err)
	}
	setting := w.Seal(nil, nil, []byte("token"))
	oldIndex := w.Index("phone", "+33612345678")
	oldPrint := w.Fingerprint("suppression", []byte("x"))
	if err := w.AddDay(w.NewDay(20000)); err != nil {
		t.Fatal(err)
	}

	for _, kind := range []Kind{KindKEK, KindIndex} {
		next, err := ring.Next([16]byte{1}, kind)
		if err != nil || next.Version != 2 || !next.Staged {
			t.Fatalf("next %s: %+v, %v", kind, next, err)
		}
		if err := ring.Add(next); err != nil {
			t.Fatal(err)
		}
		if w.Version(kind) != 1 {
			t.Errorf("a staged %s is used", kind)
		}
		if got := w.Indexes(nil, "phone", "+33612345678"); kind == KindIndex && (len(got) != 2 || got[0] != oldIndex) {
			t.Errorf("indexes while staged: %x", got)
		}
		next.Staged = false
		if err := ring.Add(next); err != nil {
			t.Fatal(err)
		}
		if w.Version(kind) != 2 {
			t.Errorf("%s did not go live", kind)
		}
	}

	if _, err := w.Day(20000); err != nil {
		t.Errorf("the day was lost: %v", err)
	}
	if got, err := w.Open(nil, nil, setting); err != nil || string(got) != "token" {
		t.Errorf("setting under the old KEK: %q, %v", got, err)
	}
	fresh, changed, err := w.Rewrap([16]byte{7}, wrapped)
	if err != nil || !changed || WrappedVersion(fresh) != 2 {
		t.Fatalf("rewrap: %v, %t", err, changed)
	}
	if _, changed, err := w.Rewrap([16]byte{7}, fresh); err != nil || changed {
		t.Errorf("rewrapped twice: %v, %t", err, changed)
	}
	if err := w.Retire(KindKEK, 2); err == nil {
		t.Error("the key in use was retired")
	}
	if err := w.Retire(KindKEK, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenContactKey([16]byte{7}, wrapped); !isMissing(err) {
		t.Errorf("under a retired KEK: %v", err)
	}
	again, err := w.OpenContactKey([16]byte{7}, fresh)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(nil, nil, sealed); err != nil || string(got) != "salut" {
		t.Errorf("content after rotation: %q, %v", got, err)
	}

	got := w.Indexes(nil, "phone", "+33612345678")
	if len(got) != 2 || got[0] != w.Index("phone", "+33612345678") || got[0][0] != 2 || got[1] != oldIndex {
		t.Errorf("indexes: %x", got)
	}
	if len(w.Refs(nil, [16]byte{1}, "a")) != 2 || len(w.Fingerprints(nil, "p", nil)) != 2 {
		t.Error("references and fingerprints need both versions")
	}
	if same, err := w.MatchFingerprint(oldPrint, "suppression", []byte("x")); err != nil || !same {
		t.Errorf("old fingerprint: %t, %v", same, err)
	}
	if same, err := w.MatchFingerprint(oldPrint, "suppression", []byte("y")); err != nil || same {
		t.Errorf("other value: %t, %v", same, err)
	}
	if err := w.Retire(KindIndex, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.MatchFingerprint(oldPrint, "suppression", []byte("x")); !isMissing(err) {
		t.Errorf("fingerprint of a retired key: %v", err)
	}
}

func TestDays(t *testing.T) {
	_, w, _ := room(t, masters(t, masterA), 1)
	for day := Day(20000); day < 20010; day++ {
		if err := w.AddDay(w.NewDay(day)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := w.Day(20000)
	if err != nil {
		t.Fatal(err)
	}
	sealed := first.Seal(nil, nil, []byte("raw"))
	second, err := w.Day(20001)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(nil, nil, sealed); !isMissing(err) {
		t.Errorf("another day: %v", err)
	}
	// A second key for a day that is held, as from a lost race, changes nothing.
	if err := w.AddDay(w.NewDay(20000)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenDay(nil, nil, sealed); err != nil {
		t.Errorf("after a second key: %v", err)
	}
	if n := w.DropDays(20003); n != 3 {
		t.Errorf("dropped %d days", n)
	}
	_, err = w.OpenDay(nil, nil, sealed)
	if missing := (*MissingKeyError)(nil); !errors.As(err, &missing) || missing.Day != 20000 {
		t.Errorf("after the purge: %v", err)
	}
	if _, err := w.Day(20003); err != nil {
		t.Errorf("a day that stays: %v", err)
	}
}

func TestIndexSeparates(t *testing.T) {
	m := masters(t, masterA)
	_, w, _ := room(t, m, 1)
	_, other, _ := room(t, m, 2)
	seen := map[[16]byte]string{}
	for name, x := range map[string][16]byte{
		"phone":           w.Index("phone", "+33612345678"),
		"next phone":      w.Index("phone", "+33612345679"),
		"kind":            w.Index("email", "+33612345678"),
		"shifted":         w.Index("phone+", "33612345678"),
		"fingerprint":     w.Fingerprint("phone", []byte("+33612345678")),
		"workspace":       other.Index("phone", "+33612345678"),
		"reference":       w.Ref([16]byte{1}, "+33612345678"),
		"other connector": w.Ref([16]byte{2}, "+33612345678"),
	} {
		if seen[x] != "" {
			t.Errorf("%s and %s are the same", name, seen[x])
		}
		seen[x] = name
	}
	long := bytes.Repeat([]byte("a"), 5000)
	one, again := w.Fingerprint("body", long), w.Fingerprint("body", long)
	if one != again || one == w.Fingerprint("body", long[1:]) {
		t.Error("long bodies")
	}
}

func TestClosedKey(t *testing.T) {
	_, w, _ := room(t, masters(t, masterA), 1)
	key, _ := w.NewContactKey([16]byte{7})
	twin := key
	key.Close()
	for _, k := range []ContactKey{key, twin, {}} {
		if _, err := k.Seal(nil, nil, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("sealed with a closed key: %v", err)
		}
	}
}

// TestConcurrent is for the race detector: days, rotation and use at once.
func TestConcurrent(t *testing.T) {
	ring, w, _ := room(t, masters(t, masterA), 1)
	done := make(chan error)
	go func() {
		for range 20 {
			next, err := ring.Next([16]byte{1}, KindIndex)
			if err == nil {
				next.Staged = false
				err = ring.Add(next)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	go func() {
		for day := Day(1); day < 100; day++ {
			if err := w.AddDay(w.NewDay(day)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 200 {
		w.Indexes(nil, "phone", "+33612345678")
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for day := Day(1); day < 100; day++ {
		if _, err := w.Day(day); err != nil {
			t.Error(err)
		}
	}
}
