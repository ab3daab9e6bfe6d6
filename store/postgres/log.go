package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// events are events to append, as arrays; n says which item they belong to.
type events struct {
	n, version           []int32
	id, ws, msg, contact [][]byte
	data, sealed         [][]byte
	kind                 []string
	at                   []int64
}

// add appends events of item n in their order.
func (e *events) add(n int32, list []store.Event) {
	for i := range list {
		v := &list[i]
		e.n, e.version = append(e.n, n), append(e.version, v.Version)
		e.id, e.ws = append(e.id, v.ID[:]), append(e.ws, v.Workspace[:])
		e.msg, e.contact = append(e.msg, v.Message[:]), append(e.contact, v.Contact[:])
		e.data, e.sealed = append(e.data, v.Data), append(e.sealed, v.Sealed)
		e.kind, e.at = append(e.kind, v.Type), append(e.at, micros(v.At))
	}
}

// from gives the SELECT of an INSERT of events, numbered e.n.
func (e *events) from(s *statement, epoch string) string {
	args := []string{
		s.arg(e.n) + "::int[]", s.arg(e.id) + "::bytea[]", s.arg(e.ws) + "::bytea[]", s.arg(e.kind) + "::text[]", s.arg(e.msg) + "::bytea[]",
		s.arg(e.contact) + "::bytea[]", s.arg(e.version) + "::int[]", s.arg(e.at) + "::bigint[]", s.arg(e.data) + "::bytea[]", s.arg(e.sealed) + "::bytea[]",
	}
	return `SELECT (` + epoch + `), e.id, e.ws, e.kind, e.msg, e.contact, e.version, e.at, e.data, e.sealed
		FROM unnest(` + strings.Join(args, ", ") + `) e(n, id, ws, kind, msg, contact, version, at, data, sealed)`
}

func (e *events) write(b *pgx.Batch, epoch string) {
	if len(e.id) == 0 {
		return
	}
	s := &statement{}
	s.add(`INSERT INTO events (epoch, id, workspace, type, message, contact, version, at, data, sealed) `, e.from(s, epoch))
	b.Queue(s.text.String(), s.args...)
}

// appendEvents writes events within a rare write's transaction.
func appendEvents(ctx context.Context, tx pgx.Tx, epoch string, list []store.Event) error {
	e := &events{}
	e.add(0, list)
	b := &pgx.Batch{}
	if e.write(b, epoch); b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, b).Close()
}

const eventColumns = `e.id, e.workspace, e.type, e.message, e.contact, e.version, e.at, e.data, e.sealed`

// An eventRow scans eventColumns.
type eventRow struct {
	store.Event
	us int64
}

func (e *eventRow) into() []any {
	return []any{(*id16)(&e.ID), (*id16)(&e.Workspace), &e.Type, (*id16)(&e.Message), (*id16)(&e.Contact), &e.Version, &e.us, &e.Data, &e.Sealed}
}

func (e *eventRow) event() store.Event {
	e.At = instant(e.us)
	return e.Event
}

var errCursor = fmt.Errorf("not a cursor of this log: %w", store.ErrNotFound)

// A place is a cursor read.
type place struct {
	epoch int64
	xid   uint64
	seq   int64
}

func (p place) cursor() store.Cursor {
	b := strconv.AppendInt(make([]byte, 0, 40), p.epoch, 10)
	b = strconv.AppendUint(append(b, '.'), p.xid, 10)
	return store.Cursor(strconv.AppendInt(append(b, '.'), p.seq, 10))
}

func parseCursor(c store.Cursor) (p place, err error) {
	if c == "" {
		return place{}, nil
	}
	parts := strings.Split(string(c), ".")
	if len(parts) != 3 {
		return place{}, errCursor
	}
	epoch, err1 := strconv.ParseInt(parts[0], 10, 64)
	xid, err2 := strconv.ParseUint(parts[1], 10, 64)
	seq, err3 := strconv.ParseInt(parts[2], 10, 64)
	if errors.Join(err1, err2, err3) != nil || epoch < 1 || seq < 0 {
		return place{}, errCursor
	}
	return place{epoch, xid, seq}, nil
}

// xid gives a transaction number as the text PostgreSQL reads an xid8 from.
func (p place) text() string { return strconv.FormatUint(p.xid, 10) }

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, ws message.WorkspaceID, after store.Cursor, limit int) ([]*store.LogEvent, store.Cursor, error) {
	p, err := parseCursor(after)
	if err != nil {
		return nil, after, err
	}
	where, args := "", []any{p.epoch, p.text(), p.seq, limit}
	if !ws.IsZero() {
		where, args = "e.workspace = $5 AND", append(args, ws[:])
	}
	next := after
	var list []*store.LogEvent
	err = s.query(ctx, func(r pgx.Rows) error {
		var e eventRow
		var at place
		var xid string
		if err := r.Scan(append(e.into(), &at.epoch, &xid, &at.seq)...); err != nil {
			return err
		}
		if at.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
			return err
		}
		next = at.cursor()
		list = append(list, &store.LogEvent{Event: e.event(), Cursor: next})
		return nil
	}, `SELECT `+eventColumns+`, e.epoch, e.xid::text, e.seq FROM events e
		WHERE `+where+` (e.epoch, e.xid, e.seq) > ($1::bigint, $2::text::xid8, $3::bigint)
		AND (e.epoch, e.xid) < ((SELECT epoch FROM epochs WHERE id = 1), pg_snapshot_xmin(pg_current_snapshot()))
		ORDER BY e.epoch, e.xid, e.seq LIMIT $4`, args...)
	if err != nil {
		return nil, after, err
	}
	return list, next, nil
}

// Head implements store.Log. It is the place after an event, never just a
// transaction's number: a server that crashed, or a replica that was promoted,
// gives numbers again that left no trace in its WAL, and those of events did.
func (s *Store) Head(ctx context.Context) (store.Cursor, error) {
	var p place
	var xid string
	err := s.row(ctx, []any{&p.epoch, &xid, &p.seq}, `SELECT coalesce(e.epoch, p.epoch), coalesce(e.xid::text, '0'), coalesce(e.seq, 0) FROM epochs p
		LEFT JOIN LATERAL (SELECT e.epoch, e.xid, e.seq FROM events e WHERE (e.epoch, e.xid) < (p.epoch, pg_snapshot_xmin(pg_current_snapshot()))
			ORDER BY e.epoch DESC, e.xid DESC, e.seq DESC LIMIT 1) e ON true WHERE p.id = 1`)
	if err != nil {
		return "", err
	}
	if p.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return "", err
	}
	return p.cursor(), nil
}

// Cursor implements store.Log.
func (s *Store) Cursor(ctx context.Context, reader string) (store.Cursor, error) {
	var p place
	var xid string
	err := s.row(ctx, []any{&p.epoch, &xid, &p.seq}, "SELECT epoch, xid::text, seq FROM cursors WHERE reader = $1", reader)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	if p.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return "", err
	}
	if p == (place{}) {
		return "", nil
	}
	return p.cursor(), nil
}

// SaveCursor implements store.Log.
func (s *Store) SaveCursor(ctx context.Context, reader string, c store.Cursor) error {
	return s.tx(ctx, func(tx pgx.Tx) error { return saveCursor(ctx, tx, reader, c) })
}

func saveCursor(ctx context.Context, tx pgx.Tx, reader string, c store.Cursor) error {
	p, err := parseCursor(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO cursors (reader, epoch, xid, seq) VALUES ($1, $2, $3::text::xid8, $4)
		ON CONFLICT (reader) DO UPDATE SET epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq`, reader, p.epoch, p.text(), p.seq)
	return err
}
