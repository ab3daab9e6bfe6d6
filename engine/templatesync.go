package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// syncIn bounds one reading of all templates of an account.
const syncIn = 2 * time.Minute

// SyncTemplates brings in the templates a connector's provider keeps, for every
// sender the connector carries, and gives how many there are. One that the
// provider has no more is noted as deleted. It fails with store.ErrNotFound, a
// *Refusal for a connector that keeps none or a provider that fails, and as the
// connector's configuration does.
func (e *Engine) SyncTemplates(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) (int, error) {
	a := e.owner.account(id)
	if a == nil || a.ws != ws {
		return 0, store.ErrNotFound
	}
	lister, ok := a.conn.(channel.TemplateLister)
	if !ok {
		return 0, &Refusal{Code: CodeNoTemplates, Detail: "the provider of this connector keeps no templates", Remedy: "leave the call out for this kind of connector"}
	}
	remote, err := lister.Templates(ctx)
	if err != nil {
		var f *message.Fault
		if errors.As(err, &f) {
			return 0, &Refusal{Code: CodeProvider, Detail: "the provider answered: " + f.Kind.String() + ", code " + f.Code, Remedy: "try again; where it stays, parley doctor says what is wrong with the account"}
		}
		return 0, err
	}
	cfg, err := e.o.Workspaces.Config(ctx, ws)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range cfg.SendersOf(a.typ.Channel) {
		if !slices.Contains(s.Connectors, id) {
			continue
		}
		of, err := e.syncSender(ctx, cfg, s, remote)
		if n += of; err != nil {
			return n, err
		}
	}
	return n, nil
}

// syncSender writes what differs between a sender's templates and the
// provider's, and gives how many the provider has.
func (e *Engine) syncSender(ctx context.Context, cfg *workspace.Config, s *store.Sender, remote []channel.RemoteTemplate) (n int, err error) {
	type key struct{ name, language string }
	known := make(map[key]*store.Template)
	for _, t := range cfg.Configuration.Templates {
		if t.Sender == s.ID {
			known[key{t.Name, t.Language}] = t
		}
	}
	for i := range remote {
		r := &remote[i]
		if !r.Category.Valid() || r.Name == "" || r.Language == "" {
			e.log.Warn("a template of an unknown category is left out", "sender", s.ID)
			continue
		}
		n++
		t := &store.Template{
			Workspace: s.Workspace, Sender: s.ID, Provider: r.Provider, Name: r.Name, Language: r.Language, Category: r.Category,
			State: r.State, TTL: r.TTL, Body: r.Body, Named: r.Named, Components: r.Components, UpdatedAt: e.now(),
		}
		old := known[key{r.Name, r.Language}]
		delete(known, key{r.Name, r.Language})
		if old != nil {
			t.Reason = old.Reason
			if same(old, t) {
				continue
			}
		}
		if _, err := e.o.Workspaces.PutTemplate(ctx, t); err != nil {
			return n, err
		}
	}
	for _, old := range known {
		if old.Provider == "" || old.State == message.TemplateDeleted {
			continue // noted by hand, or known to be gone
		}
		gone := *old
		gone.State = message.TemplateDeleted
		if _, err := e.o.Workspaces.PutTemplate(ctx, &gone); err != nil {
			return n, err
		}
	}
	return n, nil
}

// same reports whether nothing would be written.
func same(a, b *store.Template) bool {
	return a.Provider == b.Provider && a.Category == b.Category && a.State == b.State && a.TTL == b.TTL && a.Body == b.Body && a.Named == b.Named && bytes.Equal(a.Components, b.Components)
}

// refresh reads an account's templates anew, in the background; what is told
// meanwhile leads to one more reading.
func (e *Engine) refresh(a *account) {
	if a.stale.Add(1) > 1 {
		return
	}
	e.spawn(func() {
		for {
			seen := a.stale.Load()
			ctx, cancel := context.WithTimeout(e.ctx, syncIn)
			_, err := e.SyncTemplates(ctx, a.ws, a.id)
			cancel()
			if err != nil && e.ctx.Err() == nil {
				e.log.Warn("templates not read anew", "connector", a.id, "error", err)
			}
			if a.stale.CompareAndSwap(seen, 0) || e.ctx.Err() != nil {
				return
			}
		}
	})
}

// templateNews takes what the provider tells about one template: noted where it
// is known, and told as an event in any case.
func (e *Engine) templateNews(ctx context.Context, a *account, v *message.TemplateUpdate) error {
	cfg, err := e.o.Workspaces.Config(ctx, a.ws)
	if err != nil {
		return err
	}
	now, known := e.now(), false
	tell := func(language string, data map[string]any) ([]byte, error) {
		data["name"], data["language"], data["reason"] = v.Name, language, v.Reason
		if v.Quality != "" {
			data["quality"] = v.Quality
		}
		return json.Marshal(data)
	}
	for _, s := range cfg.Senders {
		for _, t := range cfg.Templates(s.ID, v.Name, v.Language) {
			if t.Name != v.Name {
				continue
			}
			changed := *t
			if v.State != "" {
				changed.State = v.State
			}
			if v.Category != "" {
				changed.Category = v.Category
			}
			changed.Reason, changed.UpdatedAt = v.Reason, now
			known = true
			data, err := tell(t.Language, map[string]any{"template": t.ID, "state": changed.State, "category": changed.Category})
			if err != nil {
				return err
			}
			if _, err := e.o.Workspaces.PutTemplate(ctx, &changed, e.event(a.ws, event.TemplateUpdated, now, data)); err != nil {
				return err
			}
		}
	}
	if v.Reason == message.TemplateEdited || !known && v.State == message.TemplateApproved {
		e.refresh(a) // what is registered is not what we know
	}
	if known || v.Name == "" {
		return nil
	}
	// Not read from the provider so far: it is news all the same.
	news := map[string]any{}
	if v.State != "" {
		news["state"] = v.State
	}
	if v.Category != "" {
		news["category"] = v.Category
	}
	data, err := tell(v.Language, news)
	if err != nil {
		return err
	}
	return e.store.Append(ctx, []store.Event{e.event(a.ws, event.TemplateUpdated, now, data)})
}
