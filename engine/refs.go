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

// refsOfCache is how many open refs are held for each delivery that may be whole
// in memory, 98,304 in all, which take 8 MB where so many are open. A receipt that
// has to ask the store keeps its place in the operator's window until then, so that
// more stay open: see docs/benchmarks.md, 2026-11-27, late.
const refsOfCache = 24

// A refCache holds open refs of recent attempts, so that most receipts need no
// look-up. What it misses is in the store. A key is made with the id of its
// connector: none stands for two.
type refCache struct {
	mu    sync.Mutex
	most  int // refs held; those that came first leave, half of them at once
	young map[message.RefKey]heldRef
	old   map[message.RefKey]heldRef // no key of young
}

// A heldRef takes 36 bytes with its key, and no pointer.
type heldRef struct {
	message message.MessageID
	attempt uint16
	step    uint8
	part    uint8
}

func (c *refCache) init(most int) {
	c.young, c.most = make(map[message.RefKey]heldRef), most
}

func (c *refCache) put(r store.OpenRef) {
	if r.Inferred {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.most/2 {
		c.old, c.young = c.young, make(map[message.RefKey]heldRef)
	}
	delete(c.old, r.Key)
	c.young[r.Key] = heldRef{message: r.Message, attempt: r.Attempt, step: r.Step, part: r.Part}
}

func (c *refCache) drop(n store.RefName) {
	c.mu.Lock()
	delete(c.young, n.Key)
	delete(c.old, n.Key)
	c.mu.Unlock()
}

// any gives the ref of the first key that is known of an account.
func (c *refCache) any(a *account, keys []message.RefKey) (store.OpenRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		r, ok := c.young[k]
		if !ok {
			r, ok = c.old[k]
		}
		if ok {
			return store.OpenRef{
				RefName: store.RefName{Connector: a.id, Key: k}, Workspace: a.ws,
				Message: r.message, Step: r.step, Attempt: r.attempt, Part: r.part,
			}, true
		}
	}
	return store.OpenRef{}, false
}
