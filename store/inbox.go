package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Inbox keeps what providers told us.
type Inbox interface {
	// Keep stores raw callbacks before they are answered.
	Keep(ctx context.Context, items []*Callback) error
	// Kept reads callbacks not yet done that were kept before the given time,
	// oldest first: what a node left undone.
	Kept(ctx context.Context, before time.Time, limit int) ([]*Callback, error)
	// Finish deletes callbacks whose work is done.
	Finish(ctx context.Context, ids []message.EventID) error
	// Defer counts a failed reading of a callback and stores why; after it,
	// Kept gives the callback only from the given time on. A zero time sets it
	// aside for good (kept until purged, counted by Books).
	Defer(ctx context.Context, id message.EventID, why string, until time.Time) error

	// Match finds what receipts are about. A lookup that finds nothing parks
	// its receipt in the same write, so that a ref opened at the same moment
	// finds it (Apply) or it finds the ref; an implementation where both may
	// miss must find the pair within Rematch.
	Match(ctx context.Context, items []*Lookup) ([]Matched, error)
	// Unpark deletes parked receipts that were joined into their deliveries.
	Unpark(ctx context.Context, ws message.WorkspaceID, ids []message.EventID) error
	// Rematch gives parked receipts that a ref is open for (they stay until
	// Unpark), and takes those that expired before now without one.
	Rematch(ctx context.Context, now time.Time, limit int) (found []Rematched, lost []Parked, err error)

	// Receive stores messages people sent us, with the contact if it is new,
	// the window they open and their events. Verdicts: Done, Duplicate,
	// StaleContact, IdentityTaken.
	Receive(ctx context.Context, items []*Reception) ([]Verdict, error)
}

// A Callback is one raw HTTP request of a provider.
type Callback struct {
	ID        message.EventID
	Workspace message.WorkspaceID
	Connector message.ConnectorID
	At        time.Time
	Day       int32  // of the daily key
	Sealed    []byte // the body
	Tries     int
}

// A Lookup asks what a receipt is about.
type Lookup struct {
	Workspace message.WorkspaceID
	Connector message.ConnectorID
	Keys      []message.RefKey // spellings of the provider's id
	Inferred  message.RefKey   // key made of addresses; zero = cannot be inferred
	// At is the receipt's time: it chooses among reused ids, and a receipt fits
	// an inferred ref only from a minute before the ref's At to its Expires.
	At   time.Time
	Park *Parked // stored when nothing is found; nil = do not park
}

// A Matched answers a Lookup.
type Matched struct {
	Found    bool
	Ref      OpenRef
	Inferred bool // found by addresses alone, fitting exactly one unknown attempt
}

// A Parked is a receipt that came before the id it is about.
type Parked struct {
	ID        message.EventID
	Workspace message.WorkspaceID
	Connector message.ConnectorID
	Keys      []message.RefKey
	Inferred  message.RefKey
	At        time.Time
	Expires   time.Time
	Day       int32
	Sealed    []byte // the receipt
}

// A Rematched is a parked receipt and the ref that fits it now.
type Rematched struct {
	Parked Parked
	Match  Matched
}

// A Reception is one inbound message.
type Reception struct {
	Dedup      [16]byte  // keyed hash of connector and event id
	Forget     time.Time // when Dedup may be forgotten
	Message    *Message
	NewContact *NewContact
	Identities []Identity // further identities of the contact, added if new
	Window     *Window    // opened or renewed; a late one never shortens it
	Suppress   []Suppression
	Allow      []Suppression // taken away
	Media      []*MediaFile  // files it brings, still to be fetched
	Events     []Event
}
