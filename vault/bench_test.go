package vault

import "testing"

// The sizes of life: a message of 300 bytes, a phone number.
func benchKeys(b *testing.B) (*Workspace, ContactKey, *Sealer, []byte) {
	_, w, _ := room(b, masters(b, masterA), 1)
	key, _ := w.NewContactKey([16]byte{7})
	sealer, err := key.Sealer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return w, key, sealer, make([]byte, 300)
}

func BenchmarkSeal(b *testing.B) {
	_, _, sealer, plain := benchKeys(b)
	row := make([]byte, 16)
	for b.Loop() {
		var scratch [64]byte
		sealer.Seal(nil, AppendAAD(scratch[:0], "messages.content", row), plain)
	}
}

func BenchmarkOpen(b *testing.B) {
	_, _, sealer, plain := benchKeys(b)
	sealed := sealer.Seal(nil, nil, plain)
	for b.Loop() {
		if _, err := sealer.Open(nil, nil, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContactKeySeal(b *testing.B) {
	_, key, _, plain := benchKeys(b)
	for b.Loop() {
		if _, err := key.Seal(nil, nil, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenContactKey(b *testing.B) {
	w, _, _, _ := benchKeys(b)
	_, wrapped := w.NewContactKey([16]byte{7})
	for b.Loop() {
		if _, err := w.OpenContactKey([16]byte{7}, wrapped); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	w, _, _, _ := benchKeys(b)
	for b.Loop() {
		w.Index("phone", "+33612345678")
	}
}

func BenchmarkRef(b *testing.B) {
	w, _, _, _ := benchKeys(b)
	for b.Loop() {
		w.Ref([16]byte{1}, "wamid.HBgLMzM2MTIzNDU2NzgVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA")
	}
}

// BenchmarkSealer's bytes are twice what a Sealer keeps: the key schedule is
// made, copied into it and dropped.
func BenchmarkSealer(b *testing.B) {
	_, key, _, _ := benchKeys(b)
	for b.Loop() {
		if _, err := key.Sealer(); err != nil {
			b.Fatal(err)
		}
	}
}
