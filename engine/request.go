package engine

import (
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A Request is one message a brand wants to send (blueprint section 4).
type Request struct {
	To       Recipient
	Purpose  message.Purpose
	Content  message.Content
	Template *message.TemplateUse
	Route    []RouteStep   // empty: the workspace's default route
	Auto     bool          // "route": "auto"
	SendAt   time.Time     // zero: at once
	Expires  time.Duration // 0: the default of the purpose
	MaxPrice *message.Money
	Metadata map[string]string
	ReplyTo  message.MessageID // answer in the thread to this message
}

// A Recipient is who a message goes to: exactly one of Phone, Contact, or
// Channel with ID.
type Recipient struct {
	Phone   string // any usual form; normalised to E.164
	Contact message.ContactID
	Channel message.Channel // with ID and optionally Sender, whose scope it is
	Sender  message.SenderID
	ID      string
}

// A RouteStep is one channel of a requested route.
type RouteStep struct {
	Channel  message.Channel
	Sender   message.SenderID // zero: the workspace's first sender of the channel
	Next     message.Trigger
	Content  *message.Content     // instead of the message's
	Template *message.TemplateUse // instead of the message's
}

// An Answer is what a 202 tells.
type Answer struct {
	ID       message.MessageID
	Contact  message.ContactID
	State    message.State
	Plan     []PlanStep
	Warnings []Warning
	Replayed bool
}

// Totals gives what a plan costs when all its steps are charged, and when its
// first one does the job. An amount without currency is not known: a step of
// the plan has no rate. Steps in another currency than the first are left out.
func (a *Answer) Totals() (worst, expected message.Money) {
	known, first := true, true
	for i := range a.Plan {
		s := &a.Plan[i]
		if s.Skipped {
			continue
		}
		if first {
			worst.Currency, expected, first = s.Estimate.Currency, s.Estimate, false
		}
		switch s.Estimate.Currency {
		case "":
			known = false
		case worst.Currency:
			worst.Micros += s.Estimate.Micros
		}
	}
	if !known {
		worst = message.Money{}
	}
	return worst, expected
}

// A PlanStep is one step of the plan, chosen or not, and why.
type PlanStep struct {
	Step     int
	Channel  message.Channel
	Sender   message.SenderID
	Mode     message.Mode
	Template string // name/language of the chosen variant
	Skipped  bool
	Reason   string // a stable word
	Detail   string
	Wait     time.Duration // until the next step; 0 = only on failure
	Trigger  string        // "not_delivered_in" …; "" = failure only
	ValidFor time.Duration // how long the provider keeps trying
	LateRisk bool          // it may still arrive after the next step went out
	Segments int
	Encoding string
	Estimate message.Money // zero currency: no rate known
	Rule     string        // rate card and row
	Free     bool
	Rendered *channel.Rendering // previews only
}

// A Warning tells of something that will not be as the client may think.
type Warning struct {
	Code   string
	Step   int // -1: the whole message
	Detail string
}

// warn tells what a planned step will not be as the client may think.
func (e *Engine) warn(p *prepared, i int) {
	pl := &p.planned[i]
	if pl.LateRisk && pl.Step.State == message.StepPending {
		p.warnings = append(p.warnings, Warning{Code: "late_delivery_possible", Step: i, Detail: "the provider may deliver after the next step went out: both may be charged"})
	}
	if pl.Step.State == message.StepPending && pl.Price.Amount.Currency == "" {
		p.warnings = append(p.warnings, Warning{Code: "price_unknown", Step: i, Detail: "no rate is known for this step: a price limit cannot be held against it"})
	}
	if s := p.renderings[i].Saving; s != nil {
		p.warnings = append(p.warnings, Warning{Code: "fewer_parts_possible", Step: i, Detail: s.Detail})
	}
	for _, c := range p.renderings[i].Changes {
		p.warnings = append(p.warnings, Warning{Code: "content_" + string(c.Level), Step: i, Detail: c.Field + ": " + c.Detail})
	}
}

// A Preview is an Answer that sends nothing, with what it would cost.
type Preview struct {
	Answer
	WorstCase message.Money // all steps that may be charged
	Expected  message.Money
}

// A View is the whole story of a message.
type View struct {
	Message  store.Message
	Delivery *message.Delivery // nil for MO
	To       string            // address in the clear; "" when erased
	Content  *message.Content  // nil when erased or purged
	Template *message.TemplateUse
	Metadata map[string]string
	Inbound  *message.Inbound // MO
	ReplyTo  message.MessageID
	Refs     [][][]string // provider ids by step, attempt and part
	Erased   bool
	Charges  []*store.Charge
}

// A Refusal is why a request was not taken: the client's to mend. It never
// contains personal data.
type Refusal struct {
	Code   string // stable word, one of the Code constants
	Field  string // JSON path, such as "to" or "route[1].next_if"
	Detail string
	Remedy string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

// The codes of Refusals. Their HTTP statuses stand in api/errors.go.
const (
	CodeInvalid        = "invalid_request"
	CodeBadNumber      = "invalid_phone_number"
	CodeBadRecipient   = "invalid_recipient"
	CodeNoContact      = "contact_not_found"
	CodeErased         = "contact_erased"
	CodePurpose        = "purpose_required"
	CodeEmpty          = "content_empty"
	CodeTooLong        = "content_too_long"
	CodeContent        = "content_not_supported"
	CodeMedia          = "media_not_found"
	CodeTemplate       = "template_unknown"
	CodeTemplateState  = "template_not_approved"
	CodeTemplateParams = "template_parameters"
	CodePast           = "send_at_in_the_past"
	CodeTooFar         = "send_at_too_far"
	CodeTrigger        = "trigger_never_fires"
	CodeNoSender       = "sender_not_found"
	CodeNoChannel      = "channel_unknown"
	CodeNoRoute        = "no_route"
	CodeWindow         = "window_closed"
	CodeOptedOut       = "opted_out"
	CodePrice          = "price_above_limit"
	CodeExpired        = "expired"
	CodeIdempotency    = "idempotency_conflict"
	CodeNotCancellable = "not_cancellable"
	CodeNotFound       = "not_found"
	CodeBusy           = "busy"
	CodeNoRead         = "read_not_supported"
	CodeProvider       = "provider_failed"
	CodeNoTemplates    = "templates_not_supported"
)
