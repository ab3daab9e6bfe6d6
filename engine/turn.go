package engine

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An input is one fact about one delivery.
type input struct {
	ws  message.WorkspaceID
	id  message.MessageID
	rec *record // a fresh one, straight from Accept or a scan; may be nil
	// act moves the delivery and says what follows. It runs on the shard and
	// may run again after a conflict; it must not block.
	act func(t *turn)
	// gone is called when there is no such delivery.
	gone func()
	// fail is called instead of gone when it could not be looked for: whoever
	// told us must tell again. Nil: gone is called.
	fail  func(error)
	tries int
	job   *job // it is the attempt of a lane
	// patient says that it may wait a moment for others.
	patient bool
}

// turnAway refuses the inputs that can be told again and gives the others: while
// the store takes nothing, whoever told us keeps it (law 1).
func turnAway(ins []input) []input {
	return slices.DeleteFunc(ins, func(in input) bool {
		if in.fail != nil {
			in.fail(store.ErrUnavailable)
		}
		return in.fail != nil
	})
}

// lost ends an input without its delivery; unread says that it may well exist.
func (in *input) lost(unread bool) {
	switch {
	case unread && in.fail != nil:
		in.fail(store.ErrUnavailable)
	case in.gone != nil:
		in.gone()
	}
}

// A turn is the moving of one delivery in one batch: what several inputs did
// to it is stored as one change.
type turn struct {
	e      *Engine
	r      *record
	now    time.Time
	dirty  bool
	stale  bool // what is in memory cannot be right: read it again, then act again
	person *contact.Person
	events []store.Event
	open   []store.OpenRef
	close  []store.RefName
	try    *try     // the attempt that is recorded; it leaves after the commit
	done   []func() // after the commit, before the attempt leaves
	inputs []input  // to be acted on again after a conflict
}

// moved takes over the consequences of one flow function.
func (t *turn) moved(m flow.Move) {
	if !m.Changed {
		return
	}
	t.dirty = true
	d := t.r.d
	if cap(t.events) == 0 {
		t.events = make([]store.Event, 0, max(len(m.Events), 2)) // an answer's and its receipt's
	}
	for i := range m.Events {
		t.events = append(t.events, t.event(&m.Events[i]))
		if ev := &m.Events[i]; ev.Charge && ev.Step >= 0 && ev.Attempt >= 0 {
			t.differs(&d.Steps[ev.Step], ev)
		}
	}
	for _, w := range m.Close {
		t.closeRefs(w)
	}
	if m.Remember != nil || m.Suppress != nil || m.Pause != nil || m.Slow != nil || m.CloseWindow {
		t.after(func() { t.e.reach(t.r, m) })
	}
}

// closeRefs forgets what an attempt is found by. What this very turn was to open
// is never stored.
func (t *turn) closeRefs(w flow.Which) {
	a := &t.r.d.Steps[w.Step].Attempts[w.Attempt]
	for i, p := range a.Parts {
		if p.Key == (message.RefKey{}) {
			continue
		}
		at := slices.IndexFunc(t.open, func(o store.OpenRef) bool {
			return o.Key == p.Key && int(o.Step) == w.Step && int(o.Attempt) == w.Attempt && int(o.Part) == i
		})
		name := store.RefName{Connector: a.Connector, Key: p.Key}
		if at < 0 {
			t.close = append(t.close, name)
			continue
		}
		t.open = slices.Delete(t.open, at, at+1)
		t.after(func() { t.e.refs.drop(name) })
	}
}

// differs logs that the provider's word on money is not our estimate (law 9).
func (t *turn) differs(s *message.Step, ev *flow.Event) {
	a := &s.Attempts[ev.Attempt]
	if a.PriceBy != "provider" || a.Price == s.Estimate {
		return
	}
	raw, err := json.Marshal(map[string]any{
		"step": ev.Step, "attempt": ev.Attempt, "channel": s.Channel, "rule": a.PriceRule,
		"estimate": map[string]any{"micros": s.Estimate.Micros, "currency": s.Estimate.Currency},
		"provider": map[string]any{"micros": a.Price.Micros, "currency": a.Price.Currency},
	})
	if err != nil {
		return
	}
	diff := t.e.event(t.r.ws, event.PriceDiffers, t.now, raw)
	diff.Message, diff.Contact = t.r.d.ID, t.r.d.Contact
	t.events = append(t.events, diff)
}

// after runs f once the turn is durable.
func (t *turn) after(f func()) { t.done = append(t.done, f) }

// durable lets what follows the commit happen.
func (t *turn) durable() {
	for _, f := range t.done {
		f()
	}
	if t.try != nil {
		t.try.send()
	}
}

// limits gives what the attempt insists on, if there is one.
func (t *turn) limits() (*store.Guard, *store.Fence) {
	if t.try == nil {
		return nil, nil
	}
	return &t.try.guard, &t.try.fence
}
