package flow

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// Answer records how a send ended: the provider's answer when f is nil, else a
// fault. parts are the provider's ids, sealed and keyed by the shell.
func Answer(p *Policy, d *message.Delivery, w Which, parts []message.Part, f *message.Fault, now time.Time) Move {
	m := move(p, d, now)
	a := m.attempt(w)
	if a == nil || !a.AnsweredAt.IsZero() {
		return Move{} // there is one answer; told again after a retried commit, it is no news
	}
	a.AnsweredAt = now
	// A receipt that was quicker may have told of some parts already.
	if len(a.Parts) == 0 {
		a.Parts = parts
	}
	for i := range parts {
		switch {
		case i >= len(a.Parts):
			a.Parts = append(a.Parts, parts[i])
		case a.Parts[i].Key == message.RefKey{}:
			a.Parts[i].Key, a.Parts[i].Ref = parts[i].Key, parts[i].Ref
		}
	}
	m.m.Changed = true
	switch {
	case f == nil:
		if a.Outcome == message.Started || a.Outcome == message.Uncertain {
			a.Outcome = message.Taken
		}
		if !a.FailedAt.IsZero() && a.SentAt.IsZero() {
			a.SentAt = now // a receipt of its failure was quicker than the answer
		}
		m.fact(w, message.FactAccepted, now, "")
	case !f.Certain, m.doubted(f):
		m.note(a, f)
		if a.Outcome == message.Started {
			a.Outcome = message.Uncertain
		}
		m.lost(w)
	default:
		m.note(a, f)
		m.fail(w, f)
	}
	return m.done()
}

// NotSent records that an attempt surely never left and is nobody's failure:
// a shutdown, or a link that went down first. The step is queued again.
func NotSent(p *Policy, d *message.Delivery, w Which, reason string, now time.Time) Move {
	m := move(p, d, now)
	a := m.attempt(w)
	if a == nil || a.Outcome != message.Started {
		return Move{}
	}
	a.Outcome, a.AnsweredAt = message.NotSent, now
	m.again(w.Step, reason)
	return m.done()
}

// Lost records that nobody knows what became of an attempt: its owner died.
func Lost(p *Policy, d *message.Delivery, w Which, now time.Time) Move {
	m := move(p, d, now)
	a := m.attempt(w)
	if a == nil || a.Outcome != message.Started {
		return Move{}
	}
	a.Outcome = message.Uncertain
	m.lost(w)
	m.m.Changed = true
	return m.done()
}

func (m *mover) attempt(w Which) *message.Attempt {
	if w.Step < 0 || w.Step >= len(m.d.Steps) {
		return nil
	}
	s := &m.d.Steps[w.Step]
	if w.Attempt < 0 || w.Attempt >= len(s.Attempts) {
		return nil
	}
	return &s.Attempts[w.Attempt]
}

func (m *mover) note(a *message.Attempt, f *message.Fault) {
	a.Fault, a.Code, a.Title = f.Kind, f.Code, f.Title
}

// doubted reports whether a refusal is not to be believed: marketing is never
// sent twice, not even when a provider took it and then said no. For other
// purposes a copy too many is better than none.
func (m *mover) doubted(f *message.Fault) bool {
	return f != nil && f.Doubtful && m.d.Purpose == message.Marketing
}

// again queues a step once more.
func (m *mover) again(step int, reason string) {
	m.m.Changed = true
	s := &m.d.Steps[step]
	switch {
	case !s.State.Open():
		// A receipt was quicker and knows better.
	case m.d.Satisfied > 0:
		m.step(step, message.StepCancelled, ReasonDelivered)
	case m.past(m.d.ExpiresAt) || m.d.State == message.Expired:
		m.step(step, message.StepExpired, ReasonExpired)
		m.gaveUp(step)
	case m.d.Current != step || m.over():
		m.step(step, message.StepFailed, reason)
		m.gaveUp(step)
	default:
		s.State, s.Reason = message.StepQueued, reason
	}
}

// retry holds a step until an instant, if that makes sense, else it fails.
func (m *mover) retry(step int, wait time.Duration, reason string) {
	s := &m.d.Steps[step]
	at := m.now.Add(wait)
	if m.d.Current != step || m.over() || !m.d.ExpiresAt.IsZero() && at.After(m.d.ExpiresAt) {
		m.step(step, message.StepFailed, s.Last().Fault.String())
		m.gaveUp(step)
		return
	}
	s.HeldUntil = at
	m.step(step, message.StepHeld, reason)
	m.m.Changed = true
}

