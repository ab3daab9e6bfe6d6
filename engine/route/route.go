// Package route plans, purely, which steps a message takes: for each requested
// channel the mode (free-form or which template variant), how long the
// provider may keep trying, what it would cost, and why a step is left out. It
// looks up nothing: the shell brings the facts as [Candidate] values.
package route

import (
	"fmt"
	"time"

	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/message"
)

// A Candidate is one requested step with everything known about it.
type Candidate struct {
	Channel    message.Channel
	Sender     message.SenderID
	Connector  message.ConnectorID
	Next       message.Trigger
	Facts      gate.Facts   // Mode, Template, Fallback and Estimate are filled by Plan
	FreeForm   bool         // there is free-form content for this step
	Variants   []Variant    // of the requested or mapped template, approved or not
	Mapped     bool         // the variants come from the workspace's map, not from the request
	Prefer     message.Mode // what to use when both would do; "" = free-form if the window is open
	Delivered  bool         // the connector tells about delivery
	Read       bool         // … and about reading
	Expect     time.Duration
	DefaultTTL func(category message.Purpose) time.Duration // provider's own time-to-live
	MaxValid   time.Duration                                // longest validity the connector can be told; 0 = it cannot be told
	Segments   int
	// Quote prices the step in a mode and category.
	Quote func(mode message.Mode, category message.Purpose) Price
}

// A Variant is one registered template that says the same thing.
type Variant struct {
	Name, Language string
	Category       message.Purpose
	State          message.TemplateState
	TTL            time.Duration // 0 = the provider's default
}

// A Price is an estimate with its source.
type Price struct {
	Amount message.Money // zero currency: no rate known
	Rule   string
	Free   bool
}

// A Planned is one step of the plan with what only the plan needs.
type Planned struct {
	Step     message.Step
	Decision gate.Decision
	LateRisk bool // may arrive after the next step went out
	Price    Price
}

// A Fault is a request that makes no sense, told by field.
type Fault struct {
	Step   int
	Field  string
	Code   string
	Detail string
	Remedy string
}

// Error implements error.
func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

// Codes of route faults.
const (
	NeverFires = "trigger_never_fires"
	Category   = "template_category"
)

// Check refuses triggers that can never fire (law 5).
func Check(cs []Candidate, expires time.Duration) *Fault {
	for i := range cs {
		c := &cs[i]
		bad := func(field, detail, remedy string) *Fault {
			return &Fault{Step: i, Field: "next_if." + field, Code: NeverFires, Detail: detail, Remedy: remedy}
		}
		t := c.Next
		if i == len(cs)-1 {
			switch {
			case t.NotDelivered > 0:
				return bad("not_delivered_in", "the last step has no next step to go on to", "remove next_if from the last step, or add a step")
			case t.NotRead > 0:
				return bad("not_read_in", "the last step has no next step to go on to", "remove next_if from the last step, or add a step")
			case t.NotReplied > 0:
				return bad("not_replied_in", "the last step has no next step to go on to", "remove next_if from the last step, or add a step")
			}
			return nil
		}
		if t.NotDelivered > 0 && !c.Delivered {
			return bad("not_delivered_in", fmt.Sprintf("this %s connector gives no delivery receipts", c.Channel), "leave the trigger out: only a failure can move the route on")
		}
		if t.NotRead > 0 && !c.Read {
			return bad("not_read_in", fmt.Sprintf("%s gives no read receipts here", c.Channel), "use not_delivered_in or not_replied_in")
		}
		if expires > 0 {
			for _, w := range [...]struct {
				name string
				wait time.Duration
			}{{"not_delivered_in", t.NotDelivered}, {"not_read_in", t.NotRead}, {"not_replied_in", t.NotReplied}} {
				if w.wait >= expires && w.wait > 0 {
					return bad(w.name, fmt.Sprintf("the message expires after %s, before this wait of %s ends", expires, w.wait), "shorten the wait or lengthen expires_in")
				}
			}
		}
	}
	return nil
}

// Plan decides each candidate in turn.
func Plan(cs []Candidate, now, expires time.Time) []Planned {
	out := make([]Planned, len(cs))
	for i := range cs {
		out[i] = plan(&cs[i], i < len(cs)-1, now, expires)
	}
	return out
}

