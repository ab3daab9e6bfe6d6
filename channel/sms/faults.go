package sms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// throttlePause is how long a lane should rest after 0x58 or 0x14.
const throttlePause = time.Second

func kindNamed(word string) message.FaultKind {
	for _, kind := range message.FaultKinds {
		if kind.String() == word {
			return kind
		}
	}
	return message.NoFault
}

func kindWords() string {
	words := make([]string, len(message.FaultKinds))
	for i, kind := range message.FaultKinds {
		words[i] = kind.String()
	}
	return strings.Join(words, ", ")
}

// scopeOf gives the usual reach of a kind when nothing better is known.
func scopeOf(kind message.FaultKind) message.Scope {
	switch kind {
	case message.Throttled, message.Misconfigured:
		return message.ScopeConnector
	case message.Unreachable:
		return message.ScopeRecipient
	case message.OptedOut, message.Capped:
		return message.ScopePair
	}
	return message.ScopeMessage
}

// doubtful lists the statuses that do not surely mean "not taken". The standard
// says that every status but 0 refuses, and the others name what is wrong with
// the request, the account or the pace, so that nothing was queued. These name
// nothing: SMSCs also say them when they took the text and then stumbled, or
// when the network behind them was slow. Collected in November 2026; the
// account's own table (statuses) overrules it. See
// docs/decisions/2026-11-26-doubtful-refusals.md.
var doubtful = map[smpp.Status]string{
	smpp.StatusSystemError:       "any trouble, also after queueing (SMPP 3.4 section 5.1.3: \"System Error\")",
	smpp.StatusSubmitFailed:      "receipts of texts refused with it were seen (github kneodev/ksmppd, issue 111, 2018)",
	smpp.StatusTemporaryAppError: "an application behind the SMSC, which may have it",
	smpp.StatusDeliveryFailure:   "of a delivery tried at once: the phone may have it",
	smpp.StatusUnknownError:      "the SMSC itself does not know",
}

// statusFault says what a command_status in the answer to a submit means
// (SMPP 3.4 section 5.1.3). The SMSC says that it did not take the message, so
// it is certain, if doubtful for some. vendor is the account's own table and
// goes first: what it names is not doubted.
func statusFault(status smpp.Status, vendor map[uint32]message.FaultKind) *message.Fault {
	f := &message.Fault{Certain: true, Code: fmt.Sprintf("0x%08X", uint32(status))}
	info, known := status.Info()
	if known {
		f.Title = info.Name
	}
	if kind, ok := vendor[uint32(status)]; ok {
		f.Kind, f.Scope = kind, scopeOf(kind)
		if kind == message.Throttled {
			f.RetryAfter = throttlePause
		}
		return f
	}
	_, f.Doubtful = doubtful[status]
	switch {
	case !known:
		// Vendor statuses are used for anything; a retry is capped by the engine.
		f.Kind, f.Unmapped, f.Doubtful = message.Transient, true, true
	case info.Action == smpp.ActionThrottle:
		f.Kind, f.Scope, f.RetryAfter = message.Throttled, message.ScopeConnector, throttlePause
	case info.Action == smpp.ActionRebind:
		f.Kind, f.Scope = message.Transient, message.ScopeConnector
	case info.Action == smpp.ActionOperator:
		f.Kind, f.Scope = message.Misconfigured, message.ScopeConnector
	case info.Action == smpp.ActionRetry:
		f.Kind = message.Transient
	case info.About == smpp.AboutSender:
		// The sender is not registered here: others of this account still work.
		f.Kind, f.Scope = message.Misconfigured, message.ScopeSender
	case info.About == smpp.AboutRecipient:
		f.Kind, f.Scope = message.Unreachable, message.ScopeRecipient
	default:
		f.Kind = message.Refused
	}
	return f
}

// nackFault says what a generic_nack in place of an answer means. Only "I did
// not understand" is certain; SMSCs send it in trouble of any kind.
func nackFault(status smpp.Status) *message.Fault {
	f := &message.Fault{Kind: message.Transient, Code: fmt.Sprintf("nack/0x%08X", uint32(status)), Title: "the SMSC did not understand"}
	switch status {
	case smpp.StatusInvalidMessageLength, smpp.StatusInvalidCommandLength, smpp.StatusInvalidCommandID:
		f.Kind, f.Certain = message.Refused, true
	}
	return f
}

// sendFault says what a submit without an answer means: surely not sent when
// the session knows that no octet left, unknown in every other case.
func sendFault(err error) *message.Fault {
	var bad *smpp.EncodeError
	if errors.As(err, &bad) {
		return &message.Fault{Kind: message.Refused, Certain: true, Code: "encode", Title: "cannot be written as SMPP: " + bad.Field, Cause: err}
	}
	f := &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Cause: err}
	var unanswered *smpp.UnansweredError
	if errors.As(err, &unanswered) {
		f.Certain = !unanswered.Left
	}
	switch {
	case errors.Is(err, smpp.ErrTimeout):
		f.Code, f.Title, f.Scope = "timeout", "no answer in time", message.ScopeMessage
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.Code, f.Title, f.Scope = "stopped", "the wait for an answer was ended", message.ScopeMessage
		if f.Certain {
			f.Title = "the window of the link stayed full"
		}
	default:
		f.Code, f.Title = "link", "the link broke"
	}
	return f
}

// notReady is the fault of sends while no link is up.
func notReady() *message.Fault {
	return &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Code: "not_ready", Title: "no link to the SMSC is up"}
}

// bindFault says why a link could not be opened.
func bindFault(err error) *message.Fault {
	f := &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Cause: err}
	var refused *smpp.StatusError
	var wire net.Error
	switch {
	case errors.As(err, &refused):
		f.Code, f.Title = fmt.Sprintf("0x%08X", uint32(refused.Status)), refused.Status.String()
		info, known := refused.Status.Info()
		f.Unmapped = !known
		// Whatever the SMSC says about a bind that is not a passing state is
		// about our account.
		switch {
		case known && (info.Action == smpp.ActionOperator || info.Action == smpp.ActionPermanent):
			f.Kind = message.Misconfigured
		}
	case isCertificate(err):
		f.Kind, f.Code, f.Title = message.Misconfigured, "tls", "the SMSC's certificate is not trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wire) && wire.Timeout():
		f.Code, f.Title = "timeout", "no answer to the bind in time"
	default:
		f.Code, f.Title = "connect", "the SMSC cannot be reached"
	}
	return f
}

// gsmErrors are the causes a GSM network gives (3GPP 29.002 section 17.5, as
// network_error_code of type 3). Only those that say that this number cannot
// get texts at all speak about the person.
func gsmError(code uint16) (kind message.FaultKind, title string) {
	switch code {
	case 1:
		return message.Unreachable, "unknown subscriber"
	case 5:
		return message.Unreachable, "unidentified subscriber"
	case 9:
		return message.Unreachable, "illegal subscriber"
	case 11:
		return message.Unreachable, "no texts in the subscription"
	case 12:
		return message.Unreachable, "illegal equipment"
	case 13:
		return message.Refused, "barred"
	case 6, 27:
		return message.Refused, "absent subscriber"
	case 31:
		return message.Refused, "subscriber busy"
	case 32:
		return message.Refused, "the phone did not take it"
	case 33:
		return message.Refused, "waiting list full"
	}
	return message.Refused, ""
}

// normalError takes the zeros that fill err values up to three digits.
func normalError(code string) string {
	code = strings.ToUpper(strings.TrimSpace(code))
	if trimmed := strings.TrimLeft(code, "0"); trimmed != "" {
		return trimmed
	}
	return code[:min(1, len(code))]
}
