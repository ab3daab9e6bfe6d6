package engine

import (
	"errors"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/store"
)

// A direct is a message whose first attempt is recorded in the commit that
// accepts it: nothing it could overtake waits in its lane. It spares a write and
// the way through lane and shard. The bytes leave after the commit, under the
// same gates, guard and fence as those of any attempt (laws 3 and 7).
type direct struct {
	l *lane // nil: it goes the ordinary way
	j *job
	t *turn
}

// directly reserves places in the lanes for what can go at once, and moves the
// acceptances on by their attempts.
func (e *Engine) directly(plans []*prepared, items []*store.Acceptance) []direct {
	out := make([]direct, len(items))
	for i, item := range items {
		p := plans[i]
		if !item.Ready || !plain(p.body, p.delivery.Current) {
			continue
		}
		l := e.owner.lane(item.Connector)
		if l == nil {
			continue
		}
		t := p.turn
		j := l.reserve(t.r)
		if j == nil {
			continue
		}
		t.events = item.Events
		own := len(t.events)
		l.judge(t, j, p.cfg, p.person)
		p.delivery.Version = t.r.base // one write, one version
		for n := range t.events[own:] {
			t.events[own+n].Version = t.r.base
		}
		item.Events = t.events
		item.Guard, item.Fence = t.limits()
		item.Connector, item.Ready = flow.Connector(p.delivery), flow.Ready(p.delivery)
		out[i] = direct{l, j, t}
	}
	return out
}

// plain reports whether a body is all there is to a step: no files to look up,
// nothing it answers to.
func plain(b *body, step int) bool {
	c, _ := b.step(step)
	return b.ReplyTo.IsZero() && len(c.Media) == 0
}

// stored lets what follows the commit happen, or gives the place back.
func (x *direct) stored(v store.Verdict) {
	switch {
	case x.l == nil:
	case v != store.Done:
		x.l.unreserve(x.j)
	default:
		x.t.durable()
	}
}

// failed gives the place back after an error. Should the commit have happened
// all the same, nothing has left: the attempt goes again.
func (x *direct) failed(err error) {
	switch {
	case x.l == nil:
	case errors.Is(err, store.ErrUncertain) && x.t.try != nil:
		x.j.rec = nil
		x.l.begin(x.j)
	default:
		x.l.unreserve(x.j)
	}
}

// reserve takes a place for a message that is about to be accepted; nil when it
// has to wait for anything.
func (l *lane) reserve(r *record) *job {
	j := newJob(r)
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.held() || l.broken != nil || l.ripe(now) {
		return nil
	}
	for p := 0; p <= min(int(j.priority), lanePriorities-1); p++ {
		if q := &l.queues[p]; q.turns.Len() > 0 || q.fetching || q.spilled || !q.hinted.IsZero() {
			return nil
		}
	}
	if _, busy := l.chains[j.identity]; busy {
		return nil
	}
	if ok, _ := l.pairs.Take(j.identity, now); !ok {
		return nil
	}
	if ok, _ := l.bucket.Take(now); !ok {
		l.pairs.Give(j.identity)
		return nil
	}
	l.present[j.id] = true
	l.inflight++
	l.chains[j.identity] = nil
	return j
}

// unreserve gives a place back that nothing was sent from: a client that
// repeats its requests costs the account no pace.
func (l *lane) unreserve(j *job) {
	l.mu.Lock()
	l.bucket.Give()
	l.pairs.Give(j.identity)
	l.mu.Unlock()
	l.release(j, false)
}
