// Package sms carries text messages over SMPP: it keeps the account's links to
// an SMSC up, splits a text into parts, submits them, and turns deliver_sm into
// receipts and inbound messages.
//
// It is not the protocol (package smpp), not the alphabet (package smpp/gsm),
// and not the engine: it makes one attempt at a time and keeps no queue. The
// only things it holds are parts of inbound texts that wait for the others, and
// those are not answered until the whole is stored (see gather.go).
//
// Start with [Type], then link.go (links), send.go (one attempt), encode.go
// (ours to theirs), decode.go (theirs to ours) and faults.go (their codes to
// ours).
package sms

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// Type is SMS over SMPP as data and constructors.
var Type = channel.Type{
	Channel:   message.SMS,
	Kind:      "smpp",
	Title:     "SMS (SMPP 3.4)",
	Addressed: []message.Channel{message.Phone},
	Caps:      capabilities,
	Receipts: channel.Receipts{
		Delivered: true, Failed: true,
		// SMSCs keep trying for two or three days unless told otherwise.
		Horizon: 72 * time.Hour,
	},
	Limits:  channel.Limits{Concurrent: 512},
	Example: json.RawMessage(example),
	Check: func(config json.RawMessage) error {
		_, err := parse(config)
		return err
	},
	CheckSender: checkSender,
	Open: func(config json.RawMessage, env channel.Env) (channel.Connector, error) {
		return Open(config, env)
	},
	Render: Render,
}

// Receipts implements channel.Receipter: what the account's setting asks for.
func (c *Connector) Receipts() channel.Receipts {
	r := Type.Receipts
	switch c.s.Receipts {
	case "none":
		r.Delivered, r.Failed = false, false
	case "failure":
		r.Delivered = false
	}
	return r
}

// Reasons for which a connector does not work, as causes of faults.
var (
	ErrClosed  = errors.New("the connector is closed")
	ErrRunning = errors.New("the connector is already running")
)

// capabilities are read only.
var capabilities = Capabilities()

// A Connector sends through one SMPP account. It is safe for concurrent use.
// It can send only while [Connector.Run] runs.
type Connector struct {
	s          *settings
	id         message.ConnectorID
	log        *slog.Logger
	now        func() time.Time
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
	pace       *governor
	options    gsm.Options
	ref        atomic.Uint32 // of the last long text
	hexIDs     atomic.Uint32 // answers whose id can only be hex
	allIDs     atomic.Uint32 // answers with an id
	answerTime atomic.Int64  // mean of answers to submits, in nanoseconds; 0 = none yet
	gather     *gatherer
	unsure     unsure
	twins      *twins
	senders    []atomic.Pointer[bind] // links that can submit; nil while down

	mu      sync.RWMutex
	closed  bool
	sending sync.WaitGroup

	health  sync.Mutex // guards what follows, and the order of Health calls
	sink    channel.Sink
	stop    context.CancelFunc
	stopped chan struct{}
	up      int
	told    channel.Health
}

// Open makes a connector; it does not touch the network.
func Open(config json.RawMessage, env channel.Env) (*Connector, error) {
	s, err := parse(config)
	if err != nil {
		return nil, err
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Connector{
		s: s, id: env.ID, log: log, now: env.Now, dial: env.Dial,
		senders: make([]atomic.Pointer[bind], s.Binds), options: s.split(),
	}
	c.pace = newGovernor(s.Throughput)
	// Two runs must not give neighbouring texts the same reference.
	c.ref.Store(rand.Uint32())
	c.twins = newTwins(env.Now)
	c.gather = newGatherer(c)
	return c, nil
}

// enter counts a running send; false once the connector is closed.
func (c *Connector) enter() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return false
	}
	c.sending.Add(1)
	return true
}

// Close waits for running sends, then ends Run if it still runs.
func (c *Connector) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.sending.Wait()
	c.health.Lock()
	stop, stopped := c.stop, c.stopped
	c.health.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
	return nil
}

// Limits gives what the account may do, as configured. The connector keeps to
// the throughput itself too, because it counts parts, not messages.
func (c *Connector) Limits() channel.Limits {
	l := Type.Limits
	l.Concurrent = c.s.Binds * c.s.Window
	if c.s.Throughput > 0 {
		l.PerSecond = c.s.Throughput
		l.Burst = max(1, int(c.s.Throughput/10))
	}
	return l
}

func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

var (
	_ channel.Linker    = (*Connector)(nil)
	_ channel.Limiter   = (*Connector)(nil)
	_ channel.Receipter = (*Connector)(nil)
	_ channel.Prober    = (*Connector)(nil)
	_ channel.Previewer = (*Connector)(nil)
)
