package api

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	sdk "github.com/parley-messaging/parley/sdk/go"
)

// The request of the blueprint comes to the engine whole.
const whole = `{ "to": "+33612345678",
  "purpose": "utility",
  "content": {"text": "Votre carte d'embarquement", "media": [{"type": "document", "url": "https://example.com/AF1234.pdf", "filename": "AF1234.pdf"}],
              "actions": [{"type": "reply", "title": "Changer de siège", "payload": "seat"}]},
  "template": {"name": "boarding_pass", "language": "fr", "parameters": {"flight": "AF1234"}},
  "route": [{"channel": "whatsapp", "next_if": {"failed": true, "not_delivered_in": "60s"}},
            {"channel": "rcs",      "next_if": {"not_delivered_in": "PT30S", "not_read_in": "1h30m", "not_replied_in": "2d"}},
            {"channel": "sms",      "content": {"text": "AF1234 : votre carte https://…"}}],
  "send_at": null, "expires_in": "1h", "max_price": {"amount": "0.15", "currency": "EUR"}, "metadata": {"booking": "X7K2"} }`

func TestWholeRequest(t *testing.T) {
	r := newRig(t, nil)
	w := r.call("POST", "/v1/messages", whole, "Idempotency-Key", `"7d1c"`)
	if w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := &engine.Request{
		To: engine.Recipient{Phone: "+33612345678"}, Purpose: message.Utility,
		Content: message.Content{
			Text:    "Votre carte d'embarquement",
			Media:   []message.Media{{Type: message.Document, URL: "https://example.com/AF1234.pdf", Filename: "AF1234.pdf"}},
			Actions: []message.Action{{Type: message.Reply, Title: "Changer de siège", Payload: "seat"}},
		},
		Template: &message.TemplateUse{Name: "boarding_pass", Language: "fr", Parameters: map[string]string{"flight": "AF1234"}},
		Route: []engine.RouteStep{
			{Channel: "whatsapp", Next: message.Trigger{NotDelivered: time.Minute}},
			{Channel: "rcs", Next: message.Trigger{NotDelivered: 30 * time.Second, NotRead: 90 * time.Minute, NotReplied: 48 * time.Hour}},
			{Channel: "sms", Content: &message.Content{Text: "AF1234 : votre carte https://…"}},
		},
		Expires: time.Hour, MaxPrice: &message.Money{Micros: 150_000, Currency: "EUR"}, Metadata: map[string]string{"booking": "X7K2"},
	}
	if diff := cmp.Diff(want, r.engine.requests[0]); diff != "" {
		t.Error(diff)
	}
	if idem := r.engine.idem[0]; idem.Key != "7d1c" || string(idem.Body) != whole {
		t.Errorf("idempotency %+v", idem)
	}
}

