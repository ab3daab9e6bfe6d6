package postgres

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A webhookRow is a delivery whose event is still to be read from the log.
type webhookRow struct {
	*store.WebhookDelivery
	at place
}

const webhookColumns = `w.id, w.workspace, w.endpoint, w.dead, w.tries, w.next_at, w.created_at, w.last_at, w.status, w.error, w.epoch, w.xid::text, w.seq`

func scanWebhook(r pgx.Rows) (webhookRow, error) {
	w := webhookRow{WebhookDelivery: &store.WebhookDelivery{State: store.WebhookPending}}
	var next, created, last int64
	var dead bool
	var xid string
	err := r.Scan((*id16)(&w.ID), (*id16)(&w.Workspace), (*id16)(&w.Endpoint), &dead, &w.Tries, &next, &created, &last, &w.Status, &w.Error,
		&w.at.epoch, &xid, &w.at.seq)
	if err != nil {
		return w, err
	}
	if dead {
		w.State = store.WebhookDead
	}
	w.NextAt, w.CreatedAt, w.LastAt = instant(next), instant(created), instant(last)
	w.at.xid, err = strconv.ParseUint(xid, 10, 64)
	return w, err
}

// withEvents reads the events of rows; those whose event was purged are left
// out.
func withEvents(ctx context.Context, tx pgx.Tx, rows []webhookRow) (list []*store.WebhookDelivery, err error) {
	places := make([]place, len(rows))
	for i := range rows {
		places[i] = rows[i].at
	}
	events, err := eventsAt(ctx, tx, places)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if e := events[rows[i].at]; e != nil {
			rows[i].Event = *e
			list = append(list, rows[i].WebhookDelivery)
		}
	}
	return list, nil
}

