package sms

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// Probe tells how the links stand. While none is up it binds once, says
// goodbye, and tells what the SMSC answered.
func (c *Connector) Probe(ctx context.Context) []channel.Finding {
	bind := c.probeBind(ctx)
	if !bind.OK {
		return []channel.Finding{bind, c.probeSecrecy()}
	}
	return []channel.Finding{bind, c.probeThroughput(), c.probeParts(), c.probeSecrecy()}
}

// probeThroughput tells whether the account can reach its configured pace.
func (c *Connector) probeThroughput() channel.Finding {
	f := channel.Finding{Name: "throughput", OK: true, Works: true, Detail: "no limit is configured; the pace follows the SMSC's answers"}
	if c.s.Throughput > 0 {
		f.Detail = fmt.Sprintf("%g parts a second", c.s.Throughput)
	}
	if pace := c.pace.slowedTo(); pace > 0 {
		f.OK, f.Detail = false, fmt.Sprintf("the SMSC says too fast: slowed to %.0f parts a second", pace)
		f.Remedy = "ask the SMSC's operator for the account's throughput and set it"
		return f
	}
	answer := time.Duration(c.answerTime.Load())
	most := float64(c.s.Binds*c.s.Window) / max(answer.Seconds(), 1e-6)
	if answer > 0 && most < c.s.Throughput {
		f.OK, f.Detail = false, fmt.Sprintf("answers take %s: %d links with a window of %d carry at most %.0f parts a second, not %g", answer.Round(time.Millisecond), c.s.Binds, c.s.Window, most, c.s.Throughput)
		f.Remedy = "raise window or binds as far as the account sheet allows"
	}
	return f
}

// probeParts tells of an SMSC that sends one message at a time.
func (c *Connector) probeParts() channel.Finding {
	f := channel.Finding{Name: "long texts in", OK: !c.gather.sluggish(), Works: true, Detail: "parts are answered as inbound_parts says: " + c.s.InboundParts}
	if !f.OK {
		f.Detail, f.Remedy = "the SMSC sends a part only after the one before is answered: long texts come late and in pieces", "set inbound_parts to answer"
	}
	return f
}

// timed notes how long an answer took, as a mean that follows slowly.
func (c *Connector) timed(took time.Duration) {
	if took <= 0 || took > c.s.response {
		return // the clock was moved in between, as demos do
	}
	before := c.answerTime.Load()
	if before == 0 {
		c.answerTime.Store(int64(took))
		return
	}
	// Another answer may come in between: it is a mean, not a count.
	c.answerTime.Store(before + (int64(took)-before)/16)
}

func (c *Connector) probeBind(ctx context.Context) channel.Finding {
	f := channel.Finding{Name: "bind"}
	c.health.Lock()
	up := c.up
	c.health.Unlock()
	if up > 0 {
		f.OK, f.Detail = true, fmt.Sprintf("%d links are up", up)
		return f
	}
	mode := smpp.BindTransceiver
	if c.s.Bind != "transceiver" {
		mode = smpp.BindTransmitter
	}
	config := c.client(mode, &bind{})
	config.Handler = nil // what arrives in this moment stays with the SMSC
	asked := c.now()
	session, err := smpp.Dial(ctx, config)
	if err == nil {
		c.timed(c.now().Sub(asked) / 2) // the connection, then the bind
		f.OK, f.Detail = true, "the SMSC takes a bind"
		leave, cancel := context.WithTimeout(ctx, leaveTime)
		defer cancel()
		_ = session.Close(leave)
		return f
	}
	fault := bindFault(err)
	f.Detail = fault.Title
	switch {
	case fault.Kind == message.Misconfigured && fault.Code == "tls":
		f.Remedy = "give the SMSC's CA in tls.ca, or the name of its certificate in tls.server_name"
	case fault.Kind == message.Misconfigured:
		f.Remedy = "check system_id, password and system_type against the account sheet, and that this machine's address is allowed"
	case fault.Code == "connect", fault.Code == "timeout":
		f.Remedy = "check host and port, the firewall, and whether the SMSC wants TLS"
	default:
		f.Remedy = "the account may allow fewer binds than are open; else try again later"
	}
	return f
}

func (c *Connector) probeSecrecy() channel.Finding {
	if c.s.tls != nil {
		return channel.Finding{Name: "secrecy", OK: true, Detail: "the links use TLS"}
	}
	return channel.Finding{
		Name: "secrecy", Works: true, Detail: "the links are not encrypted: password and texts travel in the clear",
		Remedy: "set tls if the SMSC offers it (port 3550), or use a tunnel",
	}
}
