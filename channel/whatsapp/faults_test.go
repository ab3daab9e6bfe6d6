package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// Every code of Meta's error page must have a row (wire 2.13).
var knownCodes = []int{
	0, 190, 3, 10, 200, 250, 299, 131005, 1, 2, 4, 33, 100, 368, 80007, 130429, 130472, 130497, 131000, 131008, 131009, 131016,
	131021, 131026, 131030, 131031, 131037, 131042, 131045, 131047, 131048, 131049, 131050, 131051, 131052, 131053, 131055, 134100,
	131056, 131057, 131059, 131062, 131063, 131064, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069,
	133000, 133004, 133005, 133006, 133008, 133009, 133015, 133016, 133010, 134011, 134101, 134102, 135000, 139100, 139101, 139102, 139103, 139200,
}

func TestEveryKnownCodeHasARow(t *testing.T) {
	for _, code := range knownCodes {
		r, ok := faultOf(code)
		if !ok || r.kind == message.NoFault || r.title == "" {
			t.Errorf("%d: %+v, %v", code, r, ok)
		}
	}
	for _, sub := range []int{2388019, 2388024, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299, 2494100} {
		if f := faultFrom(graph.Error{Code: 100, Subcode: sub}, 400); f.Unmapped || f.Title == "invalid parameter" {
			t.Errorf("%d: %v", sub, f)
		}
	}
	if _, ok := faultOf(424242); ok {
		t.Error("a code nobody knows has a row")
	}
}

func TestCodesThatDecideMost(t *testing.T) {
	for code, want := range map[int]struct {
		kind  message.FaultKind
		scope message.Scope
	}{
		131047: {message.WindowClosed, message.ScopePair},
		131026: {message.Unreachable, message.ScopeRecipient},
		131049: {message.Capped, message.ScopeMarketing},
		131050: {message.OptedOut, message.ScopeMarketing},
		130429: {message.Throttled, message.ScopeSender},
		131056: {message.Throttled, message.ScopePair},
		80007:  {message.Throttled, message.ScopeConnector},
		190:    {message.Misconfigured, message.ScopeConnector},
		131048: {message.Misconfigured, message.ScopeSender},
		132001: {message.Refused, message.ScopeMessage},
		131016: {message.Transient, message.ScopeConnector},
	} {
		f := faultFrom(graph.Error{Code: code}, 0)
		if f.Kind != want.kind || f.Scope != want.scope || !f.Certain || f.Code != strconv.Itoa(code) {
			t.Errorf("%d: %v %v certain %v", code, f.Kind, f.Scope, f.Certain)
		}
	}
}

// An answer is an HTTP answer as a provider may give it.
func TestAnswerFaults(t *testing.T) {
	envelope := func(code int, title string) string {
		return `{"error":{"message":"(#` + strconv.Itoa(code) + `) ` + title + `","type":"OAuthException","code":` + strconv.Itoa(code) + `,"error_data":{"details":"to 33612345678"},"fbtrace_id":"Az8"}}`
	}
	for _, c := range []struct {
		name    string
		status  int
		retry   string
		body    string
		kind    message.FaultKind
		certain bool
		mapped  bool
		after   time.Duration
		title   string
	}{
		{"known", 400, "", envelope(131047, "Re-engagement message"), message.WindowClosed, true, true, 0, "customer service window closed"},
		{"known 5xx", 503, "", envelope(131016, "x"), message.Transient, true, true, 0, "service unavailable"},
		{"something 5xx", 500, "", envelope(131000, "x"), message.Transient, false, true, 0, "something went wrong"},
		{"something 4xx", 400, "", envelope(131000, "x"), message.Transient, true, true, 0, "something went wrong"},
		{"quoted code", 400, "", `{"error":{"code":"190","message":"x"}}`, message.Misconfigured, true, true, 0, "access token invalid or expired"},
		{"unknown 4xx", 400, "", envelope(999999, "New rule"), message.Refused, true, false, 0, "New rule"},
		{"unknown with a number", 400, "", envelope(999999, "No 33612345678 here"), message.Refused, true, false, 0, ""},
		{"unknown 401", 401, "", envelope(999999, "New"), message.Misconfigured, true, false, 0, "New"},
		{"unknown 5xx", 500, "", envelope(999999, "New"), message.Transient, false, false, 0, "New"},
		{"429", 429, "7", envelope(131056, "x"), message.Throttled, true, true, 7 * time.Second, "too many messages to this person"},
		{"429 bare", 429, "3", "", message.Throttled, true, false, 3 * time.Second, "Too Many Requests"},
		{"502 page", 502, "", "<html><title>502</title></html>", message.Transient, false, false, 0, "Bad Gateway"},
		{"404 page", 404, "", "<html>", message.Refused, true, false, 0, "Not Found"},
		{"401 page", 401, "", "", message.Misconfigured, true, false, 0, "Unauthorized"},
		{"redirect", 302, "", "", message.Transient, false, false, 0, "Found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.retry != "" {
					w.Header().Set("Retry-After", c.retry)
				}
				if c.status == 302 {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			_, err := sendTo(t, server.URL, t.Context())
			var f *message.Fault
			if !errors.As(err, &f) {
				t.Fatal(err)
			}
			if f.Kind != c.kind || f.Certain != c.certain || f.Unmapped == c.mapped || f.RetryAfter != c.after || f.Title != c.title {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func testConfig(base string) json.RawMessage {
	return json.RawMessage(`{"base_url":"` + base + `","phone_number_id":"1065","waba_id":"10","token":"tok","app_secret":"s","verify_token":"v"}`)
}

func sendTo(t *testing.T, base string, ctx context.Context) (message.Accepted, error) {
	t.Helper()
	w, err := Open(testConfig(base), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	return w.Send(ctx, &message.Outbound{To: phoneAddress, Content: message.Content{Text: "x"}})
}

// What the network does decides certainty: nothing may have left, or it may.
func TestBrokenConnections(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(net.Conn)
		tls     bool
		certain bool
	}{
		{"cut after the request", func(c net.Conn) { readRequest(c); _ = c.Close() }, false, false},
		{"cut in the answer", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"messages\"")
			_ = c.Close()
		}, false, false},
		{"nonsense", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n")
			_ = c.Close()
		}, false, false},
		{"no TLS", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); _ = c.Close() }, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					c.serve(conn)
				}
			}()
			scheme := "http://"
			if c.tls {
				scheme = "https://"
			}
			_, err = sendTo(t, scheme+l.Addr().String(), t.Context())
			_ = l.Close()
			<-served
			var f *message.Fault
			if !errors.As(err, &f) || f.Kind != message.Transient || f.Certain != c.certain {
				t.Errorf("got %+v", f)
			}
			if strings.Contains(err.Error(), "1065") || f.Cause != nil && strings.Contains(f.Cause.Error(), "1065") {
				t.Errorf("the address of the call is in the error: %v", err)
			}
		})
	}
}

