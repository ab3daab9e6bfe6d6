package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/parley-messaging/parley/store"
)

// The schema is brought forward by a runner of our own: PRAGMA user_version
// counts the files applied, each in its transaction. A migration library would
// bring a second SQLite driver connection and a table for the same number.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migrations lists the names of the schema's steps in order. Both stores carry
// the same names.
func Migrations() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil // the pattern is constant and good
	}
	for i, name := range names {
		names[i] = name[len("migrations/"):]
	}
	return names
}

// Migrate makes the database at path, or brings its schema forward. It fails
// with store.ErrSchema when the schema is newer than this program and with
// ErrLocked while a server runs.
func Migrate(ctx context.Context, path string) error {
	lock, err := lockFile(path)
	if err != nil {
		return err
	}
	c, err := openWriter(ctx, path, Options{Migrate: true}.withDefaults())
	if err == nil {
		err = c.close()
	}
	return errors.Join(err, lock.release())
}

func checkSchema(c *conn, migrate bool) error {
	names := Migrations()
	have, err := c.pragma("user_version")
	if err != nil {
		return err
	}
	want := int64(len(names))
	switch {
	case have > want:
		return fmt.Errorf("%w: it is at version %d and this program knows %d; use a newer Parley", store.ErrSchema, have, want)
	case have < want && !migrate:
		return fmt.Errorf("%w: it is at version %d of %d; run `parley migrate`", store.ErrSchema, have, want)
	}
	for i := have; i < want; i++ {
		sql, err := migrations.ReadFile("migrations/" + names[i])
		if err != nil {
			return err
		}
		script := fmt.Sprintf("%s\nPRAGMA user_version = %d;", sql, i+1)
		if err := sqlitex.ExecuteScript(c.c, script, nil); err != nil {
			return fmt.Errorf("migration %s: %w", names[i], err)
		}
	}
	return nil
}
