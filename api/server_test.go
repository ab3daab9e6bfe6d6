package api

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	sdk "github.com/parley-messaging/parley/sdk/go"
)

// Law 10: with another tenant's key every id of ours is unknown, on every path
// that takes one.
func TestTenantsNeverMeet(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	who, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Identities: []sdk.NewIdentity{{Channel: "messenger", Address: "1"}}})
	r.check(err)
	cn, err := c.Connectors.Create(ctx, &sdk.NewConnector{Kind: "smpp", Name: "x", Config: json.RawMessage(`{}`)})
	r.check(err)
	sd, err := c.Senders.Create(ctx, &sdk.SenderRequest{Channel: sdk.SMS, Address: "1", Connectors: []string{cn.ID}})
	r.check(err)
	tp, err := c.Templates.Put(ctx, &sdk.TemplateRequest{Sender: sd.ID, Name: "a", Language: "fr", Category: sdk.Utility, State: "approved"})
	r.check(err)
	we, err := c.Webhooks.Create(ctx, &sdk.EndpointRequest{URL: "https://example.com"})
	r.check(err)
	key, err := c.Workspace.CreateKey(ctx, &sdk.APIKeyRequest{Name: "x", Scopes: []string{"messages:read"}})
	r.check(err)
	var id message.ContactID
	r.check(id.UnmarshalText([]byte(who.ID)))
	m := r.view(id, "secret of one")
	r.engine.views = []*engine.View{m}

	file, err := c.Files.Upload(ctx, strings.NewReader("secret of one"), sdk.Upload{})
	r.check(err)

	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	r.check(json.Unmarshal(r.server.Spec(), &doc))
	bodies := map[string]string{
		"PUT /v1/contacts/{id}": `{"name":"x"}`, "POST /v1/contacts/{id}/identities": `{"channel":"x","address":"y"}`, "POST /v1/contacts/{id}/suppressions": `{"scope":"all"}`,
		"PUT /v1/senders/{id}": `{"channel":"sms","address":"2"}`, "PUT /v1/connectors/{id}": `{"name":"x"}`, "PUT /v1/webhooks/{id}": `{"url":"https://example.com"}`,
		"POST /v1/webhooks/{id}/rotate": `{}`, "POST /v1/webhooks/{id}/replay": `{"from":"2026-01-01T00:00:00Z"}`,
	}
	ids := map[string]string{
		"messages": m.Message.ID.String(), "contacts": who.ID, "conversations": who.ID, "connectors": cn.ID, "senders": sd.ID, "templates": tp.ID, "webhooks": we.ID, "api-keys": key.ID, "media": file.ID,
	}
	r.key = r.foreignKey
	tried := 0
	for path, item := range doc.Paths {
		if !strings.Contains(path, "{") {
			continue
		}
		resource := strings.Split(path, "/")[2]
		real := strings.NewReplacer("{id}", ids[resource], "{contact}", ids[resource], "{identity}", who.Identities[0].ID, "{scope}", "all").Replace(path)
		for method := range item {
			method = strings.ToUpper(method)
			if method == "POST" && (strings.HasSuffix(path, "/pause") || strings.HasSuffix(path, "/resume") || strings.HasSuffix(path, "/sync-templates")) {
				continue // the faked engine's to refuse
			}
			tried++
			w := r.call(method, real, bodies[method+" "+path])
			if w.Code != 404 || strings.Contains(w.Body.String(), "secret of one") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d paths tried", tried)
	}
	for _, path := range []string{"/v1/messages", "/v1/contacts", "/v1/conversations", "/v1/senders", "/v1/connectors", "/v1/templates", "/v1/webhooks", "/v1/events"} {
		var list struct{ Data []json.RawMessage }
		if w := r.call("GET", path, ""); json.Unmarshal(w.Body.Bytes(), &list) != nil || w.Code != 200 || len(list.Data) != 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := r.call("GET", "/v1/windows?contact="+who.ID, ""); w.Code != 404 {
		t.Errorf("windows: %d %s", w.Code, w.Body)
	}
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Rate = Rate{PerSecond: 2, Burst: 3} })
	for left := 2; left >= 0; left-- {
		w := r.call("GET", "/v1/me", "")
		if w.Code != 200 || w.Header().Get("RateLimit-Policy") != `"workspace";q=3;w=2` || !strings.HasPrefix(w.Header().Get("RateLimit"), `"workspace";r=`+string(rune('0'+left))+`;t=`) {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
	w := r.call("GET", "/v1/me", "")
	judge(t, r, w, 429, codeLimited, "")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", w.Header())
	}
	// Another workspace has a bucket of its own; a batch counts its items.
	r.key = r.foreignKey
	if w := r.call("POST", "/v1/messages/batch", `{"purpose":"utility","content":{"text":"x"},"messages":[{"to":"+331"},{"to":"+332"},{"to":"+333"}]}`); w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.call("GET", "/v1/me", ""); w.Code != 429 {
		t.Errorf("%d", w.Code)
	}
}

