package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/privacy"
	"github.com/parley-messaging/parley/rules"
	sdk "github.com/parley-messaging/parley/sdk/go"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fakeEngine stands at the border to the engine: it notes what it was asked
// and answers what the test says.
type fakeEngine struct {
	mu       sync.Mutex
	requests []*engine.Request
	idem     []engine.Idempotency
	err      error
	answer   engine.Answer
	views    []*engine.View
	filter   []store.Filter
	paused   map[message.ConnectorID]bool
	read     map[message.MessageID]bool // and whether with typing
}

func (f *fakeEngine) MarkRead(ctx context.Context, ws message.WorkspaceID, id message.MessageID, typing bool) error {
	v, err := f.View(ctx, ws, id)
	switch {
	case err != nil:
		return err
	case v.Message.Direction == store.MT:
		return &engine.Refusal{Code: engine.CodeInvalid, Field: "id", Detail: "this message was sent by you"}
	case f.err != nil:
		return f.err
	}
	if f.read == nil {
		f.read = map[message.MessageID]bool{}
	}
	f.read[id] = typing
	return nil
}

func (f *fakeEngine) Accept(_ context.Context, _ message.WorkspaceID, r *engine.Request, idem engine.Idempotency) (*engine.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	f.requests, f.idem = append(f.requests, r), append(f.idem, idem)
	a := f.answer
	return &a, nil
}

func (f *fakeEngine) AcceptBatch(ctx context.Context, ws message.WorkspaceID, rs []*engine.Request, idem engine.Idempotency) ([]engine.BatchResult, error) {
	out := make([]engine.BatchResult, len(rs))
	for i, r := range rs {
		if r.To.Phone == "refused" {
			out[i].Err = &engine.Refusal{Code: engine.CodeBadNumber, Field: "to", Detail: "is too short"}
			continue
		}
		a, err := f.Accept(ctx, ws, r, idem)
		if err != nil {
			return nil, err
		}
		out[i].Answer = a
	}
	return out, nil
}

func (f *fakeEngine) Preview(ctx context.Context, ws message.WorkspaceID, r *engine.Request) (*engine.Preview, error) {
	a, err := f.Accept(ctx, ws, r, engine.Idempotency{})
	if err != nil {
		return nil, err
	}
	return &engine.Preview{Answer: *a, WorstCase: message.Money{Micros: 150_000, Currency: "EUR"}}, nil
}

func (f *fakeEngine) View(_ context.Context, ws message.WorkspaceID, id message.MessageID) (*engine.View, error) {
	for _, v := range f.views {
		if v.Message.ID == id && v.Message.Workspace == ws {
			return v, nil
		}
	}
	return nil, store.ErrNotFound
}

