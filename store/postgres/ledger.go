package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Charge implements store.Ledger.
func (s *Store) Charge(ctx context.Context, reader string, c store.Cursor, charges []*store.Charge) error {
	type attempt struct {
		ws   message.WorkspaceID
		id   message.MessageID
		step uint8
		n    uint16
	}
	// One statement cannot write one row twice: the last word of the provider
	// wins, else the first estimate.
	last := make(map[attempt]*store.Charge)
	for _, x := range charges {
		k := attempt{x.Workspace, x.Message, x.Step, x.Attempt}
		if last[k] == nil || x.By == "provider" {
			last[k] = x
		}
	}
	list := make([]*store.Charge, 0, len(last))
	for _, x := range last {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *store.Charge) int {
		return cmp.Or(bytes.Compare(a.Workspace[:], b.Workspace[:]), bytes.Compare(a.Message[:], b.Message[:]), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Attempt, b.Attempt))
	})
	first := true // try without looking for charges already there
	return s.tx(ctx, func(tx pgx.Tx) error {
		if len(list) > 0 {
			again := ""
			if !first {
				again = chargedAgain
			}
			first = false
			if err := insertCharges(ctx, tx, list, again); err != nil {
				return err
			}
		}
		return saveCursor(ctx, tx, reader, c)
	})
}

const chargedAgain = ` ON CONFLICT (workspace, message, step, attempt) DO UPDATE SET channel = excluded.channel, purpose = excluded.purpose, country = excluded.country,
	micros = excluded.micros, currency = excluded.currency, source = excluded.source, rule = excluded.rule, at = excluded.at
	WHERE excluded.source = 'provider'`

func insertCharges(ctx context.Context, tx pgx.Tx, list []*store.Charge, again string) error {
	n := len(list)
	ws, ids := make([][]byte, n), make([][]byte, n)
	step, attempt, at, micro := make([]int16, n), make([]int32, n), make([]int64, n), make([]int64, n)
	channel, purpose, country, currency := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	source, rule := make([]string, n), make([]string, n)
	for i, x := range list {
		ws[i], ids[i], step[i], attempt[i], at[i], micro[i] = x.Workspace[:], x.Message[:], int16(x.Step), int32(x.Attempt), micros(x.At), x.Amount.Micros
		channel[i], purpose[i], country[i], currency[i] = string(x.Channel), string(x.Purpose), x.Country, x.Amount.Currency
		source[i], rule[i] = x.By, x.Rule
	}
	_, err := tx.Exec(ctx, `INSERT INTO charges (workspace, message, step, attempt, channel, purpose, country, micros, currency, source, rule, at)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::smallint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bigint[])`+again, ws, ids, step, attempt, channel, purpose, country, micro, currency, source, rule, at)
	return err
}

// Charges implements store.Ledger, in the order of the attempts.
func (s *Store) Charges(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (list []*store.Charge, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		x := &store.Charge{Workspace: ws, Message: id}
		var step int16
		var attempt int32
		var at int64
		err := r.Scan(&step, &attempt, &x.Channel, &x.Purpose, &x.Country, &x.Amount.Micros, &x.Amount.Currency, &x.By, &x.Rule, &at)
		x.Step, x.Attempt, x.At = uint8(step), uint16(attempt), instant(at)
		list = append(list, x)
		return err
	}, `SELECT step, attempt, channel, purpose, country, micros, currency, source, rule, at FROM charges
		WHERE workspace = $1 AND message = $2 ORDER BY step, attempt`, ws[:], id[:])
	return list, err
}

// Costs implements store.Ledger: from a time on and before another.
func (s *Store) Costs(ctx context.Context, ws message.WorkspaceID, from, to time.Time) (list []store.Cost, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		var x store.Cost
		err := r.Scan(&x.Channel, &x.Purpose, &x.Amount.Currency, &x.Amount.Micros, &x.Count)
		list = append(list, x)
		return err
	}, `SELECT channel, purpose, currency, sum(micros)::bigint, count(*) FROM charges WHERE workspace = $1 AND at >= $2 AND at < $3
		GROUP BY channel, purpose, currency ORDER BY channel, purpose, currency`, ws[:], micros(from), micros(to))
	return list, err
}

