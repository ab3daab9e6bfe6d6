package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// Probe checks the account as doctor shows it: the token, the number and its
// quality, and whether an app is subscribed to callbacks. It changes nothing.
func (w *Connector) Probe(ctx context.Context) []channel.Finding {
	findings := w.probeNumber(ctx)
	if w.config.WABAID == "" {
		return append(findings, channel.Finding{
			Name: "callbacks", Detail: "waba_id is not configured",
			Remedy: "set waba_id, so that templates and the callback subscription can be checked",
		})
	}
	return append(findings, w.probeSubscription(ctx))
}

// Greeting implements channel.Greeter (Graph API webhooks, "verification
// requests", November 2026).
func (w *Connector) Greeting(challenge string) url.Values {
	return url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {w.config.VerifyToken.Reveal()}, "hub.challenge": {challenge}}
}

// phone is what GET /{number} tells.
type phone struct {
	status, quality, throughput, platform string
}

func (w *Connector) probeNumber(ctx context.Context) []channel.Finding {
	const fields = "quality_rating,status,platform_type,throughput"
	reply, err := w.call(ctx, http.MethodGet, "/"+w.config.PhoneNumberID+"?fields="+fields, "", nil)
	if err != nil {
		return []channel.Finding{failed("token", err)}
	}
	var p phone
	d := graph.NewDecoder(reply.Body)
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "status":
				p.status = d.Text()
			case "quality_rating":
				p.quality = d.Text()
			case "platform_type":
				p.platform = d.Text()
			case "throughput":
				p.throughput = textField(&d, "level")
			}
		}
	}
	findings := []channel.Finding{{Name: "token", OK: true, Detail: "accepted"}}
	number := channel.Finding{
		Name: "number", OK: p.status == "" || p.status == "CONNECTED",
		Detail: strings.TrimSpace("status " + enum(p.status) + ", throughput " + enum(p.throughput)),
	}
	if !number.OK {
		number.Remedy = "open WhatsApp Manager > Phone numbers and see what the number is waiting for"
	}
	if p.platform != "" && p.platform != "CLOUD_API" {
		number.OK, number.Detail = false, "platform "+enum(p.platform)
		number.Remedy = "register the number for Cloud API (POST /{number}/register)"
	}
	quality := channel.Finding{Name: "quality", OK: p.quality != "RED" && p.quality != "YELLOW", Works: true, Detail: enum(p.quality)}
	if !quality.OK {
		quality.Remedy = "people block or report these messages: send less marketing until the rating recovers"
	}
	return append(findings, number, quality, w.probeThroughput(p.throughput))
}

// probeThroughput holds what is configured against the number's level:
// STANDARD is 80 messages a second, HIGH 1,000 (Cloud API overview, November
// 2026).
func (w *Connector) probeThroughput(level string) channel.Finding {
	allowed := map[string]float64{"STANDARD": 80, "HIGH": 1000}[level]
	wanted := w.config.Throughput
	if wanted == 0 {
		wanted = 80
	}
	f := channel.Finding{Name: "throughput", OK: allowed == 0 || wanted <= allowed, Works: true, Detail: fmt.Sprintf("%g messages a second, level %s", wanted, enum(level))}
	if !f.OK {
		f.Detail += fmt.Sprintf(" allows %g", allowed)
		f.Remedy = "set throughput to what the level allows: above it Meta refuses with 130429"
	} else if allowed > wanted {
		f.Detail += fmt.Sprintf(" allows %g", allowed)
	}
	return f
}

// enum keeps a constant of the provider's and nothing else.
func enum(s string) string {
	if enumerated(s) {
		return s
	}
	return "unknown"
}

func (w *Connector) probeSubscription(ctx context.Context) channel.Finding {
	reply, err := w.call(ctx, http.MethodGet, "/"+w.config.WABAID+"/subscribed_apps", "", nil)
	if err != nil {
		return failed("callbacks", err)
	}
	apps := 0
	d := graph.NewDecoder(reply.Body)
	if d.Object() {
		for d.Next() {
			if string(d.Key()) == "data" && d.Array() {
				for d.Item() {
					apps++
				}
			}
		}
	}
	if apps == 0 {
		return channel.Finding{
			Name: "callbacks", Detail: "no app is subscribed to this account",
			Remedy: "subscribe the app (POST /{waba}/subscribed_apps); without it no receipt and no answer arrives",
		}
	}
	return channel.Finding{Name: "callbacks", OK: true, Detail: "an app is subscribed"}
}

// failed turns a failed call into a finding with a remedy.
func failed(name string, err error) channel.Finding {
	f := channel.Finding{Name: name, Detail: "the call failed", Remedy: "try again; if it stays, look at the provider's status page"}
	var fault *message.Fault
	if !errors.As(err, &fault) {
		return f
	}
	f.Detail = fault.Error()
	switch {
	case fault.Kind == message.Misconfigured:
		f.Remedy = "create a new system user token with whatsapp_business_messaging and whatsapp_business_management for this account"
	case fault.Kind == message.Refused:
		f.Remedy = "check phone_number_id and waba_id: the token does not see them"
	case fault.Code == "connect" || fault.Code == "timeout":
		f.Remedy = "check base_url, DNS and the firewall: the provider was not reached"
	}
	return f
}
