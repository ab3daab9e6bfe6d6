package engine

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine/pace"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const lanePriorities = len(message.Purposes) + 1

// A lane is the queue of one connector account while this node holds its
// lease. It picks the next message by priority and order of acceptance, keeps
// the provider's pace, lets no two messages to one identity overtake each
// other, and never holds more in memory than its bound: the rest waits in the
// store and is fetched in order.
type lane struct {
	e   *Engine
	acc *account

	mu       sync.Mutex
	queues   [lanePriorities]fifo
	present  map[message.MessageID]bool // in a queue, in a chain or in an attempt
	chains   map[[16]byte][]*job        // identity in an attempt → who waits behind it
	queued   int
	spilled  [lanePriorities]bool              // the store holds more than the queue
	fetched  [lanePriorities]message.MessageID // where the last fetch ended
	inflight int
	limit    int           // attempts begun and not answered
	wire     chan struct{} // a place for each attempt on the wire
	bucket   pace.Bucket
	pairs    map[[16]byte]*pace.Bucket
	pairBy   channel.Limits
	later    []*job // held by the pair's pace
	laterAt  time.Time
	broken   *message.Fault // misconfigured: nothing goes until brokenTo
	brokenTo time.Time
	paused   bool // by an operator
	down     bool // its links are down
	stopped  bool
	trial    bool // one message is trying whether a broken account works again
	wake     chan struct{}
	ended    chan struct{}

	token   int64
	goodFor time.Time // monotonic: attempts may begin before this
}

type job struct {
	ws       message.WorkspaceID
	id       message.MessageID
	priority message.Priority
	identity [16]byte
	rec      *record
	begun    time.Time // of the attempt recorded for it, whose commit may have been cut
}

// A fifo is a queue that reuses its memory.
type fifo struct {
	items []*job
	head  int
}

func (q *fifo) push(j *job) { q.items = append(q.items, j) }

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) pop() *job {
	j := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head > 1024 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return j
}

