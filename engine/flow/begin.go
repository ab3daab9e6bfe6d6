package flow

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// Begin puts a freshly planned delivery on its way: scheduled, or queued at
// its first step that was not skipped. The plan's skipped steps keep their
// reasons. Version becomes 1.
func Begin(p *Policy, d *message.Delivery, now time.Time) Move {
	m := move(p, d, now)
	d.State, d.Current = message.Queued, -1
	m.event(EventAccepted, -1, -1, "")
	if d.SendAt.After(now) {
		d.State = message.Scheduled
		d.Current = 0
		m.m.Changed = true
		return m.done()
	}
	m.advance()
	return m.done()
}

// Attempt records that the current step is about to be handed to its
// connector, under a lease's fence. It must be stored before the bytes leave.
func Attempt(p *Policy, d *message.Delivery, fence int64, now time.Time) (Which, Move) {
	m := move(p, d, now)
	s := d.Step()
	a := message.Attempt{Connector: s.Connector, Fence: fence, StartedAt: now}
	// Attempts that surely never left are not worth a list: the last of a row
	// of them is kept. One that a receipt spoke of keeps its place: the receipt
	// may come again and must not be taken for news of its successor.
	if last := s.Last(); last != nil && last.Outcome == message.NotSent && !spokenOf(last) {
		*last = a
	} else {
		s.Attempts = append(s.Attempts, a)
	}
	if s.Started.IsZero() {
		s.Started = now
	}
	s.State = message.StepSending
	s.HeldUntil = time.Time{}
	m.m.Changed = true
	m.rise(message.Sending, d.Current, len(s.Attempts)-1, "")
	return Which{d.Current, len(s.Attempts) - 1}, m.done()
}

// spokenOf reports whether a provider told anything of an attempt after its
// immediate answer.
func spokenOf(a *message.Attempt) bool {
	return !a.FailedAt.IsZero() || !a.SentAt.IsZero() || len(a.Parts) > 0 || a.PriceBy != "" || a.PriceRule != ""
}

// Hold keeps the current step back until an instant, as a gate decided.
func Hold(p *Policy, d *message.Delivery, until time.Time, reason, detail string, now time.Time) Move {
	m := move(p, d, now)
	s := d.Step()
	s.HeldUntil, s.Detail = until, detail
	m.step(d.Current, message.StepHeld, reason)
	m.m.Changed = true
	return m.done()
}

// Skip gives the current step up, as a gate decided, and goes on.
func Skip(p *Policy, d *message.Delivery, reason, detail string, now time.Time) Move {
	m := move(p, d, now)
	d.Step().Detail = detail
	m.step(d.Current, message.StepSkipped, reason)
	m.advance()
	return m.done()
}

// Refuse ends the whole message, as a gate decided.
func Refuse(p *Policy, d *message.Delivery, reason, detail string, now time.Time) Move {
	m := move(p, d, now)
	at := d.Current
	d.Step().Detail = detail
	if m.past(d.ExpiresAt) && !d.State.Ended() {
		m.expire() // the lane saw it before the scheduler did
		return m.done()
	}
	m.step(at, message.StepFailed, reason)
	m.abandon(message.StepSkipped, reason)
	m.conclude()
	return m.done()
}

// Cancel takes the message back if no attempt was made. ok is false, and
// nothing changes, when it is too late.
func Cancel(p *Policy, d *message.Delivery, now time.Time) (ok bool, mv Move) {
	if d.State != message.Scheduled && d.State != message.Queued {
		return false, Move{}
	}
	for i := range d.Steps {
		if len(d.Steps[i].Attempts) > 0 {
			return false, Move{}
		}
	}
	m := move(p, d, now)
	m.abandon(message.StepCancelled, ReasonCancelled)
	m.d.Current = len(d.Steps)
	m.rise(message.Cancelled, -1, -1, ReasonCancelled)
	return true, m.done()
}

// Replied records that the person answered: it satisfies not_read_in and
// not_replied_in triggers.
func Replied(p *Policy, d *message.Delivery, now time.Time) Move {
	m := move(p, d, now)
	for i := range d.Steps {
		s := &d.Steps[i]
		if len(s.Attempts) == 0 || s.Replied {
			continue
		}
		s.Replied = true
		m.m.Changed = true
		if s.State.Success() && d.Satisfied == 0 && s.Next.Satisfied(s.State, true) {
			m.satisfied(i)
		} else if i == d.Current && !s.Deadline.IsZero() && s.State != message.StepUnknown {
			m.deadline(i, m.since(s.Last()))
		}
	}
	return m.done()
}

// satisfied records that step i did what the message is for: the rest is off.
func (m *mover) satisfied(i int) {
	m.d.Satisfied = i + 1
	m.abandon(message.StepCancelled, ReasonDelivered)
}
