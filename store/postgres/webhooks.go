package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// PutEndpoint implements store.Webhooks.
func (s *Store) PutEndpoint(ctx context.Context, e *store.Endpoint) error {
	types := e.Types
	if types == nil {
		types = []string{}
	}
	return s.exec(ctx, `INSERT INTO endpoints (workspace, id, url, sealed, types, batch, disabled, failing_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (workspace, id) DO UPDATE SET url = excluded.url, sealed = excluded.sealed,
			types = excluded.types, batch = excluded.batch, disabled = excluded.disabled, failing_at = excluded.failing_at`,
		e.Workspace[:], e.ID[:], e.URL, e.Sealed, types, e.Batch, e.Disabled, micros(e.FailingAt), micros(e.CreatedAt))
}

const endpointColumns = `workspace, id, url, sealed, types, batch, disabled, failing_at, created_at`

func (s *Store) endpoints(ctx context.Context, sql string, args ...any) (list []*store.Endpoint, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		e := &store.Endpoint{}
		var failing, created int64
		err := r.Scan((*id16)(&e.Workspace), (*id16)(&e.ID), &e.URL, &e.Sealed, &e.Types, &e.Batch, &e.Disabled, &failing, &created)
		e.FailingAt, e.CreatedAt = instant(failing), instant(created)
		if len(e.Types) == 0 {
			e.Types = nil
		}
		list = append(list, e)
		return err
	}, sql, args...)
	return list, err
}

// Endpoint implements store.Webhooks.
func (s *Store) Endpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) (*store.Endpoint, error) {
	list, err := s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints WHERE workspace = $1 AND id = $2`, ws[:], id[:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// Endpoints implements store.Webhooks.
func (s *Store) Endpoints(ctx context.Context, ws message.WorkspaceID) ([]*store.Endpoint, error) {
	if ws.IsZero() {
		return s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints ORDER BY id`)
	}
	return s.endpoints(ctx, `SELECT `+endpointColumns+` FROM endpoints WHERE workspace = $1 ORDER BY id`, ws[:])
}

// SetEndpointHealth implements store.Webhooks.
func (s *Store) SetEndpointHealth(ctx context.Context, ws message.WorkspaceID, id message.EndpointID, failingAt time.Time, disabled string) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE endpoints SET failing_at = $3, disabled = $4 WHERE workspace = $1 AND id = $2`, ws[:], id[:], micros(failingAt), disabled))
	})
}

// DeleteEndpoint implements store.Webhooks: its deliveries go with it.
func (s *Store) DeleteEndpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		if err := one(tx.Exec(ctx, `DELETE FROM endpoints WHERE workspace = $1 AND id = $2`, ws[:], id[:])); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE endpoint = $1`, id[:])
		return err
	})
}