// Claim implements store.Webhooks. A row given has the NextAt it was due at.
func (s *Store) Claim(ctx context.Context, endpoint message.EndpointID, owner string, now, until time.Time, limit int) (list []*store.WebhookDelivery, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		var rows []webhookRow
		err := find(ctx, tx, func(r pgx.Rows) error {
			w, err := scanWebhook(r)
			rows = append(rows, w)
			return err
		}, `WITH d AS MATERIALIZED (SELECT w.ctid AS at FROM webhooks w WHERE w.endpoint = $1 AND NOT w.dead AND w.next_at <= $2 AND w.until <= $2
				AND (w.message IS NULL OR NOT EXISTS (SELECT 1 FROM webhooks e WHERE e.endpoint = $1 AND e.message = w.message AND NOT e.dead
					AND (e.epoch, e.xid, e.seq) < (w.epoch, w.xid, w.seq)))
				ORDER BY w.next_at, w.epoch, w.xid, w.seq LIMIT $5 FOR UPDATE SKIP LOCKED
			), w AS (UPDATE webhooks w SET owner = $3, until = $4 FROM d WHERE w.ctid = d.at AND NOT w.dead AND w.until <= $2
				RETURNING w.id, w.workspace, w.endpoint, w.dead, w.tries, w.next_at, w.created_at, w.last_at, w.status, w.error, w.epoch, w.xid, w.seq)
			SELECT `+webhookColumns+` FROM w ORDER BY w.epoch, w.xid, w.seq`, endpoint[:], micros(now), owner, micros(until), limit)
		if err != nil {
			return err
		}
		if list, err = withEvents(ctx, tx, rows); err != nil || len(list) == len(rows) {
			return err
		}
		// Purges leave what is pending its event: a failover lost it. There is
		// nothing to tell, and the row would hold up its message for ever.
		told := make(map[message.DeliveryID]bool, len(list))
		for _, w := range list {
			told[w.ID] = true
		}
		var ghosts []message.DeliveryID
		for _, w := range rows {
			if !told[w.ID] {
				ghosts = append(ghosts, w.ID)
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM webhooks WHERE endpoint = $1 AND id = ANY($2)`, endpoint[:], ids(ghosts))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// DeliveryList implements store.Webhooks.
func (s *Store) DeliveryList(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, state string, before message.DeliveryID, limit int) (list []*store.WebhookDelivery, err error) {
	if before.IsZero() {
		before = message.DeliveryID(bytes.Repeat([]byte{0xff}, 16))
	}
	err = s.reading(ctx, func(tx pgx.Tx) error {
		var rows []webhookRow
		if state != store.WebhookDelivered {
			q := &statement{}
			q.add(`SELECT `, webhookColumns, ` FROM webhooks w WHERE w.workspace = `, q.arg(ws[:]), ` AND w.endpoint = `, q.arg(endpoint[:]), ` AND w.id < `, q.arg(before[:]))
			if state != "" {
				q.add(` AND w.dead = `, q.arg(state == store.WebhookDead))
			}
			q.add(` ORDER BY w.id DESC LIMIT `, q.arg(limit))
			err := find(ctx, tx, func(r pgx.Rows) error {
				w, err := scanWebhook(r)
				rows = append(rows, w)
				return err
			}, q.text.String(), q.args...)
			if err != nil {
				return err
			}
		}
		if state == "" || state == store.WebhookDelivered {
			arrived, err := arrivals(ctx, tx, ws, endpoint, before, limit)
			if err != nil {
				return err
			}
			rows = append(rows, arrived...)
		}
		slices.SortFunc(rows, func(a, b webhookRow) int { return bytes.Compare(b.ID[:], a.ID[:]) })
		list, err = withEvents(ctx, tx, rows[:min(limit, len(rows))])
		return err
	})
	return list, err
}

// arrivals gives the newest deliveries before an id that are in packs, and
// perhaps some more.
func arrivals(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, endpoint message.EndpointID, before message.DeliveryID, limit int) (rows []webhookRow, err error) {
	// Packs are told apart and ordered by their last delivery. They may overlap,
	// so one is passed over only when enough of the page is newer than all of it.
	const many = 8
	place := bytes.Repeat([]byte{0xff}, 17)
	for {
		found := 0
		err := find(ctx, tx, func(r pgx.Rows) error {
			var last, data []byte
			if err := r.Scan(&last, &data); err != nil {
				return err
			}
			found++
			place = last
			list, err := readTold(data)
			for _, t := range list {
				if bytes.Compare(t.id[:], before[:]) < 0 {
					rows = append(rows, webhookRow{t.delivery(ws, endpoint), t.at})
				}
			}
			return err
		}, `SELECT p.last, p.data FROM webhook_packs p WHERE p.workspace = $1 AND p.endpoint = $2 AND p.last < $3 AND p.first < $4 ORDER BY p.last DESC LIMIT $5`,
			ws[:], endpoint[:], place, before[:], many)
		if err != nil || found < many {
			return rows, err
		}
		newer := 0
		for i := range rows {
			if bytes.Compare(rows[i].ID[:], place) >= 0 {
				newer++
			}
		}
		if newer >= limit {
			return rows, nil
		}
	}
}

func (t *told) delivery(ws message.WorkspaceID, endpoint message.EndpointID) *store.WebhookDelivery {
	return &store.WebhookDelivery{
		ID: t.id, Workspace: ws, Endpoint: endpoint, State: store.WebhookDelivered, Tries: t.tries, NextAt: instant(t.next),
		CreatedAt: instant(t.made), LastAt: instant(t.last), Status: t.status, Error: t.problem,
	}
}

// Replay implements store.Webhooks: a delivery goes back to its place in the
// order, and later pending ones of its message wait for it. One whose event was
// purged stays as it is.
func (s *Store) Replay(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, list []message.DeliveryID, from, to, now time.Time) (n int, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		q := &statement{}
		q.add(`UPDATE webhooks w SET dead = false, tries = 0, owner = '', until = 0, next_at = `, q.arg(micros(now)),
			` WHERE w.workspace = `, q.arg(ws[:]), ` AND w.endpoint = `, q.arg(endpoint[:]), ` AND w.dead`)
		if len(list) > 0 {
			q.add(` AND w.id = ANY(`, q.arg(ids(list)), `)`)
		} else {
			q.add(` AND w.event_at >= `, q.arg(micros(from)), ` AND w.event_at < `, q.arg(micros(to)))
		}
		tag, err := tx.Exec(ctx, q.text.String(), q.args...)
		if err != nil {
			return err
		}
		again, err := unpackArrived(ctx, tx, ws, endpoint, list, micros(from), micros(to))
		if err != nil {
			return err
		}
		var waiting waitingRows
		for _, w := range again {
			w.State, w.Tries, w.NextAt = store.WebhookPending, 0, now
			waiting.add(w.at, w.WebhookDelivery)
		}
		n = int(tag.RowsAffected()) + len(again)
		if len(again) == 0 {
			return nil
		}
		b := &pgx.Batch{}
		waiting.write(b)
		return tx.SendBatch(ctx, b).Close()
	})
	return n, err
}

// unpackArrived takes deliveries out of their packs: by ids, or those with
// events in a span of time when there are none.
func unpackArrived(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, endpoint message.EndpointID, list []message.DeliveryID, from, to int64) ([]webhookRow, error) {
	wanted := make(map[message.DeliveryID]bool, len(list))
	for _, id := range list {
		wanted[id] = true
	}
	type pack struct {
		last []byte
		told []told
	}
	var touched []pack
	var places []place
	// A delivery is made after its event, a day of clock trouble aside.
	where, args := ` AND p.last >= $3`, []any{ws[:], endpoint[:], idAt(instant(from).Add(-24 * time.Hour))}
	if len(list) > 0 {
		where, args[2] = ` AND EXISTS (SELECT 1 FROM unnest($3::bytea[]) i WHERE i >= p.first AND i <= p.last)`, ids(list)
	}
	mine := func(t *told) bool {
		return wanted[t.id] || len(list) == 0 && t.eventAt >= from && t.eventAt < to
	}
	err := find(ctx, tx, func(r pgx.Rows) error {
		var p pack
		var data []byte
		err := r.Scan(&p.last, &data)
		if err != nil {
			return err
		}
		if p.told, err = readTold(data); err != nil {
			return err
		}
		before := len(places)
		for i := range p.told {
			if mine(&p.told[i]) {
				places = append(places, p.told[i].at)
			}
		}
		if len(places) > before {
			touched = append(touched, p)
		}
		return nil
	}, `SELECT p.last, p.data FROM webhook_packs p WHERE p.workspace = $1 AND p.endpoint = $2`+where+` ORDER BY p.last FOR UPDATE`, args...)
	if err != nil || len(touched) == 0 {
		return nil, err
	}
	events, err := eventsAt(ctx, tx, places)
	if err != nil {
		return nil, err
	}
	var out []webhookRow
	b := &pgx.Batch{}
	for _, p := range touched {
		var left packs
		for i := range p.told {
			t := &p.told[i]
			e := events[t.at]
			if e == nil || !mine(t) {
				left.add(ws, endpoint, t)
				continue
			}
			w := webhookRow{t.delivery(ws, endpoint), t.at}
			w.Event = *e
			out = append(out, w)
		}
		b.Queue(`DELETE FROM webhook_packs WHERE workspace = $1 AND endpoint = $2 AND last = $3`, ws[:], endpoint[:], p.last)
		left.write(b)
	}
	return out, tx.SendBatch(ctx, b).Close()
}
