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

func TestFirstStepDelivers(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.send().is(message.Sent, "", sent, pending)
	s.in(30*time.Second).receipt(0, rDelivered).is(message.Delivered, "", delivered, cancelled)
	s.in(hour).receipt(0, rRead).is(message.Read, "", read, cancelled)
	s.told(flow.EventSent, 1).told(flow.EventDelivered, 1).told(flow.EventRead, 1).charges(0, 1)
}

// Law 5: the SMS failed, and the WhatsApp message arrives after all.
func TestLateAfterTheOtherFailed(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.send().in(2*minute).is(message.Sent, "", sent, queued)
	s.attempt().fault(message.Refused).is(message.Sent, "", sent, failed)
	s.in(hour).receipt(0, rDelivered).is(message.Delivered, "", delivered, failed)
	s.told(flow.EventDelivered, 1).told(flow.EventFailed, 0).charges(0, 1).charges(1, 0)
}

// Law 5: the message expired, and the WhatsApp message arrives after all.
func TestLateAfterExpiry(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.send().in(2 * minute).attempt().fault(message.Refused)
	s.in(25*hour).is(message.Expired, flow.ReasonExpired, sent, failed)
	ended := s.d.EndedAt
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered, failed)
	if !s.d.EndedAt.Equal(ended) {
		t.Errorf("ended at %v and again at %v", ended, s.d.EndedAt)
	}
	s.told(flow.EventExpired, 1).told(flow.EventDelivered, 1).charges(0, 1)
	s.receipt(0, rRead).is(message.Read, "", read, failed)
}

// Law 5: the SMS was delivered, and then the WhatsApp message too: recorded,
// booked and shown, never a second success.
func TestLateAfterTheOtherDelivered(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.send().in(2*minute).send().is(message.Sent, "", sent, sent)
	s.receipt(1, rDelivered).is(message.Delivered, "", sent, delivered)
	s.in(hour).receipt(0, rDelivered).is(message.Delivered, "", superseded, delivered)
	s.receipt(0, rRead).is(message.Delivered, "", superseded, delivered)
	s.told(flow.EventDelivered, 1).told(flow.EventRead, 0).charges(0, 1).charges(1, 1)
	if s.d.Satisfied != 2 {
		t.Errorf("satisfied by %d, want 2", s.d.Satisfied)
	}
}

// … and after a failure that ended the message.
func TestLateAfterFailure(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{}))
	s.send().refused(0, message.Refused).is(message.Failed, "refused", failed)
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered).told(flow.EventFailed, 1).told(flow.EventDelivered, 1)
}

func TestNotReadIn(t *testing.T) {
	next := message.Trigger{NotRead: hour}
	s := begin(t, message.Utility, whatsapp(next), sms())
	s.send().in(minute).receipt(0, rDelivered).is(message.Delivered, "", delivered, pending)
	s.in(61*minute).is(message.Delivered, "", delivered, queued)
	// What stumbles on the second step is tried again, although clients see an end.
	s.attempt().fault(message.Throttled).is(message.Delivered, "", delivered, held)
	s.in(62 * minute).attempt()
	s.take(flow.NotSent(&s.p, s.d, s.at, flow.ReasonRetry, s.now)).is(message.Delivered, "", delivered, queued)
	s.send().is(message.Delivered, "", delivered, sent)
	s.receipt(1, rDelivered).is(message.Delivered, "", delivered, delivered).told(flow.EventDelivered, 1)
	if s.d.Satisfied != 2 {
		t.Errorf("satisfied by %d, want 2", s.d.Satisfied)
	}
	for name, stop := range map[string]func(*script) *script{
		"read":    func(s *script) *script { return s.receipt(0, rRead) },
		"replied": func(s *script) *script { return s.replied() },
	} {
		s := begin(t, message.Utility, whatsapp(next), sms())
		stop(s.send().receipt(0, rDelivered).in(30 * minute))
		s.in(3 * hour)
		if s.d.Steps[1].State != cancelled || !s.d.Due.IsZero() {
			t.Errorf("%s: %s", name, describe(s.d))
		}
	}
}

