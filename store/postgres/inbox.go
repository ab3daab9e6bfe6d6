package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Keep implements store.Inbox.
func (s *Store) Keep(ctx context.Context, items []*store.Callback) error {
	return s.queue.do(ctx, &op{callbacks: items, items: len(items)})
}

// Finish implements store.Inbox.
func (s *Store) Finish(ctx context.Context, list []message.EventID) error {
	return s.queue.do(ctx, &op{finished: list, items: len(list)})
}

func (g *group) writeCallbacks(b *pgx.Batch) {
	if n := len(g.callbacks); n > 0 {
		id, ws, connector, sealed := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
		at, day, tries := make([]int64, n), make([]int32, n), make([]int32, n)
		list := slices.Clone(g.callbacks)
		slices.SortStableFunc(list, func(a, b *store.Callback) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		for i, c := range list {
			id[i], ws[i], connector[i], sealed[i] = c.ID[:], c.Workspace[:], c.Connector[:], c.Sealed
			at[i], day[i], tries[i] = micros(c.At), c.Day, int32(c.Tries)
		}
		b.Queue(`INSERT INTO callbacks (id, workspace, connector, at, due, day, sealed, tries)
			SELECT i.id, i.ws, i.connector, i.at, 0, i.day, i.sealed, i.tries
			FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[], $5::int[], $6::bytea[], $7::int[]) i(id, ws, connector, at, day, sealed, tries)
			ON CONFLICT DO NOTHING`, id, ws, connector, at, day, sealed, tries)
	}
	if len(g.finished) > 0 {
		list := ids(g.finished)
		slices.SortFunc(list, bytes.Compare)
		b.Queue(`DELETE FROM callbacks c USING (SELECT x.at AS place FROM unnest($1::bytea[]) i(id)
			CROSS JOIN LATERAL (SELECT y.ctid AS at FROM callbacks y WHERE y.id = i.id OFFSET 0) x) l WHERE c.ctid = l.place`, list)
	}
}

// Kept implements store.Inbox.
func (s *Store) Kept(ctx context.Context, before time.Time, limit int) (list []*store.Callback, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		c := &store.Callback{}
		var at int64
		err := r.Scan((*id16)(&c.ID), (*id16)(&c.Workspace), (*id16)(&c.Connector), &at, &c.Day, &c.Sealed, &c.Tries)
		c.At = instant(at)
		list = append(list, c)
		return err
	}, `SELECT id, workspace, connector, at, day, sealed, tries FROM callbacks
		WHERE due IS NOT NULL AND at < $1 AND due <= $1 ORDER BY at, id LIMIT $2`, micros(before), limit)
	return list, err
}

