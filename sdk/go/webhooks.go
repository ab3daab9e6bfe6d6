package parley

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Webhooks keeps your endpoints.
type Webhooks struct{ c *Client }

// An Endpoint is a webhook address of yours; Secret is set only by Create and
// Rotate.
type Endpoint struct {
	ID        string     `json:"id"`
	URL       string     `json:"url"`
	Types     []string   `json:"types"`
	Batch     int        `json:"batch,omitempty"`
	Disabled  string     `json:"disabled,omitempty"`
	FailingAt *time.Time `json:"failing_since,omitempty"`
	Secret    string     `json:"secret,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

// An EndpointRequest is an endpoint to make or to replace one by.
type EndpointRequest struct {
	URL      string   `json:"url"`
	Types    []string `json:"types,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
}

// A WebhookDelivery is one event on its way to one endpoint.
type WebhookDelivery struct {
	ID        string     `json:"id"`
	Event     string     `json:"event"`
	Type      string     `json:"type"`
	Message   string     `json:"message,omitempty"`
	State     string     `json:"state"`
	Tries     int        `json:"tries"`
	Status    int        `json:"status,omitempty"`
	Error     string     `json:"error,omitempty"`
	NextAt    *time.Time `json:"next_at,omitempty"`
	LastAt    *time.Time `json:"last_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

// A ReplayRequest says what to deliver again: by ids, or a span of events.
type ReplayRequest struct {
	IDs  []string `json:"ids,omitempty"`
	From string   `json:"from,omitempty"` // RFC 3339
	To   string   `json:"to,omitempty"`
}

// A RotateRequest says how long the old secret goes on signing.
type RotateRequest struct {
	Grace string `json:"grace,omitempty"` // such as "12h"; "" = one day
}

func webhookPath(id string) string { return "/v1/webhooks/" + url.PathEscape(id) }

func (s *Webhooks) one(ctx context.Context, in call) (*Endpoint, error) {
	out := &Endpoint{}
	return done(out, s.c.do(ctx, in, out))
}

// List gives all endpoints.
func (s *Webhooks) List(ctx context.Context) ([]*Endpoint, error) {
	var out struct{ Data []*Endpoint }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/webhooks"}, &out)
	return out.Data, err
}

// Get reads an endpoint.
func (s *Webhooks) Get(ctx context.Context, id string) (*Endpoint, error) {
	return s.one(ctx, call{method: http.MethodGet, path: webhookPath(id)})
}

// Create makes an endpoint; keep its Secret, it is not shown again.
func (s *Webhooks) Create(ctx context.Context, r *EndpointRequest) (*Endpoint, error) {
	return s.one(ctx, call{method: http.MethodPost, path: "/v1/webhooks", body: r})
}

// Update replaces an endpoint; its secret stays.
func (s *Webhooks) Update(ctx context.Context, id string, r *EndpointRequest) (*Endpoint, error) {
	return s.one(ctx, call{method: http.MethodPut, path: webhookPath(id), body: r})
}

// Delete takes an endpoint away.
func (s *Webhooks) Delete(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: webhookPath(id)}, nil)
}

// Rotate changes the signing secret. For a while requests carry signatures by
// both.
func (s *Webhooks) Rotate(ctx context.Context, id string, r RotateRequest) (*Endpoint, error) {
	return s.one(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/rotate", body: r})
}

// Deliveries gives a page of an endpoint's deliveries, newest first; state is
// pending, delivered, dead or "".
func (s *Webhooks) Deliveries(ctx context.Context, id, state string, o ListOptions) (*Page[WebhookDelivery], error) {
	q := o.values()
	set(q, "state", state)
	out := &Page[WebhookDelivery]{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: webhookPath(id) + "/deliveries", query: q}, out))
}

// Replay delivers again and tells how many wait.
func (s *Webhooks) Replay(ctx context.Context, id string, r *ReplayRequest) (int, error) {
	var out struct{ Count int }
	err := s.c.do(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/replay", body: r, safe: true}, &out)
	return out.Count, err
}

// Why a webhook is not believed.
var (
	ErrSignature = errors.New("parley: the webhook's signature does not fit")
	ErrTimestamp = errors.New("parley: the webhook's timestamp is too far from now")
	ErrSecret    = errors.New("parley: not a webhook secret")
)

// Tolerance is how old a webhook may be for VerifyWebhook.
const Tolerance = 5 * time.Minute

// VerifyWebhook checks a request as Standard Webhooks says: the signature over
// webhook-id, webhook-timestamp and the raw body, in constant time, and that
// it is not older than Tolerance. Give it the bytes as they came, before any
// decoding. Keep webhook-id to know repeats.
func VerifyWebhook(secret string, h http.Header, body []byte) error {
	return VerifyWebhookAt(secret, h, body, time.Now())
}

// VerifyWebhookAt is VerifyWebhook at a given time.
func VerifyWebhookAt(secret string, h http.Header, body []byte, now time.Time) error {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) == 0 {
		return ErrSecret
	}
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if id == "" || err != nil {
		return ErrSignature
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	good := false
	for one := range strings.FieldsSeq(h.Get("webhook-signature")) {
		text, ok := strings.CutPrefix(one, "v1,")
		if !ok {
			continue
		}
		given, err := base64.StdEncoding.DecodeString(text)
		if err == nil && hmac.Equal(given, want) {
			good = true
		}
	}
	if !good {
		return ErrSignature
	}
	if at := time.Unix(seconds, 0); at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return ErrTimestamp
	}
	return nil
}

// ReadWebhook checks a webhook and reads its events: one, or several where the
// endpoint takes batches.
func ReadWebhook(secret string, h http.Header, body []byte) ([]*Event, error) {
	if err := VerifyWebhook(secret, h, body); err != nil {
		return nil, err
	}
	if trimmed := strings.TrimSpace(string(body)); strings.HasPrefix(trimmed, "[") {
		var out []*Event
		return out, json.Unmarshal(body, &out)
	}
	out := &Event{}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, err
	}
	return []*Event{out}, nil
}
