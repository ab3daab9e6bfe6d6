package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// recordColumns belong to deliveries d and messages m.
const recordColumns = `d.workspace, d.id, d.contact, d.version, d.state, d.connector, d.lane IS NOT NULL, coalesce(d.due, 0), d.track, m.identity, m.sealed`

const itsMessage = ` CROSS JOIN LATERAL (SELECT m.identity, m.sealed FROM messages m WHERE m.workspace = d.workspace AND m.id = d.id OFFSET 0) m `

func scanRecord(r pgx.Rows, more ...any) (*store.Record, error) {
	d := &message.Delivery{}
	rec := &store.Record{Delivery: d}
	var due int64
	var state int16
	var track []byte
	into := []any{(*id16)(&d.Workspace), (*id16)(&d.ID), (*id16)(&d.Contact), &d.Version, &state, (*id16)(&rec.Connector), &rec.Ready, &due, &track, (*id16)(&rec.Identity), &rec.Sealed}
	if err := r.Scan(append(into, more...)...); err != nil {
		return nil, err
	}
	d.State, d.Due = message.State(state), instant(due)
	if err := d.ReadTrack(track); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	return rec, nil
}

func (s *Store) records(ctx context.Context, sql string, args ...any) (list []*store.Record, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		rec, err := scanRecord(r)
		if err == nil {
			list = append(list, rec)
		}
		return err
	}, sql, args...)
	return list, err
}

// ids gives ids as an argument.
func ids[K ~[16]byte](list []K) [][]byte {
	out := make([][]byte, len(list))
	for i := range list {
		v := [16]byte(list[i])
		out[i] = v[:]
	}
	return out
}

// Load implements store.Outbox.
func (s *Store) Load(ctx context.Context, ws message.WorkspaceID, list []message.MessageID) ([]*store.Record, error) {
	out := make([]*store.Record, len(list))
	if len(list) == 0 {
		return out, nil
	}
	err := s.query(ctx, func(r pgx.Rows) error {
		var n int
		rec, err := scanRecord(r, &n)
		if err == nil {
			out[n-1] = rec
		}
		return err
	}, `SELECT `+recordColumns+`, i.n FROM unnest($2::bytea[]) WITH ORDINALITY i(id, n)
		CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE d.workspace = $1 AND d.id = i.id OFFSET 0) d`+itsMessage, ws[:], ids(list))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Ready implements store.Outbox.
func (s *Store) Ready(ctx context.Context, connector message.ConnectorID, after store.Place, limit int) ([]*store.Record, error) {
	return s.records(ctx, `SELECT `+recordColumns+` FROM (SELECT * FROM deliveries d
			WHERE d.connector = $1 AND d.lane = $2::smallint AND d.id > $3::bytea ORDER BY d.id LIMIT $4) d`+itsMessage+`ORDER BY d.id`,
		connector[:], int16(after.Priority), after.ID[:], limit)
}

// orNone adds "no connector" to those owned.
func orNone(owned []message.ConnectorID) [][]byte {
	return append(ids(owned), make([]byte, 16))
}

// Due implements store.Outbox.
func (s *Store) Due(ctx context.Context, owned []message.ConnectorID, now time.Time, limit int) ([]*store.Record, error) {
	return s.records(ctx, `SELECT `+recordColumns+` FROM (SELECT d.* FROM (SELECT DISTINCT c FROM unnest($1::bytea[]) c) c
			CROSS JOIN LATERAL (SELECT * FROM deliveries d WHERE d.connector = c.c AND d.due IS NOT NULL AND d.due <= $2 ORDER BY d.due LIMIT $3) d
			ORDER BY d.due LIMIT $3) d`+itsMessage+`ORDER BY d.due, d.id`, orNone(owned), micros(now), limit)
}

// NextDue implements store.Outbox.
func (s *Store) NextDue(ctx context.Context, owned []message.ConnectorID) (time.Time, error) {
	var due int64
	err := s.row(ctx, []any{&due}, `SELECT coalesce(min(d.due), 0) FROM unnest($1::bytea[]) c
		CROSS JOIN LATERAL (SELECT d.due FROM deliveries d WHERE d.connector = c AND d.due IS NOT NULL ORDER BY d.due LIMIT 1) d`, orNone(owned))
	return instant(due), err
}

// Attempting implements store.Outbox. What is being sent has a time by which
// its answer must be there: it is found among all that is due some day.
func (s *Store) Attempting(ctx context.Context, connector message.ConnectorID, after message.MessageID, limit int) ([]*store.Record, error) {
	return s.records(ctx, `SELECT `+recordColumns+` FROM (SELECT * FROM deliveries d
			WHERE d.connector = $1 AND d.due IS NOT NULL AND d.sending AND d.id > $2 ORDER BY d.id LIMIT $3) d`+itsMessage+`ORDER BY d.id`, connector[:], after[:], limit)
}

// storedColumns belong to messages m and, where there is one, deliveries d.
const storedColumns = `m.workspace, m.id, m.contact, m.direction, m.purpose, m.channel, m.sender, m.identity, m.created_at, m.provider_at, m.sealed,
	d.version, d.state, d.due, d.track`

const itsDelivery = ` LEFT JOIN LATERAL (SELECT d.version, d.state, d.due, d.track FROM deliveries d WHERE d.workspace = m.workspace AND d.id = m.id OFFSET 0) d ON true `

func scanStored(r pgx.Rows, more ...any) (*store.Stored, error) {
	m := &store.Stored{}
	var created, provider int64
	var direction int16
	var version *int32
	var state *int16
	var due *int64
	var track []byte
	into := []any{
		(*id16)(&m.Workspace), (*id16)(&m.ID), (*id16)(&m.Contact), &direction, &m.Purpose, &m.Channel, (*id16)(&m.Sender), (*id16)(&m.Identity),
		&created, &provider, &m.Sealed, &version, &state, &due, &track,
	}
	if err := r.Scan(append(into, more...)...); err != nil {
		return nil, err
	}
	m.Direction, m.CreatedAt, m.ProviderAt = store.Direction(direction), instant(created), instant(provider)
	if version == nil {
		return m, nil
	}
	m.Delivery = &message.Delivery{ID: m.ID, Workspace: m.Workspace, Contact: m.Contact, Version: *version, State: message.State(*state)}
	if due != nil {
		m.Delivery.Due = instant(*due)
	}
	if err := m.Delivery.ReadTrack(track); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", m.ID, err)
	}
	return m, nil
}

