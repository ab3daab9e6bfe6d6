package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// configure runs f and raises the version of the workspace's configuration.
// f tells whether there was something to write; if not the answer is
// ErrNotFound.
func (s *Store) configure(ctx context.Context, ws message.WorkspaceID, events []store.Event, f func(w *writer, workspace int64) (bool, error)) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(ws)
		if err != nil {
			return err
		}
		wrote, err := f(w, workspace)
		if missing = !wrote; err != nil || missing {
			return err
		}
		w.config[workspace]++
		err = w.c.q(`INSERT INTO settings (workspace, version, settings) VALUES (?, ?, '') ON CONFLICT DO UPDATE SET version = excluded.version`).
			int(workspace).int(w.config[workspace]).exec()
		if err != nil {
			return err
		}
		return w.log(events)
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}

// wrote reports whether a statement changed a row.
func (w *writer) wrote(q *stmt) (bool, error) {
	err := q.exec()
	return w.c.c.Changes() > 0, err
}

// PutSender creates or replaces a sender.
func (s *Store) PutSender(ctx context.Context, x *store.Sender, events []store.Event) error {
	connectors, err := json.Marshal(x.Connectors)
	if err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	return s.configure(ctx, x.Workspace, events, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`INSERT INTO senders (workspace, id, channel, address, display, connectors, settings, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET channel = excluded.channel, address = excluded.address,
				display = excluded.display, connectors = excluded.connectors, settings = excluded.settings`).
			int(workspace).key(x.ID).text(string(x.Channel)).text(x.Address).text(x.Display).text(string(connectors)).
			text(string(x.Settings)).time(x.CreatedAt))
	})
}

// DeleteSender takes a sender away.
func (s *Store) DeleteSender(ctx context.Context, ws message.WorkspaceID, id message.SenderID) error {
	return s.configure(ctx, ws, nil, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`DELETE FROM senders WHERE workspace = ? AND id = ?`).int(workspace).key(id))
	})
}

// PutConnector creates or replaces a connector account.
func (s *Store) PutConnector(ctx context.Context, x *store.Connector, events []store.Event) error {
	return s.configure(ctx, x.Workspace, events, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`INSERT INTO connectors (workspace, id, kind, name, sealed, key_version, paused, health, health_code, health_reason, health_at, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET kind = excluded.kind, name = excluded.name,
				sealed = excluded.sealed, key_version = excluded.key_version, paused = excluded.paused, health = excluded.health,
				health_code = excluded.health_code, health_reason = excluded.health_reason, health_at = excluded.health_at`).
			int(workspace).key(x.ID).text(x.Kind).text(x.Name).blob(x.Sealed).int(int64(x.KeyVersion)).bool(x.Paused).
			text(x.Health.State).text(x.Health.Code).text(x.Health.Reason).time(x.Health.At).time(x.CreatedAt))
	})
}

// DeleteConnector takes a connector account away.
func (s *Store) DeleteConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error {
	return s.configure(ctx, ws, nil, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`DELETE FROM connectors WHERE workspace = ? AND id = ?`).int(workspace).key(id))
	})
}

// SetHealth changes a connector's health alone.
func (s *Store) SetHealth(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, h store.Health, events []store.Event) error {
	return s.configure(ctx, ws, events, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`UPDATE connectors SET health = ?, health_code = ?, health_reason = ?, health_at = ? WHERE workspace = ? AND id = ?`).
			text(h.State).text(h.Code).text(h.Reason).time(h.At).int(workspace).key(id))
	})
}

// PutTemplate creates or replaces a template by sender, name and language; the
// id of one that is there stays.
func (s *Store) PutTemplate(ctx context.Context, x *store.Template, events []store.Event) error {
	return s.configure(ctx, x.Workspace, events, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`INSERT INTO templates (workspace, sender, name, language, id, provider, category, state, ttl, body, named, components, reason, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET provider = excluded.provider, category = excluded.category,
				state = excluded.state, ttl = excluded.ttl, body = excluded.body, named = excluded.named, components = excluded.components,
				reason = excluded.reason, updated_at = excluded.updated_at`).
			int(workspace).key(x.Sender).text(x.Name).text(x.Language).key(x.ID).text(x.Provider).text(string(x.Category)).text(string(x.State)).
			int(int64(x.TTL)).text(x.Body).bool(x.Named).text(string(x.Components)).text(x.Reason).time(x.UpdatedAt))
	})
}

