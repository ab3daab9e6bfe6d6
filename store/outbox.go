package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Outbox keeps what is to be sent and what became of it: the hot path.
type Outbox interface {
	// Accept stores messages to send, each with its delivery, its events, its
	// idempotency key and, where the person is new, its contact, all or
	// nothing per item. The results are in the order of the items.
	//
	// Verdicts: Done; Replayed (Answer and Message are those of the first
	// request); Mismatch; StaleContact; IdentityTaken. Two items under one new
	// key in flight together: the second gets Replayed or Mismatch. A key
	// whose Expires has passed by Created counts as new.
	Accept(ctx context.Context, items []*Acceptance) ([]AcceptResult, error)

	// Recall looks up what an idempotency key gave, writing nothing: Replayed,
	// Mismatch, or Missing.
	Recall(ctx context.Context, ws message.WorkspaceID, key, body [16]byte, now time.Time) (AcceptResult, error)

	// Apply moves deliveries on. An item is written only if the stored version
	// is Delivery.Version-1, the guard and the fence hold; else nothing of it
	// is written. Writing it appends its events, opens and closes refs, and
	// gives the parked receipts that wait for the refs it opens; they stay until
	// Unpark, so that a crash before they are joined loses none.
	//
	// Verdicts: Done, Conflict, Guarded, Fenced, Missing. Two items about one
	// delivery in one call are applied in order.
	Apply(ctx context.Context, items []*Change) ([]Applied, error)

	// Load reads deliveries; the result holds nil where there is none.
	Load(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*Record, error)

	// Ready reads deliveries of one priority that wait in a connector's lane, in
	// order of id, starting after the given place.
	Ready(ctx context.Context, connector message.ConnectorID, after Place, limit int) ([]*Record, error)

	// Due reads deliveries whose Due is not after now and whose current
	// connector is one of owned, or none; earliest first.
	Due(ctx context.Context, owned []message.ConnectorID, now time.Time, limit int) ([]*Record, error)

	// NextDue gives the earliest Due among owned and unowned-by-connector
	// deliveries; zero when nothing waits.
	NextDue(ctx context.Context, owned []message.ConnectorID) (time.Time, error)

	// Attempting reads deliveries of a connector whose current step is in
	// StepSending, whatever state the message is in (an earlier step may have
	// been sent), in order of id after the given one: what a dead owner may have
	// left half done.
	Attempting(ctx context.Context, connector message.ConnectorID, after message.MessageID, limit int) ([]*Record, error)

	// Messages reads messages with their deliveries; nil where there is none.
	Messages(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*Stored, error)

	// List pages through messages of a workspace, newest first.
	List(ctx context.Context, ws message.WorkspaceID, f Filter) ([]*Stored, error)
}

// Direction says who wrote a message.
type Direction uint8

// The directions.
const (
	MT Direction = iota + 1 // we to a person
	MO                      // a person to us
)

// A Message is the part of a message that never changes once stored.
type Message struct {
	ID         message.MessageID
	Workspace  message.WorkspaceID
	Contact    message.ContactID
	Direction  Direction
	Purpose    message.Purpose  // "" for MO
	Channel    message.Channel  // of an MO; "" for MT
	Sender     message.SenderID // the end an MO came to; zero for MT
	Identity   [16]byte         // blind index of the address it goes to or came from
	CreatedAt  time.Time
	ProviderAt time.Time // MO: the provider's time
	Sealed     []byte    // content, template use, metadata … under the contact's key
}

// An Acceptance is one message to take in.
type Acceptance struct {
	Message     *Message
	Delivery    *message.Delivery // Version 1
	Connector   message.ConnectorID
	Ready       bool         // waits in the lane of Connector
	Idempotency *Idempotency // nil = none
	NewContact  *NewContact  // nil: Message.Contact must be there and not erased
	Guard       *Guard       // nil = none; of a NewContact only Config counts
	Fence       *Fence       // nil = none
	Events      []Event
}

// Idempotency is a client's key and the answer to give again.
type Idempotency struct {
	Key     [16]byte // keyed hash of the client's key
	Body    [16]byte // keyed hash of the request
	Answer  []byte   // sealed
	Day     int32    // of the daily key Answer is sealed under
	Created time.Time
	Expires time.Time
}

// An AcceptResult is what became of one Acceptance.
type AcceptResult struct {
	Verdict Verdict
	Message message.MessageID // Replayed: the first message
	Answer  []byte            // Replayed: the sealed answer
	Day     int32             // Replayed
}

// A Change is one move of one delivery.
type Change struct {
	Delivery  *message.Delivery   // the new state; Version is the new version
	Connector message.ConnectorID // whose lane or link it waits for; zero = none
	Ready     bool
	Guard     *Guard
	Fence     *Fence
	Open      []OpenRef
	Close     []RefName
	Events    []Event
}

// A Guard makes a write conditional on what the decision was made with.
type Guard struct {
	Contact int64 // version of the contact
	Config  int64 // version of the workspace's configuration
}

// A Fence makes a write conditional on a lease.
type Fence struct {
	Connector message.ConnectorID
	Token     int64
}

// An Applied is what became of one Change.
type Applied struct {
	Verdict Verdict
	Parked  []Parked // receipts that waited for the refs just opened
}

// A RefName names an open receipt: a keyed hash scoped by connector.
type RefName struct {
	Connector message.ConnectorID
	Key       message.RefKey
}

// An OpenRef says which part of which attempt a provider's id stands for. The
// same key may be open more than once: providers reuse ids.
type OpenRef struct {
	RefName
	Workspace message.WorkspaceID
	Message   message.MessageID
	Step      uint8
	Attempt   uint16
	Part      uint8
	// Inferred marks a key made of addresses instead of a provider id: it may
	// settle an unknown attempt when it fits exactly one by addresses and time,
	// which is from a minute before At to Expires.
	Inferred bool
	At       time.Time
	Expires  time.Time // receipts are not expected any more
}

// A Record is a delivery as the engine needs it.
type Record struct {
	Delivery  *message.Delivery
	Connector message.ConnectorID
	Ready     bool
	Identity  [16]byte
	Sealed    []byte // the message's sealed content
}

// A Place is a position in a lane.
type Place struct {
	Priority message.Priority
	ID       message.MessageID // zero: from the start of this priority
}

// A Stored is a message as it is read.
type Stored struct {
	Message
	Delivery *message.Delivery // nil for MO
}

// A Filter narrows List. Zero fields do not narrow.
type Filter struct {
	Contact   message.ContactID
	State     message.State
	Direction Direction
	Before    message.MessageID // page on: ids smaller than this
	Since     time.Time
	Until     time.Time
	Limit     int // 1..500
}
