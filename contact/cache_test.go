package contact_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func TestMemoryIsBounded(t *testing.T) {
	ctx, r := t.Context(), start(t, 64*4)
	var people []*contact.Person
	for i := range 1000 {
		p, err := r.book.Draft(ctx, r.ws, numbered(i))
		check(t, err)
		check(t, r.store.CreateContact(ctx, p.New, nil))
		r.book.Stored(p)
		people = append(people, p)
	}
	reads := r.store.reads.Load()
	for i, p := range people {
		q, err := r.book.Resolve(ctx, r.ws, numbered(i))
		check(t, err)
		if q == nil || q.ID != p.ID {
			t.Fatalf("person %d is not found", i)
		}
	}
	if hits := 1000 - (r.store.reads.Load() - reads); hits > 256 {
		t.Errorf("%d persons in memory, want 256 at most", hits)
	}
}

func numbered(i int) message.Address {
	return message.Address{Channel: message.Phone, ID: fmt.Sprintf("+336%08d", i)}
}

func TestManyAtOnce(t *testing.T) {
	ctx, r := t.Context(), start(t, 64)
	var ids [150]message.ContactID
	for i := range ids {
		p, err := r.book.Create(ctx, r.ws, contact.Profile{}, numbered(i))
		check(t, err)
		ids[i] = p.ID
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 600 {
				i := (n*7 + g*31) % len(ids)
				p, err := r.book.Resolve(ctx, r.ws, numbered(i))
				if err != nil || p == nil || p.ID != ids[i] {
					t.Errorf("person %d: %v", i, err)
					return
				}
				if _, err := p.Seal("x", [16]byte{}, binary.AppendVarint(nil, int64(n))); err != nil {
					t.Error(err)
				}
				switch n % 11 {
				case 0:
					r.book.Forget(r.ws, ids[i])
				case 1:
					if err := r.book.Remember(ctx, p, store.Reach{Index: p.Identities[0].Index, Channel: message.SMS, Code: "1", Until: noon}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkResolve(b *testing.B) {
	r := start(b, 0)
	_, err := r.book.Create(b.Context(), r.ws, contact.Profile{}, phone)
	check(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if p, err := r.book.Resolve(b.Context(), r.ws, phone); p == nil || err != nil {
			b.Fatal(err)
		}
	}
}

// TestPersonsAreSmall keeps what a person costs in memory near what the
// default size of a Book was chosen with.
func TestPersonsAreSmall(t *testing.T) {
	const people = 20_000
	ctx, r := t.Context(), start(t, 2*people)
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the first leaves pools to the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	// Expanded keys are bounded for themselves: have all of them before.
	for i := range 5000 {
		_, err := r.book.Draft(ctx, r.ws, numbered(people+i))
		check(t, err)
	}
	before := heap()
	for i := range people {
		p, err := r.book.Draft(ctx, r.ws, numbered(i))
		check(t, err)
		r.book.Stored(p)
	}
	each := (heap() - before) / people
	if each > 360 {
		t.Errorf("a person takes %d bytes", each)
	}
	t.Logf("a person takes %d bytes", each)
	runtime.KeepAlive(r)
}