// DeleteTemplate takes a template away.
func (s *Store) DeleteTemplate(ctx context.Context, ws message.WorkspaceID, id message.TemplateID) error {
	return s.configure(ctx, ws, nil, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`DELETE FROM templates WHERE workspace = ? AND id = ?`).int(workspace).key(id))
	})
}

// SetSettings replaces a workspace's settings.
func (s *Store) SetSettings(ctx context.Context, ws message.WorkspaceID, settings json.RawMessage) error {
	return s.configure(ctx, ws, nil, func(w *writer, workspace int64) (bool, error) {
		return w.wrote(w.c.q(`INSERT INTO settings (workspace, version, settings) VALUES (?, 0, ?) ON CONFLICT DO UPDATE SET settings = excluded.settings`).
			int(workspace).text(string(settings)))
	})
}

// ConfigVersions reads the version of each workspace.
func (s *Store) ConfigVersions(ctx context.Context) (map[message.WorkspaceID]int64, error) {
	versions := make(map[message.WorkspaceID]int64)
	err := s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT n.name, coalesce(s.version, 0) FROM workspaces w CROSS JOIN names n ON n.n = w.n LEFT JOIN settings s ON s.workspace = w.n
			UNION SELECT n.name, s.version FROM settings s CROSS JOIN names n ON n.n = s.workspace`)
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			versions[q.key16(0)] = q.i(1)
		}
	})
	return versions, err
}

// Configuration reads all of a workspace's configuration at one version.
func (s *Store) Configuration(ctx context.Context, ws message.WorkspaceID) (*store.Configuration, error) {
	x := &store.Configuration{Workspace: ws}
	workspace := s.names.find(ws)
	err := s.snapshot(ctx, func(c *conn) error {
		q := c.q(`SELECT version, settings FROM settings WHERE workspace = ?`).int(workspace)
		more, err := q.row()
		if err != nil {
			return err
		}
		if more {
			x.Version, x.Settings = q.i(0), raw(q.str(1))
			q.done()
		}
		if x.Senders, err = s.senders(c, ws, workspace); err != nil {
			return err
		}
		if x.Connectors, err = s.connectors(c, ws, workspace); err != nil {
			return err
		}
		x.Templates, err = s.templates(c, ws, workspace)
		return err
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func (s *Store) senders(c *conn, ws message.WorkspaceID, workspace int64) (list []*store.Sender, err error) {
	q := c.q(`SELECT id, channel, address, display, connectors, settings, created_at FROM senders WHERE workspace = ? ORDER BY id`).int(workspace)
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		x := &store.Sender{
			ID: q.key16(0), Workspace: ws, Channel: message.Channel(q.str(1)), Address: q.str(2), Display: q.str(3),
			Settings: raw(q.str(5)), CreatedAt: q.t(6),
		}
		if err := json.Unmarshal([]byte(q.str(4)), &x.Connectors); err != nil {
			q.done()
			return nil, fmt.Errorf("sender %s: %w", x.ID, err)
		}
		list = append(list, x)
	}
}

func (s *Store) connectors(c *conn, ws message.WorkspaceID, workspace int64) (list []*store.Connector, err error) {
	q := c.q(`SELECT id, kind, name, sealed, key_version, paused, health, health_code, health_reason, health_at, created_at
		FROM connectors WHERE workspace = ? ORDER BY id`).int(workspace)
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		list = append(list, &store.Connector{
			ID: q.key16(0), Workspace: ws, Kind: q.str(1), Name: q.str(2), Sealed: q.bytes(3), KeyVersion: int32(q.i(4)), Paused: q.b(5),
			Health: store.Health{State: q.str(6), Code: q.str(7), Reason: q.str(8), At: q.t(9)}, CreatedAt: q.t(10),
		})
	}
}

func (s *Store) templates(c *conn, ws message.WorkspaceID, workspace int64) (list []*store.Template, err error) {
	q := c.q(`SELECT sender, name, language, id, provider, category, state, ttl, body, named, components, reason, updated_at
		FROM templates WHERE workspace = ? ORDER BY sender, name, language`).int(workspace)
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		list = append(list, &store.Template{
			ID: q.key16(3), Workspace: ws, Sender: q.key16(0), Provider: q.str(4), Name: q.str(1), Language: q.str(2),
			Category: message.Purpose(q.str(5)), State: message.TemplateState(q.str(6)), TTL: time.Duration(q.i(7)),
			Body: q.str(8), Named: q.b(9), Components: raw(q.str(10)), Reason: q.str(11), UpdatedAt: q.t(12),
		})
	}
}
