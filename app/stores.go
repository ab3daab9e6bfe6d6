package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/postgres"
	"github.com/parley-messaging/parley/store/sqlite"
)

// sqlitePath gives the file of a sqlite: URL; ok is false for other URLs.
func sqlitePath(url string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return "", false
	}
	return strings.TrimPrefix(rest, "//"), true
}

// openStore opens the store a database URL names. alone is true where no
// other node can share it.
func openStore(ctx context.Context, o *Options, now func() time.Time, log *slog.Logger) (s store.Store, alone bool, err error) {
	if path, ok := sqlitePath(o.DatabaseURL); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, false, err
		}
		s, err := sqlite.Open(ctx, path, sqlite.Options{Now: now, Log: log, Migrate: o.Migrate})
		if err != nil {
			return nil, true, err
		}
		return s, true, nil
	}
	if strings.HasPrefix(o.DatabaseURL, "postgres://") || strings.HasPrefix(o.DatabaseURL, "postgresql://") {
		s, err := postgres.Open(ctx, postgres.Options{URL: o.DatabaseURL, ListenURL: o.ListenURL, Pooler: o.Pooler, Migrate: o.Migrate, Node: o.Node, Log: log, Now: now})
		if err != nil {
			return nil, false, err
		}
		return s, false, nil
	}
	return nil, false, fmt.Errorf("database-url must begin with sqlite: or postgres://")
}

// RaiseEpoch begins a new epoch of the event log of a database whose schema is
// this program's, and gives it. PostgreSQL may be in use; the embedded database
// must not be.
func RaiseEpoch(ctx context.Context, o Options) (int64, error) {
	s, _, err := openStore(ctx, &o, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	epoch, err := s.Epoch(ctx, true)
	return epoch, errors.Join(err, s.Close())
}
