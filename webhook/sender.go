package webhook

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/store"
)

const (
	// lease is how long claimed rows are ours; a request begins only while a
	// whole postTimeout and some are left of it.
	lease  = 60 * time.Second
	margin = postTimeout + 5*time.Second
	// maxWindow bounds the rows of one endpoint that are claimed and not
	// settled. The window grows while a claim is done within quick and shrinks
	// when it takes longer than slow: no more is claimed than is sent in about
	// a second.
	maxWindow = 2048
	quick     = 300 * time.Millisecond
	slow      = 1500 * time.Millisecond
	// settleTimeout bounds the storing of outcomes: after it the rows' leases
	// run out and they are sent again.
	settleTimeout = 20 * time.Second
	// alone is after how many refusals an event leaves its batch: it may be the
	// one the receiver chokes on.
	alone = 3
)

// A sender delivers to one endpoint. Its run claims rows and hands them to one
// goroutine per request, of which there are at most Options.Parallel; settle
// stores what became of them, as many at once as have gathered.
type sender struct {
	d      *Dispatcher
	target atomic.Pointer[target]
	ctx    context.Context // ends when the endpoint is gone or the intake ends
	end    context.CancelFunc
	wake   chan struct{}
	slots  chan struct{}
	full   chan struct{} // tries are waiting

	mu     sync.Mutex
	out    int // rows claimed and not settled
	window int
	tries  []*store.WebhookTry
	health health
	pace   pace
}

func newSender(d *Dispatcher, t *target) *sender {
	s := &sender{
		d: d, wake: make(chan struct{}, 1), slots: make(chan struct{}, d.o.Parallel), full: make(chan struct{}, 1),
		window: d.o.Parallel * max(t.Batch, 1),
	}
	s.ctx, s.end = context.WithCancel(d.intake)
	s.target.Store(t)
	s.health.since, s.health.stored = t.FailingAt, !t.FailingAt.IsZero()
	return s
}

// run claims and sends until the endpoint is gone or the intake ends, then
// waits for what is on the wire.
func (s *sender) run() {
	var posts, settler sync.WaitGroup
	done := make(chan struct{})
	settler.Go(func() { s.settleAll(done) })
	for s.ctx.Err() == nil {
		s.turn(&posts)
	}
	s.end()
	posts.Wait()
	close(done)
	settler.Wait()
}

// turn claims what may go, or waits until something may.
func (s *sender) turn(posts *sync.WaitGroup) {
	t, now := s.target.Load(), s.d.o.Now()
	n, hold := s.room(t, now)
	if n == 0 {
		rest(s.ctx, s.wake, min(hold, poll))
		return
	}
	until := now.Add(lease)
	rows, err := s.d.o.Store.Claim(s.ctx, t.ID, s.d.o.Node, now, until, n)
	if err != nil {
		if s.ctx.Err() == nil {
			s.d.o.Log.Warn("webhook deliveries not readable", "endpoint", t.ID, "error", err)
			rest(s.ctx, nil, time.Second)
		}
		return
	}
	if len(rows) == 0 {
		rest(s.ctx, s.wake, s.next(t, now))
		return
	}
	s.mu.Lock()
	s.out += len(rows)
	s.mu.Unlock()
	round := &round{s: s, left: atomic.Int32{}, began: now, full: len(rows) == n}
	letters := split(rows, t.Batch)
	round.left.Store(int32(len(letters)))
	for i, l := range letters {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			for _, l := range letters[i:] {
				s.drop(len(l)) // their leases run out: sent by the next life
			}
			return
		}
		posts.Go(func() {
			s.deliver(t, l, until)
			<-s.slots
			round.done()
		})
	}
}

// room gives how many rows to claim now, or how long to wait before asking
// again.
func (s *sender) room(t *target, now time.Time) (int, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.health.until.Sub(now); d > 0 {
		return 0, d
	}
	if s.health.failures >= patience {
		if s.out > 0 {
			return 0, poll // one request asks how things stand
		}
		return max(t.Batch, 1), 0
	}
	if s.out > s.window/2 {
		return 0, poll
	}
	return s.window - s.out, 0
}

// next gives how long nothing is due.
func (s *sender) next(t *target, now time.Time) time.Duration {
	at, err := s.d.o.Store.NextDelivery(s.ctx, t.ID)
	if err != nil || at.IsZero() {
		return poll
	}
	return min(max(at.Sub(now), time.Millisecond), poll)
}

