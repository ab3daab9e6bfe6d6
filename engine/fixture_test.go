package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/price"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// A world is an engine on a real SQLite store, with the sandbox's WhatsApp and
// SMSC on real sockets.
type world struct {
	t        testing.TB
	ctx      context.Context
	store    store.Store
	rooms    *workspace.Registry
	people   *contact.Book
	engine   *engine.Engine
	sandbox  *sandbox.Sandbox
	ws       message.WorkspaceID
	whatsapp message.ConnectorID
	smpp     message.ConnectorID
	waSender message.SenderID
	sms      message.SenderID
	media    *media.Keeper
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldTB(t) }

func newWorldTB(t testing.TB) *world { t.Helper(); return newWorldOn(t, nil) }

// newWorldOn puts something between the engine and its store (nil puts nothing)
// and may change the engine's options.
func newWorldOn(t testing.TB, between func(store.Store) engine.Store, tune ...func(*engine.Options)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context()}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	yes := true
	now := handset.Duration(0)
	sb, err := sandbox.New(sandbox.Options{
		Seed: 1, Now: time.Now,
		WhatsApp: wa.Options{Hang: 2 * time.Second, Templates: []wa.Template{ttlTemplate(2), ttlTemplate(60)}},
		SMSC:     smsc.Options{Accounts: []smsc.Account{{SystemID: smsc.DefaultSystemID, Password: smsc.DefaultPassword, Senders: []string{"38123"}}}},
		Handsets: handset.Options{Defaults: handset.Change{AutoRead: &yes, ReadAfter: &now}},
	})
	must(t, err)
	must(t, sb.Start())
	w.sandbox = sb
	dir := t.TempDir()
	clock := sb.Clock.Now
	st, err := sqlite.Open(w.ctx, filepath.Join(dir, "parley.db"), sqlite.Options{Now: time.Now, Log: log, Migrate: true})
	must(t, err)
	w.store = st
	masters, err := vault.CreateMaster(filepath.Join(dir, "master.key"))
	must(t, err)
	ids := id.NewMaker()
	w.rooms, err = workspace.Open(w.ctx, workspace.Options{Store: st, Keys: masters, Now: clock, IDs: ids, Log: log})
	must(t, err)
	w.people = contact.New(contact.Options{Store: st, Workspaces: w.rooms, Now: clock, IDs: ids})
	set, err := rules.Load()
	must(t, err)
	prices, err := price.New(set, nil, nil)
	must(t, err)
	w.media, err = media.New(media.Options{
		Store: st, Workspaces: w.rooms, People: w.people, Types: []channel.Type{whatsapp.Type, sms.Type}, IDs: ids, Now: clock, Log: log, Public: "https://aero.example",
	})
	must(t, err)
	var under engine.Store = st
	if between != nil {
		under = between(st)
	}
	options := engine.Options{
		Store: under, Workspaces: w.rooms, People: w.people, Rules: set, Phones: rules.NewPhones(rules.PhoneOptions{Sandbox: true}), Prices: prices,
		Types: []channel.Type{whatsapp.Type, sms.Type}, IDs: ids, Now: clock, Log: log, Node: "test",
		Env: channel.Env{Now: clock, Log: log, Dial: (&net.Dialer{}).DialContext}, Media: w.media,
	}
	for _, f := range tune {
		f(&options)
	}
	w.engine, err = engine.New(options)
	must(t, err)
	room, err := w.rooms.Create(w.ctx, "brand")
	must(t, err)
	w.ws = room.ID
	w.configure()
	must(t, w.engine.Start(w.ctx))
	srv := httptest.NewServer(http.HandlerFunc(w.callback))
	_, err = w.engine.SyncTemplates(w.ctx, w.ws, w.whatsapp)
	must(t, err)
	must(t, sb.SetCallback(w.ctx, srv.URL+"/"+w.whatsapp.String(), wa.DefaultVerifyToken))
	w.links()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.engine.Stop(ctx); err != nil {
			t.Error("stopping the engine:", err)
		}
		_ = sb.Stop(ctx)
		srv.Close()
		if err := st.Close(); err != nil {
			t.Error("closing the store:", err)
		}
	})
	return w
}

func ttlTemplate(seconds int) wa.Template {
	return wa.Template{
		Name: "boarding_pass_ttl" + strconv.Itoa(seconds), Language: "en", Category: "UTILITY", Status: "APPROVED", Named: true, TTL: seconds,
		Components: json.RawMessage(`[{"type":"BODY","text":"Your boarding pass for flight {{flight}} is ready."}]`),
	}
}

func (w *world) configure() {
	host, port, err := net.SplitHostPort(w.sandbox.SMPPAddr())
	must(w.t, err)
	n, _ := strconv.Atoi(port)
	put := func(kind string, config map[string]any) message.ConnectorID {
		raw, err := json.Marshal(config)
		must(w.t, err)
		c, err := w.rooms.PutConnector(w.ctx, w.ws, workspace.ConnectorInput{Kind: kind, Name: kind, Config: raw})
		must(w.t, err)
		return c.ID
	}
	w.whatsapp = put("whatsapp_cloud", map[string]any{
		"base_url": w.sandbox.WhatsAppURL(), "phone_number_id": wa.DefaultNumber, "waba_id": wa.DefaultWABA,
		"token": wa.DefaultToken, "app_secret": wa.DefaultAppSecret, "verify_token": wa.DefaultVerifyToken, "throughput": 1000,
	})
	w.smpp = put("smpp", map[string]any{"host": host, "port": n, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword, "response_timeout_seconds": 1, "window": 200})
	sender := func(ch message.Channel, address string, c message.ConnectorID) message.SenderID {
		s, err := w.rooms.PutSender(w.ctx, &store.Sender{Workspace: w.ws, Channel: ch, Address: address, Display: address, Connectors: []message.ConnectorID{c}, CreatedAt: time.Now()})
		must(w.t, err)
		return s.ID
	}
	w.waSender = sender(message.WhatsApp, wa.DefaultNumber, w.whatsapp)
	w.sms = sender(message.SMS, "38123", w.smpp)
}

func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	id, err := message.ParseID[connectorKind](strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(rw, "no such connector", http.StatusNotFound)
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, "unreadable", http.StatusBadRequest)
		return
	}
	answer, err := w.engine.Callback(r.Context(), message.ConnectorID(id), &channel.Callback{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: raw})
	if err != nil && answer.Status == 0 {
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		return
	}
	rw.WriteHeader(answer.Status)
	_, _ = io.WriteString(rw, answer.Body)
}

type connectorKind struct{}

func (connectorKind) Prefix() string { return "cn" }

// links waits until the SMPP link is up.
func (w *world) links() {
	w.t.Helper()
	w.eventually("the links come up", func() bool {
		lanes := w.engine.Lanes()
		for _, l := range lanes {
			if l.Down {
				return false
			}
		}
		return len(lanes) == 2
	})
}

// eventually waits for a condition that the machine's speed decides.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatal("did not happen in time:", what)
		}
	}
}

// until waits until a message satisfies a condition and gives its story.
func (w *world) until(id message.MessageID, what string, ok func(*message.Delivery) bool) *engine.View {
	w.t.Helper()
	var v *engine.View
	w.eventually(what, func() bool {
		var err error
		v, err = w.engine.View(w.ctx, w.ws, id)
		must(w.t, err)
		return ok(v.Delivery)
	})
	return v
}

func (w *world) send(r *engine.Request) *engine.Answer {
	w.t.Helper()
	a, err := w.engine.Accept(w.ctx, w.ws, r, engine.Idempotency{})
	must(w.t, err)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
