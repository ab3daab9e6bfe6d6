package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/store"
)

// server is shared by the tests of this package; each has its own database.
var server *pgtest.Server

func migrate(ctx context.Context, url string) error {
	_, _, err := Migrate(ctx, url)
	return err
}

func TestMain(m *testing.M) {
	os.Exit(pgtest.Run(m, migrate, func(s *pgtest.Server) { server = s }))
}

func open(t testing.TB, change func(*Options)) *Store {
	t.Helper()
	return openAt(t, server.Database(t), change)
}

func openAt(t testing.TB, url string, change func(*Options)) *Store {
	t.Helper()
	o := Options{URL: url, Now: time.Now}
	if change != nil {
		change(&o)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var _ store.Store = (*Store)(nil)
