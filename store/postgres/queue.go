package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An op is one caller's hot write: exactly one of its kinds is filled.
type op struct {
	accepts  []*store.Acceptance
	accepted []store.AcceptResult

	changes []*store.Change
	applied []store.Applied

	receptions []*store.Reception
	received   []store.Verdict

	callbacks []*store.Callback
	finished  []message.EventID

	lookups []*store.Lookup
	matched []store.Matched

	items int
	begun bool // guarded by the queue's mutex
	err   error
	done  chan struct{}
}

// fresh reports whether o brings new messages that wait behind accepted work.
// One-time codes do not: no campaign delays them, not even at the door (law 11).
func (o *op) fresh() bool {
	return len(o.accepts) > 0 && o.accepts[0].Delivery.Purpose != message.Authentication
}

// A queue holds ops until a writer is free. It is bounded in items.
type queue struct {
	mu      sync.Mutex
	filled  *sync.Cond
	ops     []*op
	waiting int // items not yet committed, in the queue or with a writer
	held    int // of waiting, those with a writer
	busy    int // writers at work, without those that are late
	limit   int
	closed  bool
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.filled = sync.NewCond(&q.mu)
	return q
}

func (q *queue) size() (int, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting, q.limit
}

// do waits until o is committed or failed. It ends with ctx only while no
// writer has taken o.
func (q *queue) do(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.items == 0 {
		return nil
	}
	o.done = make(chan struct{})
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		return fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	case q.waiting > 0 && q.waiting+o.items > q.limit:
		waiting := q.waiting
		q.mu.Unlock()
		return fmt.Errorf("%w: %d writes wait for a commit already (the limit is %d)", store.ErrUnavailable, waiting, q.limit)
	}
	q.ops = append(q.ops, o)
	q.waiting += o.items
	if q.ready() {
		q.filled.Signal()
	}
	q.mu.Unlock()

	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	}
	q.mu.Lock()
	if !o.begun {
		if i := slices.Index(q.ops, o); i >= 0 {
			q.ops = slices.Delete(q.ops, i, i+1)
			q.waiting -= o.items
			q.mu.Unlock()
			return ctx.Err()
		}
	}
	q.mu.Unlock()
	<-o.done
	return o.err
}

// What was accepted goes before what is to be accepted: a group takes all work
// that waits, and about intakeShare new messages, or intakeAlone where no work
// waits. Receipts come through a window, one commit long each: were commits
// longer for the sake of bursts of requests, messages would come in faster than
// they can end, and each would be written once more on the way.
const (
	intakeShare = 100
	intakeAlone = 250
)

// enough is how many items must wait for a writer to begin beside another. What
// comes meanwhile goes into one large group: a group's statements cost nearly as
// much for one item as for thirty. A writer that has been at its group for late,
// waiting for a lock or a slow disk, holds nobody up.
const (
	enough = 128
	late   = 25 * time.Millisecond
)

// ready reports whether a writer may take what waits.
func (q *queue) ready() bool {
	return len(q.ops) > 0 && (q.busy == 0 || q.waiting-q.held >= enough)
}

// take gives a writer what waits, up to most items; nil once closed. The writer
// calls done after it.
func (q *queue) take(w *writer, most int) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && !q.ready() {
		q.filled.Wait()
	}
	var taken []*op
	items, fresh := 0, 0
	pick := func(o *op) {
		o.begun = true
		items += o.items
		taken = append(taken, o)
	}
	for _, o := range q.ops {
		if !o.fresh() && (len(taken) == 0 || items+o.items <= most) {
			pick(o)
		}
	}
	room := intakeAlone
	if len(taken) > 0 {
		room = intakeShare
	}
	for _, o := range q.ops {
		if o.fresh() && (fresh == 0 || fresh+o.items <= room) {
			pick(o)
			fresh += o.items
		}
	}
	q.ops = slices.DeleteFunc(q.ops, func(o *op) bool { return o.begun })
	if len(taken) == 0 {
		return nil
	}
	q.busy++
	q.held += items
	w.late = false
	w.help.Reset(late)
	if q.ready() {
		q.filled.Signal()
	}
	return taken
}

// slow lets another writer begin beside w. A timer that fires too late only does
// so a little early.
func (q *queue) slow(w *writer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.late || q.busy == 0 {
		return
	}
	w.late = true
	q.busy--
	if q.ready() {
		q.filled.Signal()
	}
}

// done says that w has ended what it took.
func (q *queue) done(w *writer) {
	w.help.Stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !w.late {
		w.late = true
		q.busy--
	}
	if q.ready() {
		q.filled.Signal()
	}
}

func (q *queue) finish(o *op, err error) {
	o.err = err
	q.mu.Lock()
	q.waiting -= o.items
	if o.begun {
		q.held -= o.items
	}
	q.mu.Unlock()
	close(o.done)
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	left := q.ops
	q.ops = nil
	for _, o := range left {
		o.begun = true
		q.held += o.items
	}
	q.filled.Broadcast()
	q.mu.Unlock()
	for _, o := range left {
		q.finish(o, fmt.Errorf("%w: it is closed", store.ErrUnavailable))
	}
}
