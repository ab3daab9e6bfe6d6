package engine

import (
	"context"
	"sync"
	"time"
)

// deadlineGrain is by how much a shared deadline may come early.
const deadlineGrain = time.Second

// A deadline gives contexts that end some time from now. All that ask within
// deadlineGrain share one: thousands of sends in a second need not have a timer
// each. Nobody may cancel what he shares.
type deadline struct {
	parent context.Context
	after  time.Duration

	mu   sync.Mutex
	ctx  context.Context    // nil: the next needs a new one
	ends context.CancelFunc // called by nobody: the time ends it, or parent
}

// context gives one that ends no later than after from now.
func (d *deadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		d.ctx, d.ends = context.WithTimeout(d.parent, d.after)
		time.AfterFunc(deadlineGrain, d.old)
	}
	return d.ctx
}

func (d *deadline) old() {
	d.mu.Lock()
	d.ctx, d.ends = nil, nil
	d.mu.Unlock()
}
