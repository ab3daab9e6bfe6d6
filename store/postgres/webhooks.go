package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// PutEndpoint implements store.Webhooks.
func (s *Store) PutEndpoint(ctx context.Context, e *store.Endpoint) error {
	types := e.Types
	if types == nil {
		types = []string{}
	}
	return s.exec(ctx, `INSERT INTO endpoints (workspace, id, url, sealed, types, batch, disabled, failing_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (workspace, id) DO UPDATE SET url = excluded.url, sealed = excluded.sealed,
			types = excluded.types, batch = excluded.batch, disabled = excluded.disabled, failing_at = excluded.failing_at`,
		e.Workspace[:], e.ID[:], e.URL, e.Sealed, types, e.Batch, e.Disabled, micros(e.FailingAt), micros(e.CreatedAt))
}

const endpointColumns = `workspace, id, url, sealed, types, batch, disabled, failing_at, created_at`

func (s *Store) endpoints(ctx context.Context, sql string, args ...any) (list []*store.Endpoint, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		e := &store.Endpoint{}
		var failing, created int64
		err := r.Scan((*id16)(&e.Workspace), (*id16)(&e.ID), &e.URL, &e.Sealed, &e.Types, &e.Batch, &e.Disabled, &failing, &created)
		e.FailingAt, e.CreatedAt = instant(failing), instant(created)
		if len(e.Types) == 0 {
			e.Types = nil
		}
		list = append(list, e)
		return err
	}, sql, args...)
	return list, err
}

// Endpoint implements store.Webhooks.
func (s *Store) Endpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) (*store.Endpoint, error) {
	list, err := s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints WHERE workspace = $1 AND id = $2`, ws[:], id[:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// Endpoints implements store.Webhooks.
func (s *Store) Endpoints(ctx context.Context, ws message.WorkspaceID) ([]*store.Endpoint, error) {
	if ws.IsZero() {
		return s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints ORDER BY id`)
	}
	return s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints WHERE workspace = $1 ORDER BY id`, ws[:])
}

// SetEndpointHealth implements store.Webhooks.
func (s *Store) SetEndpointHealth(ctx context.Context, ws message.WorkspaceID, id message.EndpointID, failingAt time.Time, disabled string) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE endpoints SET failing_at = $3, disabled = $4 WHERE workspace = $1 AND id = $2`, ws[:], id[:], micros(failingAt), disabled))
	})
}

// DeleteEndpoint implements store.Webhooks: its deliveries go with it.
func (s *Store) DeleteEndpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		if err := one(tx.Exec(ctx, `DELETE FROM endpoints WHERE workspace = $1 AND id = $2`, ws[:], id[:])); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE endpoint = $1`, id[:]); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM webhook_packs WHERE workspace = $1 AND endpoint = $2`, ws[:], id[:])
		return err
	})
}