// lost makes an attempt unknown; what then depends on the purpose (law 3).
func (m *mover) lost(w Which) {
	s := &m.d.Steps[w.Step]
	if message.Join(s.State, message.FactLost, false) != message.StepUnknown || s.State == message.StepUnknown {
		return
	}
	started := s.Attempts[w.Attempt].StartedAt
	s.Horizon = started.Add(m.p.UnknownEnd)
	m.step(w.Step, message.StepUnknown, ReasonUnknown)
	switch m.d.Purpose {
	case message.Authentication:
		s.Deadline = time.Time{}
		if m.d.Current == w.Step && m.next() {
			m.advance()
		}
	case message.Marketing:
		s.Deadline = time.Time{} // never twice: only a receipt or the horizon moves it
	default:
		wait := m.p.UnknownWait
		if t, _ := waits(s); t > 0 {
			wait = t
		}
		s.Deadline = started.Add(wait)
	}
}

// next reports whether a step is left to try.
func (m *mover) next() bool {
	for i := m.d.Current + 1; i < len(m.d.Steps); i++ {
		if m.d.Steps[i].State == message.StepPending {
			return true
		}
	}
	return false
}

// fail acts on a certain fault, told at once or by receipt.
func (m *mover) fail(w Which, f *message.Fault) {
	s := &m.d.Steps[w.Step]
	a := &s.Attempts[w.Attempt]
	m.m.At = w
	if w.Attempt != len(s.Attempts)-1 {
		// News of an attempt that was followed by another: it does not decide.
		if a.Outcome == message.Started || a.Outcome == message.Uncertain {
			a.Outcome = message.Rejected
			m.m.Changed = true
		}
		return
	}
	if !s.State.Open() {
		return
	}
	m.m.Changed = true
	switch f.Kind {
	case message.Throttled:
		a.Outcome = message.NotSent
		m.m.Slow = f
		wait := f.RetryAfter
		if wait <= 0 {
			wait = m.p.ThrottledWait
		}
		m.retry(w.Step, wait, ReasonThrottled)
		return
	case message.Misconfigured:
		a.Outcome = message.NotSent
		if f.Scope == message.ScopeSender {
			// Others of this account still work: it is not paused.
			m.retry(w.Step, m.p.SenderWait, ReasonSender)
			return
		}
		m.m.Pause = f
		m.again(w.Step, ReasonMisconfigured)
		return
	}
	a.Outcome = message.Rejected
	if a.FailedAt.IsZero() {
		a.FailedAt = m.now
	}
	switch f.Kind {
	case message.Transient:
		s.Retries++
		if s.Retries <= m.p.MaxRetries {
			wait := max(m.p.Backoff(s.Retries), f.RetryAfter)
			m.retry(w.Step, wait, ReasonRetry)
			return
		}
	case message.WindowClosed:
		m.m.CloseWindow = true
		if s.Mode == message.FreeForm && s.Template != "" && m.d.Current == w.Step && !m.over() {
			s.Mode = message.Template
			s.State, s.Reason = message.StepQueued, ReasonWindowTemplate
			m.event(EventStep, w.Step, w.Attempt, ReasonWindowTemplate)
			return
		}
	case message.Unreachable:
		m.m.Remember = f
	case message.OptedOut:
		m.m.Suppress = f
	}
	reason := f.Kind.String()
	if f.Kind == message.Capped && m.d.Purpose == message.Marketing && s.Retries < 2 && m.d.Current == w.Step && !m.over() {
		wait := m.p.CappedWait * time.Duration(s.Retries+1)
		if at := m.now.Add(wait); !m.d.ExpiresAt.IsZero() && at.Before(m.d.ExpiresAt) {
			s.Retries++
			m.retry(w.Step, wait, ReasonCapped)
			return
		}
	}
	m.step(w.Step, message.StepFailed, reason)
	s.Detail = f.Code
	if m.d.Purpose == message.Marketing && (f.Kind == message.OptedOut || f.Kind == message.Capped) {
		m.abandon(message.StepSkipped, ReasonMarketingStays)
		m.conclude()
		return
	}
	m.gaveUp(w.Step)
}

