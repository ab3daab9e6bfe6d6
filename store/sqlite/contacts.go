package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// createContact inserts a contact and its identities, known to be free.
func (w *writer) createContact(workspace int64, n *store.NewContact) (contact, error) {
	err := w.c.q(`INSERT INTO contacts (workspace, id, version, key, key_version, created_at, erased_at, profile)
		VALUES (?, ?, 1, ?, ?, ?, 0, ?)`).
		int(workspace).key(n.ID).blob(n.Key).int(int64(n.KeyVersion)).time(n.CreatedAt).blob(n.Profile).exec()
	if err != nil {
		return contact{}, err
	}
	c := contact{n: w.c.c.LastInsertRowID(), version: 1}
	w.remember(workspace, n.ID, c)
	for i := range n.Identities {
		if err := w.insertIdentity(workspace, c.n, &n.Identities[i]); err != nil {
			return contact{}, err
		}
	}
	return c, nil
}

// change runs f on a living contact, raises its version and logs the events. f
// tells whether there was something to change; if not, nothing else is written
// and the answer is ErrNotFound.
func (s *Store) change(ctx context.Context, ws message.WorkspaceID, id message.ContactID, events []store.Event,
	f func(w *writer, workspace int64, c contact) (bool, error),
) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		workspace := w.names.find(ws)
		c, ok, err := w.contact(workspace, id)
		if err != nil {
			return err
		}
		if missing = !ok || c.erased; missing {
			return nil
		}
		wrote, err := f(w, workspace, c)
		if missing = !wrote; err != nil || missing {
			return err
		}
		if err := w.raise(workspace, id, c); err != nil {
			return err
		}
		return w.log(events)
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}

// CreateContact fails with ErrExists when an identity or the id is taken.
func (s *Store) CreateContact(ctx context.Context, n *store.NewContact, events []store.Event) error {
	taken := false
	err := s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(n.Workspace)
		if err != nil {
			return err
		}
		_, verdict, err := w.person(workspace, n.ID, n)
		taken = verdict == store.IdentityTaken
		if err != nil || taken {
			return err
		}
		if _, err := w.createContact(workspace, n); err != nil {
			return err
		}
		return w.log(events)
	})
	if err == nil && taken {
		return store.ErrExists
	}
	return err
}

// SetProfile replaces the sealed profile.
func (s *Store) SetProfile(ctx context.Context, ws message.WorkspaceID, id message.ContactID, sealed []byte, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(w *writer, _ int64, c contact) (bool, error) {
		return true, w.c.q(`UPDATE contacts SET profile = ? WHERE n = ?`).blob(sealed).int(c.n).exec()
	})
}

// AddIdentity fails with ErrExists when it belongs to another contact; one the
// contact has already is left as it is.
func (s *Store) AddIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, identity store.Identity, events []store.Event) error {
	taken, missing := false, false
	err := s.write(ctx, 1, func(w *writer) error {
		taken, missing = false, false
		workspace := w.names.find(ws)
		c, ok, err := w.contact(workspace, id)
		if err != nil {
			return err
		}
		if missing = !ok || c.erased; missing {
			return nil
		}
		owner, err := w.owner(workspace, identity.Index)
		if err != nil {
			return err
		}
		if taken = owner != 0 && owner != c.n; taken {
			return nil
		}
		if err := w.insertIdentity(workspace, c.n, &identity); err != nil {
			return err
		}
		if err := w.raise(workspace, id, c); err != nil {
			return err
		}
		return w.log(events)
	})
	switch {
	case err != nil:
		return err
	case missing:
		return store.ErrNotFound
	case taken:
		return store.ErrExists
	default:
		return nil
	}
}

// RemoveIdentity takes an identity from a contact, with its windows and what
// is remembered of its reach.
func (s *Store) RemoveIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, index [16]byte, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(w *writer, workspace int64, c contact) (bool, error) {
		wrote, err := w.disown(c.n, &index)
		if err != nil || !wrote {
			return false, err
		}
		if err := w.c.q(`DELETE FROM windows WHERE contact = ? AND identity = ?`).int(c.n).key(index).exec(); err != nil {
			return false, err
		}
		return true, w.c.q(`DELETE FROM reach WHERE workspace = ? AND identity = ?`).int(workspace).key(index).exec()
	})
}