func TestNotRepliedIn(t *testing.T) {
	next := message.Trigger{NotReplied: hour}
	s := begin(t, message.Service, whatsapp(next), sms())
	s.send().receipt(0, rRead).is(message.Read, "", read, pending)
	s.in(2*hour).is(message.Read, "", read, queued)
	s = begin(t, message.Service, whatsapp(next), sms())
	s.send().receipt(0, rRead).in(30*minute).replied().in(2*hour).is(message.Read, "", read, cancelled)
	// The answer may come before the receipt of delivery does: no reminder.
	s = begin(t, message.Service, whatsapp(next), sms())
	s.send().in(minute).replied().in(2*hour).is(message.Sent, "", sent, pending)
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered, cancelled)
}

func TestUnknownOutcome(t *testing.T) {
	route := func() []message.Step { return []message.Step{whatsapp(in1m), sms()} }
	t.Run("authentication goes on at once", func(t *testing.T) {
		s := begin(t, message.Authentication, route()...)
		s.attempt().noAnswer().is(message.Sending, "", unknown, queued)
		s.send().receipt(1, rDelivered).receipt(0, rDelivered).is(message.Delivered, "", superseded, delivered)
	})
	for _, p := range []message.Purpose{message.Utility, message.Service} {
		t.Run(string(p)+" waits, then goes on", func(t *testing.T) {
			s := begin(t, p, route()...)
			s.attempt().noAnswer().is(message.Sending, "", unknown, pending)
			s.in(59*time.Second).is(message.Sending, "", unknown, pending)
			s.in(minute).is(message.Sending, "", unknown, queued)
		})
		t.Run(string(p)+" is settled by a receipt", func(t *testing.T) {
			s := begin(t, p, route()...)
			s.attempt().noAnswer().in(30*time.Second).receipt(0, rSent).is(message.Sent, "", sent, pending)
			s.receipt(0, rDelivered).is(message.Delivered, "", delivered, cancelled)
		})
	}
	t.Run("marketing never twice", func(t *testing.T) {
		s := begin(t, message.Marketing, route()...)
		s.d.ExpiresAt = start.Add(72 * hour)
		s.attempt().noAnswer().in(23*hour).is(message.Sending, "", unknown, pending)
		s.in(24*hour).is(message.Failed, flow.ReasonUnknown, unconfirmed, skipped)
		s.receipt(0, rDelivered).is(message.Delivered, "", delivered, skipped)
	})
	t.Run("marketing is not told by the provider either", func(t *testing.T) {
		s := begin(t, message.Marketing, route()...)
		s.send().receipt(0, rUnsure).is(message.Unconfirmed, flow.ReasonHorizon, unconfirmed, skipped)
	})
	t.Run("no step left", func(t *testing.T) {
		s := begin(t, message.Utility, whatsapp(message.Trigger{}))
		s.d.ExpiresAt = start.Add(72 * hour)
		s.attempt().noAnswer().in(23*hour).is(message.Sending, "", unknown)
		s.in(24*hour).is(message.Failed, flow.ReasonUnknown, unconfirmed)
	})
	t.Run("expiry does not claim to know", func(t *testing.T) {
		s := begin(t, message.Utility, whatsapp(message.Trigger{}))
		s.d.ExpiresAt = start.Add(hour)
		s.attempt().noAnswer().in(hour).is(message.Failed, flow.ReasonUnknown, unknown)
	})
	t.Run("a later refusal does not hide it", func(t *testing.T) {
		s := begin(t, message.Utility, route()...)
		s.d.ExpiresAt = start.Add(72 * hour)
		s.attempt().noAnswer().in(minute).attempt().fault(message.Refused).is(message.Sending, "", unknown, failed)
		s.in(24*hour).is(message.Failed, flow.ReasonUnknown, unconfirmed, failed)
	})
	t.Run("the owner died", func(t *testing.T) {
		s := begin(t, message.Utility, route()...).attempt()
		s.take(flow.Lost(&s.p, s.d, s.at, s.now)).is(message.Sending, "", unknown, pending)
	})
	t.Run("nobody answered", func(t *testing.T) {
		s := begin(t, message.Utility, route()...).attempt()
		s.in(89*time.Second).is(message.Sending, "", sending, pending)
		s.in(90*time.Second).is(message.Sending, "", unknown, queued)
	})
	t.Run("a certain failure after all", func(t *testing.T) {
		s := begin(t, message.Marketing, route()...)
		s.attempt().noAnswer().refused(0, message.Unreachable).is(message.Sending, "", failed, queued)
	})
}

