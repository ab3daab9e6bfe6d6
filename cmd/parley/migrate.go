package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-messaging/parley/store/postgres"
	"github.com/parley-messaging/parley/store/sqlite"
)

type migrateCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run brings the schema forward, or makes the database.
func (c *migrateCmd) Run(ctx context.Context) error {
	o := c.options()
	if err := o.Validate(); err != nil {
		return err
	}
	var from, to int
	var err error
	if path, embedded := file(&o); embedded {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		to = len(sqlite.Migrations())
		from = -1 // SQLite's runner does not tell
		if _, serr := os.Stat(path); os.IsNotExist(serr) {
			from = 0
		}
		err = sqlite.Migrate(ctx, path)
	} else {
		url := o.DatabaseURL
		if o.ListenURL != "" {
			url = o.ListenURL // a pooler cannot hold the lock of a migration
		}
		from, to, err = postgres.Migrate(ctx, url)
	}
	if err != nil {
		return explain(err)
	}
	if c.JSON {
		return printJSON(map[string]any{"version": to, "changed": from != to && from >= 0})
	}
	switch {
	case from == to:
		fmt.Printf("the schema is at version %d: nothing to do\n", to)
	case from == 0:
		fmt.Printf("a database was made, at version %d\n", to)
	default:
		fmt.Printf("the schema is at version %d\n", to)
	}
	return nil
}
