package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// raise locks a living contact and raises its version; store.ErrNotFound when
// there is none. Every change of a person begins with it, so that guards which
// saw the old version have committed or will fail.
func raise(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, id message.ContactID) error {
	return one(tx.Exec(ctx, `UPDATE contacts SET version = version + 1 WHERE workspace = $1 AND id = $2 AND erased_at = 0`, ws[:], id[:]))
}

// change runs f on a living contact whose version it raised, and logs events.
func (s *Store) change(ctx context.Context, ws message.WorkspaceID, id message.ContactID, events []store.Event, f func(tx pgx.Tx) error) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		if err := raise(ctx, tx, ws, id); err != nil {
			return err
		}
		return f(tx)
	})
}

// logging runs f in a transaction that ends with events, and tells those who
// wait for the log.
func (s *Store) logging(ctx context.Context, events []store.Event, f func(tx pgx.Tx) error) error {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return appendEvents(ctx, tx, s.epoch(), events)
	})
	if err == nil {
		s.hub.committed(len(events) > 0)
	}
	return err
}

// CreateContact implements store.Contacts.
func (s *Store) CreateContact(ctx context.Context, n *store.NewContact, events []store.Event) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		writeContacts(b, []*store.NewContact{n})
		return tx.SendBatch(ctx, b).Close()
	})
}

// SetProfile implements store.Contacts.
func (s *Store) SetProfile(ctx context.Context, ws message.WorkspaceID, id message.ContactID, sealed []byte, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE contacts SET profile = $3 WHERE workspace = $1 AND id = $2`, ws[:], id[:], sealed)
		return err
	})
}

// AddIdentity implements store.Contacts; an identity the contact has already
// is left as it is.
func (s *Store) AddIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, x store.Identity, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(tx pgx.Tx) error {
		var owner message.ContactID
		err := tx.QueryRow(ctx, `WITH n AS (INSERT INTO identities (workspace, idx, contact, channel, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (workspace, idx) DO UPDATE SET idx = excluded.idx RETURNING contact) SELECT contact FROM n`,
			ws[:], x.Index[:], id[:], string(x.Channel), x.Sealed, micros(x.CreatedAt)).Scan((*id16)(&owner))
		if err == nil && owner != id {
			return store.ErrExists
		}
		return err
	})
}

// RemoveIdentity implements store.Contacts: windows and reach of the identity
// go with it.
func (s *Store) RemoveIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, index [16]byte, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(tx pgx.Tx) error {
		if err := one(tx.Exec(ctx, `DELETE FROM identities WHERE workspace = $1 AND idx = $2 AND contact = $3`, ws[:], index[:], id[:])); err != nil {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(`DELETE FROM windows WHERE workspace = $1 AND contact = $2 AND identity = $3`, ws[:], id[:], index[:])
		b.Queue(`DELETE FROM reaches WHERE workspace = $1 AND idx = $2`, ws[:], index[:])
		return tx.SendBatch(ctx, b).Close()
	})
}

// Remember implements store.Contacts.
func (s *Store) Remember(ctx context.Context, ws message.WorkspaceID, index [16]byte, r store.Reach) error {
	if r.Until.IsZero() {
		return s.exec(ctx, `DELETE FROM reaches WHERE workspace = $1 AND idx = $2 AND channel = $3`, ws[:], index[:], string(r.Channel))
	}
	return s.exec(ctx, `INSERT INTO reaches (workspace, idx, channel, code, until) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace, idx, channel) DO UPDATE SET code = excluded.code, until = excluded.until`,
		ws[:], index[:], string(r.Channel), r.Code, micros(r.Until))
}

// OpenWindow implements store.Contacts.
func (s *Store) OpenWindow(ctx context.Context, ws message.WorkspaceID, id message.ContactID, w store.Window, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, openWindowSQL, [][]byte{ws[:]}, [][]byte{id[:]}, [][]byte{w.Identity[:]}, [][]byte{w.Sender[:]}, []string{w.Kind},
			[][]byte{w.OpenedBy[:]}, []int64{micros(w.OpenedAt)}, []int64{micros(w.ClosesAt)})
		return err
	})
}

// CloseWindow implements store.Contacts: every window of an identity with a
// sender ends.
func (s *Store) CloseWindow(ctx context.Context, ws message.WorkspaceID, id message.ContactID, identity [16]byte, sender message.SenderID, at time.Time, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE windows SET closes_at = $5 WHERE workspace = $1 AND contact = $2 AND identity = $3 AND sender = $4 AND closes_at > $5`,
			ws[:], id[:], identity[:], sender[:], micros(at))
		return err
	})
}

