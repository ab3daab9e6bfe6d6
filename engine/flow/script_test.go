package flow_test

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

// A script tells one delivery's story in time.
type script struct {
	t      *testing.T
	p      flow.Policy
	d      *message.Delivery
	now    time.Time
	events []flow.Event
	last   flow.Move
	at     flow.Which
}

func whatsapp(next message.Trigger) message.Step {
	return message.Step{Channel: message.WhatsApp, Connector: message.ConnectorID{1}, Mode: message.FreeForm, Next: next, Expect: 72 * time.Hour, Estimate: message.Money{Micros: 30_000, Currency: "EUR"}}
}

func sms() message.Step {
	return message.Step{Channel: message.SMS, Connector: message.ConnectorID{2}, Mode: message.FreeForm, Expect: 72 * time.Hour, Estimate: message.Money{Micros: 60_000, Currency: "EUR"}}
}

func begin(t *testing.T, purpose message.Purpose, steps ...message.Step) *script {
	return beginAt(t, purpose, time.Time{}, steps...)
}

func beginAt(t *testing.T, purpose message.Purpose, sendAt time.Time, steps ...message.Step) *script {
	t.Helper()
	s := &script{t: t, p: flow.Default(), now: start}
	s.d = &message.Delivery{ID: message.MessageID{1}, Purpose: purpose, CreatedAt: start, SendAt: sendAt, ExpiresAt: start.Add(24 * time.Hour), Steps: steps}
	s.take(flow.Begin(&s.p, s.d, start))
	return s
}

func (s *script) take(m flow.Move) *script {
	s.last = m
	s.events = append(s.events, m.Events...)
	return s
}

// in lets time pass to an instant after the start, looking whenever a look is due.
func (s *script) in(d time.Duration) *script {
	s.t.Helper()
	end := start.Add(d)
	for range 20 {
		if s.d.Due.IsZero() || s.d.Due.After(end) {
			break
		}
		s.now = s.d.Due
		s.take(flow.Tick(&s.p, s.d, s.now))
	}
	s.now = end
	return s
}

func (s *script) attempt() *script {
	s.t.Helper()
	if !flow.Ready(s.d) {
		s.t.Fatalf("not ready: %s", describe(s.d))
	}
	w, m := flow.Attempt(&s.p, s.d, 1, s.now)
	s.at = w
	return s.take(m)
}

func (s *script) taken(parts ...message.Part) *script {
	return s.take(flow.Answer(&s.p, s.d, s.at, parts, nil, s.now))
}

func (s *script) send() *script { s.t.Helper(); return s.attempt().taken() }

func (s *script) fault(k message.FaultKind) *script {
	return s.take(flow.Answer(&s.p, s.d, s.at, nil, &message.Fault{Kind: k, Certain: true, Code: "42"}, s.now))
}

func (s *script) noAnswer() *script {
	return s.take(flow.Answer(&s.p, s.d, s.at, nil, &message.Fault{Kind: message.Transient}, s.now))
}

// receipt is about the first attempt of a step.
func (s *script) receipt(step int, status message.ReceiptStatus) *script {
	return s.take(flow.Receipt(&s.p, s.d, flow.Which{Step: step}, -1, &message.Receipt{Status: status}, s.now))
}

func (s *script) refused(step int, k message.FaultKind) *script {
	return s.take(flow.Receipt(&s.p, s.d, flow.Which{Step: step}, -1, &message.Receipt{Status: message.ReceiptFailed, Fault: &message.Fault{Kind: k, Certain: true}}, s.now))
}

func (s *script) replied() *script { return s.take(flow.Replied(&s.p, s.d, s.now)) }

// is checks where everything stands.
func (s *script) is(state message.State, reason string, steps ...message.StepState) *script {
	s.t.Helper()
	got := make([]message.StepState, len(s.d.Steps))
	for i := range got {
		got[i] = s.d.Steps[i].State
	}
	if s.d.State != state || s.d.Reason != reason || !slices.Equal(got, steps) {
		s.t.Fatalf("at %s: %s (%q) %v, want %s (%q) %v", s.now.Sub(start), s.d.State, s.d.Reason, got, state, reason, steps)
	}
	return s
}

func (s *script) told(typ string, times int) *script {
	s.t.Helper()
	n := 0
	for _, e := range s.events {
		if e.Type == typ {
			n++
		}
	}
	if n != times {
		s.t.Fatalf("%s was told %d times, want %d", typ, n, times)
	}
	return s
}

// charges counts the bookings of a step.
func (s *script) charges(step, want int) *script {
	s.t.Helper()
	n := 0
	for _, e := range s.events {
		if e.Charge && e.Step == step {
			n++
		}
	}
	if n != want {
		s.t.Fatalf("step %d was booked %d times, want %d", step, n, want)
	}
	return s
}

const (
	queued, held, sending, unknown, sent              = message.StepQueued, message.StepHeld, message.StepSending, message.StepUnknown, message.StepSent
	delivered, read, failed, skipped, pending         = message.StepDelivered, message.StepRead, message.StepFailed, message.StepSkipped, message.StepPending
	expired, cancelled, unconfirmed, superseded       = message.StepExpired, message.StepCancelled, message.StepUnconfirmed, message.StepSuperseded
	minute, hour                                      = time.Minute, time.Hour
	rSent, rDelivered, rRead, rFailed, rGone, rUnsure = message.ReceiptSent, message.ReceiptDelivered, message.ReceiptRead, message.ReceiptFailed, message.ReceiptExpired, message.ReceiptUnknown
)

var in1m = message.Trigger{NotDelivered: minute}
