package api

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Message is the whole story of one message, either way.
type Message struct {
	ID        message.MessageID    `json:"id"`
	Direction string               `json:"direction" enum:"outbound,inbound"`
	Contact   message.ContactID    `json:"contact"`
	Address   string               `json:"address,omitempty" doc:"Where it goes to or came from; gone when the contact was erased."`
	Purpose   message.Purpose      `json:"purpose,omitempty"`
	State     string               `json:"state" doc:"Where it stands; received for inbound."`
	Reason    string               `json:"reason,omitempty" doc:"Why it ended as it did."`
	Version   int32                `json:"version,omitempty" doc:"Rises with each change; orders its webhooks."`
	CreatedAt time.Time            `json:"created_at"`
	SendAt    *time.Time           `json:"send_at,omitempty"`
	ExpiresAt *time.Time           `json:"expires_at,omitempty"`
	EndedAt   *time.Time           `json:"ended_at,omitempty"`
	Delivered *DeliveredBy         `json:"delivered_by,omitempty" doc:"The step that first reached the person."`
	Content   *message.Content     `json:"content,omitempty" doc:"Missing when it was purged or the contact erased."`
	Template  *message.TemplateUse `json:"template,omitempty"`
	Metadata  map[string]string    `json:"metadata,omitempty"`
	ReplyTo   message.MessageID    `json:"reply_to,omitzero"`
	MaxPrice  *Amount              `json:"max_price,omitempty"`
	Steps     []Step               `json:"steps,omitempty" doc:"The route: each step considered, and what came of it."`
	Cost      []Amount             `json:"cost,omitempty" doc:"What it cost so far, by currency."`
	Charges   []Charge             `json:"charges,omitempty"`
	Inbound   *Inbound             `json:"inbound,omitempty"`
	Erased    bool                 `json:"erased,omitempty" doc:"The contact was erased: content and address are gone for good."`
}

// DeliveredBy is the step that first reached the person.
type DeliveredBy struct {
	Step    int             `json:"step"`
	Channel message.Channel `json:"channel"`
	At      time.Time       `json:"at" doc:"When, by the provider's word."`
}

// Step is one channel of a route and what came of it.
type Step struct {
	Step      int                 `json:"step"`
	Channel   message.Channel     `json:"channel"`
	Sender    message.SenderID    `json:"sender,omitzero"`
	Connector message.ConnectorID `json:"connector,omitzero"`
	Mode      message.Mode        `json:"mode,omitempty"`
	Template  string              `json:"template,omitempty"`
	State     string              `json:"state"`
	Reason    string              `json:"reason,omitempty" doc:"Why it was chosen, skipped, held or failed: a stable word."`
	Detail    string              `json:"detail,omitempty" doc:"The rule or datum behind the reason."`
	Next      *NextIf             `json:"next_if,omitempty"`
	ValidFor  Duration            `json:"valid_for,omitempty"`
	HeldUntil *time.Time          `json:"held_until,omitempty"`
	StartedAt *time.Time          `json:"started_at,omitempty"`
	Deadline  *time.Time          `json:"deadline,omitempty" doc:"When its trigger fires."`
	Horizon   *time.Time          `json:"horizon,omitempty" doc:"When receipts are no longer expected."`
	Replied   bool                `json:"replied,omitempty"`
	Retries   int                 `json:"retries,omitempty"`
	Estimate  *Amount             `json:"estimate,omitempty"`
	Cost      []Amount            `json:"cost,omitempty" doc:"What it cost so far, by currency."`
	Segments  int                 `json:"segments,omitempty"`
	Attempts  []Attempt           `json:"attempts,omitempty"`
}

