package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// daily is vault's word for the keys that DeleteDays destroys.
const daily = "day"

// CreateWorkspace stores a workspace with its keys. ErrExists.
func (s *Store) CreateWorkspace(ctx context.Context, x *store.Workspace, keys []store.WrappedKey) error {
	taken := false
	err := s.write(ctx, 1, func(w *writer) error {
		n, err := w.number(x.ID)
		if err != nil {
			return err
		}
		wrote, err := w.wrote(w.c.q(`INSERT INTO workspaces (n, id, name, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`).
			int(n).key(x.ID).text(x.Name).time(x.CreatedAt))
		if taken = !wrote; err != nil || taken {
			return err
		}
		return w.putKeys(keys)
	})
	if err == nil && taken {
		return store.ErrExists
	}
	return err
}

// WorkspaceList lists the workspaces, oldest first.
func (s *Store) WorkspaceList(ctx context.Context) (list []*store.Workspace, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT id, name, created_at FROM workspaces ORDER BY created_at, id`)
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			list = append(list, &store.Workspace{ID: q.key16(0), Name: q.str(1), CreatedAt: q.t(2)})
		}
	})
	return list, err
}

// Keys reads all wrapped keys of a workspace, or of the installation.
func (s *Store) Keys(ctx context.Context, ws message.WorkspaceID) (list []store.WrappedKey, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT kind, version, master, bytes, created_at FROM keys WHERE workspace = ? ORDER BY kind, version`).int(s.names.find(ws))
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			list = append(list, store.WrappedKey{
				Workspace: ws, Kind: q.str(0), Version: int32(q.i(1)), Master: q.str(2), Bytes: q.bytes(3), CreatedAt: q.t(4),
			})
		}
	})
	return list, err
}

// PutKeys adds or replaces keys.
func (s *Store) PutKeys(ctx context.Context, keys []store.WrappedKey) error {
	return s.write(ctx, len(keys), func(w *writer) error { return w.putKeys(keys) })
}

func (w *writer) putKeys(keys []store.WrappedKey) error {
	for i := range keys {
		k := &keys[i]
		workspace, err := w.number(k.Workspace)
		if err != nil {
			return err
		}
		err = w.c.q(`INSERT INTO keys (workspace, kind, version, master, bytes, created_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET master = excluded.master, bytes = excluded.bytes, created_at = excluded.created_at`).
			int(workspace).text(k.Kind).int(int64(k.Version)).text(k.Master).blob(k.Bytes).time(k.CreatedAt).exec()
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteDays destroys the daily keys of days before the given one.
func (s *Store) DeleteDays(ctx context.Context, before int32) (n int, err error) {
	err = s.write(ctx, 1, func(w *writer) error {
		err := w.c.q(`DELETE FROM keys WHERE kind = ? AND version < ?`).text(daily).int(int64(before)).exec()
		n = w.c.c.Changes()
		return err
	})
	return n, err
}

// CreateAPIKey stores a client's key. ErrExists.
func (s *Store) CreateAPIKey(ctx context.Context, k *store.APIKey) error {
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return fmt.Errorf("api key: %w", err)
	}
	taken := false
	err = s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(k.Workspace)
		if err != nil {
			return err
		}
		wrote, err := w.wrote(w.c.q(`INSERT INTO api_keys (workspace, id, name, hash, hint, scopes, created_at, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
			int(workspace).key(k.ID).text(k.Name).blob(k.Hash[:]).text(k.Hint).text(string(scopes)).time(k.CreatedAt).time(k.RevokedAt))
		taken = !wrote
		return err
	})
	if err == nil && taken {
		return store.ErrExists
	}
	return err
}

const apiKeyColumns = `workspace, id, name, hash, hint, scopes, created_at, revoked_at`

func (s *Store) apiKeys(q *stmt) (list []*store.APIKey, err error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		k := &store.APIKey{
			Workspace: s.names.id(q.i(0)), ID: q.key16(1), Name: q.str(2), Hint: q.str(4), CreatedAt: q.t(6), RevokedAt: q.t(7),
		}
		copy(k.Hash[:], q.bytes(3))
		if err := json.Unmarshal([]byte(q.str(5)), &k.Scopes); err != nil {
			q.done()
			return nil, fmt.Errorf("api key %s: %w", k.ID, err)
		}
		list = append(list, k)
	}
}

// APIKeyByHash finds a key not revoked.
func (s *Store) APIKeyByHash(ctx context.Context, hash [32]byte) (k *store.APIKey, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err := s.apiKeys(c.q(`SELECT ` + apiKeyColumns + ` FROM api_keys WHERE hash = ? AND revoked_at = 0`).blob(hash[:]))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return store.ErrNotFound
		}
		k = list[0]
		return nil
	})
	return k, err
}

// APIKeys lists the keys of a workspace, revoked ones too.
func (s *Store) APIKeys(ctx context.Context, ws message.WorkspaceID) (list []*store.APIKey, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err = s.apiKeys(c.q(`SELECT ` + apiKeyColumns + ` FROM api_keys WHERE workspace = ? ORDER BY id`).int(s.names.find(ws)))
		return err
	})
	return list, err
}

// RevokeAPIKey ends a key; its first revocation stands.
func (s *Store) RevokeAPIKey(ctx context.Context, ws message.WorkspaceID, id message.APIKeyID, at time.Time) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		wrote, err := w.wrote(w.c.q(`UPDATE api_keys SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END WHERE workspace = ? AND id = ?`).
			time(at).int(w.names.find(ws)).key(id))
		missing = !wrote
		return err
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}
