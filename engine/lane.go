package engine

import (
	"sync"
	"time"

	"github.com/parley-messaging/parley/engine/pace"
	"github.com/parley-messaging/parley/message"
)

const lanePriorities = len(message.Purposes) + 1

// A lane is the queue of one connector account while this node holds its
// lease. It picks the next message by priority, then fairly among the senders
// that share the account, then by order of acceptance (law 11). It keeps the
// provider's pace, lets no two messages to one identity overtake each other,
// and holds no more in memory than its bound: the rest waits in the store.
type lane struct {
	e   *Engine
	acc *account

	mu       sync.Mutex
	queues   [lanePriorities]backlog
	present  map[message.MessageID]bool // in a queue, in a chain or in an attempt
	chains   map[[16]byte][]*job        // identity in an attempt → who waits behind it
	queued   int
	inflight int
	limit    int           // attempts begun and not answered
	wire     chan struct{} // a place for each attempt on the wire
	bucket   pace.Bucket
	pairs    pace.Pairs // of our ends and people, by identity
	later    []*job     // held by the pair's pace
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
	sender   message.SenderID
	identity [16]byte
	rec      *record
	begun    time.Time // of the attempt recorded for it, whose commit may have been cut
}

func newLane(e *Engine, a *account) *lane {
	limits := a.limits()
	l := &lane{
		e: e, acc: a, present: make(map[message.MessageID]bool), chains: make(map[[16]byte][]*job),
		pairs: pace.NewPairs(limits.PairEvery, limits.PairBurst), limit: limits.Concurrent,
		bucket: pace.PerSecond(limits.PerSecond, limits.Burst),
		wake:   make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if l.limit <= 0 {
		l.limit = 64
	}
	l.wire = make(chan struct{}, l.limit)
	// Attempts that wait for their commit are many more than those on the wire,
	// and still no more than the account sends in about a second.
	l.limit = min(4*l.limit, max(l.limit, 1000))
	for i := range l.queues {
		l.queues[i].unread() // whatever the store holds comes first
	}
	return l
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
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
	if l.held() {
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
		for {
			j, ok := q.turns.Next()
			if !ok {
				break
			}
			if _, busy := l.chains[j.identity]; busy {
				q.turns.Take(0)
				l.chains[j.identity] = append(l.chains[j.identity], j)
				continue
			}
			if ok, at := l.pairs.Take(j.identity, now); !ok {
				q.turns.Take(0)
				l.later = append(l.later, j)
				if l.laterAt.IsZero() || at.Before(l.laterAt) {
					l.laterAt = at
				}
				continue
			}
			if ok, at := l.bucket.Take(now); !ok {
				l.pairs.Give(j.identity)
				return nil, at
			}
			q.turns.Take(1)
			l.queued--
			l.inflight++
			l.chains[j.identity] = nil
			l.trial = l.broken != nil
			return j, time.Time{}
		}
	}
	return nil, l.laterAt
}

// held reports whether nothing may begin just now.
func (l *lane) held() bool {
	return l.paused || l.down || l.inflight >= l.limit || time.Now().After(l.goodFor)
}

// ripen queues again what waited for its pair's pace, before what came later.
func (l *lane) ripen(now time.Time) {
	if !l.ripe(now) {
		return
	}
	waiting := l.later
	l.later, l.laterAt = nil, time.Time{}
	l.again(waiting)
}

// ripe reports whether one that waited for its pair's pace may go: until then
// nobody but that pair waits for it.
func (l *lane) ripe(now time.Time) bool { return !l.laterAt.IsZero() && !now.Before(l.laterAt) }

// owe counts the messages a step is sent as beyond its first.
func (l *lane) owe(j *job, n int, now time.Time) {
	if n <= 0 || l.acc.typ.Caps.Series <= 1 {
		return // SMS counts its parts itself
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bucket.Owe(n, now)
	l.pairs.Owe(j.identity, n, now)
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
		l.pairs.Pause(identity, now.Add(wait), now)
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

// ailing reports whether the account is stopped as misconfigured.
func (l *lane) ailing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken != nil
}
