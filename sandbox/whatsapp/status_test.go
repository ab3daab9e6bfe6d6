package whatsapp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

func TestPricingAndConversation(t *testing.T) {
	const to = "33612345678"
	f := newFixture(t, whatsapp.Options{Webhooks: whatsapp.Webhooks{Lanes: 1}})
	payload := schema(t, "WebhookPayload")
	last := func() string {
		f.statuses(3)
		f.hook.mu.Lock()
		defer f.hook.mu.Unlock()
		var all strings.Builder
		for _, b := range f.hook.bodies {
			_, b, _ := strings.Cut(string(b), "\n")
			valid(t, payload, []byte(b))
			all.WriteString(b)
		}
		f.hook.bodies = nil
		return all.String()
	}
	tests := []struct {
		name, version, body string
		write               *whatsapp.Inbound
		has, hasNot         string
	}{
		{"v23 tells conversations", "v23.0", templateTo(to), nil, `"origin":{"type":"utility"}},"pricing":{"billable":true`, ""},
		{"v24 does not", "v24.0", templateTo(to), nil, `"type":"regular"`, `"conversation"`},
		{"utility is free in the window", "v24.0", templateTo(to), &whatsapp.Inbound{Text: "hi"}, `"billable":false,"pricing_model":"PMP","category":"utility","type":"free_customer_service"`, `"conversation"`},
		{"free-form is service", "v24.0", textTo(to, "x"), nil, `"category":"service","type":"free_customer_service"`, ""},
		{
			"after an ad all is free", "v24.0", templateTo(to), &whatsapp.Inbound{Text: "ad", Referral: `{"source_url":"https://fb.me/x","source_type":"ad"}`},
			`"origin":{"type":"referral_conversion"}},"pricing":{"billable":false,"pricing_model":"PMP","category":"utility","type":"free_entry_point"`, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.write != nil {
				test.write.From = to
				if _, err := f.server.Write(*test.write); err != nil {
					t.Fatal(err)
				}
				f.next()
			}
			if status, body := f.call(http.MethodPost, "/"+test.version+"/"+number+"/messages", test.body); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			got := last()
			if !strings.Contains(got, test.has) || test.hasNot != "" && strings.Contains(got, test.hasNot) {
				t.Errorf("%s", got)
			}
		})
	}
}