func TestWindowClosed(t *testing.T) {
	step := whatsapp(in1m)
	step.Template = "hello/en"
	s := begin(t, message.Utility, step, sms())
	s.attempt().fault(message.WindowClosed).is(message.Sending, "", queued, pending)
	if s.d.Steps[0].Mode != message.Template || !s.last.CloseWindow {
		t.Errorf("mode %s, close window %v", s.d.Steps[0].Mode, s.last.CloseWindow)
	}
	s.send().receipt(0, rDelivered) // about the first attempt: the provider contradicts itself, evidence wins
	s.is(message.Delivered, "", delivered, cancelled)

	s = begin(t, message.Utility, whatsapp(in1m), sms())
	s.send().refused(0, message.WindowClosed).is(message.Sent, "", failed, queued)
	if !s.last.CloseWindow || s.last.At != (flow.Which{}) {
		t.Errorf("%+v", s.last)
	}
}

func TestThrottled(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{}))
	for range 10 { // counts nothing
		s.attempt().fault(message.Throttled).is(message.Sending, "", held)
		s.in(s.d.Steps[0].HeldUntil.Sub(start))
	}
	if n := len(s.d.Steps[0].Attempts); n != 1 || s.d.Steps[0].Retries != 0 {
		t.Errorf("%d attempts kept, %d retries counted", n, s.d.Steps[0].Retries)
	}
	s.attempt()
	s.take(flow.Answer(&s.p, s.d, s.at, nil, &message.Fault{Kind: message.Throttled, Certain: true, RetryAfter: hour}, s.now))
	if s.last.Slow == nil || !s.d.Due.Equal(s.now.Add(hour)) {
		t.Errorf("%+v, due %v", s.last, s.d.Due)
	}
}

// A provider that refuses by receipt repeats its receipts: the repeat is not
// about the attempt that followed.
func TestThrottledByReceiptTwice(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{}))
	s.send().refused(0, message.Throttled).is(message.Sent, "", held)
	s.in(2 * time.Second).send()
	if s.at.Attempt != 1 {
		t.Fatalf("the second attempt took the place of the first")
	}
	s.refused(0, message.Throttled).is(message.Sent, "", sent)
	if s.last.Changed || s.last.Slow != nil {
		t.Errorf("old news acted: %+v", s.last)
	}
}

// The receipt of a failure may be quicker than the answer "taken".
func TestReceiptBeforeAnswer(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{})).attempt().in(time.Second)
	s.refused(0, message.Transient).taken().is(message.Sending, "", held)
	s = begin(t, message.Utility, whatsapp(in1m), sms()).attempt()
	s.receipt(0, rDelivered).taken().is(message.Delivered, "", delivered, cancelled).charges(0, 1)
}

func TestTransient(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{}), sms())
	for i := range s.p.MaxRetries {
		s.attempt().fault(message.Transient).is(message.Sending, "", held, pending)
		if got, want := s.d.Steps[0].HeldUntil.Sub(s.now), s.p.Backoff(i+1); got != want {
			t.Errorf("retry %d after %s, want %s", i+1, got, want)
		}
		s.in(s.d.Steps[0].HeldUntil.Sub(start))
	}
	s.attempt().fault(message.Transient).is(message.Sending, "", failed, queued)
}

