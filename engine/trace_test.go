package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
)

// Whoever traces is told of the accepting, of each attempt and of each receipt,
// by ids and words alone.
func TestSpans(t *testing.T) {
	var mu sync.Mutex
	var told []engine.Span
	w := newWorldOn(t, nil, func(o *engine.Options) {
		o.Trace = func(_ context.Context, s engine.Span) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, s)
		}
	})
	off := false
	const to = "33612345790"
	_, err := w.sandbox.Handsets.Put(to, handset.Change{WhatsApp: &off})
	must(t, err)
	a := w.send(&engine.Request{
		To: engine.Recipient{Phone: "+" + to}, Purpose: message.Utility, Content: message.Content{Text: "CANARY"},
		Template: &message.TemplateUse{Name: "boarding_pass", Language: "en", Parameters: map[string]string{"flight": "CANARY"}},
		Route:    []engine.RouteStep{{Channel: message.WhatsApp}, {Channel: message.SMS}},
	})
	w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
	seen := func(name string, ch message.Channel, result string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.ContainsFunc(told, func(s engine.Span) bool {
				return s.Name == name && s.Channel == ch && s.Result == result && s.Message == a.ID && !s.From.IsZero() && !s.To.Before(s.From)
			})
		}
	}
	w.eventually("the accepting is told", seen(engine.SpanAccept, "", "queued"))
	w.eventually("the first attempt is told", seen(engine.SpanAttempt, message.WhatsApp, "accepted"))
	w.eventually("its receipt is told", seen(engine.SpanReceipt, message.WhatsApp, "failed"))
	w.eventually("the second attempt is told", seen(engine.SpanAttempt, message.SMS, "accepted"))
	w.eventually("its receipt is told", seen(engine.SpanReceipt, message.SMS, "delivered"))
	mu.Lock()
	defer mu.Unlock()
	if text := fmt.Sprintf("%+v", told); strings.Contains(text, "CANARY") || strings.Contains(text, to) {
		t.Errorf("the canary sings: %s", text)
	}
}
