// Package channel is the seam to providers. A channel is one folder below this
// one: it turns our messages into a provider's bytes and a provider's bytes
// into our events, makes one attempt at a time, and knows nothing of queues,
// retries, stores or fallback: that is the engine's.
//
// Start with [Type], which a channel hands to the list in app/channels.go, and
// [Connector], which it implements.
package channel

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/parley-messaging/parley/message"
)

// A Connector hands one message to one provider, once.
//
// Send may be called from many goroutines, must not retry and must not keep m.
// It returns when the provider has answered, or ctx ends. Failures it
// understands are *message.Fault, whose Certain says whether the message surely
// did not leave; any other error is taken as an uncertain Transient fault. The
// Accepted may be filled even when err is not nil: some parts may have left.
type Connector interface {
	Send(ctx context.Context, m *message.Outbound) (message.Accepted, error)
	// Close frees what the connector holds. Sends still running end first.
	Close() error
}

// A Receiver is a Connector whose provider calls us over HTTP.
type Receiver interface {
	Connector
	// Verify judges one callback by its raw bytes. It stores nothing and
	// answers nobody: the answer says what to reply and whether to keep the
	// body. It must compare secrets in constant time.
	Verify(c *Callback) (Answer, error)
	// Decode reads the body of a callback that was verified. It is lenient:
	// what it does not know becomes no event, never an error; the error is for
	// bodies that are no callback at all.
	Decode(body []byte) ([]message.Event, error)
}

// A Callback is one HTTP request of a provider, its body already read.
type Callback struct {
	Method string
	Header http.Header
	Query  url.Values
	Body   []byte
}

// An Answer is what to reply to a callback.
type Answer struct {
	Status int    // HTTP status
	Body   string // e.g. the challenge of a handshake
	Keep   bool   // the body carries events: store it before answering
}

// A Linker is a Connector with lasting links of its own, such as SMPP binds.
type Linker interface {
	Connector
	// Run opens the links and keeps them up until ctx ends, reconnecting with
	// backoff. It hands what arrives to sink, and answers the provider only
	// after sink's done was called. It returns nil when ctx ended.
	Run(ctx context.Context, sink Sink) error
	// Ready reports whether at least one link can carry a message now.
	Ready() bool
}

// A Sink takes what a lasting link brings. It is safe for concurrent use.
type Sink interface {
	// Events takes events and returns at once; done is called exactly once,
	// with nil after they are durable, else with the reason why the provider
	// must try again.
	Events(events []message.Event, done func(error))
	// Health tells that the link's state changed.
	Health(Health)
}

// Health is the state of a connector's links.
type Health struct {
	Up     bool
	Links  int            // links that are up
	Fault  *message.Fault // why it is down; nil when up or closed
	Detail string
}

// A Reader is a Connector that can tell a person that we read their message.
type Reader interface {
	// MarkRead marks the message with this provider id, which came to one of our
	// ends, as read; with typing, it also shows that an answer is coming. Its
	// faults are *message.Fault; marking twice does no harm.
	MarkRead(ctx context.Context, to message.Sender, providerID string, typing bool) error
}

// A Fetcher is a Connector that can fetch a file a person sent us. The caller
// closes the body and bounds its size.
type Fetcher interface {
	Fetch(ctx context.Context, providerID string) (File, error)
}

// An Uploader is a Connector that keeps files at the provider: the id it gives
// is Media.Provider. Upload reads body to its end; size is in bytes.
type Uploader interface {
	Upload(ctx context.Context, mime, filename string, body io.Reader) (providerID string, err error)
}

// A Limiter is a Connector whose account has limits other than its Type's.
type Limiter interface {
	Limits() Limits
}

// A Receipter is a Connector whose account gives other receipts than its Type
// says, such as an SMSC asked for none.
type Receipter interface {
	Receipts() Receipts
}

// A TemplateLister is a Connector whose provider keeps the templates.
type TemplateLister interface {
	Templates(ctx context.Context) ([]RemoteTemplate, error)
}

// A RemoteTemplate is a template as the provider has it.
type RemoteTemplate struct {
	Provider   string
	Name       string
	Language   string
	Category   message.Purpose
	State      message.TemplateState
	Body       string
	Named      bool
	TTL        time.Duration // 0 = the provider's default
	Components json.RawMessage
}