// fact joins what was learnt about an attempt into its step and the message.
func (m *mover) fact(w Which, f message.Fact, at time.Time, reason string) {
	s := &m.d.Steps[w.Step]
	a := &s.Attempts[w.Attempt]
	if refusedAtOnce := a.SentAt.IsZero() && a.FailedAt.Equal(a.AnsweredAt); f == message.FactAccepted && !a.FailedAt.IsZero() && !refusedAtOnce {
		// The receipt of its failure was quicker: that it had been taken first is
		// older news. After a refusal at once, being taken is news.
		if a.SentAt.IsZero() {
			a.SentAt = at
			m.m.Changed = true
		}
		if m.charge(s, a, f) {
			m.event(EventStep, w.Step, w.Attempt, "charged").Charge = true
		}
		return
	}
	if a.Outcome == message.Started || a.Outcome == message.Uncertain || a.Outcome == message.NotSent {
		a.Outcome = message.Taken
		m.m.Changed = true
	}
	before := s.State
	after := message.Join(before, f, m.d.Satisfied > 0 && m.d.Satisfied != w.Step+1)
	charge := m.charge(s, a, f)
	if after != before {
		m.m.Changed = true
		s.State = after
	}
	switch {
	case f == message.FactAccepted:
		if a.SentAt.IsZero() {
			a.SentAt = at
			m.m.Changed = true
		}
		if after != before {
			m.sent(w, charge)
			return
		}
	case after == before && f == message.FactDelivered, after == before && f == message.FactRead:
		// A repeat, or a read of what was superseded: only its time is kept.
	case after == message.StepSuperseded:
		s.Reason = ReasonDelivered
		m.event(EventStep, w.Step, w.Attempt, "superseded").Charge = charge
		return
	case f == message.FactDelivered || f == message.FactRead:
		to := message.Delivered
		if f == message.FactRead {
			to = message.Read
		}
		if e := m.rise(to, w.Step, w.Attempt, reason); e != nil {
			e.Charge = charge
		} else {
			m.event(EventStep, w.Step, w.Attempt, after.String()).Charge = charge
		}
		charge = false
		if m.d.Satisfied == 0 && s.Next.Satisfied(after, s.Replied) {
			m.satisfied(w.Step)
		} else if m.d.Current == w.Step {
			m.deadline(w.Step, m.since(a))
		}
	}
	if charge {
		m.event(EventStep, w.Step, w.Attempt, "charged").Charge = true
	}
}

// since gives the instant a trigger's wait counts from: the provider's answer,
// or our attempt where there was none.
func (m *mover) since(a *message.Attempt) time.Time {
	if !a.AnsweredAt.IsZero() {
		return a.AnsweredAt
	}
	return a.StartedAt
}

// sent makes a step wait for its receipts.
func (m *mover) sent(w Which, charge bool) {
	s := &m.d.Steps[w.Step]
	a := &s.Attempts[w.Attempt]
	s.Reason = ""
	if e := m.rise(message.Sent, w.Step, w.Attempt, ""); e != nil {
		e.Charge = charge
	} else {
		m.event(EventStep, w.Step, w.Attempt, "sent").Charge = charge
	}
	if s.Expect <= 0 {
		// Nobody will ever say more: the step closes here and now.
		m.step(w.Step, message.StepUnconfirmed, ReasonNoReceipts)
		m.m.Close = append(m.m.Close, w)
		if m.d.Current == w.Step {
			m.d.Current = len(m.d.Steps)
			m.abandon(message.StepCancelled, ReasonNoReceipts)
		}
		m.conclude()
		return
	}
	s.Horizon = a.SentAt.Add(s.Expect)
	if s.ValidFor > 0 && s.ValidFor+Grace < s.Expect {
		s.Horizon = a.SentAt.Add(s.ValidFor + Grace)
	}
	m.deadline(w.Step, m.since(a))
}

// charge books the estimate at the moment the channel charges, once, unless
// the provider's own word is there.
func (m *mover) charge(s *message.Step, a *message.Attempt, f message.Fact) bool {
	if a.PriceBy != "" {
		return false
	}
	on := m.p.ChargeOn(s.Channel)
	due := f == on || on == message.FactDelivered && f == message.FactRead || on == message.FactAccepted && (f == message.FactDelivered || f == message.FactRead)
	if !due || s.Estimate.Currency == "" {
		return false
	}
	a.Price, a.PriceBy = s.Estimate, "estimate"
	if a.PriceRule != "" {
		a.PriceBy = "provider" // it named the category before the charge was due
	}
	m.m.Changed = true
	return true
}