// Attempt is one hand-over to one provider.
type Attempt struct {
	Attempt     int                 `json:"attempt"`
	Connector   message.ConnectorID `json:"connector"`
	Outcome     string              `json:"outcome" doc:"started, accepted, rejected, unknown or not_sent."`
	StartedAt   time.Time           `json:"started_at"`
	AnsweredAt  *time.Time          `json:"answered_at,omitempty"`
	SentAt      *time.Time          `json:"sent_at,omitempty"`
	DeliveredAt *time.Time          `json:"delivered_at,omitempty"`
	ReadAt      *time.Time          `json:"read_at,omitempty"`
	FailedAt    *time.Time          `json:"failed_at,omitempty"`
	Fault       string              `json:"fault,omitempty" doc:"The kind of failure: transient, throttled, refused, window_closed, unreachable, opted_out, capped or misconfigured."`
	Code        string              `json:"code,omitempty" doc:"The provider's own code."`
	Title       string              `json:"title,omitempty" doc:"The provider's own words."`
	Inferred    bool                `json:"inferred,omitempty" doc:"Settled by a receipt that fitted without an id."`
	Parts       []Part              `json:"parts,omitempty"`
	Price       *Amount             `json:"price,omitempty"`
	PriceBy     string              `json:"price_by,omitempty" doc:"estimate or provider."`
	PriceRule   string              `json:"price_rule,omitempty"`
}

// Part is one piece of an attempt with its own provider id.
type Part struct {
	ProviderID string `json:"provider_id,omitempty"`
	State      string `json:"state,omitempty"`
}

// Charge is what one attempt cost.
type Charge struct {
	Step    int             `json:"step"`
	Attempt int             `json:"attempt"`
	Channel message.Channel `json:"channel"`
	Country string          `json:"country,omitempty"`
	Amount  *Amount         `json:"amount" doc:"Null when no rate is known."`
	By      string          `json:"by" doc:"estimate or provider."`
	Rule    string          `json:"rule,omitempty"`
	At      time.Time       `json:"at"`
}

// Inbound is what only messages from people have.
type Inbound struct {
	Type       string           `json:"type"`
	Channel    message.Channel  `json:"channel"`
	Sender     message.SenderID `json:"sender,omitzero" doc:"Your end it came to."`
	ProviderAt *time.Time       `json:"provider_at,omitempty" doc:"The provider's time."`
	Payload    string           `json:"payload,omitempty" doc:"Payload of the button or row chosen."`
	Choice     string           `json:"choice,omitempty" doc:"Its title."`
	Name       string           `json:"name,omitempty" doc:"Profile name, when told."`
	EntryPoint bool             `json:"entry_point,omitempty" doc:"Came from an advertisement."`
	Referral   json.RawMessage  `json:"referral,omitempty"`
	Raw        json.RawMessage  `json:"raw,omitempty" doc:"What came and has no field here: the octets of an SMS that is no text, the parts that are missing, a message class, a type of the provider's that is not known."`
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// view shows a message. It reads nothing.
func view(v *engine.View) *Message {
	m := &Message{
		ID: v.Message.ID, Direction: "outbound", Contact: v.Message.Contact, Address: v.To, Purpose: v.Message.Purpose,
		CreatedAt: v.Message.CreatedAt.UTC(), Content: v.Content, Template: v.Template, Metadata: v.Metadata,
		ReplyTo: v.ReplyTo, Erased: v.Erased,
	}
	if v.Message.Direction == store.MO {
		m.Direction, m.State = "inbound", "received"
		m.Inbound = &Inbound{Channel: v.Message.Channel, Sender: v.Message.Sender, ProviderAt: when(v.Message.ProviderAt)}
		if in := v.Inbound; in != nil {
			m.Inbound.Type, m.Inbound.Payload, m.Inbound.Choice = string(in.Type), in.Payload, in.Choice
			m.Inbound.Name, m.Inbound.EntryPoint = in.Name, in.EntryPoint
			if json.Valid(in.Referral) {
				m.Inbound.Referral = in.Referral
			}
			if json.Valid(in.Raw) {
				m.Inbound.Raw = in.Raw
			}
			if m.Content == nil && !in.Content.IsZero() {
				m.Content = &in.Content
			}
		}
	}
	if d := v.Delivery; d != nil {
		m.State, m.Reason, m.Version = d.State.String(), d.Reason, d.Version
		m.SendAt, m.ExpiresAt, m.EndedAt = when(d.SendAt), when(d.ExpiresAt), when(d.EndedAt)
		m.MaxPrice = amount(d.Limit)
		m.Steps = make([]Step, len(d.Steps))
		for i := range d.Steps {
			var refs [][]string
			if i < len(v.Refs) {
				refs = v.Refs[i]
			}
			m.Steps[i] = step(i, &d.Steps[i], refs)
		}
		m.Delivered = deliveredBy(d)
	}
	var all []message.Money
	steps := make(map[int][]message.Money)
	for _, c := range v.Charges {
		m.Charges = append(m.Charges, Charge{
			Step: int(c.Step), Attempt: int(c.Attempt), Channel: c.Channel, Country: c.Country,
			Amount: amount(c.Amount), By: c.By, Rule: c.Rule, At: c.At.UTC(),
		})
		all = append(all, c.Amount)
		steps[int(c.Step)] = append(steps[int(c.Step)], c.Amount)
	}
	m.Cost = sums(all)
	for i := range m.Steps {
		m.Steps[i].Cost = sums(steps[i])
	}
	return m
}

// sums adds money up by currency; what has none is not known.
func sums(in []message.Money) []Amount {
	var out []message.Money
	for _, one := range in {
		i := slices.IndexFunc(out, func(m message.Money) bool { return m.Currency == one.Currency })
		switch {
		case one.Currency == "":
		case i < 0:
			out = append(out, one)
		default:
			out[i].Micros += one.Micros
		}
	}
	var shown []Amount
	for _, m := range out {
		shown = append(shown, *amount(m))
	}
	return shown
}

func deliveredBy(d *message.Delivery) *DeliveredBy {
	var first *DeliveredBy
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.State != message.StepDelivered && s.State != message.StepRead {
			continue
		}
		for j := range s.Attempts {
			at := s.Attempts[j].DeliveredAt
			if at.IsZero() {
				at = s.Attempts[j].ReadAt // read implies delivered
			}
			if !at.IsZero() && (first == nil || at.Before(first.At)) {
				first = &DeliveredBy{Step: i, Channel: s.Channel, At: at.UTC()}
			}
		}
	}
	return first
}

