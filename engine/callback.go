package engine

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Callback verifies one HTTP request of a provider, keeps it and says what to
// answer; its events are worked on after that (law 1). It fails with
// store.ErrNotFound for an unknown connector, a *message.Fault or the
// connector's error for a request that is not the provider's, and the store's
// errors when it could not be kept: the provider will try again.
func (e *Engine) Callback(ctx context.Context, id message.ConnectorID, c *channel.Callback) (channel.Answer, error) {
	if !e.intake.Load() {
		return channel.Answer{}, ErrStopped
	}
	a, err := e.owner.find(ctx, id)
	if err != nil {
		return channel.Answer{}, err
	}
	receiver, ok := a.conn.(channel.Receiver)
	if !ok {
		return channel.Answer{}, store.ErrNotFound
	}
	answer, err := receiver.Verify(c)
	if err != nil || !answer.Keep {
		return answer, err
	}
	now := e.now()
	cb := &store.Callback{ID: message.EventID(e.o.IDs.Next(now)), Workspace: a.ws, Connector: a.id, At: now}
	if cb.Day, cb.Sealed, err = e.o.Workspaces.SealDay(ctx, a.ws, now, sealCallback, cb.ID, c.Body); err != nil {
		return channel.Answer{}, err
	}
	if err := e.store.Keep(ctx, []*store.Callback{cb}); err != nil {
		return channel.Answer{}, err
	}
	crashpoint.At(crashpoint.CallbackKept)
	e.process(a, cb, c.Body)
	return answer, nil
}

const sealCallback = "callback"

// process reads a kept callback and works off its events.
func (e *Engine) process(a *account, cb *store.Callback, raw []byte) {
	evs, err := a.conn.(channel.Receiver).Decode(raw)
	if err != nil {
		e.log.Warn("callback not readable: set aside", "connector", a.id, "callback", cb.ID)
		e.spawn(func() {
			if err := e.store.Defer(e.ctx, cb.ID, "not readable", time.Time{}); err != nil && e.ctx.Err() == nil {
				e.log.Warn("callback not set aside", "callback", cb.ID, "error", err)
			}
		})
		return
	}
	e.events(a, evs, func(err error) {
		if err == nil {
			e.finish.add(cb.ID)
			return
		}
		e.log.Warn("callback not worked off: it will be tried again", "callback", cb.ID, "error", err)
	})
}

// sweepCallbacks works off what a node left undone.
func (e *Engine) sweepCallbacks() {
	now := e.now()
	kept, err := e.store.Kept(e.ctx, now.Add(-10*time.Second), 200)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("callbacks not readable", "error", err)
		}
		return
	}
	for _, cb := range kept {
		if e.finish.has(cb.ID) {
			continue
		}
		a := e.owner.account(cb.Connector)
		if a == nil {
			continue
		}
		raw, err := e.o.Workspaces.OpenDay(e.ctx, cb.Workspace, cb.Day, sealCallback, cb.ID, cb.Sealed)
		until := now.Add(30 * time.Second << min(cb.Tries, 6))
		if err != nil || strings.TrimSpace(string(raw)) == "" {
			until = time.Time{}
		}
		// Counted before it is tried, so that one that kills us is not tried for ever.
		if cb.Tries >= 8 {
			until = time.Time{}
		}
		if derr := e.store.Defer(e.ctx, cb.ID, "tried again", until); derr != nil || until.IsZero() {
			continue
		}
		e.process(a, cb, raw)
	}
}

// A finisher deletes callbacks whose work is done, many at a time.
type finisher struct {
	e    *Engine
	mu   sync.Mutex
	ids  []message.EventID
	wake chan struct{}
}

func (f *finisher) init(e *Engine) { f.e, f.wake = e, make(chan struct{}, 1) }

func (f *finisher) add(id message.EventID) {
	f.mu.Lock()
	f.ids = append(f.ids, id)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *finisher) has(id message.EventID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.ids {
		if x == id {
			return true
		}
	}
	return false
}

func (f *finisher) run() {
	for {
		select {
		case <-f.wake:
		case <-f.e.ctx.Done():
			return
		}
		f.mu.Lock()
		ids := f.ids
		f.ids = nil
		f.mu.Unlock()
		if len(ids) == 0 {
			continue
		}
		crashpoint.At(crashpoint.CallbackDone)
		if err := f.e.store.Finish(f.e.ctx, ids); err != nil && f.e.ctx.Err() == nil {
			// They are found again by the sweep, and harmless twice.
			f.e.log.Warn("callbacks not cleared", "error", err)
		}
	}
}

// news takes what a provider told that is neither a receipt nor a message.
func (e *Engine) news(a *account, ev message.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), sendTimeout)
	defer cancel()
	switch v := ev.(type) {
	case *message.TemplateUpdate:
		return e.templateNews(ctx, a, v)
	case *message.Preference:
		return e.preference(ctx, a, v)
	case *message.IdentityChange:
		return e.identityChange(ctx, a, v)
	case *message.AccountUpdate:
		if l := a.lane(); l != nil && v.Fault != nil && v.Fault.Kind == message.Misconfigured && l.fail(v.Fault, e.now()) {
			e.broke(a, v.Fault)
		}
		e.log.Info("news about an account", "connector", a.id, "field", v.Field, "word", v.Word)
		data, err := json.Marshal(map[string]any{"connector": a.id, "account": v.Account, "field": v.Field, "word": v.Word})
		if err != nil {
			return err
		}
		return e.store.Append(ctx, []store.Event{e.event(a.ws, event.AccountUpdated, e.now(), data)})
	}
	return nil
}
