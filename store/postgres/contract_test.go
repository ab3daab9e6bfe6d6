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

// TestContractPooler: the same through PgBouncer in transaction mode, where no
// prepared statement and no setting of a session lasts.
func TestContractPooler(t *testing.T) {
	bouncer := server.Bouncer(t, "pgbouncer")
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return open(t, func(o *Options) {
			o.Now, o.Pooler, o.ListenURL = now, true, o.URL
			o.URL = bouncer.URL(o.URL)
		})
	})
}
