package parley

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Workspace keeps settings and API keys, and tells costs.
type Workspace struct{ c *Client }

// A Me is who the key says you are.
type Me struct {
	Workspace string   `json:"workspace"`
	Name      string   `json:"name"`
	Key       string   `json:"key"`
	KeyName   string   `json:"key_name"`
	Scopes    []string `json:"scopes"`
}

// Settings are the workspace's own choices.
type Settings struct {
	DefaultRoute     []SettingsStep      `json:"default_route,omitempty"`
	DefaultRegion    string              `json:"default_region,omitempty"`
	Timezone         string              `json:"timezone,omitempty"`
	Retention        *Retention          `json:"retention,omitempty"`
	TemplateMap      map[string]string   `json:"template_map,omitempty"`
	TemplateVariants map[string][]string `json:"template_variants,omitempty"`
	PriceOverrides   []PriceOverride     `json:"price_overrides,omitempty"`
	MaxPrice         *Amount             `json:"max_price,omitempty"`
}

// A SettingsStep is one channel of the default route.
type SettingsStep struct {
	Channel Channel `json:"channel"`
	Sender  string  `json:"sender,omitempty"`
	Next    *NextIf `json:"next_if,omitempty"`
}

// A Retention says how long things are kept; zero = the server's default.
type Retention struct {
	Messages Duration `json:"messages,omitempty"`
	Content  Duration `json:"content,omitempty"`
	Events   Duration `json:"events,omitempty"`
	Webhooks Duration `json:"webhooks,omitempty"`
}

// A PriceOverride is a negotiated price.
type PriceOverride struct {
	Channel Channel `json:"channel"`
	Country string  `json:"country,omitempty"`
	Purpose Purpose `json:"purpose,omitempty"`
	Price   Amount  `json:"price"`
}

// An APIKey is a key of the workspace; Secret is set only by CreateKey.
type APIKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Hint      string     `json:"hint"`
	Scopes    []string   `json:"scopes"`
	Secret    string     `json:"secret,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// An APIKeyRequest is a key to make.
type APIKeyRequest struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// A Usage is what messages cost in a span.
type Usage struct {
	From time.Time   `json:"from"`
	To   time.Time   `json:"to"`
	Data []UsageLine `json:"data"`
}

// A UsageLine is a sum of charges.
type UsageLine struct {
	Channel Channel `json:"channel"`
	Purpose Purpose `json:"purpose"`
	Count   int64   `json:"count"`
	Amount  *Amount `json:"amount"`
}

// Me tells who the key says you are.
func (s *Workspace) Me(ctx context.Context) (*Me, error) {
	out := &Me{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/me"}, out))
}

// Settings reads the settings.
func (s *Workspace) Settings(ctx context.Context) (*Settings, error) {
	out := &Settings{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/settings"}, out))
}

// SetSettings replaces the settings.
func (s *Workspace) SetSettings(ctx context.Context, r *Settings) (*Settings, error) {
	out := &Settings{}
	return done(out, s.c.do(ctx, call{method: http.MethodPut, path: "/v1/settings", body: r}, out))
}

// Keys lists the API keys, revoked ones too.
func (s *Workspace) Keys(ctx context.Context) ([]*APIKey, error) {
	var out struct{ Data []*APIKey }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/api-keys"}, &out)
	return out.Data, err
}

// CreateKey makes a key; keep its Secret, it is not shown again.
func (s *Workspace) CreateKey(ctx context.Context, r *APIKeyRequest) (*APIKey, error) {
	out := &APIKey{}
	return done(out, s.c.do(ctx, call{method: http.MethodPost, path: "/v1/api-keys", body: r}, out))
}

// RevokeKey ends a key.
func (s *Workspace) RevokeKey(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: "/v1/api-keys/" + url.PathEscape(id)}, nil)
}

// Usage tells what messages cost; zero times are the first of this month and
// now.
func (s *Workspace) Usage(ctx context.Context, from, to time.Time) (*Usage, error) {
	q := url.Values{}
	if !from.IsZero() {
		q.Set("from", from.UTC().Format(time.RFC3339))
	}
	if !to.IsZero() {
		q.Set("to", to.UTC().Format(time.RFC3339))
	}
	out := &Usage{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/usage", query: q}, out))
}
