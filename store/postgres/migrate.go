package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock under which migrations run:
// "parley" in ASCII.
const migrationLock = 0x7061726c6579

// Migrations lists the names of the schema's steps in order. Both stores carry
// the same names.
func Migrations() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil // the pattern is constant and good
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, "migrations/")
	}
	return names
}

// number reads a migration's number, which is the version it leads to.
func number(name string) int {
	n, _ := strconv.Atoi(name[:strings.IndexByte(name+"_", '_')])
	return n
}

// Migrate brings the database at url to this program's schema, each migration
// in its own transaction; nodes that start together wait for one another. It
// gives the versions before and after. It fails with store.ErrSchema when the
// database is newer than the program.
func Migrate(ctx context.Context, url string) (from, to int, err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, 0, fmt.Errorf("postgres: the URL cannot be read: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // may lead through a pooler
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, 0, unavailable(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	names := Migrations()
	for i, name := range names {
		at, err := step(ctx, conn, name, number(names[len(names)-1]))
		if err != nil {
			return from, to, err
		}
		if i == 0 {
			from = at
		}
		to = max(at, number(name))
	}
	return from, to, nil
}

// step applies one migration if it is missing. The lock belongs to the
// transaction, so that a pooler cannot leave it behind.
func step(ctx context.Context, conn *pgx.Conn, name string, newest int) (int, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, unavailable(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	const prepare = `SELECT pg_advisory_xact_lock(%d);
SET LOCAL client_min_messages = warning;
CREATE TABLE IF NOT EXISTS parley_schema (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`
	if _, err := tx.Exec(ctx, fmt.Sprintf(prepare, migrationLock), pgx.QueryExecModeSimpleProtocol); err != nil {
		return 0, unavailable(err)
	}
	at, err := version(ctx, tx)
	if err != nil {
		return 0, err
	}
	if at > newest {
		return at, fmt.Errorf("%w: the database is at version %d, this program at %d", store.ErrSchema, at, newest)
	}
	if at < number(name) {
		text, err := migrations.ReadFile("migrations/" + name)
		if err != nil {
			return at, err
		}
		if _, err := tx.Exec(ctx, string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
			return at, fmt.Errorf("%s: %w", name, unavailable(err))
		}
		if _, err := tx.Exec(ctx, "INSERT INTO parley_schema (version, name) VALUES ($1, $2)", number(name), name); err != nil {
			return at, unavailable(err)
		}
	}
	return at, unavailable(tx.Commit(ctx))
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func version(ctx context.Context, q querier) (int, error) {
	var at int
	err := q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM parley_schema").Scan(&at)
	return at, unavailable(err)
}

// checkVersion fails with store.ErrSchema unless the schema is this program's.
func checkVersion(ctx context.Context, q querier) error {
	names := Migrations()
	want := number(names[len(names)-1])
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass('parley_schema') IS NOT NULL").Scan(&there); err != nil {
		return unavailable(err)
	}
	at := 0
	if there {
		var err error
		if at, err = version(ctx, q); err != nil {
			return err
		}
	}
	switch {
	case at > want:
		return fmt.Errorf("%w: it is at version %d and this program knows %d; use a newer Parley", store.ErrSchema, at, want)
	case at < want:
		return fmt.Errorf("%w: it is at version %d of %d; run `parley migrate`", store.ErrSchema, at, want)
	}
	return nil
}
