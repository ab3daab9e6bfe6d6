package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A delivery that is pending or dead is a row of webhooks; one that arrived is
// part of a pack in webhook_packs, whether it arrived before it was ever
// written (the reader's express way) or later, when its row is deleted. Both
// name their event by its place in the log and keep no copy.

// Enqueue implements store.Webhooks. Every row at or before the saved cursor
// was written by the transaction that saved it.
func (s *Store) Enqueue(ctx context.Context, reader string, c store.Cursor, rows []*store.WebhookDelivery) error {
	until, err := parseCursor(c)
	if err != nil {
		return err
	}
	places := make([]place, len(rows))
	for i, r := range rows {
		if places[i], err = parseCursor(r.Place); err != nil || r.Place == "" {
			return fmt.Errorf("event %s: %w", r.Event.ID, errCursor)
		}
	}
	return s.tx(ctx, func(tx pgx.Tx) error {
		saved, err := heldCursor(ctx, tx, reader)
		if err != nil {
			return err
		}
		alive, err := heldEndpoints(ctx, tx, rows)
		if err != nil {
			return err
		}
		var packs packs
		var waiting waitingRows
		for i, r := range rows {
			switch {
			case !saved.before(places[i]), !alive[r.Endpoint]:
			case r.State == store.WebhookDelivered:
				packs.add(r.Workspace, r.Endpoint, &told{
					id: r.ID, at: places[i], eventAt: micros(r.Event.At), tries: r.Tries, status: r.Status,
					next: micros(r.NextAt), made: micros(r.CreatedAt), last: micros(r.LastAt), problem: r.Error,
				})
			default:
				waiting.add(places[i], r)
			}
		}
		b := &pgx.Batch{}
		waiting.write(b)
		packs.write(b)
		if saved.before(until) {
			b.Queue(saveCursorSQL, reader, until.epoch, until.text(), until.seq)
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// heldCursor reads a reader's cursor and holds it still.
func heldCursor(ctx context.Context, tx pgx.Tx, reader string) (p place, err error) {
	var xid string
	err = tx.QueryRow(ctx, "SELECT epoch, xid::text, seq FROM cursors WHERE reader = $1 FOR NO KEY UPDATE", reader).Scan(&p.epoch, &xid, &p.seq)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return place{}, nil
	case err != nil:
		return place{}, err
	}
	p.xid, err = strconv.ParseUint(xid, 10, 64)
	return p, err
}

// heldEndpoints gives those of the rows' endpoints that still are, and holds them:
// a deletion waits, and takes what is written here with it.
func heldEndpoints(ctx context.Context, tx pgx.Tx, rows []*store.WebhookDelivery) (map[message.EndpointID]bool, error) {
	alive := make(map[message.EndpointID]bool)
	var list [][]byte
	for _, r := range rows {
		if _, seen := alive[r.Endpoint]; !seen {
			alive[r.Endpoint] = false
			list = append(list, r.Endpoint[:])
		}
	}
	if len(list) == 0 {
		return alive, nil
	}
	err := find(ctx, tx, func(r pgx.Rows) error {
		var id message.EndpointID
		err := r.Scan((*id16)(&id))
		alive[id] = true
		return err
	}, `SELECT id FROM endpoints WHERE id = ANY($1) ORDER BY id FOR KEY SHARE`, list)
	return alive, err
}

// packs are deliveries that arrived, gathered by endpoint.
type packs struct {
	open map[message.EndpointID]*toldPack
	list []*toldPack
}

type toldPack struct {
	ws          message.WorkspaceID
	endpoint    message.EndpointID
	first, last message.DeliveryID
	n           int32
	at          int64
	data        []byte
}

func (p *packs) add(ws message.WorkspaceID, endpoint message.EndpointID, t *told) {
	k := p.open[endpoint]
	if k == nil || len(k.data) > packBytes-128-len(t.problem) {
		k = &toldPack{ws: ws, endpoint: endpoint, first: t.id, last: t.id, data: make([]byte, 0, packBytes)}
		p.list = append(p.list, k)
		if p.open == nil {
			p.open = make(map[message.EndpointID]*toldPack)
		}
		p.open[endpoint] = k
	}
	if bytes.Compare(t.id[:], k.first[:]) < 0 {
		k.first = t.id
	}
	if bytes.Compare(t.id[:], k.last[:]) > 0 {
		k.last = t.id
	}
	k.n++
	k.at = max(k.at, t.made, t.last)
	k.data = t.append(k.data)
}

func (p *packs) write(b *pgx.Batch) {
	n := len(p.list)
	if n == 0 {
		return
	}
	ws, endpoint, first, last, data := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	count, at := make([]int32, n), make([]int64, n)
	for i, k := range p.list {
		ws[i], endpoint[i], first[i], last[i], data[i], count[i], at[i] = k.ws[:], k.endpoint[:], k.first[:], k.last[:], k.data, k.n, k.at
	}
	b.Queue(`INSERT INTO webhook_packs (workspace, endpoint, first, last, n, at, data)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::int[], $6::bigint[], $7::bytea[])`,
		ws, endpoint, first, last, count, at, data)
}

// waitingRows are rows of webhooks, as arrays.
type waitingRows struct {
	id, ws, endpoint, message    [][]byte
	epoch, seq                   []int64
	xid, problem                 []string
	dead                         []bool
	tries, status                []int32
	next, eventAt, created, last []int64
}

func (w *waitingRows) add(p place, r *store.WebhookDelivery) {
	w.id, w.ws, w.endpoint = append(w.id, r.ID[:]), append(w.ws, r.Workspace[:]), append(w.endpoint, r.Endpoint[:])
	w.message = append(w.message, none((*[16]byte)(&r.Event.Message)))
	w.epoch, w.xid, w.seq = append(w.epoch, p.epoch), append(w.xid, p.text()), append(w.seq, p.seq)
	w.dead = append(w.dead, r.State == store.WebhookDead)
	w.tries, w.status, w.problem = append(w.tries, int32(r.Tries)), append(w.status, int32(r.Status)), append(w.problem, r.Error)
	w.next, w.eventAt = append(w.next, micros(r.NextAt)), append(w.eventAt, micros(r.Event.At))
	w.created, w.last = append(w.created, micros(r.CreatedAt)), append(w.last, micros(r.LastAt))
}

func (w *waitingRows) write(b *pgx.Batch) {
	if len(w.id) == 0 {
		return
	}
	b.Queue(`INSERT INTO webhooks (endpoint, id, epoch, xid, seq, workspace, message, dead, tries, next_at, event_at, created_at, last_at, status, error)
		SELECT i.endpoint, i.id, i.epoch, i.xid::xid8, i.seq, i.ws, i.message, i.dead, i.tries, i.next, i.event_at, i.created, i.last, i.status, i.error
		FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bool[], $9::int[], $10::bigint[],
				$11::bigint[], $12::bigint[], $13::bigint[], $14::int[], $15::text[])
			i(endpoint, id, epoch, xid, seq, ws, message, dead, tries, next, event_at, created, last, status, error)`,
		w.endpoint, w.id, w.epoch, w.xid, w.seq, w.ws, w.message, w.dead, w.tries, w.next, w.eventAt, w.created, w.last, w.status, w.problem)
}

// Settle implements store.Webhooks; a row leased to another owner is left
// alone. What arrived leaves its row for a pack.
func (s *Store) Settle(ctx context.Context, owner string, tries []*store.WebhookTry) error {
	if len(tries) == 0 {
		return nil
	}
	var arrived, others []*store.WebhookTry
	for _, t := range tries {
		if t.State == store.WebhookDelivered {
			arrived = append(arrived, t)
		} else {
			others = append(others, t)
		}
	}
	// One order for all who settle.
	for _, list := range [][]*store.WebhookTry{arrived, others} {
		slices.SortFunc(list, func(a, b *store.WebhookTry) int {
			return cmp.Or(bytes.Compare(a.Endpoint[:], b.Endpoint[:]), bytes.Compare(a.ID[:], b.ID[:]))
		})
	}
	return s.tx(ctx, func(tx pgx.Tx) error {
		if err := settleOthers(ctx, tx, owner, others); err != nil {
			return err
		}
		var packs packs
		if err := settleArrived(ctx, tx, owner, arrived, &packs); err != nil {
			return err
		}
		b := &pgx.Batch{}
		if packs.write(b); b.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// itsRow finds the row i of an array is about, if it is leased to an owner; the
// look-up is fenced off so that it goes by the id and by nothing else.
const itsRow = ` CROSS JOIN LATERAL (SELECT y.ctid AS place, y.dead, y.owner FROM webhooks y WHERE y.endpoint = i.endpoint AND y.id = i.id OFFSET 0) x
	WHERE NOT x.dead AND x.owner = `

// settleOthers notes what did not arrive.
func settleOthers(ctx context.Context, tx pgx.Tx, owner string, tries []*store.WebhookTry) error {
	n := len(tries)
	if n == 0 {
		return nil
	}
	id, endpoint, dead, failure := make([][]byte, n), make([][]byte, n), make([]bool, n), make([]string, n)
	at, next, status := make([]int64, n), make([]int64, n), make([]int32, n)
	for i, t := range tries {
		id[i], endpoint[i], dead[i], failure[i] = t.ID[:], t.Endpoint[:], t.State == store.WebhookDead, t.Error
		at[i], next[i], status[i] = micros(t.At), micros(t.NextAt), int32(t.Status)
	}
	var behind siblings
	err := find(ctx, tx, func(r pgx.Rows) error {
		var e, m []byte
		var next int64
		var dies bool
		err := r.Scan(&e, &m, &next, &dies)
		if dies {
			next = 0
		}
		behind.add(e, m, next)
		return err
	}, `UPDATE webhooks w SET dead = l.dies, tries = w.tries + 1, next_at = l.next, owner = '', until = 0, last_at = l.tried, status = l.status, error = l.error
		FROM (SELECT i.*, x.place FROM unnest($1::bytea[], $2::bytea[], $3::bool[], $4::bigint[], $5::bigint[], $6::int[], $7::text[])
				i(id, endpoint, dies, tried, next, status, error)`+itsRow+`$8) l
		WHERE w.ctid = l.place AND NOT w.dead AND w.owner = $8 RETURNING w.endpoint, w.message, w.next_at, w.dead`,
		id, endpoint, dead, at, next, status, failure, owner)
	if err != nil {
		return err
	}
	return behind.move(ctx, tx)
}

// siblings are the deliveries that wait behind one of the same message: while it
// is to be tried again, as long as it, so that claims need not pass over them;
// when it has ended, no longer.
type siblings struct {
	endpoint, message [][]byte
	next              []int64 // 0 = at once
}

func (b *siblings) add(endpoint, message []byte, next int64) {
	if message != nil {
		b.endpoint, b.message, b.next = append(b.endpoint, endpoint), append(b.message, message), append(b.next, next)
	}
}

func (b *siblings) move(ctx context.Context, tx pgx.Tx) error {
	if len(b.message) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE webhooks w SET next_at = l.next FROM (
			SELECT x.place, CASE WHEN i.next > 0 THEN i.next ELSE x.created_at END AS next FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) i(endpoint, message, next)
			CROSS JOIN LATERAL (SELECT y.ctid AS place, y.created_at FROM webhooks y WHERE y.endpoint = i.endpoint AND y.message = i.message AND NOT y.dead
				AND y.tries = 0 AND CASE WHEN i.next > 0 THEN y.next_at < i.next ELSE y.next_at > y.created_at END FOR UPDATE SKIP LOCKED) x) l
		WHERE w.ctid = l.place AND NOT w.dead`, b.endpoint, b.message, b.next)
	return err
}

// settleArrived takes what arrived out of its rows.
func settleArrived(ctx context.Context, tx pgx.Tx, owner string, tries []*store.WebhookTry, packs *packs) error {
	n := len(tries)
	if n == 0 {
		return nil
	}
	id, endpoint, number := make([][]byte, n), make([][]byte, n), make([]int32, n)
	for i, t := range tries {
		id[i], endpoint[i], number[i] = t.ID[:], t.Endpoint[:], int32(i)
	}
	var behind siblings
	err := find(ctx, tx, func(r pgx.Rows) error {
		var t told
		var ws message.WorkspaceID
		var i int32
		var xid string
		var m []byte
		err := r.Scan(&i, (*id16)(&ws), &m, &t.at.epoch, &xid, &t.at.seq, &t.eventAt, &t.tries, &t.made)
		if err != nil {
			return err
		}
		if t.at.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
			return err
		}
		y := tries[i]
		if t.tries > 0 {
			behind.add(y.Endpoint[:], m, 0)
		}
		t.id, t.tries, t.status, t.next, t.last, t.problem = y.ID, t.tries+1, y.Status, micros(y.NextAt), micros(y.At), y.Error
		packs.add(ws, y.Endpoint, &t)
		return nil
	}, `DELETE FROM webhooks w USING (SELECT i.n, x.place FROM unnest($1::bytea[], $2::bytea[], $3::int[]) i(id, endpoint, n)`+itsRow+`$4) l
		WHERE w.ctid = l.place AND NOT w.dead AND w.owner = $4
		RETURNING l.n, w.workspace, w.message, w.epoch, w.xid::text, w.seq, w.event_at, w.tries, w.created_at`, id, endpoint, number, owner)
	if err != nil {
		return err
	}
	return behind.move(ctx, tx)
}

// NextDelivery implements store.Webhooks: the first in the order of claims
// speaks for all, or, when it is leased, the end of its lease does.
func (s *Store) NextDelivery(ctx context.Context, endpoint message.EndpointID) (time.Time, error) {
	var next int64
	err := s.row(ctx, []any{&next}, `SELECT coalesce((SELECT greatest(w.next_at, w.until) FROM webhooks w WHERE w.endpoint = $1 AND NOT w.dead
		ORDER BY w.next_at LIMIT 1), 0)`, endpoint[:])
	return instant(next), err
}
