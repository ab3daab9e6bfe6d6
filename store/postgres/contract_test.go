package postgres

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, func(o *Options) { o.Now = now })
	})
}

// TestContractPooler: the same without prepared statements and session settings.
func TestContractPooler(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, func(o *Options) { o.Now = now; o.Pooler = true; o.ListenURL = o.URL })
	})
}
