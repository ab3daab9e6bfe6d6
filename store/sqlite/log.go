package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// log appends events to the log within the writer's transaction: flush writes
// them when the group has run.
func (w *writer) log(events []store.Event) error {
	for i := range events {
		w.fresh = append(w.fresh, w.copier.event(&events[i]))
	}
	return nil
}

// flush writes what the transaction logged since the last flush, in runs of one
// workspace each. Numbers rise in the order of commits because one goroutine
// gives them; within a commit each workspace's events keep their order.
func (w *writer) flush() error {
	list := w.fresh[w.flushed:]
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b *store.LogEvent) int { return bytes.Compare(a.Workspace[:], b.Workspace[:]) })
	for len(list) > 0 {
		n := 1
		for n < min(len(list), runMost) && list[n].Workspace == list[0].Workspace {
			n++
		}
		if err := w.insertRun(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	w.flushed = len(w.fresh)
	return nil
}

func (w *writer) insertRun(list []*store.LogEvent) error {
	workspace, err := w.number(list[0].Workspace)
	if err != nil {
		return err
	}
	first, since := w.seq+1, micros(list[0].At)
	until := since
	out := runWriter{b: w.buf[:0]}
	for i, e := range list {
		kind, err := w.word(e.Type)
		if err != nil {
			return err
		}
		until = max(until, micros(e.At))
		out.add(&e.Event, int64(i), kind, since)
		if e.Sealed == nil {
			continue
		}
		err = w.c.q(`INSERT INTO event_halves (seq, workspace, contact, sealed) VALUES (?, ?, ?, ?)`).
			int(first + int64(i)).int(workspace).id(e.Contact).blob(e.Sealed).exec()
		if err != nil {
			return err
		}
	}
	w.seq += int64(len(list))
	w.buf = out.b
	return w.c.q(`INSERT INTO events (first, last, workspace, n, since, until, run) VALUES (?, ?, ?, ?, ?, ?, ?)`).
		int(first).int(w.seq).int(workspace).int(int64(len(list))).int(since).int(until).blob(w.buf).exec()
}

// runs reads runs, those of one workspace only where it is not zero, that may
// hold events above a number and begin at most at another, until enough says
// so. Personal halves are not read.
func (s *Store) runs(c *conn, workspace, above, most int64, enough func(*run) bool) error {
	q := c.q(`SELECT first, workspace, since, run FROM events WHERE first > ?1 AND first <= ?2 ORDER BY first`)
	if workspace != 0 {
		q = c.q(`SELECT first, workspace, since, run FROM events WHERE workspace = ?3 AND first > ?1 AND first <= ?2 ORDER BY first`)
	}
	q.int(above - runMost).int(most)
	if workspace != 0 {
		q.int(workspace)
	}
	defer q.done()
	for {
		more, err := q.row()
		if err != nil || !more {
			return err
		}
		r, err := unpack(q.bytes(3), q.i(0), q.i(2), s.names.word)
		if err != nil {
			return err
		}
		ws := s.names.id(q.i(1))
		for i := range r.events {
			r.events[i].Workspace = ws
		}
		if enough(r) {
			return nil
		}
	}
}

// half reads the personal half of an event; nil when it was erased.
func (c *conn) half(seq int64) ([]byte, error) {
	q := c.q(`SELECT sealed FROM event_halves WHERE seq = ?`).int(seq)
	more, err := q.row()
	if err != nil || !more {
		return nil, err
	}
	defer q.done()
	return q.bytes(0), nil
}

// An eventFinder finds events by number; neighbours come from one reading.
type eventFinder struct {
	s    *Store
	c    *conn
	last *run
}

// find gives false when the event is gone.
func (f *eventFinder) find(seq int64) (store.Event, bool, error) {
	at, ok := f.in(seq)
	if !ok {
		f.last = nil
		err := f.s.runs(f.c, 0, seq, seq, func(r *run) bool {
			f.last = r
			_, ok = f.in(seq)
			return ok
		})
		if err != nil || !ok {
			return store.Event{}, false, err
		}
		at, _ = f.in(seq)
	}
	e := f.last.events[at]
	if f.last.sealed[at] {
		var err error
		if e.Sealed, err = f.c.half(seq); err != nil {
			return e, false, err
		}
	}
	return e, true, nil
}

func (f *eventFinder) in(seq int64) (int, bool) {
	if f.last == nil {
		return 0, false
	}
	return slices.BinarySearch(f.last.seqs, seq)
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
		q := c.q(`SELECT after FROM epochs WHERE epoch > ? ORDER BY epoch LIMIT 1`).int(p.epoch)
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
		var halves []int
		err = s.runs(c, s.names.find(ws), p.seq, math.MaxInt64, func(r *run) bool {
			for i := range r.events {
				if r.seqs[i] <= p.seq || len(list) == limit {
					continue
				}
				p.seq = r.seqs[i]
				next = p.cursor()
				if r.sealed[i] {
					halves = append(halves, len(list))
				}
				list = append(list, &store.LogEvent{Event: r.events[i], Cursor: next})
			}
			return len(list) == limit
		})
		for _, i := range halves {
			if err != nil {
				break
			}
			at, _ := parsePlace(list[i].Cursor)
			list[i].Sealed, err = c.half(at.seq)
		}
		return err
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

// headSQL gives the last number given; meta keeps it where a purge took the
// event that had it.
const headSQL = `SELECT max(coalesce((SELECT last FROM events WHERE first = (SELECT max(first) FROM events)), 0), (SELECT value FROM meta WHERE name = 'seq'))`

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
