package parley

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Senders keeps your own ends on channels.
type Senders struct{ c *Client }

// A Sender is your own end on a channel.
type Sender struct {
	ID         string          `json:"id"`
	Channel    Channel         `json:"channel"`
	Address    string          `json:"address"`
	Display    string          `json:"display,omitempty"`
	Connectors []string        `json:"connectors"`
	Settings   json.RawMessage `json:"settings,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
}

// A SenderRequest is a sender to make or to replace one by.
type SenderRequest struct {
	Channel    Channel         `json:"channel"`
	Address    string          `json:"address"`
	Display    string          `json:"display,omitempty"`
	Connectors []string        `json:"connectors,omitempty"`
	Settings   json.RawMessage `json:"settings,omitempty"`
}

// List gives all senders, oldest first.
func (s *Senders) List(ctx context.Context) ([]*Sender, error) {
	var out struct{ Data []*Sender }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/senders"}, &out)
	return out.Data, err
}

// Get reads a sender.
func (s *Senders) Get(ctx context.Context, id string) (*Sender, error) {
	out := &Sender{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/senders/" + url.PathEscape(id)}, out))
}

// Create makes a sender.
func (s *Senders) Create(ctx context.Context, r *SenderRequest) (*Sender, error) {
	out := &Sender{}
	return done(out, s.c.do(ctx, call{method: http.MethodPost, path: "/v1/senders", body: r}, out))
}

// Update replaces a sender.
func (s *Senders) Update(ctx context.Context, id string, r *SenderRequest) (*Sender, error) {
	out := &Sender{}
	return done(out, s.c.do(ctx, call{method: http.MethodPut, path: "/v1/senders/" + url.PathEscape(id), body: r}, out))
}

// Delete takes a sender away.
func (s *Senders) Delete(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: "/v1/senders/" + url.PathEscape(id)}, nil)
}

// Connectors keeps accounts at providers.
type Connectors struct{ c *Client }

// A Connector is an account at a provider; its configuration is never read
// back.
type Connector struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Name      string          `json:"name"`
	Paused    bool            `json:"paused"`
	Health    ConnectorHealth `json:"health"`
	Callback  string          `json:"callback,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

// A ConnectorHealth is how an account fares.
type ConnectorHealth struct {
	State  string     `json:"state"`
	Code   string     `json:"code,omitempty"`
	Reason string     `json:"reason,omitempty"`
	At     *time.Time `json:"at,omitempty"`
}

// A NewConnector is an account to make, with credentials.
type NewConnector struct {
	Kind   string          `json:"kind"`
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
}

// A ConnectorChange changes an account; nil Config leaves that as it is.
type ConnectorChange struct {
	Name   string          `json:"name,omitempty"`
	Config json.RawMessage `json:"config,omitempty"`
}

// A ChannelKind is a kind of connector the server can open.
type ChannelKind struct {
	Channel   Channel         `json:"channel"`
	Kind      string          `json:"kind"`
	Title     string          `json:"title"`
	Addressed []Channel       `json:"addressed"`
	Window    bool            `json:"window"`
	Receipts  ReceiptsGiven   `json:"receipts"`
	Example   json.RawMessage `json:"example,omitempty"`
}

// A ReceiptsGiven says what a connector tells after taking a message.
type ReceiptsGiven struct {
	Delivered bool     `json:"delivered"`
	Read      bool     `json:"read"`
	Failed    bool     `json:"failed"`
	Horizon   Duration `json:"horizon,omitempty"`
}

func connectorPath(id string) string { return "/v1/connectors/" + url.PathEscape(id) }

// Kinds lists what the server can carry.
func (s *Connectors) Kinds(ctx context.Context) ([]ChannelKind, error) {
	var out struct{ Data []ChannelKind }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/channels"}, &out)
	return out.Data, err
}

// List gives all accounts.
func (s *Connectors) List(ctx context.Context) ([]*Connector, error) {
	var out struct{ Data []*Connector }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/connectors"}, &out)
	return out.Data, err
}

// Get reads an account.
func (s *Connectors) Get(ctx context.Context, id string) (*Connector, error) {
	return s.one(ctx, call{method: http.MethodGet, path: connectorPath(id)})
}

// Create makes an account.
func (s *Connectors) Create(ctx context.Context, r *NewConnector) (*Connector, error) {
	return s.one(ctx, call{method: http.MethodPost, path: "/v1/connectors", body: r})
}

// Update changes an account.
func (s *Connectors) Update(ctx context.Context, id string, r *ConnectorChange) (*Connector, error) {
	return s.one(ctx, call{method: http.MethodPut, path: connectorPath(id), body: r})
}

// Pause stops an account; its queue is kept.
func (s *Connectors) Pause(ctx context.Context, id string) (*Connector, error) {
	return s.one(ctx, call{method: http.MethodPost, path: connectorPath(id) + "/pause", safe: true})
}

// Resume starts an account again.
func (s *Connectors) Resume(ctx context.Context, id string) (*Connector, error) {
	return s.one(ctx, call{method: http.MethodPost, path: connectorPath(id) + "/resume", safe: true})
}

// SyncTemplates reads the templates the provider keeps for an account, and
// gives how many there are, counted for each sender it carries.
func (s *Connectors) SyncTemplates(ctx context.Context, id string) (int, error) {
	var out TemplateCount
	err := s.c.do(ctx, call{method: http.MethodPost, path: connectorPath(id) + "/templates", safe: true}, &out)
	return out.Templates, err
}

// A TemplateCount says how many templates a provider keeps.
type TemplateCount struct {
	Templates int `json:"templates"`
}

// Delete takes an account away that no sender uses.
func (s *Connectors) Delete(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: connectorPath(id)}, nil)
}

