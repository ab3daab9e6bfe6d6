package flow

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// Tick lets time do its work: scheduled messages begin, waits end, triggers
// fire, unknown outcomes are given up, messages expire. It is harmless before
// anything is due.
func Tick(p *Policy, d *message.Delivery, now time.Time) Move {
	m := move(p, d, now)
	// Each pass may enable another (a trigger fires, then the message turns
	// out to have expired); the bound is far above what a route can need.
	for range 2*len(d.Steps) + 4 {
		before := m.stamp()
		m.tick()
		if m.stamp() == before {
			break
		}
	}
	if !m.m.Changed && !d.Due.IsZero() && !d.Due.After(now) {
		// Due, but nothing to do: look at the deadline again, so that a stale
		// one does not come back for ever.
		if due := m.due(); !due.Equal(d.Due) {
			m.m.Changed = true
		}
	}
	return m.done()
}

type stamp struct {
	state   message.State
	current int
	step    message.StepState
	events  int
}

func (m *mover) stamp() stamp {
	st := stamp{state: m.d.State, current: m.d.Current, events: len(m.m.Events)}
	if s := m.d.Step(); s != nil {
		st.step = s.State
	}
	return st
}

func (m *mover) past(t time.Time) bool { return !t.IsZero() && !t.After(m.now) }

func (m *mover) tick() {
	d := m.d
	if d.State == message.Cancelled {
		return
	}
	if m.past(d.ExpiresAt) && !d.State.Ended() {
		m.expire()
		return
	}
	if d.State == message.Scheduled {
		if m.past(d.SendAt) {
			d.State, d.Current = message.Queued, -1
			m.m.Changed = true
			m.advance()
		}
		return
	}
	for i := range d.Steps {
		s := &d.Steps[i]
		switch {
		case (s.State == message.StepSent || s.State == message.StepUnknown) && m.past(s.Horizon):
			m.horizon(i)
		case s.State == message.StepSending && m.past(s.Last().StartedAt.Add(m.p.AnswerIn)):
			s.Last().Outcome = message.Uncertain
			m.lost(Which{i, len(s.Attempts) - 1})
		}
	}
	s := d.Step()
	if s == nil || d.Satisfied > 0 {
		return
	}
	switch {
	case s.State == message.StepHeld && m.past(s.HeldUntil):
		s.State, s.HeldUntil = message.StepQueued, time.Time{}
		m.m.Changed = true
	case s.State == message.StepSending:
		// Its answer is awaited: the trigger waits with it.
	case m.past(s.Deadline):
		m.fire(s)
	}
}

// fire is a trigger whose wait has passed.
func (m *mover) fire(s *message.Step) {
	_, name := waits(s)
	s.Deadline = time.Time{}
	m.m.Changed = true
	reason := map[string]string{
		"not_delivered_in": ReasonNotDelivered, "not_read_in": ReasonNotRead, "not_replied_in": ReasonNotReplied,
	}[name]
	switch {
	case s.State.Waiting():
		// It never left the lane in time: there is nothing to come late.
		if m.next() {
			m.step(m.d.Current, message.StepSkipped, ReasonNotSentInTime)
			m.advance()
		}
	case m.over():
		// Ended otherwise meanwhile.
	case m.next():
		if s.State == message.StepUnknown {
			reason = ReasonUnknown
		}
		s.Reason = reason
		m.event(EventStep, m.d.Current, len(s.Attempts)-1, reason)
		m.advance()
	}
}

// horizon is the instant after which nothing more is expected of a step.
func (m *mover) horizon(i int) {
	s := &m.d.Steps[i]
	reason, to := ReasonHorizon, message.StepUnconfirmed
	if s.State == message.StepUnknown {
		reason = ReasonUnknown
	} else if s.ValidFor > 0 && s.ValidFor+Grace < s.Expect {
		// The provider's own time-to-live passed in silence: it gave up.
		reason, to = ReasonExpired, message.StepExpired
	}
	m.step(i, to, reason)
	m.gaveUp(i)
}

// expire ends a message whose time has passed. Steps that were handed over
// stay open: a delivery that comes late still counts.
func (m *mover) expire() {
	for i := range m.d.Steps {
		if m.d.Steps[i].State.Waiting() {
			m.d.Steps[i].State, m.d.Steps[i].Reason = message.StepExpired, ReasonExpired
			m.d.Steps[i].HeldUntil = time.Time{}
		}
	}
	m.m.Changed = true
	for i := range m.d.Steps {
		if m.d.Steps[i].State == message.StepUnknown {
			m.rise(message.Failed, i, -1, ReasonUnknown) // not "expired": it may have arrived
			return
		}
	}
	m.rise(message.Expired, -1, -1, ReasonExpired)
}
