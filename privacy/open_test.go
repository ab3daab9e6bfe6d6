package privacy_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
)

func open(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Now: time.Now, Migrate: true})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}
