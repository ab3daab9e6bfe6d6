package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Backup implements store.Upkeep: a server is not copied by its client.
func (s *Store) Backup(context.Context, string) error {
	return fmt.Errorf("%w: back PostgreSQL up with its own tools (pg_basebackup or pg_dump)", store.ErrUnavailable)
}

// ended is true of messages m that nothing of ours moves any more.
const ended = `NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.workspace = m.workspace AND d.id = m.id AND d.state < 5)`

// A way says how a purge of one kind goes about.
type way uint8

const (
	forAll      way = iota // once
	byWorkspace            // a workspace at a time: $3
	byID                   // and $4, above every id that may go
	fromFloor              // and $5, below which nothing is left
)

// floor gives the id of a workspace's first message that may have content, as
// far as this node has found out: an index of messages with content would cost
// every message for what a purge looks for now and then.
func (s *Store) floor(ws message.WorkspaceID) []byte {
	v, _ := s.floors.Load(ws)
	id, _ := v.(message.MessageID)
	return id[:]
}

// raiseFloor notes where content begins once all is gone that was made before.
func (s *Store) raiseFloor(ctx context.Context, ws message.WorkspaceID, before time.Time) error {
	var id message.MessageID
	err := s.row(ctx, []any{(*id16)(&id)}, `SELECT m.id FROM messages m WHERE m.workspace = $1 AND m.id < $2 AND m.id >= $3 AND m.sealed IS NOT NULL
		ORDER BY m.id LIMIT 1`, ws[:], idAt(before.Add(24*time.Hour)), s.floor(ws))
	if errors.Is(err, store.ErrNotFound) {
		copy(id[:], idAt(before.Add(-24*time.Hour)))
		err = nil
	}
	if err == nil {
		s.floors.Store(ws, id)
	}
	return err
}

// Purge implements store.Upkeep. Each kind has its own transaction, and rows
// that others hold are left for the next time.
func (s *Store) Purge(ctx context.Context, p store.Purge) (int, error) {
	if p.Batch <= 0 {
		p.Batch = 500
	}
	var only []message.WorkspaceID
	if !p.Workspace.IsZero() {
		only = []message.WorkspaceID{p.Workspace}
	}
	defer s.tail.forget()
	total := 0
	for _, k := range []struct {
		before time.Time
		sql    string // $1 the time, $2 the batch, then what how says; gives how many rows went
		how    way
	}{
		{p.Messages, `WITH m AS (DELETE FROM messages m WHERE m.ctid = ANY(ARRAY(SELECT m.ctid FROM messages m
				WHERE m.workspace = $3 AND m.id < $4 AND m.created_at < $1 AND ` + ended + ` ORDER BY m.id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING m.workspace, m.id),
			d AS (DELETE FROM deliveries d WHERE d.ctid = ANY(ARRAY(SELECT x.at FROM m CROSS JOIN LATERAL
				(SELECT y.ctid AS at FROM deliveries y WHERE y.workspace = m.workspace AND y.id = m.id OFFSET 0) x)) RETURNING 1),
			c AS (DELETE FROM charges c WHERE c.ctid = ANY(ARRAY(SELECT x.at FROM m CROSS JOIN LATERAL
				(SELECT y.ctid AS at FROM charges y WHERE y.workspace = m.workspace AND y.message = m.id OFFSET 0) x)) RETURNING 1)
			SELECT (SELECT count(*) FROM m) + (SELECT count(*) FROM d) + (SELECT count(*) FROM c)`, byID},
		{p.Content, `WITH m AS (UPDATE messages m SET sealed = NULL WHERE m.ctid = ANY(ARRAY(SELECT m.ctid FROM messages m
				WHERE m.workspace = $3 AND m.id < $4 AND m.id >= $5 AND m.sealed IS NOT NULL AND m.created_at < $1 AND ` + ended + `
				ORDER BY m.id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1)
			SELECT count(*) FROM m`, fromFloor},
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
			SELECT count(*) FROM e`, byWorkspace},
		{p.Webhooks, simply("webhooks", "workspace = $3 AND dead AND created_at < $1 AND last_at < $1", "created_at"), byWorkspace},
		{p.Webhooks, simply("webhook_packs", "workspace = $3 AND at < $1", "at"), byWorkspace},
		{p.Callbacks, simply("callbacks", "due IS NULL AND at < $1", "at"), forAll},
		{p.Media, purgeMedia, forAll},
		{p.Media, simply("links", "expires_at < $1", "expires_at"), forAll},
		{p.Idempotency, simply("idempotency", "expires_at < $1", "expires_at"), forAll},
		{p.Dedup, simply("dedup", "forget_at < $1", "forget_at"), forAll},
		{p.Refs, simply("refs", "expires_at < $1", "at"), forAll},
	} {
		if k.before.IsZero() {
			continue
		}
		// The rest is not a workspace's: it is done once.
		list := []message.WorkspaceID{{}}
		if k.how != forAll {
			if list = only; list == nil {
				if err := s.query(ctx, func(r pgx.Rows) error {
					var id message.WorkspaceID
					err := r.Scan((*id16)(&id))
					list = append(list, id)
					return err
				}, `SELECT id FROM workspaces`); err != nil {
					return total, err
				}
			}
		}
		for _, ws := range list {
			args := []any{micros(k.before), p.Batch}
			// Ids sort by the time they were made, a day of clock trouble aside.
			bound := idAt(k.before.Add(24 * time.Hour))
			switch k.how {
			case byWorkspace:
				args = append(args, ws[:])
			case byID:
				args = append(args, ws[:], bound)
			case fromFloor:
				args = append(args, ws[:], bound, s.floor(ws))
			}
			var n int
			err := s.tx(ctx, func(tx pgx.Tx) error {
				return tx.QueryRow(ctx, k.sql, args...).Scan(&n)
			})
			if err == nil && n == 0 && k.how == fromFloor {
				err = s.raiseFloor(ctx, ws, k.before)
			}
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
