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
// look-up. What it misses is in the store.
type refCache struct {
	mu    sync.Mutex
	refs  map[store.RefName]store.OpenRef
	order []store.RefName
	limit int
}

func (c *refCache) init(limit int) {
	c.refs = make(map[store.RefName]store.OpenRef)
	c.limit = limit
}

func (c *refCache) put(r store.OpenRef) {
	if r.Inferred {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs[r.RefName] = r
	c.order = append(c.order, r.RefName)
	for len(c.order) > c.limit {
		delete(c.refs, c.order[0])
		c.order = c.order[1:]
	}
}

func (c *refCache) drop(n store.RefName) {
	c.mu.Lock()
	delete(c.refs, n)
	c.mu.Unlock()
}

// any gives the ref of the first key that is known.
func (c *refCache) any(id message.ConnectorID, keys []message.RefKey) (store.OpenRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		if r, ok := c.refs[store.RefName{Connector: id, Key: k}]; ok {
			return r, true
		}
	}
	return store.OpenRef{}, false
}
