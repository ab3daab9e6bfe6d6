package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A change is one Change in a group.
type change struct {
	*store.Change
	o       *op
	at      int
	blocked store.Verdict // Guarded or Fenced; 0 = may be written
	result  store.Applied
}

// Apply implements store.Outbox.
func (s *Store) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	o := &op{changes: items, items: len(items)}
	if err := s.queue.do(ctx, o); err != nil {
		return nil, err
	}
	return o.applied, nil
}

func (g *group) decideChange(c *change) {
	c.result.Verdict = store.Done // until the statement says otherwise
	if f := c.Fence; f != nil {
		if l := g.held.leases[f.Connector]; l.token != f.Token || l.expires <= g.held.now {
			c.blocked = store.Fenced
			return
		}
	}
	if c.Guard == nil {
		return
	}
	d := c.Delivery
	p := g.held.contacts[key{d.Workspace, d.Contact}]
	if p == nil || !p.there || p.version != c.Guard.Contact || g.held.configs[d.Workspace] != c.Guard.Config {
		c.blocked = store.Guarded
	}
}

// writeChanges queues the changes in rounds: two about one delivery go into
// different statements, in their order.
func (g *group) writeChanges(b *pgx.Batch) {
	if len(g.changes) == 0 {
		return
	}
	round := make(map[key]int, len(g.changes))
	var rounds [][]*change
	for _, c := range g.changes {
		k := key{c.Delivery.Workspace, c.Delivery.ID}
		n := round[k]
		round[k]++
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], c)
	}
	for _, list := range rounds {
		slices.SortStableFunc(list, func(a, b *change) int {
			return cmp.Or(bytes.Compare(a.Delivery.Workspace[:], b.Delivery.Workspace[:]), bytes.Compare(a.Delivery.ID[:], b.Delivery.ID[:]))
		})
		g.applyRound(b, list)
	}
}

// A statement numbers its arguments while it is put together. Its text depends
// only on which parts it has, so that prepared statements are few.
type statement struct {
	text strings.Builder
	args []any
}

func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

func (s *statement) add(parts ...string) {
	for _, p := range parts {
		s.text.WriteString(p)
	}
}

// applyRound queues one statement: the conditional update decides, and all
// else is written for the rows it wrote. The update finds its rows by ctid, in
// the order of the input; a row that another transaction changes meanwhile
// fails the condition on its version.
func (g *group) applyRound(b *pgx.Batch, list []*change) {
	r := newRows(len(list))
	allowed := make([]bool, len(list))
	numbers := make([]int32, len(list))
	buffer := make([]byte, 0, 384*len(list))
	ev, open, closing := &events{}, &refColumns{}, &refColumns{}
	for i, c := range list {
		buffer = r.set(i, c.Delivery, &c.Connector, c.Ready, buffer)
		numbers[i], allowed[i] = int32(i), c.blocked == 0
		if c.blocked != 0 {
			continue
		}
		ev.add(int32(i), c.Events)
		for j := range c.Open {
			open.add(int32(i), &c.Open[j])
		}
		for j := range c.Close {
			closing.close(int32(i), &c.Close[j], c.Delivery)
		}
	}
	s := &statement{}
	s.add(`WITH i AS MATERIALIZED (SELECT * FROM unnest(`, s.arg(numbers), `::int[], `, s.arg(r.ws), `::bytea[], `, s.arg(r.id), `::bytea[], `,
		s.arg(r.version), `::int[], `, s.arg(r.state), `::smallint[], `, s.arg(r.connector), `::bytea[], `, s.arg(r.lane), `::smallint[], `,
		s.arg(r.sending), `::bool[], `, s.arg(r.due), `::bigint[], `, s.arg(r.track), `::bytea[], `, s.arg(allowed), `::bool[])
			AS i(n, ws, id, version, state, connector, lane, sending, due, track, allowed)
		), upd AS (
			UPDATE deliveries d SET version = l.version, state = l.state, connector = l.connector, lane = nullif(l.lane, -1),
				sending = l.sending, due = nullif(l.due, 0), track = l.track
			FROM (SELECT i.*, x.at FROM i CROSS JOIN LATERAL (SELECT y.ctid AS at FROM deliveries y
				WHERE y.workspace = i.ws AND y.id = i.id AND y.version = i.version - 1 OFFSET 0) x WHERE i.allowed) l
			WHERE d.ctid = l.at AND d.version = l.version - 1
			RETURNING l.n
		)`)
	if len(ev.id) > 0 {
		g.logged = true
		s.add(`, ev AS (INSERT INTO events (epoch, id, workspace, type, message, contact, version, at, data, sealed) `, ev.from(s, g.s.epoch()),
			` WHERE (e.n IN (SELECT n FROM upd)) IS TRUE)`)
	}
	if len(closing.n) > 0 {
		s.add(`, cl AS (DELETE FROM refs r USING (SELECT x.at FROM unnest(`, s.arg(closing.n), `::int[], `, s.arg(closing.connector), `::bytea[], `,
			s.arg(closing.key), `::bytea[], `, s.arg(closing.message), `::bytea[]) c(n, connector, key, message)
			CROSS JOIN LATERAL (SELECT y.ctid AS at FROM refs y WHERE y.connector = c.connector AND y.key = c.key AND y.message = c.message OFFSET 0) x
			WHERE (c.n IN (SELECT n FROM upd)) IS TRUE) l WHERE r.ctid = l.at)`)
	}
	if len(open.n) > 0 {
		open.write(s)
	}
	s.add(` SELECT i.n, coalesce((SELECT d.version FROM deliveries d WHERE d.workspace = i.ws AND d.id = i.id), -1)`, nothingParked,
		` FROM i WHERE (i.n NOT IN (SELECT n FROM upd)) IS TRUE`)
	if len(open.n) > 0 {
		s.add(` UNION ALL SELECT p.n, -2, p.id, p.workspace, p.connector, p.keys, p.inferred, p.at, p.expires_at, p.day, p.sealed FROM hit p`)
	}
	b.Queue(s.text.String(), s.args...).Query(each(func(r pgx.Rows) error {
		var n, version int32
		var p parkedRow
		if err := r.Scan(append([]any{&n, &version}, p.into()...)...); err != nil {
			return err
		}
		c := list[n]
		switch {
		case version == -2:
			c.result.Parked = append(c.result.Parked, p.parked())
		case version == -1:
			c.result.Verdict = store.Missing
		case c.blocked != 0 && version == c.Delivery.Version-1:
			c.result.Verdict = c.blocked
		default:
			c.result.Verdict = store.Conflict
		}
		return nil
	}))
}

