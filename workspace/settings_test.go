package workspace

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
)

const fullSettings = `{
  "default_route": [
    {"channel": "whatsapp", "sender": "sd_01k8w3m6fj0000000000000001", "next_if": {"failed": true, "not_delivered_in": "60s"}},
    {"channel": "sms"}
  ],
  "default_region": "FR", "timezone": "Europe/Paris",
  "retention": {"content": "30d", "messages": "395d"},
  "template_map": {"utility": "notice/fr"},
  "template_variants": {"notice": ["notice_fast"]},
  "price_overrides": [{"channel": "sms", "country": "FR", "purpose": "marketing", "price": {"amount": "0.045", "currency": "EUR"}}],
  "max_price": {"amount": "1", "currency": "EUR"}
}`

func TestParseSettings(t *testing.T) {
	got, err := ParseSettings([]byte(fullSettings))
	if err != nil {
		t.Fatal(err)
	}
	want := []RouteStep{
		{Channel: message.WhatsApp, Sender: got.DefaultRoute[0].Sender, Next: message.Trigger{NotDelivered: time.Minute}},
		{Channel: message.SMS},
	}
	if diff := cmp.Diff(want, got.DefaultRoute); diff != "" {
		t.Error(diff)
	}
	if got.Retention.Content != Duration(30*24*time.Hour) || got.PriceOverrides[0].Price != (Amount{Micros: 45_000, Currency: "EUR"}) || got.MaxPrice.Micros != 1_000_000 {
		t.Errorf("read as %+v", got)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseSettings(again)
	if diff := cmp.Diff(got, back); err != nil || diff != "" {
		t.Errorf("does not come back: %v %s", err, diff)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	for _, tt := range []struct{ in, says string }{
		{`{"defualt_route": []}`, "defualt_route"},
		{`{"default_route": [{"channel": "sms", "next_in": {}}]}`, "next_in"},
		{`{"default_route": [{}]}`, "default_route[0].channel"},
		{`{"default_route": [{"channel": "sms", "next_if": {"failed": false}}]}`, "next_if.failed"},
		{`{"default_route": [{"channel": "sms", "next_if": {"not_read_in": "soon"}}]}`, "span of time"},
		{`{"default_route": [{"channel": "sms", "sender": "ct_1"}]}`, "sd_"},
		{`{"default_region": "fr"}`, "default_region"},
		{`{"timezone": "Paris"}`, "timezone"},
		{`{"template_map": {"news": "x"}}`, "template_map"},
		{`{"template_variants": {"": ["x"]}}`, "template_variants"},
		{`{"price_overrides": [{"channel": "sms"}]}`, "price_overrides[0]"},
		{`{"max_price": {"amount": "0.0000001", "currency": "EUR"}}`, "amount of money"},
		{`{"max_price": {"amount": "1", "currency": "euro"}}`, "amount of money"},
		{`{} {}`, "more than one"},
		{`[]`, "settings"},
	} {
		_, err := ParseSettings([]byte(tt.in))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want an error about %q", tt.in, err, tt.says)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add([]byte(fullSettings))
	f.Add([]byte(`{"max_price":{"amount":"999999999.999999","currency":"EUR"},"retention":{"events":"1h1s"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ParseSettings(in)
		if err != nil {
			return
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSettings(out); err != nil {
			t.Fatalf("%s became %s: %v", in, out, err)
		}
	})
}
