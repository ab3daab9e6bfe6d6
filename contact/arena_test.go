package contact

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestCacheAgainstMap does at random what the book does to a cache and to maps:
// the cache never gives anything else, what it gave once stays as it was, and
// its arenas do not grow with what was dropped.
func TestCacheAgainstMap(t *testing.T) {
	const size, people, steps = 64 * 40, 4000, 60_000
	r := rand.New(rand.NewPCG(1, 2))
	c := newCache(size)
	ws := message.WorkspaceID{9}
	of := func(n int) (id message.ContactID, index [16]byte) {
		s := rand.New(rand.NewPCG(uint64(n), 0))
		for i := range id {
			id[i], index[i] = byte(s.Uint32()), byte(s.Uint32())
		}
		return id, index
	}
	versions := make(map[int]int64)
	make1 := func(n int) packed {
		versions[n]++
		id, index := of(n)
		p := new(Person)
		p.Workspace, p.ID, p.Version, p.CreatedAt, p.Profile = ws, id, versions[n], time.Unix(int64(n), 0), bytes.Repeat([]byte{byte(n)}, n%300)
		p.Identities = []store.Identity{{Channel: message.Phone, Index: index, Sealed: []byte{byte(n), byte(n >> 8)}}}
		return p.pack()
	}
	type given struct{ p, as packed }
	var kept []given
	held, found := make(map[int]packed), 0
	for range steps {
		n := r.IntN(people)
		id, index := of(n)
		switch r.IntN(10) {
		case 0:
			c.forget(ws, id)
			delete(held, n)
		case 1:
			if old := held[n]; old != nil {
				p := make1(n)
				c.replace(old, p)
				if c.get(ws, id) != nil {
					held[n] = p
				} else {
					delete(held, n)
				}
			}
		case 2, 3, 4:
			held[n] = make1(n)
			c.put(held[n], c.seen())
		default:
			for _, p := range []packed{c.find(ws, index), c.get(ws, id)} {
				if p == nil {
					continue
				}
				found++
				if !bytes.Equal(p, held[n]) {
					t.Fatalf("person %d is given as of another version or another person", n)
				}
				if len(kept) < 5000 {
					kept = append(kept, given{p, bytes.Clone(p)})
				}
			}
		}
	}
	if found < steps/4 {
		t.Fatalf("only %d found", found)
	}
	for _, k := range kept {
		if !bytes.Equal(k.p, k.as) {
			t.Fatal("what was given out has changed")
		}
	}
	live, room := 0, 0
	for i := range c.people {
		a := &c.people[i].arena
		live += a.live
		for _, p := range a.pieces {
			room += cap(p)
		}
	}
	if most := live*4/3 + 3*shards*pieceSize; room > most {
		t.Errorf("%d bytes of people take %d", live, room)
	}
}
