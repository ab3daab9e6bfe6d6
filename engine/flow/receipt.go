package flow

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// Receipt joins one receipt about one part of an attempt. Repeats and late
// ones are harmless. part is -1 when the receipt is about the whole attempt.
func Receipt(p *Policy, d *message.Delivery, w Which, part int, r *message.Receipt, now time.Time) Move {
	m := move(p, d, now)
	a := m.attempt(w)
	if a == nil {
		return Move{}
	}
	at := r.At
	if at.IsZero() || at.After(now) {
		at = now
	}
	if r.Price != nil {
		// First, so that a charge that falls due with this receipt is booked once
		// and in the provider's words.
		m.price(w, a, r.Price)
	}
	status, whole := r.Status, true
	if part >= 0 && part < len(a.Parts) {
		status, whole = m.part(a, part, r.Status)
	}
	if whole {
		m.status(w, a, status, r.Fault, at)
	}
	m.closeIfFinal(w)
	return m.done()
}

// status joins what is now known of the attempt as a whole.
func (m *mover) status(w Which, a *message.Attempt, status message.ReceiptStatus, f *message.Fault, at time.Time) {
	switch status {
	case message.ReceiptSent:
		m.fact(w, message.FactAccepted, at, "")
	case message.ReceiptDelivered:
		if a.DeliveredAt.IsZero() {
			a.DeliveredAt = at
			m.m.Changed = true
		}
		m.fact(w, message.FactDelivered, at, "")
	case message.ReceiptRead:
		if a.ReadAt.IsZero() {
			a.ReadAt = at
			m.m.Changed = true
		}
		if a.DeliveredAt.IsZero() {
			a.DeliveredAt = at
		}
		m.fact(w, message.FactRead, at, "")
	case message.ReceiptFailed:
		if m.doubted(f) {
			return // a late answer of the doubtful kind: it stays unknown
		}
		m.failed(w, a, f, at)
	case message.ReceiptExpired:
		m.gone(w, a, message.FactExpired, at)
	case message.ReceiptUnknown:
		m.gone(w, a, message.FactUnconfirmed, at)
	}
}

// part joins a receipt into one part and tells what the attempt as a whole is
// now: delivered when all parts are, failed when one failed.
func (m *mover) part(a *message.Attempt, i int, status message.ReceiptStatus) (message.ReceiptStatus, bool) {
	before := a.Parts[i].State
	// Delivered and read beat failed: evidence over belief.
	rank := [...]int{0, 1, 5, 6, 4, 3, 2}
	if rank[status] <= rank[before] {
		return before, len(a.Parts) == 1
	}
	a.Parts[i].State = status
	m.m.Changed = true
	if len(a.Parts) == 1 {
		return status, true
	}
	switch status {
	case message.ReceiptFailed, message.ReceiptExpired, message.ReceiptUnknown:
		return status, true
	case message.ReceiptSent:
		// Taken as a whole once each part is known to be: one of which nothing is
		// known leaves the outcome open.
		for _, p := range a.Parts {
			if p.State == 0 && p.Key == (message.RefKey{}) {
				return status, false
			}
		}
		return status, true
	}
	all := message.ReceiptRead // read when every part is, whichever came last
	for _, p := range a.Parts {
		switch p.State {
		case message.ReceiptRead:
		case message.ReceiptDelivered:
			all = message.ReceiptDelivered
		default:
			return status, false
		}
	}
	return all, true
}

func (m *mover) failed(w Which, a *message.Attempt, f *message.Fault, at time.Time) {
	if f == nil {
		f = &message.Fault{Kind: message.Refused, Certain: true}
	}
	if a.FailedAt.IsZero() {
		a.FailedAt = at
		m.note(a, f)
		m.m.Changed = true
	}
	if s := &m.d.Steps[w.Step]; !s.State.Open() {
		// Too late to decide anything: delivered, or given up already. What the
		// fault says about the person still counts.
		if after := message.Join(s.State, message.FactRefused, false); after != s.State && w.Attempt == len(s.Attempts)-1 {
			m.step(w.Step, after, f.Kind.String())
		}
		m.m.At = w
		switch f.Kind {
		case message.OptedOut:
			m.m.Suppress = f
		case message.Misconfigured:
			m.m.Pause = f
		}
		return
	}
	m.fail(w, f)
}

// gone ends a step whose provider gave up or does not know.
func (m *mover) gone(w Which, a *message.Attempt, f message.Fact, at time.Time) {
	s := &m.d.Steps[w.Step]
	if w.Attempt != len(s.Attempts)-1 {
		return
	}
	after := message.Join(s.State, f, false)
	if after == s.State {
		return
	}
	if a.FailedAt.IsZero() && f == message.FactExpired {
		a.FailedAt = at
	}
	reason := ReasonExpired
	if f == message.FactUnconfirmed {
		reason = ReasonHorizon
	}
	m.step(w.Step, after, reason)
	m.gaveUp(w.Step)
}

// gaveUp goes on from a step of which nothing more is expected. Marketing whose
// outcome nobody knows is never tried again, here or elsewhere (law 3).
func (m *mover) gaveUp(step int) {
	if m.d.Current != step || m.over() {
		if m.d.Current == step {
			m.d.Current = len(m.d.Steps) // what came after it was taken off before
		}
		m.conclude()
		return
	}
	if s := &m.d.Steps[step]; s.State == message.StepUnconfirmed && m.d.Purpose == message.Marketing {
		m.abandon(message.StepSkipped, s.Reason)
		m.conclude()
		return
	}
	m.advance()
}

// price takes the provider's word on money.
func (m *mover) price(w Which, a *message.Attempt, p *message.ProviderPrice) {
	rule := p.Category
	if p.Type != "" {
		rule += "/" + p.Type
	}
	switch {
	case a.PriceBy == "provider" && (p.Amount == nil || a.Price == *p.Amount):
		return // said already: a repeat, or an older receipt that comes late
	case a.PriceBy == "" && p.Billable && p.Amount == nil && a.PriceRule == rule:
		return // known, and booked when the channel charges
	}
	a.PriceRule = rule
	m.m.Changed = true
	switch {
	case p.Amount != nil:
		a.Price, a.PriceBy = *p.Amount, "provider"
	case !p.Billable:
		currency := m.d.Steps[w.Step].Estimate.Currency
		if currency == "" {
			currency = "USD" // nothing is nothing in any currency
		}
		a.Price, a.PriceBy = message.Money{Currency: currency}, "provider"
	case a.PriceBy == "estimate":
		a.PriceBy = "provider"
	default:
		return // booked when the channel charges
	}
	m.event(EventStep, w.Step, w.Attempt, "priced").Charge = true
}

// closeIfFinal asks for the refs of an attempt to be closed once nothing more
// is expected of it.
func (m *mover) closeIfFinal(w Which) {
	if !m.m.Changed {
		return
	}
	s := &m.d.Steps[w.Step]
	switch s.State {
	case message.StepRead, message.StepFailed:
		m.m.Close = append(m.m.Close, w)
	case message.StepDelivered, message.StepSuperseded:
		if s.Channel == message.SMS || !s.Attempts[w.Attempt].ReadAt.IsZero() {
			m.m.Close = append(m.m.Close, w) // no read receipts on SMS
		}
	}
}
