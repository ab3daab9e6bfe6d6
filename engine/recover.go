package engine

import (
	"slices"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// recover makes attempts unknown that an owner before us left half done. Their
// bytes may or may not have left (law 3).
func (o *owner) recover(a *account, token int64) {
	var after message.MessageID
	for {
		records, err := o.e.store.Attempting(o.e.ctx, a.id, after, 500)
		if err != nil {
			o.e.log.Warn("half-done attempts not readable", "connector", a.id, "error", err)
			return // their answer deadline finds them
		}
		for _, r := range records {
			after = r.Delivery.ID
			o.e.tell(input{ws: r.Delivery.Workspace, id: r.Delivery.ID, act: func(t *turn) {
				d := t.r.d
				s := d.Step()
				if s == nil || s.State != message.StepSending {
					return
				}
				last := s.Last()
				if last.Outcome == message.Started && (last.Fence < token || last.StartedAt.Before(o.began)) {
					w := flow.Which{Step: d.Current, Attempt: len(s.Attempts) - 1} // Lost may move Current on
					t.lost(w, flow.Lost(&o.e.policy, d, w, t.now))
				}
			}})
		}
		if len(records) < 500 {
			return
		}
	}
}

// rehome gives what waits for a broken account to the next account of its
// sender, where it has one that works.
func (e *Engine) rehome(a *account) {
	cfg, err := e.o.Workspaces.Config(e.ctx, a.ws)
	if err != nil {
		return
	}
	next := make(map[message.SenderID]message.ConnectorID)
	for _, s := range cfg.SendersOf(a.typ.Channel) {
		if _, c := e.carrier(cfg, s); c != nil && c.ID != a.id && slices.Contains(s.Connectors, a.id) {
			next[s.ID] = c.ID
		}
	}
	if len(next) == 0 {
		return
	}
	for p := range lanePriorities {
		after := store.Place{Priority: message.Priority(p)}
		for {
			records, err := e.store.Ready(e.ctx, a.id, after, batch)
			if err != nil {
				e.log.Warn("queue not readable", "connector", a.id, "error", err)
				return
			}
			for _, r := range records {
				after.ID = r.Delivery.ID
				e.tell(input{ws: r.Delivery.Workspace, id: r.Delivery.ID, act: func(t *turn) {
					d := t.r.d
					if s := d.Step(); s != nil && flow.Ready(d) && s.Connector == a.id && !next[s.Sender].IsZero() {
						s.Connector, t.dirty = next[s.Sender], true
					}
				}})
			}
			if len(records) < batch {
				break
			}
		}
	}
}