// Messages implements store.Outbox.
func (s *Store) Messages(ctx context.Context, ws message.WorkspaceID, list []message.MessageID) ([]*store.Stored, error) {
	out := make([]*store.Stored, len(list))
	if len(list) == 0 {
		return out, nil
	}
	err := s.query(ctx, func(r pgx.Rows) error {
		var n int
		m, err := scanStored(r, &n)
		if err == nil {
			out[n-1] = m
		}
		return err
	}, `SELECT `+storedColumns+`, i.n FROM unnest($2::bytea[]) WITH ORDINALITY i(id, n)
		CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.workspace = $1 AND m.id = i.id OFFSET 0) m`+itsDelivery, ws[:], ids(list))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List implements store.Outbox.
func (s *Store) List(ctx context.Context, ws message.WorkspaceID, f store.Filter) (list []*store.Stored, err error) {
	if f.Limit < 1 || f.Limit > 500 {
		f.Limit = 500
	}
	q := &statement{}
	q.add(`SELECT `, storedColumns, ` FROM messages m`)
	join, where := itsDelivery, ` WHERE m.workspace = `+q.arg(ws[:])
	and := func(condition string, v any) { where += " AND " + condition + q.arg(v) }
	if !f.Contact.IsZero() {
		and("m.contact = ", f.Contact[:])
	}
	if f.State != 0 {
		and("d.state = ", int16(f.State))
	}
	if f.Direction != 0 {
		and("m.direction = ", int16(f.Direction))
	}
	if !f.Before.IsZero() {
		and("m.id < ", f.Before[:])
	}
	// Ids sort by the time they were made, a day of clock trouble aside: they
	// bound the scan, created_at decides.
	if !f.Since.IsZero() {
		and("m.created_at >= ", micros(f.Since))
		and("m.id >= ", idAt(f.Since.Add(-24*time.Hour)))
	}
	if !f.Until.IsZero() {
		and("m.created_at < ", micros(f.Until))
		and("m.id < ", idAt(f.Until.Add(24*time.Hour)))
	}
	q.add(join, where, ` ORDER BY m.id DESC LIMIT `, q.arg(f.Limit))
	err = s.query(ctx, func(r pgx.Rows) error {
		m, err := scanStored(r)
		if err == nil {
			list = append(list, m)
		}
		return err
	}, q.text.String(), q.args...)
	return list, err
}

// idAt gives the least id made at a time.
func idAt(t time.Time) []byte {
	id := make([]byte, 16)
	if ms := t.UnixMilli(); ms > 0 {
		binary.BigEndian.PutUint64(id, uint64(ms)<<16)
	}
	return id
}
