package route_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/engine/route"
	"github.com/parley-messaging/parley/message"
)

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

const approved = message.TemplateApproved

func eur(micros int64) message.Money { return message.Money{Micros: micros, Currency: "EUR"} }

// whatsapp is a candidate with an open window and free-form content.
func whatsapp() route.Candidate {
	return route.Candidate{
		Channel: message.WhatsApp, Sender: message.SenderID{1}, Connector: message.ConnectorID{1}, FreeForm: true, Delivered: true, Read: true, Expect: 30 * 24 * time.Hour,
		Facts: gate.Facts{Purpose: message.Utility, HasAddress: true, NeedsWindow: true, WindowEnds: now.Add(time.Hour)},
		DefaultTTL: func(c message.Purpose) time.Duration {
			if c == message.Authentication {
				return 10 * time.Minute
			}
			return 30 * 24 * time.Hour
		},
		Quote: func(mode message.Mode, category message.Purpose) route.Price {
			if mode == message.FreeForm {
				return route.Price{Amount: eur(0), Free: true}
			}
			return route.Price{Amount: eur(30_000), Rule: "card/" + string(category)}
		},
	}
}

func sms() route.Candidate {
	return route.Candidate{
		Channel: message.SMS, Sender: message.SenderID{2}, Connector: message.ConnectorID{2}, FreeForm: true, Delivered: true, Expect: 72 * time.Hour, MaxValid: 48 * time.Hour, Segments: 2,
		Facts: gate.Facts{Purpose: message.Utility, HasAddress: true},
		Quote: func(message.Mode, message.Purpose) route.Price { return route.Price{Amount: eur(60_000)} },
	}
}

func variant(name string, ttl time.Duration, state message.TemplateState) route.Variant {
	return route.Variant{Name: name, Language: "fr", Category: message.Utility, State: state, TTL: ttl}
}

// Law 5: on WhatsApp the only brake is the template's own time-to-live.
func TestVariantByWait(t *testing.T) {
	short, middle, long := variant("short", 30*time.Second, approved), variant("middle", time.Minute, approved), variant("long", time.Hour, approved)
	standard := variant("standard", 0, approved) // 30 days
	for _, c := range []struct {
		name     string
		variants []route.Variant
		wait     time.Duration
		last     bool
		want     string
		late     bool
	}{
		{"the longest that ends within the wait", []route.Variant{short, long, middle}, time.Minute, false, "middle/fr", false},
		{"the order does not matter", []route.Variant{middle, short, long}, time.Minute, false, "middle/fr", false},
		{"none fits: the shortest, and say so", []route.Variant{standard, long}, time.Minute, false, "long/fr", true},
		{"the provider's default is known", []route.Variant{standard}, time.Minute, false, "standard/fr", true},
		{"nothing follows: the longest", []route.Variant{short, long, middle}, 0, true, "long/fr", false},
		{"only a failure moves on: the longest", []route.Variant{short, long}, 0, false, "long/fr", false},
		{"only approved ones count", []route.Variant{variant("middle", time.Minute, message.TemplatePaused), short}, time.Minute, false, "short/fr", false},
	} {
		w := whatsapp()
		w.Facts.WindowEnds, w.FreeForm, w.Variants, w.Next.NotDelivered = time.Time{}, false, c.variants, c.wait
		cs := []route.Candidate{w}
		if !c.last {
			cs = append(cs, sms())
		}
		p := route.Plan(cs, now, now.Add(24*time.Hour))[0]
		if p.Step.Template != c.want || p.LateRisk != c.late || p.Step.Mode != message.Template || p.Step.State != message.StepPending {
			t.Errorf("%s: %s late=%v %s %s(%s), want %s late=%v", c.name, p.Step.Template, p.LateRisk, p.Step.Mode, p.Step.State, p.Step.Reason, c.want, c.late)
		}
	}
}

