package workspace

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

const purposeConnector = "connectors.config"

// A ConnectorInput is a connector account as an operator gives it.
type ConnectorInput struct {
	ID     message.ConnectorID // zero: a new one
	Kind   string              // channel.Type.Kind; may be left out when ID is given
	Name   string
	Config json.RawMessage // with credentials; nil with an ID: unchanged
}

// PutSender creates or replaces a sender; a zero ID or CreatedAt is filled in.
// It fails with *InvalidError.
func (r *Registry) PutSender(ctx context.Context, s *store.Sender, events ...store.Event) (*store.Sender, error) {
	r.admin.Lock()
	defer r.admin.Unlock()
	c, err := r.fresh(ctx, s.Workspace)
	if err != nil {
		return nil, err
	}
	out := *s
	if out.Channel == "" || out.Address == "" {
		return nil, &InvalidError{Field: "sender", Problem: "needs a channel and an address"}
	}
	for i, one := range out.Connectors {
		if c.Connector(one) == nil {
			return nil, &InvalidError{Field: fmt.Sprintf("connectors[%d]", i), Problem: "no such connector in this workspace"}
		}
	}
	old := c.Sender(out.ID)
	if !out.ID.IsZero() && old == nil {
		return nil, store.ErrNotFound
	}
	if other := c.SenderByAddress(out.Channel, out.Address); other != nil && other.ID != out.ID {
		return nil, store.ErrExists
	}
	now := r.now()
	if old == nil {
		out.ID, out.CreatedAt = message.SenderID(r.ids.Next(now)), now
	} else {
		out.CreatedAt = old.CreatedAt
	}
	if err := r.store.PutSender(ctx, &out, events); err != nil {
		return nil, err
	}
	_, err = r.fresh(ctx, s.Workspace)
	return &out, err
}

// DeleteSender takes a sender away; its templates and history stay.
func (r *Registry) DeleteSender(ctx context.Context, ws message.WorkspaceID, id message.SenderID) error {
	return r.write(ctx, ws, func(*Config) error { return r.store.DeleteSender(ctx, ws, id) })
}

