package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/webhook"
)

// The key is the bytes 0 to 31; the signature was computed with openssl:
//
//	printf 'evt_1.1772366400.{"type":"message.sent"}' |
//	openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f -binary | base64
const (
	vectorSecret    = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	vectorBody      = `{"type":"message.sent"}`
	vectorSignature = "v1,rQLP8LDbuFWkjieBTrxiya3Ou3ALtCSbpRgM1l71JlE="
)

func TestSignatureVector(t *testing.T) {
	h, err := webhook.Sign("evt_1", noon, []byte(vectorBody), vectorSecret)
	check(t, err)
	want := http.Header{"Webhook-Id": {"evt_1"}, "Webhook-Timestamp": {"1772366400"}, "Webhook-Signature": {vectorSignature}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	check(t, webhook.Verify(vectorSecret, h, []byte(vectorBody), noon, 0))
}

func TestVerify(t *testing.T) {
	old, fresh := vault.NewWebhookSecret(), vault.NewWebhookSecret()
	body := []byte(`{}`)
	for name, tt := range map[string]struct {
		secret string
		change func(http.Header)
		body   string
		off    time.Duration
		want   error
	}{
		"good":            {secret: fresh},
		"old":             {secret: old},
		"in time":         {secret: old, off: 5 * time.Minute},
		"late":            {secret: old, off: 5*time.Minute + time.Second, want: webhook.ErrTimestamp},
		"early":           {secret: old, off: -6 * time.Minute, want: webhook.ErrTimestamp},
		"other secret":    {secret: vault.NewWebhookSecret(), want: webhook.ErrSignature},
		"no secret":       {secret: "whsec_", want: vault.ErrWebhookSecret},
		"other body":      {secret: old, body: `{ }`, want: webhook.ErrSignature},
		"other id":        {secret: old, change: func(h http.Header) { h.Set(webhook.HeaderID, "evt_2") }, want: webhook.ErrSignature},
		"no id":           {secret: old, change: func(h http.Header) { h.Del(webhook.HeaderID) }, want: webhook.ErrHeader},
		"no signature":    {secret: old, change: func(h http.Header) { h.Del(webhook.HeaderSignature) }, want: webhook.ErrHeader},
		"blank signature": {secret: old, change: func(h http.Header) { h.Set(webhook.HeaderSignature, " ") }, want: webhook.ErrSignature},
		"other scheme":    {secret: old, change: func(h http.Header) { h.Set(webhook.HeaderSignature, "v1a,AAAA") }, want: webhook.ErrSignature},
		"no time":         {secret: old, change: func(h http.Header) { h.Set(webhook.HeaderTimestamp, "now") }, want: webhook.ErrHeader},
		"other time":      {secret: old, change: func(h http.Header) { h.Set(webhook.HeaderTimestamp, "1772366401") }, want: webhook.ErrSignature},
		"signature and more": {secret: old, change: func(h http.Header) {
			h.Set(webhook.HeaderSignature, "v1,AAAA v9,x "+h.Get(webhook.HeaderSignature))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := webhook.Sign("evt_1", noon, body, fresh, old)
			check(t, err)
			if tt.change != nil {
				tt.change(h)
			}
			got := body
			if tt.body != "" {
				got = []byte(tt.body)
			}
			if err := webhook.Verify(tt.secret, h, got, noon.Add(tt.off), 5*time.Minute); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("evt_1", "1772366400", vectorSignature, []byte(vectorBody))
	f.Add("", "-1", "v1, v1,\x00", []byte{})
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		h := http.Header{webhook.HeaderID: {id}, webhook.HeaderTimestamp: {at}, webhook.HeaderSignature: {signature}}
		if webhook.Verify(vectorSecret, h, body, noon, time.Hour) == nil && signature != vectorSignature {
			t.Fatal("forged")
		}
	})
}

func TestSecretsAreSealedAndHidden(t *testing.T) {
	r := start(t)
	id := message.EndpointID{9}
	secret := vault.NewWebhookSecret()
	// As package api writes them.
	plain := fmt.Appendf(nil, `[{"secret":%q},{"secret":%q,"until":"2026-03-01T13:00:00Z"}]`, secret, vectorSecret)
	sealed, err := r.reg.SealWorkspace(t.Context(), r.ws, webhook.SealPurpose, id, plain)
	check(t, err)
	got, err := webhook.OpenSecrets(t.Context(), r.reg, r.ws, id, sealed)
	check(t, err)
	want := []webhook.Secret{{Value: secret}, {Value: vectorSecret, Until: noon.Add(time.Hour)}}
	if !cmp.Equal(want, got) {
		t.Error("not what was sealed")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, got[0]); text != "***" {
			t.Errorf("%s shows %s", verb, text)
		}
	}
	if _, err := webhook.OpenSecrets(t.Context(), r.reg, r.ws, message.EndpointID{8}, sealed); err == nil {
		t.Error("opened for another endpoint")
	}
	sealed, err = r.reg.SealWorkspace(t.Context(), r.ws, webhook.SealPurpose, id, []byte(`[]`))
	check(t, err)
	if _, err := webhook.OpenSecrets(t.Context(), r.reg, r.ws, id, sealed); err == nil {
		t.Error("no secret is no secret")
	}
}

func TestWaits(t *testing.T) {
	var least, most time.Duration
	n := 1
	for ; ; n++ {
		a, ok := webhook.Wait(n, 0)
		if !ok {
			break
		}
		b, _ := webhook.Wait(n, 0.999999)
		least, most = least+a, most+b
	}
	if n != 12 || least < 60*time.Hour || most > 80*time.Hour {
		t.Errorf("%d tries over %v to %v", n, least, most)
	}
	if _, ok := webhook.Wait(0, 0); ok {
		t.Error("a wait before the first failure")
	}
	for failures, want := range map[int]time.Duration{0: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 13: 256 * time.Second, 14: 5 * time.Minute, 9999: 5 * time.Minute} {
		if got := webhook.Pause(failures); got != want {
			t.Errorf("%d failures: %v", failures, got)
		}
	}
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "1.5": 0, "99999999999999999999": 0, "100000": 24 * time.Hour,
		noon.Add(time.Hour).Format(http.TimeFormat): time.Hour, noon.Add(-time.Hour).Format(http.TimeFormat): 0,
		noon.AddDate(1, 0, 0).Format(http.TimeFormat): 24 * time.Hour,
	} {
		if got := webhook.RetryAfter(http.Header{"Retry-After": {value}}, noon); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestSplit(t *testing.T) {
	rows := func(n int) []*store.WebhookDelivery {
		out := make([]*store.WebhookDelivery, n)
		for i := range out {
			out[i] = new(store.WebhookDelivery)
		}
		return out
	}
	poison := append(rows(5), &store.WebhookDelivery{Tries: 3, Status: 400}, &store.WebhookDelivery{Tries: 3})
	for _, tt := range []struct {
		rows  []*store.WebhookDelivery
		batch int
		want  []int
	}{
		{rows(3), 0, []int{1, 1, 1}}, {rows(3), 1, []int{1, 1, 1}}, {rows(5), 2, []int{2, 2, 1}}, {rows(2), 9, []int{2}}, {poison, 4, []int{1, 4, 2}},
	} {
		if diff := cmp.Diff(tt.want, webhook.Split(tt.rows, tt.batch)); diff != "" {
			t.Error(diff)
		}
	}
}
