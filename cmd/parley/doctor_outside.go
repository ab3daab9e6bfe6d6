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
	ID     string
	Kind   string
	Name   string
	Paused bool
	Health healthInfo
}

type healthInfo struct {
	State  string
	Code   string
	Reason string
}

type senderInfo struct {
	ID         string
	Channel    string
	Address    string
	Connectors []string
}

type templateInfo struct {
	Name     string
	Language string
	State    string
	Reason   string
}

type endpointInfo struct {
	ID        string
	Disabled  string
	FailingAt *time.Time
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
	me, err := cl.Workspace.Me(ctx)
	if err != nil {
		k.bad("server", "API", said(err), "give the URL and a key of the server that holds this database")
		return
	}
	in := inventory{name: me.Name}
	ask := func(what string, err error) bool {
		if err != nil {
			k.bad("server", what, said(err), "")
		}
		return err == nil
	}
	if list, err := cl.Connectors.List(ctx); ask("connectors", err) {
		for _, c := range list {
			in.connectors = append(in.connectors, connectorInfo{c.ID, c.Kind, c.Name, c.Paused, healthInfo{c.Health.State, c.Health.Code, c.Health.Reason}})
		}
	}
	if list, err := cl.Senders.List(ctx); ask("senders", err) {
		for _, s := range list {
			in.senders = append(in.senders, senderInfo{s.ID, string(s.Channel), s.Address, s.Connectors})
		}
	}
	if list, err := cl.Templates.List(ctx, ""); ask("templates", err) {
		for _, t := range list {
			in.templates = append(in.templates, templateInfo{t.Name, t.Language, t.State, t.Reason})
		}
	}
	if list, err := cl.Webhooks.List(ctx); ask("webhooks", err) {
		for _, e := range list {
			in.endpoints = append(in.endpoints, endpointInfo{e.ID, e.Disabled, e.FailingAt})
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
	cl := innerOf(k.opts.Public)
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
