package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An inventory is a workspace's configuration, from the database or from the
// API.
type inventory struct {
	name       string
	connectors []connectorInfo
	senders    []senderInfo
	templates  []templateInfo
	endpoints  []endpointInfo
}

type connectorInfo struct {
	ID     string     `json:"id"`
	Kind   string     `json:"kind"`
	Name   string     `json:"name"`
	Paused bool       `json:"paused"`
	Health healthInfo `json:"health"`
}

type healthInfo struct {
	State  string `json:"state"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

type senderInfo struct {
	ID         string   `json:"id"`
	Channel    string   `json:"channel"`
	Address    string   `json:"address"`
	Connectors []string `json:"connectors"`
}

type templateInfo struct {
	Name     string `json:"name"`
	Language string `json:"language"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
}

type endpointInfo struct {
	ID        string     `json:"id"`
	Disabled  string     `json:"disabled"`
	FailingAt *time.Time `json:"failing_since"`
}

// inventory tells what is incomplete or stands still.
func (k *checkup) inventory(in *inventory) {
	area := "workspace " + in.name
	there := map[string]bool{}
	for _, c := range in.connectors {
		there[c.ID] = true
		switch {
		case c.Health.State != "" && c.Health.State != "ok":
			k.bad("connector "+c.Name, "health", strings.TrimSpace(c.Health.State+" "+c.Health.Code+" "+c.Health.Reason), "mend its configuration, then POST /v1/connectors/"+c.ID+"/resume")
		case c.Paused:
			k.warn("connector "+c.Name, "paused", "by an operator; its queue is kept", "POST /v1/connectors/"+c.ID+"/resume")
		default:
			k.ok("connector "+c.Name, "health", or(c.Health.State, "ok"))
		}
	}
	if len(in.connectors) == 0 {
		k.warn(area, "connectors", "there is none: nothing can be sent", "POST /v1/connectors; GET /v1/channels shows an example of each kind")
	}
	if len(in.senders) == 0 {
		k.warn(area, "senders", "there is none: nothing can be sent", "POST /v1/senders")
	}
	for _, s := range in.senders {
		carried := 0
		for _, id := range s.Connectors {
			if there[id] {
				carried++
			}
		}
		name := "sender " + s.Channel + " " + s.Address
		switch {
		case carried == 0:
			k.bad(area, name, "no connector carries it", "PUT /v1/senders/"+s.ID+" with connectors")
		case carried < len(s.Connectors):
			k.warn(area, name, "names a connector that is gone", "PUT /v1/senders/"+s.ID+" without it")
		default:
			k.ok(area, name, plural(int64(carried), "connector"))
		}
	}
	approved := 0
	for _, t := range in.templates {
		if t.State == "approved" {
			approved++
			continue
		}
		k.warn(area, "template "+t.Name+"/"+t.Language, strings.TrimSpace("is "+t.State+" "+t.Reason), "only approved templates are sent: see the provider's review, and correct it")
	}
	if approved > 0 {
		k.ok(area, "templates", fmt.Sprintf("%d approved", approved))
	}
	for _, e := range in.endpoints {
		switch {
		case e.Disabled != "":
			k.warn(area, "webhook "+e.ID, "disabled: "+e.Disabled, "mend the receiver, then PUT /v1/webhooks/"+e.ID+" with disabled false, and POST …/replay")
		case e.FailingAt != nil:
			k.bad(area, "webhook "+e.ID, "every try fails since "+e.FailingAt.Local().Format(time.DateTime), "GET /v1/webhooks/"+e.ID+"/deliveries shows the answers")
		default:
			k.ok(area, "webhook "+e.ID, "")
		}
	}
}

// askServer looks through the API at what a server holds.
func (c *doctorCmd) askServer(ctx context.Context, k *checkup) {
	if c.APIKey == "" {
		k.warn("workspaces", "read", "only the running server can tell, and no API key was given", "set PARLEY_URL and PARLEY_API_KEY (of scope config:read and webhooks:read); connectors are probed only while the server is stopped")
		return
	}
	cl, err := (&serverFlags{URL: c.URL, APIKey: c.APIKey}).client()
	if err != nil {
		k.bad("server", "API", err.Error(), "")
		return
	}
	var me struct {
		Name string `json:"name"`
	}
	if err := cl.call(ctx, "GET", "/v1/me", nil, &me); err != nil {
		k.bad("server", "API", err.Error(), "")
		return
	}
	in := inventory{name: me.Name}
	for path, into := range map[string]any{
		"/v1/connectors": &in.connectors, "/v1/senders": &in.senders, "/v1/templates": &in.templates, "/v1/webhooks": &in.endpoints,
	} {
		page := struct {
			Data any `json:"data"`
		}{into}
		if err := cl.call(ctx, "GET", path, nil, &page); err != nil {
			k.bad("server", path, err.Error(), "")
		}
	}
	k.inventory(&in)
}

// public checks that our own public address leads to a Parley.
func (k *checkup) public(ctx context.Context) {
	if k.opts.Public == "" || k.offline {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cl := &client{base: strings.TrimSuffix(k.opts.Public, "/"), http: &http.Client{}}
	var state struct {
		Status string `json:"status"`
	}
	if err := cl.call(ctx, "GET", "/healthz", nil, &state); err != nil || state.Status != "ok" {
		detail := "answers, but not as a Parley"
		if err != nil {
			detail = err.Error()
		}
		k.bad("public address", "reachable", detail, "point "+k.opts.Public+" at this server (DNS, proxy, firewall); from outside it may look different than from here")
		return
	}
	if strings.HasPrefix(k.opts.Public, "http://") {
		k.warn("public address", "https", "callbacks would travel in the clear", "put a proxy with TLS before it; providers such as Meta want https")
		return
	}
	k.ok("public address", "reachable", k.opts.Public)
}

// providerClock compares our clock with that of a provider over HTTP: its
// answers carry a Date of whole seconds.
func (k *checkup) providerClock(ctx context.Context, kind string, config []byte) {
	if kind != "whatsapp_cloud" {
		return
	}
	at := struct {
		BaseURL string `json:"base_url"`
	}{"https://graph.facebook.com"}
	if json.Unmarshal(config, &at) != nil || at.BaseURL == "" {
		return // the connector's own check tells
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, at.BaseURL, nil)
	if err != nil {
		return // the same
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the probe tells that the provider is not reached
	}
	if err := res.Body.Close(); err != nil {
		return
	}
	if there, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		k.skew("the provider", time.Until(there.Add(500*time.Millisecond)))
	}
}
