package vault

import (
	"bytes"
	"testing"
)

// FuzzOpen gives foreign bytes to everything that opens: nothing but the
// vectors may open, and nothing may panic.
func FuzzOpen(f *testing.F) {
	v, m, w, in := vectorKeys(f)
	aad := AppendAAD(nil, "messages.content", bytes.Repeat([]byte{0x33}, 16))
	key, err := w.OpenContactKey(vectorContact, unhex(f, v.Contact))
	if err != nil {
		f.Fatal(err)
	}
	if err := w.AddDay(WrappedDay{Workspace: vectorWorkspace, Day: vectorDay, Bytes: unhex(f, v.Day)}); err != nil {
		f.Fatal(err)
	}
	genuine := map[string]bool{v.Receipt: true}
	for _, s := range []string{v.Contact, v.Day, v.ByContact, v.ByDay, v.ByWorkspace, v.Wrapped["kek"]} {
		b := unhex(f, s)
		genuine[string(b)] = true
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte(v.Receipt))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, e1 := key.Open(nil, aad, b)
		_, e2 := w.OpenDay(nil, aad, b)
		_, e3 := w.Open(nil, aad, b)
		_, e4 := w.OpenContactKey(vectorContact, b)
		_, _, e5 := w.RewrapDay(WrappedDay{Workspace: vectorWorkspace, Day: vectorDay + 1, Bytes: b})
		if WrappedVersion(b) == 1 {
			e5 = ErrOpen // under the version in use: given back unopened
		}
		e6 := NewKeyring(m).Add(WrappedKey{Workspace: [16]byte{1}, Kind: KindKEK, Version: 1, MasterID: m.CurrentID(), Bytes: b})
		if opened := e1 == nil || e2 == nil || e3 == nil || e4 == nil || e5 == nil || e6 == nil; opened && !genuine[string(b)] {
			t.Errorf("%x opens", b)
		}
		if r, err := VerifyReceipt(in.PublicKey(), b); err == nil && r.ID != "er_1" {
			t.Errorf("forged receipt %s", b)
		}
	})
}
