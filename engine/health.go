package engine

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// renew prolongs the lane under the same token; false means that the token is
// another one.
func (l *lane) renew(token int64, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token != token || l.stopped {
		return false
	}
	l.goodFor = until
	l.signal()
	return true
}

func (l *lane) setPaused(p bool) {
	l.mu.Lock()
	l.paused = p
	l.mu.Unlock()
	l.signal()
}

// sink takes what a connector's links bring.
type sink struct {
	e *Engine
	a *account
}

// Events implements channel.Sink.
func (s sink) Events(events []message.Event, done func(error)) { s.e.events(s.a, events, done) }

// Health implements channel.Sink.
func (s sink) Health(h channel.Health) {
	l := s.a.lane()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.down = !h.Up
	l.mu.Unlock()
	l.signal()
	switch {
	case h.Up:
		s.e.log.Info("link up", "connector", s.a.id, "links", h.Links)
		l.mu.Lock()
		was := l.broken
		l.broken = nil
		l.mu.Unlock()
		if was != nil {
			s.e.spawn(func() { s.e.healed(s.a) })
		}
	case h.Fault != nil && h.Fault.Kind == message.Misconfigured:
		if l.fail(h.Fault, s.e.now()) {
			s.e.spawn(func() { s.e.broke(s.a, h.Fault) })
		}
	default:
		s.e.log.Warn("link down", "connector", s.a.id, "detail", h.Detail)
	}
}

// broke records that an account is misconfigured: its queue is kept.
func (e *Engine) broke(a *account, f *message.Fault) {
	now := e.now()
	e.log.Error("connector misconfigured: its queue is kept until it works again", "connector", a.id, "code", f.Code, "title", f.Title)
	data, _ := json.Marshal(map[string]any{"connector": a.id, "reason": Misconfigured, "error": faultFacts{f.Kind.String(), f.Code, f.Title}})
	h := store.Health{State: Misconfigured, Code: f.Code, Reason: f.Title, At: now}
	if err := e.o.Workspaces.SetHealth(e.ctx, a.ws, a.id, h, e.event(a.ws, event.ConnectorPaused, now, data)); err != nil {
		e.log.Warn("health not stored", "connector", a.id, "error", err)
	}
	e.rehome(a)
}

func (e *Engine) healed(a *account) {
	now := e.now()
	e.log.Info("connector works again", "connector", a.id)
	data, _ := json.Marshal(map[string]any{"connector": a.id})
	if err := e.o.Workspaces.SetHealth(e.ctx, a.ws, a.id, store.Health{State: Healthy, At: now}, e.event(a.ws, event.ConnectorResumed, now, data)); err != nil {
		e.log.Warn("health not stored", "connector", a.id, "error", err)
	}
}

// PauseConnector keeps an account's queue until ResumeConnector.
func (e *Engine) PauseConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error {
	return e.setPaused(ctx, ws, id, true, event.ConnectorPaused)
}

// ResumeConnector lets an account send again, at once also after a
// misconfiguration that was mended elsewhere.
func (e *Engine) ResumeConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error {
	if err := e.setPaused(ctx, ws, id, false, event.ConnectorResumed); err != nil {
		return err
	}
	if a := e.owner.account(id); a != nil && a.ws == ws {
		if l := a.lane(); l != nil {
			l.mu.Lock()
			l.brokenTo = time.Time{}
			l.mu.Unlock()
			l.signal()
		}
	}
	return nil
}

func (e *Engine) setPaused(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, paused bool, typ string) error {
	data, _ := json.Marshal(map[string]any{"connector": id, "reason": "operator"})
	if err := e.o.Workspaces.SetPaused(ctx, ws, id, paused, e.event(ws, typ, e.now(), data)); err != nil {
		return err
	}
	// Where the account is this node's, nothing begins any more when this returns.
	if a := e.owner.account(id); a != nil && a.ws == ws {
		if l := a.lane(); l != nil {
			l.setPaused(paused)
		}
	}
	e.owner.look()
	return nil
}

// A LaneState is how full one lane of this node is.
type LaneState struct {
	Connector message.ConnectorID
	Queued    int // in memory; the store may hold more
	InFlight  int
	Down      bool
	Paused    bool
	Fault     *message.Fault // misconfigured
}

// Lanes tells of every lane of this node.
func (e *Engine) Lanes() []LaneState {
	var out []LaneState
	for _, a := range e.owner.all() {
		if l := a.lane(); l != nil {
			l.mu.Lock()
			out = append(out, LaneState{a.id, l.queued, l.inflight, l.down, l.paused, l.broken})
			l.mu.Unlock()
		}
	}
	return out
}

// Opened gives the connector of an account that this node has open; nil when it
// has none. It is for looking at, as doctor does: sending is the lane's.
func (e *Engine) Opened(id message.ConnectorID) channel.Connector {
	if a := e.owner.account(id); a != nil {
		return a.conn
	}
	return nil
}

// widened makes a fault of a sender one of its account where the account
// carries no other: then there is nothing that could go on.
func (e *Engine) widened(a *account, f *message.Fault) *message.Fault {
	if f == nil || f.Kind != message.Misconfigured || f.Scope != message.ScopeSender {
		return f
	}
	cfg, err := e.o.Workspaces.Config(e.ctx, a.ws)
	if err != nil {
		return f
	}
	carried := 0
	for _, s := range cfg.Senders {
		if slices.Contains(s.Connectors, a.id) {
			carried++
		}
	}
	if carried > 1 {
		e.log.Error("the provider does not take a sender: its messages wait", "connector", a.id, "code", f.Code, "title", f.Title)
		return f
	}
	wide := *f
	wide.Scope = message.ScopeConnector
	return &wide
}
