package sms

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// settled is how long a link must have lived for the next reconnect to be
// quick: an SMSC that takes a bind and hangs up would be hammered else.
const settled = 10 * time.Second

// leaveTime is how long a link gets to end in good order.
const leaveTime = 5 * time.Second

// inboundWindow is how many deliver_sm of one link may wait to be stored.
const inboundWindow = 10_000

// A bind is one session of a link.
type bind struct {
	session *smpp.Session
	sends   bool
	retired atomic.Bool
	ended   atomic.Int64 // Unix nanoseconds; 0 = lives

	mu   sync.Mutex
	late map[uint32]string // sequence of a timed-out submit → our echo
}

// lateMax bounds how many timed-out submits of one session are remembered.
const lateMax = 4096

// Run opens the links and keeps them up until ctx ends. It hands what arrives
// to sink and answers the SMSC only after sink's done. It returns nil when ctx
// ended, or ErrRunning.
func (c *Connector) Run(ctx context.Context, sink channel.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.health.Lock()
	if c.stop != nil {
		c.health.Unlock()
		return ErrRunning
	}
	c.sink, c.stop, c.stopped = sink, cancel, make(chan struct{})
	c.told = channel.Health{}
	c.health.Unlock()
	c.gather.start(sink)

	var links sync.WaitGroup
	up, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	for i := range c.s.Binds {
		if c.s.Bind == "transceiver" {
			links.Go(func() { c.keep(up, i, smpp.BindTransceiver) })
			continue
		}
		links.Go(func() { c.keep(up, i, smpp.BindTransmitter) })
		links.Go(func() { c.keep(up, i, smpp.BindReceiver) })
	}
	// Held parts go back to the SMSC before the sessions say goodbye.
	<-ctx.Done()
	c.gather.stop()
	hangUp()
	links.Wait()

	c.health.Lock()
	defer c.health.Unlock()
	close(c.stopped)
	c.sink, c.stop = nil, nil
	return nil
}

// Ready reports whether at least one link can carry a message now.
func (c *Connector) Ready() bool {
	for i := range c.senders {
		if b := c.senders[i].Load(); b != nil && b.session.Err() == nil {
			return true
		}
	}
	return false
}

// keep holds one link up until ctx ends.
func (c *Connector) keep(ctx context.Context, slot int, mode smpp.Command) {
	wait := &backoff.ExponentialBackOff{
		InitialInterval: c.s.backoffMin, MaxInterval: c.s.backoffMax,
		Multiplier: 2, RandomizationFactor: 0.5,
	}
	wait.Reset()
	for ctx.Err() == nil {
		b := &bind{sends: mode != smpp.BindReceiver}
		fault, lived := c.serve(ctx, slot, mode, b)
		if ctx.Err() != nil {
			return
		}
		if lived >= settled {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		if fault.Kind == message.Misconfigured {
			// A person must act: asking often only gets the account locked.
			pause = max(pause, c.s.backoffMax/2)
		}
		c.log.Warn("link down", "connector", c.id, "link", slot, "fault", fault.Code, "retry_in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// serve opens one session and waits for its end.
func (c *Connector) serve(ctx context.Context, slot int, mode smpp.Command, b *bind) (*message.Fault, time.Duration) {
	asked := c.now()
	session, err := smpp.Dial(ctx, c.client(mode, b))
	if err != nil {
		fault := bindFault(err)
		if ctx.Err() == nil {
			c.changed(0, fault)
		}
		return fault, 0
	}
	b.session = session
	since := c.now()
	c.timed(since.Sub(asked) / 2) // the connection, then the bind
	if b.sends {
		c.senders[slot].Store(b)
	}
	c.changed(1, nil)
	select {
	case <-session.Done():
	case <-ctx.Done():
	}
	if b.sends {
		c.senders[slot].CompareAndSwap(b, nil)
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	_ = session.Close(leave)
	b.ended.CompareAndSwap(0, c.now().UnixNano())
	var fault *message.Fault
	if ctx.Err() == nil {
		fault = linkFault(session.Err())
	}
	c.changed(-1, fault)
	return fault, c.now().Sub(since)
}

func linkFault(cause error) *message.Fault {
	f := &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Code: "link", Title: "the link broke", Cause: cause}
	switch {
	case errors.Is(cause, smpp.ErrUnbound):
		f.Code, f.Title = "unbound", "the SMSC unbound"
	case errors.Is(cause, smpp.ErrLinkDead), errors.Is(cause, smpp.ErrStalled):
		f.Code, f.Title = "silent", "the SMSC stopped answering"
	}
	return f
}

// client is the session we want.
func (c *Connector) client(mode smpp.Command, b *bind) smpp.ClientConfig {
	return smpp.ClientConfig{
		Addr: c.s.addr, Dial: c.dial, TLS: c.s.tls, Mode: mode, BindTimeout: c.s.bindWait,
		Bind: smpp.Bind{SystemID: c.s.SystemID, Password: c.s.Password.Reveal(), SystemType: c.s.SystemType},
		SessionConfig: smpp.SessionConfig{
			Window: c.s.Window, InboundWindow: inboundWindow, ResponseTimeout: c.s.response, EnquireInterval: c.s.enquire,
			Handler: func(r *smpp.Request) { c.take(b, r) },
			Stray:   func(_ *smpp.Session, r smpp.Response) { c.stray(b, r) },
			Ended:   func(*smpp.Session, error) { b.ended.CompareAndSwap(0, c.now().UnixNano()) },
		},
	}
}

// retire takes a session that is in the wrong state out of use, without
// cutting off the answers it still owes.
func (c *Connector) retire(b *bind) {
	if b.retired.Swap(true) {
		return
	}
	for i := range c.senders {
		c.senders[i].CompareAndSwap(b, nil)
	}
	c.sending.Go(func() {
		leave, cancel := context.WithTimeout(context.Background(), leaveTime)
		defer cancel()
		_ = b.session.Close(leave)
	})
}

// changed counts the links and tells the sink when something is new.
func (c *Connector) changed(by int, fault *message.Fault) {
	c.health.Lock()
	defer c.health.Unlock()
	c.up += by
	h := channel.Health{Up: c.up > 0, Links: c.up}
	if !h.Up {
		h.Fault = fault
	}
	if fault != nil {
		h.Detail = fault.Title
	}
	same := h.Up == c.told.Up && h.Links == c.told.Links && h.Detail == c.told.Detail && (h.Fault == nil) == (c.told.Fault == nil)
	if same && by == 0 || c.sink == nil {
		return
	}
	c.told = h
	c.sink.Health(h)
}

// pick gives the link for a person: always the same one while it is up, so
// that what is said to one person keeps its order.
func (c *Connector) pick(to string) *bind {
	hash := uint32(2166136261)
	for i := range len(to) {
		hash = (hash ^ uint32(to[i])) * 16777619
	}
	n := uint32(len(c.senders))
	for i := range n {
		if b := c.senders[(hash%n+i)%n].Load(); b != nil && b.session.Err() == nil {
			return b
		}
	}
	return nil
}