func step(i int, s *message.Step, refs [][]string) Step {
	out := Step{
		Step: i, Channel: s.Channel, Sender: s.Sender, Connector: s.Connector, Mode: s.Mode, Template: s.Template,
		State: s.State.String(), Reason: s.Reason, Detail: s.Detail, ValidFor: Duration(s.ValidFor),
		HeldUntil: when(s.HeldUntil), StartedAt: when(s.Started), Deadline: when(s.Deadline), Horizon: when(s.Horizon),
		Replied: s.Replied, Retries: s.Retries, Estimate: amount(s.Estimate), Segments: s.Segments,
		Next: nextIf(s.Next),
	}
	for j := range s.Attempts {
		a := &s.Attempts[j]
		one := Attempt{
			Attempt: j, Connector: a.Connector, Outcome: a.Outcome.String(), StartedAt: a.StartedAt.UTC(),
			AnsweredAt: when(a.AnsweredAt), SentAt: when(a.SentAt), DeliveredAt: when(a.DeliveredAt), ReadAt: when(a.ReadAt), FailedAt: when(a.FailedAt),
			Fault: a.Fault.String(), Code: a.Code, Title: a.Title, Inferred: a.Inferred,
			Price: amount(a.Price), PriceBy: a.PriceBy, PriceRule: a.PriceRule,
		}
		for k := range a.Parts {
			part := Part{}
			if state := a.Parts[k].State; state != 0 {
				part.State = state.String()
			}
			if j < len(refs) && k < len(refs[j]) {
				part.ProviderID = refs[j][k]
			}
			one.Parts = append(one.Parts, part)
		}
		out.Attempts = append(out.Attempts, one)
	}
	return out
}

func nextIf(t message.Trigger) *NextIf {
	if t.IsZero() {
		return nil
	}
	return &NextIf{NotDelivered: Duration(t.NotDelivered), NotRead: Duration(t.NotRead), NotReplied: Duration(t.NotReplied)}
}
