package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// What parked receipts are sealed for.
const sealParked = "parked"

// parkFor is how long a receipt without a message is kept: longer than the
// outcome of any send can take, within the 7 days of law 8.
const parkFor = 24 * time.Hour

// A receipt nobody knows waits for its send's answer, which is often a moment
// away: it is looked for in memory looks times, matchAfter apart, before the
// store is asked and parks it.
const (
	matchAfter = 3 * time.Millisecond
	looks      = 5
)

// events takes what a provider told and calls done when all of it is durable.
func (e *Engine) events(a *account, evs []message.Event, done func(error)) {
	if len(evs) == 0 {
		done(nil)
		return
	}
	g := newGroup(len(evs), done)
	for _, ev := range evs {
		switch v := ev.(type) {
		case *message.Receipt:
			e.receipt(a, v, g.one)
		case *message.Inbound:
			e.spawn(func() { g.one(e.receive(a, v)) })
		default:
			e.spawn(func() { g.one(e.news(a, v)) })
		}
	}
}

// receipt finds what a receipt is about: by our echoed id first, then by the
// provider's id, in memory and in the store.
func (e *Engine) receipt(a *account, r *message.Receipt, done func(error)) {
	if echo, ok := message.ParseEcho(r.Echo); ok {
		e.settle(a, a.ws, echo.Message, flow.Which{Step: echo.Step, Attempt: echo.Attempt}, echo.Part, r, false, done)
		return
	}
	room, err := e.o.Workspaces.Get(e.ctx, a.ws)
	if err != nil {
		done(err)
		return
	}
	keys := make([]message.RefKey, 0, 1+len(r.Alt))
	if r.ID != "" {
		keys = append(keys, room.Keys.Ref(a.id, r.ID))
	}
	for _, alt := range r.Alt {
		keys = append(keys, room.Keys.Ref(a.id, alt))
	}
	if ref, ok := e.refs.any(a, keys); ok {
		e.settleRef(a, ref, r, false, done)
		return
	}
	e.match.add(lookup{a: a, r: r, keys: keys, done: done})
}

func (e *Engine) settleRef(a *account, ref store.OpenRef, r *message.Receipt, inferred bool, done func(error)) {
	e.settle(a, ref.Workspace, ref.Message, flow.Which{Step: int(ref.Step), Attempt: int(ref.Attempt)}, int(ref.Part), r, inferred, done)
}

// settle joins a receipt into its delivery.
func (e *Engine) settle(a *account, ws message.WorkspaceID, id message.MessageID, w flow.Which, part int, r *message.Receipt, inferred bool, done func(error)) {
	looked := false
	e.tell(input{
		ws: ws, id: id,
		act: func(t *turn) {
			d := t.r.d
			if t.r.ws != a.ws || w.Step >= len(d.Steps) || w.Attempt >= len(d.Steps[w.Step].Attempts) {
				if !looked { // another node may have made the attempt meanwhile
					looked, t.stale = true, true
					return
				}
				t.after(func() { done(nil) }) // not ours: nothing to learn
				return
			}
			at := &d.Steps[w.Step].Attempts[w.Attempt]
			part := part
			if inferred {
				at.Inferred = true
			}
			if r.ID != "" && (inferred || unheard(at, part)) {
				// The answer never came: this is how we learn the provider's id.
				if p, err := t.who(); err == nil {
					told := e.parts(a, p, d.ID, []string{r.ID})[0]
					if segments := d.Steps[w.Step].Segments; inferred || part == 0 && segments <= 1 {
						part = learn(at, segments, told, inferred)
					} else if part < segments {
						learnPart(at, segments, part, told)
					}
				}
			}
			t.traceReceipt(a, w, r)
			r := *r
			r.Fault = e.widened(a, r.Fault)
			t.moved(flow.Receipt(&e.policy, d, w, part, &r, t.now))
			t.after(func() { crashpoint.At(crashpoint.Receipt); done(nil) })
		},
		gone: func() { done(nil) },
		fail: done,
	})
}

