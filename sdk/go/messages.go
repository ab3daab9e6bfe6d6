package parley

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Messages sends messages and tells their story.
type Messages struct{ c *Client }

// Send takes a message in. When it returns without error the server has it for
// good.
func (m *Messages) Send(ctx context.Context, r *SendRequest) (*Accepted, error) {
	out := &Accepted{}
	return done(out, m.c.do(ctx, call{method: http.MethodPost, path: "/v1/messages", body: r, key: newKey(r.IdempotencyKey)}, out))
}

// Batch takes up to 10,000 messages in. Look at the verdict of each item.
func (m *Messages) Batch(ctx context.Context, r *BatchRequest) (*BatchAnswer, error) {
	out := &BatchAnswer{}
	return done(out, m.c.do(ctx, call{method: http.MethodPost, path: "/v1/messages/batch", body: r, key: newKey(r.IdempotencyKey)}, out))
}

// Preview tells what would happen to a message and sends nothing.
func (m *Messages) Preview(ctx context.Context, r *SendRequest) (*Preview, error) {
	out := &Preview{}
	return done(out, m.c.do(ctx, call{method: http.MethodPost, path: "/v1/messages/preview", body: r, safe: true}, out))
}

// Get tells the whole story of a message.
func (m *Messages) Get(ctx context.Context, id string) (*Message, error) {
	out := &Message{}
	return done(out, m.c.do(ctx, call{method: http.MethodGet, path: "/v1/messages/" + url.PathEscape(id)}, out))
}

// Cancel takes a message back before its first attempt.
func (m *Messages) Cancel(ctx context.Context, id string) (*Message, error) {
	out := &Message{}
	return done(out, m.c.do(ctx, call{method: http.MethodPost, path: "/v1/messages/" + url.PathEscape(id) + "/cancel", safe: true}, out))
}

// A ReadRequest says what to show besides that a message was read.
type ReadRequest struct {
	Typing bool `json:"typing,omitempty"`
}

// MarkRead shows the person who sent a message that it, and all they wrote
// before, was read; with typing also that an answer is coming.
func (m *Messages) MarkRead(ctx context.Context, id string, typing bool) error {
	return m.c.do(ctx, call{method: http.MethodPost, path: "/v1/messages/" + url.PathEscape(id) + "/read", body: &ReadRequest{Typing: typing}, safe: true}, nil)
}

// ListMessages says which messages to list; zero fields do not narrow.
type ListMessages struct {
	ListOptions
	Contact   string
	Phone     string // instead of Contact
	State     string
	Direction string // outbound or inbound
	Since     time.Time
	Until     time.Time
}

// List gives a page of messages, newest first.
func (m *Messages) List(ctx context.Context, o ListMessages) (*Page[Message], error) {
	q := o.values()
	set(q, "contact", o.Contact)
	set(q, "phone", o.Phone)
	set(q, "state", o.State)
	set(q, "direction", o.Direction)
	if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339))
	}
	if !o.Until.IsZero() {
		q.Set("until", o.Until.UTC().Format(time.RFC3339))
	}
	out := &Page[Message]{}
	return done(out, m.c.do(ctx, call{method: http.MethodGet, path: "/v1/messages", query: q}, out))
}

// All goes through all messages page by page.
func (m *Messages) All(ctx context.Context, o ListMessages) iter.Seq2[*Message, error] {
	return all(func(after string) (*Page[Message], error) {
		if after != "" {
			o.After = after
		}
		return m.List(ctx, o)
	})
}