func TestForms(t *testing.T) {
	r := newRig(t, nil)
	ct, sd := r.ids.Contact(noon), message.SenderID(r.ids.Next(noon))
	tests := []struct {
		body string
		want engine.Request
	}{
		{
			`{"to":{"contact":"` + ct.String() + `"},"purpose":"service","content":{"text":"x"},"route":"auto"}`,
			engine.Request{To: engine.Recipient{Contact: ct}, Purpose: message.Service, Content: message.Content{Text: "x"}, Auto: true},
		},
		{
			`{"to":{"channel":"messenger","sender":"` + sd.String() + `","id":"42"},"purpose":"service","content":{"text":"x"},"send_at":"2026-12-01T10:00:00+01:00"}`,
			engine.Request{To: engine.Recipient{Channel: "messenger", Sender: sd, ID: "42"}, Purpose: message.Service, Content: message.Content{Text: "x"}, SendAt: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)},
		},
		{
			`{"to":{"phone":"06 12 34 56 78"},"purpose":"marketing","template":{"name":"a","language":"fr","parameters":["one","two"]}}`,
			engine.Request{To: engine.Recipient{Phone: "06 12 34 56 78"}, Purpose: message.Marketing, Template: &message.TemplateUse{Name: "a", Language: "fr", Parameters: map[string]string{"1": "one", "2": "two"}}},
		},
	}
	for i, tt := range tests {
		w := r.call("POST", "/v1/messages", tt.body)
		if w.Code != 202 {
			t.Errorf("%d %s", w.Code, w.Body)
			continue
		}
		if diff := cmp.Diff(&tt.want, r.engine.requests[i]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReplayed(t *testing.T) {
	r := newRig(t, nil)
	r.engine.answer.Replayed = true
	if w := r.call("POST", "/v1/messages", whole); w.Code != 202 || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestBatch(t *testing.T) {
	r := newRig(t, nil)
	body := `{"purpose":"utility","content":{"text":"Hello {{name}}, {{thing}}"},"template":{"name":"a","language":"fr","parameters":{"x":"y"}},"metadata":{"a":"1"},
	 "route":[{"channel":"sms","content":{"text":"SMS {{name}}"}}],
	 "messages":[{"to":"+331","parameters":{"name":"Ada"},"metadata":{"b":"2"}},{"to":{"channel":"x"}},{"to":"refused"},{"to":"+332","parameters":{"name":"Bob","thing":"T"},"content":{"text":"Own {{name}}"}}]}`
	w := r.call("POST", "/v1/messages/batch", body, "Idempotency-Key", "k")
	var got BatchAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got.Accepted != 2 || got.Refused != 2 || len(got.Data) != 4 {
		t.Fatalf("%+v", got)
	}
	if e := got.Data[1].Error; e == nil || e.Code != engine.CodeBadRecipient || e.Field != "messages[1].to" {
		t.Errorf("%+v", e)
	}
	if e := got.Data[2].Error; e == nil || e.Code != engine.CodeBadNumber || e.Field != "messages[2].to" || got.Data[2].Index != 2 {
		t.Errorf("%+v", e)
	}
	first, last := r.engine.requests[0], r.engine.requests[1]
	if first.Content.Text != "Hello Ada, {{thing}}" || first.Route[0].Content.Text != "SMS Ada" || first.Template.Parameters["name"] != "Ada" || first.Template.Parameters["x"] != "y" ||
		first.Metadata["a"] != "1" || first.Metadata["b"] != "2" {
		t.Errorf("%+v", first)
	}
	if last.Content.Text != "Own Bob" || last.Route[0].Content.Text != "SMS Bob" || last.Metadata["b"] != "" || last.Template.Parameters["thing"] != "T" {
		t.Errorf("%+v", last)
	}
}

func TestPreview(t *testing.T) {
	r := newRig(t, nil)
	r.engine.answer.Plan = plan(r)
	w := r.call("POST", "/v1/messages/preview", whole)
	var got Preview
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.WorstCase == nil || got.WorstCase.Amount != "0.15" || got.Expected != nil || len(got.Plan) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func plan(r *rig) []engine.PlanStep {
	return []engine.PlanStep{
		{
			Step: 0, Channel: message.WhatsApp, Sender: message.SenderID(r.ids.Next(noon)), Mode: message.Template, Template: "a/fr", Reason: "window_closed", Detail: "\"<é>\"\n\x01\u2028",
			Wait: time.Minute, Trigger: "not_delivered_in", ValidFor: 90 * time.Second, LateRisk: true, Estimate: message.Money{Micros: 123_400, Currency: "EUR"}, Rule: "card/row", Free: true,
		},
		{Step: 1, Channel: message.SMS, Skipped: true, Reason: "price", Segments: 3, Encoding: "ucs2", Wait: 48 * time.Hour, ValidFor: time.Hour + time.Second},
	}
}

// The quick writer and encoding/json say the same.
func TestAppendAccepted(t *testing.T) {
	r := newRig(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		span := rapid.Int64Range(0, int64(40*24*time.Hour))
		a := &engine.Answer{ID: r.ids.Message(noon), Contact: r.ids.Contact(noon), State: message.Queued, Plan: plan(r)}
		for range rapid.IntRange(0, 3).Draw(rt, "steps") {
			a.Plan = append(a.Plan, engine.PlanStep{
				Step: rapid.IntRange(0, 9).Draw(rt, "step"), Channel: message.Channel(text.Draw(rt, "channel")), Reason: text.Draw(rt, "reason"), Detail: text.Draw(rt, "detail"),
				Wait: time.Duration(span.Draw(rt, "wait")), Segments: rapid.IntRange(0, 9).Draw(rt, "segments"),
				Estimate: message.Money{Micros: rapid.Int64Range(-1e9, 1e12).Draw(rt, "micros"), Currency: rapid.SampledFrom([]string{"", "EUR"}).Draw(rt, "currency")},
			})
		}
		for i := range rapid.IntRange(0, 2).Draw(rt, "warnings") {
			a.Warnings = append(a.Warnings, engine.Warning{Code: text.Draw(rt, "code"), Step: i - 1, Detail: text.Draw(rt, "detail")})
		}
		want, err := encode(accepted(a))
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(appendAccepted(nil, a))); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestAppendBatch(t *testing.T) {
	r := newRig(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		a := &BatchAnswer{Accepted: rapid.IntRange(0, 10_000).Draw(rt, "accepted"), Refused: rapid.IntRange(0, 9).Draw(rt, "refused"), Data: []BatchVerdict{}}
		for i := range rapid.IntRange(0, 4).Draw(rt, "items") {
			v := BatchVerdict{Index: i}
			if rapid.Bool().Draw(rt, "taken") {
				v.ID, v.Contact, v.State = r.ids.Message(noon), r.ids.Contact(noon), message.Queued.String()
				for n := range rapid.IntRange(0, 2).Draw(rt, "warnings") {
					v.Warnings = append(v.Warnings, warnings([]engine.Warning{{Code: text.Draw(rt, "code"), Step: n - 1, Detail: text.Draw(rt, "detail")}})...)
				}
			} else {
				v.Error = problem(engine.CodeInvalid, text.Draw(rt, "field"), text.Draw(rt, "detail"), "<b>")
			}
			a.Data = append(a.Data, v)
		}
		want, err := encode(a)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(appendBatch(nil, a))); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// Messages are found by the number of the person: the same as by the contact.
func TestListByPhone(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	who, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Identities: []sdk.NewIdentity{{Channel: "phone", Address: "+33612345678"}}})
	r.check(err)
	_, err = c.Messages.List(ctx, sdk.ListMessages{Phone: "+33 6 12 34 56 78", State: "failed"})
	r.check(err)
	if f := r.engine.filter; len(f) != 1 || f[0].Contact.String() != who.ID || f[0].State != message.Failed {
		t.Errorf("%+v", f)
	}
	page, err := c.Messages.List(ctx, sdk.ListMessages{Phone: "+33612345679"})
	r.check(err)
	if len(page.Data) != 0 || len(r.engine.filter) != 1 {
		t.Errorf("of nobody: %+v", page)
	}
	if _, err := c.Messages.List(ctx, sdk.ListMessages{Phone: canary}); !sdk.IsCode(err, engine.CodeBadNumber) {
		t.Errorf("a bad number: %v", err)
	}
	if _, err := c.Messages.List(ctx, sdk.ListMessages{Phone: "+33612345678", Contact: who.ID}); !sdk.IsCode(err, engine.CodeInvalid) {
		t.Errorf("both: %v", err)
	}
	if strings.Contains(r.logged.String(), "3361234567") || strings.Contains(r.logged.String(), canary) {
		t.Errorf("the log says %s", r.logged)
	}
}

func TestDurations(t *testing.T) {
	good := map[string]time.Duration{
		"60s": time.Minute, "5m": 5 * time.Minute, "1h": time.Hour, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0,
		"PT60S": time.Minute, "P2D": 48 * time.Hour, "P1DT1H1M1S": 25*time.Hour + time.Minute + time.Second, "P1W": 7 * 24 * time.Hour, "PT0.5S": 500 * time.Millisecond, "1.5h": 90 * time.Minute,
	}
	for in, want := range good {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "60", "-5s", "+5s", "P", "PT", "P1DT", "P1M", "P1Y", "PT1S1M", "P1.5D", "1d2d", "d", "xd", "99999999999d", "9999999h9999999h", "PT99999999999999S", "1h ", " 1h", "P1H", "PT1D", "PT1H1H", "PT..S"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*24*time.Hour)).Draw(rt, "d"))
		text := string(appendDuration(nil, d))
		if got, err := parseDuration(text); err != nil || got != d {
			rt.Fatalf("%v is written %q and read %v (%v)", d, text, got, err)
		}
	})
}

func TestAmounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := message.Money{Micros: rapid.Int64Range(0, 1e14).Draw(rt, "micros"), Currency: "EUR"}
		if got, field, ok := amount(m).money(); !ok || got != m {
			rt.Fatalf("%v: %v %s", m, got, field)
		}
	})
}

// Whatever comes, the decoder answers with a request or a fault that quotes
// nothing long from it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(whole))
	for _, w := range wrongs {
		f.Add([]byte(w.body))
	}
	d, b := strict.For[SendRequest](), strict.For[BatchRequest]()
	f.Fuzz(func(t *testing.T, body []byte) {
		var one SendRequest
		if err := d.Decode(body, &one); err != nil {
			if p := problemOf(err); p.Status == 500 || len(p.Detail) > 400 || len(p.Field) > 2000 {
				t.Errorf("%q: %+v", body, p)
			}
		} else if _, fault := one.request(path{}); fault != nil && catalogue[fault.Code].Status == 0 {
			t.Errorf("%+v", fault)
		}
		var many BatchRequest
		if b.Decode(body, &many) == nil {
			many.requests()
		}
	})
}

func BenchmarkSend(b *testing.B) {
	for _, body := range []struct{ name, json string }{
		{"short", `{"to":"+33612345678","purpose":"authentication","content":{"text":"Your code is 123456"}}`},
		{"whole", whole},
	} {
		b.Run(body.name, func(b *testing.B) {
			r := newRig(b, nil)
			r.engine.answer.Plan = plan(r)[:1]
			r.engine.requests = make([]*engine.Request, 0, 1)
			raw := []byte(body.json)
			length := strconv.Itoa(len(raw))
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest("POST", "/v1/messages", bytes.NewReader(raw))
				req.Header["Authorization"] = []string{"Bearer " + r.key}
				req.Header["Content-Type"] = []string{"application/json"}
				req.Header["Content-Length"] = []string{length}
				w := httptest.NewRecorder()
				r.server.ServeHTTP(w, req)
				if w.Code != 202 {
					b.Fatal(w.Body)
				}
				r.engine.requests, r.engine.idem = r.engine.requests[:0], r.engine.idem[:0]
			}
		})
		b.Run(body.name+"/request_alone", func(b *testing.B) {
			raw := []byte(body.json)
			b.ReportAllocs()
			for b.Loop() {
				_ = httptest.NewRequest("POST", "/v1/messages", bytes.NewReader(raw))
				_ = httptest.NewRecorder()
			}
		})
		b.Run(body.name+"/decode_alone", func(b *testing.B) {
			raw := []byte(body.json)
			d := strict.For[SendRequest]()
			b.ReportAllocs()
			for b.Loop() {
				var in SendRequest
				if err := d.Decode(raw, &in); err != nil {
					b.Fatal(err)
				}
				if _, fault := in.request(path{}); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
}
