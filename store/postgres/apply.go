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
	o      *op
	at     int
	result store.Applied
}

// Apply implements store.Outbox.
func (s *Store) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	o := &op{changes: items, items: len(items)}
	if err := s.queue.do(ctx, o); err != nil {
		return nil, err
	}
	return o.applied, nil
}

// lockDeliveries reads which versions are stored. A group does so only after it
// failed: as a rule a delivery's shard is the only one to change it, and the
// statement that writes the changes insists on finding every row.
func (g *group) lockDeliveries(b *pgx.Batch) {
	if len(g.changes) == 0 {
		return
	}
	wanted := make(map[key]bool, len(g.changes))
	for _, c := range g.changes {
		wanted[key{c.Delivery.Workspace, c.Delivery.ID}] = true
	}
	in, id := columns(wanted)
	b.Queue(`SELECT i.ws, i.id, d.version FROM unnest($1::bytea[], $2::bytea[]) i(ws, id)
		CROSS JOIN LATERAL (SELECT d.version FROM deliveries d WHERE d.workspace = i.ws AND d.id = i.id FOR NO KEY UPDATE) d`, in, id).
		Query(each(func(r pgx.Rows) error {
			var k key
			var version int32
			err := r.Scan((*id16)(&k.in), (*id16)(&k.id), &version)
			g.held.versions[k] = version
			return err
		}))
}

func (g *group) decideChange(c *change) {
	k := key{c.Delivery.Workspace, c.Delivery.ID}
	c.result.Verdict = store.Done
	if g.careful {
		version, there := g.held.versions[k]
		switch {
		case !there:
			c.result.Verdict = store.Missing
		case version != c.Delivery.Version-1:
			c.result.Verdict = store.Conflict
		}
	}
	if c.result.Verdict == store.Done {
		switch {
		case !g.fits(c.Fence):
			c.result.Verdict = store.Fenced
		case c.Guard != nil:
			c.result.Verdict = g.seen(c.Guard, c.Delivery.Workspace, c.Delivery.Contact)
		}
	}
	if c.result.Verdict != store.Done {
		g.blocked = true
		return
	}
	g.held.versions[k] = c.Delivery.Version
	g.events.add(c.Events)
}

// fits reports whether the lease of a fence is held; nil has none.
func (g *group) fits(f *store.Fence) bool {
	if f == nil {
		return true
	}
	l := g.held.leases[f.Connector]
	return l.token == f.Token && l.expires > g.held.now
}

// seen judges whether a person and the configuration are as a guard says.
func (g *group) seen(guard *store.Guard, ws message.WorkspaceID, who message.ContactID) store.Verdict {
	p := g.held.contacts[key{ws, who}]
	if p == nil || !p.there || p.version != guard.Contact || g.held.configs[ws] != guard.Config {
		return store.Guarded
	}
	return store.Done
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
		if c.result.Verdict != store.Done {
			continue
		}
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

// applyRound queues the statements of changes to different deliveries. The
// first divides by zero unless it finds every row at the version it must have:
// the group is then run again, carefully.
func (g *group) applyRound(b *pgx.Batch, list []*change) {
	r := newRows(len(list))
	buffer := make([]byte, 0, 384*len(list))
	open, closing := &refColumns{}, &refColumns{}
	for i, c := range list {
		buffer = r.set(i, c.Delivery, &c.Connector, c.Ready, buffer)
		for j := range c.Open {
			open.add(int32(i), &c.Open[j])
		}
		for j := range c.Close {
			closing.close(&c.Close[j], c.Delivery)
		}
	}
	b.Queue(`WITH u AS (UPDATE deliveries d SET version = i.version, state = i.state, connector = i.connector, lane = nullif(i.lane, -1),
				sending = i.sending, due = nullif(i.due, 0), track = i.track
			FROM unnest($1::bytea[], $2::bytea[], $3::int[], $4::smallint[], $5::bytea[], $6::smallint[], $7::bool[], $8::bigint[], $9::bytea[])
				i(ws, id, version, state, connector, lane, sending, due, track)
			WHERE d.workspace = i.ws AND d.id = i.id AND d.version = i.version - 1 RETURNING 1)
		SELECT 1 / (count(*) = $10)::int FROM u`,
		r.ws, r.id, r.version, r.state, r.connector, r.lane, r.sending, r.due, r.track, len(list))
	if len(closing.key) > 0 {
		b.Queue(`DELETE FROM refs r USING unnest($1::bytea[], $2::bytea[], $3::bytea[]) c(connector, key, message)
			WHERE r.connector = c.connector AND r.key = c.key AND r.message = c.message`, closing.connector, closing.key, closing.message)
	}
	if len(open.n) > 0 {
		open.write(b, list, g.careful)
	}
}

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

func (c *refColumns) close(r *store.RefName, d *message.Delivery) {
	c.connector, c.key, c.message = append(c.connector, r.Connector[:]), append(c.key, r.Key[:]), append(c.message, d.ID[:])
}

// write queues the insert of refs and the look-up of the receipts parked for
// them. A receipt parked by addresses is given only while the ref is the one
// open that its time fits.
func (c *refColumns) write(b *pgx.Batch, list []*change, careful bool) {
	again := ""
	if careful {
		again = " ON CONFLICT (key, connector, message, step, attempt, part) DO UPDATE SET at = excluded.at, expires_at = excluded.expires_at"
	}
	b.Queue(`INSERT INTO refs (connector, key, workspace, message, step, attempt, part, inferred, at, expires_at)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::smallint[], $6::int[], $7::smallint[], $8::bool[], $9::bigint[], $10::bigint[])`+again,
		c.connector, c.key, c.ws, c.message, c.step, c.attempt, c.part, c.inferred, c.at, c.expires)
	b.Queue(parkedForSQL, c.n, c.connector, c.key, c.ws, c.message, c.step, c.attempt, c.part, c.inferred, c.at, c.expires, skew.Microseconds()).
		Query(each(func(r pgx.Rows) error {
			var n int32
			var p parkedRow
			if err := r.Scan(append([]any{&n}, p.into()...)...); err != nil {
				return err
			}
			to := &list[n].result
			to.Parked = append(to.Parked, p.parked())
			return nil
		}))
}

const parkedForSQL = `SELECT DISTINCT ON (k.parked) o.n, ` + parkedColumns + `
	FROM unnest($1::int[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::smallint[], $7::int[], $8::smallint[], $9::bool[], $10::bigint[], $11::bigint[])
		o(n, connector, key, ws, message, step, attempt, part, inferred, at, expires)
	CROSS JOIN LATERAL (SELECT k.parked FROM parked_keys k WHERE k.connector = o.connector AND k.key = o.key AND k.inferred = o.inferred OFFSET 0) k
	JOIN LATERAL (SELECT * FROM parked p WHERE p.id = k.parked OFFSET 0) p ON p.workspace IN (o.ws, decode(repeat('00', 16), 'hex'))
	WHERE NOT o.inferred OR (o.at <= p.at + $12 AND o.expires >= p.at
		AND NOT EXISTS (SELECT 1 FROM refs r WHERE r.connector = o.connector AND r.key = o.key AND r.inferred
			AND r.at <= p.at + $12 AND r.expires_at >= p.at AND (r.message, r.step, r.attempt, r.part) <> (o.message, o.step, o.attempt, o.part)))
	ORDER BY k.parked, o.n`
