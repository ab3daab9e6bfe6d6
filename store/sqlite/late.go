package sqlite

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// late gives a delivery that is newer than its row, or nil. A reader that asks
// before its snapshot begins misses nothing.
func (s *Store) late(workspace int64, id message.MessageID) *move {
	m := &s.writer.moves
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.of[moveKey{workspace, id}]
}

// lates is late for many.
func (s *Store) lates(workspace int64, ids []message.MessageID) []*move {
	out := make([]*move, len(ids))
	for i, id := range ids {
		out[i] = s.late(workspace, id)
	}
	return out
}

// lateWhere gives those that are newer than their rows and fit.
func (s *Store) lateWhere(fits func(*move) bool) (list []*move) {
	l := &s.writer.moves
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, m := range l.of {
		if fits(m) {
			list = append(list, m)
		}
	}
	return list
}

// merge reads deliveries of a query on recordColumns whose rows may be old, with
// those that are newer, in order. comes says that one of these is before the row
// the query stands at.
func (s *Store) merge(c *conn, q *stmt, late []*move, comes func(m *move, q *stmt) bool, limit int) (list []*store.Record, err error) {
	defer q.done()
	taken := make(map[moveKey]bool, len(late))
	take := func(m *move) error {
		taken[m.key] = true
		r, err := s.load(c, m.key.workspace, m.key.id, m)
		if err == nil && r != nil {
			list = append(list, r)
		}
		return err
	}
	for len(list) < limit {
		more, err := q.row()
		if err != nil {
			return nil, err
		}
		for len(late) > 0 && len(list) < limit && (!more || comes(late[0], q)) {
			if err := take(late[0]); err != nil {
				return nil, err
			}
			late = late[1:]
		}
		if !more || len(list) == limit {
			return list, nil
		}
		key := moveKey{q.i(0), q.key16(1)}
		if m := s.late(key.workspace, key.id); m != nil && m.version > q.i(3) || taken[key] {
			continue // it is among late, or does not belong here any more
		}
		r, err := s.record(q)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// lateOnes gives all that are newer than their rows. Those new with a commit that
// is on its way are among them: their messages tell whether it has happened.
func (s *Store) lateOnes() map[moveKey]*move {
	l := &s.writer.moves
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := maps.Clone(l.of)
	for _, m := range l.coming {
		if m.version == 1 && all[m.key] == nil {
			all[m.key] = m
		}
	}
	return all
}

// lateDue gives the earliest time that one of some connectors' is due; 0 = none.
func (s *Store) lateDue(connectors []int64) (due int64) {
	l := &s.writer.moves
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, m := range l.of {
		if at := m.place.due; at > 0 && (due == 0 || at < due) && slices.Contains(connectors, m.connector) {
			due = at
		}
	}
	return due
}

// apply brings a delivery that was read forward.
func (m *move) apply(d *message.Delivery) error {
	if m == nil || int64(d.Version) >= m.version {
		return nil
	}
	d.State, d.Version, d.Due = message.State(m.state), int32(m.version), fromMicros(m.place.due)
	return d.ReadTrack(m.track)
}

// caughtUpAll lets all rows be written.
func (s *Store) caughtUpAll(ctx context.Context) error {
	if !s.writer.moves.behind.Load() {
		return nil
	}
	return s.write(ctx, 1, (*writer).catchUpAll)
}

// caughtUpRefs lets the open refs be written.
func (s *Store) caughtUpRefs(ctx context.Context) error {
	if !s.writer.moves.behind.Load() {
		return nil
	}
	return s.write(ctx, 1, (*writer).catchUpRefs)
}

// asOf is snapshot with the deliveries that were newer than their rows, or had
// none, at that instant.
func (s *Store) asOf(ctx context.Context, f func(c *conn, late map[moveKey]*move) error) error {
	for try := 0; ; try++ {
		moved := false
		err := s.snapshot(ctx, func(c *conn) error {
			before := s.writer.moves.commits.Load()
			if _, err := c.count(`SELECT max(epoch) FROM epochs`); err != nil { // the snapshot begins here
				return err
			}
			late := s.lateOnes()
			if moved = s.writer.moves.commits.Load() != before && try < 5; moved {
				return nil
			}
			return f(c, late)
		})
		if err != nil || !moved {
			return err
		}
	}
}

// catchUpFor writes what a purge would miss. What is late is young, and a purge
// takes what is old: there is hardly ever anything.
func (w *writer) catchUpFor(p store.Purge) error {
	bound := p.Messages
	if p.Content.After(bound) {
		bound = p.Content
	}
	top := idAt(bound.Add(day))
	young := func(id message.MessageID) bool { return bound.IsZero() || bytes.Compare(id[:], top[:]) >= 0 }
	for key := range w.moves.of {
		if !young(key.id) {
			return inTurn(w.catchUpAll, w.catchUpAllEntries)
		}
	}
	for _, list := range [][]personEntry{w.entries.old.people, w.entries.young.people} {
		for i := range list {
			if !young(list[i].message) {
				return inTurn(w.catchUpAll, w.catchUpAllEntries)
			}
		}
	}
	for _, list := range w.moves.refs {
		for _, r := range list {
			if r.Expires.Before(p.Refs) {
				return w.catchUpRefs()
			}
		}
	}
	return nil
}
