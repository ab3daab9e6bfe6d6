package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/store"
)

// A Grade says how a finding of a check-up is to be taken.
type Grade string

// The grades.
const (
	Fine   Grade = "ok"
	Warned Grade = "warning" // works, but look at it
	Broken Grade = "problem" // does not work
)

// A Finding is one line of a check-up. It holds no secret and nothing personal.
type Finding struct {
	Area   string `json:"area"`
	Name   string `json:"name"`
	Grade  Grade  `json:"grade"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// A checkup gathers findings.
type checkup struct {
	a        *App
	offline  bool
	findings []Finding
}

func (k *checkup) ok(area, name, detail string) {
	k.findings = append(k.findings, Finding{area, name, Fine, detail, ""})
}

func (k *checkup) warn(area, name, detail, remedy string) {
	k.findings = append(k.findings, Finding{area, name, Warned, detail, remedy})
}

func (k *checkup) bad(area, name, detail, remedy string) {
	k.findings = append(k.findings, Finding{area, name, Broken, detail, remedy})
}

// ClockSkew is how far clocks may be apart: webhooks are signed and windows are
// judged by them.
const ClockSkew = 5 * time.Second

// Check looks at everything that is configured: the public address from
// outside, each workspace, and each provider through its connector, which is
// asked what it answers. offline leaves out what is outside. It changes nothing.
func (a *App) Check(ctx context.Context, offline bool) []Finding {
	k := &checkup{a: a, offline: offline}
	if _, embedded := strings.CutPrefix(a.Options.DatabaseURL, "sqlite:"); !embedded {
		k.databaseClock(ctx)
	}
	if err := a.Store.Ping(ctx); err != nil {
		k.bad("database", "write", err.Error(), "read the database's log: is it read-only, or its disk full?")
	}
	public := k.public(ctx)
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		k.bad("workspaces", "read", err.Error(), "read the server's log")
		return k.findings
	}
	if len(rooms) == 0 {
		k.warn("workspaces", "any", "there is none yet", "parley serve makes the first, with an API key")
	}
	for _, w := range rooms {
		cfg, err := a.Workspaces.Config(ctx, w.ID)
		if err != nil {
			k.bad("workspace "+w.Name, "configuration", err.Error(), "read the server's log")
			continue
		}
		endpoints, err := a.Store.Endpoints(ctx, w.ID)
		if err != nil {
			k.bad("workspace "+w.Name, "webhooks", err.Error(), "read the server's log")
		}
		k.inventory(w.Name, cfg, endpoints)
		for _, c := range cfg.Connectors {
			k.connector(ctx, c, public)
		}
	}
	return k.findings
}

func (k *checkup) databaseClock(ctx context.Context) {
	before := time.Now()
	there, err := k.a.Store.Now(ctx)
	if err != nil {
		k.bad("clock", "database", err.Error(), "read the database's log")
		return
	}
	k.skew("the database", there.Sub(before.Add(time.Since(before)/2)))
}

// skew judges how far a clock is ahead of ours.
func (k *checkup) skew(whose string, off time.Duration) {
	detail := fmt.Sprintf("ours and that of %s are %s apart", whose, off.Abs().Round(time.Millisecond))
	if off.Abs() > ClockSkew {
		k.bad("clock", whose, detail, "run a time service (chrony, systemd-timesyncd) on both")
		return
	}
	k.ok("clock", whose, detail)
}

// connector asks a provider through the connector itself: the one that runs
// here, else one that is opened for it.
func (k *checkup) connector(ctx context.Context, c *store.Connector, public bool) {
	area := "connector " + c.Name
	i := slices.IndexFunc(channels, func(t channel.Type) bool { return t.Kind == c.Kind })
	if i < 0 {
		k.bad(area, "kind", c.Kind+" is not known to this program", "use the version it was made with, or delete it")
		return
	}
	config, err := k.a.Workspaces.OpenConfig(ctx, c)
	if err != nil {
		k.bad(area, "configuration", "cannot be opened: "+err.Error(), "give its configuration again: PUT /v1/connectors/"+c.ID.String())
		return
	}
	if err := channels[i].Check(config); err != nil {
		k.bad(area, "configuration", err.Error(), "change it: PUT /v1/connectors/"+c.ID.String())
		return
	}
	k.ok(area, "configuration", "valid")
	if k.offline {
		return
	}
	one := k.a.Engine.Opened(c.ID)
	if one == nil {
		one, err = channels[i].Open(config, channel.Env{
			ID: c.ID, Now: time.Now, Log: slog.New(slog.DiscardHandler), Public: k.a.Options.Public,
			Dial: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		})
		if err != nil {
			k.bad(area, "open", err.Error(), "change its configuration: PUT /v1/connectors/"+c.ID.String())
			return
		}
		defer func() { _ = one.Close() }() // it carried nothing
	}
	if _, calledBack := one.(channel.Receiver); calledBack {
		k.callback(ctx, area, c, one, public)
	}
	k.providerClock(ctx, area, c.Kind, config)
	prober, ok := one.(channel.Prober)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, f := range prober.Probe(ctx) {
		switch {
		case f.OK:
			k.ok(area, f.Name, f.Detail)
		case f.Works:
			k.warn(area, f.Name, f.Detail, f.Remedy)
		default:
			k.bad(area, f.Name, f.Detail, f.Remedy)
		}
	}
}

// providerClock compares our clock with that of a provider over HTTP: its
// answers carry a Date of whole seconds.
func (k *checkup) providerClock(ctx context.Context, area, kind string, config []byte) {
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
		k.skew("the provider of "+area, time.Until(there.Add(500*time.Millisecond)))
	}
}