// learn gives the part of an attempt without answer that a receipt is about.
// By addresses it is one segment among several, each with an id and a receipt
// of its own: the first says nothing of the others.
func learn(at *message.Attempt, segments int, told message.Part, inferred bool) int {
	if len(at.Parts) == 0 {
		at.Parts = make([]message.Part, 1)
		if inferred {
			at.Parts = make([]message.Part, max(segments, 1))
		}
	}
	for i := range at.Parts {
		switch at.Parts[i].Key {
		case told.Key:
			return i
		case message.RefKey{}:
			at.Parts[i].Key, at.Parts[i].Ref = told.Key, told.Ref
			return i
		}
	}
	return len(at.Parts) - 1
}

// unheard reports whether the provider's id of a part is still unknown.
func unheard(at *message.Attempt, part int) bool {
	return len(at.Parts) == 0 || part < len(at.Parts) && at.Parts[part].Key == message.RefKey{}
}

// learnPart notes the id of one of several messages whose receipts say which
// one they are about.
func learnPart(at *message.Attempt, segments, part int, told message.Part) {
	if len(at.Parts) == 0 {
		at.Parts = make([]message.Part, segments)
	}
	if part < len(at.Parts) {
		at.Parts[part].Key, at.Parts[part].Ref = told.Key, told.Ref
	}
}

// A lookup is a receipt whose message is not known in memory.
type lookup struct {
	a    *account
	r    *message.Receipt
	keys []message.RefKey
	done func(error)
	seen int // times looked for in memory
}

// A matcher looks receipts up in batches, and passes hints on to other nodes.
type matcher struct {
	e     *Engine
	mu    sync.Mutex
	queue []lookup
	again []lookup // looked for and to be looked for again; the run's own
	hints store.Hints
	wake  chan struct{}
}

func (m *matcher) init(e *Engine) {
	m.e, m.wake, m.hints = e, make(chan struct{}, 1), make(store.Hints)
}

func (m *matcher) add(l lookup) {
	m.mu.Lock()
	m.queue = append(m.queue, l)
	m.mu.Unlock()
	m.signal()
}

func (m *matcher) hint(h store.Hint) {
	m.mu.Lock()
	m.hints.Add(h)
	m.mu.Unlock()
	m.signal()
}

func (m *matcher) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *matcher) run() {
	for {
		select {
		case <-m.wake:
		case <-m.e.ctx.Done():
			return
		}
		if !m.e.pause(matchAfter) {
			return
		}
		for {
			m.mu.Lock()
			n := min(len(m.queue), batch)
			ls := append([]lookup(nil), m.queue[:n]...)
			rest := copy(m.queue, m.queue[n:])
			clear(m.queue[rest:])
			m.queue = m.queue[:rest]
			var hints store.Hints
			if len(m.hints) > 0 {
				hints, m.hints = m.hints, make(store.Hints)
			}
			m.mu.Unlock()
			if len(hints) > 0 {
				if err := m.e.store.Wake(m.e.ctx, hints); err != nil && m.e.ctx.Err() == nil {
					m.e.log.Debug("hint not passed on", "error", err)
				}
			}
			if n == 0 {
				break
			}
			m.match(ls)
		}
		if len(m.again) > 0 {
			m.mu.Lock()
			m.queue = append(m.again, m.queue...)
			m.mu.Unlock()
			m.again = nil
			m.signal()
		}
	}
}