// PutConnector creates or changes a connector account and seals its
// configuration. Whether it is paused and its health stay as they are. It
// fails with *InvalidError, store.ErrNotFound, or as Options.Check does.
func (r *Registry) PutConnector(ctx context.Context, ws message.WorkspaceID, in ConnectorInput, events ...store.Event) (*store.Connector, error) {
	var out store.Connector
	err := r.write(ctx, ws, func(c *Config) error {
		w, err := r.Get(ctx, ws)
		if err != nil {
			return err
		}
		now := r.now()
		if in.ID.IsZero() {
			out = store.Connector{ID: message.ConnectorID(r.ids.Next(now)), Workspace: ws, Kind: in.Kind, CreatedAt: now, Health: store.Health{State: "ok", At: now}}
		} else {
			old := c.Connector(in.ID)
			if old == nil {
				return store.ErrNotFound
			}
			out = *old
		}
		if out.Kind == "" || in.Kind != "" && in.Kind != out.Kind {
			return &InvalidError{Field: "kind", Problem: "is missing or changed", Remedy: "an account keeps its kind; make another one"}
		}
		if in.Name != "" {
			out.Name = in.Name
		}
		if in.Config != nil || out.Sealed == nil {
			if !json.Valid(in.Config) {
				return &InvalidError{Field: "config", Problem: "is no JSON"}
			}
			if r.check != nil {
				if err := r.check(out.Kind, in.Config); err != nil {
					return err
				}
			}
			r.seal(w, &out, in.Config)
		}
		return r.store.PutConnector(ctx, &out, events)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (r *Registry) seal(w *Workspace, c *store.Connector, config []byte) {
	c.Sealed = w.Keys.Seal(nil, vault.AppendAAD(nil, purposeConnector, c.ID[:]), config)
	c.KeyVersion = int32(c.Sealed[1]) // vault.Workspace.Seal names the key version there
}

// OpenConfig gives a connector's configuration with its credentials in the
// clear. Never log it.
func (r *Registry) OpenConfig(ctx context.Context, c *store.Connector) (json.RawMessage, error) {
	return r.OpenWorkspace(ctx, c.Workspace, purposeConnector, c.ID, c.Sealed)
}

// SetPaused stops or resumes a connector account by an operator's word.
func (r *Registry) SetPaused(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, paused bool, events ...store.Event) error {
	return r.write(ctx, ws, func(c *Config) error {
		old := c.Connector(id)
		if old == nil {
			return store.ErrNotFound
		}
		if old.Paused == paused {
			return nil
		}
		out := *old
		out.Paused = paused
		return r.store.PutConnector(ctx, &out, events)
	})
}

// DeleteConnector takes a connector account away. It fails with *InvalidError
// while a sender uses it.
func (r *Registry) DeleteConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error {
	return r.write(ctx, ws, func(c *Config) error {
		for _, s := range c.Senders {
			if slices.Contains(s.Connectors, id) {
				return &InvalidError{Field: "connector", Problem: "sender " + s.ID.String() + " uses it", Remedy: "change the sender first"}
			}
		}
		return r.store.DeleteConnector(ctx, ws, id)
	})
}

// SetHealth notes how a connector account fares.
func (r *Registry) SetHealth(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, h store.Health, events ...store.Event) error {
	return r.write(ctx, ws, func(*Config) error { return r.store.SetHealth(ctx, ws, id, h, events) })
}

// PutTemplate creates or replaces a template by sender, name and language; the
// ID of an existing one is kept. It fails with *InvalidError.
func (r *Registry) PutTemplate(ctx context.Context, t *store.Template, events ...store.Event) (*store.Template, error) {
	out := *t
	err := r.write(ctx, t.Workspace, func(c *Config) error {
		if out.Name == "" || out.Language == "" || c.Sender(out.Sender) == nil {
			return &InvalidError{Field: "template", Problem: "needs a name, a language and a sender of this workspace"}
		}
		if !out.Category.Valid() || out.TTL < 0 {
			return &InvalidError{Field: "category", Problem: "is no purpose, or the time-to-live is below zero"}
		}
		now := r.now()
		out.ID = message.TemplateID{}
		for _, old := range c.Configuration.Templates {
			if old.Sender == out.Sender && old.Name == out.Name && old.Language == out.Language {
				out.ID = old.ID
			}
		}
		if out.ID.IsZero() {
			out.ID = message.TemplateID(r.ids.Next(now))
		}
		out.UpdatedAt = now
		return r.store.PutTemplate(ctx, &out, events)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteTemplate takes a template away.
func (r *Registry) DeleteTemplate(ctx context.Context, ws message.WorkspaceID, id message.TemplateID) error {
	return r.write(ctx, ws, func(*Config) error { return r.store.DeleteTemplate(ctx, ws, id) })
}

// SetSettings replaces a workspace's settings by those a client gives as JSON.
// It fails with *InvalidError, for unknown fields too.
func (r *Registry) SetSettings(ctx context.Context, ws message.WorkspaceID, settings json.RawMessage) (Settings, error) {
	parsed, err := ParseSettings(settings)
	if err != nil {
		return Settings{}, err
	}
	clean, err := json.Marshal(parsed)
	if err != nil {
		return Settings{}, err
	}
	err = r.write(ctx, ws, func(c *Config) error {
		for i, step := range parsed.DefaultRoute {
			if step.Sender.IsZero() {
				continue
			}
			if s := c.Sender(step.Sender); s == nil || s.Channel != step.Channel {
				return &InvalidError{Field: fmt.Sprintf("settings.default_route[%d].sender", i), Problem: "no such sender of this channel in this workspace"}
			}
		}
		return r.store.SetSettings(ctx, ws, clean)
	})
	return parsed, err
}

// write runs a change of configuration against the newest one and takes a new
// snapshot.
func (r *Registry) write(ctx context.Context, ws message.WorkspaceID, do func(*Config) error) error {
	r.admin.Lock()
	defer r.admin.Unlock()
	c, err := r.fresh(ctx, ws)
	if err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	_, err = r.fresh(ctx, ws)
	return err
}

// fresh reads the configuration from the store whatever is in memory.
func (r *Registry) fresh(ctx context.Context, ws message.WorkspaceID) (*Config, error) {
	if _, err := r.Get(ctx, ws); err != nil {
		return nil, err
	}
	return r.load(ctx, ws)
}
