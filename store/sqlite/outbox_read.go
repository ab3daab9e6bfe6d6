package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// recordColumns belong to deliveries d, messages m and contacts c.
const recordColumns = `d.workspace, d.id, d.state, d.version, d.connector, d.ready, d.due_at, d.track, c.id, m.identity, m.sealed`

// CROSS JOIN keeps SQLite's planner to this order.
const recordJoin = ` CROSS JOIN messages m ON m.workspace = d.workspace AND m.id = d.id CROSS JOIN contacts c ON c.n = m.contact `

func (s *Store) record(q *stmt) (*store.Record, error) {
	d := &message.Delivery{
		ID: q.key16(1), Workspace: s.names.id(q.i(0)), Contact: q.key16(8),
		State: message.State(q.i(2)), Version: int32(q.i(3)), Due: q.t(6),
	}
	if err := d.ReadTrack(q.bytes(7)); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	return &store.Record{
		Delivery: d, Connector: s.names.id(q.i(4)), Ready: q.b(5), Identity: q.key16(9), Sealed: q.bytes(10),
	}, nil
}

// Load reads deliveries; nil where there is none.
func (s *Store) Load(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*store.Record, error) {
	list := make([]*store.Record, len(ids))
	workspace := s.names.find(ws)
	late := s.lates(workspace, ids)
	err := s.snapshot(ctx, func(c *conn) (err error) {
		for i, id := range ids {
			if list[i], err = s.load(c, workspace, id, late[i]); err != nil {
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

// load reads one delivery, whose row may be old or not be there yet.
func (s *Store) load(c *conn, workspace int64, id message.MessageID, late *move) (*store.Record, error) {
	q := c.q(`SELECT m.identity, m.sealed, c.id, d.state, d.version, d.connector, d.ready, d.due_at, d.track
		FROM messages m CROSS JOIN contacts c ON c.n = m.contact LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id
		WHERE m.workspace = ? AND m.id = ?`).int(workspace).key(id)
	more, err := q.row()
	if err != nil || !more {
		return nil, err
	}
	defer q.done()
	if q.null(3) && late == nil {
		return nil, nil // it was received
	}
	r := &store.Record{Identity: q.key16(0), Sealed: q.bytes(1), Delivery: &message.Delivery{ID: id, Workspace: s.names.id(workspace), Contact: q.key16(2)}}
	d := r.Delivery
	if late != nil && (q.null(3) || q.i(4) < late.version) {
		r.Connector, r.Ready = s.names.id(late.connector), late.place.ready
		err = late.apply(d)
	} else {
		d.State, d.Version, d.Due = message.State(q.i(3)), int32(q.i(4)), q.t(7)
		r.Connector, r.Ready = s.names.id(q.i(5)), q.b(6)
		err = d.ReadTrack(q.bytes(8))
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", id, err)
	}
	return r, nil
}

// Ready reads deliveries that wait in a connector's lanes.
func (s *Store) Ready(ctx context.Context, connector message.ConnectorID, after store.Place, limit int) (list []*store.Record, err error) {
	n := s.names.find(connector)
	late := s.lateWhere(func(m *move) bool {
		return m.place.ready && m.connector == n && m.priority == int64(after.Priority) && bytes.Compare(m.key.id[:], after.ID[:]) > 0
	})
	slices.SortFunc(late, byID)
	err = s.snapshot(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_ready` + recordJoin + `
			WHERE d.ready = 1 AND d.connector = ? AND d.priority = ? AND d.id > ? ORDER BY d.id`).
			int(n).int(int64(after.Priority)).key(after.ID)
		list, err = s.merge(c, q, late, idComes, limit)
		return err
	})
	return list, err
}

func byID(a, b *move) int { return bytes.Compare(a.key.id[:], b.key.id[:]) }

// idComes reports whether a delivery comes before a row of recordColumns, or is
// the same.
func idComes(m *move, q *stmt) bool {
	id := q.key16(1)
	return bytes.Compare(m.key.id[:], id[:]) <= 0
}

// owned gives the numbers of connectors, of none too, and lists them as a JSON
// array.
func (s *Store) owned(connectors []message.ConnectorID) (numbers []int64, list string) {
	numbers = append(numbers, 0)
	b := []byte("[0")
	for _, id := range connectors {
		if n := s.names.find(id); n > 0 {
			numbers = append(numbers, n)
			b = fmt.Appendf(b, ",%d", n)
		}
	}
	return numbers, string(append(b, ']'))
}

// Due reads deliveries whose time has come, earliest first.
func (s *Store) Due(ctx context.Context, owned []message.ConnectorID, now time.Time, limit int) (list []*store.Record, err error) {
	numbers, among := s.owned(owned)
	at := micros(now)
	late := s.lateWhere(func(m *move) bool {
		return m.place.due > 0 && m.place.due <= at && slices.Contains(numbers, m.connector)
	})
	slices.SortFunc(late, func(a, b *move) int { return cmp.Compare(a.place.due, b.place.due) })
	err = s.snapshot(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_due` + recordJoin + `
			WHERE d.due_at > 0 AND d.due_at <= ? AND d.connector IN (SELECT value FROM json_each(?))
			ORDER BY d.due_at`).int(at).text(among)
		list, err = s.merge(c, q, late, func(m *move, q *stmt) bool { return m.place.due <= q.i(6) }, limit)
		return err
	})
	return list, err
}

// NextDue gives the earliest time Due has something for.
func (s *Store) NextDue(ctx context.Context, owned []message.ConnectorID) (due time.Time, err error) {
	numbers, among := s.owned(owned)
	late := s.lateDue(numbers)
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT d.workspace, d.id, d.version, d.due_at FROM deliveries d INDEXED BY deliveries_due
			WHERE d.due_at > 0 AND d.connector IN (SELECT value FROM json_each(?)) ORDER BY d.due_at`).text(among)
		defer q.done()
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			if m := s.late(q.i(0), q.key16(1)); m == nil || m.version <= q.i(2) {
				due = q.t(3)
				return nil
			}
		}
	})
	if late != 0 && (due.IsZero() || late < micros(due)) {
		due = fromMicros(late)
	}
	return due, err
}

// Attempting reads deliveries of a connector whose current step is being sent.
func (s *Store) Attempting(ctx context.Context, connector message.ConnectorID, after message.MessageID, limit int) (list []*store.Record, err error) {
	n := s.names.find(connector)
	late := s.lateWhere(func(m *move) bool {
		return m.place.sending && m.connector == n && bytes.Compare(m.key.id[:], after[:]) > 0
	})
	slices.SortFunc(late, byID)
	err = s.snapshot(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_sending` + recordJoin + `
			WHERE d.sending = 1 AND d.connector = ? AND d.id > ? ORDER BY d.id`).int(n).key(after)
		list, err = s.merge(c, q, late, idComes, limit)
		return err
	})
	return list, err
}

