package parley

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Contacts keeps people.
type Contacts struct{ c *Client }

// A Contact is a person.
type Contact struct {
	ID         string            `json:"id"`
	Name       string            `json:"name,omitempty"`
	Language   string            `json:"language,omitempty"`
	Country    string            `json:"country,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Identities []Identity        `json:"identities"`
	CreatedAt  time.Time         `json:"created_at"`
	ErasedAt   *time.Time        `json:"erased_at,omitempty"`
}

// An Identity is one address of a person.
type Identity struct {
	ID        string    `json:"id"`
	Channel   Channel   `json:"channel"`
	Scope     string    `json:"scope,omitempty"`
	Address   string    `json:"address"`
	CreatedAt time.Time `json:"created_at"`
}

// A NewIdentity is an address to give to a contact.
type NewIdentity struct {
	Channel Channel `json:"channel"`
	Scope   string  `json:"scope,omitempty"`
	Address string  `json:"address"`
}

// A ContactRequest is a contact to make.
type ContactRequest struct {
	Name       string            `json:"name,omitempty"`
	Language   string            `json:"language,omitempty"`
	Country    string            `json:"country,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Identities []NewIdentity     `json:"identities"`
}

// A ContactChange replaces what is noted about a person.
type ContactChange struct {
	Name     string            `json:"name,omitempty"`
	Language string            `json:"language,omitempty"`
	Country  string            `json:"country,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// A Suppression is a person's wish not to be written to.
type Suppression struct {
	Scope  string    `json:"scope"` // all, marketing, channel:<name> or sender:<id>
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// A SuppressionRequest says what a person does not want.
type SuppressionRequest struct {
	Scope  string `json:"scope"`
	Reason string `json:"reason,omitempty"`
}

func contactPath(id string) string { return "/v1/contacts/" + url.PathEscape(id) }

// Create makes a contact. The code is already_exists when an address is
// somebody's.
func (s *Contacts) Create(ctx context.Context, r *ContactRequest) (*Contact, error) {
	out := &Contact{}
	return done(out, s.c.do(ctx, call{method: http.MethodPost, path: "/v1/contacts", body: r}, out))
}

// Get reads a contact.
func (s *Contacts) Get(ctx context.Context, id string) (*Contact, error) {
	out := &Contact{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: contactPath(id)}, out))
}

// ByPhone finds the contact with a number; nil when there is none.
func (s *Contacts) ByPhone(ctx context.Context, number string) (*Contact, error) {
	var out Page[Contact]
	if err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/contacts", query: url.Values{"phone": {number}}}, &out); err != nil || len(out.Data) == 0 {
		return nil, err
	}
	return out.Data[0], nil
}

// List gives a page of contacts, newest first.
func (s *Contacts) List(ctx context.Context, o ListOptions) (*Page[Contact], error) {
	out := &Page[Contact]{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/contacts", query: o.values()}, out))
}

// All goes through all contacts page by page.
func (s *Contacts) All(ctx context.Context) iter.Seq2[*Contact, error] {
	return all(func(after string) (*Page[Contact], error) { return s.List(ctx, ListOptions{Limit: 200, After: after}) })
}

// Update replaces name, language, country and metadata.
func (s *Contacts) Update(ctx context.Context, id string, r *ContactChange) (*Contact, error) {
	out := &Contact{}
	return done(out, s.c.do(ctx, call{method: http.MethodPut, path: contactPath(id), body: r}, out))
}

// AddIdentity gives the person a further address.
func (s *Contacts) AddIdentity(ctx context.Context, id string, r *NewIdentity) (*Contact, error) {
	out := &Contact{}
	return done(out, s.c.do(ctx, call{method: http.MethodPost, path: contactPath(id) + "/identities", body: r}, out))
}

// RemoveIdentity takes an address away, by the identity's id.
func (s *Contacts) RemoveIdentity(ctx context.Context, id, identity string) (*Contact, error) {
	out := &Contact{}
	return done(out, s.c.do(ctx, call{method: http.MethodDelete, path: contactPath(id) + "/identities/" + url.PathEscape(identity)}, out))
}

// Export gives everything held on a person as one JSON document.
func (s *Contacts) Export(ctx context.Context, id string) ([]byte, error) {
	var out []byte
	err := s.c.do(ctx, call{method: http.MethodGet, path: contactPath(id) + "/export"}, &out)
	return out, err
}

// Erase destroys everything personal about someone and gives the signed
// receipt, a JSON document to keep.
func (s *Contacts) Erase(ctx context.Context, id string) ([]byte, error) {
	var out []byte
	err := s.c.do(ctx, call{method: http.MethodDelete, path: contactPath(id)}, &out)
	return out, err
}

// Suppressions lists what a person does not want.
func (s *Contacts) Suppressions(ctx context.Context, id string) ([]Suppression, error) {
	var out struct{ Data []Suppression }
	err := s.c.do(ctx, call{method: http.MethodGet, path: contactPath(id) + "/suppressions"}, &out)
	return out.Data, err
}

// Suppress notes that a person does not want something.
func (s *Contacts) Suppress(ctx context.Context, id string, r *SuppressionRequest) ([]Suppression, error) {
	var out struct{ Data []Suppression }
	err := s.c.do(ctx, call{method: http.MethodPost, path: contactPath(id) + "/suppressions", body: r, safe: true}, &out)
	return out.Data, err
}

// Allow takes a wish back.
func (s *Contacts) Allow(ctx context.Context, id, scope string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: contactPath(id) + "/suppressions/" + url.PathEscape(scope)}, nil)
}

// Conversations reads threads and windows.
type Conversations struct{ c *Client }

// A Conversation is the thread with a contact, by its latest message.
type Conversation struct {
	Contact string   `json:"contact"`
	Name    string   `json:"name,omitempty"`
	Last    *Message `json:"last_message"`
	Windows []Window `json:"windows"`
}

// A Thread is a page of a conversation, newest first.
type Thread struct {
	Contact string     `json:"contact"`
	Name    string     `json:"name,omitempty"`
	Windows []Window   `json:"windows"`
	Data    []*Message `json:"data"`
	Next    string     `json:"next"`
}

// A Window is a span in which free-form content may be sent.
type Window struct {
	Sender   string    `json:"sender"`
	Channel  Channel   `json:"channel,omitempty"`
	Identity string    `json:"identity"`
	Kind     string    `json:"kind"`
	OpenedBy string    `json:"opened_by,omitempty"`
	OpenedAt time.Time `json:"opened_at"`
	ClosesAt time.Time `json:"closes_at"`
	Open     bool      `json:"open"`
}

// List gives a page of conversations. It may be shorter than asked for
// although Next leads on.
func (s *Conversations) List(ctx context.Context, o ListOptions) (*Page[Conversation], error) {
	out := &Page[Conversation]{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/conversations", query: o.values()}, out))
}

// Get gives a page of the thread with a contact.
func (s *Conversations) Get(ctx context.Context, contact string, o ListOptions) (*Thread, error) {
	out := &Thread{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/conversations/" + url.PathEscape(contact), query: o.values()}, out))
}

// Windows tells when free-form content may be sent to a contact.
func (s *Conversations) Windows(ctx context.Context, contact string) ([]Window, error) {
	var out struct{ Data []Window }
	err := s.c.do(ctx, call{method: http.MethodGet, path: "/v1/windows", query: url.Values{"contact": {contact}}}, &out)
	return out.Data, err
}
