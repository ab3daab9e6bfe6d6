// Package gate answers one question, purely: may this step go now? It is asked
// when a message is accepted and again at the moment of sending (law 7), with
// facts the shell looked up; it looks up nothing itself.
//
// The gates stand in [Check], in order: expiry, suppression, reachability,
// template, window, price. Consent, hours, caps and budgets join the list when
// their rooms arrive.
package gate

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// A Word is what a gate says.
type Word uint8

// The words.
const (
	Allow       Word = iota + 1
	Hold             // not before Until
	Skip             // this step cannot; the route goes on
	Refuse           // the whole message must not go
	UseTemplate      // go, but as the template: free-form is not allowed now
)

// A Decision is a word with its reason; a bare bool would hide why.
type Decision struct {
	Word   Word
	Reason string // a stable word clients see
	Detail string // the rule or datum behind it, never personal
	Until  time.Time
}

// Reasons a gate gives.
const (
	Expired         = "expired"
	OptedOut        = "opted_out"
	NoAddress       = "no_address"
	Unreachable     = "unreachable"
	WindowClosed    = "window_closed"
	WindowOpen      = "window_open"
	NoWindowNeeded  = "no_window_needed"
	TemplateUnknown = "template_unknown"
	TemplateState   = "template_not_approved"
	PriceAboveLimit = "price_above_limit"
	NoContent       = "no_content"
	Paused          = "connector_paused"
)

// Margin is how long before a window's end free-form stops: the message must
// reach the provider while the window is still open (blueprint section 4).
const Margin = 60 * time.Second

// Facts are what the gates judge by.
type Facts struct {
	Now         time.Time
	Expires     time.Time
	Purpose     message.Purpose
	Mode        message.Mode
	HasAddress  bool
	Suppressed  string // reason of the suppression that applies; "" = none
	Unreached   string // provider's code that showed it lately; "" = none
	NeedsWindow bool
	WindowEnds  time.Time             // zero = closed
	Template    message.TemplateState // of the template a template step uses; "" = unknown
	Fallback    bool                  // a template is there for when the window is closed
	Estimate    message.Money
	Limit       message.Money // zero currency = none
}

// Check asks every gate in order and gives the first that does not allow.
func Check(f *Facts) Decision {
	switch {
	case !f.Expires.IsZero() && !f.Now.Before(f.Expires):
		return Decision{Word: Refuse, Reason: Expired}
	case !f.HasAddress:
		return Decision{Word: Skip, Reason: NoAddress}
	case f.Suppressed != "":
		if f.Purpose == message.Marketing {
			// Someone who said no is not chased over another channel.
			return Decision{Word: Refuse, Reason: OptedOut, Detail: f.Suppressed}
		}
		return Decision{Word: Skip, Reason: OptedOut, Detail: f.Suppressed}
	case f.Unreached != "":
		return Decision{Word: Skip, Reason: Unreachable, Detail: f.Unreached}
	}
	word, reason := Allow, NoWindowNeeded
	if f.Mode == message.Template {
		if f.Template == "" {
			return Decision{Word: Skip, Reason: TemplateUnknown}
		}
		if f.Template != message.TemplateApproved {
			return Decision{Word: Skip, Reason: TemplateState, Detail: string(f.Template)}
		}
	} else if f.NeedsWindow {
		if f.WindowEnds.IsZero() || !f.Now.Before(f.WindowEnds.Add(-Margin)) {
			if !f.Fallback {
				return Decision{Word: Skip, Reason: WindowClosed}
			}
			word, reason = UseTemplate, WindowClosed
		} else {
			reason = WindowOpen
		}
	}
	if Over(f) {
		return Decision{Word: Skip, Reason: PriceAboveLimit}
	}
	return Decision{Word: word, Reason: reason}
}

// Over reports whether the estimate is above the limit, as far as both are in
// one currency.
func Over(f *Facts) bool {
	return f.Limit.Currency != "" && f.Estimate.Currency == f.Limit.Currency && f.Estimate.Micros > f.Limit.Micros
}
