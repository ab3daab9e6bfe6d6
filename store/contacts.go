package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Contacts keeps people: identities by blind index, windows, suppressions.
type Contacts interface {
	// Resolve reads the contacts behind blind indexes with all the engine
	// needs to decide; nil where an index is unknown. Suppressions of an index
	// without a contact come with Suppressed.
	Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*Person, error)
	// Contact reads one person. ErrNotFound; an erased one is found with Erased set.
	Contact(ctx context.Context, ws message.WorkspaceID, id message.ContactID) (*Person, error)
	// ContactList pages through the contacts not erased, newest first.
	ContactList(ctx context.Context, ws message.WorkspaceID, before message.ContactID, limit int) ([]*Person, error)
	// CreateContact fails with ErrExists when an identity is taken.
	CreateContact(ctx context.Context, c *NewContact, events []Event) error
	// SetProfile replaces the sealed profile and raises the version.
	SetProfile(ctx context.Context, ws message.WorkspaceID, id message.ContactID, sealed []byte, events []Event) error
	// AddIdentity fails with ErrExists when it belongs to another contact.
	AddIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, identity Identity, events []Event) error
	// RemoveIdentity takes an identity from a contact.
	RemoveIdentity(ctx context.Context, ws message.WorkspaceID, id message.ContactID, index [16]byte, events []Event) error

	// Remember notes that a channel did not reach an identity, until a time;
	// a zero time forgets it.
	Remember(ctx context.Context, ws message.WorkspaceID, index [16]byte, r Reach) error
	// OpenWindow opens or renews a window (never shortens it) and raises the
	// contact's version; CloseWindow ends it at once (the provider said so).
	OpenWindow(ctx context.Context, ws message.WorkspaceID, contact message.ContactID, w Window, events []Event) error
	CloseWindow(ctx context.Context, ws message.WorkspaceID, contact message.ContactID, identity [16]byte, sender message.SenderID, at time.Time, events []Event) error
	// Suppress adds, Allow takes away; both raise the version of the contact
	// behind the index, if there is one. They work for indexes without contact.
	Suppress(ctx context.Context, s Suppression, events []Event) error
	Allow(ctx context.Context, s Suppression, events []Event) error

	// Erase destroys a contact: its key, profile, identities, windows, sealed
	// content of its messages and of its events. Suppressions stay. Messages,
	// deliveries and charges stay without content. Erasing twice is harmless
	// (Done, then Missing).
	Erase(ctx context.Context, ws message.WorkspaceID, id message.ContactID, at time.Time, events []Event) (Verdict, error)

	// RewrapContacts gives contacts whose key is wrapped under an older version
	// than below, and SetContactKeys stores them wrapped anew.
	RewrapContacts(ctx context.Context, ws message.WorkspaceID, below int32, limit int) ([]*Person, error)
	SetContactKeys(ctx context.Context, ws message.WorkspaceID, keys []ContactKey) error
}

// A Person is a contact as the engine needs it.
type Person struct {
	ID         message.ContactID
	Workspace  message.WorkspaceID
	Version    int64
	Key        []byte // wrapped data key; nil when erased
	KeyVersion int32  // of the workspace key it is wrapped under
	CreatedAt  time.Time
	ErasedAt   time.Time // zero = not erased
	Profile    []byte    // sealed
	Identities []Identity
	Windows    []Window
	Suppressed []Suppression // of any of its identities
	Reach      []Reach
}

// A NewContact is a contact to make, with its identities.
type NewContact struct {
	ID         message.ContactID
	Workspace  message.WorkspaceID
	Key        []byte
	KeyVersion int32
	CreatedAt  time.Time
	Profile    []byte
	Identities []Identity
}

// An Identity is one sealed address of a contact.
type Identity struct {
	Index     [16]byte // blind index of channel, scope and id
	Channel   message.Channel
	Sealed    []byte // the address, under the contact's key
	CreatedAt time.Time
}

// A Window is a span in which free-form content is allowed.
type Window struct {
	Identity [16]byte
	Sender   message.SenderID
	Kind     string // "service" or "entry_point"
	OpenedBy message.MessageID
	OpenedAt time.Time
	ClosesAt time.Time
}

// A Suppression says that an address wants nothing of a kind. It is kept by
// keyed hash, survives erasure and is used for nothing else.
type Suppression struct {
	Workspace message.WorkspaceID
	Index     [16]byte
	Scope     string // "all", "marketing", "channel:sms", "sender:sd_…"
	Reason    string // "keyword:STOP", "provider:131050", "api" …
	At        time.Time
}

// A Reach notes that a channel does not reach an identity for a while.
type Reach struct {
	Index   [16]byte
	Channel message.Channel
	Code    string
	Until   time.Time
}

// A ContactKey is a contact's data key wrapped anew.
type ContactKey struct {
	ID      message.ContactID
	Key     []byte
	Version int32
}
