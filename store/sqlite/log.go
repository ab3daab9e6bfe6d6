package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// log appends events to the log within the writer's transaction. Their numbers
// rise in the order of commits because one goroutine gives them.
func (w *writer) log(events []store.Event) error {
	for i := range events {
		e := &events[i]
		workspace, err := w.number(e.Workspace)
		if err != nil {
			return err
		}
		kind, err := w.word(e.Type)
		if err != nil {
			return err
		}
		w.seq++
		err = w.c.q(`INSERT INTO events (seq, id, workspace, type, message, contact, version, at, data, sealed)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			int(w.seq).key(e.ID).int(workspace).int(kind).id(e.Message).id(e.Contact).
			int(int64(e.Version)).time(e.At).blob(e.Data).blob(e.Sealed).exec()
		if err != nil {
			return err
		}
		w.fresh = append(w.fresh, w.copier.event(e))
	}
	return nil
}

const eventColumns = `e.seq, e.id, e.workspace, e.type, e.message, e.contact, e.version, e.at, e.data, e.sealed`

// event reads eventColumns, the first of which is at column c.
func (s *Store) event(q *stmt, c int) store.Event {
	return store.Event{
		ID: q.key16(c + 1), Workspace: s.names.id(q.i(c + 2)), Type: s.names.word(q.i(c + 3)),
		Message: q.key16(c + 4), Contact: q.key16(c + 5), Version: int32(q.i(c + 6)), At: q.t(c + 7),
		Data: q.bytes(c + 8), Sealed: q.bytes(c + 9),
	}
}

var errCursor = errors.New("not a cursor of this log")

// A place is a cursor read: an event number within an epoch.
type place struct{ epoch, seq int64 }

func (p place) cursor() store.Cursor {
	b := strconv.AppendInt(make([]byte, 0, 24), p.epoch, 10)
	return store.Cursor(strconv.AppendInt(append(b, '.'), p.seq, 10))
}

// place reads a cursor. One of an earlier epoch is moved back to where that
// epoch ended: what came after was lost in the restore and is told anew.
func (s *Store) place(c *conn, cursor store.Cursor) (place, error) {
	epoch, err := c.count(`SELECT max(epoch) FROM epochs`)
	if err != nil || cursor == "" {
		return place{epoch: epoch}, err
	}
	p, ok := parsePlace(cursor)
	if !ok || p.epoch > epoch {
		return place{}, fmt.Errorf("%w: %w", errCursor, store.ErrNotFound)
	}
	if p.epoch < epoch {
		q := c.q(`SELECT after FROM epochs WHERE epoch = ?`).int(p.epoch + 1)
		more, err := q.row()
		if err != nil {
			return place{}, err
		}
		if more {
			p.seq = min(p.seq, q.i(0))
			q.done()
		}
	}
	return place{epoch, p.seq}, nil
}

func parsePlace(cursor store.Cursor) (place, bool) {
	a, b, ok := strings.Cut(string(cursor), ".")
	epoch, err1 := strconv.ParseInt(a, 10, 64)
	seq, err2 := strconv.ParseInt(b, 10, 64)
	return place{epoch, seq}, ok && err1 == nil && err2 == nil && epoch >= 1 && seq >= 0
}

// Read gives events after a cursor in log order.
func (s *Store) Read(ctx context.Context, ws message.WorkspaceID, after store.Cursor, limit int) ([]*store.LogEvent, store.Cursor, error) {
	if p, ok := parsePlace(after); ok {
		if list, next, ok := s.tail.read(ws, p, limit); ok {
			return list, next.cursor(), ctx.Err()
		}
	}
	var list []*store.LogEvent
	next := after
	err := s.snapshot(ctx, func(c *conn) error {
		p, err := s.place(c, after)
		if err != nil {
			return err
		}
		next = p.cursor()
		var q *stmt
		if ws.IsZero() {
			q = c.q(`SELECT ` + eventColumns + ` FROM events e WHERE e.seq > ? ORDER BY e.seq LIMIT ?`).int(p.seq).int(int64(limit))
		} else {
			q = c.q(`SELECT ` + eventColumns + ` FROM events e WHERE e.workspace = ? AND e.seq > ? ORDER BY e.seq LIMIT ?`).
				int(s.names.find(ws)).int(p.seq).int(int64(limit))
		}
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			p.seq = q.i(0)
			next = p.cursor()
			list = append(list, &store.LogEvent{Event: s.event(q, 0), Cursor: next})
		}
	})
	if err != nil {
		return nil, after, err
	}
	return list, next, nil
}

// Head gives the cursor after the last event committed.
func (s *Store) Head(ctx context.Context) (store.Cursor, error) {
	var head store.Cursor
	err := s.snapshot(ctx, func(c *conn) error {
		epoch, err := c.count(`SELECT max(epoch) FROM epochs`)
		if err != nil {
			return err
		}
		seq, err := c.count(headSQL)
		head = place{epoch, seq}.cursor()
		return err
	})
	return head, err
}

const headSQL = `SELECT max((SELECT coalesce(max(seq), 0) FROM events), (SELECT value FROM meta WHERE name = 'seq'))`

// Cursor reads a named reader's saved cursor.
func (s *Store) Cursor(ctx context.Context, reader string) (store.Cursor, error) {
	var cursor store.Cursor
	err := s.read(ctx, func(c *conn) error {
		var err error
		cursor, err = c.cursor(reader)
		return err
	})
	return cursor, err
}

func (c *conn) cursor(reader string) (store.Cursor, error) {
	q := c.q(`SELECT cursor FROM cursors WHERE reader = ?`).text(reader)
	more, err := q.row()
	if err != nil || !more {
		return "", err
	}
	defer q.done()
	return store.Cursor(q.str(0)), nil
}

// SaveCursor keeps a named reader's cursor.
func (s *Store) SaveCursor(ctx context.Context, reader string, c store.Cursor) error {
	return s.write(ctx, 1, func(w *writer) error { return w.saveCursor(reader, c) })
}

func (w *writer) saveCursor(reader string, c store.Cursor) error {
	return w.c.q(`INSERT INTO cursors (reader, cursor) VALUES (?, ?)
		ON CONFLICT (reader) DO UPDATE SET cursor = excluded.cursor`).text(reader).text(string(c)).exec()
}
