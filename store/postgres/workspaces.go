package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// daily is vault's word for the keys that DeleteDays destroys.
const daily = "day"

// CreateWorkspace implements store.Workspaces.
func (s *Store) CreateWorkspace(ctx context.Context, w *store.Workspace, keys []store.WrappedKey) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO workspaces (id, name, created_at) VALUES ($1, $2, $3)`, w.ID[:], w.Name, micros(w.CreatedAt))
		if err != nil {
			return err
		}
		return putKeys(ctx, tx, keys)
	})
}

// WorkspaceList implements store.Workspaces, oldest first.
func (s *Store) WorkspaceList(ctx context.Context) (list []*store.Workspace, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		w := &store.Workspace{}
		var created int64
		err := r.Scan((*id16)(&w.ID), &w.Name, &created)
		w.CreatedAt = instant(created)
		list = append(list, w)
		return err
	}, `SELECT id, name, created_at FROM workspaces ORDER BY created_at, id`)
	return list, err
}

// Keys implements store.Workspaces.
func (s *Store) Keys(ctx context.Context, ws message.WorkspaceID) (list []store.WrappedKey, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		k := store.WrappedKey{Workspace: ws}
		var created int64
		err := r.Scan(&k.Kind, &k.Version, &k.Master, &k.Bytes, &created)
		k.CreatedAt = instant(created)
		list = append(list, k)
		return err
	}, `SELECT kind, version, master, wrapped, created_at FROM workspace_keys WHERE workspace = $1 ORDER BY kind, version`, ws[:])
	return list, err
}

// PutKeys implements store.Workspaces.
func (s *Store) PutKeys(ctx context.Context, keys []store.WrappedKey) error {
	return s.tx(ctx, func(tx pgx.Tx) error { return putKeys(ctx, tx, keys) })
}

func putKeys(ctx context.Context, tx pgx.Tx, keys []store.WrappedKey) error {
	b := &pgx.Batch{}
	for i := range keys {
		k := &keys[i]
		b.Queue(`INSERT INTO workspace_keys (workspace, kind, version, master, wrapped, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (workspace, kind, version) DO UPDATE SET master = excluded.master, wrapped = excluded.wrapped, created_at = excluded.created_at`,
			k.Workspace[:], k.Kind, k.Version, k.Master, k.Bytes, micros(k.CreatedAt))
	}
	return tx.SendBatch(ctx, b).Close()
}

// DeleteDays implements store.Workspaces.
func (s *Store) DeleteDays(ctx context.Context, before int32) (n int, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM workspace_keys WHERE kind = $1 AND version < $2`, daily, before)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// CreateAPIKey implements store.Workspaces.
func (s *Store) CreateAPIKey(ctx context.Context, k *store.APIKey) error {
	scopes := k.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return s.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO api_keys (workspace, id, name, hash, hint, scopes, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			k.Workspace[:], k.ID[:], k.Name, k.Hash[:], k.Hint, scopes, micros(k.CreatedAt), micros(k.RevokedAt))
		return err
	})
}

const apiKeyColumns = `workspace, id, name, hash, hint, scopes, created_at, revoked_at`

func (s *Store) apiKeys(ctx context.Context, sql string, args ...any) (list []*store.APIKey, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		k := &store.APIKey{}
		var hash []byte
		var created, revoked int64
		err := r.Scan((*id16)(&k.Workspace), (*id16)(&k.ID), &k.Name, &hash, &k.Hint, &k.Scopes, &created, &revoked)
		copy(k.Hash[:], hash)
		k.CreatedAt, k.RevokedAt = instant(created), instant(revoked)
		if len(k.Scopes) == 0 {
			k.Scopes = nil
		}
		list = append(list, k)
		return err
	}, sql, args...)
	return list, err
}

// APIKeyByHash implements store.Workspaces.
func (s *Store) APIKeyByHash(ctx context.Context, hash [32]byte) (*store.APIKey, error) {
	list, err := s.apiKeys(ctx, `SELECT `+apiKeyColumns+` FROM api_keys WHERE hash = $1 AND revoked_at = 0`, hash[:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// APIKeys implements store.Workspaces; revoked ones are listed too.
func (s *Store) APIKeys(ctx context.Context, ws message.WorkspaceID) ([]*store.APIKey, error) {
	return s.apiKeys(ctx, `SELECT `+apiKeyColumns+` FROM api_keys WHERE workspace = $1 ORDER BY id`, ws[:])
}

// RevokeAPIKey implements store.Workspaces; the first revocation stands.
func (s *Store) RevokeAPIKey(ctx context.Context, ws message.WorkspaceID, id message.APIKeyID, at time.Time) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE api_keys SET revoked_at = CASE WHEN revoked_at = 0 THEN $3 ELSE revoked_at END WHERE workspace = $1 AND id = $2`,
			ws[:], id[:], max(micros(at), 1)))
	})
}
