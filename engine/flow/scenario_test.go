package flow_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

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

// Silence until the horizon, with steps left: the person may have nothing, so
// the route goes on; marketing is never risked twice.
func TestHorizonWithStepsLeft(t *testing.T) {
	for _, p := range []message.Purpose{message.Authentication, message.Service, message.Utility} {
		s := begin(t, p, sms(), whatsapp(message.Trigger{}))
		s.d.ExpiresAt = start.Add(200 * hour)
		s.send().in(72*hour-time.Second).is(message.Sent, "", sent, pending)
		s.in(72*hour).is(message.Sent, "", unconfirmed, queued)
		s.receipt(0, rDelivered).is(message.Delivered, "", delivered, cancelled)
	}
	s := begin(t, message.Marketing, sms(), whatsapp(message.Trigger{}))
	s.d.ExpiresAt = start.Add(200 * hour)
	s.send().in(72*hour).is(message.Unconfirmed, flow.ReasonHorizon, unconfirmed, skipped)
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
