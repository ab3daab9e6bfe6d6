package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
	parley "github.com/parley-messaging/parley/sdk/go"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// A front is what stands before a server: it hands on, or changes what passes.
type front struct {
	*httptest.Server
	to     atomic.Pointer[url.URL]
	change atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // true = answered
}

func newFront(t *testing.T) *front {
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := f.change.Load(); c != nil && (*c)(w, r) {
			return
		}
		httputil.NewSingleHostReverseProxy(f.to.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) lead(t *testing.T, to string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	f.to.Store(u)
}

// A patient is a demo behind a front, whose WhatsApp stands behind another.
type patient struct {
	*testing.T
	*app.Demo
	public, meta *front
}

func newPatient(t *testing.T) *patient {
	p := &patient{T: t, public: newFront(t), meta: newFront(t)}
	o := app.DemoOptions{Options: app.Options{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir(), Migrate: true, Public: p.public.URL}}
	d, err := app.StartDemo(t.Context(), o, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	p.Demo = d
	p.public.lead(t, d.App.URL())
	p.meta.lead(t, d.Sandbox.WhatsAppURL())
	return p
}

// change gives an account another configuration, and waits until it is open
// with it.
func (p *patient) change(kind string, more map[string]any) {
	p.Helper()
	cfg, err := p.App.Workspaces.Config(p.Context(), p.Workspace)
	if err != nil {
		p.Fatal(err)
	}
	host, port, err := net.SplitHostPort(p.Sandbox.SMPPAddr())
	if err != nil {
		p.Fatal(err)
	}
	config := map[string]any{
		"base_url": p.meta.URL, "phone_number_id": whatsapp.DefaultNumber, "waba_id": whatsapp.DefaultWABA,
		"token": whatsapp.DefaultToken, "app_secret": whatsapp.DefaultAppSecret, "verify_token": whatsapp.DefaultVerifyToken, "throughput": 1000,
	}
	if kind == "smpp" {
		config = map[string]any{"host": host, "port": json.Number(port), "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword, "reconnect_min_seconds": 0.05, "reconnect_max_seconds": 0.1}
	}
	for k, v := range more {
		config[k] = v
	}
	raw, err := json.Marshal(config)
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range cfg.Connectors {
		if c.Kind != kind {
			continue
		}
		before := p.App.Engine.Opened(c.ID)
		if _, err := p.App.Workspaces.PutConnector(p.Context(), p.Workspace, workspace.ConnectorInput{ID: c.ID, Kind: kind, Name: c.Name, Config: raw}); err != nil {
			p.Fatal(err)
		}
		p.eventually("the account is opened anew", func() bool {
			now := p.App.Engine.Opened(c.ID)
			return now != nil && now != before
		})
	}
}

func (p *patient) eventually(what string, so func() bool) {
	p.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(15 * time.Second)
	defer end.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end.C:
			p.Fatal("it never came: ", what)
		}
	}
}

// find gives the finding of a name; the admin address gives them as doctor
// gets them.
func (p *patient) find(name string) (found app.Finding) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.App.AdminURL()+"/check", nil)
	if err != nil {
		p.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	for _, secret := range []string{whatsapp.DefaultToken, whatsapp.DefaultAppSecret, whatsapp.DefaultVerifyToken, smsc.DefaultPassword, "wr0ng"} {
		if strings.Contains(string(raw), secret) {
			p.Errorf("a secret is shown: %s", raw)
		}
	}
	var out struct{ Findings []app.Finding }
	if err := json.Unmarshal(raw, &out); err != nil {
		p.Fatal(err)
	}
	for _, f := range out.Findings {
		if f.Grade != app.Fine && f.Remedy == "" {
			p.Errorf("nothing to do: %+v", f)
		}
		if f.Name == name && (found.Name == "" || f.Grade == app.Broken || f.Grade == app.Warned && found.Grade == app.Fine) {
			found = f
		}
	}
	return found
}

// want waits until a check gives a grade.
func (p *patient) want(name string, grade app.Grade, detail string) {
	p.Helper()
	var f app.Finding
	defer func() {
		if p.Failed() {
			p.Logf("%s: %+v", name, f)
		}
	}()
	p.eventually(name+" is "+string(grade)+" "+detail, func() bool {
		f = p.find(name)
		return f.Grade == grade && strings.Contains(f.Detail, detail)
	})
}

