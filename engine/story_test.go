package engine_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
)

func boardingPass(to string, wait time.Duration) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Phone: to}, Purpose: message.Utility,
		Content:  message.Content{Text: "Your boarding pass: https://aeroparley.example/b/X7K2"},
		Template: &message.TemplateUse{Name: "boarding_pass", Language: "en", Parameters: map[string]string{"flight": "AF1234"}},
		Route: []engine.RouteStep{
			{Channel: message.WhatsApp, Next: message.Trigger{NotDelivered: wait}},
			{Channel: message.SMS},
		},
		Metadata: map[string]string{"booking": "X7K2"},
	}
}

func TestWhatsAppFirst(t *testing.T) {
	w := newWorld(t)
	a := w.send(boardingPass("+33612345678", 60*time.Second))
	if a.Plan[0].Template != "boarding_pass_ttl60/en" || a.Plan[0].LateRisk {
		t.Errorf("the variant whose time-to-live fits the wait was not chosen: %+v", a.Plan[0])
	}
	v := w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	if v.Delivery.Steps[1].State != message.StepCancelled {
		t.Errorf("the SMS step is %v, want cancelled", v.Delivery.Steps[1].State)
	}
	if v.Metadata["booking"] != "X7K2" || v.To != "+33612345678" {
		t.Errorf("the story lost what was said: %+v", v)
	}
}

func TestFallbackWithoutInternet(t *testing.T) {
	w := newWorld(t)
	const to = "33612345679"
	off := false
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
	must(t, err)
	a := w.send(boardingPass("+"+to, 2*time.Second))
	v := w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
	d := v.Delivery
	if d.Steps[1].State != message.StepDelivered || d.Steps[0].State.Success() {
		t.Errorf("steps are %v and %v", d.Steps[0].State, d.Steps[1].State)
	}
	if d.Steps[0].Reason != "not_delivered_in_time" {
		t.Errorf("the first step's reason is %q", d.Steps[0].Reason)
	}
}

func TestLateDeliveryIsSuperseded(t *testing.T) {
	w := newWorld(t)
	const to = "33612345680"
	off, on := false, true
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
	must(t, err)
	r := boardingPass("+"+to, time.Second) // no variant lives this short
	a := w.send(r)
	w.until(a.ID, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
	_, err = w.sandbox.Handsets.Put(to, handset.Change{Internet: &on})
	must(t, err)
	if !a.Plan[0].LateRisk {
		t.Error("the plan does not warn of a late delivery")
	}
	v := w.until(a.ID, "superseded", func(d *message.Delivery) bool {
		return d.Steps[0].State == message.StepSuperseded || d.Steps[0].State == message.StepSent
	})
	_ = v
}

// A text that was free while the window was open becomes a template when it is
// closed at the moment of sending, and is not sent when that costs too much.
func TestPriceLimitWhenTheWindowClosed(t *testing.T) {
	w := newWorld(t)
	const to = "33612345682"
	_, err := w.rooms.SetSettings(w.ctx, w.ws, json.RawMessage(`{"template_map": {"utility": "hello_world/en_US"}}`))
	must(t, err)
	_, err = w.sandbox.WhatsApp.Write(wa.Inbound{From: to, Text: "Hello"})
	must(t, err)
	request := func(limit int64) *engine.Request {
		return &engine.Request{
			To: engine.Recipient{Phone: "+" + to}, Purpose: message.Utility, Content: message.Content{Text: "Your boarding pass."},
			Route: []engine.RouteStep{{Channel: message.WhatsApp}}, MaxPrice: &message.Money{Micros: limit, Currency: "USD"},
		}
	}
	w.eventually("the window opens", func() bool {
		p, err := w.engine.Preview(w.ctx, w.ws, request(900_000))
		return err == nil && p.Plan[0].Mode == message.FreeForm
	})
	must(t, w.engine.PauseConnector(w.ctx, w.ws, w.whatsapp))
	dear, cheap := w.send(request(1000)), w.send(request(900_000))
	w.sandbox.Advance(25 * time.Hour)
	must(t, w.engine.ResumeConnector(w.ctx, w.ws, w.whatsapp))
	v := w.until(dear.ID, "ended", func(d *message.Delivery) bool { return d.State.Ended() })
	if s := v.Delivery.Steps[0]; v.Delivery.State != message.Failed || s.Reason != "price_above_limit" || len(s.Attempts) != 0 {
		t.Errorf("above the limit it ended %v (%s) after %d attempts", v.Delivery.State, s.Reason, len(s.Attempts))
	}
	v = w.until(cheap.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered || d.State == message.Read })
	if s := v.Delivery.Steps[0]; s.Mode != message.Template {
		t.Errorf("it went out as %v", s.Mode)
	}
}

func TestReplyOpensWindow(t *testing.T) {
	w := newWorld(t)
	const to = "33612345681"
	free := &engine.Request{
		To: engine.Recipient{Phone: "+" + to}, Purpose: message.Service,
		Content: message.Content{Text: "With pleasure."}, Route: []engine.RouteStep{{Channel: message.WhatsApp}},
	}
	var refusal *engine.Refusal
	if _, err := w.engine.Accept(w.ctx, w.ws, free, engine.Idempotency{}); !errors.As(err, &refusal) || refusal.Code != engine.CodeWindow {
		t.Fatalf("free-form without a window: %v", err)
	}
	a := w.send(boardingPass("+"+to, 60*time.Second))
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State >= message.Delivered })
	_, err := w.sandbox.WhatsApp.Write(wa.Inbound{From: to, Text: "Thank you"})
	must(t, err)
	w.eventually("the window opens", func() bool {
		_, err := w.engine.Preview(w.ctx, w.ws, free)
		return err == nil
	})
	b := w.send(free)
	w.until(b.ID, "free-form delivered", func(d *message.Delivery) bool { return d.State >= message.Delivered && d.State <= message.Read })
	w.sandbox.Advance(24 * time.Hour)
	if _, err := w.engine.Accept(w.ctx, w.ws, free, engine.Idempotency{}); !errors.As(err, &refusal) || refusal.Code != engine.CodeWindow || refusal.Remedy == "" {
		t.Fatalf("free-form a day later: %v", err)
	}
}