func TestMisconfigured(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(message.Trigger{}), sms())
	s.attempt().fault(message.Misconfigured).is(message.Sending, "", queued, pending)
	if s.last.Pause == nil || len(s.d.Steps[0].Attempts) != 1 {
		t.Errorf("%+v", s.last)
	}
	s.send().is(message.Sent, "", sent, pending)
}

func TestCapped(t *testing.T) {
	for _, c := range []struct {
		name    string
		purpose message.Purpose
		expires time.Duration
		state   message.State
		steps   []message.StepState
	}{
		{"marketing is held", message.Marketing, 7 * 24 * hour, message.Sending, []message.StepState{held, pending}},
		{"marketing that expires first stays where it is", message.Marketing, hour, message.Failed, []message.StepState{failed, skipped}},
		{"utility goes on", message.Utility, hour, message.Sending, []message.StepState{failed, queued}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begin(t, c.purpose, whatsapp(message.Trigger{}), sms())
			s.d.ExpiresAt = start.Add(c.expires)
			s.attempt().fault(message.Capped)
			reason := ""
			if c.state == message.Failed {
				reason = "capped"
			}
			s.is(c.state, reason, c.steps...)
		})
	}
	// The second hold would end after the message: it fails, and is not rerouted.
	s := begin(t, message.Marketing, whatsapp(message.Trigger{}), sms())
	s.d.ExpiresAt = start.Add(50 * hour)
	s.attempt().fault(message.Capped).in(24*hour).is(message.Sending, "", queued, pending)
	s.attempt().fault(message.Capped).is(message.Failed, "capped", failed, skipped)
}

func TestOptedOut(t *testing.T) {
	s := begin(t, message.Marketing, whatsapp(message.Trigger{}), sms())
	s.send().refused(0, message.OptedOut).is(message.Failed, "opted_out", failed, skipped)
	if s.last.Suppress == nil {
		t.Error("nobody was told to suppress")
	}
	s = begin(t, message.Utility, whatsapp(message.Trigger{}), sms())
	s.send().refused(0, message.OptedOut).is(message.Sent, "", failed, queued)
	// A no that comes while the next step is on the wire: that one is not
	// repeated, and its end is the message's end.
	s = begin(t, message.Marketing, whatsapp(in1m), sms())
	s.send().in(minute).attempt().refused(0, message.OptedOut).is(message.Sent, "", failed, sending)
	s.fault(message.Transient).is(message.Failed, "transient", failed, failed)
}

func TestParts(t *testing.T) {
	parts := func() []message.Part { return []message.Part{{Key: message.RefKey{1}}, {Key: message.RefKey{2}}} }
	part := func(s *script, i int, st message.ReceiptStatus) *script {
		return s.take(flow.Receipt(&s.p, s.d, s.at, i, &message.Receipt{Status: st}, s.now))
	}
	s := begin(t, message.Utility, sms()).attempt().taken(parts()...)
	part(s, 0, rDelivered).is(message.Sent, "", sent)
	part(s, 0, rDelivered).is(message.Sent, "", sent)
	part(s, 1, rDelivered).is(message.Delivered, "", delivered).charges(0, 1)

	s = begin(t, message.Utility, sms()).attempt().taken(parts()...)
	part(s, 0, rDelivered)
	part(s, 1, rFailed).is(message.Failed, "refused", failed)
	part(s, 1, rDelivered).is(message.Delivered, "", delivered)

	for _, order := range [][2]message.ReceiptStatus{{rRead, rDelivered}, {rDelivered, rRead}} {
		s = begin(t, message.Utility, sms()).attempt().taken(parts()...)
		part(s, 0, order[0])
		part(s, 1, order[1]).is(message.Delivered, "", delivered)
	}
}

