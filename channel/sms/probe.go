package sms

import (
	"context"
	"fmt"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// Probe tells how the links stand. While none is up it binds once, says
// goodbye, and tells what the SMSC answered.
func (c *Connector) Probe(ctx context.Context) []channel.Finding {
	return []channel.Finding{c.probeBind(ctx), c.probeSecrecy()}
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
	session, err := smpp.Dial(ctx, config)
	if err == nil {
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
		Name: "secrecy", Detail: "the links are not encrypted: password and texts travel in the clear",
		Remedy: "set tls if the SMSC offers it (port 3550), or use a tunnel",
	}
}
