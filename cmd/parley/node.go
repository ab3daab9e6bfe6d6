package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
)

// databaseFlags say where the database and its keys are; they mean what they
// mean to serve.
type databaseFlags struct {
	DataDir       string     `help:"Folder of the embedded database and its keys." default:"data" env:"PARLEY_DATA_DIR"`
	DatabaseURL   string     `help:"sqlite:PATH or postgres://…; default: sqlite in the data folder." env:"PARLEY_DATABASE_URL"`
	ListenURL     string     `help:"PostgreSQL: direct address, where database-url is a transaction pooler." env:"PARLEY_LISTEN_URL"`
	Pooler        bool       `help:"PostgreSQL: database-url is a transaction pooler." env:"PARLEY_POOLER"`
	MasterKey     app.Secret `help:"Master key; better: master-key-file." env:"PARLEY_MASTER_KEY"`
	MasterKeyFile string     `help:"File of the master key; default: master.key in the data folder." env:"PARLEY_MASTER_KEY_FILE"`
}

// adminFlag says where a running server answers its operator.
type adminFlag struct {
	Admin string `help:"Admin address of a running server, asked where it holds the database." default:"http://127.0.0.1:8081" env:"PARLEY_ADMIN"`
}

func (f *adminFlag) inner() *inner { return innerOf(f.Admin) }

func (f *databaseFlags) options() app.Options {
	return app.Options{
		DataDir: f.DataDir, DatabaseURL: f.DatabaseURL, ListenURL: f.ListenURL, Pooler: f.Pooler,
		MasterKey: f.MasterKey, MasterKeyFile: f.MasterKeyFile,
	}.WithDefaults()
}

// file gives the path of an embedded database; ok is false for PostgreSQL.
func file(o *app.Options) (path string, ok bool) {
	rest, ok := strings.CutPrefix(o.DatabaseURL, "sqlite:")
	return strings.TrimPrefix(rest, "//"), ok
}

var (
	errNoDatabase  = errors.New("there is no database")
	errNoMasterKey = errors.New("there is no master key")
)

// checkPlace fails where a tool would otherwise make what it should look at.
func checkPlace(o *app.Options) error {
	if path, ok := file(o); ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w at %s: give --data-dir or --database-url, or make one with parley serve or parley migrate", errNoDatabase, path)
		}
	}
	if o.MasterKey == "" {
		if _, err := os.Stat(o.MasterKeyFile); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w at %s: give --master-key-file, or PARLEY_MASTER_KEY; parley keys init makes one for a new database", errNoMasterKey, o.MasterKeyFile)
		}
	}
	return nil
}

// openNode opens what is there as a node that runs nothing, makes nothing and
// listens nowhere. Beside running nodes it keeps away from their erasure
// journal: it erases nobody. The caller stops it.
func openNode(ctx context.Context, o app.Options) (*app.App, error) {
	if err := checkPlace(&o); err != nil {
		return nil, err
	}
	o.Migrate = false
	if path, embedded := file(&o); embedded {
		// A lock, a schema or settings that do not fit are told before any key
		// is asked for.
		s, err := sqlite.Open(ctx, path, sqlite.Options{Now: time.Now})
		if err != nil {
			return nil, explain(err)
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	scratch := ""
	if _, embedded := file(&o); !embedded {
		var err error
		if scratch, err = os.MkdirTemp("", "parley-tool-"); err != nil {
			return nil, err
		}
		o.Node = fmt.Sprintf("tool-%d", os.Getpid())
		o.Journal = filepath.Join(scratch, "erasures.journal")
		o.DataDir = scratch
	}
	a, err := app.New(ctx, o, time.Now, slog.New(slog.DiscardHandler))
	if scratch != "" {
		// An open file outlives its name where that matters; elsewhere a few
		// empty bytes stay among the temporary files.
		_ = os.RemoveAll(scratch)
	}
	return a, explain(err)
}

// explain adds what to do to the failures of opening a database.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrSchema):
		return fmt.Errorf("%w; parley migrate brings it forward (stop older servers first)", err)
	case errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("%w; check that the database runs and that --database-url is right", err)
	}
	return err
}

// held reports that a running server keeps the database to itself.
func held(err error) bool { return errors.Is(err, sqlite.ErrLocked) }

// stopNode closes a node of openNode, keeping the first error.
func stopNode(ctx context.Context, a *app.App, err *error) {
	if serr := a.Stop(context.WithoutCancel(ctx)); *err == nil {
		*err = serr
	}
}