const nothingParked = `, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea[], NULL::bytea, 0::bigint, 0::bigint, 0, NULL::bytea`

// refColumns are refs to open or close, as arrays.
type refColumns struct {
	n, attempt                  []int32
	connector, key, ws, message [][]byte
	step, part                  []int16
	inferred                    []bool
	at, expires                 []int64
	seen                        map[store.OpenRef]bool
}

func (c *refColumns) add(n int32, r *store.OpenRef) {
	same := *r
	same.At, same.Expires = time.Time{}, time.Time{}
	if c.seen == nil {
		c.seen = make(map[store.OpenRef]bool)
	}
	if c.seen[same] {
		return // one statement cannot write one row twice
	}
	c.seen[same] = true
	c.n, c.attempt = append(c.n, n), append(c.attempt, int32(r.Attempt))
	c.connector, c.key = append(c.connector, r.Connector[:]), append(c.key, r.Key[:])
	c.ws, c.message = append(c.ws, r.Workspace[:]), append(c.message, r.Message[:])
	c.step, c.part, c.inferred = append(c.step, int16(r.Step)), append(c.part, int16(r.Part)), append(c.inferred, r.Inferred)
	c.at, c.expires = append(c.at, micros(r.At)), append(c.expires, micros(r.Expires))
}

func (c *refColumns) close(n int32, r *store.RefName, d *message.Delivery) {
	c.n, c.connector, c.key, c.message = append(c.n, n), append(c.connector, r.Connector[:]), append(c.key, r.Key[:]), append(c.message, d.ID[:])
}

// write adds the parts that insert refs and find the receipts parked for them.
// A receipt parked by addresses is given only while the ref is the one open that
// its time fits.
func (c *refColumns) write(s *statement) {
	margin := strconv.FormatInt(skew.Microseconds(), 10)
	s.add(`, o AS MATERIALIZED (SELECT * FROM unnest(`, s.arg(c.n), `::int[], `, s.arg(c.connector), `::bytea[], `, s.arg(c.key), `::bytea[], `,
		s.arg(c.ws), `::bytea[], `, s.arg(c.message), `::bytea[], `, s.arg(c.step), `::smallint[], `, s.arg(c.attempt), `::int[], `,
		s.arg(c.part), `::smallint[], `, s.arg(c.inferred), `::bool[], `, s.arg(c.at), `::bigint[], `, s.arg(c.expires), `::bigint[])
			AS o(n, connector, key, ws, message, step, attempt, part, inferred, at, expires) WHERE (o.n IN (SELECT n FROM upd)) IS TRUE
		), opened AS (
			INSERT INTO refs (connector, key, workspace, message, step, attempt, part, inferred, at, expires_at)
			SELECT connector, key, ws, message, step, attempt, part, inferred, at, expires FROM o
			ON CONFLICT (connector, key, message, step, attempt, part) DO UPDATE SET at = excluded.at, expires_at = excluded.expires_at
		), hit AS MATERIALIZED (
			SELECT DISTINCT ON (k.parked) o.n, p.* FROM o
			CROSS JOIN LATERAL (SELECT k.parked FROM parked_keys k WHERE k.connector = o.connector AND k.key = o.key AND k.inferred = o.inferred OFFSET 0) k
			JOIN LATERAL (SELECT * FROM parked p WHERE p.id = k.parked OFFSET 0) p ON p.workspace IN (o.ws, decode(repeat('00', 16), 'hex'))
			WHERE NOT o.inferred OR (o.at <= p.at + `, margin, ` AND o.expires >= p.at
				AND NOT EXISTS (SELECT 1 FROM refs r WHERE r.connector = o.connector AND r.key = o.key AND r.inferred
					AND r.at <= p.at + `, margin, ` AND r.expires_at >= p.at AND (r.message, r.step, r.attempt, r.part) <> (o.message, o.step, o.attempt, o.part))
				AND NOT EXISTS (SELECT 1 FROM o x WHERE x.connector = o.connector AND x.key = o.key AND x.inferred
					AND x.at <= p.at + `, margin, ` AND x.expires >= p.at AND (x.message, x.step, x.attempt, x.part) <> (o.message, o.step, o.attempt, o.part)))
			ORDER BY k.parked, o.n
		)`)
}
