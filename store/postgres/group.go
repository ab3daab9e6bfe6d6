package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

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

// intakeShare is about how many new messages one group takes. What was accepted
// goes before what is to be accepted: else a burst of requests would keep what
// it asked for from being sent.
const intakeShare = 250

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
	for _, o := range q.ops {
		if o.fresh() && (len(taken) == 0 || fresh == 0 || fresh+o.items <= intakeShare) {
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

// A writer is one connection that commits groups.
type writer struct {
	s     *Store
	conn  *pgx.Conn
	stale atomic.Bool // nothing was sent for a while: the server may be another
	rest  *time.Timer // sets stale
	help  *time.Timer // calls slow
	late  bool        // it does not count as busy; guarded by the queue's mutex
}

func (w *writer) run() {
	w.rest = time.AfterFunc(time.Second, func() { w.stale.Store(true) })
	defer w.drop()
	defer w.rest.Stop()
	w.late = true
	w.help = time.AfterFunc(time.Hour, func() { w.s.queue.slow(w) })
	defer w.help.Stop()
	for {
		ops := w.s.queue.take(w, w.s.opt.Group)
		if len(ops) == 0 {
			return
		}
		w.commit(ops)
		w.s.queue.done(w)
	}
}

// commit writes ops in one transaction and tells their callers.
func (w *writer) commit(ops []*op) {
	err := w.persist(ops)
	if err == nil {
		return
	}
	if refused(err) && !errors.Is(unavailable(err), store.ErrUnavailable) || again(err) {
		if len(ops) > 1 {
			// Something in one of them is bad: find it, write the others.
			w.commit(ops[:len(ops)/2])
			w.commit(ops[len(ops)/2:])
			return
		}
	}
	err = unavailable(err)
	if errors.Is(err, store.ErrUnavailable) {
		w.s.trouble.Store(&trouble{at: w.s.now(), err: err})
	}
	for _, o := range ops {
		w.s.queue.finish(o, err)
	}
}

// A trouble is why a group could not be stored, and when.
type trouble struct {
	at  time.Time
	err error
}

// fresh is how long a trouble speaks for the present: a full disk takes small
// writes, such as Ping's, long after it refuses messages.
const fresh = time.Second

// persist runs the group until it is committed or has failed for good.
func (w *writer) persist(ops []*op) error {
	for try := 1; ; try++ {
		err := w.ready()
		if err != nil {
			return unavailable(err)
		}
		g := newGroup(w.s, ops, try > 1)
		ctx, cancel := w.s.limit(context.Background())
		err = g.run(ctx, w.conn)
		cancel()
		w.used()
		switch {
		case err == nil:
			if try == 1 && g.wary {
				w.s.wary.Add(-1)
			}
			g.answer()
			w.s.hub.committed(g.logged)
			return nil
		case w.conn.IsClosed():
			w.drop()
			if errors.Is(err, store.ErrUncertain) || try > 1 {
				return err
			}
		case try >= 3 || !again(err):
			return err
		case taken(err):
			w.s.wary.Store(waryFor)
		case moved(err):
			ctx, cancel := w.s.limit(context.Background())
			err = w.s.noticeRestore(ctx, w.conn)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// alive asks the server for a sign of life.
func (w *writer) alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opt.Wait)
	defer cancel()
	return w.conn.Ping(ctx) == nil
}

// ready connects where there is no living connection.
func (w *writer) ready() error {
	// A server that restarted while we were idle must not cost a caller the
	// certainty of its commit.
	if w.conn != nil && w.stale.Load() && !w.alive() {
		w.drop()
	}
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opt.Wait)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, w.s.writer.Copy())
	if err != nil {
		return err
	}
	if err = durable(ctx, conn); err == nil {
		err = w.s.connected(ctx, conn)
	}
	if err != nil {
		_ = conn.Close(ctx)
		return err
	}
	quickly(conn.TypeMap())
	w.conn = conn
	w.used()
	return nil
}

func (w *writer) used() {
	w.stale.Store(false)
	w.rest.Reset(time.Second)
}

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx)
	w.conn = nil
}

// pipeline sends b in one round trip.
func pipeline(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	return conn.SendBatch(ctx, b).Close()
}

// abandon rolls back what a refused statement left open.
func abandon(conn *pgx.Conn, s *Store) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := s.limit(context.Background())
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		_ = conn.Close(ctx)
	}
}
