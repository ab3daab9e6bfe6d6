package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// An operation is one call of the OpenAPI document.
type operation struct {
	method, path, id string
	parameters       []parameter
	body             bool
}

type parameter struct {
	Name     string
	In       string
	Required bool
}

// operations reads the document that the API serves.
func operations(t *testing.T) []operation {
	t.Helper()
	raw, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []parameter
			RequestBody json.RawMessage `json:"requestBody"`
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var out []operation
	for path, methods := range doc.Paths {
		for method, o := range methods {
			if o.OperationID == "" {
				t.Errorf("%s %s has no operationId", method, path)
			}
			out = append(out, operation{strings.ToUpper(method), path, o.OperationID, o.Parameters, len(o.RequestBody) > 0})
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return out
}

// A tenant is a workspace with one of everything.
type tenant struct {
	*rig.Client
	name                                                   string // in every text of theirs
	phone                                                  string
	workspace, contact, identity, message, connector       string
	sender, template, webhook, apiKey, event, spareContact string
	media                                                  string
}

// secrets are strings nobody else may ever see.
func (x *tenant) secrets() []string {
	return []string{x.name, x.phone, x.workspace, x.contact, x.identity, x.message, x.connector, x.sender, x.template, x.webhook, x.apiKey, x.event, x.spareContact, x.media}
}

// sparePhone is the number of their other person, whom both tenants know.
func (x *tenant) sparePhone() string { return x.phone[:len(x.phone)-1] + "9" }

func settle(t *testing.T, a *app.App, name, phone string) *tenant {
	t.Helper()
	ctx := t.Context()
	room, err := a.Workspaces.Create(ctx, name+" workspace")
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := a.Workspaces.CreateAPIKey(ctx, room.ID, name+" admin", []string{"admin"})
	if err != nil {
		t.Fatal(err)
	}
	x := &tenant{Client: &rig.Client{Base: a.URL(), Key: key, HTTP: &http.Client{Timeout: 20 * time.Second}}, name: name, phone: phone, workspace: room.ID.String()}
	var made struct {
		ID         string
		Identities []struct{ ID string }
	}
	create := func(method, path string, body any) string {
		t.Helper()
		x.Must(t, method, path, body, &made)
		return made.ID
	}
	x.connector = create("POST", "/v1/connectors", map[string]any{"kind": "smpp", "name": name + " account", "config": map[string]any{"host": "127.0.0.1", "port": 1, "system_id": name, "password": "secret"}})
	x.sender = create("POST", "/v1/senders", map[string]any{"channel": "sms", "address": name, "connectors": []string{x.connector}})
	x.template = create("PUT", "/v1/templates", map[string]any{"sender": x.sender, "name": "greeting", "language": "en", "category": "utility", "state": "approved", "body": name + " says hello"})
	x.contact = create("POST", "/v1/contacts", map[string]any{"name": name + " person", "identities": []any{map[string]any{"channel": "phone", "address": phone}}})
	x.identity = made.Identities[0].ID
	x.spareContact = create("POST", "/v1/contacts", map[string]any{"name": name + " other", "identities": []any{map[string]any{"channel": "phone", "address": x.sparePhone()}}})
	create("POST", "/v1/contacts/"+x.spareContact+"/suppressions", map[string]any{"scope": "channel:sms", "reason": name + " reason"})
	x.webhook = create("POST", "/v1/webhooks", map[string]any{"url": "https://" + strings.ToLower(name) + ".example/hook", "types": []string{"message.read"}})
	x.apiKey = create("POST", "/v1/api-keys", map[string]any{"name": name + " spare", "scopes": []string{"messages:read"}})
	x.message = create("POST", "/v1/messages", map[string]any{
		"to": phone, "purpose": "utility", "content": map[string]any{"text": name + " text"}, "route": []any{map[string]any{"channel": "sms"}},
		"send_at": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
	})
	x.Must(t, "POST", "/v1/media?filename="+name+".pdf&contact="+x.contact, []byte("%PDF-1.4 of "+name), &made, "Content-Type", "application/pdf")
	x.media = made.ID
	var log struct{ Data []struct{ ID string } }
	x.Must(t, "GET", "/v1/events?limit=1", nil, &log)
	x.event = log.Data[0].ID
	return x
}

// state is everything a tenant can read of their own.
func (x *tenant) state(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, path := range []string{
		"/v1/me", "/v1/connectors", "/v1/senders", "/v1/templates", "/v1/contacts", "/v1/contacts/" + x.contact, "/v1/contacts/" + x.spareContact,
		"/v1/contacts/" + x.contact + "/suppressions", "/v1/contacts/" + x.spareContact + "/suppressions", "/v1/conversations", "/v1/conversations/" + x.contact, "/v1/windows?contact=" + x.contact,
		"/v1/messages", "/v1/messages/" + x.message, "/v1/media/" + x.media, "/v1/settings", "/v1/usage?from=2026-11-01T00:00:00Z&to=2027-11-01T00:00:00Z", "/v1/webhooks", "/v1/webhooks/" + x.webhook + "/deliveries", "/v1/events?limit=200",
	} {
		var v any
		x.Must(t, "GET", path, nil, &v)
		out[path] = v
	}
	var keys struct{ Data []map[string]any }
	x.Must(t, "GET", "/v1/api-keys", nil, &keys)
	for _, k := range keys.Data {
		delete(k, "last_used_at") // reading this uses one
	}
	out["keys"] = keys.Data
	return out
}

func node(t *testing.T) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), app.Options{Listen: "127.0.0.1:0", AdminListen: "none", DataDir: t.TempDir(), Migrate: true}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTenantsNeverMeet makes every call of the document with a stranger's key
// and the owner's ids. No call succeeds on what is not the caller's, none shows
// anything of it, and afterwards everything is as it was.
func TestTenantsNeverMeet(t *testing.T) {
	a := node(t)
	theirs := settle(t, a, "Zanzibar", "+33698765430")
	mine := settle(t, a, "Quebec", "+33687654320")
	before := theirs.state(t)
	known := map[string]bool{}
	tried := 0
	for _, o := range operations(t) {
		known[o.id] = true
		recipe, ok := recipes[o.id]
		if !ok {
			t.Errorf("%s (%s %s) has no recipe here: say how a stranger would abuse it", o.id, o.method, o.path)
			continue
		}
		tries := recipe(mine, theirs)
		if len(tries) == 0 {
			t.Errorf("%s: the recipe tries nothing", o.id)
		}
		for i, try := range tries {
			t.Run(fmt.Sprintf("%s/%d", o.id, i), func(t *testing.T) { try.make(t, &o, mine, theirs) })
			tried++
		}
	}
	for id := range recipes {
		if !known[id] {
			t.Errorf("there is a recipe for %s, which is no operation", id)
		}
	}
	if diff := cmp.Diff(before, theirs.state(t)); diff != "" {
		t.Errorf("a stranger changed what is not theirs (-before +after):\n%s", diff)
	}
	t.Logf("%d calls of %d operations", tried, len(known))
}

// make makes the call and judges the answer.
func (y try) make(t *testing.T, o *operation, mine, theirs *tenant) {
	path := o.path
	for _, p := range o.parameters {
		if p.In == "path" {
			v, ok := y.path[p.Name]
			if !ok {
				t.Fatalf("the recipe gives no %s", p.Name)
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(v))
		}
	}
	if len(y.query) > 0 {
		path += "?" + y.query.Encode()
	}
	var body io.Reader
	sent := path
	if y.raw != "" {
		body = strings.NewReader(y.raw)
	} else if y.body != nil {
		raw, err := json.Marshal(y.body)
		if err != nil {
			t.Fatal(err)
		}
		sent += string(raw)
		body = strings.NewReader(string(raw))
	}
	// A stream never ends by itself: what comes at once is enough.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	if strings.HasSuffix(o.path, "/stream") {
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	}
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, o.method, mine.Base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+mine.Key)
	switch {
	case y.raw != "":
		req.Header.Set("Content-Type", "application/pdf")
	case body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	for _, secret := range theirs.secrets() {
		if strings.Contains(string(raw), secret) && !strings.Contains(sent, secret) {
			t.Errorf("%s %s shows a stranger's %q: %d %s", o.method, path, secret, res.StatusCode, raw)
		}
	}
	if y.judge == nil {
		y.judge = refused
	}
	if !y.judge(res.StatusCode, raw) {
		t.Errorf("%s %s with %v was answered %d: %s", o.method, path, y.body, res.StatusCode, raw)
	}
}
