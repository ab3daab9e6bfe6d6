package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// fromOutside calls our own public address as the world would.
func fromOutside(ctx context.Context, address string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address: its query is no one's business
		}
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }() // it was read as far as it matters
	raw, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, strings.TrimSpace(string(raw)), err
}

// public checks that our own public address leads to a Parley.
func (k *checkup) public(ctx context.Context) bool {
	base := strings.TrimSuffix(k.a.Options.Public, "/")
	if base == "" || k.offline {
		return false
	}
	status, body, err := fromOutside(ctx, base+"/healthz")
	if err != nil || status != http.StatusOK || !strings.Contains(body, `"ok"`) {
		detail := fmt.Sprintf("answers %d, and not as a Parley", status)
		if err != nil {
			detail = err.Error()
		}
		k.bad("public address", "reachable", detail, "point "+base+" at this server (DNS, proxy, firewall), and start it; from outside it may look different than from here")
		return false
	}
	if strings.HasPrefix(base, "http://") {
		k.warn("public address", "https", "callbacks would travel in the clear", "put a proxy with TLS before it; providers such as Meta want https")
		return true
	}
	k.ok("public address", "reachable", base)
	return true
}

// callback asks the callback address from outside what the provider asks.
func (k *checkup) callback(ctx context.Context, area string, c *store.Connector, one channel.Connector, public bool) {
	path := "/callbacks/" + c.ID.String()
	if k.a.Options.Public == "" {
		k.warn(area, "callback address", "no public address is configured: the provider cannot tell of deliveries and replies", "set --public to the address providers reach, and register "+path+" under it")
		return
	}
	greeter, ok := one.(channel.Greeter)
	if !ok || !public {
		return // what is wrong with the address was told
	}
	challenge := rand.Text()
	address := strings.TrimSuffix(k.a.Options.Public, "/") + path
	status, body, err := fromOutside(ctx, address+"?"+greeter.Greeting(challenge).Encode())
	switch {
	case err != nil:
		k.bad(area, "callback address", err.Error(), "let "+address+" through to this server")
	case body != challenge:
		k.bad(area, "callback address", fmt.Sprintf("%s answers the provider's challenge with %d, not as this connector", address, status), "let /callbacks/ through to this server unchanged, with its query; is it the server with this database?")
	default:
		k.ok(area, "callback address", address+" answers the provider's challenge: register it")
	}
}

// inventory tells what is incomplete or stands still.
func (k *checkup) inventory(name string, cfg *workspace.Config, endpoints []*store.Endpoint) {
	area := "workspace " + name
	for _, c := range cfg.Connectors {
		state := string(c.Health.State)
		switch {
		case state != "" && state != "ok":
			k.bad("connector "+c.Name, "health", strings.TrimSpace(state+" "+c.Health.Code+" "+c.Health.Reason), "mend its configuration, then POST /v1/connectors/"+c.ID.String()+"/resume")
		case c.Paused:
			k.warn("connector "+c.Name, "paused", "by an operator; its queue is kept", "POST /v1/connectors/"+c.ID.String()+"/resume")
		default:
			k.ok("connector "+c.Name, "health", "ok")
		}
	}
	if len(cfg.Connectors) == 0 {
		k.warn(area, "connectors", "there is none: nothing can be sent", "POST /v1/connectors; GET /v1/channels shows an example of each kind")
	}
	if len(cfg.Senders) == 0 {
		k.warn(area, "senders", "there is none: nothing can be sent", "POST /v1/senders")
	}
	for _, s := range cfg.Senders {
		carried := 0
		for _, id := range s.Connectors {
			if cfg.Connector(id) != nil {
				carried++
			}
		}
		name := "sender " + string(s.Channel) + " " + s.Address
		switch {
		case carried == 0:
			k.bad(area, name, "no connector carries it", "PUT /v1/senders/"+s.ID.String()+" with connectors")
		case carried < len(s.Connectors):
			k.warn(area, name, "names a connector that is gone", "PUT /v1/senders/"+s.ID.String()+" without it")
		default:
			k.ok(area, name, fmt.Sprintf("carried by %d", carried))
		}
	}
	approved := 0
	for _, t := range cfg.Configuration.Templates {
		if t.State == "approved" {
			approved++
			continue
		}
		k.warn(area, "template "+t.Name+"/"+t.Language, strings.TrimSpace("is "+string(t.State)+" "+t.Reason), "only approved templates are sent: see the provider's review, and correct it")
	}
	for _, s := range cfg.Senders {
		i := slices.IndexFunc(channels, func(t channel.Type) bool { return t.Channel == s.Channel })
		if i < 0 || !channels[i].Window || len(s.Connectors) == 0 || slices.ContainsFunc(cfg.Configuration.Templates, func(t *store.Template) bool { return t.Sender == s.ID }) {
			continue
		}
		k.warn(area, "templates of "+string(s.Channel)+" "+s.Address, "none is known: nothing can be sent to who has not just written", "POST /v1/connectors/"+s.Connectors[0].String()+"/sync-templates reads the provider's")
	}
	if approved > 0 {
		k.ok(area, "templates", fmt.Sprintf("%d approved", approved))
	}
	for _, e := range endpoints {
		id := e.ID.String()
		switch {
		case e.Disabled != "":
			k.warn(area, "webhook "+id, "disabled: "+e.Disabled, "mend the receiver, then PUT /v1/webhooks/"+id+" with disabled false, and POST …/replay")
		case !e.FailingAt.IsZero():
			k.bad(area, "webhook "+id, "every try fails since "+e.FailingAt.UTC().Format(time.RFC3339), "GET /v1/webhooks/"+id+"/deliveries shows the answers")
		default:
			k.ok(area, "webhook "+id, "")
		}
	}
}
