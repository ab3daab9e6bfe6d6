// Package flow is the life of one delivery as pure functions: a delivery, a
// fact and the time go in; the delivery moves and the consequences come out.
// It has no clock, no store and no channel, so that every order of facts can be
// tested. What may be sent is decided by package gate, which way by package
// route.
//
// Start with [Begin], [Attempt], [Answer], [Receipt] and [Tick]. The states
// and their joins are in package message and docs/states.md.
package flow

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// A Policy holds the numbers of the engine's choices. The zero Policy is not
// useful; start from Default.
type Policy struct {
	MaxRetries    int                                // counted attempts of one step that failed in passing
	Backoff       func(retry int) time.Duration      // before retry n (1 …)
	AnswerIn      time.Duration                      // an attempt without answer becomes unknown after this
	UnknownWait   time.Duration                      // utility and service go on after this if no trigger is shorter
	UnknownEnd    time.Duration                      // an unknown attempt without receipt ends after this
	CappedWait    time.Duration                      // before a capped message is tried again
	ThrottledWait time.Duration                      // when the provider named no time
	SenderWait    time.Duration                      // before a sender that the provider does not know is tried again
	ChargeOn      func(message.Channel) message.Fact // FactAccepted or FactDelivered
}

// Grace is added to a provider's time-to-live before its silence is taken as
// "dropped": a receipt of the last second needs time to reach us.
const Grace = 2 * time.Minute

// Default gives the policy of docs/states.md.
func Default() Policy {
	return Policy{
		MaxRetries:    4,
		Backoff:       Exponential(2*time.Second, 2*time.Minute),
		AnswerIn:      90 * time.Second,
		UnknownWait:   60 * time.Second,
		UnknownEnd:    24 * time.Hour,
		CappedWait:    24 * time.Hour,
		ThrottledWait: time.Second,
		SenderWait:    5 * time.Minute,
		ChargeOn: func(c message.Channel) message.Fact {
			if c == message.SMS {
				return message.FactAccepted
			}
			return message.FactDelivered
		},
	}
}

// Exponential gives a backoff that doubles from first and stays at limit.
func Exponential(first, limit time.Duration) func(int) time.Duration {
	return func(n int) time.Duration {
		d := first
		for ; n > 1 && d < limit; n-- {
			d *= 2
		}
		return min(d, limit)
	}
}

// A Move is the consequences of one fact.
type Move struct {
	// Changed says that the delivery must be stored; its Version was raised.
	Changed bool
	Events  []Event
	// Close lists attempts no receipt is expected for any more.
	Close []Which
	// Remember, Suppress, Pause and CloseWindow ask the shell to act on the
	// fault's scope beyond this message.
	Remember    *message.Fault
	Suppress    *message.Fault
	Pause       *message.Fault
	Slow        *message.Fault
	CloseWindow bool
	At          Which // the step these four are about
}

// Which names one attempt of a delivery.
type Which struct{ Step, Attempt int }

// An Event is one thing to log about a delivery.
type Event struct {
	Type    string // "message.sent", "message.step" …
	Step    int    // -1: the message as a whole
	Attempt int    // -1: none
	State   message.StepState
	Reason  string
	Charge  bool // the attempt's price is to be booked
}

// Event types of a delivery.
const (
	EventAccepted    = "message.accepted"
	EventSent        = "message.sent"
	EventDelivered   = "message.delivered"
	EventRead        = "message.read"
	EventFailed      = "message.failed"
	EventExpired     = "message.expired"
	EventCancelled   = "message.cancelled"
	EventUnconfirmed = "message.unconfirmed"
	EventStep        = "message.step"
)

