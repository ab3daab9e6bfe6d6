package contact

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/parley-messaging/parley/message"
)

// A cache holds packed persons by id and by blind index. Shards have their own
// locks; room is made by the clock rule: a hand passes over the places of a
// shard and takes the first that nobody asked for since it came by.
type cache struct {
	people  [shards]peopleShard
	indexes [shards]indexShard
	gone    atomic.Uint64 // how many forgets there were; see put
}

const shards = 64

// notHeld, given to put as seen, holds nothing.
const notHeld = ^uint64(0)

type peopleShard struct {
	mu     sync.Mutex
	size   int
	byID   hints // numbers of places
	places []place
	hand   int
	arena  arena
}

// A place holds one person; the zero place is free.
type place struct {
	at   span
	used bool
}

// person gives who is in a place, or nil.
func (s *peopleShard) person(at uint32) packed { return s.arena.get(s.places[at].at) }

// set puts a person into a place; nil frees it.
func (s *peopleShard) set(at uint32, p packed) {
	here := &s.places[at]
	s.arena.drop(here.at)
	if *here = (place{used: here.used}); len(p) == 0 {
		here.used = false
		return
	}
	if s.arena.worn() {
		var fresh arena
		for i := range s.places {
			if one := s.person(uint32(i)); one != nil {
				s.places[i].at = fresh.add(one)
			}
		}
		s.arena = fresh
	}
	here.at = s.arena.add(p)
}

// placeOf gives the place of a person.
func (s *peopleShard) placeOf(id message.ContactID) (at uint32, ok bool) {
	for at := range s.byID.under(tagOf(id)) {
		if s.person(at).contact() == id {
			return at, true
		}
	}
	return 0, false
}

// An indexShard finds spots by blind indexes: a spot is the number of a place
// and, in its low bits, the shard of people. Two indexes with one tag drive each
// other out: a person is read once more, and nobody is taken for another, since
// whoever is found is asked for the index.
type indexShard struct {
	mu    sync.RWMutex
	spots hints
}

func newCache(size int) *cache {
	c := new(cache)
	for i := range c.people {
		c.people[i].size = max(size/shards, 1)
	}
	return c
}

// Both keys end in random bits.
func shardOf(id message.ContactID) uint32 {
	return uint32(binary.LittleEndian.Uint16(id[14:]) % shards)
}

// tagOf takes random bits that no shard is chosen by.
func tagOf(key [16]byte) uint32 { return binary.BigEndian.Uint32(key[10:]) }

func (c *cache) ofIndex(index [16]byte) *indexShard {
	return &c.indexes[binary.LittleEndian.Uint16(index[14:])%shards]
}

// find gives the person behind an index, or nil.
func (c *cache) find(ws message.WorkspaceID, index [16]byte) packed {
	x := c.ofIndex(index)
	x.mu.RLock()
	at, ok := x.spots.first(tagOf(index))
	x.mu.RUnlock()
	if !ok {
		return nil
	}
	s := &c.people[at%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	// The place may have become someone else's in between.
	n := at / shards
	p := s.person(n)
	if p == nil || p.workspace() != ws || !p.has(index) {
		return nil
	}
	s.places[n].used = true
	return p
}

// get gives a person by id, or nil.
func (c *cache) get(ws message.WorkspaceID, id message.ContactID) packed {
	s := &c.people[shardOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.placeOf(id)
	if !ok {
		return nil
	}
	p := s.person(at)
	if p.workspace() != ws {
		return nil
	}
	s.places[at].used = true
	return p
}

// seen is what put needs to know about the time before a reading began.
func (c *cache) seen() uint64 { return c.gone.Load() }

// put holds a person that was read after seen was called. It does nothing if
// anyone was forgotten since: the reading may be older than the forgetting. Who
// is never asked for again makes room before the others.
func (c *cache) put(p packed, seen uint64) {
	id := p.contact()
	shard := shardOf(id)
	s := &c.people[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone.Load() != seen {
		return
	}
	at, ok := s.placeOf(id)
	if !ok {
		at = s.room()
	}
	if before := s.person(at); before != nil {
		if ok && before.version() > p.version() {
			return
		}
		if !ok {
			s.byID.drop(tagOf(before.contact()), at)
		}
		c.unindex(before, at*shards+shard)
	}
	if !ok {
		s.byID.add(tagOf(id), at)
	}
	s.set(at, p)
	for _, index := range p.indexes() {
		x := c.ofIndex(index)
		x.mu.Lock()
		x.spots.set(tagOf(index), at*shards+shard)
		x.mu.Unlock()
	}
}

// replace changes what is held of a person without a new reading, and nothing of
// their indexes; nothing happens unless old is what is held.
func (c *cache) replace(old, p packed) {
	s := &c.people[shardOf(p.contact())]
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.placeOf(p.contact()); ok && bytes.Equal(s.person(at), old) {
		s.set(at, p)
	}
}

// forget drops a person.
func (c *cache) forget(ws message.WorkspaceID, id message.ContactID) {
	shard := shardOf(id)
	s := &c.people[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.gone.Add(1)
	at, ok := s.placeOf(id)
	if !ok || s.person(at).workspace() != ws {
		return
	}
	c.unindex(s.person(at), at*shards+shard)
	s.byID.drop(tagOf(id), at)
	s.set(at, nil) // the hand finds it free
}

func (c *cache) unindex(p packed, spot uint32) {
	for _, index := range p.indexes() {
		x := c.ofIndex(index)
		x.mu.Lock()
		x.spots.drop(tagOf(index), spot)
		x.mu.Unlock()
	}
}

// room gives a free place: a new one while there is space, else that of a person
// nobody asked for lately, still filled.
func (s *peopleShard) room() uint32 {
	if len(s.places) < s.size {
		s.places = append(s.places, place{})
		return uint32(len(s.places) - 1)
	}
	for {
		at := s.hand
		s.hand = (s.hand + 1) % len(s.places)
		p := &s.places[at]
		if p.at.size == 0 || !p.used {
			return uint32(at)
		}
		p.used = false
	}
}
