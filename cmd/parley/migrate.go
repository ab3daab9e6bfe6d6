package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/store/postgres"
	"github.com/parley-messaging/parley/store/sqlite"
)

type migrateCmd struct {
	databaseFlags
	RaiseEpoch bool `help:"Begin a new epoch of the event log: for databases that were put back, or failed over, where Parley cannot tell by itself."`
	JSON       bool `name:"json" help:"Print JSON."`
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
	var epoch int64
	if c.RaiseEpoch {
		if epoch, err = app.RaiseEpoch(ctx, o); err != nil {
			return explain(err)
		}
	}
	if c.JSON {
		told := map[string]any{"version": to, "changed": from != to && from >= 0}
		if c.RaiseEpoch {
			told["epoch"] = epoch
		}
		return printJSON(told)
	}
	switch {
	case from == to:
		fmt.Printf("the schema is at version %d: nothing to do\n", to)
	case from == 0:
		fmt.Printf("a database was made, at version %d\n", to)
	default:
		fmt.Printf("the schema is at version %d\n", to)
	}
	if c.RaiseEpoch {
		fmt.Printf("the event log begins epoch %d\n", epoch)
	}
	return nil
}
