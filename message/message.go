// Package message is the vocabulary of Parley: what a message, a receipt, a
// fault and a delivery are, and the laws of their states. It holds nouns and
// pure rules only: no clock, no I/O, nothing but the standard library, so that
// every other room may import it.
//
// Start with [Outbound] (what a connector is handed), [Delivery] (the life of
// one message) and [Fault] (why something did not work).
package message

import "time"

// A Channel is a medium a person can be reached on.
type Channel string

// The channels built so far.
const (
	WhatsApp Channel = "whatsapp"
	SMS      Channel = "sms"
)

// Phone is the pseudo channel of identities that are telephone numbers: one
// number serves WhatsApp, SMS and every other channel addressed by number.
const Phone Channel = "phone"

// A Purpose says why a brand writes. It is mandatory on everything sent:
// law, price, priority and fallback depend on it.
type Purpose string

// The four purposes, most urgent first.
const (
	Authentication Purpose = "authentication"
	Service        Purpose = "service"
	Utility        Purpose = "utility"
	Marketing      Purpose = "marketing"
)

// Purposes lists every purpose, most urgent first.
var Purposes = [...]Purpose{Authentication, Service, Utility, Marketing}

// A Priority orders work in a lane: lower goes first.
type Priority uint8

// Priority gives the place of a purpose in every queue: authentication,
// service, utility, marketing. An unknown purpose goes last.
func (p Purpose) Priority() Priority {
	for i, q := range Purposes {
		if p == q {
			return Priority(i)
		}
	}
	return Priority(len(Purposes))
}

// Valid reports whether p is one of the four purposes.
func (p Purpose) Valid() bool { return p.Priority() < Priority(len(Purposes)) }

// An Address is one channel-scoped address of a person: a phone number
// (channel Phone, E.164 with its plus), or an id that a channel gave.
// It is personal: it is never stored, logged or put into an error in the clear.
type Address struct {
	Channel Channel // Phone for telephone numbers
	Scope   string  // business portfolio, page or app the id belongs to; "" for phone numbers
	ID      string
}

// A Sender is the brand's own end on a channel, as a connector needs it.
type Sender struct {
	ID      SenderID
	Channel Channel
	Address string // phone number id, short code, alphanumeric id …
}

// An Outbound is one message as one connector is to send it once. Content has
// already been fitted to the channel. It lives in memory only.
type Outbound struct {
	Message   MessageID
	Workspace WorkspaceID
	Echo      string // comes back in receipts where the provider echoes; see Echo
	To        Address
	From      Sender
	Purpose   Purpose
	Content   Content
	Template  *TemplateUse  // sent instead of Content's body when not nil
	ReplyTo   string        // provider's id of the message replied to; "" = none
	ValidFor  time.Duration // how long the provider should keep trying; 0 = its default
	Priority  Priority
}

// An Accepted is a provider's immediate answer to a send: it took the message.
type Accepted struct {
	Parts  []string // the provider's id of each part; one for most channels
	WaID   string   // canonical address the provider answered, when it differs; personal
	Held   bool     // accepted but held by the provider (WhatsApp pacing)
	Detail string   // provider's word, never personal
}

// Money is an amount in millionths of a currency unit.
type Money struct {
	Micros   int64
	Currency string // ISO 4217; "" = unknown
}