func newLane(e *Engine, a *account) *lane {
	limits := a.limits()
	l := &lane{
		e: e, acc: a, present: make(map[message.MessageID]bool), chains: make(map[[16]byte][]*job),
		pairs: make(map[[16]byte]*pace.Bucket), pairBy: limits, limit: limits.Concurrent,
		bucket: pace.PerSecond(limits.PerSecond, limits.Burst),
		wake:   make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if l.limit <= 0 {
		l.limit = 64
	}
	l.wire = make(chan struct{}, l.limit)
	// Attempts that wait for their commit are many more than those on the wire,
	// and still no more than the account sends in about a second.
	l.limit = min(4*l.limit, max(l.limit, 2000))
	for i := range l.spilled {
		l.spilled[i] = true // whatever the store holds comes first
	}
	return l
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// push queues a message that is durable and ready. What does not fit in memory
// stays in the store.
func (l *lane) push(j *job) {
	l.mu.Lock()
	p := min(int(j.priority), lanePriorities-1)
	switch {
	case l.stopped || l.present[j.id]:
	case l.spilled[p] && bytes.Compare(j.id[:], l.fetched[p][:]) > 0:
		// Older ones of this priority wait in the store: this one comes with
		// them, in order.
	case l.queued >= l.e.o.Queue:
		l.spilled[p] = true
	default:
		l.add(j)
	}
	l.mu.Unlock()
	l.signal()
}

func (l *lane) add(j *job) {
	l.present[j.id] = true
	l.queued++
	l.queues[min(int(j.priority), lanePriorities-1)].push(j)
}

// run sends until the lane is stopped.
func (l *lane) run() {
	defer close(l.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.refill()
		l.mu.Lock()
		if l.stopped {
			l.mu.Unlock()
			return
		}
		j, at := l.next()
		l.mu.Unlock()
		if j != nil {
			l.begin(j)
			continue
		}
		wait := time.Second
		if !at.IsZero() {
			wait = min(max(at.Sub(l.e.now()), time.Millisecond), wait)
		}
		timer.Reset(wait)
		select {
		case <-l.wake:
		case <-timer.C:
			l.poll()
		case <-l.e.quit:
			return
		}
	}
}

// next takes the message to send now, or tells when to look again (zero: when
// woken). The caller holds mu.
func (l *lane) next() (*job, time.Time) {
	now := l.e.now()
	if l.paused || l.down || l.inflight >= l.limit || time.Now().After(l.goodFor) {
		return nil, time.Time{}
	}
	if l.broken != nil {
		if now.Before(l.brokenTo) {
			return nil, l.brokenTo
		}
		if l.trial {
			return nil, time.Time{}
		}
	}
	l.ripen(now)
	for p := range l.queues {
		q := &l.queues[p]
		for q.len() > 0 {
			j := q.items[q.head]
			if _, busy := l.chains[j.identity]; busy {
				q.pop()
				l.chains[j.identity] = append(l.chains[j.identity], j)
				continue
			}
			if at, ok := l.pair(j, now); !ok {
				q.pop()
				l.later = append(l.later, j)
				if l.laterAt.IsZero() || at.Before(l.laterAt) {
					l.laterAt = at
				}
				continue
			}
			if ok, at := l.bucket.Take(now); !ok {
				l.unpair(j)
				return nil, at
			}
			q.pop()
			l.queued--
			l.inflight++
			l.chains[j.identity] = nil
			l.trial = l.broken != nil
			return j, time.Time{}
		}
	}
	return nil, l.laterAt
}

// ripen queues again what waited for its pair's pace, in order.
func (l *lane) ripen(now time.Time) {
	if l.laterAt.IsZero() || now.Before(l.laterAt) {
		return
	}
	waiting := l.later
	l.later, l.laterAt = nil, time.Time{}
	for _, j := range waiting {
		l.queues[min(int(j.priority), lanePriorities-1)].push(j)
	}
	if len(l.pairs) > 4*l.e.o.Queue {
		for k, b := range l.pairs {
			if b.Idle(now) {
				delete(l.pairs, k)
			}
		}
	}
}

func (l *lane) pair(j *job, now time.Time) (time.Time, bool) {
	if l.pairBy.PairEvery <= 0 {
		return now, true
	}
	b := l.pairs[j.identity]
	if b == nil {
		if len(l.pairs) > 200000 {
			for k, b := range l.pairs {
				if b.Idle(now) {
					delete(l.pairs, k)
				}
			}
		}
		bucket := pace.New(l.pairBy.PairEvery, l.pairBy.PairBurst)
		b = &bucket
		l.pairs[j.identity] = b
	}
	ok, at := b.Take(now)
	return at, ok
}

// owe counts the messages a step is sent as beyond its first.
func (l *lane) owe(j *job, n int, now time.Time) {
	if n <= 0 || l.acc.typ.Caps.Series <= 1 {
		return // SMS counts its parts itself
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bucket.Owe(n, now)
	if b := l.pairs[j.identity]; b != nil {
		b.Owe(n, now)
	}
}

func (l *lane) unpair(j *job) {
	if b := l.pairs[j.identity]; b != nil {
		b.Give()
	}
}

const refillAt = 1000 // fetch more when a priority's queue is shorter than this

// refill fetches what waits in the store, in order, when there is room.
func (l *lane) refill() {
	for p := range l.queues {
		l.mu.Lock()
		need := l.spilled[p] && l.queues[p].len() < refillAt && !l.stopped && (l.queued < l.e.o.Queue || p == 0)
		after := store.Place{Priority: message.Priority(p), ID: l.fetched[p]}
		if need {
			l.spilled[p] = false // what is accepted from here on is pushed
		}
		l.mu.Unlock()
		if need {
			l.fetch(p, after, refillAt)
		}
	}
}

// poll looks for work that another node accepted, or that a hint was lost for.
func (l *lane) poll() {
	l.mu.Lock()
	quiet := l.queued == 0 && !l.stopped
	if quiet {
		for p := range l.fetched {
			l.fetched[p] = message.MessageID{}
			l.spilled[p] = true
		}
	}
	l.mu.Unlock()
}

func (l *lane) fetch(p int, after store.Place, limit int) {
	records, err := l.e.store.Ready(l.e.ctx, l.acc.id, after, limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.spilled[p] = true
		if l.e.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			l.e.log.Warn("queue not readable", "connector", l.acc.id, "error", err)
		}
		return
	}
	for _, r := range records {
		d := r.Delivery
		at := min(int(d.Purpose.Priority()), lanePriorities-1)
		if at != p {
			// Ready runs on into the next priority: its own fetch will come.
			return
		}
		l.fetched[p] = d.ID
		if l.present[d.ID] {
			continue
		}
		l.add(&job{ws: d.Workspace, id: d.ID, priority: message.Priority(at), identity: r.Identity, rec: newRecord(r)})
	}
	if len(records) == limit {
		l.spilled[p] = true
	}
}

// halt stops the lane from beginning anything; what is on the wire goes on.
func (l *lane) halt() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.signal()
}

// slow pauses the account for a provider's "too fast".
func (l *lane) slow(f *message.Fault, identity [16]byte, now time.Time) {
	wait := f.RetryAfter
	if wait <= 0 {
		wait = time.Second
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.Scope == message.ScopePair || f.Scope == message.ScopeRecipient || f.Scope == message.ScopeMessage {
		b := l.pairs[identity]
		if b == nil {
			bucket := pace.New(max(l.pairBy.PairEvery, time.Second), max(l.pairBy.PairBurst, 1))
			b = &bucket
			l.pairs[identity] = b
		}
		b.Pause(now.Add(wait))
		return
	}
	l.bucket.Pause(now.Add(wait))
}

// fail stops the account until HealthWait has passed: it is misconfigured.
func (l *lane) fail(f *message.Fault, now time.Time) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.broken == nil
	l.broken, l.brokenTo = f, now.Add(l.e.o.HealthWait)
	return first
}