// readRequest reads a request of a body with a known length.
func readRequest(c net.Conn) {
	b := make([]byte, 64<<10)
	total := 0
	for total < len(b) {
		n, err := c.Read(b[total:])
		total += n
		if err != nil || strings.HasSuffix(string(b[:total]), "}") {
			return
		}
	}
}

func TestWhereASendGoes(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type"))
		_, _ = io.WriteString(w, `{"messages":[{"id":"wamid.1"}]}`)
	}))
	defer server.Close()
	w, err := Open(json.RawMessage(`{"base_url":"`+server.URL+`/","version":"v25.0","phone_number_id":"1065","token":"tok","app_secret":"s","verify_token":"v","marketing_messages":true,"throughput":1000}`), channel.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if l := w.Limits(); l.PerSecond != 1000 {
		t.Errorf("limits %+v", l)
	}
	use := &message.TemplateUse{Name: "n", Language: "en"}
	for _, m := range []*message.Outbound{
		{To: phoneAddress, Content: message.Content{Text: "x"}},
		{To: phoneAddress, Content: message.Content{Text: "x"}, From: message.Sender{Address: "2077"}},
		{To: phoneAddress, Template: use, Purpose: message.Marketing},
		{To: phoneAddress, Template: use, Purpose: message.Utility},
	} {
		if _, err := w.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"/v25.0/1065/messages", "/v25.0/2077/messages", "/v25.0/1065/marketing_messages", "/v25.0/1065/messages"}
	for i := range want {
		if got[i] != want[i]+" Bearer tok application/json" {
			t.Errorf("got %s", got[i])
		}
	}
}

// What cannot be said on WhatsApp is refused for certain, before any call.
func TestUnsayable(t *testing.T) {
	for name, m := range map[string]message.Outbound{
		"nothing":        {To: phoneAddress},
		"no source":      {To: phoneAddress, Content: message.Content{Media: []message.Media{{Type: message.Image}}}},
		"two files":      {To: phoneAddress, Content: message.Content{Media: []message.Media{{Type: message.Image, URL: "https://a"}, {Type: message.Image, URL: "https://b"}}}},
		"no target":      {To: phoneAddress, Content: message.Content{Reaction: &message.Reaction{Emoji: "x"}}},
		"bad address":    {To: message.Address{Channel: message.Phone, ID: "33 6"}, Content: message.Content{Text: "x"}},
		"other channel":  {To: message.Address{Channel: "telegram", ID: "1"}, Content: message.Content{Text: "x"}},
		"call button":    {To: phoneAddress, Content: message.Content{Text: "x", Actions: []message.Action{{Type: message.Dial, Title: "x"}}}},
		"code to a bsid": {To: scopedAddress, Template: &message.TemplateUse{Name: "n", Language: "en", Category: message.Authentication}},
		"parameter":      {To: phoneAddress, Template: &message.TemplateUse{Name: "n", Language: "en", Order: []string{"1", "2"}, Parameters: map[string]string{"1": "x"}}},
		"nameless":       {To: phoneAddress, Template: &message.TemplateUse{Language: "en"}},
		"flow data":      {To: phoneAddress, Template: &message.TemplateUse{Name: "n", Language: "en", Buttons: []message.ButtonParameter{{Type: "flow", Payload: "{"}}}},
	} {
		_, err := encode(nil, &m)
		var f *message.Fault
		if !errors.As(err, &f) || !f.Certain || f.Kind != message.Refused && f.Kind != message.Unreachable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExpiredLinkIsAskedForAgain(t *testing.T) {
	asked, base := 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/77"):
			asked++
			_, _ = io.WriteString(w, `{"url":"`+base+`/file/`+strconv.Itoa(asked)+`","mime_type":"image/png","file_size":"3","sha256":"ab","id":"77"}`)
		case r.URL.Path == "/file/2" && r.Header.Get("Authorization") == "Bearer tok":
			_, _ = io.WriteString(w, "png")
		case strings.HasSuffix(r.URL.Path, "/78"):
			_, _ = io.WriteString(w, `{"url":"http://attacker.example/x"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	base = server.URL
	w, err := Open(testConfig(base), channel.Env{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.Fetch(t.Context(), "77")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	n, _ := f.Body.Read(b)
	_ = f.Body.Close()
	if asked != 2 || string(b[:n]) != "png" || f.Size != 3 {
		t.Errorf("asked %d times, got %q", asked, b[:n])
	}
	if _, err := w.Fetch(t.Context(), "78"); err == nil {
		t.Error("our token went to a host that is not the provider's")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
