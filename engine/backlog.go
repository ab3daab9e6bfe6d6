package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/pace"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const (
	// refillAt: more is fetched when a priority's queue is shorter than this.
	refillAt = 1000
	// senderShare is what each sender may keep in memory of a priority though
	// the lane is full of others' messages.
	senderShare = refillAt
	// rewind is how far ids of several nodes may overtake each other between
	// being made and being committed.
	rewind = 10 * time.Second
	// lookBackEvery is how often a hint is also taken for ones that were lost.
	lookBackEvery = time.Second
)

// A backlog is what waits in a lane at one priority: part of it in memory, in
// fair turns among senders, the rest in the store. The store can only be read
// in the order of acceptance, so what came after something unread of its own
// sender is left there too; a sender with nothing unread is not held up by
// another's thousands.
type backlog struct {
	turns    pace.Turns[message.SenderID, *job]
	fetched  message.MessageID         // where the last fetch ended
	spilled  bool                      // the store may hold more
	all      bool                      // of any sender, else of those in behind
	behind   map[message.SenderID]bool // whose later messages were left in the store
	fetching bool
	during   []*job            // pushed while fetching: they come after what is fetched
	missed   message.MessageID // the least that was left in the store while fetching
	hinted   message.MessageID // the least another node has accepted and we have not looked for
	lookBack time.Time         // from when on a hint makes us look for lost ones too
}

// unread says that the store may hold anything.
func (q *backlog) unread() { q.spilled, q.all = true, true }

// leave leaves a message in the store. One that comes back after the reading
// has passed its place, such as a retry, brings the reading back before it.
func (q *backlog) leave(j *job) {
	if q.behind == nil {
		q.behind = make(map[message.SenderID]bool)
	}
	q.spilled, q.behind[j.sender] = true, true
	if bytes.Compare(j.id[:], q.fetched[:]) <= 0 {
		q.fetched = before(j.id)
	}
}

// miss leaves a message in the store while it is being read: the next reading
// begins before it.
func (q *backlog) miss(j *job) {
	q.missing(j.id)
	q.unread()
}

func (q *backlog) missing(id message.MessageID) {
	if q.missed.IsZero() || bytes.Compare(id[:], q.missed[:]) < 0 {
		q.missed = id
	}
}

// reached ends a reading: what was missed meanwhile is before the next.
func (q *backlog) reached() {
	if q.missed.IsZero() {
		return
	}
	if bytes.Compare(q.missed[:], q.fetched[:]) <= 0 {
		q.fetched = before(q.missed)
	}
	q.missed = message.MessageID{}
	q.unread()
}

// before gives the greatest id below another.
func before(id message.MessageID) message.MessageID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]--; id[i] != 255 {
			break
		}
	}
	return id
}

// waits reports whether older messages of a job's sender may be unread.
func (q *backlog) waits(j *job) bool {
	return q.spilled && (q.all || q.behind[j.sender]) && bytes.Compare(j.id[:], q.fetched[:]) > 0
}

func newJob(r *record) *job {
	j := &job{ws: r.ws, id: r.d.ID, priority: r.d.Purpose.Priority(), identity: r.identity, rec: r}
	if s := r.d.Step(); s != nil {
		j.sender = s.Sender
	}
	return j
}

func (l *lane) queue(j *job) *backlog { return &l.queues[min(int(j.priority), lanePriorities-1)] }

// hand gives a durable, ready message to the lane of its connector, or hints
// the node that owns it.
func (o *owner) hand(id message.ConnectorID, r *record) {
	if l := o.lane(id); l != nil {
		l.push(newJob(r))
		return
	}
	o.e.match.hint(store.Hint{Connector: id, From: r.d.ID})
}

