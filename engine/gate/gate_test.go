package gate_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/message"
)

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// good are facts every gate lets pass.
func good() gate.Facts {
	return gate.Facts{
		Now: now, Expires: now.Add(time.Hour), Purpose: message.Utility, Mode: message.FreeForm, HasAddress: true,
		NeedsWindow: true, WindowEnds: now.Add(time.Hour), Estimate: message.Money{Micros: 50, Currency: "EUR"}, Limit: message.Money{Micros: 50, Currency: "EUR"},
	}
}

func TestCheck(t *testing.T) {
	template := func(f *gate.Facts, s message.TemplateState) { f.Mode, f.Template = message.Template, s }
	for _, c := range []struct {
		name   string
		change func(*gate.Facts)
		want   gate.Decision
	}{
		{"window open", func(*gate.Facts) {}, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		{"no window needed", func(f *gate.Facts) { f.NeedsWindow, f.WindowEnds = false, time.Time{} }, gate.Decision{Word: gate.Allow, Reason: gate.NoWindowNeeded}},
		{"expired to the instant", func(f *gate.Facts) { f.Expires = now }, gate.Decision{Word: gate.Refuse, Reason: gate.Expired}},
		{"expires in a moment", func(f *gate.Facts) { f.Expires = now.Add(1) }, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		{"never expires", func(f *gate.Facts) { f.Expires = time.Time{} }, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		{"no address", func(f *gate.Facts) { f.HasAddress = false }, gate.Decision{Word: gate.Skip, Reason: gate.NoAddress}},
		{"opted out, utility", func(f *gate.Facts) { f.Suppressed = "stop" }, gate.Decision{Word: gate.Skip, Reason: gate.OptedOut, Detail: "stop"}},
		{"opted out, marketing", func(f *gate.Facts) { f.Suppressed, f.Purpose = "stop", message.Marketing }, gate.Decision{Word: gate.Refuse, Reason: gate.OptedOut, Detail: "stop"}},
		{"unreachable", func(f *gate.Facts) { f.Unreached = "131026" }, gate.Decision{Word: gate.Skip, Reason: gate.Unreachable, Detail: "131026"}},
		{"window closed", func(f *gate.Facts) { f.WindowEnds = time.Time{} }, gate.Decision{Word: gate.Skip, Reason: gate.WindowClosed}},
		{"window ends within the margin", func(f *gate.Facts) { f.WindowEnds = now.Add(gate.Margin) }, gate.Decision{Word: gate.Skip, Reason: gate.WindowClosed}},
		{"window ends after the margin", func(f *gate.Facts) { f.WindowEnds = now.Add(gate.Margin + 1) }, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		{"window closed, template ready", func(f *gate.Facts) { f.WindowEnds, f.Fallback = now.Add(-1), true }, gate.Decision{Word: gate.UseTemplate, Reason: gate.WindowClosed}},
		{"template approved, window closed", func(f *gate.Facts) { template(f, message.TemplateApproved); f.WindowEnds = time.Time{} }, gate.Decision{Word: gate.Allow, Reason: gate.NoWindowNeeded}},
		{"template unknown", func(f *gate.Facts) { template(f, "") }, gate.Decision{Word: gate.Skip, Reason: gate.TemplateUnknown}},
		{"template paused", func(f *gate.Facts) { template(f, message.TemplatePaused) }, gate.Decision{Word: gate.Skip, Reason: gate.TemplateState, Detail: "paused"}},
		{"above the limit", func(f *gate.Facts) { f.Estimate.Micros = 51 }, gate.Decision{Word: gate.Skip, Reason: gate.PriceAboveLimit}},
		{"no limit", func(f *gate.Facts) { f.Estimate.Micros, f.Limit = 51, message.Money{} }, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		{"a limit in other money", func(f *gate.Facts) { f.Estimate = message.Money{Micros: 51, Currency: "USD"} }, gate.Decision{Word: gate.Allow, Reason: gate.WindowOpen}},
		// The order of the gates: the reason named is the first that stands.
		{"expired before no address", func(f *gate.Facts) { f.Expires, f.HasAddress = now, false }, gate.Decision{Word: gate.Refuse, Reason: gate.Expired}},
		{"opted out before unreachable", func(f *gate.Facts) { f.Suppressed, f.Unreached = "stop", "131026" }, gate.Decision{Word: gate.Skip, Reason: gate.OptedOut, Detail: "stop"}},
		{"unreachable before the window", func(f *gate.Facts) { f.Unreached, f.WindowEnds = "131026", time.Time{} }, gate.Decision{Word: gate.Skip, Reason: gate.Unreachable, Detail: "131026"}},
	} {
		f := good()
		c.change(&f)
		if got := gate.Check(&f); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A closed window does not lift the price limit.
func TestFallbackKeepsTheLimit(t *testing.T) {
	f := good()
	f.WindowEnds, f.Fallback, f.Estimate.Micros = time.Time{}, true, 51
	if got := gate.Check(&f); got.Word != gate.Skip || got.Reason != gate.PriceAboveLimit {
		t.Errorf("%+v", got)
	}
}

// BenchmarkCheck asks every gate, and all of them allow.
func BenchmarkCheck(b *testing.B) {
	f := good()
	b.ReportAllocs()
	for b.Loop() {
		if d := gate.Check(&f); d.Word != gate.Allow {
			b.Fatal(d)
		}
	}
}
