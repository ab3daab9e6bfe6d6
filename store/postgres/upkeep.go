package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

// Backup implements store.Upkeep: a server is not copied by its client.
func (s *Store) Backup(context.Context, string) error {
	return fmt.Errorf("%w: back PostgreSQL up with its own tools (pg_basebackup or pg_dump)", store.ErrUnavailable)
}

// ended is true of messages m that nothing of ours moves any more.
const ended = `NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.workspace = m.workspace AND d.id = m.id AND d.state < 5)`

// Purge implements store.Upkeep. Each kind has its own transaction, and rows
// that others hold are left for the next time.
func (s *Store) Purge(ctx context.Context, p store.Purge) (int, error) {
	if p.Batch <= 0 {
		p.Batch = 500
	}
	var only [][]byte
	if !p.Workspace.IsZero() {
		only = [][]byte{p.Workspace[:]}
	}
	defer s.tail.forget()
	total := 0
	for _, k := range []struct {
		before time.Time
		sql    string // $1 the time, $2 the batch, $3 the workspace; gives how many rows went
		each   bool   // a workspace at a time
	}{
		{p.Messages, `WITH m AS (DELETE FROM messages m WHERE m.ctid = ANY(ARRAY(SELECT m.ctid FROM messages m WHERE m.workspace = $3 AND m.created_at < $1 AND ` + ended + `
				ORDER BY m.created_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING m.workspace, m.id),
			d AS (DELETE FROM deliveries d WHERE d.ctid = ANY(ARRAY(SELECT x.at FROM m CROSS JOIN LATERAL
				(SELECT y.ctid AS at FROM deliveries y WHERE y.workspace = m.workspace AND y.id = m.id OFFSET 0) x)) RETURNING 1),
			c AS (DELETE FROM charges c WHERE c.ctid = ANY(ARRAY(SELECT x.at FROM m CROSS JOIN LATERAL
				(SELECT y.ctid AS at FROM charges y WHERE y.workspace = m.workspace AND y.message = m.id OFFSET 0) x)) RETURNING 1)
			SELECT (SELECT count(*) FROM m) + (SELECT count(*) FROM d) + (SELECT count(*) FROM c)`, true},
		{p.Content, `WITH m AS (UPDATE messages m SET sealed = NULL WHERE m.ctid = ANY(ARRAY(SELECT m.ctid FROM messages m
				WHERE m.workspace = $3 AND m.sealed IS NOT NULL AND m.created_at < $1 AND ` + ended + ` ORDER BY m.created_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1)
			SELECT count(*) FROM m`, true},
		// Only the oldest stretch of the workspace's log is looked at, so that a
		// purge with nothing to do stays cheap. Whole packs go: what every reader
		// has passed and no pending webhook of the workspace stands behind.
		{p.Events, `WITH passed AS MATERIALIZED (SELECT epoch, xid, seq FROM cursors
				UNION ALL SELECT epoch, pg_snapshot_xmin(pg_current_snapshot()), -1 FROM epochs
				UNION ALL SELECT w.epoch, w.xid, w.seq - 1 FROM endpoints p CROSS JOIN LATERAL (SELECT w.epoch, w.xid, w.seq FROM webhooks w
					WHERE w.endpoint = p.id AND NOT w.dead ORDER BY w.epoch, w.xid, w.seq LIMIT 1) w WHERE p.workspace = $3
				ORDER BY 1, 2, 3 LIMIT 1),
			e AS (DELETE FROM events e WHERE e.ctid = ANY(ARRAY(SELECT o.place FROM (SELECT e.ctid AS place, e.at AS stamp, e.epoch, e.xid, e.seq FROM events e
				WHERE e.workspace = $3 AND (e.epoch, e.xid, e.seq) <= ((SELECT epoch FROM passed), (SELECT xid FROM passed), (SELECT seq FROM passed))
				ORDER BY e.workspace, e.epoch, e.xid, e.seq LIMIT $2) o
				WHERE o.stamp < $1 AND (o.epoch, o.xid, o.seq | 65535) <= ((SELECT epoch FROM passed), (SELECT xid FROM passed), (SELECT seq FROM passed)))) RETURNING 1)
			SELECT count(*) FROM e`, true},
		{p.Webhooks, simply("webhooks", "workspace = $3 AND dead AND created_at < $1 AND last_at < $1", "created_at"), true},
		{p.Webhooks, simply("webhook_packs", "workspace = $3 AND at < $1", "at"), true},
		{p.Callbacks, simply("callbacks", "due IS NULL AND at < $1", "at"), false},
		{p.Media, purgeMedia, false},
		{p.Media, simply("links", "expires_at < $1", "expires_at"), false},
		{p.Idempotency, simply("idempotency", "expires_at < $1", "expires_at"), false},
		{p.Dedup, simply("dedup", "forget_at < $1", "forget_at"), false},
		{p.Refs, simply("refs", "expires_at < $1", "expires_at"), false},
	} {
		if k.before.IsZero() {
			continue
		}
		// The rest is not a workspace's: it is done once.
		ids, args := [][]byte{nil}, []any{micros(k.before), p.Batch}
		if k.each {
			if ids = only; ids == nil {
				if err := s.query(ctx, func(r pgx.Rows) error {
					var id []byte
					err := r.Scan(&id)
					ids = append(ids, id)
					return err
				}, `SELECT id FROM workspaces`); err != nil {
					return total, err
				}
			}
		}
		for _, id := range ids {
			with := args
			if k.each {
				with = append(args[:2:2], id)
			}
			var n int
			err := s.tx(ctx, func(tx pgx.Tx) error {
				return tx.QueryRow(ctx, k.sql, with...).Scan(&n)
			})
			if err != nil {
				return total, err
			}
			total += n
		}
	}
	return total, nil
}

// simply deletes rows of a table that fulfil a condition, oldest first.
func simply(table, condition, order string) string {
	return fmt.Sprintf(`WITH x AS (DELETE FROM %[1]s WHERE ctid = ANY(ARRAY(SELECT ctid FROM %[1]s WHERE %[2]s ORDER BY %[3]s LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1)
		SELECT count(*) FROM x`, table, condition, order)
}
