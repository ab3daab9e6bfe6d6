package id_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
)

// Ids of one maker rise strictly, whatever the clock and the random source do.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fill := rapid.Byte().Draw(t, "fill") // 0xFF: every carry happens
		m := id.NewSeeded(func(b []byte) (int, error) {
			for i := range b {
				b[i] = fill
			}
			return len(b), nil
		})
		now := time.UnixMilli(1_770_000_000_000)
		var last message.MessageID
		for range 200 {
			now = now.Add(time.Duration(rapid.Int64Range(-2, 3).Draw(t, "ms")) * time.Millisecond)
			v := m.Message(now)
			if bytes.Compare(v[:], last[:]) <= 0 || v.IsZero() {
				t.Fatalf("%x after %x", v, last)
			}
			if last.String() >= v.String() {
				t.Fatalf("the texts %s and %s are not in order", last, v)
			}
			last = v
		}
	})
}

func TestTime(t *testing.T) {
	m := id.NewMaker()
	now := time.Date(2026, 3, 1, 9, 0, 0, 123_000_000, time.UTC)
	for range 100 {
		if got := id.Time(id.New[interface{ Prefix() string }](m, now)); !got.Equal(now) {
			t.Fatalf("made at %v, reads %v", now, got)
		}
	}
	if v := m.Contact(now); v.IsZero() || v.String()[:3] != "ct_" {
		t.Errorf("contact id %q", v)
	}
	// A millisecond later is a later id, a clock that went back is not earlier.
	a := m.Message(now.Add(time.Millisecond))
	b := m.Message(now.Add(-time.Hour))
	if a.String() >= b.String() {
		t.Errorf("%s then %s", a, b)
	}
}

func TestSeeded(t *testing.T) {
	make20 := func() (out [20][16]byte) {
		r := rand.NewChaCha8([32]byte{1})
		m := id.NewSeeded(r.Read)
		for i := range out {
			out[i] = m.Next(time.UnixMilli(int64(1000 + i/3)))
		}
		return out
	}
	if first, second := make20(), make20(); first != second {
		t.Error("the same seed gave other ids")
	}
}

func TestConcurrent(t *testing.T) {
	m := id.NewMaker()
	var mu sync.Mutex
	seen := make(map[[16]byte]bool)
	var wg sync.WaitGroup
	now := time.UnixMilli(1_770_000_000_000)
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				v := m.Next(now)
				mu.Lock()
				if seen[v] {
					t.Errorf("%x was made twice", v)
				}
				seen[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