func TestUnconfirmedWithoutReceipts(t *testing.T) {
	step := sms()
	step.Expect = 0
	s := begin(t, message.Utility, step, whatsapp(message.Trigger{}))
	s.send().is(message.Unconfirmed, flow.ReasonNoReceipts, unconfirmed, cancelled).told(flow.EventSent, 1).charges(0, 1)
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered, cancelled)
}

func TestUnconfirmedThenRefused(t *testing.T) {
	s := begin(t, message.Utility, sms())
	s.d.ExpiresAt = start.Add(200 * hour)
	s.send().in(72*hour).is(message.Unconfirmed, flow.ReasonHorizon, unconfirmed)
	s.refused(0, message.Unreachable).is(message.Unconfirmed, flow.ReasonHorizon, failed)
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered)
}

// A provider that gives up in silence (a template's time-to-live) is taken at
// its word once the receipt of its last second had time to come.
func TestSilenceAfterTimeToLive(t *testing.T) {
	step := whatsapp(message.Trigger{})
	step.ValidFor = 10 * minute
	s := begin(t, message.Authentication, step)
	s.send().in(10*minute+flow.Grace-time.Second).is(message.Sent, "", sent)
	s.in(10*minute+flow.Grace).is(message.Expired, flow.ReasonExpired, expired)
	s = begin(t, message.Authentication, step, sms())
	s.send().in(10*minute+flow.Grace).is(message.Sent, "", expired, queued)
	s = begin(t, message.Authentication, step, sms())
	s.send().receipt(0, rGone).is(message.Sent, "", expired, queued)
}

func TestScheduled(t *testing.T) {
	s := beginAt(t, message.Utility, start.Add(hour), whatsapp(in1m), sms())
	s.is(message.Scheduled, "", pending, pending)
	if flow.Ready(s.d) || !s.d.Due.Equal(start.Add(hour)) {
		t.Errorf("ready %v, due %v", flow.Ready(s.d), s.d.Due)
	}
	s.in(hour).is(message.Queued, "", queued, pending)
	// The wait counts from the start of the step, not from acceptance.
	s.in(hour+59*time.Second).is(message.Queued, "", queued, pending)
	s.in(hour+minute).is(message.Queued, "", skipped, queued)
}

func TestCancel(t *testing.T) {
	s := beginAt(t, message.Utility, start.Add(hour), whatsapp(in1m), sms())
	ok, m := flow.Cancel(&s.p, s.d, start)
	if !ok || !m.Changed {
		t.Fatal("not cancelled")
	}
	s.take(m).is(message.Cancelled, flow.ReasonCancelled, cancelled, cancelled)
	s.in(2*hour).is(message.Cancelled, flow.ReasonCancelled, cancelled, cancelled).told(flow.EventCancelled, 1)
	if ok, _ := flow.Cancel(&s.p, s.d, start); ok {
		t.Error("cancelled twice")
	}
	s = begin(t, message.Utility, whatsapp(in1m)).attempt()
	if ok, m := flow.Cancel(&s.p, s.d, s.now); ok || m.Changed {
		t.Error("cancelled after an attempt")
	}
	s.take(flow.NotSent(&s.p, s.d, s.at, flow.ReasonRetry, s.now)).is(message.Sending, "", queued)
}

// The lane may see an expiry before the scheduler does: it is one all the same.
func TestExpirySeenByTheGate(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.now = s.d.ExpiresAt
	s.take(flow.Refuse(&s.p, s.d, "expired", "", s.now)).is(message.Expired, flow.ReasonExpired, expired, expired)
	s = begin(t, message.Utility, whatsapp(in1m), sms())
	s.take(flow.Refuse(&s.p, s.d, "opted_out", "stop", s.now)).is(message.Failed, "opted_out", failed, skipped)
}