// lane gives the lane of a connector that this node owns; nil = none.
func (o *owner) lane(id message.ConnectorID) *lane {
	a := o.account(id)
	if a == nil {
		return nil
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	return a.lane()
}

// push queues a message that is durable and ready. What does not fit in memory
// stays in the store.
func (l *lane) push(j *job) {
	l.mu.Lock()
	l.enqueue(j)
	l.mu.Unlock()
	l.signal()
}

// enqueue is push for who holds mu.
func (l *lane) enqueue(j *job) {
	q := l.queue(j)
	full := l.queued+len(q.during) >= l.e.o.Queue
	switch {
	case l.stopped || l.present[j.id]:
	case q.fetching && !full:
		q.during = append(q.during, j)
	case q.fetching:
		q.miss(j)
	case q.waits(j): // it comes with them, in order
	case full && q.turns.Of(j.sender) >= senderShare:
		q.leave(j)
	default:
		l.add(j)
	}
}

func (l *lane) add(j *job) {
	l.present[j.id] = true
	l.queued++
	l.queue(j).turns.Push(j.sender, j)
}

// again puts jobs that were set aside before those that came later, in order.
func (l *lane) again(jobs []*job) {
	for i := len(jobs) - 1; i >= 0; i-- {
		l.queue(jobs[i]).turns.Return(jobs[i].sender, jobs[i])
	}
}

// hint makes the lane look into the store: another node accepted work for it,
// and nothing of that is below a message. Now and then it looks further back,
// for hints may be lost.
func (l *lane) hint(from message.MessageID) {
	now := l.e.now()
	l.mu.Lock()
	for p := range l.queues {
		q := &l.queues[p]
		at := from
		if !now.Before(q.lookBack) || from.IsZero() {
			q.lookBack = now.Add(lookBackEvery)
			at = earlier(from, q.turns.Len() == 0)
		}
		if q.hinted.IsZero() || bytes.Compare(at[:], q.hinted[:]) < 0 {
			q.hinted = at
		}
		if q.turns.Len() < refillAt {
			q.heed()
		}
	}
	l.mu.Unlock()
	l.signal()
}

// heed makes the next reading begin no later than what was hinted, and just
// there where all else is in memory.
func (q *backlog) heed() {
	if q.hinted.IsZero() {
		return
	}
	at := before(q.hinted)
	switch {
	case q.fetching:
		q.missing(q.hinted)
	case !q.spilled || bytes.Compare(at[:], q.fetched[:]) < 0:
		q.fetched = at
	}
	q.hinted = message.MessageID{}
	q.unread()
}

// poll looks for work that another node accepted, or that a hint was lost for.
func (l *lane) poll() {
	l.mu.Lock()
	quiet := l.queued == 0 && !l.stopped
	if quiet {
		for p := range l.queues {
			l.queues[p].fetched = message.MessageID{}
			l.queues[p].unread()
		}
	}
	l.mu.Unlock()
}

// refill fetches what waits in the store, in order, when there is room.
func (l *lane) refill() {
	for p := range l.queues {
		q := &l.queues[p]
		l.mu.Lock()
		need := (q.spilled || !q.hinted.IsZero()) && q.turns.Len() < refillAt && !l.stopped && (l.queued < l.e.o.Queue || p == 0)
		if need {
			q.heed()
			q.spilled, q.fetching = false, true
		}
		after := store.Place{Priority: message.Priority(p), ID: q.fetched}
		l.mu.Unlock()
		if need {
			l.fetch(q, after, refillAt)
		}
	}
}

// least is below every id.
var least = message.MessageID{15: 1}

// earlier gives an id by rewind before another, or the least.
func earlier(id message.MessageID, start bool) message.MessageID {
	ms := binary.BigEndian.Uint64(id[:8]) >> 16
	if start || ms <= uint64(rewind.Milliseconds()) {
		return least
	}
	var out message.MessageID
	binary.BigEndian.PutUint64(out[:8], (ms-uint64(rewind.Milliseconds()))<<16)
	return out
}

func (l *lane) fetch(q *backlog, after store.Place, limit int) {
	records, err := l.e.store.Ready(l.e.ctx, l.acc.id, after, limit)
	people := l.people(l.strangers(records))
	l.mu.Lock()
	defer l.mu.Unlock()
	more := len(records) == limit
	for _, r := range records {
		j := newJob(newRecord(r))
		j.rec.person = people[r.Delivery.ID]
		if q.fetched = j.id; !l.present[j.id] {
			l.add(j)
		}
	}
	switch {
	case err != nil:
		q.spilled = true
		if l.e.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			l.e.log.Warn("queue not readable", "connector", l.acc.id, "error", err)
		}
	case more:
		q.spilled = true
	default:
		q.behind = nil
		q.all = q.spilled // a hint came in between
	}
	q.fetching = false
	q.reached()
	during := q.during
	q.during = nil
	for _, j := range during {
		l.enqueue(j)
	}
}

// strangers gives the records that are not in memory.
func (l *lane) strangers(records []*store.Record) []*store.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*store.Record, 0, len(records))
	for _, r := range records {
		if !l.present[r.Delivery.ID] {
			out = append(out, r)
		}
	}
	return out
}

// people reads who records go to, all at once; who is not there is to be found
// out for each message.
func (l *lane) people(records []*store.Record) map[message.MessageID]*contact.Person {
	indexes := make([][16]byte, len(records))
	for i, r := range records {
		indexes[i] = r.Identity
	}
	found, err := l.e.o.People.Behind(l.e.ctx, l.acc.ws, indexes)
	if err != nil {
		return nil
	}
	out := make(map[message.MessageID]*contact.Person, len(found))
	for i, p := range found {
		// An identity may have moved to another contact since.
		if d := records[i].Delivery; p != nil && p.ID == d.Contact {
			out[d.ID] = p
		}
	}
	return out
}
