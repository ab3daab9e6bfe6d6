// Package whatsapp speaks Meta's WhatsApp Cloud API: one message as one call,
// callbacks as events. It knows nothing of queues, retries or windows, and it
// never talks to the On-Premises API.
//
// Start with [Type], then encode.go (ours to theirs), decode.go (theirs to
// ours) and faults.go (their codes to ours).
package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// Type is WhatsApp Cloud API as data and constructors.
var Type = channel.Type{
	Channel:   message.WhatsApp,
	Kind:      "whatsapp_cloud",
	Title:     "WhatsApp (Meta Cloud API)",
	Addressed: []message.Channel{message.Phone, message.WhatsApp},
	Caps:      Capabilities(),
	Receipts: channel.Receipts{
		Delivered: true, Read: true, Failed: true, Echo: true,
		// A template without a time-to-live of its own is tried for 30 days.
		Horizon: 30 * 24 * time.Hour,
	},
	// Throughput and pair rate: developers.facebook.com, Cloud API overview, November 2026.
	Limits:  channel.Limits{PerSecond: 80, Burst: 80, PairEvery: 6 * time.Second, PairBurst: 45, Concurrent: 128},
	Window:  true,
	Example: json.RawMessage(example),
	Check: func(config json.RawMessage) error {
		_, err := parse(config)
		return err
	},
	Open: func(config json.RawMessage, env channel.Env) (channel.Connector, error) {
		return Open(config, env)
	},
	Render: Render,
}

// ErrClosed is the cause of sends after Close.
var ErrClosed = errors.New("the connector is closed")

// A Connector sends through one Cloud API account. It is safe for concurrent
// use.
type Connector struct {
	config   Config
	id       message.ConnectorID
	log      *slog.Logger
	now      func() time.Time
	client   graph.Client
	messages *url.URL // of the configured number
	ring     *ring    // nil without payload encryption

	mu      sync.RWMutex
	closed  bool
	running sync.WaitGroup
}

// Open makes a connector; it does not touch the network. With env.HTTP nil it
// makes its own transport, tuned for one busy host, over env.Dial.
func Open(config json.RawMessage, env channel.Env) (*Connector, error) {
	c, err := parse(config)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Connector{
		config: c, id: env.ID, log: log, now: env.Now,
		client: graph.Client{HTTP: graph.NewHTTP(env.HTTP, env.Dial), Base: c.BaseURL + "/" + c.Version, Token: c.Token},
	}
	if w.ring, err = c.ring(); err != nil {
		return nil, err
	}
	w.messages, err = w.client.URL("/" + c.PhoneNumberID + "/messages")
	return w, err
}

// enter counts a running call; false once the connector is closed.
func (w *Connector) enter() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return false
	}
	w.running.Add(1)
	return true
}

// Close waits for running calls and drops the connections.
func (w *Connector) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.running.Wait()
	w.client.HTTP.CloseIdleConnections()
	return nil
}

// Limits gives what the number may do, as configured.
func (w *Connector) Limits() channel.Limits {
	l := Type.Limits
	if w.config.Throughput > 0 {
		l.PerSecond = w.config.Throughput
		l.Burst = max(1, int(w.config.Throughput))
	}
	return l
}

// Send hands one message to the Cloud API, once. A 200 only means queued:
// most refusals come later, by callback.
//
// Content with several attachments goes as several messages, one after another,
// whose ids are Accepted.Parts in order; from the second on the echoed id ends
// with the number of the part. The first that is not taken ends it: with parts
// taken before, the fault is not certain, since something has left.
func (w *Connector) Send(ctx context.Context, m *message.Outbound) (message.Accepted, error) {
	if !w.enter() {
		return message.Accepted{}, &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Title: "the connector is closed", Cause: ErrClosed}
	}
	defer w.running.Done()
	if m.Template != nil || len(m.Content.Media) == 0 {
		return w.one(ctx, m)
	}
	parts := channel.Series(&m.Content, &Type.Caps)
	if len(parts) == 1 {
		return w.one(ctx, m)
	}
	return w.several(ctx, m, parts)
}

