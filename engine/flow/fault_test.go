package flow_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

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

// A refusal that some providers also say after taking the message: marketing
// takes it for no answer, at once or late; others try again.
func TestDoubtfulRefusal(t *testing.T) {
	no := &message.Fault{Kind: message.Transient, Certain: true, Doubtful: true, Code: "0x08"}
	s := begin(t, message.Marketing, sms(), whatsapp(message.Trigger{})).attempt()
	s.take(flow.Answer(&s.p, s.d, s.at, nil, no, s.now)).is(message.Sending, "", unknown, pending)
	s.in(24*hour).is(message.Failed, flow.ReasonUnknown, message.StepUnconfirmed, message.StepExpired)
	s.receipt(0, rDelivered).is(message.Delivered, "", delivered, message.StepExpired)

	s = begin(t, message.Marketing, sms(), whatsapp(message.Trigger{})).attempt().noAnswer()
	s.take(flow.Receipt(&s.p, s.d, s.at, -1, &message.Receipt{Status: message.ReceiptFailed, Fault: no}, s.now)).is(message.Sending, "", unknown, pending)

	for _, purpose := range []message.Purpose{message.Authentication, message.Utility, message.Service} {
		s = begin(t, purpose, sms()).attempt()
		s.take(flow.Answer(&s.p, s.d, s.at, nil, no, s.now)).is(message.Sending, "", held)
		s.in(2*time.Second).send().is(message.Sent, "", sent)
	}
}

// A sender that the provider does not know waits; its account goes on.
func TestMisconfiguredSender(t *testing.T) {
	no := &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "0x0A"}
	s := begin(t, message.Utility, sms()).attempt()
	s.take(flow.Answer(&s.p, s.d, s.at, nil, no, s.now)).is(message.Sending, "", held)
	if s.last.Pause != nil || !s.d.Due.Equal(s.now.Add(5*time.Minute)) || s.d.Steps[0].Reason != flow.ReasonSender {
		t.Errorf("%+v, due %v, %s", s.last, s.d.Due, s.d.Steps[0].Reason)
	}
	s.in(5*time.Minute).send().is(message.Sent, "", sent)

	// Where it expires before, the route goes on at once.
	s = begin(t, message.Utility, sms(), whatsapp(message.Trigger{}))
	s.d.ExpiresAt = start.Add(time.Minute)
	s.attempt()
	s.take(flow.Answer(&s.p, s.d, s.at, nil, no, s.now)).is(message.Sending, "", failed, queued)
}