// raiseOwner raises the version of the contact behind an index, if there is one.
func raiseOwner(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, index [16]byte) error {
	_, err := tx.Exec(ctx, `UPDATE contacts SET version = version + 1 WHERE workspace = $1
		AND id = (SELECT contact FROM identities WHERE workspace = $1 AND idx = $2)`, ws[:], index[:])
	return err
}

// Suppress implements store.Contacts; one already there keeps its first reason.
func (s *Store) Suppress(ctx context.Context, p store.Suppression, events []store.Event) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		if err := raiseOwner(ctx, tx, p.Workspace, p.Index); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO suppressions (workspace, idx, scope, reason, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			p.Workspace[:], p.Index[:], p.Scope, p.Reason, micros(p.At))
		return err
	})
}

// Allow implements store.Contacts.
func (s *Store) Allow(ctx context.Context, p store.Suppression, events []store.Event) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		if err := raiseOwner(ctx, tx, p.Workspace, p.Index); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM suppressions WHERE workspace = $1 AND idx = $2 AND scope = $3`, p.Workspace[:], p.Index[:], p.Scope)
		return err
	})
}

// Erase implements store.Contacts. What stood in the rows stays in dead tuples
// and in the write-ahead log until vacuum and archive let it go: without the
// contact's key it is noise.
func (s *Store) Erase(ctx context.Context, ws message.WorkspaceID, id message.ContactID, at time.Time, events []store.Event) (store.Verdict, error) {
	verdict := store.Done
	err := s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE contacts SET key = NULL, profile = NULL, erased_at = $3, version = version + 1
			WHERE workspace = $1 AND id = $2 AND erased_at = 0`, ws[:], id[:], max(micros(at), 1))
		if err != nil {
			return err
		}
		if verdict = store.Done; tag.RowsAffected() == 0 {
			verdict = store.Missing
			return nil
		}
		b := &pgx.Batch{}
		b.Queue(`DELETE FROM reaches WHERE workspace = $1 AND idx IN (SELECT idx FROM identities WHERE workspace = $1 AND contact = $2)`, ws[:], id[:])
		b.Queue(`DELETE FROM identities WHERE workspace = $1 AND contact = $2`, ws[:], id[:])
		b.Queue(`DELETE FROM windows WHERE workspace = $1 AND contact = $2`, ws[:], id[:])
		b.Queue(`UPDATE messages SET sealed = NULL, identity = NULL WHERE workspace = $1 AND contact = $2`, ws[:], id[:])
		b.Queue(`UPDATE events SET sealed = NULL WHERE workspace = $1 AND contact = $2 AND sealed IS NOT NULL`, ws[:], id[:])
		b.Queue(`DELETE FROM media_chunks WHERE workspace = $1 AND media IN (SELECT id FROM media WHERE workspace = $1 AND contact = $2)`, ws[:], id[:])
		b.Queue(`DELETE FROM media_copies WHERE workspace = $1 AND media IN (SELECT id FROM media WHERE workspace = $1 AND contact = $2)`, ws[:], id[:])
		b.Queue(`DELETE FROM media WHERE workspace = $1 AND contact = $2`, ws[:], id[:])
		b.Queue(`DELETE FROM links WHERE workspace = $1 AND contact = $2`, ws[:], id[:])
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		return appendEvents(ctx, tx, s.epoch(), events)
	})
	if err != nil {
		return 0, err
	}
	s.tail.forget()
	s.hub.committed(verdict == store.Done && len(events) > 0)
	return verdict, nil
}

// SetContactKeys implements store.Contacts; contacts erased meanwhile stay so.
func (s *Store) SetContactKeys(ctx context.Context, ws message.WorkspaceID, keys []store.ContactKey) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		for i := range keys {
			k := &keys[i]
			b.Queue(`UPDATE contacts SET key = $3, key_version = $4 WHERE workspace = $1 AND id = $2 AND key IS NOT NULL`, ws[:], k.ID[:], k.Key, k.Version)
		}
		return tx.SendBatch(ctx, b).Close()
	})
}