// Defer implements store.Inbox.
func (s *Store) Defer(ctx context.Context, id message.EventID, why string, until time.Time) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE callbacks SET tries = tries + 1, why = $2, due = nullif($3::bigint, 0) WHERE id = $1`, id[:], why, micros(until)))
	})
}

// one says store.ErrNotFound when a statement touched no row.
func one(tag commandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return err
}

// A lookup is one Lookup in a group: one that found nothing so far.
type lookup struct {
	*store.Lookup
	o      *op
	at     int
	result store.Matched
}

// names gives the keys under which the lookup's ref may be open.
func (l *lookup) names() []key {
	out := make([]key, 0, len(l.Keys)+1)
	for _, k := range l.Keys {
		out = append(out, key{l.Connector, k})
	}
	if l.Inferred != (message.RefKey{}) {
		out = append(out, key{l.Connector, l.Inferred})
	}
	return out
}

// Match implements store.Inbox. Most receipts are found by a reader; the rest
// are looked up again in the transaction that parks them. A ref opened by
// another writer at the same moment may still be missed by both: Rematch finds
// the pair.
func (s *Store) Match(ctx context.Context, items []*store.Lookup) ([]store.Matched, error) {
	out := make([]store.Matched, len(items))
	wanted := make(map[key]bool)
	list := make([]*lookup, len(items))
	for i, l := range items {
		list[i] = &lookup{Lookup: l, at: i}
		for _, k := range list[i].names() {
			wanted[k] = true
		}
	}
	found := make(map[key][]store.OpenRef)
	if len(wanted) > 0 {
		in, keys := columns(wanted)
		if err := s.query(ctx, scanRef(found), refsSQL, in, keys); err != nil {
			return nil, err
		}
	}
	o := &op{}
	var places []int
	for i, l := range list {
		if out[i] = pick(l, found); !out[i].Found && l.Park != nil {
			o.lookups, places = append(o.lookups, l.Lookup), append(places, i)
		}
	}
	if o.items = len(places); o.items == 0 {
		return out, nil
	}
	if err := s.queue.do(ctx, o); err != nil {
		return nil, err
	}
	for i, at := range places {
		out[at] = o.matched[i]
	}
	return out, nil
}

const refsSQL = `SELECT r.connector, r.key, r.workspace, r.message, r.step, r.attempt, r.part, r.inferred, r.at, r.expires_at
	FROM unnest($1::bytea[], $2::bytea[]) i(connector, key)
	CROSS JOIN LATERAL (SELECT * FROM refs r WHERE r.connector = i.connector AND r.key = i.key OFFSET 0) r`

func scanRef(into map[key][]store.OpenRef) func(pgx.Rows) error {
	return func(r pgx.Rows) error {
		var o store.OpenRef
		var step, part int16
		var attempt int32
		var at, expires int64
		err := r.Scan((*id16)(&o.Connector), (*id16)(&o.Key), (*id16)(&o.Workspace), (*id16)(&o.Message), &step, &attempt, &part, &o.Inferred, &at, &expires)
		o.Step, o.Attempt, o.Part, o.At, o.Expires = uint8(step), uint16(attempt), uint8(part), instant(at), instant(expires)
		k := key{o.Connector, o.Key}
		into[k] = append(into[k], o)
		return err
	}
}

func (g *group) readRefs(b *pgx.Batch, wanted map[key]bool) {
	if len(wanted) == 0 {
		return
	}
	in, keys := columns(wanted)
	b.Queue(refsSQL, in, keys).Query(each(scanRef(g.held.refs)))
}

// skew: a provider's clock and its whole seconds may put a receipt a little
// before the ref it is about.
const skew = time.Minute

// pick chooses the ref a lookup is about. When an id was reused, the latest one
// opened before the receipt's time wins, else the earliest; without a time, the
// latest. A key made of addresses must fit exactly one ref open at that time.
func pick(l *lookup, refs map[key][]store.OpenRef) store.Matched {
	ours := func(r *store.OpenRef, inferred bool) bool {
		return r.Inferred == inferred && (l.Workspace.IsZero() || r.Workspace == l.Workspace)
	}
	for _, k := range l.Keys {
		var before, after *store.OpenRef
		list := refs[key{l.Connector, k}]
		for i := range list {
			switch r := &list[i]; {
			case !ours(r, false):
			case l.At.IsZero() || !r.At.After(l.At.Add(skew)):
				if before == nil || r.At.After(before.At) {
					before = r
				}
			case after == nil || r.At.Before(after.At):
				after = r
			}
		}
		if before == nil {
			before = after
		}
		if before != nil {
			return store.Matched{Found: true, Ref: *before}
		}
	}
	if l.Inferred == (message.RefKey{}) {
		return store.Matched{}
	}
	var fit []store.OpenRef
	for _, r := range refs[key{l.Connector, l.Inferred}] {
		if ours(&r, true) && !r.At.After(l.At.Add(skew)) && !r.Expires.Before(l.At) {
			fit = append(fit, r)
		}
	}
	if len(fit) != 1 {
		return store.Matched{}
	}
	return store.Matched{Found: true, Ref: fit[0], Inferred: true}
}

func (g *group) decideLookup(l *lookup) { l.result = pick(l, g.held.refs) }

func (g *group) writeParked(b *pgx.Batch) {
	var list []*store.Parked
	for _, l := range g.lookups {
		if !l.result.Found && l.Park != nil {
			list = append(list, l.Park)
		}
	}
	if len(list) == 0 {
		return
	}
	slices.SortStableFunc(list, func(a, b *store.Parked) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	n := len(list)
	id, ws, connector, inferred, sealed := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	at, expires, day := make([]int64, n), make([]int64, n), make([]int32, n)
	var owner, keys [][]byte
	var byAddress []bool
	for i, p := range list {
		id[i], ws[i], connector[i], inferred[i], sealed[i] = p.ID[:], p.Workspace[:], p.Connector[:], none((*[16]byte)(&p.Inferred)), p.Sealed
		at[i], expires[i], day[i] = micros(p.At), micros(p.Expires), p.Day
		for j := range p.Keys {
			owner, keys, byAddress = append(owner, p.ID[:]), append(keys, p.Keys[j][:]), append(byAddress, false)
		}
		if p.Inferred != (message.RefKey{}) {
			owner, keys, byAddress = append(owner, p.ID[:]), append(keys, p.Inferred[:]), append(byAddress, true)
		}
	}
	b.Queue(`WITH p AS (
			INSERT INTO parked (id, workspace, connector, keys, inferred, at, expires_at, day, sealed)
			SELECT i.id, i.ws, i.connector, (SELECT coalesce(array_agg(k.key), '{}') FROM unnest($9::bytea[], $10::bytea[], $11::bool[]) k(id, key, inferred)
				WHERE k.id = i.id AND NOT k.inferred), i.inferred, i.at, i.expires, i.day, i.sealed
			FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::int[], $8::bytea[])
				i(id, ws, connector, inferred, at, expires, day, sealed)
			ON CONFLICT DO NOTHING RETURNING id, connector
		) INSERT INTO parked_keys (connector, key, inferred, parked)
		SELECT p.connector, k.key, k.inferred, p.id FROM p JOIN unnest($9::bytea[], $10::bytea[], $11::bool[]) k(id, key, inferred) ON k.id = p.id`,
		id, ws, connector, inferred, at, expires, day, sealed, owner, keys, byAddress)
}

const parkedColumns = `p.id, p.workspace, p.connector, p.keys, p.inferred, p.at, p.expires_at, p.day, p.sealed`

// A parkedRow scans parkedColumns.
type parkedRow struct {
	p           store.Parked
	keys        [][]byte
	at, expires int64
}

func (p *parkedRow) into() []any {
	return []any{(*id16)(&p.p.ID), (*id16)(&p.p.Workspace), (*id16)(&p.p.Connector), &p.keys, (*id16)(&p.p.Inferred), &p.at, &p.expires, &p.p.Day, &p.p.Sealed}
}

func (p *parkedRow) parked() store.Parked {
	for _, k := range p.keys {
		p.p.Keys = append(p.p.Keys, message.RefKey(k))
	}
	p.p.At, p.p.Expires = instant(p.at), instant(p.expires)
	return p.p
}

// Unpark implements store.Inbox.
func (s *Store) Unpark(ctx context.Context, ws message.WorkspaceID, list []message.EventID) error {
	if len(list) == 0 {
		return nil
	}
	return s.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH gone AS (DELETE FROM parked p USING (SELECT x.at AS place FROM unnest($2::bytea[]) i(id)
				CROSS JOIN LATERAL (SELECT y.ctid AS at FROM parked y WHERE y.id = i.id AND y.workspace IN ($1, decode(repeat('00', 16), 'hex')) OFFSET 0) x) l
				WHERE p.ctid = l.place RETURNING p.id)
			DELETE FROM parked_keys k USING (SELECT x.at AS place FROM gone
				CROSS JOIN LATERAL (SELECT y.ctid AS at FROM parked_keys y WHERE y.parked = gone.id OFFSET 0) x) l
			WHERE k.ctid = l.place`, ws[:], sorted(list))
		return err
	})
}

