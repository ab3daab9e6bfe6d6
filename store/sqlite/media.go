package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const mediaColumns = `m.id, m.workspace, m.contact, m.message, m.connector, m.type, m.mime, m.size, m.state, m.tries, m.next_at, m.created_at, m.expires_at, m.sealed`

func (s *Store) mediaRow(q *stmt) *store.MediaFile {
	return &store.MediaFile{
		ID: q.key16(0), Workspace: s.names.id(q.i(1)), Contact: q.key16(2), Message: q.key16(3), Connector: s.names.id(q.i(4)),
		Type: message.MediaType(q.str(5)), MIME: q.str(6), Size: q.i(7), State: store.MediaState(q.i(8)), Tries: int(q.i(9)),
		NextAt: q.t(10), CreatedAt: q.t(11), ExpiresAt: q.t(12), Sealed: q.bytes(13),
	}
}

func (s *Store) mediaRows(q *stmt) (list []*store.MediaFile, err error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		list = append(list, s.mediaRow(q))
	}
}

func (w *writer) insertMedia(m *store.MediaFile) error {
	workspace, err := w.number(m.Workspace)
	if err != nil {
		return err
	}
	connector, err := w.number(m.Connector)
	if err != nil {
		return err
	}
	return w.c.q(`INSERT INTO media (workspace, id, contact, message, connector, type, mime, size, state, tries, next_at, created_at, expires_at, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
		int(workspace).key(m.ID).id(m.Contact).id(m.Message).int(connector).text(string(m.Type)).text(m.MIME).int(m.Size).
		int(int64(m.State)).int(int64(m.Tries)).time(m.NextAt).time(m.CreatedAt).time(m.ExpiresAt).blob(m.Sealed).exec()
}

// hasMedia reports whether a file is there.
func (w *writer) hasMedia(workspace int64, id message.MediaID) (bool, error) {
	q := w.c.q(`SELECT 1 FROM media WHERE workspace = ? AND id = ?`).int(workspace).key(id)
	more, err := q.row()
	q.done()
	return more, err
}

// attempt runs f in a write; what f answers is given when the write is durable.
func (s *Store) attempt(ctx context.Context, items int, f func(w *writer) (answer, err error)) error {
	var answer error
	err := s.write(ctx, items, func(w *writer) (err error) {
		answer, err = f(w)
		return err
	})
	if err != nil {
		return err
	}
	return answer
}

// PutMedia makes a file without content.
func (s *Store) PutMedia(ctx context.Context, m *store.MediaFile) error {
	return s.attempt(ctx, 1, func(w *writer) (error, error) {
		workspace, err := w.number(m.Workspace)
		if err != nil {
			return nil, err
		}
		if !m.Contact.IsZero() {
			c, ok, err := w.contact(workspace, m.Contact)
			if err != nil || !ok || c.erased {
				return store.ErrNotFound, err
			}
		}
		if there, err := w.hasMedia(workspace, m.ID); err != nil || there {
			return store.ErrExists, err
		}
		return nil, w.insertMedia(m)
	})
}

// PutChunks appends or replaces sealed chunks of a file.
func (s *Store) PutChunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first int, chunks [][]byte) error {
	return s.attempt(ctx, len(chunks), func(w *writer) (error, error) {
		workspace := w.names.find(ws)
		if there, err := w.hasMedia(workspace, id); err != nil || !there {
			return store.ErrNotFound, err
		}
		for i, sealed := range chunks {
			err := w.c.q(`INSERT INTO media_chunks (workspace, media, n, sealed) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET sealed = excluded.sealed`).int(workspace).key(id).int(int64(first + i)).blob(sealed).exec()
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// SetMedia replaces what is told of a file.
func (s *Store) SetMedia(ctx context.Context, m *store.MediaFile, events []store.Event) error {
	return s.attempt(ctx, 1, func(w *writer) (error, error) {
		wrote, err := w.wrote(w.c.q(`UPDATE media SET type = ?, mime = ?, size = ?, state = ?, tries = ?, next_at = ?, expires_at = ?, sealed = ?
			WHERE workspace = ? AND id = ?`).
			text(string(m.Type)).text(m.MIME).int(m.Size).int(int64(m.State)).int(int64(m.Tries)).time(m.NextAt).time(m.ExpiresAt).blob(m.Sealed).
			int(w.names.find(m.Workspace)).key(m.ID))
		if err != nil || !wrote {
			return store.ErrNotFound, err
		}
		return nil, w.log(events)
	})
}

// MediaFile reads what is told of a file.
func (s *Store) MediaFile(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (m *store.MediaFile, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err := s.mediaRows(c.q(`SELECT ` + mediaColumns + ` FROM media m WHERE m.workspace = ? AND m.id = ?`).int(s.names.find(ws)).key(id))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return store.ErrNotFound
		}
		m = list[0]
		return nil
	})
	return m, err
}

// MediaList pages through the files of a contact, newest first.
func (s *Store) MediaList(ctx context.Context, ws message.WorkspaceID, contact message.ContactID, before message.MediaID, limit int) (list []*store.MediaFile, err error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	err = s.read(ctx, func(c *conn) (err error) {
		list, err = s.mediaRows(c.q(`SELECT ` + mediaColumns + ` FROM media m WHERE m.workspace = ? AND m.contact IS ? AND m.id < ? ORDER BY m.id DESC LIMIT ?`).
			int(s.names.find(ws)).id(contact).key(before).int(int64(limit)))
		return err
	})
	return list, err
}

// Chunks reads sealed chunks in order.
func (s *Store) Chunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first, limit int) (list [][]byte, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT sealed FROM media_chunks WHERE workspace = ? AND media = ? AND n >= ? ORDER BY n LIMIT ?`).
			int(s.names.find(ws)).key(id).int(int64(first)).int(int64(limit))
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			list = append(list, q.bytes(0))
		}
	})
	return list, err
}