// storedColumns belong to messages m, contacts c and, where there is one,
// deliveries d.
const storedColumns = `m.workspace, m.id, c.id, m.direction, m.purpose, m.channel, m.sender, m.created_at, m.provider_at, m.identity, m.sealed,
	d.state, d.version, d.due_at, d.track`

const storedJoin = ` FROM messages m CROSS JOIN contacts c ON c.n = m.contact LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id `

// stored reads messages. The row of a delivery may be old or not be there yet;
// late knows.
func (s *Store) stored(q *stmt, late func(message.MessageID) *move) ([]*store.Stored, error) {
	var list []*store.Stored
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		m := &store.Stored{Message: store.Message{
			ID: q.key16(1), Workspace: s.names.id(q.i(0)), Contact: q.key16(2), Direction: store.Direction(q.i(3)),
			Purpose: message.Purpose(s.names.word(q.i(4))), Channel: message.Channel(s.names.word(q.i(5))), Sender: s.names.id(q.i(6)),
			CreatedAt: q.t(7), ProviderAt: q.t(8), Identity: q.key16(9), Sealed: q.bytes(10),
		}}
		if !q.null(11) {
			m.Delivery = &message.Delivery{
				ID: m.ID, Workspace: m.Workspace, Contact: m.Contact,
				State: message.State(q.i(11)), Version: int32(q.i(12)), Due: q.t(13),
			}
			if err := m.Delivery.ReadTrack(q.bytes(14)); err != nil {
				q.done()
				return nil, fmt.Errorf("delivery %s: %w", m.ID, err)
			}
		}
		if l := late(m.ID); l != nil {
			if m.Delivery == nil {
				m.Delivery = &message.Delivery{ID: m.ID, Workspace: m.Workspace, Contact: m.Contact}
			}
			if err := l.apply(m.Delivery); err != nil {
				q.done()
				return nil, fmt.Errorf("delivery %s: %w", m.ID, err)
			}
		}
		list = append(list, m)
	}
}