func (m *matcher) match(ls []lookup) {
	items := make([]*store.Lookup, 0, len(ls))
	of := make([]lookup, 0, len(ls))
	for _, l := range ls {
		if ref, ok := m.e.refs.any(l.a, l.keys); ok {
			m.e.settleRef(l.a, ref, l.r, false, l.done)
			continue
		}
		if l.seen++; l.seen < looks {
			m.again = append(m.again, l)
			continue
		}
		item, err := m.e.lookup(l)
		if err != nil {
			l.done(err)
			continue
		}
		items, of = append(items, item), append(of, l)
	}
	if len(items) == 0 {
		return
	}
	found, err := m.e.store.Match(m.e.ctx, items)
	for i, l := range of {
		switch {
		case err != nil:
			l.done(err)
		case found[i].Found:
			m.e.settleRef(l.a, found[i].Ref, l.r, found[i].Inferred, l.done)
		default:
			l.done(nil) // parked: durable, and matched when its id appears
		}
	}
}

// lookup makes the question to the store, with the sealed receipt to park.
func (e *Engine) lookup(l lookup) (*store.Lookup, error) {
	now := e.now()
	raw, err := json.Marshal(l.r)
	if err != nil {
		return nil, err
	}
	id := message.EventID(e.o.IDs.Next(now))
	day, sealed, err := e.o.Workspaces.SealDay(e.ctx, l.a.ws, now, sealParked, id, raw)
	if err != nil {
		return nil, err
	}
	at := l.r.At
	if at.IsZero() {
		at = now
	}
	out := &store.Lookup{Workspace: l.a.ws, Connector: l.a.id, Keys: l.keys, At: at}
	if l.r.To.ID != "" && !l.a.receipts().Echo {
		if out.Inferred, err = e.inferKey(l.a, l.r.To.ID, l.r.From); err != nil {
			return nil, err
		}
	}
	out.Park = &store.Parked{
		ID: id, Workspace: l.a.ws, Connector: l.a.id, Keys: l.keys, Inferred: out.Inferred,
		At: at, Expires: now.Add(parkFor), Day: day, Sealed: sealed,
	}
	return out, nil
}

// unpark joins a receipt whose id has appeared.
func (e *Engine) unpark(p *store.Parked) {
	r, a, err := e.openParked(p)
	if err != nil {
		e.log.Warn("parked receipt not readable", "connector", p.Connector, "error", err)
		return
	}
	done := func(err error) {
		if err != nil {
			return // it stays parked: rematch finds it
		}
		if err := e.store.Unpark(e.ctx, p.Workspace, []message.EventID{p.ID}); err != nil && e.ctx.Err() == nil {
			e.log.Warn("parked receipt not cleared", "error", err)
		}
	}
	if ref, ok := e.refs.any(a, p.Keys); ok {
		e.settleRef(a, ref, r, false, done)
		return
	}
	// Rematch finds it again in a moment.
}

func (e *Engine) openParked(p *store.Parked) (*message.Receipt, *account, error) {
	a := e.owner.account(p.Connector)
	if a == nil {
		return nil, nil, store.ErrNotFound
	}
	raw, err := e.o.Workspaces.OpenDay(e.ctx, p.Workspace, p.Day, sealParked, p.ID, p.Sealed)
	if err != nil {
		return nil, nil, err
	}
	r := new(message.Receipt)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, nil, err
	}
	return r, a, nil
}

// rematch pairs parked receipts and refs that missed each other by moments.
func (m *matcher) rematch() {
	e := m.e
	found, lost, err := e.store.Rematch(e.ctx, e.now(), batch)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("parked receipts not readable", "error", err)
		}
		return
	}
	for i := range found {
		f := &found[i]
		r, a, err := e.openParked(&f.Parked)
		if err != nil {
			e.log.Warn("parked receipt not readable", "connector", f.Parked.Connector, "error", err)
			continue
		}
		e.settleRef(a, f.Match.Ref, r, f.Match.Inferred, func(err error) {
			if err != nil {
				return // it stays parked: the next rematch finds it
			}
			if err := e.store.Unpark(e.ctx, f.Parked.Workspace, []message.EventID{f.Parked.ID}); err != nil && e.ctx.Err() == nil {
				e.log.Warn("parked receipt not cleared", "error", err)
			}
		})
	}
	if len(lost) > 0 {
		e.log.Warn("receipts that fit no message were let go", "count", len(lost))
	}
}
