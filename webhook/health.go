package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// health is what a sender knows of its endpoint; sender.mu guards it.
type health struct {
	failures int       // in a row
	since    time.Time // of the first of them; zero = not failing
	until    time.Time // nothing is sent before
	stored   bool      // since is in the store
	off      bool      // it was disabled: said once
}

// storeAfter is how long an endpoint fails before the store is told: most
// troubles are over by then.
const storeAfter = time.Minute

// What is to be noted of an endpoint in the store.
const (
	noteFailing   = "failing"
	noteRecovered = "recovered"
	noteGone      = "gone"   // it answered 410
	noteDead      = "failed" // nothing worked for disableAfter
)

// meet takes one outcome into account and gives what is to be noted; "" =
// nothing.
func (s *sender) meet(o outcome, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.health
	if o.problem == "" {
		was := h.stored
		off := h.off
		*h = health{off: off}
		if was {
			return noteRecovered
		}
		return ""
	}
	h.failures++
	if h.since.IsZero() {
		h.since = now
	}
	if at := now.Add(max(pause(h.failures), o.after)); at.After(h.until) {
		h.until = at
	}
	failing := now.Sub(h.since)
	switch {
	case h.off:
		return ""
	case o.gone:
		h.off = true
		return noteGone
	case failing >= disableAfter:
		h.off = true
		return noteDead
	case failing >= storeAfter && !h.stored:
		h.stored = true
		return noteFailing
	}
	return ""
}

// forgive forgets failures.
func (s *sender) forgive() {
	s.mu.Lock()
	s.health = health{stored: s.health.stored}
	s.mu.Unlock()
}

// note writes what became of an endpoint. When that fails it is written at the
// next occasion.
func (s *sender) note(t *target, what string, now time.Time) {
	s.mu.Lock()
	since := s.health.since
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), settleTimeout)
	defer cancel()
	err := s.d.note(ctx, t.Workspace, t.ID, what, since, now)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return
	}
	s.d.o.Log.Warn("webhook endpoint's health not stored", "endpoint", t.ID, "error", err)
	s.mu.Lock()
	s.health.off, s.health.stored = false, what == noteRecovered
	s.mu.Unlock()
}

func (d *Dispatcher) note(ctx context.Context, ws message.WorkspaceID, id message.EndpointID, what string, since, now time.Time) error {
	e, err := d.o.Store.Endpoint(ctx, ws, id)
	if err != nil {
		return err
	}
	switch what {
	case noteRecovered:
		e.FailingAt = time.Time{}
	case noteFailing:
		e.FailingAt = since
	default:
		e.FailingAt, e.Disabled = since, what
	}
	if err := d.o.Store.SetEndpointHealth(ctx, ws, id, e.FailingAt, e.Disabled); err != nil {
		return err
	}
	d.EndpointChanged(ws, id) // before the event is told: this endpoint does not get it
	if e.Disabled != "" {
		return d.tell(ctx, e, now)
	}
	return nil
}

// tell logs that an endpoint was disabled.
func (d *Dispatcher) tell(ctx context.Context, e *store.Endpoint, now time.Time) error {
	d.o.Log.Warn("webhook endpoint disabled", "workspace", e.Workspace, "endpoint", e.ID, "reason", e.Disabled)
	if d.o.Append == nil {
		return nil
	}
	data, err := json.Marshal(struct {
		Endpoint message.EndpointID `json:"endpoint"`
		Reason   string             `json:"reason"`
		Since    time.Time          `json:"failing_since,omitzero"`
	}{e.ID, e.Disabled, e.FailingAt})
	if err != nil {
		return err
	}
	return d.o.Append(ctx, []store.Event{{
		ID: message.EventID(d.o.IDs.Next(now)), Workspace: e.Workspace, Type: event.WebhookDisabled, At: now, Data: data,
	}})
}
