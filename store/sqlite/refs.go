package sqlite

import (
	"slices"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// openRef makes an attempt findable. What is found by addresses is rare and
// compared with others: it goes straight to its table.
func (w *writer) openRef(r *store.OpenRef) error {
	connector, err := w.number(r.Connector)
	if err != nil {
		return err
	}
	workspace, err := w.number(r.Workspace)
	if err != nil {
		return err
	}
	if r.Inferred {
		return w.insertRef(r, connector, workspace)
	}
	w.stageOpen(r, connector, workspace)
	return nil
}

func (w *writer) insertRef(r *store.OpenRef, connector, workspace int64) error {
	return w.c.q(`INSERT INTO refs (connector, key, workspace, message, step, attempt, part, inferred, at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, expires_at = excluded.expires_at`).
		int(connector).key(r.Key).int(workspace).key(r.Message).int(int64(r.Step)).int(int64(r.Attempt)).int(int64(r.Part)).
		bool(r.Inferred).time(r.At).time(r.Expires).exec()
}

// closeRef closes what one message has open under a key; another message may
// have the same key open.
func (w *writer) closeRef(workspace int64, id message.MessageID, r *store.RefName) error {
	connector := w.names.find(r.Connector)
	if w.stageClose(connector, r.Key, id) {
		return nil
	}
	return w.c.q(`DELETE FROM refs WHERE connector = ? AND key = ? AND message = ? AND workspace = ?`).
		int(connector).key(r.Key).key(id).int(workspace).exec()
}

// waitingFor gives the receipts that wait for refs just opened.
func (w *writer) waitingFor(refs []store.OpenRef) ([]store.Parked, error) {
	var out []store.Parked
	for i := range refs {
		r := &refs[i]
		connector := w.names.find(r.Connector)
		found, err := w.waiting(connector, r.Key, r.Inferred)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if slices.ContainsFunc(out, func(o store.Parked) bool { return o.ID == p.ID }) {
				continue
			}
			if !p.Workspace.IsZero() && p.Workspace != r.Workspace {
				continue
			}
			if r.Inferred {
				// By addresses and time a receipt settles an attempt only when
				// it fits this one and no other.
				only, fits, err := w.s.inferred(w.c, connector, w.names.find(r.Workspace), r.Key, micros(p.At))
				if err != nil {
					return nil, err
				}
				if fits != 1 || only.Message != r.Message || only.Step != r.Step || only.Attempt != r.Attempt || only.Part != r.Part {
					continue
				}
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func (w *writer) waiting(connector int64, key message.RefKey, inferred bool) ([]store.Parked, error) {
	q := w.c.q(`SELECT ` + parkedColumns + ` FROM parked_keys k CROSS JOIN parked p ON p.id = k.parked
		WHERE k.connector = ? AND k.key = ? AND k.inferred = ?`).int(connector).key(key).bool(inferred)
	return w.s.parkedRows(q)
}

const parkedColumns = `p.id, p.workspace, p.connector, p.keys, p.inferred, p.at, p.expires_at, p.day, p.sealed`

func (s *Store) parkedRows(q *stmt) ([]store.Parked, error) {
	var list []store.Parked
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		p := store.Parked{
			ID: q.key16(0), Workspace: s.names.id(q.i(1)), Connector: s.names.id(q.i(2)), Inferred: q.key16(4),
			At: q.t(5), Expires: q.t(6), Day: int32(q.i(7)), Sealed: q.bytes(8),
		}
		for keys := q.bytes(3); len(keys) >= 16; keys = keys[16:] {
			p.Keys = append(p.Keys, message.RefKey(keys[:16]))
		}
		list = append(list, p)
	}
}

// takeParked deletes a parked receipt. Being gone already is no error.
func (w *writer) takeParked(connector int64, p *store.Parked) error {
	if err := w.c.q(`DELETE FROM parked WHERE id = ?`).key(p.ID).exec(); err != nil {
		return err
	}
	w.parked -= int64(w.c.c.Changes())
	for _, key := range p.Keys {
		err := w.c.q(`DELETE FROM parked_keys WHERE connector = ? AND key = ? AND inferred = 0 AND parked = ?`).
			int(connector).key(key).key(p.ID).exec()
		if err != nil {
			return err
		}
	}
	if p.Inferred == (message.RefKey{}) {
		return nil
	}
	return w.c.q(`DELETE FROM parked_keys WHERE connector = ? AND key = ? AND inferred = 1 AND parked = ?`).
		int(connector).key(p.Inferred).key(p.ID).exec()
}

func (w *writer) park(p *store.Parked) error {
	connector, err := w.number(p.Connector)
	if err != nil {
		return err
	}
	workspace, err := w.number(p.Workspace)
	if err != nil {
		return err
	}
	keys := make([]byte, 0, 16*len(p.Keys))
	for i := range p.Keys {
		keys = append(keys, p.Keys[i][:]...)
	}
	err = w.c.q(`INSERT INTO parked (id, workspace, connector, keys, inferred, at, expires_at, day, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		key(p.ID).int(workspace).int(connector).blob(keys).id(p.Inferred).time(p.At).time(p.Expires).int(int64(p.Day)).blob(p.Sealed).exec()
	if err != nil || w.c.c.Changes() == 0 {
		return err
	}
	w.parked++
	name := func(key message.RefKey, inferred bool) error {
		return w.c.q(`INSERT INTO parked_keys (connector, key, inferred, parked) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`).
			int(connector).key(key).bool(inferred).key(p.ID).exec()
	}
	for _, key := range p.Keys {
		if err := name(key, false); err != nil {
			return err
		}
	}
	if p.Inferred != (message.RefKey{}) {
		return name(p.Inferred, true)
	}
	return nil
}

// match finds what a lookup is about among the open refs.
func (s *Store) match(c *conn, l *store.Lookup) (store.Matched, error) {
	connector, workspace := s.names.find(l.Connector), s.names.find(l.Workspace)
	for _, key := range l.Keys {
		r, ok, err := s.named(c, connector, workspace, key, micros(l.At))
		if err != nil || ok {
			return store.Matched{Found: ok, Ref: r}, err
		}
	}
	if l.Inferred == (message.RefKey{}) {
		return store.Matched{}, nil
	}
	r, fits, err := s.inferred(c, connector, workspace, l.Inferred, micros(l.At))
	if err != nil || fits != 1 {
		return store.Matched{}, err
	}
	return store.Matched{Found: true, Ref: r, Inferred: true}, nil
}

const refColumns = `connector, key, workspace, message, step, attempt, part, inferred, at, expires_at`

func (s *Store) ref(q *stmt) store.OpenRef {
	return store.OpenRef{
		RefName:   store.RefName{Connector: s.names.id(q.i(0)), Key: q.key16(1)},
		Workspace: s.names.id(q.i(2)), Message: q.key16(3), Step: uint8(q.i(4)), Attempt: uint16(q.i(5)), Part: uint8(q.i(6)),
		Inferred: q.b(7), At: q.t(8), Expires: q.t(9),
	}
}

// A provider's clock and its whole seconds may put a receipt a little before
// the ref it is about.
const skew = int64(60e6)

// named finds the ref under a provider's id. When the id was reused, the
// latest one opened before the receipt's time wins; without a time, the latest.
func (s *Store) named(c *conn, connector, workspace int64, key message.RefKey, at int64) (store.OpenRef, bool, error) {
	q := c.q(`SELECT ` + refColumns + ` FROM refs WHERE connector = ?1 AND key = ?2 AND inferred = 0 AND (?3 = 0 OR workspace = ?3)
		ORDER BY (?4 = 0 OR at <= ?4) DESC, CASE WHEN ?4 = 0 OR at <= ?4 THEN -at ELSE at END LIMIT 1`).
		int(connector).key(key).int(workspace)
	if at == 0 {
		q.int(0)
	} else {
		q.int(at + skew)
	}
	more, err := q.row()
	if err != nil || !more {
		return store.OpenRef{}, false, err
	}
	defer q.done()
	return s.ref(q), true, nil
}

// inferred finds the refs under a key made of addresses that a receipt of this
// time fits, and how many they are (2 = more than one).
func (s *Store) inferred(c *conn, connector, workspace int64, key message.RefKey, at int64) (store.OpenRef, int, error) {
	q := c.q(`SELECT ` + refColumns + ` FROM refs WHERE connector = ?1 AND key = ?2 AND inferred = 1 AND (?3 = 0 OR workspace = ?3)
		AND at <= ?4 AND expires_at >= ?5 LIMIT 2`).
		int(connector).key(key).int(workspace).int(at + skew).int(at)
	var first store.OpenRef
	n := 0
	for {
		more, err := q.row()
		if err != nil || !more {
			return first, n, err
		}
		if n++; n == 1 {
			first = s.ref(q)
		}
	}
}