// TestCheck plays one failure for each thing that doctor checks of a running
// server, and what it says when all is well.
func TestCheck(t *testing.T) {
	p := newPatient(t)
	for _, name := range []string{"token", "number", "quality", "throughput", "bind", "callback address", "callbacks", "configuration", "health", "the provider of connector Sandbox WhatsApp"} {
		p.want(name, app.Fine, "")
	}
	p.want("https", app.Warned, "in the clear")

	p.change("whatsapp_cloud", nil)
	meta := func(st whatsapp.Standing) { p.Sandbox.WhatsApp.SetStanding(whatsapp.DefaultNumber, st) }
	meta(whatsapp.Standing{Quality: "RED", Throughput: "HIGH", Status: "CONNECTED"})
	p.want("quality", app.Warned, "RED")
	meta(whatsapp.Standing{Quality: "GREEN", Throughput: "STANDARD", Status: "CONNECTED"})
	p.want("throughput", app.Warned, "allows 80")
	meta(whatsapp.Standing{Quality: "GREEN", Throughput: "HIGH", Status: "FLAGGED"})
	p.want("number", app.Broken, "FLAGGED")
	meta(whatsapp.Standing{Quality: "GREEN", Throughput: "HIGH", Status: "CONNECTED"})
	p.want("number", app.Fine, "")
	p.Sandbox.WhatsApp.SetToken("another")
	p.want("token", app.Broken, "")
	p.Sandbox.WhatsApp.SetToken(whatsapp.DefaultToken)
	p.want("token", app.Fine, "")

	late := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusOK)
		return true
	}
	p.meta.change.Store(&late)
	p.want("the provider of connector Sandbox WhatsApp", app.Broken, "apart")
	p.meta.change.Store(nil)

	lost := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/callbacks/") {
			http.NotFound(w, r)
			return true
		}
		return false
	}
	p.public.change.Store(&lost)
	p.want("callback address", app.Broken, "404")
	other := func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, "It works!")
		return true
	}
	p.public.change.Store(&other)
	p.want("reachable", app.Broken, "not as a Parley")
	p.public.change.Store(nil)
	p.want("callback address", app.Fine, "answers the provider's challenge")

	p.change("smpp", map[string]any{"password": "wr0ng"})
	p.want("bind", app.Broken, "ESME_RINVPASWD")
	p.want("health", app.Broken, "misconfigured")
	p.change("smpp", map[string]any{"throughput": 1e6, "window": 1})
	p.want("throughput", app.Warned, "carry at most")
	p.change("smpp", nil)
	p.want("bind", app.Fine, "")
	p.Sandbox.SMSC.Close(t.Context())
	p.want("bind", app.Broken, "")
	p.public.Close()
	p.want("reachable", app.Broken, "refused")
}

// TestReadTemplates reads a provider's templates as an operator does who has
// just connected a number, with the SDK.
func TestReadTemplates(t *testing.T) {
	p := newPatient(t)
	cl := parley.New(p.App.URL(), p.Key, parley.WithRetries(0))
	list, err := cl.Connectors.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		n, err := cl.Connectors.SyncTemplates(t.Context(), c.ID)
		if c.Kind == "smpp" {
			if !parley.IsCode(err, "templates_not_supported") {
				t.Errorf("of an SMSC: %d, %v", n, err)
			}
			continue
		}
		if err != nil || n == 0 {
			t.Errorf("%d templates, %v", n, err)
		}
		p.Sandbox.WhatsApp.SetToken("another")
		if _, err := cl.Connectors.SyncTemplates(t.Context(), c.ID); !parley.IsCode(err, "provider_failed") || strings.Contains(err.Error(), whatsapp.DefaultToken) {
			t.Errorf("with an old token: %v", err)
		}
		p.Sandbox.WhatsApp.SetToken(whatsapp.DefaultToken)
	}
	if _, err := cl.Connectors.SyncTemplates(t.Context(), "cn_01jd8x0k3m5q7s9v1x3z5b7d9f"); !parley.IsCode(err, "not_found") {
		t.Errorf("of nobody: %v", err)
	}
	// A sender on WhatsApp without a template is told.
	cfg, err := p.App.Workspaces.Config(t.Context(), p.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	var account message.ConnectorID
	for _, c := range cfg.Connectors {
		if c.Kind == "whatsapp_cloud" {
			account = c.ID
		}
	}
	if _, err := p.App.Workspaces.PutSender(t.Context(), &store.Sender{Workspace: p.Workspace, Channel: message.WhatsApp, Address: "999", Connectors: []message.ConnectorID{account}}); err != nil {
		t.Fatal(err)
	}
	p.want("templates of whatsapp 999", app.Warned, "none is known")
}
