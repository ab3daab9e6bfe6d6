// Package store is the seam to data: what Parley needs remembered, told by
// role, and the rows that cross the border. It holds no SQL and no policy.
//
// Two implementations stand below it, sqlite (one machine, the default) and
// postgres (many nodes); storetest is the promise both keep. Stores see only
// sealed values and keyed hashes of anything personal (law 8), and every query
// carries its workspace (law 10).
//
// Start with [Outbox], the hot path.
//
// # Obligations of every implementation
//
// A write that returned without error survives a power cut. Writes of many
// callers share one commit (group commit): each method blocks until its own
// commit is durable, and one item's conflict or bad reference never fails
// another's. Methods are safe for concurrent use, keep nothing they are given,
// and end with ctx where they have not begun to write. When nothing can be
// written (disk full, read-only, connection lost, backlog too long) they fail
// with an error that is [ErrUnavailable]; the outcome of a write whose commit
// was cut is [ErrUncertain]. All times are stored as Unix microseconds, UTC.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors every implementation uses; test with errors.Is.
var (
	// ErrNotFound: no such row in this workspace.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row with this key is already there.
	ErrExists = errors.New("already exists")
	// ErrUnavailable: nothing was written; try again later.
	ErrUnavailable = errors.New("the store cannot write now")
	// ErrUncertain: the commit may or may not have happened.
	ErrUncertain = errors.New("the outcome of the commit is not known")
	// ErrWeak: the database's settings would lose acknowledged writes.
	ErrWeak = errors.New("the database's durability settings are too weak")
	// ErrSchema: the database's schema is newer or older than this program.
	ErrSchema = errors.New("the schema does not fit this version of Parley")
)

// A Store is everything; consumers take the roles they need.
type Store interface {
	Outbox
	Inbox
	Contacts
	Senders
	Workspaces
	Log
	Webhooks
	Ledger
	Media
	Leases
	Upkeep

	// Now reads the database's clock: leases live on it.
	Now(ctx context.Context) (time.Time, error)
	// Ping fails with ErrUnavailable when a write could not be committed now.
	Ping(ctx context.Context) error
	// Backlog tells how many writes wait for a commit and how many the store
	// will take before it answers ErrUnavailable.
	Backlog() (waiting, limit int)
	Close() error
}

// A Verdict is what became of one item of a write.
type Verdict uint8

// The verdicts.
const (
	Done          Verdict = iota + 1
	Replayed              // the idempotency key was used for the same request before
	Mismatch              // the idempotency key was used for another request
	Conflict              // the row is not at the version the caller saw: reload and think again
	Guarded               // contact or configuration changed since the decision: back to the gate
	Fenced                // the lease is not held any more
	StaleContact          // the contact is not there or was erased: resolve again
	IdentityTaken         // another request made this identity first: resolve again
	Duplicate             // this inbound event is already there
	Missing               // no such row
)

var verdictNames = [...]string{"", "done", "replayed", "mismatch", "conflict", "guarded", "fenced", "stale_contact", "identity_taken", "duplicate", "missing"}

// String names the verdict for logs and tests.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}