func TestModes(t *testing.T) {
	hello := variant("hello", time.Minute, approved)
	for _, c := range []struct {
		name   string
		change func(*route.Candidate)
		state  message.StepState
		mode   message.Mode
		reason string
		price  int64
	}{
		{"free-form in the window", func(*route.Candidate) {}, message.StepPending, message.FreeForm, gate.WindowOpen, 0},
		{"window closed, no template", func(c *route.Candidate) { c.Facts.WindowEnds = time.Time{} }, message.StepSkipped, message.FreeForm, gate.WindowClosed, 0},
		{"window closed, template", func(c *route.Candidate) { c.Facts.WindowEnds, c.Variants = time.Time{}, []route.Variant{hello} }, message.StepPending, message.Template, gate.WindowClosed, 30_000},
		{"window ends within the margin", func(c *route.Candidate) {
			c.Facts.WindowEnds, c.Variants = now.Add(gate.Margin), []route.Variant{hello}
		}, message.StepPending, message.Template, gate.WindowClosed, 30_000},
		{"a template that was asked for", func(c *route.Candidate) { c.Variants = []route.Variant{hello} }, message.StepPending, message.Template, "template", 30_000},
		{"… but free-form is preferred", func(c *route.Candidate) { c.Variants, c.Prefer = []route.Variant{hello}, message.FreeForm }, message.StepPending, message.FreeForm, gate.WindowOpen, 0},
		{"a template of the workspace's map is a fallback", func(c *route.Candidate) { c.Variants, c.Mapped = []route.Variant{hello}, true }, message.StepPending, message.FreeForm, gate.WindowOpen, 0},
		{"nothing to say", func(c *route.Candidate) { c.FreeForm = false }, message.StepSkipped, "", gate.TemplateUnknown, 0},
		{"template in review", func(c *route.Candidate) {
			c.FreeForm, c.Variants = false, []route.Variant{variant("hello", 0, message.TemplatePending)}
		}, message.StepSkipped, message.Template, gate.TemplateState, 30_000},
		{"no address", func(c *route.Candidate) { c.Facts.HasAddress = false }, message.StepSkipped, message.FreeForm, gate.NoAddress, 0},
		{"opted out", func(c *route.Candidate) { c.Facts.Suppressed = "stop" }, message.StepSkipped, message.FreeForm, gate.OptedOut, 0},
		{"unreachable", func(c *route.Candidate) { c.Facts.Unreached = "131026" }, message.StepSkipped, message.FreeForm, gate.Unreachable, 0},
		{"above the limit", func(c *route.Candidate) {
			c.Facts.WindowEnds, c.Variants, c.Facts.Limit = time.Time{}, []route.Variant{hello}, eur(29_999)
		}, message.StepSkipped, message.Template, gate.PriceAboveLimit, 30_000},
	} {
		w := whatsapp()
		c.change(&w)
		p := route.Plan([]route.Candidate{w, sms()}, now, now.Add(time.Hour))[0]
		if p.Step.State != c.state || p.Step.Mode != c.mode || p.Step.Reason != c.reason || p.Step.Estimate.Micros != c.price {
			t.Errorf("%s: %s %s (%s) %d, want %s %s (%s) %d", c.name, p.Step.State, p.Step.Mode, p.Step.Reason, p.Step.Estimate.Micros, c.state, c.mode, c.reason, c.price)
		}
	}
	c := sms()
	c.FreeForm = false
	if p := route.Plan([]route.Candidate{c}, now, now.Add(time.Hour))[0]; p.Step.Reason != gate.NoContent {
		t.Errorf("an SMS with nothing to say: %s", p.Step.Reason)
	}
}

// A template costs what its own category costs, not what the purpose would.
func TestPriceByCategory(t *testing.T) {
	w := whatsapp()
	v := variant("offer", 0, approved)
	v.Category = message.Marketing
	w.FreeForm, w.Variants = false, []route.Variant{v}
	if p := route.Plan([]route.Candidate{w}, now, now.Add(time.Hour))[0]; p.Price.Rule != "card/marketing" {
		t.Errorf("priced by %s", p.Price.Rule)
	}
}

func TestValidity(t *testing.T) {
	hello := variant("hello", time.Minute, approved)
	for _, c := range []struct {
		name    string
		c       func() route.Candidate
		expires time.Duration
		want    time.Duration
	}{
		{"an SMS is tried until the message expires", sms, time.Hour, time.Hour},
		{"… but no longer than the connector can be told", sms, 72 * time.Hour, 48 * time.Hour},
		{"a template's own time-to-live", func() route.Candidate {
			w := whatsapp()
			w.Variants = []route.Variant{hello}
			return w
		}, time.Hour, time.Minute},
		{"a template of the provider's default", func() route.Candidate {
			w := whatsapp()
			w.Variants = []route.Variant{variant("hello", 0, approved)}
			return w
		}, time.Hour, 30 * 24 * time.Hour},
		{"free-form on WhatsApp cannot be told", whatsapp, time.Hour, 30 * 24 * time.Hour},
		{"nothing is known", func() route.Candidate {
			w := whatsapp()
			w.DefaultTTL = nil
			return w
		}, time.Hour, 0},
	} {
		p := route.Plan([]route.Candidate{c.c()}, now, now.Add(c.expires))[0]
		if p.Step.ValidFor != c.want {
			t.Errorf("%s: %s, want %s", c.name, p.Step.ValidFor, c.want)
		}
	}
}

