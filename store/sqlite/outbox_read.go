package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
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

func (s *Store) records(q *stmt) ([]*store.Record, error) {
	var list []*store.Record
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		r, err := s.record(q)
		if err != nil {
			q.done()
			return nil, err
		}
		list = append(list, r)
	}
}

// Load reads deliveries; nil where there is none.
func (s *Store) Load(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*store.Record, error) {
	list := make([]*store.Record, len(ids))
	workspace := s.names.find(ws)
	err := s.snapshot(ctx, func(c *conn) error {
		for i, id := range ids {
			q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d` + recordJoin + `WHERE d.workspace = ? AND d.id = ?`).int(workspace).key(id)
			found, err := s.records(q)
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

// Ready reads deliveries that wait in a connector's lanes.
func (s *Store) Ready(ctx context.Context, connector message.ConnectorID, after store.Place, limit int) (list []*store.Record, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_ready` + recordJoin + `
			WHERE d.ready = 1 AND d.connector = ? AND d.priority = ? AND d.id > ? ORDER BY d.id LIMIT ?`).
			int(s.names.find(connector)).int(int64(after.Priority)).key(after.ID).int(int64(limit))
		list, err = s.records(q)
		return err
	})
	return list, err
}

// owned lists the numbers of connectors as a JSON array.
func (s *Store) owned(connectors []message.ConnectorID) string {
	b := []byte("[0")
	for _, id := range connectors {
		if n := s.names.find(id); n > 0 {
			b = fmt.Appendf(b, ",%d", n)
		}
	}
	return string(append(b, ']'))
}

// Due reads deliveries whose time has come, earliest first.
func (s *Store) Due(ctx context.Context, owned []message.ConnectorID, now time.Time, limit int) (list []*store.Record, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_due` + recordJoin + `
			WHERE d.due_at > 0 AND d.due_at <= ? AND d.connector IN (SELECT value FROM json_each(?))
			ORDER BY d.due_at LIMIT ?`).time(now).text(s.owned(owned)).int(int64(limit))
		list, err = s.records(q)
		return err
	})
	return list, err
}

// NextDue gives the earliest time Due has something for.
func (s *Store) NextDue(ctx context.Context, owned []message.ConnectorID) (due time.Time, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT d.due_at FROM deliveries d INDEXED BY deliveries_due
			WHERE d.due_at > 0 AND d.connector IN (SELECT value FROM json_each(?)) ORDER BY d.due_at LIMIT 1`).text(s.owned(owned))
		more, err := q.row()
		if err != nil || !more {
			return err
		}
		due = q.t(0)
		q.done()
		return nil
	})
	return due, err
}

// Attempting reads deliveries of a connector whose current step is being sent.
func (s *Store) Attempting(ctx context.Context, connector message.ConnectorID, after message.MessageID, limit int) (list []*store.Record, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT ` + recordColumns + ` FROM deliveries d INDEXED BY deliveries_sending` + recordJoin + `
			WHERE d.sending = 1 AND d.connector = ? AND d.id > ? ORDER BY d.id LIMIT ?`).
			int(s.names.find(connector)).key(after).int(int64(limit))
		list, err = s.records(q)
		return err
	})
	return list, err
}

// storedColumns belong to messages m, contacts c and, where there is one,
// deliveries d.
const storedColumns = `m.workspace, m.id, c.id, m.direction, m.purpose, m.channel, m.sender, m.created_at, m.provider_at, m.identity, m.sealed,
	d.state, d.version, d.due_at, d.track`

const storedJoin = ` FROM messages m CROSS JOIN contacts c ON c.n = m.contact LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id `

func (s *Store) stored(q *stmt) ([]*store.Stored, error) {
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
		list = append(list, m)
	}
}

// Messages reads messages with their deliveries; nil where there is none.
func (s *Store) Messages(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*store.Stored, error) {
	list := make([]*store.Stored, len(ids))
	workspace := s.names.find(ws)
	err := s.snapshot(ctx, func(c *conn) error {
		for i, id := range ids {
			found, err := s.stored(c.q(`SELECT ` + storedColumns + storedJoin + `WHERE m.workspace = ? AND m.id = ?`).int(workspace).key(id))
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
	err = s.snapshot(ctx, func(c *conn) error {
		var q *stmt
		workspace := s.names.find(ws)
		const more = `AND (?1 = 0 OR d.state = ?1) AND (?2 = 0 OR m.direction = ?2) AND m.created_at >= ?3 AND m.created_at < ?4
			AND m.id > ?5 AND m.id < ?6 ORDER BY m.id DESC LIMIT ?7`
		if f.Contact.IsZero() {
			q = c.q(`SELECT ` + storedColumns + storedJoin + `WHERE m.workspace = ?8 ` + more)
		} else {
			q = c.q(`SELECT ` + storedColumns + storedJoin + `WHERE m.contact = (SELECT n FROM contacts WHERE workspace = ?8 AND id = ?9) ` + more)
		}
		q.int(int64(f.State)).int(int64(f.Direction)).time(f.Since).int(until).key(least).key(before).int(int64(f.Limit)).int(workspace)
		if !f.Contact.IsZero() {
			q.key(f.Contact)
		}
		list, err = s.stored(q)
		return err
	})
	return list, err
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