// Messages reads messages with their deliveries; nil where there is none.
func (s *Store) Messages(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*store.Stored, error) {
	list := make([]*store.Stored, len(ids))
	workspace := s.names.find(ws)
	late := s.lates(workspace, ids)
	err := s.snapshot(ctx, func(c *conn) error {
		for i, id := range ids {
			found, err := s.stored(c.q(`SELECT `+storedColumns+storedJoin+`WHERE m.workspace = ? AND m.id = ?`).int(workspace).key(id),
				func(message.MessageID) *move { return late[i] })
			if err != nil {
				return err
			}
			if len(found) > 0 {
				list[i] = found[0]
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// List pages through messages of a workspace, newest first.
func (s *Store) List(ctx context.Context, ws message.WorkspaceID, f store.Filter) (list []*store.Stored, err error) {
	before := f.Before
	if before.IsZero() {
		before = message.MessageID(lastID)
	}
	if f.Limit < 1 || f.Limit > 500 {
		f.Limit = 500
	}
	// Ids sort by the time they were made, a day of clock trouble aside: they
	// bound the scan, created_at decides.
	until := int64(1<<63 - 1)
	if !f.Until.IsZero() {
		until = micros(f.Until)
		if top := idAt(f.Until.Add(day)); string(top[:]) < string(before[:]) {
			before = top
		}
	}
	var least message.MessageID
	if !f.Since.IsZero() {
		least = idAt(f.Since.Add(-day))
	}
	if f.State != 0 {
		if err := s.caughtUpAll(ctx); err != nil {
			s.options.Log.Debug("messages are listed by the states of their rows", "error", err)
		}
	}
	workspace := s.names.find(ws)
	if !f.Contact.IsZero() {
		if err := s.caughtUpPerson(ctx, workspace, f.Contact); err != nil {
			s.options.Log.Debug("messages of a contact are listed without those of a moment ago", "error", err)
		}
	}
	err = s.asOf(ctx, func(c *conn, late map[moveKey]*move) error {
		var q *stmt
		const fits = ` AND (?1 = 0 OR d.state = ?1) AND (?2 = 0 OR m.direction = ?2) AND m.created_at >= ?3 AND m.created_at < ?4`
		if f.Contact.IsZero() {
			q = c.q(`SELECT ` + storedColumns + storedJoin + `WHERE m.workspace = ?8 AND m.id > ?5 AND m.id < ?6` + fits + ` ORDER BY m.id DESC LIMIT ?7`)
		} else {
			q = c.q(`SELECT ` + storedColumns + ` FROM contact_messages k CROSS JOIN messages m ON m.workspace = ?8 AND m.id = k.message
				CROSS JOIN contacts c ON c.n = m.contact LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id
				WHERE k.contact = (SELECT n FROM contacts WHERE workspace = ?8 AND id = ?9) AND k.message > ?5 AND k.message < ?6` + fits + ` ORDER BY k.message DESC LIMIT ?7`)
		}
		q.int(int64(f.State)).int(int64(f.Direction)).time(f.Since).int(until).key(least).key(before).int(int64(f.Limit)).int(workspace)
		if !f.Contact.IsZero() {
			q.key(f.Contact)
		}
		list, err = s.stored(q, func(id message.MessageID) *move { return late[moveKey{workspace, id}] })
		return err
	})
	return list, err
}

// caughtUpPerson lets what is missing of a contact's messages be written.
func (s *Store) caughtUpPerson(ctx context.Context, workspace int64, id message.ContactID) error {
	if !s.writer.entries.behind.Load() {
		return nil
	}
	return s.write(ctx, 1, func(w *writer) error {
		who, ok, err := w.contact(workspace, id)
		if err != nil || !ok {
			return err
		}
		return w.catchUpPerson(who.n)
	})
}

const day = 24 * time.Hour

var lastID = [16]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}

// idAt gives the least id made at a time.
func idAt(t time.Time) (id message.MessageID) {
	if ms := t.UnixMilli(); ms > 0 {
		binary.BigEndian.PutUint64(id[:], uint64(ms)<<16)
	}
	return id
}
