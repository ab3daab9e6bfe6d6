package message

import (
	"strconv"
	"strings"
	"time"
)

// A Delivery is the life of one outbound message: its route, what was tried,
// what was learnt and why each choice was made. It holds nothing personal in
// the clear (provider ids may embed numbers, so Part.Ref is sealed).
//
// It is plain data; package engine/flow moves it. Times are UTC, the zero time
// means "not yet" or "never".
type Delivery struct {
	ID        MessageID
	Workspace WorkspaceID
	Contact   ContactID
	State     State
	Version   int32 // one more with each stored change: the order of webhooks
	Purpose   Purpose
	CreatedAt time.Time
	SendAt    time.Time // zero: at once
	ExpiresAt time.Time
	EndedAt   time.Time // when it first reached an end; zero while in flight
	Current   int       // index of the step being worked on; len(Steps) when none is left
	Satisfied int       // 1 + index of the step that satisfied the message; 0 = none yet
	Reason    string    // why it ended as it did: a stable word
	Due       time.Time // when the scheduler must look again; zero = nothing to wait for
	Limit     Money     // max_price; zero currency = none
	Country   string    // of the recipient's number, ISO 3166-1 alpha-2; "" = not known or none
	Labelled  bool      // the client gave metadata, which events carry
	Steps     []Step
}

// A Trigger says when a route goes on to its next step. A failure always does.
type Trigger struct {
	NotDelivered time.Duration // 0 = not a trigger
	NotRead      time.Duration
	NotReplied   time.Duration
}

// IsZero reports whether only a failure moves the route on.
func (t Trigger) IsZero() bool { return t == Trigger{} }

// Wait gives the shortest wait of the trigger still running in state s.
func (t Trigger) Wait(s StepState) (time.Duration, string) {
	var best time.Duration
	var name string
	take := func(d time.Duration, n string) {
		if d > 0 && (best == 0 || d < best) {
			best, name = d, n
		}
	}
	if !s.Success() {
		take(t.NotDelivered, "not_delivered_in")
	}
	if s != StepRead {
		take(t.NotRead, "not_read_in")
	}
	take(t.NotReplied, "not_replied_in")
	return best, name
}

// Satisfied reports whether a step in state s needs no next step, given
// whether the person has answered since.
func (t Trigger) Satisfied(s StepState, replied bool) bool {
	switch {
	case t.NotReplied > 0:
		return replied
	case t.NotRead > 0:
		return s == StepRead || replied
	default:
		return s == StepDelivered || s == StepRead
	}
}

// A Mode says how a step's content goes out.
type Mode string

// The modes.
const (
	FreeForm Mode = "freeform" // inside an open window, or on a channel without windows
	Template Mode = "template"
)

// A Step is one channel of a route.
type Step struct {
	Channel   Channel
	Sender    SenderID
	Connector ConnectorID // the account its attempts go through; changes if another is tried
	Mode      Mode
	Template  string // chosen variant as name/language; "" = none
	Next      Trigger
	State     StepState
	Reason    string // why it was chosen, skipped, held or failed: a stable word
	Detail    string // the rule or datum behind the reason, never personal
	ValidFor  time.Duration
	HeldUntil time.Time
	Started   time.Time // first attempt
	Deadline  time.Time // when the trigger fires
	Horizon   time.Time // when receipts are no longer expected
	Retries   int       // counted attempts that failed in passing
	Replied   bool
	Estimate  Money
	Segments  int
	Expect    time.Duration // after being taken, a receipt is expected for this long; 0 = the connector gives none
	Attempts  []Attempt
}

// An Outcome is how one attempt ended.
type Outcome uint8

// The outcomes of an attempt.
const (
	Started   Outcome = iota // recorded; bytes may have left
	Taken                    // the provider accepted it
	Rejected                 // certain failure
	Uncertain                // nobody knows yet
	NotSent                  // certain that nothing left: shutdown, link not up
)

var outcomeNames = [...]string{"started", "accepted", "rejected", "unknown", "not_sent"}

// String gives the word clients see.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// An Attempt is one hand-over to one connector. It is stored before its bytes
// leave (law 3).
type Attempt struct {
	Connector   ConnectorID
	Fence       int64 // of the lease it was made under
	Outcome     Outcome
	StartedAt   time.Time
	AnsweredAt  time.Time
	SentAt      time.Time
	DeliveredAt time.Time
	ReadAt      time.Time
	FailedAt    time.Time
	Fault       FaultKind
	Code        string // the provider's own code
	Title       string // its short title
	Inferred    bool   // settled by a receipt that fitted without an id
	Parts       []Part
	Price       Money  // what it cost, ours or the provider's
	PriceBy     string // "estimate", "provider" or ""
	PriceRule   string // rate card and row, or the provider's category and type
}

// A Part is one piece of an attempt with its own provider id: an SMS segment,
// or the whole message on other channels.
type Part struct {
	Ref   []byte // sealed provider id
	Key   RefKey
	State ReceiptStatus // 0 = nothing heard
}

// A RefKey is the keyed hash of (connector, provider id): what receipts are
// matched by. See vault.
type RefKey [16]byte

// Step gives the current step, or nil when none is left.
func (d *Delivery) Step() *Step {
	if d.Current < 0 || d.Current >= len(d.Steps) {
		return nil
	}
	return &d.Steps[d.Current]
}

// Last gives the latest attempt of a step, or nil.
func (s *Step) Last() *Attempt {
	if len(s.Attempts) == 0 {
		return nil
	}
	return &s.Attempts[len(s.Attempts)-1]
}

// InFlight reports whether the engine still has to do or await something
// before the message has its one outcome.
func (d *Delivery) InFlight() bool { return !d.State.Ended() }

// An Echo names one attempt in what a provider echoes to us
// (biz_opaque_callback_data, metadata): message id, step and attempt, and the
// part where an attempt is several provider messages.
type Echo struct {
	Message MessageID
	Step    int
	Attempt int
	Part    int
}

// String gives the echoed form: msg_….step.attempt, and .part for all but the
// first part.
func (e Echo) String() string {
	b := e.Message.Append(make([]byte, 0, 40))
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e.Step), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(e.Attempt), 10)
	if e.Part > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(e.Part), 10)
	}
	return string(b)
}

// ParseEcho reads the echoed form; ok is false for anything else.
func ParseEcho(s string) (e Echo, ok bool) {
	id, rest, ok := strings.Cut(s, ".")
	if !ok {
		return Echo{}, false
	}
	step, attempt, ok := strings.Cut(rest, ".")
	if !ok {
		return Echo{}, false
	}
	attempt, part, several := strings.Cut(attempt, ".")
	p := uint64(0)
	if several {
		var err error
		if p, err = strconv.ParseUint(part, 10, 8); err != nil || p == 0 {
			return Echo{}, false
		}
	}
	m, err := ParseID[messageKind](id)
	if err != nil {
		return Echo{}, false
	}
	n, err := strconv.ParseUint(step, 10, 8)
	if err != nil {
		return Echo{}, false
	}
	a, err := strconv.ParseUint(attempt, 10, 16)
	if err != nil {
		return Echo{}, false
	}
	return Echo{Message: m, Step: int(n), Attempt: int(a), Part: int(p)}, true
}
