package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Ledger keeps charges, which follow from events, and balances the books.
type Ledger interface {
	// Charge writes charges and moves the reader's cursor in one transaction;
	// a charge already there (by message, step, attempt) is replaced when the
	// new one is By "provider".
	Charge(ctx context.Context, reader string, c Cursor, charges []*Charge) error
	Charges(ctx context.Context, ws message.WorkspaceID, id message.MessageID) ([]*Charge, error)
	// Costs sums charges by channel, purpose and currency over a span.
	Costs(ctx context.Context, ws message.WorkspaceID, from, to time.Time) ([]Cost, error)
	// Books counts everything law 13 balances, at one instant.
	Books(ctx context.Context, ws message.WorkspaceID) (*Books, error)
}

// A Charge is what one attempt cost.
type Charge struct {
	Workspace message.WorkspaceID
	Message   message.MessageID
	Step      uint8
	Attempt   uint16
	Channel   message.Channel
	Purpose   message.Purpose
	Country   string
	Amount    message.Money
	By        string // "estimate" or "provider"
	Rule      string // rate card and row, or the provider's word
	At        time.Time
}

// A Cost is a sum of charges.
type Cost struct {
	Channel message.Channel
	Purpose message.Purpose
	Amount  message.Money
	Count   int64
}

// Books are the counts of one workspace, or of all for the zero id.
type Books struct {
	Accepted int64                   // outbound messages stored
	States   map[message.State]int64 // of their deliveries
	// InFlight, counted from where work waits, never by subtraction:
	Ready     int64 // deliveries waiting in a lane
	Waiting   int64 // in flight, not in a lane, with a due time
	Lost      int64 // in flight with neither: must be 0
	OpenRefs  int64
	Parked    int64
	Callbacks int64 // kept and not done
	SetAside  int64 // callbacks that could not be read
	Received  int64 // inbound messages
	Charges   int64
	Webhooks  map[string]int64 // deliveries by state
	Events    int64
	Untold    int64 // events the webhooks' reader has still to read, of workspaces with an enabled endpoint
	Unbooked  int64 // events the ledger's reader has still to read: charges may follow
	Orphans   int64 // messages without delivery or deliveries without message: must be 0
}
