package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
)

func someAnswer() *Answer {
	return &Answer{
		ID: message.MessageID{1}, Contact: message.ContactID{2}, State: message.Queued,
		Plan: []PlanStep{
			{Channel: message.WhatsApp, Sender: message.SenderID{3}, Mode: message.Template, Template: "boarding_pass/en", Wait: time.Minute, Trigger: "not_delivered_in", ValidFor: time.Hour, LateRisk: true, Segments: 1, Estimate: message.Money{Micros: 31400, Currency: "EUR"}, Rule: "whatsapp/fr"},
			{Step: 1, Channel: message.SMS, Sender: message.SenderID{4}, Mode: message.FreeForm, Skipped: true, Reason: "opted_out", Detail: "keyword:STOP", Encoding: "gsm7", Free: true},
		},
		Warnings: []Warning{{Code: "late_risk", Step: -1, Detail: "it may arrive twice"}},
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for name, want := range map[string]*Answer{"full": someAnswer(), "empty": {ID: message.MessageID{1}}} {
		got, err := unpackAnswer(want.ID, want.pack())
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	raw, err := json.Marshal(someAnswer())
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpackAnswer(message.MessageID{1}, raw)
	if err != nil {
		t.Fatal("as it was stored before:", err)
	}
	if diff := cmp.Diff(someAnswer(), got); diff != "" {
		t.Error(diff)
	}
	if n := len(someAnswer().pack()); n > len(raw)/3 {
		t.Errorf("%d bytes, %d as JSON", n, len(raw))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(someAnswer().pack())
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := unpackAnswer(message.MessageID{1}, b)
		if err != nil || b[0] == '{' {
			return
		}
		back, err := unpackAnswer(message.MessageID{1}, a.pack())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, back); diff != "" {
			t.Error(diff)
		}
	})
}