// Reasons a step or message ended or waits: stable words that clients see.
const (
	ReasonExpired        = "expired"
	ReasonCancelled      = "cancelled"
	ReasonDelivered      = "delivered_by_earlier_step"
	ReasonNotSentInTime  = "not_sent_in_time"
	ReasonNotDelivered   = "not_delivered_in_time"
	ReasonNotRead        = "not_read_in_time"
	ReasonNotReplied     = "not_replied_in_time"
	ReasonUnknown        = "outcome_unknown"
	ReasonRetry          = "retry"
	ReasonThrottled      = "throttled"
	ReasonCapped         = "capped"
	ReasonMisconfigured  = "connector_misconfigured"
	ReasonSender         = "sender_misconfigured"
	ReasonWindowTemplate = "window_closed_template"
	ReasonOptedOut       = "opted_out"
	ReasonMarketingStays = "marketing_never_rerouted"
	ReasonNoReceipts     = "no_receipts"
	ReasonHorizon        = "receipt_horizon"
	ReasonAllSkipped     = "no_step_possible"
)

// Ready reports whether the delivery waits in the lane of its connector.
func Ready(d *message.Delivery) bool {
	s := d.Step()
	return s != nil && s.State == message.StepQueued && d.State != message.Scheduled
}

// Connector gives the account whose owner works on the delivery.
func Connector(d *message.Delivery) message.ConnectorID {
	if s := d.Step(); s != nil {
		return s.Connector
	}
	for i := len(d.Steps) - 1; i >= 0; i-- {
		if !d.Steps[i].Connector.IsZero() {
			return d.Steps[i].Connector
		}
	}
	return message.ConnectorID{}
}

type mover struct {
	p   *Policy
	d   *message.Delivery
	now time.Time
	m   Move
}

func move(p *Policy, d *message.Delivery, now time.Time) *mover {
	return &mover{p: p, d: d, now: now}
}

// done closes a move: it finds the next deadline and raises the version.
func (m *mover) done() Move {
	if m.m.Changed {
		m.d.Version++
		m.d.Due = m.due()
	}
	return m.m
}

func (m *mover) event(typ string, step, attempt int, reason string) *Event {
	e := Event{Type: typ, Step: step, Attempt: attempt, Reason: reason}
	if step >= 0 {
		e.State = m.d.Steps[step].State
	}
	m.m.Events = append(m.m.Events, e)
	return &m.m.Events[len(m.m.Events)-1]
}

// rise lifts the message's state and logs the change.
func (m *mover) rise(to message.State, step, attempt int, reason string) *Event {
	before := m.d.State
	after := message.Rise(before, to)
	if after == before {
		return nil
	}
	m.m.Changed = true
	m.d.State = after
	if after.Ended() && m.d.EndedAt.IsZero() {
		m.d.EndedAt = m.now
	}
	if after.Ended() {
		m.d.Reason = reason
	}
	var typ string
	switch after {
	case message.Sent:
		typ = EventSent
	case message.Delivered:
		typ = EventDelivered
	case message.Read:
		typ = EventRead
	case message.Failed:
		typ = EventFailed
	case message.Expired:
		typ = EventExpired
	case message.Cancelled:
		typ = EventCancelled
	case message.Unconfirmed:
		typ = EventUnconfirmed
	default:
		return nil
	}
	return m.event(typ, step, attempt, reason)
}

// step moves a step and logs what a client should know of.
func (m *mover) step(i int, to message.StepState, reason string) {
	s := &m.d.Steps[i]
	if s.State == to && s.Reason == reason {
		return
	}
	s.State, s.Reason = to, reason
	m.m.Changed = true
	switch to {
	case message.StepFailed, message.StepSkipped, message.StepUnknown, message.StepSuperseded,
		message.StepHeld, message.StepRevoked, message.StepUnconfirmed, message.StepExpired:
		m.event(EventStep, i, len(s.Attempts)-1, reason)
	}
}

// enter makes step i the current one and queues it.
func (m *mover) enter(i int) {
	m.d.Current = i
	s := &m.d.Steps[i]
	s.State = message.StepQueued
	s.HeldUntil = time.Time{}
	m.deadline(i, m.now)
	m.m.Changed = true
}

// deadline sets when step i's trigger fires, counted from an instant; a
// trigger with no step behind it never fires.
func (m *mover) deadline(i int, from time.Time) {
	s := &m.d.Steps[i]
	s.Deadline = time.Time{}
	if wait, _ := waits(s); wait > 0 && m.d.Current == i && m.next() {
		s.Deadline = from.Add(wait)
	}
}

