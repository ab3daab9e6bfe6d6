package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Log is the one event log (law 12): every change of state appends to it in
// the transaction that makes the change.
type Log interface {
	// Read gives events after a cursor in log order, and the cursor after the
	// last one given. It never gives an event before one that could still
	// commit ahead of it, and never skips one that committed late. The empty
	// cursor is the start. A zero workspace reads all (for our own readers).
	Read(ctx context.Context, ws message.WorkspaceID, after Cursor, limit int) ([]*LogEvent, Cursor, error)
	// Head gives the cursor after the last event that may be read now.
	Head(ctx context.Context) (Cursor, error)
	// Append logs events that come with no other write.
	Append(ctx context.Context, events []Event) error
	// Changed gives a channel that is closed at the next commit of events that
	// this process hears of. It may be spurious, and on many nodes late: poll too.
	Changed() <-chan struct{}
	// Cursor reads a named reader's saved cursor ("" = at the start).
	Cursor(ctx context.Context, reader string) (Cursor, error)
	SaveCursor(ctx context.Context, reader string, c Cursor) error
}

// The readers of the log whose backlog Books counts. Their names are stored: a
// promise to every version that comes after.
const (
	WebhookReader = "webhooks"
	LedgerReader  = "ledger"
)

// A Cursor is a place in the log; opaque outside the store.
type Cursor string

// An Event is a change of state to be logged.
type Event struct {
	ID        message.EventID
	Workspace message.WorkspaceID
	Type      string // "message.delivered" …
	Message   message.MessageID
	Contact   message.ContactID
	Version   int32 // of the delivery: the order of webhooks of one message
	At        time.Time
	Data      []byte // JSON, nothing personal
	Sealed    []byte // JSON of the personal rest, under the contact's key; nil = none
}

// A LogEvent is an event as read.
type LogEvent struct {
	Event
	Cursor Cursor // the place just after it
}
