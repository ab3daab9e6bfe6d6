package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Webhooks keeps customers' endpoints and what is to be delivered to them.
type Webhooks interface {
	PutEndpoint(ctx context.Context, e *Endpoint) error
	Endpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) (*Endpoint, error)
	// Endpoints lists those of a workspace; the zero id lists all.
	Endpoints(ctx context.Context, ws message.WorkspaceID) ([]*Endpoint, error)
	// SetEndpointHealth notes how tries at an endpoint go and leaves the rest of
	// it alone: since when every one fails (zero = they do not) and why it is
	// disabled ("" = it is not). ErrNotFound: it was deleted, and stays so.
	SetEndpointHealth(ctx context.Context, ws message.WorkspaceID, id message.EndpointID, failingAt time.Time, disabled string) error
	DeleteEndpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) error

	// Enqueue writes delivery rows and moves the reader's cursor in one
	// transaction; rows already there are left alone. An implementation may know
	// them by the cursor saved before, at or behind which every row was written.
	Enqueue(ctx context.Context, reader string, c Cursor, rows []*WebhookDelivery) error
	// Claim leases deliveries of one endpoint that are due, in log order, to
	// owner until the given time. It gives none of an endpoint whose earlier
	// delivery of the same message is still pending (order per message).
	Claim(ctx context.Context, endpoint message.EndpointID, owner string, now, until time.Time, limit int) ([]*WebhookDelivery, error)
	// NextDelivery gives when an endpoint's earliest pending delivery is due;
	// zero when nothing is pending.
	NextDelivery(ctx context.Context, endpoint message.EndpointID) (time.Time, error)
	// Settle records tries; each row must still be leased to owner.
	Settle(ctx context.Context, owner string, tries []*WebhookTry) error
	// DeliveryList pages through an endpoint's deliveries, newest first.
	DeliveryList(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, state string, before message.DeliveryID, limit int) ([]*WebhookDelivery, error)
	// Replay makes deliveries pending again: by ids, or all of an endpoint in a
	// span of event times when ids is empty. It gives how many.
	Replay(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, ids []message.DeliveryID, from, to, now time.Time) (int, error)
}

// An Endpoint is a customer's webhook address.
type Endpoint struct {
	ID        message.EndpointID
	Workspace message.WorkspaceID
	URL       string
	Sealed    []byte    // signing secrets, under the workspace's key
	Types     []string  // event types wanted; empty = all
	Batch     int       // events in one request; 0 or 1 = one
	Disabled  string    // why; "" = enabled
	FailingAt time.Time // since when every try fails; zero = not failing
	CreatedAt time.Time
}

// The states of a webhook delivery.
const (
	WebhookPending   = "pending"
	WebhookDelivered = "delivered"
	WebhookDead      = "dead"
)

// A WebhookDelivery is one event for one endpoint.
type WebhookDelivery struct {
	ID        message.DeliveryID
	Workspace message.WorkspaceID
	Endpoint  message.EndpointID
	Event     Event  // as logged; read back from the log or kept beside
	Place     Cursor // Enqueue: the event's own cursor, as the log gave it; else empty
	State     string
	Tries     int
	NextAt    time.Time
	CreatedAt time.Time
	LastAt    time.Time
	Status    int    // last HTTP status; 0 = none
	Error     string // last failure, never personal
}

// A WebhookTry is the outcome of one try.
type WebhookTry struct {
	ID       message.DeliveryID
	Endpoint message.EndpointID
	At       time.Time
	State    string    // new state
	NextAt   time.Time // when pending
	Status   int
	Error    string
}
