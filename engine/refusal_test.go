package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// TestRefusals holds what is refused before anything is stored: the code, the
// field it names, a remedy, and nothing personal.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	const to = "+33612345710"
	now := w.sandbox.Clock.Now()
	wa := func(next message.Trigger) []engine.RouteStep {
		return []engine.RouteStep{{Channel: message.WhatsApp, Next: next}, {Channel: message.SMS}}
	}
	hello := &message.TemplateUse{Name: "hello_world", Language: "en_US"}
	cases := []struct {
		name  string
		edit  func(r *engine.Request)
		code  string
		field string
	}{
		{"no purpose", func(r *engine.Request) { r.Purpose = "" }, engine.CodePurpose, "purpose"},
		{"unknown purpose", func(r *engine.Request) { r.Purpose = "spam" }, engine.CodePurpose, "purpose"},
		{"letters for a number", func(r *engine.Request) { r.To.Phone = "call me" }, engine.CodeBadNumber, "to"},
		{"too short a number", func(r *engine.Request) { r.To.Phone = "+3361" }, engine.CodeBadNumber, "to"},
		{"no country", func(r *engine.Request) { r.To.Phone = "0612345710" }, engine.CodeBadNumber, "to"},
		{"foreign sender of the address", func(r *engine.Request) { r.To.Sender = message.SenderID{9} }, engine.CodeNoSender, "to.sender"},
		{"answer to nothing", func(r *engine.Request) { r.ReplyTo = message.MessageID{9} }, engine.CodeInvalid, "reply_to"},
		{"nobody", func(r *engine.Request) { r.To = engine.Recipient{} }, engine.CodeBadRecipient, "to"},
		{"two recipients", func(r *engine.Request) { r.To.ID = "x" }, engine.CodeBadRecipient, "to"},
		{"unknown contact", func(r *engine.Request) { r.To = engine.Recipient{Contact: message.ContactID{1}} }, engine.CodeNoContact, "to.contact"},
		{"nothing to say", func(r *engine.Request) { r.Content = message.Content{} }, engine.CodeEmpty, "content"},
		{"too long for SMS", func(r *engine.Request) { r.Content.Text = strings.Repeat("a", 5000) }, engine.CodeTooLong, "route[0].content.text"},
		{"in the past", func(r *engine.Request) { r.SendAt = now.Add(-time.Hour) }, engine.CodePast, "send_at"},
		{"in two years", func(r *engine.Request) { r.SendAt = now.Add(2 * 366 * 24 * time.Hour) }, engine.CodeTooFar, "send_at"},
		{"too long a life", func(r *engine.Request) { r.Expires = 1000 * time.Hour }, engine.CodeInvalid, "expires_in"},
		{"unknown channel", func(r *engine.Request) { r.Route[0].Channel = "pigeon" }, engine.CodeNoChannel, "route[0].channel"},
		{"foreign sender", func(r *engine.Request) { r.Route[0].Sender = message.SenderID{9} }, engine.CodeNoSender, "route[0].sender"},
		{"unknown template", func(r *engine.Request) {
			r.Route, r.Template = wa(message.Trigger{}), &message.TemplateUse{Name: "no_such", Language: "en"}
		}, engine.CodeTemplate, "route[0].template.name"},
		{"missing parameter", func(r *engine.Request) {
			r.Route, r.Template = wa(message.Trigger{}), &message.TemplateUse{Name: "boarding_pass", Language: "en"}
		}, engine.CodeTemplateParams, "route[0].template.parameters"},
		{"line break in a parameter", func(r *engine.Request) {
			r.Route = wa(message.Trigger{})
			r.Template = &message.TemplateUse{Name: "boarding_pass", Language: "en", Parameters: map[string]string{"flight": "AF\n1234"}}
		}, engine.CodeTemplateParams, "route[0].template.parameters.flight"},
		{"paused template", func(r *engine.Request) {
			r.Purpose, r.Content = message.Marketing, message.Content{}
			r.Route, r.Template = wa(message.Trigger{})[:1], &message.TemplateUse{Name: "paused_offer", Language: "en_US"}
		}, engine.CodeTemplateState, "route[0]"},
		{"wait behind the last step", func(r *engine.Request) { r.Route[0].Next.NotDelivered = time.Minute }, engine.CodeTrigger, "route[0].next_if.not_delivered_in"},
		{"reading of an SMS", func(r *engine.Request) {
			r.Template = hello
			r.Route = []engine.RouteStep{{Channel: message.SMS, Next: message.Trigger{NotRead: time.Minute}}, {Channel: message.WhatsApp}}
		}, engine.CodeTrigger, "route[0].next_if.not_read_in"},
		{"wait longer than the life", func(r *engine.Request) {
			r.Template, r.Route, r.Expires = hello, wa(message.Trigger{NotDelivered: time.Hour}), time.Minute
		}, engine.CodeTrigger, "route[0].next_if.not_delivered_in"},
		{"window closed, no template", func(r *engine.Request) { r.Route = wa(message.Trigger{})[:1] }, engine.CodeWindow, "route[0]"},
		{"price above the limit", func(r *engine.Request) { r.MaxPrice = &message.Money{Micros: 1, Currency: "USD"} }, engine.CodePrice, "max_price"},
	}
	for _, c := range cases {
		r := smsTo(to, message.Utility)
		c.edit(r)
		_, err := w.engine.Accept(w.ctx, w.ws, r, engine.Idempotency{})
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v, want a refusal", c.name, err)
			continue
		}
		if refusal.Code != c.code || refusal.Field != c.field {
			t.Errorf("%s: code %q field %q, want %q %q", c.name, refusal.Code, refusal.Field, c.code, c.field)
		}
		if refusal.Remedy == "" {
			t.Errorf("%s: no remedy", c.name)
		}
		if text := refusal.Error() + refusal.Remedy; strings.Contains(text, "612345710") || strings.Contains(text, "call me") {
			t.Errorf("%s: the refusal repeats personal data: %s", c.name, text)
		}
	}
	b, err := w.store.Books(w.ctx, w.ws)
	must(t, err)
	if b.Accepted != 0 {
		t.Errorf("%d messages were stored", b.Accepted)
	}
}
