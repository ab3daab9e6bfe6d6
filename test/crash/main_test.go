package crash

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/store/postgres"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(bin string) { program = bin }))
}

// database gives the URL of an empty, migrated database on a server of the
// test's own.
func database(t *testing.T) string {
	t.Helper()
	return pgtest.Start(t, migrate).Database(t)
}

// migrate brings a database's schema forward, as a node's first start would.
func migrate(ctx context.Context, url string) error {
	s, err := postgres.Open(ctx, postgres.Options{URL: url, Migrate: true, Node: "migrate", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return err
	}
	return s.Close()
}
