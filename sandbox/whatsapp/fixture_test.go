package whatsapp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

const number = "106540352242922"

// fixture is a server on a real socket and a callback that collects what it
// is told.
type fixture struct {
	t       testing.TB
	clock   *clock.Clock
	fleet   *handset.Fleet
	faults  *fault.Book
	journal *journal.Journal
	server  *whatsapp.Server
	http    *httptest.Server
	client  *http.Client
	hook    *hook
}

// hook is the callback of a test.
type hook struct {
	*httptest.Server
	changes chan change

	mu     sync.Mutex
	came   *sync.Cond // a post came
	bodies [][]byte
	refuse int // answers 500 to so many posts
	hold   chan struct{}
}

// change is one entry[].changes[] with its post.
type change struct {
	field string
	value map[string]any
}

func newHook(t testing.TB) *hook {
	h := &hook{changes: make(chan change, 100_000)}
	h.came = sync.NewCond(&h.mu)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if r.URL.Query().Get("hub.verify_token") != "sandbox-verify" || r.URL.Query().Get("hub.mode") != "subscribe" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.bodies = append(h.bodies, append([]byte(r.Header.Get("X-Hub-Signature-256")+"\n"), body...))
		h.came.Broadcast()
		refused := h.refuse > 0
		if refused {
			h.refuse--
		}
		hold := h.hold
		h.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if refused {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if _, bench := t.(*testing.B); bench {
			return
		}
		var envelope struct {
			Entry []struct {
				Changes []struct {
					Field string
					Value map[string]any
				}
			}
		}
		if err := json.Unmarshal(body, &envelope); err != nil {
			t.Error(err)
		}
		for _, e := range envelope.Entry {
			for _, c := range e.Changes {
				h.changes <- change{c.Field, c.Value}
			}
		}
	}))
	return h
}

func newFixture(t testing.TB, o whatsapp.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, faults: &fault.Book{}, journal: journal.New(1000, nil), hook: newHook(t), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16},
	}}
	start := time.Now()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.clock = clock.New(func() time.Time { return begin.Add(time.Since(start)) })
	f.fleet = handset.New(f.clock, handset.Options{})
	if o.Webhooks.Lanes == 0 {
		o.Webhooks.Lanes = 2
	}
	var err error
	f.server, err = whatsapp.New(o, whatsapp.Parts{
		Clock: f.clock, Fleet: f.fleet, Faults: f.faults, Journal: f.journal,
		Log: slog.New(slog.DiscardHandler), Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.http = httptest.NewServer(f.server)
	t.Cleanup(func() {
		f.server.Close()
		f.client.CloseIdleConnections()
		f.http.Close()
		f.hook.Close()
		f.clock.Stop()
	})
	if err := f.server.SetCallback(context.Background(), f.hook.URL, ""); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) url(path string) string { return f.http.URL + path }

// do makes one call and returns status and body; status 0 means that the
// connection ended without an answer.
func (f *fixture) do(ctx context.Context, method, path, contentType, body string) (int, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, f.url(path), strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sandbox-token")
	r.Header.Set("Content-Type", contentType)
	answer, err := f.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(b)
}

func (f *fixture) call(method, path, body string) (int, string) {
	f.t.Helper()
	return f.do(context.Background(), method, path, "application/json", body)
}

func (f *fixture) send(body string) (int, string) {
	f.t.Helper()
	return f.call(http.MethodPost, "/v24.0/"+number+"/messages", body)
}

func templateTo(to string) string {
	return fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}},"biz_opaque_callback_data":"ref-%s"}`, to, to)
}

func textTo(to, text string) string {
	return fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"text","text":{"body":%q}}`, to, text)
}

// next returns the next change the callback was told.
func (f *fixture) next() change {
	f.t.Helper()
	select {
	case c := <-f.hook.changes:
		return c
	case <-time.After(5 * time.Second):
		f.t.Fatal("no webhook within 5 s")
		return change{}
	}
}

// statuses returns the next n statuses as "status" or "failed CODE".
func (f *fixture) statuses(n int) []string {
	f.t.Helper()
	var got []string
	for len(got) < n {
		for _, s := range list(f.next().value["statuses"]) {
			word := s["status"].(string)
			if errs := list(s["errors"]); len(errs) > 0 {
				word += fmt.Sprintf(" %.0f", errs[0]["code"])
			}
			got = append(got, word)
		}
	}
	return got
}

func list(v any) []map[string]any {
	var all []map[string]any
	items, _ := v.([]any)
	for _, it := range items {
		m, _ := it.(map[string]any)
		all = append(all, m)
	}
	return all
}

// quiet fails the test if a webhook waits or came.
func (f *fixture) quiet() {
	f.t.Helper()
	if n := f.server.Stats().Waiting; n != 0 {
		f.t.Errorf("%d webhooks wait", n)
	}
	select {
	case c := <-f.hook.changes:
		f.t.Errorf("unexpected webhook %v", c)
	default:
	}
}

// schema returns one definition of the repaired Graph schema.
func schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile("testdata/repaired_v23.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("graph.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("graph.json#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t testing.TB, s *jsonschema.Schema, doc []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%v\n%s", err, doc)
	}
}