func (f *fakeEngine) Cancel(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (*engine.View, error) {
	v, err := f.View(ctx, ws, id)
	if err != nil {
		return nil, err
	}
	if v.Delivery.State != message.Scheduled {
		return nil, &engine.Refusal{Code: engine.CodeNotCancellable, Detail: "an attempt was made"}
	}
	return v, nil
}

func (f *fakeEngine) List(_ context.Context, ws message.WorkspaceID, q store.Filter) ([]*engine.View, error) {
	f.filter = append(f.filter, q)
	var out []*engine.View
	for _, v := range f.views { // newest first
		m := &v.Message
		if m.Workspace == ws && (q.Contact.IsZero() || m.Contact == q.Contact) && (q.Before.IsZero() || string(m.ID[:]) < string(q.Before[:])) && len(out) < q.Limit {
			out = append(out, v)
		}
	}
	return out, nil
}

func (f *fakeEngine) Types() []channel.Type {
	short := func(address string) (problem, remedy string) {
		if len(address) > 15 {
			return "is too long", "give a short one"
		}
		return "", ""
	}
	return []channel.Type{{CheckSender: short, Channel: message.SMS, Kind: "smpp", Title: "SMS over SMPP", Addressed: []message.Channel{message.Phone}, Receipts: channel.Receipts{Delivered: true, Horizon: 48 * time.Hour}}}
}

func (f *fakeEngine) SyncTemplates(_ context.Context, _ message.WorkspaceID, id message.ConnectorID) (int, error) {
	if f.paused[id] {
		return 0, &engine.Refusal{Code: engine.CodeNoTemplates, Detail: "the provider of this connector keeps no templates"}
	}
	return 3, nil
}

func (f *fakeEngine) PauseConnector(_ context.Context, _ message.WorkspaceID, id message.ConnectorID) error {
	f.paused[id] = true
	return nil
}

func (f *fakeEngine) ResumeConnector(_ context.Context, _ message.WorkspaceID, id message.ConnectorID) error {
	delete(f.paused, id)
	return nil
}

// A rig is the API over a real store and real rooms, with the engine faked.
type rig struct {
	t      testing.TB
	engine *fakeEngine
	store  store.Store
	reg    *workspace.Registry
	book   *contact.Book
	ids    *id.Maker
	server *Server
	media  *media.Keeper
	logged *bytes.Buffer
	web    *httptest.Server

	ws, other       message.WorkspaceID
	key, foreignKey string
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	now := func() time.Time { return noon }
	r := &rig{t: t, engine: &fakeEngine{paused: map[message.ConnectorID]bool{}}, ids: id.NewMaker(), logged: &bytes.Buffer{}}
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "parley.db"), sqlite.Options{Now: time.Now, Migrate: true})
	r.check(err)
	r.store = s
	t.Cleanup(func() { r.check(s.Close()) })
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	r.check(err)
	quiet := slog.New(slog.DiscardHandler)
	r.reg, err = workspace.Open(t.Context(), workspace.Options{Store: s, Keys: keys, Now: now, IDs: r.ids, Log: quiet})
	r.check(err)
	r.book = contact.New(contact.Options{Store: s, Workspaces: r.reg, Now: now, IDs: r.ids})
	office, err := privacy.Open(t.Context(), privacy.Options{
		Store: s, Workspaces: r.reg, People: r.book, Now: now, IDs: r.ids, Log: quiet, Node: "node-1", Journal: filepath.Join(t.TempDir(), "erasures.jsonl"),
	})
	r.check(err)
	t.Cleanup(func() { r.check(office.Close()) })
	o := Options{
		Engine: r.engine, Workspaces: r.reg, People: r.book, Privacy: office, Store: s, Now: now,
		ID: func() [16]byte { return r.ids.Next(noon) }, Log: slog.New(slog.NewTextHandler(r.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Phones: rules.NewPhones(rules.PhoneOptions{}), Poll: 5 * time.Millisecond,
	}
	o.Media, err = media.New(media.Options{
		Store: s, Workspaces: r.reg, People: r.book, IDs: r.ids, Now: now, Log: quiet, Public: "https://brand.example",
		Types: []channel.Type{{Channel: message.WhatsApp, Caps: channel.Capabilities{Media: map[message.MediaType]channel.MediaAbility{
			message.Image:    {Level: channel.Full, Bytes: 200 << 10, MIME: []string{"image/png"}},
			message.Document: {Level: channel.Full, Bytes: 2 << 20},
		}}}},
	})
	r.check(err)
	r.media = o.Media
	if change != nil {
		change(&o)
	}
	r.server, err = New(o)
	r.check(err)
	r.web = httptest.NewServer(r.server)
	t.Cleanup(r.web.Close)
	w, err := r.reg.Create(t.Context(), "one")
	r.check(err)
	r.ws = w.ID
	w, err = r.reg.Create(t.Context(), "two")
	r.check(err)
	r.other = w.ID
	r.key = r.newKey(r.ws, string(auth.Admin))
	r.foreignKey = r.newKey(r.other, string(auth.Admin))
	r.engine.answer = engine.Answer{ID: r.ids.Message(noon), Contact: r.ids.Contact(noon), State: message.Queued}
	return r
}

func (r *rig) check(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

func (r *rig) newKey(ws message.WorkspaceID, scopes ...string) string {
	r.t.Helper()
	secret, _, err := r.reg.CreateAPIKey(r.t.Context(), ws, "test", scopes)
	r.check(err)
	return secret
}

func (r *rig) client(options ...sdk.Option) *sdk.Client {
	return sdk.New(r.web.URL, r.key, options...)
}

// call makes a raw request with the rig's key.
func (r *rig) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+r.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, req)
	return w
}

var _ http.Handler = (*Server)(nil)

var (
	_ Engine  = (*engine.Engine)(nil)
	_ Privacy = (*privacy.Office)(nil)
	_ Store   = store.Store(nil)
)
