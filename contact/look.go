package contact

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Asking the store for one person costs nearly as much as asking for thirty: while
// many are asked for one by one, a question waits a moment for others.
const (
	gatherFor = 3 * time.Millisecond
	company   = 32
	// aloneFor is how long nothing waits after a wait in vain: whoever asks one
	// after the other has no company.
	aloneFor = 100 * time.Millisecond
)

// A found is what the store knows behind indexes, and what the cache needs to know
// of the time before it was asked.
type found struct {
	rows []*store.Person
	seen uint64
}

// rows asks the store.
func (b *Book) rows(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) (found, error) {
	f := found{seen: b.cache.seen()}
	var err error
	if f.rows, err = b.store.Resolve(ctx, ws, indexes); err == nil && len(f.rows) != len(indexes) {
		err = errors.New("the store answered another number of contacts than asked for")
	}
	return f, err
}

// looks gathers a workspace's questions for single people.
type looks struct {
	mu   sync.Mutex
	next *round    // waits for company; nil: nobody asks just now
	last time.Time // when somebody asked
	vain time.Time // when a round had one question
}

// A round is a question that several callers share.
type round struct {
	indexes [][16]byte
	ended   chan struct{} // closed once the rest is there
	found   found
	err     error
}

// look is rows for one index, asked together with others where there are any.
func (b *Book) look(ctx context.Context, h *home, ws message.WorkspaceID, index [16]byte) (found, error) {
	ask := func(r *round) {
		// Whoever came first may go away: the others are still to be answered.
		r.found, r.err = b.rows(context.WithoutCancel(ctx), ws, r.indexes)
		close(r.ended)
	}
	r, at, full := h.looks.join(index, b.now, ask)
	switch {
	case r == nil:
		return b.rows(ctx, ws, [][16]byte{index})
	case full:
		ask(r)
	}
	select {
	case <-r.ended:
	case <-ctx.Done():
		return found{}, ctx.Err()
	}
	if r.err != nil {
		return found{}, r.err
	}
	return found{r.found.rows[at : at+1], r.found.seen}, nil
}

// join puts an index into the round that waits, or begins one, and gives its
// place; no round where nobody else asks. A round is given to ask when its time
// is over; one that is full is the caller's to ask.
func (l *looks) join(index [16]byte, clock func() time.Time, ask func(*round)) (r *round, at int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := clock()
	alone := l.next == nil && (now.Sub(l.last) > gatherFor || now.Sub(l.vain) < aloneFor)
	l.last = now
	if alone {
		return nil, 0, false
	}
	if l.next == nil {
		begun := &round{ended: make(chan struct{})}
		l.next = begun
		time.AfterFunc(gatherFor, func() {
			if l.take(begun, clock()) {
				ask(begun)
			}
		})
	}
	r = l.next
	r.indexes = append(r.indexes, index)
	if full = len(r.indexes) == company; full {
		l.next = nil
	}
	return r, len(r.indexes) - 1, full
}

// take ends the waiting of a round, unless that has happened.
func (l *looks) take(r *round, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != r {
		return false
	}
	l.next = nil
	if len(r.indexes) == 1 {
		l.vain = now
	}
	return true
}
