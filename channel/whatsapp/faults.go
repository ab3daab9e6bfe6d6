package whatsapp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// A row says what one of Meta's codes means to us, for immediate answers and
// for failed receipts alike.
type row struct {
	kind  message.FaultKind
	scope message.Scope
	title string
	wait  time.Duration // before another try; 0 = not said
}

// Scopes, short for the table.
const (
	one       = message.ScopeMessage
	recipient = message.ScopeRecipient
	pair      = message.ScopePair
	sender    = message.ScopeSender
	connector = message.ScopeConnector
	marketing = message.ScopeMarketing
)

// faultOf is the table of Cloud API codes (developers.facebook.com, "Error
// codes", read November 2026). The titles are ours: Meta's may quote what was
// sent, and it has announced that they will go. ok is false for a code that is
// in no table.
func faultOf(code int) (r row, ok bool) {
	switch code {
	// Our side is broken: nothing goes until a person acts.
	case 0, 190:
		return row{message.Misconfigured, connector, "access token invalid or expired", 0}, true
	case 3:
		return row{message.Misconfigured, connector, "app lacks a capability or permission", 0}, true
	case 10, 131005:
		return row{message.Misconfigured, connector, "permission missing", 0}, true
	case 33:
		return row{message.Misconfigured, sender, "phone number deleted", 0}, true
	case 368:
		return row{message.Misconfigured, connector, "account temporarily blocked for policy", 0}, true
	case 131031:
		return row{message.Misconfigured, connector, "account locked", 0}, true
	case 131037:
		return row{message.Misconfigured, sender, "display name not approved", 0}, true
	case 131042:
		return row{message.Misconfigured, connector, "payment trouble", 0}, true
	case 131045:
		return row{message.Misconfigured, sender, "phone number registration", 0}, true
	case 131048:
		return row{message.Misconfigured, sender, "spam restriction on the number", 0}, true
	case 131064:
		return row{message.Misconfigured, sender, "limited after template misclassification", 0}, true
	case 133000, 133004, 133005, 133006, 133008, 133009, 133010, 133015, 133016:
		return row{message.Misconfigured, sender, "phone number not registered", 0}, true
	case 134011:
		return row{message.Misconfigured, connector, "payments terms not accepted", 0}, true

	// Too fast.
	case 4:
		return row{message.Throttled, connector, "app call limit", time.Minute}, true
	case 80007:
		return row{message.Throttled, connector, "account rate limit", time.Minute}, true
	case 130429:
		return row{message.Throttled, sender, "throughput reached", 0}, true
	case 131056:
		return row{message.Throttled, pair, "too many messages to this person", 4 * time.Second}, true

	// They stumbled.
	case 1:
		return row{message.Transient, one, "unknown error", 0}, true
	case 2:
		return row{message.Transient, connector, "service down", 0}, true
	case 131000:
		return row{message.Transient, one, "something went wrong", 0}, true
	case 131016:
		return row{message.Transient, connector, "service unavailable", 0}, true
	case 131057:
		return row{message.Transient, sender, "account in maintenance", 2 * time.Minute}, true
	case 131059:
		return row{message.Transient, one, "paging cursor no longer valid", 0}, true
	case 134101:
		return row{message.Transient, one, "template still syncing", 10 * time.Minute}, true
	case 139102, 139103:
		return row{message.Transient, one, "block list busy", 0}, true

	// The person and the rules around them.
	case 131047:
		return row{message.WindowClosed, pair, "customer service window closed", 0}, true
	case 131026:
		// Hides several causes: no WhatsApp, an old app, terms not accepted, blocked.
		return row{message.Unreachable, recipient, "undeliverable on WhatsApp", 0}, true
	case 130497:
		return row{message.Unreachable, recipient, "country not allowed for this business", 0}, true
	case 131049:
		return row{message.Capped, marketing, "held back by the per-user marketing limit", 24 * time.Hour}, true
	case 131050:
		return row{message.OptedOut, marketing, "user stopped marketing messages", 0}, true
	case 130472:
		return row{message.Refused, recipient, "user in a marketing experiment", 0}, true
	case 131021:
		return row{message.Refused, recipient, "recipient is the sender", 0}, true
	case 131030:
		// Only test numbers have the list, and others on it are still served:
		// pausing the connector would be too much.
		return row{message.Refused, recipient, "recipient not on the test number's list", 0}, true
	case 131062:
		return row{message.Refused, recipient, "authentication template needs a phone number", 0}, true

	// This content never goes.
	case 100:
		return row{message.Refused, one, "invalid parameter", 0}, true
	case 131008:
		return row{message.Refused, one, "required parameter missing", 0}, true
	case 131009:
		return row{message.Refused, one, "parameter value not valid", 0}, true
	case 131051:
		return row{message.Refused, one, "unsupported message type", 0}, true
	case 131052:
		return row{message.Refused, one, "media download failed", 0}, true
	case 131053:
		return row{message.Refused, one, "media upload failed", 0}, true
	case 131055, 134100:
		return row{message.Refused, one, "not a marketing template", 0}, true
	case 131063:
		return row{message.Refused, one, "marketing templates are switched off on Cloud API", 0}, true
	case 132000:
		return row{message.Refused, one, "template parameter count mismatch", 0}, true
	case 132001:
		return row{message.Refused, one, "template does not exist in this language or is not approved", 0}, true
	case 132005:
		return row{message.Refused, one, "template text too long", 0}, true
	case 132007:
		return row{message.Refused, one, "template text violates policy", 0}, true
	case 132012:
		return row{message.Refused, one, "template parameter format mismatch", 0}, true
	case 132015:
		return row{message.Refused, one, "template paused", 3 * time.Hour}, true
	case 132016:
		return row{message.Refused, one, "template disabled", 0}, true
	case 132018:
		return row{message.Refused, one, "template parameters not valid", 0}, true
	case 132068:
		return row{message.Refused, one, "flow blocked", 0}, true
	case 132069:
		return row{message.Refused, one, "flow throttled", 0}, true
	case 134102:
		return row{message.Refused, one, "template not eligible for marketing messages", 0}, true
	case 135000:
		return row{message.Refused, one, "generic user error", 0}, true
	case 139100, 139101:
		return row{message.Refused, one, "block list", 0}, true
	case 139200:
		return row{message.Refused, one, "direct send blocked", 0}, true
	}
	if code >= 200 && code <= 299 {
		return row{message.Misconfigured, connector, "permission missing", 0}, true
	}
	return row{}, false
}