// Books implements store.Ledger: everything is counted on one snapshot. It
// reads whole tables.
func (s *Store) Books(ctx context.Context, ws message.WorkspaceID) (*store.Books, error) {
	b := &store.Books{States: make(map[message.State]int64), Webhooks: make(map[string]int64)}
	where, args := " WHERE true", []any{}
	if !ws.IsZero() {
		where, args = " WHERE workspace = $1", []any{ws[:]}
	}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		// Counting is what sequential scans are for, and it may take long.
		if _, err := tx.Exec(ctx, `SELECT set_config('enable_seqscan', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)`); err != nil {
			return err
		}
		count := func(sql string, into ...any) error {
			return tx.QueryRow(ctx, sql+where, args...).Scan(into...)
		}
		var pending, dead, arrived int64
		err := cmp.Or(
			count(`SELECT count(*) FILTER (WHERE direction = 1), count(*) FILTER (WHERE direction = 2) FROM messages`, &b.Accepted, &b.Received),
			count(`SELECT count(*) FILTER (WHERE lane IS NOT NULL), count(*) FILTER (WHERE lane IS NULL AND due IS NOT NULL),
				count(*) FILTER (WHERE lane IS NULL AND due IS NULL) FROM (SELECT * FROM deliveries WHERE state < 5) d`, &b.Ready, &b.Waiting, &b.Lost),
			count(`SELECT count(*) FROM refs`, &b.OpenRefs),
			count(`SELECT count(*) FROM parked`, &b.Parked),
			count(`SELECT count(due), count(*) - count(due) FROM callbacks`, &b.Callbacks, &b.SetAside),
			count(`SELECT count(*) FROM charges`, &b.Charges),
			count(`SELECT coalesce(sum(n), 0) FROM events`, &b.Events),
			count(`SELECT coalesce(sum(e.n), 0) FROM (SELECT e.workspace, e.n FROM events e WHERE `+unread(store.WebhookReader)+`
				AND EXISTS (SELECT 1 FROM endpoints n WHERE n.workspace = e.workspace AND n.disabled = '')) e`, &b.Untold),
			count(`SELECT coalesce(sum(e.n), 0) FROM (SELECT e.workspace, e.n FROM events e WHERE `+unread(store.LedgerReader)+`) e`, &b.Unbooked),
			count(`SELECT count(*) FROM (SELECT coalesce(m.workspace, d.workspace) AS workspace FROM (SELECT * FROM messages WHERE direction = 1) m
				FULL JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id WHERE m.id IS NULL OR d.id IS NULL) o`, &b.Orphans),
			find(ctx, tx, func(r pgx.Rows) error {
				var state int16
				var n int64
				err := r.Scan(&state, &n)
				b.States[message.State(state)] = n
				return err
			}, `SELECT state, count(*) FROM deliveries`+where+` GROUP BY state`, args...),
			count(`SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead) FROM webhooks`, &pending, &dead),
			count(`SELECT coalesce(sum(n), 0) FROM webhook_packs`, &arrived),
		)
		for state, n := range map[string]int64{store.WebhookPending: pending, store.WebhookDead: dead, store.WebhookDelivered: arrived} {
			if n > 0 {
				b.Webhooks[state] = n
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// unread is the condition of an event e that a reader of the log has still to
// read; one that never saved its place has them all before it.
func unread(reader string) string {
	at := func(column, start string) string {
		return "coalesce((SELECT " + column + " FROM cursors WHERE reader = '" + reader + "'), " + start + ")"
	}
	return fmt.Sprintf("(e.epoch, e.xid, e.seq + %d) > (", seqLast) + at("epoch", "0") + ", " + at("xid", "'0'::xid8") + ", " + at("seq", "0") + ")"
}
