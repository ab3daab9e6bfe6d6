package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Erase destroys a contact. secure_delete overwrites what is taken away in the
// file; old pages in the write-ahead log go at the next moment without readers
// (tidy).
func (s *Store) Erase(ctx context.Context, ws message.WorkspaceID, id message.ContactID, at time.Time, events []store.Event) (store.Verdict, error) {
	var verdict store.Verdict
	err := s.write(ctx, 1, func(w *writer) error {
		verdict = store.Missing
		workspace := w.names.find(ws)
		c, ok, err := w.contact(workspace, id)
		if err != nil || !ok || c.erased {
			return err
		}
		verdict = store.Done
		// What this group logged of them goes too, and so does every message.
		if err := w.flush(); err != nil {
			return err
		}
		err = w.c.q(`DELETE FROM reach WHERE (workspace, identity) IN (SELECT workspace, identity FROM identities WHERE contact = ?)`).int(c.n).exec()
		if err != nil {
			return err
		}
		if _, err := w.disown(c.n, nil); err != nil { // all of their messages are listed after it
			return err
		}
		if err := w.c.q(`DELETE FROM windows WHERE contact = ?`).int(c.n).exec(); err != nil {
			return err
		}
		err = w.c.q(`UPDATE messages SET sealed = NULL, identity = NULL
			WHERE workspace = ? AND id IN (SELECT message FROM contact_messages WHERE contact = ?)`).int(workspace).int(c.n).exec()
		if err != nil {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM media_chunks WHERE workspace = ?1 AND media IN (SELECT id FROM media WHERE workspace = ?1 AND contact = ?2)`,
			`DELETE FROM media_copies WHERE workspace = ?1 AND media IN (SELECT id FROM media WHERE workspace = ?1 AND contact = ?2)`,
			`DELETE FROM media WHERE workspace = ?1 AND contact = ?2`,
			`DELETE FROM links WHERE workspace = ?1 AND contact = ?2`,
		} {
			if err := w.c.q(sql).int(workspace).key(id).exec(); err != nil {
				return err
			}
		}
		if err := w.c.q(`DELETE FROM event_halves WHERE contact = ? AND workspace = ?`).key(id).int(workspace).exec(); err != nil {
			return err
		}
		c.version++
		c.erased = true
		w.remember(workspace, id, c)
		w.shred, w.stale = true, true
		err = w.c.q(`UPDATE contacts SET key = NULL, profile = NULL, erased_at = ?, version = ? WHERE n = ?`).
			int(max(micros(at), 1)).int(c.version).int(c.n).exec()
		if err != nil {
			return err
		}
		return w.log(events)
	})
	return verdict, err
}
