package message

import "fmt"

// A State is where a message stands, as clients see it.
type State uint8

// The states of a message. The first six are a good life in order; the other
// four are ends. Who moves a state on, and what a crash does to it, stands in
// docs/states.md.
const (
	Scheduled   State = iota + 1 // waits for its send_at
	Queued                       // waits in a lane, or between two steps
	Sending                      // an attempt is recorded, no answer yet
	Sent                         // a provider took it; receipts are awaited
	Delivered                    // on the person's device
	Read                         // the person opened it
	Failed                       // no step could deliver it
	Expired                      // its expires_in passed first
	Cancelled                    // the client took it back before any attempt
	Unconfirmed                  // sent, and nobody will ever say more
)

var stateNames = [...]string{"", "scheduled", "queued", "sending", "sent", "delivered", "read", "failed", "expired", "cancelled", "unconfirmed"}

// States lists every state of a message.
var States = [...]State{Scheduled, Queued, Sending, Sent, Delivered, Read, Failed, Expired, Cancelled, Unconfirmed}

// String gives the word clients see.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state_%d", s)
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if i > 0 && name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("not a message state")
}

// Ended reports whether s is an end: nothing of ours moves it any more. A late
// receipt still may (see Join).
func (s State) Ended() bool { return s >= Delivered }

// A StepState is where one step of a route stands.
type StepState uint8

// The states of a step.
const (
	StepPending     StepState = iota // not reached yet
	StepQueued                       // waits in a lane
	StepHeld                         // a gate said: not before …
	StepSending                      // an attempt is recorded, no answer yet
	StepUnknown                      // an attempt may or may not have left
	StepSent                         // the provider took it
	StepDelivered                    // on the person's device: the success of the message
	StepRead                         // opened
	StepFailed                       // refused, by us at a gate or by the provider
	StepSkipped                      // never tried, with a reason
	StepExpired                      // the message expired, or the provider gave up
	StepCancelled                    // the client cancelled, or an earlier step succeeded
	StepUnconfirmed                  // sent, and its receipt horizon passed
	StepSuperseded                   // delivered after another step had satisfied the message
	StepRevoked                      // taken back before it arrived
)

var stepNames = [...]string{"pending", "queued", "held", "sending", "unknown", "sent", "delivered", "read", "failed", "skipped", "expired", "cancelled", "unconfirmed", "superseded", "revoked"}

// StepStates lists every state of a step.
var StepStates = [...]StepState{StepPending, StepQueued, StepHeld, StepSending, StepUnknown, StepSent, StepDelivered, StepRead, StepFailed, StepSkipped, StepExpired, StepCancelled, StepUnconfirmed, StepSuperseded, StepRevoked}

// String gives the word clients see.
func (s StepState) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return fmt.Sprintf("step_%d", s)
}

// MarshalText implements encoding.TextMarshaler.
func (s StepState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Waiting reports whether a step has not been tried.
func (s StepState) Waiting() bool { return s <= StepHeld }

// Open reports whether news about the step is still expected: an attempt was
// made and nothing final is known.
func (s StepState) Open() bool { return s == StepSending || s == StepUnknown || s == StepSent }

// Success reports whether the step put the message on the person's device.
func (s StepState) Success() bool {
	return s == StepDelivered || s == StepRead || s == StepSuperseded
}

// A Fact is what is learnt about a step that was tried.
type Fact uint8

// The facts about a step.
const (
	FactAccepted    Fact = iota + 1 // the provider's immediate answer, or a "sent" receipt
	FactDelivered                   // receipt
	FactRead                        // receipt; implies delivered
	FactRefused                     // certain failure, at once or by receipt
	FactExpired                     // the provider gave up in time
	FactLost                        // the outcome is not known
	FactRevoked                     // the provider took it back
	FactUnconfirmed                 // the receipt horizon passed
)

// Facts lists every fact.
var Facts = [...]Fact{FactAccepted, FactDelivered, FactRead, FactRefused, FactExpired, FactLost, FactRevoked, FactUnconfirmed}

// Join is the lattice of law 4: it says where a step that was tried stands
// after a fact, whatever order the facts come in. satisfied says that another
// step had satisfied the message before. Nothing moves backwards: a fact that
// says less than is known leaves the state as it is. Delivered beats every
// failure, because a receipt of delivery is evidence and a failure was a
// belief. The whole table is printed in docs/states.md.
func Join(s StepState, f Fact, satisfied bool) StepState {
	switch s {
	case StepRead, StepSuperseded:
		return s
	case StepDelivered:
		if f == FactRead {
			return StepRead
		}
		return s
	}
	switch f {
	case FactDelivered:
		if satisfied {
			return StepSuperseded
		}
		return StepDelivered
	case FactRead:
		if satisfied {
			return StepSuperseded
		}
		return StepRead
	case FactAccepted:
		if s == StepSending || s == StepUnknown || s == StepQueued || s == StepHeld || s == StepPending {
			return StepSent
		}
	case FactRefused:
		if s.Open() || s == StepUnconfirmed {
			return StepFailed
		}
	case FactExpired:
		if s.Open() || s == StepUnconfirmed {
			return StepExpired
		}
	case FactRevoked:
		if s.Open() || s == StepUnconfirmed {
			return StepRevoked
		}
	case FactLost:
		if s == StepSending {
			return StepUnknown
		}
	case FactUnconfirmed:
		if s == StepSent || s == StepUnknown {
			return StepUnconfirmed
		}
	}
	return s
}

// Rise joins two message states: the result is the one that says more. A
// delivery beats every end that was only believed; Cancelled is left alone
// because nothing was ever tried.
func Rise(s, to State) State {
	if s == Cancelled || s == Read {
		return s
	}
	if to == Delivered || to == Read {
		return max(normal(s, to), to)
	}
	if s.Ended() || to <= s {
		return s
	}
	return to
}

// normal lets a belief (failed, expired, unconfirmed) fall to the evidence.
func normal(s, to State) State {
	if s > Read {
		return to
	}
	return s
}
