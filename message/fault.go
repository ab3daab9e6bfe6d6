package message

import (
	"fmt"
	"time"
)

// A FaultKind classes everything that can go wrong with one attempt. It says
// what the engine does; the table is in docs/states.md.
type FaultKind uint8

// The whole taxonomy.
const (
	NoFault       FaultKind = iota
	Transient               // they or the network stumbled: back off, count an attempt
	Throttled               // too fast: slow the lane, count nothing
	Refused                 // this content, never, here: next channel or fail
	WindowClosed            // free text not allowed now: template if given, else next channel
	Unreachable             // this person, not on this channel: remember, next channel
	OptedOut                // this person said no: suppress; marketing never falls back
	Capped                  // the provider limits what this person gets: hold; marketing is never rerouted
	Misconfigured           // our side is broken: pause the connector, keep its queue, alert
)

var faultNames = [...]string{"", "transient", "throttled", "refused", "window_closed", "unreachable", "opted_out", "capped", "misconfigured"}

// FaultKinds lists every kind, for tests that must not forget one.
var FaultKinds = [...]FaultKind{Transient, Throttled, Refused, WindowClosed, Unreachable, OptedOut, Capped, Misconfigured}

// String gives the word clients see.
func (k FaultKind) String() string {
	if int(k) < len(faultNames) {
		return faultNames[k]
	}
	return fmt.Sprintf("fault_%d", k)
}

// MarshalText implements encoding.TextMarshaler.
func (k FaultKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *FaultKind) UnmarshalText(b []byte) error {
	for i, name := range faultNames {
		if name == string(b) {
			*k = FaultKind(i)
			return nil
		}
	}
	return fmt.Errorf("not a fault kind")
}

// A Scope says how far a fault reaches.
type Scope uint8

// The scopes, narrowest first.
const (
	ScopeMessage   Scope = iota // this message only
	ScopeRecipient              // this person on this channel
	ScopePair                   // this sender to this person
	ScopeSender                 // everything from this sender
	ScopeConnector              // everything through this connector account
	ScopeMarketing              // all marketing to this person from this sender
)

var scopeNames = [...]string{"message", "recipient", "pair", "sender", "connector", "marketing"}

// String gives the word clients see.
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return "message"
}

// A Fault is a typed failure of one attempt. Connectors build it from the
// provider's own code, for immediate answers and later receipts alike.
type Fault struct {
	Kind       FaultKind
	Scope      Scope
	Certain    bool          // true: surely nothing was sent; false: the outcome is unknown
	Doubtful   bool          `json:",omitempty"` // Certain, by words that some providers also say after taking the message: marketing is not repeated on them
	RetryAfter time.Duration // provider's wish; 0 = none
	Code       string        // the provider's own code
	Title      string        // the provider's own short title; never personal
	Unmapped   bool          // the code is in no table: the class was guessed
	Request    string        // provider's request id, for its support
	Cause      error         `json:"-"` // for logs of the owner only; may be nil
}

// Error implements error. It never contains content or addresses.
func (f *Fault) Error() string {
	s := f.Kind.String()
	if f.Code != "" {
		s += " " + f.Code
	}
	if f.Title != "" {
		s += ": " + f.Title
	}
	if !f.Certain {
		s += " (outcome unknown)"
	}
	return s
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Cause }
