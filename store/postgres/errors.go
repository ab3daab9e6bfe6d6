package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-messaging/parley/store"
)

// hints say what to do about the failures an operator meets, by SQLSTATE.
var hints = map[string]string{
	"53300": "the server has no connection left: raise max_connections or lower the store's readers and writers",
	"53100": "the disk of the server is full",
	"53200": "the server is out of memory",
	"57014": "a statement took longer than the limit: look for long locks, slow disks or missing vacuum",
	"55P03": "a lock was held longer than the limit: look for long transactions of others",
	"25006": "the server is read-only: is this a standby?",
	"57P03": "the server starts or stops",
	"57P01": "the server stops",
	"57P02": "the server stopped",
	"28P01": "the password is wrong",
	"28000": "the server does not let this user in",
	"3D000": "the database is not there",
}

// unavailable turns a failure that wrote nothing into store.ErrUnavailable with
// a hint where the cause is one of the server or the way to it; other errors
// keep their nature. The text of the server never holds values of rows.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%w: %w (is the PostgreSQL server reachable?)", store.ErrUnavailable, err)
	}
	if hint, ok := hints[pg.Code]; ok {
		return fmt.Errorf("%w: %w (%s)", store.ErrUnavailable, err, hint)
	}
	switch pg.Code[:2] {
	case "08", "25", "40", "53", "55", "57", "58":
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if pg.Code == "23505" {
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	}
	return fmt.Errorf("postgres: %w", err)
}

// again reports whether a transaction that failed with err may succeed when it
// is run once more: another transaction was in the way.
func again(err error) bool {
	if errors.Is(err, errChange) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01", "23505", changeMissed:
		return true
	}
	return moved(err)
}

// changeMissed is the division by zero of a statement that did not find every
// row it was to change; see applyRound.
const changeMissed = "22012"

// taken reports whether an insert met a key that is there already.
func taken(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
}

// refused reports whether the server itself turned a statement down and the
// session lives on: the transaction is certain not to have been committed.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Severity != "FATAL" && pg.Severity != "PANIC"
}

// commitFailed judges an error of a write whose COMMIT may have been sent.
func commitFailed(err error) error {
	if refused(err) || pgconn.SafeToRetry(err) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", store.ErrUncertain, err)
}
