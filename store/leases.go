package store

import (
	"bytes"
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Leases give connector accounts to nodes (laws 2 and 3), on the database's
// clock.
type Leases interface {
	// Lease takes or renews leases for owner. A connector held by another
	// whose lease has not expired is not given. The token rises each time a
	// connector changes hands, and at each Lease by an owner whose lease had
	// expired.
	Lease(ctx context.Context, owner string, connectors []message.ConnectorID, ttl time.Duration) ([]Lease, error)
	// Release gives leases back at once.
	Release(ctx context.Context, owner string, connectors []message.ConnectorID) error
	// LeaseList shows who holds what.
	LeaseList(ctx context.Context) ([]Lease, error)
	// Wake hints the owners of connectors that work was committed for them;
	// hints are coalesced and may be lost. Woken gives them.
	Wake(ctx context.Context, hints Hints) error
	Woken() <-chan Hint
}

// A Hint says that work was committed for a connector.
type Hint struct {
	Connector message.ConnectorID
	From      message.MessageID // nothing of it is below; zero = it may be anywhere
}

// Hints are coalesced: one for each connector.
type Hints map[message.ConnectorID]message.MessageID

// Add adds a hint to what is there.
func (hs Hints) Add(h Hint) {
	if from, ok := hs[h.Connector]; !ok || bytes.Compare(h.From[:], from[:]) < 0 {
		hs[h.Connector] = h.From
	}
}

// AddAll adds others.
func (hs Hints) AddAll(others Hints) {
	for c, from := range others {
		hs.Add(Hint{c, from})
	}
}

// Take takes one out; ok is false when there is none.
func (hs Hints) Take() (h Hint, ok bool) {
	for c, from := range hs {
		delete(hs, c)
		return Hint{c, from}, true
	}
	return Hint{}, false
}

// A Lease is the right to drive a connector account.
type Lease struct {
	Connector message.ConnectorID
	Owner     string
	Token     int64
	ExpiresAt time.Time     // on the database's clock
	TTL       time.Duration // what was left when the answer was written
}

// Upkeep keeps a store small and whole.
type Upkeep interface {
	// Purge deletes what is older than its time, in one small batch, and gives
	// how many rows went; 0 means nothing is left to purge.
	Purge(ctx context.Context, p Purge) (int, error)
	// Backup writes a consistent copy to a path where the store is a file;
	// others fail with ErrUnavailable.
	Backup(ctx context.Context, path string) error
	// Epoch tells the log's epoch and raises it when raise is set: after a
	// restore into another cluster.
	Epoch(ctx context.Context, raise bool) (int64, error)
}

// A Purge says what may go. Zero times keep everything.
type Purge struct {
	// Workspace whose messages, content, events and webhooks go; zero = all.
	// The rest goes for all workspaces.
	Workspace   message.WorkspaceID
	Messages    time.Time // ended messages, with deliveries and charges, created before
	Content     time.Time // sealed content of ended messages created before
	Events      time.Time // events that every reader has passed and no pending webhook needs
	Webhooks    time.Time // delivered or dead deliveries
	Callbacks   time.Time // callbacks set aside
	Idempotency time.Time // keys that expired before
	Dedup       time.Time // inbound keys to be forgotten before
	Refs        time.Time // open refs that expired before
	Media       time.Time // files and links that expired before
	Batch       int       // rows at most of each kind
}
