package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// events are events to append, in packs.
type events struct {
	packs []eventPack
	last  message.WorkspaceID         // whose pack is open at place
	place int                         // in packs; -1 = none
	open  map[message.WorkspaceID]int // of the others
}

// An eventPack is one row of the log: events of one workspace, of which only a
// single one may have a sealed half.
type eventPack struct {
	ws      message.WorkspaceID
	contact []byte // of the sealed half
	n       int32
	at      int64 // of the latest
	data    []byte
	sealed  []byte
}

// add appends events in their order, which is kept within a workspace.
func (e *events) add(list []store.Event) {
	for i := range list {
		v := &list[i]
		p := e.room(v)
		p.n++
		p.at = max(p.at, micros(v.At))
		p.data = appendEvent(p.data, v)
	}
}

// room gives the pack an event belongs in.
func (e *events) room(v *store.Event) *eventPack {
	alone := v.Sealed != nil
	at, found := e.place, len(e.packs) > 0 && e.last == v.Workspace
	if !found {
		at, found = e.open[v.Workspace]
	}
	if found && at >= 0 && !alone && len(e.packs[at].data)+len(v.Data) < packBytes-128 && e.packs[at].n < seqLast {
		e.last, e.place = v.Workspace, at
		return &e.packs[at]
	}
	at = len(e.packs)
	e.packs = append(e.packs, eventPack{ws: v.Workspace})
	p := &e.packs[at]
	if alone {
		p.contact, p.sealed = v.Contact[:], v.Sealed
		at = -1 // what comes after stands behind it
	} else {
		p.data = make([]byte, 0, 512)
	}
	if e.open == nil {
		e.open = make(map[message.WorkspaceID]int)
	}
	e.open[v.Workspace], e.last, e.place = at, v.Workspace, at
	return p
}

// write queues the insert of all packs under an epoch. Numbers are given in the
// order of the arrays.
func (e *events) write(b *pgx.Batch, epoch string) {
	n := len(e.packs)
	if n == 0 {
		return
	}
	ws, contact, data, sealed := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	count, at := make([]int32, n), make([]int64, n)
	for i := range e.packs {
		p := &e.packs[i]
		ws[i], contact[i], data[i], sealed[i], count[i], at[i] = p.ws[:], p.contact, p.data, p.sealed, p.n, p.at
	}
	b.Queue(`INSERT INTO events (epoch, workspace, contact, n, at, data, sealed)
		SELECT (`+epoch+`), e.* FROM unnest($1::bytea[], $2::bytea[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[]) e`,
		ws, contact, count, at, data, sealed)
}

// appendEvents writes events within a rare write's transaction.
func appendEvents(ctx context.Context, tx pgx.Tx, epoch string, list []store.Event) error {
	e := &events{}
	e.add(list)
	b := &pgx.Batch{}
	if e.write(b, epoch); b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, b).Close()
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

// before orders places.
func (p place) before(q place) bool {
	return cmp.Or(cmp.Compare(p.epoch, q.epoch), cmp.Compare(p.xid, q.xid), cmp.Compare(p.seq, q.seq)) < 0
}

// text gives the transaction number as PostgreSQL reads an xid8 from.
func (p place) text() string { return strconv.FormatUint(p.xid, 10) }

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
	if p.xid > 0 {
		p.seq += seqLast // the whole pack
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

const saveCursorSQL = `INSERT INTO cursors (reader, epoch, xid, seq) VALUES ($1, $2, $3::text::xid8, $4)
	ON CONFLICT (reader) DO UPDATE SET epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq`

func saveCursor(ctx context.Context, tx pgx.Tx, reader string, c store.Cursor) error {
	p, err := parseCursor(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, saveCursorSQL, reader, p.epoch, p.text(), p.seq)
	return err
}