// Rematch implements store.Inbox. Two nodes may find the same pair: joining a
// receipt twice is harmless. Lost ones are taken by one node only.
func (s *Store) Rematch(ctx context.Context, now time.Time, limit int) (found []store.Rematched, lost []store.Parked, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		found, lost = nil, nil
		list, err := candidates(ctx, tx, micros(now), limit)
		if err != nil || len(list) == 0 {
			return err
		}
		refs := make(map[key][]store.OpenRef)
		wanted := make(map[key]bool)
		lookups := make([]*lookup, len(list))
		for i := range list {
			p := &list[i]
			lookups[i] = &lookup{Lookup: &store.Lookup{Workspace: p.Workspace, Connector: p.Connector, Keys: p.Keys, Inferred: p.Inferred, At: p.At}}
			for _, k := range lookups[i].names() {
				wanted[k] = true
			}
		}
		in, keys := columns(wanted)
		if err := find(ctx, tx, scanRef(refs), refsSQL, in, keys); err != nil {
			return err
		}
		var gone []message.EventID
		for i, l := range lookups {
			switch m := pick(l, refs); {
			case m.Found:
				found = append(found, store.Rematched{Parked: list[i], Match: m})
			case !list[i].Expires.After(now):
				lost = append(lost, list[i])
				gone = append(gone, list[i].ID)
			}
		}
		if len(gone) == 0 {
			return nil
		}
		b := &pgx.Batch{}
		b.Queue("DELETE FROM parked WHERE id = ANY($1)", ids(gone))
		b.Queue("DELETE FROM parked_keys WHERE parked = ANY($1)", ids(gone))
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, nil, err
	}
	return found, lost, nil
}

// candidates locks parked receipts that a ref is open for or that expired.
func candidates(ctx context.Context, tx pgx.Tx, now int64, limit int) (list []store.Parked, err error) {
	err = find(ctx, tx, func(r pgx.Rows) error {
		var p parkedRow
		err := r.Scan(p.into()...)
		list = append(list, p.parked())
		return err
	}, `WITH c AS MATERIALIZED (
			(SELECT k.parked AS id FROM parked_keys k CROSS JOIN LATERAL (SELECT 1 FROM refs r
				WHERE r.connector = k.connector AND r.key = k.key AND r.inferred = k.inferred LIMIT 1) r LIMIT $2)
			UNION (SELECT p.id FROM parked p WHERE p.expires_at <= $1 ORDER BY p.expires_at LIMIT $2)
		) SELECT `+parkedColumns+` FROM parked p WHERE p.id IN (SELECT c.id FROM c) ORDER BY p.at, p.id FOR UPDATE SKIP LOCKED`, now, limit)
	return list, err
}