func TestLateRisk(t *testing.T) {
	minute := message.Trigger{NotDelivered: time.Minute}
	for _, c := range []struct {
		name string
		c    func() route.Candidate
		last bool
		want bool
	}{
		{"free-form on WhatsApp has no brake", func() route.Candidate { w := whatsapp(); w.Next = minute; return w }, false, true},
		{"an SMS valid longer than the wait", func() route.Candidate { s := sms(); s.Next = minute; return s }, false, true},
		{"an SMS valid no longer than the wait", func() route.Candidate { s := sms(); s.MaxValid, s.Next = time.Minute, minute; return s }, false, false},
		{"only a failure moves on", whatsapp, false, false},
		{"nothing follows", whatsapp, true, false},
	} {
		cs := []route.Candidate{c.c()}
		if !c.last {
			cs = append(cs, sms())
		}
		if p := route.Plan(cs, now, now.Add(24*time.Hour))[0]; p.LateRisk != c.want {
			t.Errorf("%s: %v", c.name, p.LateRisk)
		}
	}
}

// Law 5: a trigger that can never fire is refused, by name.
func TestNeverFires(t *testing.T) {
	with := func(c route.Candidate, n message.Trigger) route.Candidate { c.Next = n; return c }
	delivered, read, replied := message.Trigger{NotDelivered: time.Minute}, message.Trigger{NotRead: time.Minute}, message.Trigger{NotReplied: time.Minute}
	deaf := sms()
	deaf.Delivered = false
	for _, c := range []struct {
		name    string
		cs      []route.Candidate
		expires time.Duration
		step    int
		field   string // "" = nothing wrong
	}{
		{"fine", []route.Candidate{with(whatsapp(), delivered), sms()}, time.Hour, 0, ""},
		{"no triggers", []route.Candidate{whatsapp(), sms()}, time.Hour, 0, ""},
		{"all three", []route.Candidate{with(whatsapp(), message.Trigger{NotDelivered: 1, NotRead: 2, NotReplied: 3}), sms()}, time.Hour, 0, ""},
		{"last step, delivered", []route.Candidate{with(whatsapp(), delivered)}, time.Hour, 0, "next_if.not_delivered_in"},
		{"last step, read", []route.Candidate{whatsapp(), with(whatsapp(), read)}, time.Hour, 1, "next_if.not_read_in"},
		{"last step, replied", []route.Candidate{whatsapp(), with(sms(), replied)}, time.Hour, 1, "next_if.not_replied_in"},
		{"no delivery receipts", []route.Candidate{with(deaf, delivered), whatsapp()}, time.Hour, 0, "next_if.not_delivered_in"},
		{"no read receipts", []route.Candidate{with(sms(), read), whatsapp()}, time.Hour, 0, "next_if.not_read_in"},
		{"a reply needs no receipts", []route.Candidate{with(deaf, replied), whatsapp()}, time.Hour, 0, ""},
		{"expires before the wait ends", []route.Candidate{with(whatsapp(), replied), sms()}, time.Minute, 0, "next_if.not_replied_in"},
		{"expires just after", []route.Candidate{with(whatsapp(), replied), sms()}, time.Minute + 1, 0, ""},
		{"never expires", []route.Candidate{with(whatsapp(), read), sms()}, 0, 0, ""},
	} {
		f := route.Check(c.cs, c.expires)
		switch {
		case c.field == "" && f != nil:
			t.Errorf("%s: %v", c.name, f)
		case c.field != "" && (f == nil || f.Field != c.field || f.Step != c.step || f.Code != route.NeverFires || f.Remedy == "" || f.Error() == ""):
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// BenchmarkPlan plans a message with a fallback: two candidates, two variants.
func BenchmarkPlan(b *testing.B) {
	first, last := whatsapp(), sms()
	first.Variants = []route.Variant{variant("short", 30*time.Second, approved), variant("long", time.Hour, approved)}
	steps := []route.Candidate{first, last}
	b.ReportAllocs()
	for b.Loop() {
		if plan := route.Plan(steps, now, now.Add(time.Hour)); len(plan) != 2 {
			b.Fatalf("%d steps", len(plan))
		}
	}
}