// A Message is the whole story of one message, either way.
type Message struct {
	ID        string            `json:"id"`
	Direction string            `json:"direction"`
	Contact   string            `json:"contact"`
	Address   string            `json:"address,omitempty"`
	Purpose   Purpose           `json:"purpose,omitempty"`
	State     string            `json:"state"`
	Reason    string            `json:"reason,omitempty"`
	Version   int32             `json:"version,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	SendAt    *time.Time        `json:"send_at,omitempty"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty"`
	EndedAt   *time.Time        `json:"ended_at,omitempty"`
	Delivered *DeliveredBy      `json:"delivered_by,omitempty"`
	Content   *Content          `json:"content,omitempty"`
	Template  *TemplateUse      `json:"template,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	ReplyTo   string            `json:"reply_to,omitempty"`
	MaxPrice  *Amount           `json:"max_price,omitempty"`
	Steps     []Step            `json:"steps,omitempty"`
	Cost      []Amount          `json:"cost,omitempty"`
	Charges   []Charge          `json:"charges,omitempty"`
	Inbound   *Inbound          `json:"inbound,omitempty"`
	Erased    bool              `json:"erased,omitempty"`
}

// A DeliveredBy is the step that first reached the person.
type DeliveredBy struct {
	Step    int       `json:"step"`
	Channel Channel   `json:"channel"`
	At      time.Time `json:"at"`
}

// A Step is one channel of a route and what came of it.
type Step struct {
	Step      int        `json:"step"`
	Channel   Channel    `json:"channel"`
	Sender    string     `json:"sender,omitempty"`
	Connector string     `json:"connector,omitempty"`
	Mode      string     `json:"mode,omitempty"`
	Template  string     `json:"template,omitempty"`
	State     string     `json:"state"`
	Reason    string     `json:"reason,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	Next      *NextIf    `json:"next_if,omitempty"`
	ValidFor  Duration   `json:"valid_for,omitempty"`
	HeldUntil *time.Time `json:"held_until,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	Horizon   *time.Time `json:"horizon,omitempty"`
	Replied   bool       `json:"replied,omitempty"`
	Retries   int        `json:"retries,omitempty"`
	Estimate  *Amount    `json:"estimate,omitempty"`
	Cost      []Amount   `json:"cost,omitempty"`
	Segments  int        `json:"segments,omitempty"`
	Attempts  []Attempt  `json:"attempts,omitempty"`
}

// An Attempt is one hand-over to one provider.
type Attempt struct {
	Attempt     int        `json:"attempt"`
	Connector   string     `json:"connector"`
	Outcome     string     `json:"outcome"`
	StartedAt   time.Time  `json:"started_at"`
	AnsweredAt  *time.Time `json:"answered_at,omitempty"`
	SentAt      *time.Time `json:"sent_at,omitempty"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	ReadAt      *time.Time `json:"read_at,omitempty"`
	FailedAt    *time.Time `json:"failed_at,omitempty"`
	Fault       string     `json:"fault,omitempty"`
	Code        string     `json:"code,omitempty"`
	Title       string     `json:"title,omitempty"`
	Inferred    bool       `json:"inferred,omitempty"`
	Parts       []Part     `json:"parts,omitempty"`
	Price       *Amount    `json:"price,omitempty"`
	PriceBy     string     `json:"price_by,omitempty"`
	PriceRule   string     `json:"price_rule,omitempty"`
}

// A Part is one piece of an attempt with its own provider id.
type Part struct {
	ProviderID string `json:"provider_id,omitempty"`
	State      string `json:"state,omitempty"`
}

// A Charge is what one attempt cost.
type Charge struct {
	Step    int       `json:"step"`
	Attempt int       `json:"attempt"`
	Channel Channel   `json:"channel"`
	Country string    `json:"country,omitempty"`
	Amount  *Amount   `json:"amount"`
	By      string    `json:"by"`
	Rule    string    `json:"rule,omitempty"`
	At      time.Time `json:"at"`
}

// An Inbound is what only messages from people have.
type Inbound struct {
	Type       string          `json:"type"`
	Channel    Channel         `json:"channel"`
	Sender     string          `json:"sender,omitempty"`
	ProviderAt *time.Time      `json:"provider_at,omitempty"`
	Payload    string          `json:"payload,omitempty"`
	Choice     string          `json:"choice,omitempty"`
	Name       string          `json:"name,omitempty"`
	EntryPoint bool            `json:"entry_point,omitempty"`
	Referral   json.RawMessage `json:"referral,omitempty"`
	Raw        json.RawMessage `json:"raw,omitempty"` // what has no field here: octets, missing parts …
}

// done gives no half-read answer with an error.
func done[T any](out *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return out, nil
}

func all[T any](get func(after string) (*Page[T], error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		after := ""
		for {
			p, err := get(after)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, one := range p.Data {
				if !yield(one, nil) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}