// A Previewer is a Connector whose account's settings decide how content is
// shown and in how many parts: plans, prices and previews come from it. Preview
// is pure but for the settings; where there is none, Type.Render is used.
type Previewer interface {
	Preview(c *message.Content, t *message.TemplateUse, purpose message.Purpose) (Rendering, error)
}

// A Greeter is a Receiver whose provider asks a callback address whether it is
// ours before it calls. Greeting gives the query it would send; the right answer
// is the challenge, as it is. Doctor asks so from outside.
type Greeter interface {
	Receiver
	Greeting(challenge string) url.Values
}

// A Prober is a Connector that can check its own set-up, for doctor.
type Prober interface {
	Probe(ctx context.Context) []Finding
}

// A Finding is one line of a check.
type Finding struct {
	Name   string
	OK     bool
	Works  bool   // when not OK: it works all the same, but look at it
	Detail string // what was seen
	Remedy string // what to do when not OK
}

// A File is a fetched attachment.
type File struct {
	MIME   string
	Size   int64 // -1 = not told
	SHA256 string
	Body   interface {
		Read([]byte) (int, error)
		Close() error
	}
}

// A Type is a channel as data and constructors: one line in app/channels.go.
type Type struct {
	Channel message.Channel
	Kind    string // name of the connector kind in configuration: "whatsapp_cloud", "smpp"
	Title   string
	// Addressed says which identities it can reach: message.Phone, its own
	// channel, or both, the preferred one first.
	Addressed []message.Channel
	Caps      Capabilities
	Receipts  Receipts
	Limits    Limits
	// Window is true when free-form content needs an open window.
	Window bool
	// Example is a configuration to start from, with comments as keys.
	Example json.RawMessage
	// Check validates a configuration without opening anything. It names the
	// field and the remedy, and never repeats a secret.
	Check func(config json.RawMessage) error
	// Open makes a connector. It must not block on the network.
	Open func(config json.RawMessage, env Env) (Connector, error)
	// CheckSender says what is wrong with a brand's own address on this channel
	// and what to do; "" = it can be one. Nil: any can.
	CheckSender func(address string) (problem, remedy string)
	// Render shows content as the channel will show it; pure.
	Render func(c *message.Content, t *message.TemplateUse) (Rendering, error)
}

// Env is what the house gives a connector.
type Env struct {
	ID     message.ConnectorID
	Now    func() time.Time
	Log    *slog.Logger // ids only
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	HTTP   *http.Client // for provider APIs
	Public string       // our own base URL as providers and phones see it; "" = unknown
}

// Receipts says what a connector tells about a message after taking it.
type Receipts struct {
	Delivered bool
	Read      bool
	Failed    bool
	Echo      bool          // receipts carry our own id
	Horizon   time.Duration // after this long nothing more is expected
}

// Limits are what the provider allows; the operator may lower them.
type Limits struct {
	PerSecond  float64       // messages a second per connector account; 0 = no limit
	Burst      int           // messages at once
	PairEvery  time.Duration // one message to one person in this span; 0 = no limit
	PairBurst  int           // messages to one person at once
	Concurrent int           // sends in flight
}

// A Rendering is content as one channel will show it.
type Rendering struct {
	Content  message.Content // fitted
	Text     string          // what a person would read, for previews
	Encoding string          // "gsm7", "ucs2" … for SMS
	Segments int             // billable parts; 1 where the channel has none
	Changes  []Change        // what was adapted or dropped
	Choices  []Choice        // numbered choices whose answer comes back as a payload
	Saving   *Saving         // what Content.Transliterate would save; nil = nothing
}

// A Saving is the same text in fewer billable parts, for the price of some
// characters. It is offered, never taken unasked.
type Saving struct {
	Text     string `json:"text"`
	Encoding string `json:"encoding"`
	Segments int    `json:"segments"`
	Detail   string `json:"detail"` // why, and how to take it
}

// A Change is one adaptation, told in previews and warnings.
type Change struct {
	Field  string `json:"field"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
}

// A Choice maps a typed answer to the payload of a button.
type Choice struct {
	Key     string `json:"key"` // what the person types
	Title   string `json:"title"`
	Payload string `json:"payload"`
}