// several sends the parts of one message in order.
func (w *Connector) several(ctx context.Context, m *message.Outbound, parts []message.Content) (message.Accepted, error) {
	var all message.Accepted
	for i := range parts {
		part := *m
		part.Content = parts[i]
		if i > 0 {
			part.ReplyTo = "" // the first one quotes
			if m.Echo != "" {
				part.Echo = m.Echo + "." + strconv.Itoa(i)
			}
		}
		a, err := w.one(ctx, &part)
		if err != nil && i > 0 {
			return all, torn(err, i, len(parts))
		}
		if err != nil {
			return message.Accepted{}, err
		}
		a.Parts = append(all.Parts, a.Parts...)
		all = a
	}
	return all, nil
}

// torn is the fault of a message of which some parts were taken.
func torn(err error, taken, of int) error {
	f := &message.Fault{Kind: message.Transient, Scope: message.ScopeMessage, Cause: err}
	var told *message.Fault
	if errors.As(err, &told) {
		whole := *told
		f = &whole
	}
	f.Certain = false
	f.Title = fmt.Sprintf("only %d of %d messages were taken: %s", taken, of, f.Title)
	return f
}

// one makes one call for one message.
func (w *Connector) one(ctx context.Context, m *message.Outbound) (message.Accepted, error) {
	body, err := encode(make([]byte, 0, 640), m)
	if err != nil {
		return message.Accepted{}, err
	}
	reply, err := w.hand(ctx, m, body)
	if err != nil {
		return message.Accepted{}, err
	}
	if reply.Status != http.StatusOK {
		fault := answerFault(reply)
		if fault.Unmapped {
			w.log.Warn("unmapped provider answer", "connector", w.id, "message", m.Message, "code", fault.Code, "status", reply.Status)
		}
		return message.Accepted{}, fault
	}
	return decodeAnswer(reply.Body)
}

// hand makes the call: plain, or sealed when payloads are encrypted.
func (w *Connector) hand(ctx context.Context, m *message.Outbound, body []byte) (graph.Reply, error) {
	u, err := w.target(m)
	if err != nil {
		return graph.Reply{}, err
	}
	if w.ring != nil {
		number := m.From.Address
		if number == "" {
			number = w.config.PhoneNumberID
		}
		return w.sendSealed(ctx, number, body)
	}
	reply, err := w.client.Do(ctx, http.MethodPost, u, "application/json", body)
	if err != nil {
		return graph.Reply{}, callFault(err)
	}
	return reply, nil
}

// target gives the address of the call: the sender's number if it names one,
// else the configured one.
func (w *Connector) target(m *message.Outbound) (*url.URL, error) {
	number := m.From.Address
	if number == "" {
		number = w.config.PhoneNumberID
	}
	edge := "messages"
	if w.config.MarketingMessages && m.Template != nil && m.Purpose == message.Marketing {
		edge = "marketing_messages"
	} else if number == w.config.PhoneNumberID {
		return w.messages, nil
	}
	if !digits(number) {
		return nil, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "sender", Title: "the sender's address is not a phone number id"}
	}
	u, err := w.client.URL("/" + number + "/" + edge)
	if err != nil {
		return nil, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "sender", Title: "the sender's address is not a phone number id"}
	}
	return u, nil
}

// Verify judges the handshake and the signature of a callback. On an error the
// answer is still the one to give.
func (w *Connector) Verify(c *channel.Callback) (channel.Answer, error) {
	return graph.Verify(c, w.config.VerifyToken.Reveal(), w.config.AppSecret.Reveal())
}

// Decode reads a verified callback. See [Decode].
func (w *Connector) Decode(body []byte) ([]message.Event, error) {
	events, err := Decode(body, w.config.Portfolio)
	for _, e := range events {
		if r, ok := e.(*message.Receipt); ok && r.Fault != nil && r.Fault.Unmapped {
			w.log.Warn("unmapped provider code in a receipt", "connector", w.id, "code", r.Fault.Code)
		}
	}
	return events, err
}

var (
	_ channel.Receiver       = (*Connector)(nil)
	_ channel.Reader         = (*Connector)(nil)
	_ channel.Fetcher        = (*Connector)(nil)
	_ channel.Uploader       = (*Connector)(nil)
	_ channel.TemplateLister = (*Connector)(nil)
	_ channel.Greeter        = (*Connector)(nil)
	_ channel.Prober         = (*Connector)(nil)
	_ channel.Limiter        = (*Connector)(nil)
)
