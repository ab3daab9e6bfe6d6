package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, filepath.Join(t.TempDir(), "parley.db"), Options{Now: now, Migrate: true})
	})
}

// TestStoreFromFile reads the log from the file where TestStore reads its end
// from memory, and rows that were written with the commit after where TestStore
// reads what is late.
func TestStoreFromFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, filepath.Join(t.TempDir(), "parley.db"), Options{Now: now, Migrate: true, tail: 1, late: 1})
	})
}

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := Open(context.Background(), path, o)
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
