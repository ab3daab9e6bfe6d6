package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/internal/safedial"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/webhook"
	"github.com/parley-messaging/parley/workspace"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const patience = 20 * time.Second

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// A log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

type rig struct {
	t      testing.TB
	store  *sqlite.Store
	reg    *workspace.Registry
	book   *contact.Book
	person *contact.Person
	ws     message.WorkspaceID
	clock  *clock
	ids    *id.Maker
	log    *journal
	told   []store.Event
	n      int
}

func start(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{now: noon}, ids: id.NewMaker(), log: new(journal)}
	var err error
	r.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "parley.db"), sqlite.Options{Now: time.Now, Migrate: true})
	check(t, err)
	t.Cleanup(func() { check(t, r.store.Close()) })
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	check(t, err)
	quiet := slog.New(slog.DiscardHandler)
	r.reg, err = workspace.Open(t.Context(), workspace.Options{Store: r.store, Keys: keys, Now: r.clock.Now, IDs: r.ids, Log: quiet})
	check(t, err)
	w, err := r.reg.Create(t.Context(), "one")
	check(t, err)
	r.ws = w.ID
	r.book = contact.New(contact.Options{Store: r.store, Workspaces: r.reg, Now: r.clock.Now, IDs: r.ids})
	r.person, err = r.book.Create(t.Context(), r.ws, contact.Profile{}, message.Address{Channel: message.Phone, ID: "+33612345678"})
	check(t, err)
	head, err := r.store.Head(t.Context())
	check(t, err)
	check(t, r.store.SaveCursor(t.Context(), "webhooks", head))
	return r
}

// dispatcher makes one that runs until the test ends.
func (r *rig) dispatcher(change ...func(*webhook.Options)) *webhook.Dispatcher {
	r.t.Helper()
	o := webhook.Options{
		Store: r.store, Workspaces: r.reg, People: r.book, Now: r.clock.Now, IDs: r.ids, Node: "node-1",
		Log:    slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Guard:  &safedial.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Random: func() float64 { return 0.5 },
		Append: func(ctx context.Context, events []store.Event) error {
			r.told = append(r.told, events...)
			return r.store.SetProfile(ctx, r.ws, r.person.ID, nil, events)
		},
	}
	for _, f := range change {
		f(&o)
	}
	d, err := webhook.New(o)
	check(r.t, err)
	check(r.t, d.Start(r.t.Context()))
	r.t.Cleanup(func() { check(r.t, stop(d)) })
	return d
}

func stop(d *webhook.Dispatcher) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return d.Stop(ctx)
}

// crash ends a dispatcher as a power cut would: requests are cut.
func crash(d *webhook.Dispatcher) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return d.Stop(ctx)
}

func (r *rig) endpoint(url string, change ...func(*store.Endpoint)) (*store.Endpoint, string) {
	r.t.Helper()
	secret := vault.NewWebhookSecret()
	e := &store.Endpoint{ID: message.EndpointID(r.ids.Next(noon)), Workspace: r.ws, URL: url, CreatedAt: noon}
	r.seal(e, webhook.Secret{Value: secret})
	for _, f := range change {
		f(e)
	}
	check(r.t, r.store.PutEndpoint(r.t.Context(), e))
	return e, secret
}

func (r *rig) seal(e *store.Endpoint, secrets ...webhook.Secret) {
	r.t.Helper()
	var err error
	e.Sealed, err = webhook.SealSecrets(r.t.Context(), r.reg, r.ws, e.ID, secrets)
	check(r.t, err)
}

// events logs one event for each message given, in order.
func (r *rig) events(kind string, messages ...message.MessageID) []store.Event {
	r.t.Helper()
	list := make([]store.Event, len(messages))
	for i, m := range messages {
		r.n++
		list[i] = store.Event{
			ID: message.EventID(r.ids.Next(r.clock.Now())), Workspace: r.ws, Type: kind, Message: m, Contact: r.person.ID,
			Version: int32(r.n), At: r.clock.Now(), Data: fmt.Appendf(nil, `{"state":"sent","channel":"sms","n":%d}`, r.n),
		}
		if kind == event.MessageReceived {
			var err error
			list[i].Sealed, err = r.person.SealEvent(list[i].ID, []byte(`{"text":"the secret garden","from":"+33612345678"}`))
			check(r.t, err)
		}
	}
	check(r.t, r.store.SetProfile(r.t.Context(), r.ws, r.person.ID, nil, list))
	return list
}

func (r *rig) message() message.MessageID { return r.ids.Message(r.clock.Now()) }

func (r *rig) messages(n int) []message.MessageID {
	out := make([]message.MessageID, n)
	for i := range out {
		out[i] = r.message()
	}
	return out
}

func (r *rig) rows(e *store.Endpoint, state string) []*store.WebhookDelivery {
	r.t.Helper()
	rows, err := r.store.DeliveryList(r.t.Context(), r.ws, e.ID, state, message.DeliveryID{}, 10_000)
	check(r.t, err)
	return rows
}

// until polls the store, kicking nobody, until it is as wanted.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	end := time.NewTimer(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer end.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			r.t.Fatalf("never came: %s\n%s", what, r.log)
		}
	}
}

// A call is one request a receiver got.
type call struct {
	header http.Header
	body   []byte
	answer chan<- int
}

func (c *call) id() string { return c.header.Get(webhook.HeaderID) }

func (c *call) event(t testing.TB) (e struct {
	ID   string
	Type string
	Data struct {
		Message string
		Version int
		Text    string
	}
},
) {
	t.Helper()
	check(t, json.Unmarshal(c.body, &e))
	return e
}

// A receiver is a customer's server; each call waits for its answer.
type receiver struct {
	t     testing.TB
	url   string
	calls chan *call
}

func (r *rig) receiver() *receiver {
	c := &receiver{t: r.t, calls: make(chan *call)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		answer := make(chan int, 1)
		select {
		case c.calls <- &call{q.Header, body, answer}:
		case <-q.Context().Done():
			return
		case <-r.t.Context().Done():
			return
		}
		select {
		case status := <-answer:
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "they wrote +33612345678")
		case <-q.Context().Done():
		case <-r.t.Context().Done():
		}
	}))
	c.url = s.URL
	r.t.Cleanup(s.Close)
	return c
}

// serve runs a customer's server of the test's own.
func (r *rig) serve(h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	r.t.Cleanup(s.Close)
	return s.URL
}

// next gives the next call.
func (c *receiver) next() *call {
	c.t.Helper()
	select {
	case got := <-c.calls:
		return got
	case <-time.After(patience):
		c.t.Fatal("no request came")
		return nil
	}
}

// take answers the next call with a status.
func (c *receiver) take(status int) *call {
	c.t.Helper()
	got := c.next()
	got.answer <- status
	return got
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