// subcodeOf covers the template management subcodes that come under code 100.
func subcodeOf(subcode int) (r row, ok bool) {
	title := ""
	switch subcode {
	case 2388019:
		title = "too many templates"
	case 2388024:
		title = "template exists already"
	case 2388040:
		title = "template text too long"
	case 2388047:
		title = "template header not valid"
	case 2388072:
		title = "template body not valid"
	case 2388073:
		title = "template footer not valid"
	case 2388293:
		title = "too many variables for the text"
	case 2388299:
		title = "variable at the edge of the text"
	case 2494100:
		return row{message.Transient, connector, "number in maintenance", 2 * time.Minute}, true
	default:
		return row{}, false
	}
	return row{message.Refused, one, title, 0}, true
}

// faultFrom turns one of Meta's errors into a fault. status is the HTTP status
// it came with, or 0 in a webhook. An error envelope is a certain refusal,
// except where Meta itself says that it does not know what happened: 131000
// with a 5xx, and server errors of codes in no table. There the message may
// have been taken, and only a receipt with our echo can tell.
func faultFrom(e graph.Error, status int) *message.Fault {
	r, ok := faultOf(e.Code)
	if s, found := subcodeOf(e.Subcode); found && e.Code == 100 {
		r = s
	}
	f := &message.Fault{Kind: r.kind, Scope: r.scope, Certain: true, RetryAfter: r.wait, Title: r.title, Code: strconv.Itoa(e.Code), Request: e.Trace}
	if e.Code == 131000 && status >= 500 {
		f.Certain = false
	}
	if !ok {
		f.Unmapped = true
		f.Title = harmless(e.Title)
		f.Kind, f.Certain = kindOf(status)
		if e.Passing {
			f.Kind = message.Transient
		}
	}
	if status == http.StatusTooManyRequests {
		f.Kind = message.Throttled
		f.Scope = max(f.Scope, message.ScopeSender)
	}
	return f
}

// kindOf guesses from an HTTP status when there is no known code.
func kindOf(status int) (kind message.FaultKind, certain bool) {
	switch {
	case status == http.StatusTooManyRequests:
		return message.Throttled, true
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return message.Misconfigured, true
	case status == http.StatusRequestTimeout:
		return message.Transient, false
	case status >= 500:
		return message.Transient, false
	case status >= 400 || status == 0:
		return message.Refused, true
	}
	return message.Transient, false
}

// answerFault turns an answer other than 200 into a fault.
func answerFault(reply graph.Reply) *message.Fault {
	var f *message.Fault
	if e, ok := graph.ParseError(reply.Body); ok {
		f = faultFrom(e, reply.Status)
	} else {
		kind, certain := kindOf(reply.Status)
		f = &message.Fault{Kind: kind, Certain: certain, Unmapped: true, Code: "http_" + strconv.Itoa(reply.Status), Title: http.StatusText(reply.Status)}
		if kind == message.Misconfigured || kind == message.Throttled {
			f.Scope = message.ScopeConnector
		}
	}
	if s, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && s > 0 && s < 7*24*3600 {
		f.RetryAfter = time.Duration(s) * time.Second
	}
	return f
}

// callFault turns a call without a whole answer into a fault: certain only
// when nothing of the request had left.
func callFault(err error) *message.Fault {
	f := &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Code: "network", Title: "no answer", Cause: err}
	var call *graph.CallError
	if !errors.As(err, &call) {
		return f
	}
	f.Certain = !call.Written
	switch {
	case errors.Is(err, context.Canceled):
		f.Code, f.Title, f.Scope = "cancelled", "cancelled", message.ScopeMessage
	case errors.Is(err, context.DeadlineExceeded):
		f.Code, f.Title = "timeout", "no answer in time"
	case f.Certain:
		f.Code, f.Title = "connect", "provider not reached"
	}
	if call.Status >= 400 && call.Status < 500 {
		kind, certain := kindOf(call.Status)
		f.Kind, f.Certain, f.Code = kind, certain, "http_"+strconv.Itoa(call.Status)
	}
	return f
}

// harmless keeps a title of a code we do not know only if it cannot quote a
// number, an address or a text of ours.
func harmless(title string) string {
	if len(title) > 80 || strings.ContainsAny(title, "@\"'“‘`<>{}") {
		return ""
	}
	run := 0
	for i := range len(title) {
		c := title[i]
		if c >= '0' && c <= '9' {
			if run++; run > 5 {
				return ""
			}
		} else if c != ' ' && c != '-' && c != '.' {
			run = 0
		}
		if c >= 0x80 {
			return ""
		}
	}
	return title
}