// holdEndpoints makes the transaction the only one that enqueues, settles or
// replays deliveries of some endpoints: which delivery of a message is its head
// depends on rows that others may be writing.
func holdEndpoints(ctx context.Context, tx pgx.Tx, list []message.EndpointID) error {
	keys := make([]int64, len(list))
	for i, id := range list {
		keys[i] = int64(binary.BigEndian.Uint64(id[8:]) ^ binary.BigEndian.Uint64(id[:8]))
	}
	slices.Sort(keys)
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) k`, slices.Compact(keys))
	return err
}

// Enqueue implements store.Webhooks. Rows keep a copy of their event, so the
// log may be purged before them.
func (s *Store) Enqueue(ctx context.Context, reader string, c store.Cursor, rows []*store.WebhookDelivery) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		if len(rows) > 0 {
			list := make([]message.EndpointID, len(rows))
			for i, r := range rows {
				list[i] = r.Endpoint
			}
			if err := holdEndpoints(ctx, tx, list); err != nil {
				return err
			}
			if err := insertWebhooks(ctx, tx, rows); err != nil {
				return err
			}
		}
		return saveCursor(ctx, tx, reader, c)
	})
}

func insertWebhooks(ctx context.Context, tx pgx.Tx, rows []*store.WebhookDelivery) error {
	n := len(rows)
	id, ws, endpoint, state, failure := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([]string, n), make([]string, n)
	tries, status := make([]int32, n), make([]int32, n)
	next, created, last := make([]int64, n), make([]int64, n), make([]int64, n)
	e := &events{}
	head := make([]bool, n)
	type about struct {
		endpoint message.EndpointID
		message  message.MessageID
	}
	first := make(map[about]bool)
	for i, r := range rows {
		id[i], ws[i], endpoint[i], state[i], failure[i] = r.ID[:], r.Workspace[:], r.Endpoint[:], r.State, r.Error
		tries[i], status[i], next[i], created[i], last[i] = int32(r.Tries), int32(r.Status), micros(r.NextAt), micros(r.CreatedAt), micros(r.LastAt)
		e.add(int32(i), []store.Event{r.Event})
		k := about{r.Endpoint, r.Event.Message}
		head[i] = r.Event.Message.IsZero() || !first[k]
		first[k] = first[k] || r.State == store.WebhookPending
	}
	// The heads are chosen among the new rows above and against those stored
	// below; a row that is already there changes nothing.
	_, err := tx.Exec(ctx, `INSERT INTO webhooks (id, workspace, endpoint, state, head, tries, next_at, created_at, last_at, status, error,
			event, type, message, contact, version, event_at, data, sealed)
		SELECT i.id, i.ws, i.endpoint, i.state, i.head AND NOT EXISTS (SELECT 1 FROM webhooks w WHERE i.message <> decode(repeat('00', 16), 'hex')
				AND w.endpoint = i.endpoint AND w.message = i.message AND w.state = 'pending'),
			i.tries, i.next, i.created, i.last, i.status, i.error, i.event, i.type, i.message, i.contact, i.version, i.at, i.data, i.sealed
		FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::bool[], $6::int[], $7::bigint[], $8::bigint[], $9::bigint[], $10::int[], $11::text[],
				$12::bytea[], $13::text[], $14::bytea[], $15::bytea[], $16::int[], $17::bigint[], $18::bytea[], $19::bytea[])
			i(id, ws, endpoint, state, head, tries, next, created, last, status, error, event, type, message, contact, version, at, data, sealed)
		ON CONFLICT DO NOTHING`,
		id, ws, endpoint, state, head, tries, next, created, last, status, failure, e.id, e.kind, e.msg, e.contact, e.version, e.at, e.data, e.sealed)
	if err != nil {
		return err
	}
	// A new row whose sibling turned out to be stored already may be a head.
	return promote(ctx, tx, endpoint, e.msg)
}

// promote makes the earliest pending delivery of each message the one that
// goes, and only it.
func promote(ctx context.Context, tx pgx.Tx, endpoints, messages [][]byte) error {
	_, err := tx.Exec(ctx, `UPDATE webhooks w SET head = l.head FROM (
			SELECT x.at, x.n = 1 AS head FROM (SELECT DISTINCT * FROM unnest($1::bytea[], $2::bytea[]) i(endpoint, message)) i
			CROSS JOIN LATERAL (SELECT y.ctid AS at, y.head AS was, row_number() OVER (ORDER BY y.seq) AS n FROM webhooks y
				WHERE y.endpoint = i.endpoint AND y.message = i.message AND y.state = 'pending') x
			WHERE i.message <> decode(repeat('00', 16), 'hex') AND x.was <> (x.n = 1)) l
		WHERE w.ctid = l.at AND w.state = 'pending'`, endpoints, messages)
	return err
}

const webhookColumns = `w.id, w.workspace, w.endpoint, w.state, w.tries, w.next_at, w.created_at, w.last_at, w.status, w.error,
	w.event, w.workspace, w.type, w.message, w.contact, w.version, w.event_at, w.data, w.sealed`

func scanWebhook(r pgx.Rows) (*store.WebhookDelivery, error) {
	w := &store.WebhookDelivery{}
	var e eventRow
	var next, created, last int64
	into := []any{(*id16)(&w.ID), (*id16)(&w.Workspace), (*id16)(&w.Endpoint), &w.State, &w.Tries, &next, &created, &last, &w.Status, &w.Error}
	err := r.Scan(append(into, e.into()...)...)
	w.NextAt, w.CreatedAt, w.LastAt, w.Event = instant(next), instant(created), instant(last), e.event()
	return w, err
}

// Claim implements store.Webhooks. A row given has the NextAt it was due at.
func (s *Store) Claim(ctx context.Context, endpoint message.EndpointID, owner string, now, until time.Time, limit int) (list []*store.WebhookDelivery, err error) {
	due, err := s.NextDelivery(ctx, endpoint)
	if err != nil || due.IsZero() || due.After(now) {
		return nil, err
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		list = nil
		return find(ctx, tx, func(r pgx.Rows) error {
			w, err := scanWebhook(r)
			list = append(list, w)
			return err
		}, `WITH d AS MATERIALIZED (SELECT w.ctid AS at, w.next_at FROM webhooks w WHERE w.endpoint = $1 AND w.state = 'pending' AND w.head AND w.next_at <= $2
				ORDER BY w.next_at, w.seq LIMIT $5 FOR UPDATE SKIP LOCKED
			), w AS (UPDATE webhooks w SET owner = $3, next_at = $4 FROM d WHERE w.ctid = d.at AND w.state = 'pending'
				RETURNING w.id, w.workspace, w.endpoint, w.state, w.tries, d.next_at, w.created_at, w.last_at, w.status, w.error,
					w.event, w.type, w.message, w.contact, w.version, w.event_at, w.data, w.sealed, w.seq)
			SELECT `+webhookColumns+` FROM w ORDER BY w.seq`, endpoint[:], micros(now), owner, micros(until), limit)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// NextDelivery implements store.Webhooks.
func (s *Store) NextDelivery(ctx context.Context, endpoint message.EndpointID) (time.Time, error) {
	var next int64
	err := s.row(ctx, []any{&next}, `SELECT coalesce((SELECT w.next_at FROM webhooks w WHERE w.endpoint = $1 AND w.state = 'pending' AND w.head
		ORDER BY w.next_at LIMIT 1), 0)`, endpoint[:])
	return instant(next), err
}

// Settle implements store.Webhooks; a row leased to another owner is left alone.
func (s *Store) Settle(ctx context.Context, owner string, tries []*store.WebhookTry) error {
	if len(tries) == 0 {
		return nil
	}
	return s.tx(ctx, func(tx pgx.Tx) error {
		n := len(tries)
		list := make([]message.EndpointID, n)
		id, endpoint, state, failure := make([][]byte, n), make([][]byte, n), make([]string, n), make([]string, n)
		at, next, status := make([]int64, n), make([]int64, n), make([]int32, n)
		for i, t := range tries {
			list[i] = t.Endpoint
			id[i], endpoint[i], state[i], failure[i] = t.ID[:], t.Endpoint[:], t.State, t.Error
			at[i], next[i], status[i] = micros(t.At), micros(t.NextAt), int32(t.Status)
		}
		if err := holdEndpoints(ctx, tx, list); err != nil {
			return err
		}
		var endpoints, messages [][]byte
		err := find(ctx, tx, func(r pgx.Rows) error {
			var e, m []byte
			err := r.Scan(&e, &m)
			endpoints, messages = append(endpoints, e), append(messages, m)
			return err
		}, `UPDATE webhooks w SET state = l.state, tries = w.tries + 1, next_at = l.next, owner = '', last_at = l.tried, status = l.status, error = l.error
			FROM (SELECT i.*, x.place FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], $7::text[])
					i(id, endpoint, state, tried, next, status, error)
				CROSS JOIN LATERAL (SELECT y.ctid AS place FROM webhooks y WHERE y.id = i.id AND y.endpoint = i.endpoint
					AND y.state = 'pending' AND y.owner = $8 OFFSET 0) x) l
			WHERE w.ctid = l.place AND w.state = 'pending' AND w.owner = $8 RETURNING w.endpoint, w.message`,
			id, endpoint, state, at, next, status, failure, owner)
		if err != nil {
			return err
		}
		return promote(ctx, tx, endpoints, messages)
	})
}

// DeliveryList implements store.Webhooks.
func (s *Store) DeliveryList(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, state string, before message.DeliveryID, limit int) (list []*store.WebhookDelivery, err error) {
	q := &statement{}
	q.add(`SELECT `, webhookColumns, ` FROM webhooks w WHERE w.workspace = `, q.arg(ws[:]), ` AND w.endpoint = `, q.arg(endpoint[:]))
	if state != "" {
		q.add(` AND w.state = `, q.arg(state))
	}
	if !before.IsZero() {
		q.add(` AND w.id < `, q.arg(before[:]))
	}
	q.add(` ORDER BY w.id DESC LIMIT `, q.arg(limit))
	err = s.query(ctx, func(r pgx.Rows) error {
		w, err := scanWebhook(r)
		list = append(list, w)
		return err
	}, q.text.String(), q.args...)
	return list, err
}

// Replay implements store.Webhooks: a delivery goes back to its place in the
// order, and later pending ones of its message wait for it.
func (s *Store) Replay(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, list []message.DeliveryID, from, to, now time.Time) (n int, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		n = 0
		if err := holdEndpoints(ctx, tx, []message.EndpointID{endpoint}); err != nil {
			return err
		}
		q := &statement{}
		q.add(`UPDATE webhooks w SET state = 'pending', head = w.message = decode(repeat('00', 16), 'hex'), tries = 0, owner = '', next_at = `, q.arg(micros(now)),
			` WHERE w.workspace = `, q.arg(ws[:]), ` AND w.endpoint = `, q.arg(endpoint[:]), ` AND w.state <> 'pending'`)
		if len(list) > 0 {
			q.add(` AND w.id = ANY(`, q.arg(ids(list)), `)`)
		} else {
			q.add(` AND w.event_at >= `, q.arg(micros(from)), ` AND w.event_at < `, q.arg(micros(to)))
		}
		q.add(` RETURNING w.endpoint, w.message`)
		var endpoints, messages [][]byte
		err := find(ctx, tx, func(r pgx.Rows) error {
			var e, m []byte
			err := r.Scan(&e, &m)
			endpoints, messages = append(endpoints, e), append(messages, m)
			n++
			return err
		}, q.text.String(), q.args...)
		if err != nil {
			return err
		}
		return promote(ctx, tx, endpoints, messages)
	})
	return n, err
}
