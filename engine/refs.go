package engine

import (
	"sync"
	"sync/atomic"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A group calls done once all its members have reported.
type group struct {
	left atomic.Int32
	mu   sync.Mutex
	err  error
	done func(error)
}

func newGroup(n int, done func(error)) *group {
	g := &group{done: done}
	g.left.Store(int32(n))
	return g
}

func (g *group) one(err error) {
	if err != nil {
		g.mu.Lock()
		if g.err == nil {
			g.err = err
		}
		g.mu.Unlock()
	}
	if g.left.Add(-1) == 0 {
		g.done(g.err)
	}
}

// A refCache holds open refs of recent attempts, so that most receipts need no
// look-up. What it misses is in the store. A key is made with the id of its
// connector: none stands for two.
type refCache struct {
	mu    sync.Mutex
	limit int
	refs  map[message.RefKey]heldRef
	ring  []message.RefKey // the last ones put
	next  int
}

type heldRef struct {
	message message.MessageID
	slot    uint32 // in the ring
	attempt uint16
	step    uint8
	part    uint8
}

func (c *refCache) init(limit int) {
	c.refs = make(map[message.RefKey]heldRef)
	c.limit = limit
}

func (c *refCache) put(r store.OpenRef) {
	if r.Inferred {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	held := heldRef{message: r.Message, attempt: r.Attempt, step: r.Step, part: r.Part}
	if old, ok := c.refs[r.Key]; ok {
		held.slot = old.slot
		c.refs[r.Key] = held
		return
	}
	if len(c.ring) < c.limit {
		held.slot = uint32(len(c.ring))
		c.ring = append(c.ring, r.Key)
	} else {
		held.slot = uint32(c.next)
		if old := c.ring[c.next]; c.refs[old].slot == held.slot {
			delete(c.refs, old)
		}
		c.ring[c.next] = r.Key
		c.next = (c.next + 1) % c.limit
	}
	c.refs[r.Key] = held
}

func (c *refCache) drop(n store.RefName) {
	c.mu.Lock()
	delete(c.refs, n.Key)
	c.mu.Unlock()
}

// any gives the ref of the first key that is known of an account.
func (c *refCache) any(a *account, keys []message.RefKey) (store.OpenRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		if r, ok := c.refs[k]; ok {
			return store.OpenRef{
				RefName: store.RefName{Connector: a.id, Key: k}, Workspace: a.ws,
				Message: r.message, Step: r.step, Attempt: r.attempt, Part: r.part,
			}, true
		}
	}
	return store.OpenRef{}, false
}
