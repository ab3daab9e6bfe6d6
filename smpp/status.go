package smpp

import (
	"fmt"
	"sort"
)

// Status is a command_status: zero in requests, the outcome in responses.
type Status uint32

// StatusAction is what a sender can usefully do about a status. The class is
// our judgement, not the specification's; statuses of the vendor range
// 0x400-0x4FF have none and follow the table of the bind.
type StatusAction string

// The actions. ActionRetry wants a cap: SMSCs use these codes for anything.
const (
	ActionNone      StatusAction = "none"      // it worked
	ActionRetry     StatusAction = "retry"     // the same again later
	ActionThrottle  StatusAction = "throttle"  // slow down, the attempt does not count
	ActionRebind    StatusAction = "rebind"    // the session is in the wrong state
	ActionOperator  StatusAction = "operator"  // a person must act
	ActionPermanent StatusAction = "permanent" // never with this request
)

// StatusAbout is what a status blames.
type StatusAbout string

// What a status may be about.
const (
	AboutNothing     StatusAbout = "ok"
	AboutMessage     StatusAbout = "message"
	AboutProtocol    StatusAbout = "protocol"
	AboutSession     StatusAbout = "session"
	AboutServer      StatusAbout = "server"
	AboutSender      StatusAbout = "sender"
	AboutRecipient   StatusAbout = "recipient"
	AboutCredentials StatusAbout = "credentials"
	AboutReceiver    StatusAbout = "receiver"
)

// StatusInfo is what is known about a status.
type StatusInfo struct {
	Status Status
	Name   string // as the specification writes it, ESME_ROK
	About  StatusAbout
	Action StatusAction
	Since  string // "3.4" or "5.0"
}

// Statuses returns a copy of the table of known statuses, sorted by value.
func Statuses() []StatusInfo {
	return append([]StatusInfo(nil), statuses[:]...)
}

// Info returns what is known about s, and false for a status that neither
// version of the specification names.
func (s Status) Info() (StatusInfo, bool) {
	i := sort.Search(len(statuses), func(i int) bool { return statuses[i].Status >= s })
	if i < len(statuses) && statuses[i].Status == s {
		return statuses[i], true
	}
	return StatusInfo{Status: s}, false
}

// String returns the name of the specification, or the value in hex.
func (s Status) String() string {
	if i, ok := s.Info(); ok {
		return i.Name
	}
	return fmt.Sprintf("0x%08X", uint32(s))
}

// A StatusError is a response that says no.
type StatusError struct {
	Command Command // of the response; [GenericNack] if the peer did not understand
	Status  Status
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("smpp: %s: %s (0x%08X)", e.Command, e.Status, uint32(e.Status))
}