// mediaRest is what goes with a file.
var mediaRest = [...]string{
	`DELETE FROM media_chunks WHERE workspace = ? AND media = ?`,
	`DELETE FROM media_copies WHERE workspace = ? AND media = ?`,
}

// DeleteMedia deletes a file with its chunks and copies.
func (s *Store) DeleteMedia(ctx context.Context, ws message.WorkspaceID, id message.MediaID) error {
	return s.attempt(ctx, 1, func(w *writer) (error, error) {
		workspace := w.names.find(ws)
		wrote, err := w.wrote(w.c.q(`DELETE FROM media WHERE workspace = ? AND id = ?`).int(workspace).key(id))
		if err != nil || !wrote {
			return store.ErrNotFound, err
		}
		for _, sql := range mediaRest {
			if err := w.c.q(sql).int(workspace).key(id).exec(); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// ClaimMedia takes files that wait to be fetched.
func (s *Store) ClaimMedia(ctx context.Context, now, until time.Time, limit int) (list []*store.MediaFile, err error) {
	const due = ` FROM media m WHERE m.state = 2 AND m.next_at <= ? ORDER BY m.next_at LIMIT ?`
	// Mostly nothing waits: the writer is not asked for that.
	err = s.read(ctx, func(c *conn) (err error) {
		list, err = s.mediaRows(c.q(`SELECT ` + mediaColumns + due).time(now).int(int64(limit)))
		return err
	})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	err = s.write(ctx, len(list), func(w *writer) error {
		var err error
		if list, err = s.mediaRows(w.c.q(`SELECT ` + mediaColumns + due).time(now).int(int64(limit))); err != nil {
			return err
		}
		for _, m := range list {
			m.Tries++
			m.NextAt = fromMicros(micros(until))
			err := w.c.q(`UPDATE media SET tries = ?, next_at = ? WHERE workspace = ? AND id = ?`).
				int(int64(m.Tries)).time(until).int(w.names.find(m.Workspace)).key(m.ID).exec()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// PutCopy notes a provider's copy of a file.
func (s *Store) PutCopy(ctx context.Context, p *store.MediaCopy) error {
	return s.attempt(ctx, 1, func(w *writer) (error, error) {
		workspace := w.names.find(p.Workspace)
		if there, err := w.hasMedia(workspace, p.Media); err != nil || !there {
			return store.ErrNotFound, err
		}
		connector, err := w.number(p.Connector)
		if err != nil {
			return nil, err
		}
		return nil, w.c.q(`INSERT INTO media_copies (workspace, media, connector, expires_at, sealed) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at, sealed = excluded.sealed`).
			int(workspace).key(p.Media).int(connector).time(p.ExpiresAt).blob(p.Sealed).exec()
	})
}

// MediaCopy reads a provider's copy.
func (s *Store) MediaCopy(ctx context.Context, ws message.WorkspaceID, id message.MediaID, connector message.ConnectorID) (p *store.MediaCopy, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT expires_at, sealed FROM media_copies WHERE workspace = ? AND media = ? AND connector = ?`).
			int(s.names.find(ws)).key(id).int(s.names.find(connector))
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			return store.ErrNotFound
		}
		p = &store.MediaCopy{Workspace: ws, Media: id, Connector: connector, ExpiresAt: q.t(0), Sealed: q.bytes(1)}
		q.done()
		return nil
	})
	return p, err
}

// PutLink makes a link, or renews its expiry.
func (s *Store) PutLink(ctx context.Context, l *store.Link) error {
	return s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(l.Workspace)
		if err != nil {
			return err
		}
		return w.c.q(`INSERT INTO links (key, workspace, contact, message, media, created_at, expires_at, opened_at, opens)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at`).
			key(l.Key).int(workspace).id(l.Contact).id(l.Message).key(l.Media).time(l.CreatedAt).time(l.ExpiresAt).exec()
	})
}

// Link reads a link.
func (s *Store) Link(ctx context.Context, key [16]byte) (l *store.Link, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT workspace, contact, message, media, created_at, expires_at, opened_at, opens FROM links WHERE key = ?`).key(key)
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			return store.ErrNotFound
		}
		l = &store.Link{
			Key: key, Workspace: s.names.id(q.i(0)), Contact: q.key16(1), Message: q.key16(2), Media: q.key16(3),
			CreatedAt: q.t(4), ExpiresAt: q.t(5), OpenedAt: q.t(6), Opens: q.i(7),
		}
		q.done()
		return nil
	})
	return l, err
}

// OpenLink counts an opening.
func (s *Store) OpenLink(ctx context.Context, key [16]byte, at time.Time, events []store.Event) (first bool, err error) {
	err = s.attempt(ctx, 1, func(w *writer) (error, error) {
		first = false
		q := w.c.q(`SELECT opens FROM links WHERE key = ?`).key(key)
		more, err := q.row()
		if err != nil || !more {
			return store.ErrNotFound, err
		}
		first = q.i(0) == 0
		q.done()
		err = w.c.q(`UPDATE links SET opens = opens + 1, opened_at = CASE opens WHEN 0 THEN ? ELSE opened_at END WHERE key = ?`).time(at).key(key).exec()
		if err != nil || !first {
			return nil, err
		}
		return nil, w.log(events)
	})
	return first && err == nil, err
}

// Append logs events that come with no other write.
func (s *Store) Append(ctx context.Context, events []store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.write(ctx, 1, func(w *writer) error { return w.log(events) })
}

// filesAtOnce bounds the files of one purge: each may have 1,600 chunks.
const filesAtOnce = 20

// oldMedia finds files that expired.
func (s *Store) oldMedia(c *conn, _ int64, before time.Time, limit int) ([]doomed, error) {
	return doomedRows(c.q(`SELECT workspace, id, NULL FROM media WHERE expires_at > 0 AND expires_at < ? LIMIT ?`).
		time(before).int(int64(min(limit, filesAtOnce))))
}

func (w *writer) dropMedia(d doomed) (int, error) {
	err := w.c.q(`DELETE FROM media WHERE workspace = ? AND id = ?`).int(d.n).key(d.a).exec()
	n := w.c.c.Changes()
	for _, sql := range mediaRest {
		if err == nil {
			err = w.c.q(sql).int(d.n).key(d.a).exec()
		}
	}
	return n, err
}
