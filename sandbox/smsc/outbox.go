package smsc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/smpp"
)

// out is one deliver_sm on its way to a customer.
type out struct {
	body  *smpp.DeliverSM
	gap   time.Duration // before the next try after a refusal
	after func()        // called once it is acknowledged or given up
}

// outbox holds what a customer must still get. One goroutine sends, on all the
// customer's receiving binds in turn; what is not acknowledged is sent again,
// on any bind.
type outbox struct {
	s     *Server
	wake  chan struct{}
	binds atomic.Int64 // of any mode

	mu       sync.Mutex
	pending  []*out
	sessions []*smpp.Session // that take deliver_sm
	turn     int
}

const (
	firstGap   = time.Second
	longestGap = time.Minute
)

func newOutbox(s *Server) *outbox { return &outbox{s: s, wake: make(chan struct{}, 1)} }

func (b *outbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *outbox) join(session *smpp.Session) {
	b.binds.Add(1)
	if session.Mode() == smpp.BindTransmitter {
		return
	}
	b.mu.Lock()
	b.sessions = append(b.sessions, session)
	b.mu.Unlock()
	b.poke()
}

func (b *outbox) leave(session *smpp.Session) {
	b.binds.Add(-1)
	b.mu.Lock()
	b.sessions = slices.DeleteFunc(b.sessions, func(s *smpp.Session) bool { return s == session })
	b.mu.Unlock()
	b.poke()
}

// add queues o, before the others when it was sent already.
func (b *outbox) add(o *out, again bool) {
	b.mu.Lock()
	switch {
	case again:
		b.pending = slices.Insert(b.pending, 0, o)
	case len(b.pending) >= b.s.opts.Queue:
		old := b.pending[0]
		b.pending = append(b.pending[1:], o)
		b.mu.Unlock()
		b.s.count.lost.Add(1)
		old.done()
		b.poke()
		return
	default:
		b.pending = append(b.pending, o)
	}
	b.mu.Unlock()
	if !again {
		b.s.count.waiting.Add(1)
	}
	b.poke()
}

func (o *out) done() {
	if o.after != nil {
		o.after()
		o.after = nil
	}
}

func (b *outbox) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = nil
}

// next takes the oldest and the bind whose turn it is; nil when there is
// nothing to send or no bind to send it on.
func (b *outbox) next() (*out, *smpp.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 || len(b.sessions) == 0 {
		return nil, nil
	}
	o := b.pending[0]
	b.pending[0] = nil
	if b.pending = b.pending[1:]; len(b.pending) == 0 {
		b.pending = nil
	}
	b.turn++
	return o, b.sessions[b.turn%len(b.sessions)]
}

func (b *outbox) loop() {
	for b.s.life.Err() == nil {
		o, session := b.next()
		if o == nil {
			select {
			case <-b.wake:
			case <-b.s.life.Done():
			}
			continue
		}
		err := session.Deliver(b.s.life, o.body, func(r smpp.Response, err error) { b.settle(o, r, err) })
		if err != nil {
			// The bind is going: leave forgets it soon, until then others are tried.
			b.add(o, true)
			b.drop(session)
		}
	}
}

func (b *outbox) drop(session *smpp.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions = slices.DeleteFunc(b.sessions, func(s *smpp.Session) bool { return s == session })
}

// settle hears the customer's answer.
func (b *outbox) settle(o *out, r smpp.Response, err error) {
	c := &b.s.count
	switch {
	case err != nil: // no answer: another bind, at once
		c.retries.Add(1)
		b.add(o, true)
	case r.Status == smpp.StatusOK:
		c.reports.Add(1)
		c.waiting.Add(-1)
		o.done()
	case r.Status == smpp.StatusTemporaryAppError || r.Status == smpp.StatusQueueFull || r.Status == smpp.StatusThrottled ||
		r.Status == smpp.StatusSystemError:
		c.retries.Add(1)
		o.gap = min(max(2*o.gap, firstGap), longestGap)
		b.s.parts.Clock.After(o.gap, func(time.Time) { b.add(o, true) })
	default:
		c.lost.Add(1)
		c.waiting.Add(-1)
		o.done()
	}
}
