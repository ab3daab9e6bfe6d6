package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An endpoint that answers quickly and has nothing waiting gets events before
// their rows are written, which then say "delivered" at once: one write per
// event instead of three. Should the process die in between, the cursor has not
// moved and the events are sent again. What gets no answer in time or is
// refused becomes an ordinary pending row. The reader spends no more than
// expressTime on this, and an endpoint that disappoints goes the ordinary way
// for a while.
const (
	expressTime = 300 * time.Millisecond
	// expressPlan is how long the requests of one batch may take by the
	// endpoint's usual answering time.
	expressPlan = 150 * time.Millisecond
	// drainTime is how long the reader lets a quick endpoint catch up.
	drainTime = 100 * time.Millisecond
	// catchUp is how many rows it may have waiting for that.
	catchUp = 2 * maxWindow
	// Disappointments cost this long at first, and twice as long each time.
	sulk, maxSulk = time.Minute, time.Hour
)

// pace is what the express way knows of an endpoint; sender.mu guards it.
type pace struct {
	usual  time.Duration // smoothed time of a request
	known  bool          // it has taken something
	queued int           // rows left to the ordinary way, as far as this node knows
	sulks  int
	until  time.Time // no express before
}

// observe keeps the usual time of a request that was taken.
func (s *sender) observe(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pace.known {
		s.pace.usual, s.pace.known = took, true
		return
	}
	s.pace.usual += (took - s.pace.usual) / 8
}

func (s *sender) disappointed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.pace.until) { // of several lines that fail together one counts
		s.pace.until = now.Add(min(sulk<<min(s.pace.sulks, 8), maxSulk))
		s.pace.sulks++
	}
}

// express delivers what it can of rows that are not written yet, and marks
// what became of them. It returns within about expressTime and drainTime.
func (d *Dispatcher) express(ctx context.Context, rows []*store.WebhookDelivery) {
	of := make(map[message.EndpointID][]*store.WebhookDelivery)
	for _, r := range rows {
		of[r.Endpoint] = append(of[r.Endpoint], r)
	}
	var all sync.WaitGroup
	for id, rows := range of {
		d.mu.Lock()
		s := d.senders[id]
		d.mu.Unlock()
		if s == nil {
			continue
		}
		all.Go(func() {
			if ctx.Err() == nil && s.eager(ctx, len(rows)) {
				s.express(rows)
			}
			left := 0
			for _, r := range rows {
				if r.State == store.WebhookPending {
					left++
				}
			}
			s.mu.Lock()
			s.pace.queued += left
			s.mu.Unlock()
		})
	}
	all.Wait()
}

// eager reports whether n events may take the express way now. It lets an
// endpoint that is nearly there catch up first.
func (s *sender) eager(ctx context.Context, n int) bool {
	t, now := s.target.Load(), s.d.o.Now()
	s.mu.Lock()
	queued := s.pace.queued
	s.mu.Unlock()
	if queued > catchUp {
		s.resync(ctx, t) // another node may have done it
	}
	s.mu.Lock()
	requests := (n/max(t.Batch, 1) + s.d.o.Parallel) / s.d.o.Parallel
	ok := s.pace.known && !now.Before(s.pace.until) && s.health.failures == 0 && !s.health.off && !now.Before(s.health.until) &&
		time.Duration(requests)*s.pace.usual <= expressPlan && s.pace.queued <= catchUp
	s.mu.Unlock()
	if !ok {
		return false
	}
	for left := drainTime; ; left -= gather {
		if s.resync(ctx, t) {
			return true
		}
		if left <= 0 || !rest(ctx, nil, gather) {
			return false
		}
	}
}

// resync reports whether nothing waits in the store, and corrects what this
// node believes of it.
func (s *sender) resync(ctx context.Context, t *target) bool {
	at, err := s.d.o.Store.NextDelivery(ctx, t.ID)
	if err != nil || !at.IsZero() {
		return false
	}
	s.mu.Lock()
	s.pace.queued = 0
	s.mu.Unlock()
	return true
}

// express sends rows in as many lines as requests may run at once. All events
// of a message are in one line, and a line ends at its first failure: nothing
// overtakes within a message.
func (s *sender) express(rows []*store.WebhookDelivery) {
	t := s.target.Load()
	// A shutdown lets it end: what was taken is to be written down.
	ctx, cancel := context.WithTimeout(s.d.wire, expressTime)
	defer cancel()
	lines := make([][]*store.WebhookDelivery, min(s.d.o.Parallel, (len(rows)+max(t.Batch, 1)-1)/max(t.Batch, 1)))
	for _, r := range rows {
		key := [16]byte(r.Event.Message)
		if r.Event.Message.IsZero() {
			key = r.Event.ID
		}
		n := int(key[15]) | int(key[14])<<8
		lines[n%len(lines)] = append(lines[n%len(lines)], r)
	}
	var all sync.WaitGroup
	for _, line := range lines {
		all.Go(func() {
			for len(line) > 0 {
				n := min(len(line), max(t.Batch, 1))
				if !s.expressOne(ctx, t, line[:n]) {
					return
				}
				line = line[n:]
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	if s.pace.sulks > 0 && !s.d.o.Now().Before(s.pace.until) {
		s.pace.sulks--
	}
	s.mu.Unlock()
}

func (s *sender) expressOne(ctx context.Context, t *target, rows []*store.WebhookDelivery) bool {
	l, never, later := compose(ctx, s.d.o.People, rows, t.Batch > 1)
	defer l.release()
	if len(never)+len(later) > 0 {
		return false
	}
	began := s.d.o.Now()
	o := post(ctx, s.d.client, t, &l, began)
	crashpoint.At(crashpoint.WebhookPosted)
	now := s.d.o.Now()
	if o.problem != "" {
		s.disappointed(now)
		if !o.cut {
			s.failed(t, rows, o, now)
		}
		return false
	}
	s.observe(now.Sub(began))
	for _, r := range rows {
		r.State, r.Tries, r.LastAt, r.Status = store.WebhookDelivered, 1, now, o.status
	}
	return true
}

// failed marks rows that were answered with a failure: their first try.
func (s *sender) failed(t *target, rows []*store.WebhookDelivery, o outcome, now time.Time) {
	if notice := s.meet(o, now); notice != "" {
		s.note(t, notice, now)
	}
	for _, r := range rows {
		d, again := wait(1, s.d.o.Random())
		if r.NextAt = now.Add(max(d, o.after)); !again || o.gone {
			r.State = store.WebhookDead
		}
		r.Tries, r.LastAt, r.Status, r.Error = 1, now, o.status, o.problem
	}
}
