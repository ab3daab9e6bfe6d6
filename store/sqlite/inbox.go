package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// setAside is the stored "not before" of callbacks nobody can read.
const setAside = -1

// Keep stores raw callbacks before they are answered.
func (s *Store) Keep(ctx context.Context, items []*store.Callback) error {
	return s.write(ctx, len(items), func(w *writer) error {
		for _, c := range items {
			workspace, err := w.number(c.Workspace)
			if err != nil {
				return err
			}
			connector, err := w.number(c.Connector)
			if err != nil {
				return err
			}
			err = w.c.q(`INSERT INTO callbacks (id, workspace, connector, at, day, tries, until, why, sealed)
				VALUES (?, ?, ?, ?, ?, ?, 0, '', ?) ON CONFLICT DO NOTHING`).
				key(c.ID).int(workspace).int(connector).time(c.At).int(int64(c.Day)).int(int64(c.Tries)).blob(c.Sealed).exec()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Kept reads callbacks not yet done, oldest first.
func (s *Store) Kept(ctx context.Context, before time.Time, limit int) (list []*store.Callback, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT id, workspace, connector, at, day, tries, sealed FROM callbacks
			WHERE at < ?1 AND until >= 0 AND until <= ?1 ORDER BY at, id LIMIT ?2`).time(before).int(int64(limit))
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			list = append(list, &store.Callback{
				ID: q.key16(0), Workspace: s.names.id(q.i(1)), Connector: s.names.id(q.i(2)),
				At: q.t(3), Day: int32(q.i(4)), Tries: int(q.i(5)), Sealed: q.bytes(6),
			})
		}
	})
	return list, err
}

// Finish deletes callbacks whose work is done.
func (s *Store) Finish(ctx context.Context, ids []message.EventID) error {
	return s.write(ctx, len(ids), func(w *writer) error {
		for _, id := range ids {
			if err := w.c.q(`DELETE FROM callbacks WHERE id = ?`).key(id).exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Defer counts a failed reading of a callback.
func (s *Store) Defer(ctx context.Context, id message.EventID, why string, until time.Time) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		notBefore := micros(until)
		if until.IsZero() {
			notBefore = setAside
		}
		err := w.c.q(`UPDATE callbacks SET tries = tries + 1, why = ?, until = ? WHERE id = ?`).text(why).int(notBefore).key(id).exec()
		missing = w.c.c.Changes() == 0
		return err
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}

// Match finds what receipts are about, and parks those about nothing known. Nearly
// all are found in the engine's memory: the rest is the writer's to find, which
// is the one that opens refs and holds those that are not in their table yet, so
// that neither can miss the other.
func (s *Store) Match(ctx context.Context, items []*store.Lookup) ([]store.Matched, error) {
	results := make([]store.Matched, len(items))
	err := s.write(ctx, len(items), func(w *writer) error {
		for i, l := range items {
			err := w.catchUpNamed(l)
			if err != nil {
				return err
			}
			if results[i], err = s.match(w.c, l); err != nil {
				return err
			}
			if results[i].Found || l.Park == nil {
				continue
			}
			if err := w.park(l.Park); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Unpark deletes parked receipts that were joined into their deliveries.
func (s *Store) Unpark(ctx context.Context, ws message.WorkspaceID, ids []message.EventID) error {
	return s.write(ctx, len(ids), func(w *writer) error {
		for _, id := range ids {
			list, err := s.parkedRows(w.c.q(`SELECT ` + parkedColumns + ` FROM parked p WHERE p.id = ? AND p.workspace = ?`).
				key(id).int(w.names.find(ws)))
			if err != nil {
				return err
			}
			for i := range list {
				if err := w.takeParked(w.names.find(list[i].Connector), &list[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Rematch gives parked receipts that a ref is open for, and takes those that
// expired without one. Only the parked that expired need the writer.
func (s *Store) Rematch(ctx context.Context, now time.Time, limit int) (found []store.Rematched, lost []store.Parked, err error) {
	var old []store.Parked
	if err := s.caughtUpForParked(ctx); err != nil {
		return nil, nil, err
	}
	err = s.snapshot(ctx, func(c *conn) error {
		fit, err := s.parkedRows(c.q(`SELECT ` + parkedColumns + ` FROM parked p WHERE EXISTS
			(SELECT 1 FROM parked_keys k CROSS JOIN refs r ON r.connector = k.connector AND r.key = k.key AND r.inferred = k.inferred
				WHERE k.parked = p.id AND k.connector = p.connector) LIMIT ?`).int(int64(limit)))
		if err != nil {
			return err
		}
		for _, p := range fit {
			m, err := s.match(c, lookup(&p))
			if err != nil {
				return err
			}
			if m.Found {
				found = append(found, store.Rematched{Parked: p, Match: m})
			}
		}
		old, err = s.parkedRows(c.q(`SELECT ` + parkedColumns + ` FROM parked p WHERE p.expires_at < ? ORDER BY p.expires_at LIMIT ?`).
			time(now).int(int64(limit)))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if len(old) == 0 {
		return found, nil, nil
	}
	err = s.write(ctx, len(old), func(w *writer) error {
		lost = nil
		for _, p := range old {
			there, err := w.isParked(p.ID)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			l := lookup(&p)
			if err := w.catchUpNamed(l); err != nil {
				return err
			}
			m, err := s.match(w.c, l)
			if err != nil {
				return err
			}
			if m.Found {
				continue
			}
			if err := w.takeParked(w.names.find(p.Connector), &p); err != nil {
				return err
			}
			lost = append(lost, p)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return found, lost, nil
}

// caughtUpForParked lets refs be written where there is a parked receipt that one
// of them may be for.
func (s *Store) caughtUpForParked(ctx context.Context) error {
	var parked int64
	err := s.read(ctx, func(c *conn) (err error) {
		parked, err = c.count(`SELECT count(*) FROM (SELECT 1 FROM parked LIMIT 1)`)
		return err
	})
	if err != nil || parked == 0 {
		return err
	}
	return s.caughtUpRefs(ctx)
}

func lookup(p *store.Parked) *store.Lookup {
	return &store.Lookup{Workspace: p.Workspace, Connector: p.Connector, Keys: p.Keys, Inferred: p.Inferred, At: p.At}
}

func (w *writer) isParked(id message.EventID) (bool, error) {
	q := w.c.q(`SELECT 1 FROM parked WHERE id = ?`).key(id)
	more, err := q.row()
	q.done()
	return more, err
}
