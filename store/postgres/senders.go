package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// configure raises the version of a workspace's configuration, runs f and logs
// events. Raising first locks out guards that saw the old version.
func (s *Store) configure(ctx context.Context, ws message.WorkspaceID, events []store.Event, f func(tx pgx.Tx) error) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO configurations AS c (workspace, version) VALUES ($1, 1)
			ON CONFLICT (workspace) DO UPDATE SET version = c.version + 1`, ws[:])
		if err != nil {
			return err
		}
		return f(tx)
	})
}

// configureRow is configure for one statement, which must touch a row.
func (s *Store) configureRow(ctx context.Context, ws message.WorkspaceID, events []store.Event, sql string, args ...any) error {
	return s.configure(ctx, ws, events, func(tx pgx.Tx) error { return one(tx.Exec(ctx, sql, args...)) })
}

// PutSender implements store.Senders.
func (s *Store) PutSender(ctx context.Context, x *store.Sender, events []store.Event) error {
	return s.configureRow(ctx, x.Workspace, events, `INSERT INTO senders (workspace, id, channel, address, display, connectors, settings, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (workspace, id) DO UPDATE SET channel = excluded.channel, address = excluded.address,
			display = excluded.display, connectors = excluded.connectors, settings = excluded.settings`,
		x.Workspace[:], x.ID[:], string(x.Channel), x.Address, x.Display, ids(x.Connectors), []byte(x.Settings), micros(x.CreatedAt))
}

// DeleteSender implements store.Senders.
func (s *Store) DeleteSender(ctx context.Context, ws message.WorkspaceID, id message.SenderID) error {
	return s.configureRow(ctx, ws, nil, `DELETE FROM senders WHERE workspace = $1 AND id = $2`, ws[:], id[:])
}

// PutConnector implements store.Senders.
func (s *Store) PutConnector(ctx context.Context, x *store.Connector, events []store.Event) error {
	return s.configureRow(ctx, x.Workspace, events, `INSERT INTO connectors
			(workspace, id, kind, name, sealed, key_version, paused, health, health_code, health_reason, health_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (workspace, id) DO UPDATE SET kind = excluded.kind, name = excluded.name,
			sealed = excluded.sealed, key_version = excluded.key_version, paused = excluded.paused, health = excluded.health,
			health_code = excluded.health_code, health_reason = excluded.health_reason, health_at = excluded.health_at`,
		x.Workspace[:], x.ID[:], x.Kind, x.Name, x.Sealed, x.KeyVersion, x.Paused, x.Health.State, x.Health.Code, x.Health.Reason, micros(x.Health.At), micros(x.CreatedAt))
}

// DeleteConnector implements store.Senders.
func (s *Store) DeleteConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error {
	return s.configureRow(ctx, ws, nil, `DELETE FROM connectors WHERE workspace = $1 AND id = $2`, ws[:], id[:])
}

// SetHealth implements store.Senders.
func (s *Store) SetHealth(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, h store.Health, events []store.Event) error {
	return s.configureRow(ctx, ws, events, `UPDATE connectors SET health = $3, health_code = $4, health_reason = $5, health_at = $6
		WHERE workspace = $1 AND id = $2`, ws[:], id[:], h.State, h.Code, h.Reason, micros(h.At))
}

// PutTemplate implements store.Senders; the id of a template that is there
// stays.
func (s *Store) PutTemplate(ctx context.Context, x *store.Template, events []store.Event) error {
	return s.configureRow(ctx, x.Workspace, events, `INSERT INTO templates
			(workspace, sender, name, language, id, provider, category, state, ttl, body, named, components, reason, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (workspace, sender, name, language) DO UPDATE
		SET provider = excluded.provider, category = excluded.category, state = excluded.state, ttl = excluded.ttl, body = excluded.body,
			named = excluded.named, components = excluded.components, reason = excluded.reason, updated_at = excluded.updated_at`,
		x.Workspace[:], x.Sender[:], x.Name, x.Language, x.ID[:], x.Provider, string(x.Category), string(x.State), int64(x.TTL), x.Body, x.Named,
		[]byte(x.Components), x.Reason, micros(x.UpdatedAt))
}

// DeleteTemplate implements store.Senders.
func (s *Store) DeleteTemplate(ctx context.Context, ws message.WorkspaceID, id message.TemplateID) error {
	return s.configureRow(ctx, ws, nil, `DELETE FROM templates WHERE workspace = $1 AND id = $2`, ws[:], id[:])
}

// SetSettings implements store.Senders.
func (s *Store) SetSettings(ctx context.Context, ws message.WorkspaceID, settings json.RawMessage) error {
	return s.configureRow(ctx, ws, nil, `UPDATE configurations SET settings = $2 WHERE workspace = $1`, ws[:], []byte(settings))
}

// ConfigVersions implements store.Senders.
func (s *Store) ConfigVersions(ctx context.Context) (map[message.WorkspaceID]int64, error) {
	versions := make(map[message.WorkspaceID]int64)
	err := s.query(ctx, func(r pgx.Rows) error {
		var ws message.WorkspaceID
		var v int64
		err := r.Scan((*id16)(&ws), &v)
		versions[ws] = v
		return err
	}, `SELECT w.id, 0::bigint FROM workspaces w WHERE NOT EXISTS (SELECT 1 FROM configurations c WHERE c.workspace = w.id)
		UNION ALL SELECT workspace, version FROM configurations`)
	if err != nil {
		return nil, err
	}
	return versions, nil
}

// Configuration implements store.Senders.
func (s *Store) Configuration(ctx context.Context, ws message.WorkspaceID) (*store.Configuration, error) {
	x := &store.Configuration{Workspace: ws}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		err := find(ctx, tx, func(r pgx.Rows) error {
			var settings []byte
			err := r.Scan(&x.Version, &settings)
			x.Settings = raw(settings)
			return err
		}, `SELECT version, settings FROM configurations WHERE workspace = $1`, ws[:])
		if err != nil {
			return err
		}
		if x.Senders, err = readSenders(ctx, tx, ws); err != nil {
			return err
		}
		if x.Connectors, err = readConnectors(ctx, tx, ws); err != nil {
			return err
		}
		x.Templates, err = readTemplates(ctx, tx, ws)
		return err
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

func raw(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	return b
}

func readSenders(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID) (list []*store.Sender, err error) {
	err = find(ctx, tx, func(r pgx.Rows) error {
		x := &store.Sender{Workspace: ws}
		var connectors [][]byte
		var settings []byte
		var created int64
		if err := r.Scan((*id16)(&x.ID), &x.Channel, &x.Address, &x.Display, &connectors, &settings, &created); err != nil {
			return err
		}
		for _, c := range connectors {
			x.Connectors = append(x.Connectors, message.ConnectorID(c))
		}
		x.Settings, x.CreatedAt = raw(settings), instant(created)
		list = append(list, x)
		return nil
	}, `SELECT id, channel, address, display, connectors, settings, created_at FROM senders WHERE workspace = $1 ORDER BY id`, ws[:])
	return list, err
}

func readConnectors(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID) (list []*store.Connector, err error) {
	err = find(ctx, tx, func(r pgx.Rows) error {
		x := &store.Connector{Workspace: ws}
		var at, created int64
		err := r.Scan((*id16)(&x.ID), &x.Kind, &x.Name, &x.Sealed, &x.KeyVersion, &x.Paused, &x.Health.State, &x.Health.Code, &x.Health.Reason, &at, &created)
		x.Health.At, x.CreatedAt = instant(at), instant(created)
		list = append(list, x)
		return err
	}, `SELECT id, kind, name, sealed, key_version, paused, health, health_code, health_reason, health_at, created_at
		FROM connectors WHERE workspace = $1 ORDER BY id`, ws[:])
	return list, err
}

func readTemplates(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID) (list []*store.Template, err error) {
	err = find(ctx, tx, func(r pgx.Rows) error {
		x := &store.Template{Workspace: ws}
		var ttl, updated int64
		var components []byte
		err := r.Scan((*id16)(&x.Sender), &x.Name, &x.Language, (*id16)(&x.ID), &x.Provider, &x.Category, &x.State, &ttl, &x.Body, &x.Named, &components, &x.Reason, &updated)
		x.TTL, x.Components, x.UpdatedAt = time.Duration(ttl), raw(components), instant(updated)
		list = append(list, x)
		return err
	}, `SELECT sender, name, language, id, provider, category, state, ttl, body, named, components, reason, updated_at
		FROM templates WHERE workspace = $1 ORDER BY sender, name, language`, ws[:])
	return list, err
}
