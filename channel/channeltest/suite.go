// Package channeltest is the suite that every channel passes in both
// directions: what goes out and how failures are told, what comes in and how
// it is judged. It holds no wire of its own: the channel's test supplies a
// twin, a local server that plays the provider.
//
// It is imported by tests only. Start with [Run] and [Harness].
package channeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// patience is how long anything that must happen may take.
const patience = 20 * time.Second

// An Order tells a twin how to treat the sends that follow.
type Order string

// The orders.
const (
	Accept       Order = "accept"
	Refuse       Order = "refuse"       // this content, never: a clear refusal by code
	Throttle     Order = "throttle"     // too fast
	Unauthorized Order = "unauthorized" // the credentials are not valid
	Busy         Order = "busy"         // a clear "not now, nothing was taken"
	Broken       Order = "broken"       // takes the message, then answers nonsense
	Cut          Order = "cut"          // takes the message, then cuts the connection
	Hang         Order = "hang"         // takes the message and never answers
	Drop         Order = "drop"         // cuts the connection without taking the message
)

// A Twin is a running pretend provider, as the suite uses it.
type Twin struct {
	// Config makes the connector reach this twin.
	Config json.RawMessage
	// Order sets how sends are treated; false when this provider knows no such
	// thing. It is safe while sends run.
	Order func(Order) bool
	// Taken counts the messages the twin took so far.
	Taken func() int
	// Receipts makes receipts, in this order, for the message with this
	// provider id and echo. A channel with callbacks gets them as one signed
	// callback per receipt; others return nil and bring them over the link.
	Receipts func(id, echo string, statuses ...message.ReceiptStatus) []channel.Callback
	// Say makes the person write text to the brand, in the same way.
	Say func(text string) []channel.Callback
	// Acknowledged counts what the connector told the provider to be taken of
	// what came over its links; nil for a channel with callbacks.
	Acknowledged func() int
	// Batch joins callbacks into one signed callback, for providers that do;
	// nil for others.
	Batch func([]channel.Callback) channel.Callback
}

// A Harness is what a channel gives the suite.
type Harness struct {
	Type channel.Type
	// Start starts a twin that stops at the end of the test.
	Start func(t *testing.T) *Twin
	// Nobody is a configuration that points where nobody listens.
	Nobody func(t *testing.T) json.RawMessage
	// Bad are configurations that must be refused, by the field to be named.
	Bad map[string]json.RawMessage
	// Secrets must appear in no error and no log line.
	Secrets []string
	To      message.Address
	From    message.Sender
}

// Private is the text and the parts of addresses the suite sends; they must
// appear in no error and no log line either.
const secretText = "squeamish ossifrage"

// Run runs the whole suite.
func Run(t *testing.T, h Harness) {
	t.Run("config", h.config)
	t.Run("accept", h.accept)
	t.Run("contents", h.contents)
	t.Run("outcomes", h.outcomes)
	t.Run("nobody there", h.nobody)
	t.Run("cancelled", h.cancelled)
	t.Run("close", h.close)
	t.Run("many at once", h.many)
	t.Run("receipts", h.receipts)
	t.Run("inbound", h.inbound)
	t.Run("callbacks", h.callbacks)
	t.Run("crash on the way out", h.crashesOut)
	t.Run("crash on the way in", h.crashesIn)
}

// A session is one open connector with everything it said.
type session struct {
	t    *testing.T
	h    *Harness
	twin *Twin
	c    channel.Connector

	mu     sync.Mutex
	log    bytes.Buffer
	told   []string // texts of errors
	events chan message.Event
	up     chan struct{}
	keep   bool             // events are not stored yet
	held   chan func(error) // what waits for that
	stop   func()           // ends the links; it may be called twice
}

// hold makes what comes wait to be stored.
func (s *session) hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = on
}

// eventually waits for what another goroutine does.
func (s *session) eventually(what string, ok func() bool) {
	s.t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatal("did not happen in time:", what)
		}
	}
}

// Write takes the log.
func (s *session) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

// Events implements channel.Sink.
func (s *session) Events(events []message.Event, done func(error)) {
	s.mu.Lock()
	keep := s.keep
	s.mu.Unlock()
	if keep {
		s.held <- done
	}
	for _, e := range events {
		s.events <- e
	}
	if !keep {
		done(nil)
	}
}

// Health implements channel.Sink.
func (s *session) Health(h channel.Health) {
	if h.Up {
		select {
		case s.up <- struct{}{}:
		default:
		}
	}
}

// open opens a connector against config; links are up when it returns, unless
// config points nowhere.
func (h *Harness) open(t *testing.T, twin *Twin, config json.RawMessage) *session {
	t.Helper()
	s := &session{t: t, h: h, twin: twin, events: make(chan message.Event, 1024), up: make(chan struct{}, 1), held: make(chan func(error), 1024)}
	env := channel.Env{
		ID: message.ConnectorID{1}, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if err := h.Type.Check(config); err != nil {
		t.Fatalf("the twin's configuration is refused: %v", err)
	}
	var err error
	if s.c, err = h.Type.Open(config, env); err != nil {
		t.Fatal(err)
	}
	s.stop = func() {}
	if l, ok := s.c.(channel.Linker); ok {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx, s) }()
		s.stop = sync.OnceFunc(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(patience):
				t.Error("Run does not end with its context")
			}
		})
		if twin != nil {
			select {
			case <-s.up:
			case <-time.After(patience):
				t.Fatal("the link does not come up")
			}
		}
	}
	t.Cleanup(func() {
		s.stop()
		if err := s.c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s.discreet()
	})
	return s
}

// start starts a twin and opens a connector to it.
func (h *Harness) start(t *testing.T) *session {
	t.Helper()
	twin := h.Start(t)
	return h.open(t, twin, twin.Config)
}

// message gives a message with private text; n tells messages apart.
func (h *Harness) message(n byte) *message.Outbound {
	id := message.MessageID{0: 1, 15: n + 1}
	return &message.Outbound{
		Message: id, To: h.To, From: h.From, Purpose: message.Service,
		Echo:    message.Echo{Message: id}.String(),
		Content: message.Content{Text: secretText},
	}
}

func (s *session) send(ctx context.Context, m *message.Outbound) (message.Accepted, error) {
	a, err := s.c.Send(ctx, m)
	if err != nil {
		s.mu.Lock()
		s.told = append(s.told, err.Error())
		s.mu.Unlock()
	}
	return a, err
}

// fault wants a typed fault.
func (s *session) fault(err error) *message.Fault {
	s.t.Helper()
	var f *message.Fault
	if !errors.As(err, &f) {
		s.t.Fatalf("not a *message.Fault: %v", err)
	}
	if f.Cause != nil {
		s.mu.Lock()
		s.told = append(s.told, f.Cause.Error())
		s.mu.Unlock()
	}
	return f
}

// order gives an order, or ends the test when the provider has no such thing.
func (s *session) order(o Order) bool {
	if s.twin.Order(o) {
		return true
	}
	s.t.Logf("the provider knows no %q", o)
	return false
}

// discreet looks for secrets and personal data in what was said.
func (s *session) discreet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.log.String() + "\n" + strings.Join(s.told, "\n")
	never := append([]string{secretText, strings.TrimPrefix(s.h.To.ID, "+")}, s.h.Secrets...)
	for _, n := range never {
		if n != "" && strings.Contains(said, n) {
			s.t.Errorf("a secret or personal value is in an error or a log line: %q", n)
		}
	}
}