func TestRequestID(t *testing.T) {
	r := newRig(t, nil)
	if got := r.call("GET", "/v1/me", "", headerRequest, "trace-1234").Header().Get(headerRequest); got != "trace-1234" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"short", strings.Repeat("a", 65), "with space 123", "<script>alert"} {
		if got := r.call("GET", "/v1/me", "", headerRequest, bad).Header().Get(headerRequest); got == bad || len(got) < 20 {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}

// What the app mounts stands beside the API.
func TestMount(t *testing.T) {
	r := newRig(t, nil)
	r.server.Handle("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	if w := r.call("GET", "/healthz", "", "Authorization", ""); w.Body.String() != "ok" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A body whose length is not told is bounded too, and nothing of it comes
// through.
func TestBodyWithoutLength(t *testing.T) {
	r := newRig(t, nil)
	for path, most := range map[string]int{"/v1/messages": maxBody, "/v1/messages/preview": maxBody, "/v1/messages/batch": maxBatchBody, "/v1/contacts": maxBody} {
		body := io.MultiReader(strings.NewReader(with(`"metadata":{}`)), strings.NewReader(strings.Repeat(" ", most)))
		q := httptest.NewRequest("POST", path, body)
		q.ContentLength = -1
		q.Header.Set("Authorization", "Bearer "+r.key)
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.server.ServeHTTP(w, q)
		judge(t, r, w, 413, codeTooLarge, "")
	}
	if len(r.engine.requests) != 0 {
		t.Errorf("%d came through", len(r.engine.requests))
	}
}

// A client that dribbles its body is cut off as well.
func TestSlowBody(t *testing.T) {
	r := newRig(t, nil)
	s := NewServer("127.0.0.1:0", r.server, slog.New(slog.DiscardHandler))
	s.ReadTimeout = 100 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.check(err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	r.check(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+r.key+"\r\nContent-Length: 100\r\n\r\n{")
	r.check(err)
	r.check(conn.SetReadDeadline(time.Now().Add(5 * time.Second)))
	if answer, err := io.ReadAll(conn); err != nil || strings.Contains(string(answer), " 202 ") || strings.Contains(string(answer), " 500 ") {
		t.Errorf("%s: %v", answer, err)
	}
	if strings.Contains(r.logged.String(), "request failed") {
		t.Errorf("a slow client is told of as our fault: %s", r.logged)
	}
	r.check(s.Close())
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// A client that dribbles its headers is cut off.
func TestSlowHeaders(t *testing.T) {
	r := newRig(t, nil)
	s := NewServer("127.0.0.1:0", r.server, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout != 5*time.Second || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("%+v", s)
	}
	s.ReadHeaderTimeout = 20 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.check(err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	r.check(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Slow:")
	r.check(err)
	r.check(conn.SetReadDeadline(time.Now().Add(5 * time.Second)))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
	r.check(s.Close())
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