func (s *Connectors) one(ctx context.Context, in call) (*Connector, error) {
	out := &Connector{}
	return done(out, s.c.do(ctx, in, out))
}

// Templates keeps registered templates.
type Templates struct{ c *Client }

// A Template is a registered template of a sender.
type Template struct {
	ID         string          `json:"id"`
	Sender     string          `json:"sender"`
	Provider   string          `json:"provider_id,omitempty"`
	Name       string          `json:"name"`
	Language   string          `json:"language"`
	Category   Purpose         `json:"category"`
	State      string          `json:"state"`
	TTL        Duration        `json:"ttl,omitempty"`
	Body       string          `json:"body,omitempty"`
	Named      bool            `json:"named,omitempty"`
	Components json.RawMessage `json:"components,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	UpdatedAt  time.Time       `json:"updated_at"`
}

// A TemplateRequest is a template as the provider has it.
type TemplateRequest struct {
	Sender     string          `json:"sender"`
	Provider   string          `json:"provider_id,omitempty"`
	Name       string          `json:"name"`
	Language   string          `json:"language"`
	Category   Purpose         `json:"category"`
	State      string          `json:"state"`
	TTL        Duration        `json:"ttl,omitempty"`
	Body       string          `json:"body,omitempty"`
	Named      bool            `json:"named,omitempty"`
	Components json.RawMessage `json:"components,omitempty"`
	Reason     string          `json:"reason,omitempty"`
}

// List gives all templates, or those of one sender.
func (s *Templates) List(ctx context.Context, sender string) ([]*Template, error) {
	q := url.Values{}
	set(q, "sender", sender)
	var out struct{ Data []*Template }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/templates", query: q}, &out)
	return out.Data, err
}

// Put makes or replaces a template by sender, name and language.
func (s *Templates) Put(ctx context.Context, r *TemplateRequest) (*Template, error) {
	out := &Template{}
	return done(out, s.c.do(ctx, call{method: http.MethodPut, path: "/v1/templates", body: r}, out))
}

// Delete takes a template away.
func (s *Templates) Delete(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: "/v1/templates/" + url.PathEscape(id)}, nil)
}
