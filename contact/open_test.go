package contact_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
)

func open(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "parley.db"), sqlite.Options{Now: time.Now, Migrate: true})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}