func plan(c *Candidate, more bool, now, expires time.Time) Planned {
	p := Planned{Step: message.Step{
		Channel: c.Channel, Sender: c.Sender, Connector: c.Connector, Next: c.Next,
		Expect: c.Expect, Segments: c.Segments,
	}}
	wait, _ := c.Next.Wait(message.StepQueued)
	variant, fits := choose(c.Variants, wait, more, c.DefaultTTL)
	f := c.Facts
	f.Now, f.Expires = now, expires
	f.Fallback = variant != nil && variant.State == message.TemplateApproved
	open := !c.Facts.NeedsWindow || !f.WindowEnds.IsZero() && now.Before(f.WindowEnds.Add(-gate.Margin))
	switch {
	case variant == nil && !c.FreeForm:
		p.Decision = gate.Decision{Word: gate.Skip, Reason: gate.NoContent}
		if c.Facts.NeedsWindow {
			p.Decision.Reason = gate.TemplateUnknown
		}
		return p.skipped()
	case variant != nil && (!c.FreeForm || !open || !c.Mapped && c.Prefer != message.FreeForm):
		p.Step.Mode = message.Template
	default:
		p.Step.Mode = message.FreeForm
	}
	category := c.Facts.Purpose
	if variant != nil {
		p.Step.Template = variant.Name + "/" + variant.Language
		if p.Step.Mode == message.Template {
			category = variant.Category
			f.Template = variant.State
		}
	}
	f.Mode = p.Step.Mode
	p.Price = c.Quote(p.Step.Mode, category)
	p.Step.Estimate, f.Estimate = p.Price.Amount, p.Price.Amount
	p.Decision = gate.Check(&f)
	if p.Decision.Word == gate.UseTemplate {
		p.Step.Mode = message.Template
	}
	if p.Step.Mode == message.Template && p.Decision.Reason == gate.NoWindowNeeded && c.Facts.NeedsWindow {
		p.Decision.Reason = "template"
		if !open && c.FreeForm {
			p.Decision.Reason = gate.WindowClosed
		}
	}
	p.Step.ValidFor = validity(c, p.Step.Mode, variant, expires.Sub(now))
	p.LateRisk = more && wait > 0 && (p.Step.ValidFor == 0 || p.Step.ValidFor > wait)
	if p.Step.Mode == message.Template && variant != nil && !fits && more && wait > 0 {
		p.LateRisk = true
	}
	if p.Decision.Word != gate.Allow && p.Decision.Word != gate.UseTemplate {
		return p.skipped()
	}
	p.Step.Reason, p.Step.Detail = p.Decision.Reason, p.Decision.Detail
	return p
}

func (p Planned) skipped() Planned {
	p.Step.State, p.Step.Reason, p.Step.Detail = message.StepSkipped, p.Decision.Reason, p.Decision.Detail
	return p
}

// choose picks the approved variant whose time-to-live is the longest that is
// no longer than the wait (law 5); where none fits, the shortest. Where nothing
// follows, the longest. Without an approved one, the first is given so that
// the reason can name its state.
func choose(vs []Variant, wait time.Duration, more bool, ttl func(message.Purpose) time.Duration) (v *Variant, fits bool) {
	var best *Variant
	var bestTTL time.Duration
	for i := range vs {
		c := &vs[i]
		if c.State != message.TemplateApproved {
			continue
		}
		life := c.TTL
		if life == 0 && ttl != nil {
			life = ttl(c.Category)
		}
		ok := !more || wait == 0 || life > 0 && life <= wait
		better := best == nil
		if best != nil {
			switch {
			case ok != fits:
				better = ok
			case ok:
				better = life > bestTTL
			default:
				better = life < bestTTL
			}
		}
		if better {
			best, bestTTL, fits = c, life, ok
		}
	}
	if best == nil && len(vs) > 0 {
		return &vs[0], false
	}
	return best, fits
}

// validity says how long the provider will keep trying; 0 = not known.
func validity(c *Candidate, mode message.Mode, v *Variant, left time.Duration) time.Duration {
	if mode == message.Template && v != nil {
		if v.TTL > 0 {
			return v.TTL
		}
		if c.DefaultTTL != nil {
			return c.DefaultTTL(v.Category)
		}
		return 0
	}
	if c.MaxValid == 0 {
		if c.DefaultTTL != nil {
			return c.DefaultTTL("")
		}
		return 0
	}
	valid := min(left, c.MaxValid)
	return max(valid, 0)
}
