package sqlite

import (
	"context"

	"github.com/parley-messaging/parley/store"
)

// Receive stores messages people sent us.
func (s *Store) Receive(ctx context.Context, items []*store.Reception) ([]store.Verdict, error) {
	verdicts := make([]store.Verdict, len(items))
	err := s.write(ctx, len(items), func(w *writer) error {
		for i, item := range items {
			var err error
			if verdicts[i], err = w.receive(item); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// receive looks at everything that may refuse the item before it writes.
func (w *writer) receive(r *store.Reception) (store.Verdict, error) {
	m := r.Message
	workspace, err := w.number(m.Workspace)
	if err != nil {
		return 0, err
	}
	if seen, err := w.seen(workspace, r); err != nil || seen {
		return store.Duplicate, err
	}
	who, verdict, err := w.person(workspace, m.Contact, r.NewContact)
	if err != nil || verdict != store.Done {
		return verdict, err
	}
	for i := range r.Identities {
		owner, err := w.owner(workspace, r.Identities[i].Index)
		if err != nil {
			return 0, err
		}
		if owner != 0 && (r.NewContact != nil || owner != who.n) {
			return store.IdentityTaken, nil
		}
	}
	if there, err := w.exists(workspace, m.ID); err != nil || there {
		return store.Duplicate, err
	}
	err = w.c.q(`INSERT INTO dedup (workspace, key, forget_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET forget_at = excluded.forget_at`).
		int(workspace).key(r.Dedup).time(r.Forget).exec()
	if err != nil {
		return 0, err
	}
	if r.NewContact != nil {
		if who, err = w.createContact(workspace, r.NewContact); err != nil {
			return 0, err
		}
	}
	if _, err := w.insertMessage(workspace, who.n, m); err != nil {
		return 0, err
	}
	for _, file := range r.Media {
		if err := w.insertMedia(file); err != nil {
			return 0, err
		}
	}
	changed := len(r.Identities) > 0 || r.Window != nil
	for i := range r.Identities {
		if err := w.insertIdentity(workspace, who.n, &r.Identities[i]); err != nil {
			return 0, err
		}
	}
	if r.Window != nil {
		if err := w.openWindow(who.n, r.Window); err != nil {
			return 0, err
		}
	}
	for i := range r.Suppress {
		if err := w.suppress(&r.Suppress[i], m.Contact); err != nil {
			return 0, err
		}
		changed = true
	}
	for i := range r.Allow {
		if err := w.allow(&r.Allow[i], m.Contact); err != nil {
			return 0, err
		}
		changed = true
	}
	if changed {
		who, _, err = w.contact(workspace, m.Contact)
		if err != nil {
			return 0, err
		}
		if err := w.raise(workspace, m.Contact, who); err != nil {
			return 0, err
		}
	}
	return store.Done, w.log(r.Events)
}

// seen reports whether an inbound event is remembered: until the purge, even
// after the time it may be forgotten.
func (w *writer) seen(workspace int64, r *store.Reception) (bool, error) {
	q := w.c.q(`SELECT 1 FROM dedup WHERE workspace = ? AND key = ?`).int(workspace).key(r.Dedup)
	more, err := q.row()
	q.done()
	return more, err
}