// Remember notes that a channel did not reach an identity.
func (s *Store) Remember(ctx context.Context, ws message.WorkspaceID, index [16]byte, r store.Reach) error {
	return s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(ws)
		if err != nil {
			return err
		}
		if r.Until.IsZero() {
			return w.c.q(`DELETE FROM reach WHERE workspace = ? AND identity = ? AND channel = ?`).
				int(workspace).key(index).text(string(r.Channel)).exec()
		}
		return w.c.q(`INSERT INTO reach (workspace, identity, channel, code, until) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET code = excluded.code, until = excluded.until`).
			int(workspace).key(index).text(string(r.Channel)).text(r.Code).time(r.Until).exec()
	})
}

// OpenWindow opens or renews a window.
func (s *Store) OpenWindow(ctx context.Context, ws message.WorkspaceID, id message.ContactID, win store.Window, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(w *writer, _ int64, c contact) (bool, error) { return true, w.openWindow(c.n, &win) })
}

func (w *writer) openWindow(contact int64, win *store.Window) error {
	return w.c.q(`INSERT INTO windows (contact, identity, sender, kind, opened_by, opened_at, closes_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET opened_by = excluded.opened_by, opened_at = excluded.opened_at, closes_at = excluded.closes_at
		WHERE excluded.closes_at > closes_at`).
		int(contact).key(win.Identity).key(win.Sender).text(win.Kind).id(win.OpenedBy).time(win.OpenedAt).time(win.ClosesAt).exec()
}

// CloseWindow ends every window of an identity with a sender at once.
func (s *Store) CloseWindow(ctx context.Context, ws message.WorkspaceID, id message.ContactID, identity [16]byte, sender message.SenderID, at time.Time, events []store.Event) error {
	return s.change(ctx, ws, id, events, func(w *writer, _ int64, c contact) (bool, error) {
		return true, w.c.q(`UPDATE windows SET closes_at = ?1 WHERE contact = ?2 AND identity = ?3 AND sender = ?4 AND closes_at > ?1`).
			time(at).int(c.n).key(identity).key(sender).exec()
	})
}

// Suppress adds a suppression; one already there keeps its first reason.
func (s *Store) Suppress(ctx context.Context, p store.Suppression, events []store.Event) error {
	return s.write(ctx, 1, func(w *writer) error {
		if err := w.suppress(&p, message.ContactID{}); err != nil {
			return err
		}
		return w.log(events)
	})
}

// Allow takes a suppression away.
func (s *Store) Allow(ctx context.Context, p store.Suppression, events []store.Event) error {
	return s.write(ctx, 1, func(w *writer) error {
		if err := w.allow(&p, message.ContactID{}); err != nil {
			return err
		}
		return w.log(events)
	})
}

func (w *writer) suppress(p *store.Suppression, except message.ContactID) error {
	workspace, err := w.number(p.Workspace)
	if err != nil {
		return err
	}
	err = w.c.q(`INSERT INTO suppressions (workspace, identity, scope, reason, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(workspace).key(p.Index).text(p.Scope).text(p.Reason).time(p.At).exec()
	if err != nil {
		return err
	}
	return w.raiseOwner(workspace, p.Index, except)
}

func (w *writer) allow(p *store.Suppression, except message.ContactID) error {
	workspace, err := w.number(p.Workspace)
	if err != nil {
		return err
	}
	err = w.c.q(`DELETE FROM suppressions WHERE workspace = ? AND identity = ? AND scope = ?`).int(workspace).key(p.Index).text(p.Scope).exec()
	if err != nil {
		return err
	}
	return w.raiseOwner(workspace, p.Index, except)
}

// raiseOwner raises the version of the contact behind an index, if there is
// one and it is not raised elsewhere in the same write.
func (w *writer) raiseOwner(workspace int64, index [16]byte, except message.ContactID) error {
	owner, err := w.owner(workspace, index)
	if err != nil || owner == 0 {
		return err
	}
	q := w.c.q(`SELECT id FROM contacts WHERE n = ?`).int(owner)
	more, err := q.row()
	if err != nil || !more {
		return err
	}
	id := message.ContactID(q.key16(0))
	q.done()
	if id == except {
		return nil
	}
	c, ok, err := w.contact(workspace, id)
	if err != nil || !ok {
		return err
	}
	return w.raise(workspace, id, c)
}