func TestGates(t *testing.T) {
	s := begin(t, message.Utility, whatsapp(in1m), sms())
	s.take(flow.Hold(&s.p, s.d, start.Add(10*time.Second), "hours", "FR", s.now)).is(message.Queued, "", held, pending)
	s.in(10*time.Second).is(message.Queued, "", queued, pending)
	s.take(flow.Skip(&s.p, s.d, "unreachable", "131026", s.now)).is(message.Queued, "", skipped, queued)
	s.take(flow.Skip(&s.p, s.d, "no_address", "", s.now)).is(message.Failed, "no_address", skipped, skipped)
	// A hold longer than the wait: the route goes on.
	s = begin(t, message.Utility, whatsapp(in1m), sms())
	s.take(flow.Hold(&s.p, s.d, start.Add(hour), "hours", "FR", s.now)).in(minute).is(message.Queued, "", skipped, queued)
}

func TestProviderPrice(t *testing.T) {
	priced := func(s *script, st message.ReceiptStatus, p message.ProviderPrice) *script {
		return s.take(flow.Receipt(&s.p, s.d, flow.Which{}, -1, &message.Receipt{Status: st, Price: &p}, s.now))
	}
	regular := message.ProviderPrice{Billable: true, Category: "utility", Type: "regular"}
	s := begin(t, message.Utility, whatsapp(message.Trigger{})).send()
	priced(s, rSent, regular).charges(0, 0) // charged on delivery
	priced(s, rDelivered, regular).charges(0, 1)
	priced(s, rRead, regular).charges(0, 1)
	if a := s.d.Steps[0].Attempts[0]; a.PriceBy != "provider" || a.PriceRule != "utility/regular" || a.Price.Micros != 30_000 {
		t.Errorf("%+v", a)
	}
	s = begin(t, message.Utility, whatsapp(message.Trigger{})).send()
	priced(s, rDelivered, message.ProviderPrice{Category: "service", Type: "free_customer_service"}).charges(0, 1)
	if a := s.d.Steps[0].Attempts[0]; a.Price != (message.Money{Currency: "EUR"}) || a.PriceBy != "provider" {
		t.Errorf("%+v", a)
	}
	s = begin(t, message.Utility, sms()).send().charges(0, 1)
	priced(s, rDelivered, message.ProviderPrice{Billable: true, Amount: &message.Money{Micros: 51_000, Currency: "EUR"}}).charges(0, 2)
	if a := s.d.Steps[0].Attempts[0]; a.Price.Micros != 51_000 || a.PriceBy != "provider" {
		t.Errorf("%+v", a)
	}
}

// Every kind of the taxonomy ends or moves a step in the way its row of
// docs/states.md says: none falls through as if nothing had happened.
func TestEveryFault(t *testing.T) {
	type want struct {
		step, next message.StepState
		beyond     string
	}
	wants := map[message.FaultKind]want{
		message.Transient:     {held, pending, ""},
		message.Throttled:     {held, pending, "slow"},
		message.Refused:       {failed, queued, ""},
		message.WindowClosed:  {failed, queued, "window"},
		message.Unreachable:   {failed, queued, "remember"},
		message.OptedOut:      {failed, queued, "suppress"},
		message.Capped:        {failed, queued, ""},
		message.Misconfigured: {queued, pending, "pause"},
	}
	for _, k := range message.FaultKinds {
		w, ok := wants[k]
		if !ok {
			t.Errorf("%s: no row", k)
			continue
		}
		for _, by := range []string{"answer", "receipt"} {
			s := begin(t, message.Utility, whatsapp(in1m), sms()).attempt()
			if by == "answer" {
				s.fault(k)
			} else {
				s.taken().refused(0, k)
			}
			beyond := ""
			switch m := s.last; {
			case m.Slow != nil:
				beyond = "slow"
			case m.CloseWindow:
				beyond = "window"
			case m.Remember != nil:
				beyond = "remember"
			case m.Suppress != nil:
				beyond = "suppress"
			case m.Pause != nil:
				beyond = "pause"
			}
			if got := (want{s.d.Steps[0].State, s.d.Steps[1].State, beyond}); got != w {
				t.Errorf("%s by %s: %+v, want %+v", k, by, got, w)
			}
		}
	}
}
