package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// lookPause is how long a node rests between two looks for accounts it does
// not know: strangers can make up ids as fast as they like.
const lookPause = 250 * time.Millisecond

// find gives an account, after a look at the store for one that is not open
// here yet: it may have been made a moment ago, here or on another node. It
// fails with store.ErrNotFound, and with store.ErrUnavailable where nobody
// could look.
func (o *owner) find(ctx context.Context, id message.ConnectorID) (*account, error) {
	if a := o.account(id); a != nil {
		return a, nil
	}
	o.mu.RLock()
	looked := o.looked
	o.mu.RUnlock()
	select {
	case o.asked <- struct{}{}:
	default:
	}
	select {
	case <-looked:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-o.e.quit:
		return nil, ErrStopped
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if a := o.accounts[id]; a != nil {
		return a, nil
	}
	if o.blind != nil {
		return nil, o.blind
	}
	return nil, store.ErrNotFound
}

// search opens what others made since the last turn, for all who wait in find.
func (o *owner) search() {
	o.mu.Lock()
	looked := o.looked
	o.looked = make(chan struct{})
	o.mu.Unlock()
	defer close(looked)
	err := o.e.o.Workspaces.Refresh(o.e.ctx)
	if err == nil {
		_, err = o.follow(o.e.ctx)
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	o.mu.Lock()
	o.blind = err
	o.mu.Unlock()
}

// follow opens and shuts accounts as the configuration says, and gives those
// that are open.
func (o *owner) follow(ctx context.Context) (ids []message.ConnectorID, err error) {
	rooms, err := o.e.o.Workspaces.List(ctx)
	if err != nil {
		return nil, err
	}
	wanted := make(map[message.ConnectorID]bool)
	for _, w := range rooms {
		cfg, err := o.e.o.Workspaces.Config(ctx, w.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range cfg.Connectors {
			wanted[c.ID] = true
			if a := o.open(ctx, c); a != nil {
				ids = append(ids, c.ID)
			}
		}
	}
	for _, a := range o.all() {
		if !wanted[a.id] {
			o.shut(a)
		}
	}
	return ids, nil
}
