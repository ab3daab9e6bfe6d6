package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Epoch implements store.Upkeep. Raising it waits for every transaction that
// appends events under the old epoch, so that none ends up behind a reader.
func (s *Store) Epoch(ctx context.Context, raise bool) (epoch int64, err error) {
	if !raise {
		err = s.row(ctx, []any{&epoch}, "SELECT epoch FROM epochs WHERE id = 1")
		return epoch, err
	}
	s.tail.forget()
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE events IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "UPDATE epochs SET epoch = "+newEpoch+" WHERE id = 1 RETURNING epoch").Scan(&epoch)
	})
	return epoch, err
}

// timeline is the number of the history that a primary writes now, 0 on a
// standby. The control file would tell of the one before until the first
// checkpoint after a promotion.
const timeline = `CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END`

// newEpoch raises the epoch to the seconds of the clock, or by one where that is
// more: a backup may be restored more than once, and no epoch may come twice.
const newEpoch = `greatest(epoch + 1, extract(epoch FROM now())::bigint)`

// The epoch of an event that is appended. Where the server lets us look it is
// NULL on another timeline than the epoch's, which the table refuses: a session
// through a pooler lives on while the server behind it is replaced.
const (
	anyEpoch = `SELECT epoch FROM epochs WHERE id = 1`
	ourEpoch = `SELECT epoch FROM epochs WHERE id = 1 AND timeline = ` + timeline
)

// epoch gives the query of the epoch under which events are appended.
func (s *Store) epoch() string {
	if s.blind.Load() {
		return anyEpoch
	}
	return ourEpoch
}

// moved reports whether events were refused because the server writes another
// timeline than the log's epoch knows.
func moved(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23502" && pg.TableName == "events" && pg.ColumnName == "epoch"
}

// A session is what noticeRestore works on.
type session interface {
	querier
	Begin(ctx context.Context) (pgx.Tx, error)
}

// connected looks at the server of a new connection: after a failover it is
// another one, and the log goes on there in a new epoch before anything is
// written.
func (s *Store) connected(ctx context.Context, conn *pgx.Conn) error {
	if !s.opened.Load() || s.blind.Load() {
		return nil // Open looks for itself, once it knows the schema
	}
	return s.noticeRestore(ctx, conn)
}

// noticeRestore raises the epoch when the data came from another cluster or
// another timeline than this one's: transaction numbers start again or repeat
// there. Where the server does not let us look, the operator raises it.
func (s *Store) noticeRestore(ctx context.Context, conn session) error {
	var cluster, line, was, wasLine int64
	err := conn.QueryRow(ctx, `SELECT s.system_identifier, `+timeline+`, e.cluster, e.timeline FROM pg_control_system() s, epochs e WHERE e.id = 1`).
		Scan(&cluster, &line, &was, &wasLine)
	if err != nil {
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42501" && pg.Code != "42883" { // no right, no such function
			return unavailable(err)
		}
		s.blind.Store(true)
		s.opt.Log.Warn("cannot tell whether the database was restored or failed over: after either raise the log's epoch by hand (parley migrate --raise-epoch)", "cause", err)
		return nil
	}
	if line == 0 {
		return nil // a standby takes no events
	}
	// Another node may have raised the epoch already; what this one holds of the
	// log the other server may not have had.
	if here := cluster*31 + line; s.server.Swap(here) != here {
		s.tail.forget()
	}
	if cluster == was && line == wasLine {
		return nil
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if was != 0 {
		if _, err := tx.Exec(ctx, "LOCK TABLE events IN EXCLUSIVE MODE"); err != nil {
			return unavailable(err)
		}
	}
	// Another connection may have been first.
	tag, err := tx.Exec(ctx, `UPDATE epochs SET epoch = CASE WHEN cluster = 0 THEN epoch ELSE `+newEpoch+` END, cluster = $1, timeline = $2
		WHERE id = 1 AND (cluster, timeline) <> ($1, $2)`, cluster, line)
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err == nil && tag.RowsAffected() == 1 && was != 0 {
		s.opt.Log.Warn("the database was restored, moved or failed over: the log begins a new epoch", "timeline", line)
	}
	return unavailable(err)
}
