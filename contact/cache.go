package contact

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/parley-messaging/parley/message"
)

// A cache holds persons by id and by blind index. Shards have their own locks;
// room is made by the clock rule: a hand passes over the entries of a shard
// and takes the first that nobody asked for since it came by.
type cache struct {
	people  [shards]peopleShard
	indexes [shards]indexShard
	gone    atomic.Uint64 // how many forgets there were; see put
}

const shards = 64

// notHeld, given to put as seen, holds nothing.
const notHeld = ^uint64(0)

type entry struct {
	person atomic.Pointer[Person]
	used   atomic.Bool
}

type peopleShard struct {
	mu   sync.Mutex
	size int
	byID map[message.ContactID]*entry
	ring []*entry
	hand int
}

type indexShard struct {
	mu sync.RWMutex
	of map[[16]byte]*entry
}

func newCache(size int) *cache {
	c := new(cache)
	for i := range c.people {
		c.people[i].size = max(size/shards, 1)
		c.people[i].byID = make(map[message.ContactID]*entry)
		c.indexes[i].of = make(map[[16]byte]*entry)
	}
	return c
}

// Both keys end in random bits.
func (c *cache) ofID(id message.ContactID) *peopleShard {
	return &c.people[binary.LittleEndian.Uint16(id[14:])%shards]
}

func (c *cache) ofIndex(index [16]byte) *indexShard {
	return &c.indexes[binary.LittleEndian.Uint16(index[14:])%shards]
}

// find gives the person behind an index, or nil.
func (c *cache) find(ws message.WorkspaceID, index [16]byte) *Person {
	s := c.ofIndex(index)
	s.mu.RLock()
	e := s.of[index]
	s.mu.RUnlock()
	return e.of(ws)
}

// get gives a person by id, or nil.
func (c *cache) get(ws message.WorkspaceID, id message.ContactID) *Person {
	s := c.ofID(id)
	s.mu.Lock()
	e := s.byID[id]
	s.mu.Unlock()
	return e.of(ws)
}

func (e *entry) of(ws message.WorkspaceID) *Person {
	if e == nil {
		return nil
	}
	p := e.person.Load()
	if p == nil || p.Workspace != ws {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return p
}

// seen is what put needs to know about the time before a reading began.
func (c *cache) seen() uint64 { return c.gone.Load() }

// put holds a person that was read after seen was called. It does nothing if
// anyone was forgotten since: the reading may be older than the forgetting.
func (c *cache) put(p *Person, seen uint64) {
	s := c.ofID(p.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone.Load() != seen {
		return
	}
	e := s.byID[p.ID]
	if e == nil {
		e = s.room()
		e.used.Store(true)
		s.byID[p.ID] = e
		if old := e.person.Load(); old != nil {
			delete(s.byID, old.ID)
			c.unindex(old, e)
		}
	} else if old := e.person.Load(); old != nil {
		if old.Version > p.Version {
			return
		}
		c.unindex(old, e)
	}
	e.person.Store(p)
	for i := range p.Identities {
		index := p.Identities[i].Index
		s := c.ofIndex(index)
		s.mu.Lock()
		s.of[index] = e
		s.mu.Unlock()
	}
}

// replace changes what is held of a person without a new reading; nothing
// happens unless old is what is held.
func (c *cache) replace(old, p *Person) {
	s := c.ofID(p.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[p.ID]; e != nil {
		e.person.CompareAndSwap(old, p)
	}
}

// forget drops a person.
func (c *cache) forget(ws message.WorkspaceID, id message.ContactID) {
	s := c.ofID(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.gone.Add(1)
	e := s.byID[id]
	if e == nil {
		return
	}
	if old := e.person.Load(); old != nil {
		if old.Workspace != ws {
			return
		}
		c.unindex(old, e)
		old.sealer.Store(nil)
	}
	delete(s.byID, id)
	// The entry is no longer anyone's: the hand finds it free.
	e.person.Store(nil)
	e.used.Store(false)
}

func (c *cache) unindex(p *Person, e *entry) {
	for i := range p.Identities {
		index := p.Identities[i].Index
		s := c.ofIndex(index)
		s.mu.Lock()
		if s.of[index] == e {
			delete(s.of, index)
		}
		s.mu.Unlock()
	}
}

// room gives a free entry: a new one while there is space, else that of the
// person not asked for the longest, still filled.
func (s *peopleShard) room() *entry {
	if len(s.ring) < s.size {
		e := new(entry)
		s.ring = append(s.ring, e)
		return e
	}
	for {
		e := s.ring[s.hand]
		s.hand = (s.hand + 1) % len(s.ring)
		if !e.used.Swap(false) {
			return e
		}
	}
}
