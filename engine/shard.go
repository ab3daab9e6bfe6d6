package engine

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A shard owns the deliveries whose ids hash to it: it alone changes them, so
// that no lock is held while a commit is awaited. It takes all inputs that wait,
// moves the deliveries in memory, stores every change in one Apply (which the
// store shares with other callers) and only then lets the effects happen.
type shard struct {
	e *Engine

	mu    sync.Mutex
	cond  *sync.Cond
	queue inputs
	rest  *time.Timer // ends the waiting of answers
	busy  bool
	ended bool

	cache map[message.MessageID]*record
	order []message.MessageID         // of insertion, for eviction
	cold  cold                        // what was evicted and waits for a receipt
	turns map[message.MessageID]*turn // of the batch at hand; its memory is kept

	unsure time.Duration // how long to wait should a commit's outcome be unknown again
}

// A record is a delivery in a shard's memory.
type record struct {
	ws       message.WorkspaceID
	d        *message.Delivery
	identity [16]byte
	sealed   []byte
	body     *body           // opened content; nil until needed
	person   *contact.Person // as accepted with; dropped with the first attempt
	base     int32           // stored version
	bare     bool            // sealed was left out
}

func newShard(e *Engine) *shard {
	s := &shard{e: e, cache: make(map[message.MessageID]*record), cold: newCold(4 * e.o.Cache), turns: make(map[message.MessageID]*turn)}
	s.cond = sync.NewCond(&s.mu)
	s.rest = time.AfterFunc(time.Hour, s.hurry)
	s.rest.Stop()
	return s
}

func (e *Engine) shard(id message.MessageID) *shard {
	return e.shards[int(id[15]^id[14])%len(e.shards)]
}

func (s *shard) run() {
	for {
		s.mu.Lock()
		for !s.queue.ready() && !s.ended {
			s.busy = false
			s.cond.Broadcast()
			s.cond.Wait()
		}
		if s.queue.len() == 0 {
			s.busy = false
			s.cond.Broadcast()
			s.mu.Unlock()
			return
		}
		s.busy = true
		ins := s.queue.take()
		s.mu.Unlock()
		s.work(ins)
	}
}

// drain waits until every input told so far was worked off, then ends run.
func (s *shard) drain() {
	s.mu.Lock()
	for (s.queue.len() > 0 || s.busy) && s.e.ctx.Err() == nil {
		s.queue.urgent = true
		s.cond.Broadcast()
		s.cond.Wait()
	}
	s.ended = true
	s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *shard) work(ins []input) {
	ins = s.load(ins)
	turns := make([]*turn, 0, len(ins))
	byID := s.turns
	defer clear(byID)
	now := s.e.now()
	for _, in := range ins {
		r := s.cache[in.id]
		if r == nil {
			in.lost(s.e.ctx.Err() != nil)
			continue
		}
		t := byID[in.id]
		if t == nil {
			t = &turn{e: s.e, r: r, now: now, inputs: make([]input, 0, 2)}
			byID[in.id] = t
			turns = append(turns, t)
		}
		t.inputs = append(t.inputs, in)
		in.act(t)
	}
	s.store(turns)
	s.evict()
}

// load brings the deliveries that are not in memory. It gives the inputs that
// are to be acted on.
func (s *shard) load(ins []input) []input {
	var missing map[message.WorkspaceID][]message.MessageID
	for _, in := range ins {
		if r := s.held(in.id); r != nil {
			if in.rec != nil && (in.rec.base > r.base || r.bare && in.rec.base == r.base) {
				s.cache[in.id] = in.rec // another node moved it since we last did, or it is whole
			}
			continue
		}
		if in.rec != nil {
			s.keep(in.rec)
			continue
		}
		if missing == nil {
			missing = make(map[message.WorkspaceID][]message.MessageID)
		}
		missing[in.ws] = append(missing[in.ws], in.id)
	}
	for ws, ids := range missing {
		records, err := s.retry(func() ([]*store.Record, error) { return s.e.store.Load(s.e.ctx, ws, ids) }, func() { ins = turnAway(ins) })
		if err != nil {
			return ins // stopping: the inputs find nothing and their work stays stored
		}
		for _, r := range records {
			if r != nil {
				s.keep(newRecord(r))
			}
		}
	}
	return ins
}

// held gives a record that is in memory, or nil.
func (s *shard) held(id message.MessageID) *record {
	if r := s.cache[id]; r != nil {
		return r
	}
	r := s.cold.take(id)
	if r != nil {
		s.keep(r)
	}
	return r
}

// forget drops what is in memory of a delivery.
func (s *shard) forget(id message.MessageID) {
	delete(s.cache, id)
	s.cold.drop(id)
}

// shed refuses what waits in the queue and can be told again.
func (s *shard) shed() {
	s.mu.Lock()
	away := s.queue.shed()
	s.mu.Unlock()
	turnAway(away)
}

// retry reads until it works or the engine ends. failed is called each time it
// does not.
func (s *shard) retry(read func() ([]*store.Record, error), failed func()) ([]*store.Record, error) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		out, err := read()
		if err == nil {
			return out, nil
		}
		if s.e.ctx.Err() != nil {
			return nil, err
		}
		s.e.log.Warn("store not readable", "error", err)
		failed()
		s.shed()
		if !s.e.pause(wait) {
			return nil, err
		}
	}
}

// pause waits, or reports false when the engine ended.
func (e *Engine) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.ctx.Done():
		return false
	}
}