// split makes requests of rows. An event that was refused again and again goes
// alone.
func split(rows []*store.WebhookDelivery, batch int) [][]*store.WebhookDelivery {
	if batch <= 1 {
		out := make([][]*store.WebhookDelivery, len(rows))
		for i := range rows {
			out[i] = rows[i : i+1]
		}
		return out
	}
	var out [][]*store.WebhookDelivery
	rest := make([]*store.WebhookDelivery, 0, len(rows))
	for _, r := range rows {
		if r.Tries >= alone && r.Status >= 400 {
			out = append(out, []*store.WebhookDelivery{r})
		} else {
			rest = append(rest, r)
		}
	}
	for len(rest) > 0 {
		n := min(batch, len(rest))
		out = append(out, rest[:n])
		rest = rest[n:]
	}
	return out
}

// deliver makes one request and hands on what became of its rows.
func (s *sender) deliver(t *target, rows []*store.WebhookDelivery, until time.Time) {
	if s.ctx.Err() != nil || s.d.o.Now().After(until.Add(-margin)) {
		s.drop(len(rows))
		return
	}
	l, never, later := compose(s.d.wire, s.d.o.People, rows, t.Batch > 1)
	defer l.release()
	now := s.d.o.Now()
	if len(never) > 0 {
		s.d.o.Log.Error("an event cannot be shown", "endpoint", t.ID, "event", never[0].Event.ID, "count", len(never))
	}
	s.judge(t, never, outcome{problem: "unreadable"}, now, true)
	s.judge(t, later, outcome{problem: "not_readable_now"}, now, false)
	if len(l.rows) == 0 {
		return
	}
	o := post(s.d.wire, s.d.client, t, &l, now)
	crashpoint.At(crashpoint.WebhookPosted)
	if o.cut {
		s.drop(len(l.rows))
		return
	}
	began := now
	now = s.d.o.Now()
	if o.problem == "" {
		s.observe(now.Sub(began))
	}
	notice := s.meet(o, now)
	s.judge(t, l.rows, o, now, o.gone)
	if notice != "" {
		s.note(t, notice, now)
	}
}

// judge turns the outcome of a request into the tries of its rows.
func (s *sender) judge(t *target, rows []*store.WebhookDelivery, o outcome, now time.Time, last bool) {
	if len(rows) == 0 {
		return
	}
	tries := make([]store.WebhookTry, len(rows))
	s.mu.Lock()
	for i, r := range rows {
		y := &tries[i]
		*y = store.WebhookTry{ID: r.ID, Endpoint: t.ID, At: now, State: store.WebhookDelivered, Status: o.status, Error: o.problem}
		if o.problem != "" {
			y.State = store.WebhookDead
			if d, again := wait(r.Tries+1, s.d.o.Random()); again && !last {
				y.State, y.NextAt = store.WebhookPending, now.Add(max(d, o.after))
			}
		}
		s.tries = append(s.tries, y)
	}
	s.mu.Unlock()
	kick(s.full)
}

// drop forgets rows that were claimed: their leases run out.
func (s *sender) drop(n int) {
	s.mu.Lock()
	s.out -= n
	s.mu.Unlock()
	kick(s.wake)
}

// settleAll stores outcomes until done, and then what is left.
func (s *sender) settleAll(done <-chan struct{}) {
	for {
		select {
		case <-s.full:
			s.settle()
		case <-done:
			s.settle()
			return
		}
	}
}

func (s *sender) settle() {
	s.mu.Lock()
	tries := s.tries
	s.tries = nil
	s.mu.Unlock()
	if len(tries) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), settleTimeout)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := s.d.o.Store.Settle(ctx, s.d.o.Node, tries)
		if err == nil {
			break
		}
		s.d.o.Log.Warn("webhook outcomes not stored", "endpoint", tries[0].Endpoint, "count", len(tries), "error", err)
		if !rest(ctx, nil, pause) {
			break // sent again when their leases have run out
		}
	}
	s.mu.Lock()
	s.pace.queued = max(s.pace.queued-len(tries), 0)
	s.mu.Unlock()
	s.drop(len(tries))
}

// A round is one claim: how long it takes decides how large the next may be.
type round struct {
	s     *sender
	left  atomic.Int32
	began time.Time
	full  bool
}

func (r *round) done() {
	if r.left.Add(-1) > 0 {
		return
	}
	took := r.s.d.o.Now().Sub(r.began)
	least := r.s.d.o.Parallel * max(r.s.target.Load().Batch, 1)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	switch {
	case took < quick && r.full:
		r.s.window = max(min(2*r.s.window, maxWindow), least)
	case took > slow:
		r.s.window = max(r.s.window/2, r.s.d.o.Parallel)
	}
}