// waits gives the shortest wait of a step's trigger that still runs. Whoever
// replied has read: only the wait for delivery can still fire.
func waits(s *message.Step) (time.Duration, string) {
	t := s.Next
	if s.Replied {
		t.NotRead, t.NotReplied = 0, 0
	}
	return t.Wait(s.State)
}

// over reports whether the route goes no further: the message did what it is
// for or came to an end. One that was delivered and waits to be read or
// answered is not over, although clients see an end.
func (m *mover) over() bool {
	d := m.d
	if d.Satisfied > 0 || d.State.Ended() && d.State != message.Delivered && d.State != message.Read {
		return true
	}
	if d.Purpose != message.Marketing {
		return false
	}
	for i := range d.Steps {
		// The person, or their provider, said no: law 3 and the fault table.
		if s := &d.Steps[i]; s.State == message.StepFailed && len(s.Attempts) > 0 {
			if k := s.Last().Fault; k == message.OptedOut || k == message.Capped {
				return true
			}
		}
	}
	return false
}

// advance goes to the next step that has not been tried, or ends the message
// when none is left and nothing is awaited.
func (m *mover) advance() {
	if m.d.Satisfied > 0 || m.d.State == message.Cancelled {
		return
	}
	for i := m.d.Current + 1; i < len(m.d.Steps); i++ {
		if m.d.Steps[i].State == message.StepPending {
			m.enter(i)
			return
		}
	}
	m.d.Current = len(m.d.Steps)
	m.m.Changed = true
	m.conclude()
}

// conclude ends a message that has no step left to try and none open.
func (m *mover) conclude() {
	if m.d.Current < len(m.d.Steps) || m.d.State.Ended() {
		return
	}
	// What says most about the person's screen decides: certainly sent, perhaps
	// sent, certainly not; among equals the last step tried.
	end, reason, at, rank := message.Failed, ReasonAllSkipped, -1, 0
	take := func(i, r int, to message.State) {
		if r >= rank {
			end, reason, at, rank = to, m.d.Steps[i].Reason, i, r
		}
	}
	for i := range m.d.Steps {
		s := &m.d.Steps[i]
		switch s.State {
		case message.StepSent, message.StepSending, message.StepUnknown:
			return // still awaited
		case message.StepUnconfirmed:
			if s.Reason == ReasonUnknown {
				take(i, 3, message.Failed)
			} else {
				take(i, 4, message.Unconfirmed)
			}
		case message.StepExpired:
			take(i, 2, message.Expired)
		case message.StepFailed, message.StepRevoked:
			take(i, 2, message.Failed)
		case message.StepSkipped:
			if rank == 0 {
				reason = s.Reason
			}
		}
	}
	m.rise(end, at, -1, reason)
}

// abandon ends every step not tried yet.
func (m *mover) abandon(to message.StepState, reason string) {
	for i := range m.d.Steps {
		s := &m.d.Steps[i]
		if s.State.Waiting() {
			s.State, s.Reason = to, reason
			s.HeldUntil = time.Time{}
			m.m.Changed = true
		}
	}
	if s := m.d.Step(); s == nil || !s.State.Open() {
		m.d.Current = len(m.d.Steps)
	}
}

// due finds the next instant the scheduler must look at the delivery.
func (m *mover) due() time.Time {
	d := m.d
	var due time.Time
	take := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	if d.State == message.Scheduled {
		take(d.SendAt)
	}
	if !d.State.Ended() {
		take(d.ExpiresAt)
	}
	// Steps that were handed over are followed to their end, also when the
	// message has had its own: their story is told truly.
	for i := range d.Steps {
		switch s := &d.Steps[i]; s.State {
		case message.StepSent, message.StepUnknown:
			take(s.Horizon)
		case message.StepSending:
			take(s.Last().StartedAt.Add(m.p.AnswerIn))
		}
	}
	if d.Satisfied > 0 || d.State == message.Cancelled {
		return due
	}
	if s := d.Step(); s != nil && d.State != message.Scheduled && s.State != message.StepSending {
		if s.State == message.StepHeld {
			take(s.HeldUntil)
		}
		take(s.Deadline)
	}
	return due
}