func newRecord(r *store.Record) *record {
	return &record{ws: r.Delivery.Workspace, d: r.Delivery, identity: r.Identity, sealed: r.Sealed, base: r.Delivery.Version}
}

func (s *shard) keep(r *record) {
	s.cache[r.d.ID] = r
	s.order = append(s.order, r.d.ID)
}

func (s *shard) evict() {
	for len(s.cache) > s.e.o.Cache && len(s.order) > 0 {
		if r := s.cache[s.order[0]]; r != nil {
			s.cold.put(r)
			delete(s.cache, s.order[0])
		}
		s.order = s.order[1:]
	}
	if cap(s.order) > 4*s.e.o.Cache && len(s.order) < cap(s.order)/2 || len(s.order) > 4*s.e.o.Cache {
		kept := make([]message.MessageID, 0, len(s.cache))
		seen := make(map[message.MessageID]bool, len(s.cache))
		for _, id := range s.order {
			if _, ok := s.cache[id]; ok && !seen[id] {
				seen[id] = true
				kept = append(kept, id)
			}
		}
		s.order = kept
	}
}

// store writes the changes of all turns and lets their effects happen.
func (s *shard) store(turns []*turn) {
	changes := make([]*store.Change, 0, len(turns))
	written := make([]*turn, 0, len(turns))
	for _, t := range turns {
		if t.stale {
			s.again(t)
			continue
		}
		if !t.dirty {
			s.finish(t, nil)
			continue
		}
		t.r.d.Version = t.r.base + 1
		for i := range t.events {
			t.events[i].Version = t.r.d.Version
		}
		guard, fence := t.limits()
		changes = append(changes, &store.Change{
			Delivery: t.r.d, Connector: flow.Connector(t.r.d), Ready: flow.Ready(t.r.d),
			Guard: guard, Fence: fence, Open: t.open, Close: t.close, Events: t.events,
		})
		written = append(written, t)
	}
	if len(changes) == 0 {
		return
	}
	results, err := s.e.store.Apply(s.e.ctx, changes)
	if err == nil {
		s.unsure = 0
		for i, t := range written {
			s.applied(t, results[i])
		}
		return
	}
	most := 100 * time.Millisecond
	if !errors.Is(err, store.ErrUncertain) && s.e.ctx.Err() == nil {
		most = time.Second
		s.e.log.Warn("store not writable", "error", err)
	}
	// What can be told again is refused. The rest is thought over from what is
	// stored: every act is harmless when its work turns out to be done already. A
	// disk or a network may fail us for long: no input is given up for it while
	// we live.
	for _, t := range written {
		t.inputs = turnAway(t.inputs)
	}
	s.shed()
	cost := 0
	if s.unsure > 0 && !s.e.pause(s.unsure) || s.e.ctx.Err() != nil {
		cost = 1
	}
	s.unsure = min(max(2*s.unsure, 10*time.Millisecond), most)
	for _, t := range written {
		s.repeat(t, cost)
	}
}

func (s *shard) applied(t *turn, a store.Applied) {
	switch a.Verdict {
	case store.Done:
		t.r.base = t.r.d.Version
		for _, o := range t.open {
			s.e.refs.put(o)
		}
		for _, c := range t.close {
			s.e.refs.drop(c)
		}
		s.finish(t, a.Parked)
		if flow.Ready(t.r.d) {
			s.e.owner.hand(flow.Connector(t.r.d), t.r)
		}
		if !t.r.d.Due.IsZero() {
			s.e.sched.kick(t.r.d.Due)
		}
		if s.e.over(t.r.d) {
			delete(s.cache, t.r.d.ID)
		}
	case store.Guarded:
		s.e.o.Workspaces.Stale(t.r.ws)
		s.e.o.People.Forget(t.r.ws, t.r.d.Contact)
		s.again(t)
	case store.Conflict:
		s.again(t)
	case store.Fenced:
		// The attempt is another node's to make. What else was told stays true.
		if x := t.try; x != nil {
			x.l.release(x.j, false)
			t.inputs = slices.DeleteFunc(t.inputs, func(in input) bool { return in.job == x.j })
		}
		s.again(t)
	default:
		s.forget(t.r.d.ID)
		for _, in := range t.inputs {
			if in.gone != nil {
				in.gone()
			}
		}
	}
}

// over reports whether nothing more is expected of a delivery: it need not
// stay in memory. What comes all the same is joined from the store.
func (e *Engine) over(d *message.Delivery) bool {
	if !d.State.Ended() || !d.Due.IsZero() {
		return false
	}
	for i := range d.Steps {
		if s := &d.Steps[i]; s.State.Open() || s.State == message.StepDelivered && e.reads[s.Channel] {
			return false
		}
	}
	return true
}

func (s *shard) finish(t *turn, parked []store.Parked) {
	t.durable()
	for i := range parked {
		s.e.unpark(&parked[i])
	}
}

// again reloads a delivery and acts on its inputs once more; not for ever.
func (s *shard) again(t *turn) { s.repeat(t, 1) }

// repeat is again; cost is what it takes of the tries of each input.
func (s *shard) repeat(t *turn, cost int) {
	s.forget(t.r.d.ID)
	for _, in := range t.inputs {
		in.rec = nil
		in.tries += cost
		if in.tries > 20 {
			s.e.log.Error("a delivery keeps changing under its shard", "message", in.id)
			in.lost(true)
			continue
		}
		s.e.tell(in)
	}
}
