//go:build unix

package simulate

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// A world is one seed's story: the providers with their people, and a node
// that comes and goes.
type world struct {
	t       *testing.T
	ctx     context.Context
	seed    uint64
	random  *rand.Rand
	log     *slog.Logger
	dir     string
	net     network
	sandbox *sandbox.Sandbox
	masters *vault.Masters
	ids     *id.Maker
	live    atomic.Pointer[node]
	skew    atomic.Int64 // of the node's clock, in nanoseconds

	ws       message.WorkspaceID
	whatsapp message.ConnectorID
	smpp     message.ConnectorID

	sent    []*sent
	unsure  int // requests whose answer the node's death took away
	refused map[string]int
	wrote   int                    // inbound messages
	said    map[string][]time.Time // when the node had heard STOP, then START, then STOP …, by person and channel
	deaths  int
	stops   int
	steps   int
	slow    int
}

// sent is one message the node acknowledged.
type sent struct {
	id      message.MessageID
	token   string
	to      string
	at      time.Time // when we asked
	magic   string    // code of the magic recipient; "" = an ordinary person
	purpose message.Purpose
}

// shortCode is the brand's end on SMS.
const shortCode = "38123"

var epoch = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, ctx: context.WithoutCancel(t.Context()), seed: seed, random: rand.New(rand.NewPCG(seed, 7)), log: quiet(), dir: t.TempDir(), refused: make(map[string]int), said: make(map[string][]time.Time)}
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	w.ids = id.NewSeeded(source.Read)
	began := time.Now()
	yes, after := true, handset.Duration(5*time.Second)
	var err error
	w.sandbox, err = sandbox.New(sandbox.Options{
		Seed: seed, Now: func() time.Time { return epoch.Add(time.Since(began)) },
		WhatsAppListener: w.net.listen("whatsapp.sim:80"), SMPPListener: w.net.listen("smsc.sim:2775"), ControlListener: w.net.listen("control.sim:80"),
		WhatsApp: wa.Options{Hang: 20 * time.Millisecond, Templates: templates(), Client: w.net.client(5 * time.Second), Webhooks: wa.Webhooks{Pace: 100 * time.Microsecond}},
		SMSC:     smsc.Options{Accounts: []smsc.Account{{SystemID: smsc.DefaultSystemID, Password: smsc.DefaultPassword, Senders: []string{shortCode}}}},
		Handsets: handset.Options{Defaults: handset.Change{AutoRead: &yes, ReadAfter: &after}, Inbox: 5},

		JournalSize: 400_000,
	})
	w.must(err)
	w.must(w.sandbox.Start())
	door := &http.Server{Handler: http.HandlerFunc(w.callback), ReadHeaderTimeout: time.Minute}
	ln := w.net.listen("parley.sim:80")
	go func() { _ = door.Serve(ln) }()
	w.open()
	t.Cleanup(func() {
		if w.live.Load() != nil {
			w.close(false)
		}
		w.must(w.sandbox.Stop(w.ctx))
		w.must(door.Close())
	})
	w.must(w.sandbox.SetCallback(w.ctx, "http://parley.sim:80/"+w.whatsapp.String(), wa.DefaultVerifyToken))
	w.settle()
	n, err := w.live.Load().engine.SyncTemplates(w.ctx, w.ws, w.whatsapp)
	w.must(err)
	if n == 0 {
		t.Fatal("no template was found")
	}
	return w
}

func templates() []wa.Template {
	body := json.RawMessage(`[{"type":"BODY","text":"News for {{what}} is here."}]`)
	return []wa.Template{
		{Name: "note", Language: "en", Category: "UTILITY", Status: "APPROVED", Named: true, Components: body},
		{Name: "note_ttl60", Language: "en", Category: "UTILITY", Status: "APPROVED", Named: true, TTL: 60, Components: body},
		{Name: "sale", Language: "en", Category: "MARKETING", Status: "APPROVED", Named: true, Components: body},
	}
}

// configure makes the brand with its two senders.
func (w *world) configure(n *node) {
	w.t.Helper()
	room, err := n.rooms.Create(w.ctx, "brand")
	w.must(err)
	w.ws = room.ID
	put := func(kind string, config map[string]any) message.ConnectorID {
		raw, err := json.Marshal(config)
		w.must(err)
		c, err := n.rooms.PutConnector(w.ctx, w.ws, workspace.ConnectorInput{Kind: kind, Name: kind, Config: raw})
		w.must(err)
		return c.ID
	}
	w.whatsapp = put("whatsapp_cloud", map[string]any{
		"base_url": w.sandbox.WhatsAppURL(), "phone_number_id": wa.DefaultNumber, "waba_id": wa.DefaultWABA,
		"token": wa.DefaultToken, "app_secret": wa.DefaultAppSecret, "verify_token": wa.DefaultVerifyToken, "throughput": 1000,
	})
	w.smpp = put("smpp", map[string]any{
		"host": "smsc.sim", "port": 2775, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword,
		"response_timeout_seconds": 0.2, "reconnect_min_seconds": 0.01, "reconnect_max_seconds": 0.05, "window": 200,
	})
	for _, s := range []store.Sender{
		{Channel: message.WhatsApp, Address: wa.DefaultNumber, Connectors: []message.ConnectorID{w.whatsapp}},
		{Channel: message.SMS, Address: shortCode, Connectors: []message.ConnectorID{w.smpp}},
	} {
		s.Workspace, s.Display, s.CreatedAt = w.ws, s.Address, w.now()
		_, err := n.rooms.PutSender(w.ctx, &s)
		w.must(err)
	}
}

// now is the node's clock: the world's, set wrong.
func (w *world) now() time.Time { return w.sandbox.Clock.Now().Add(time.Duration(w.skew.Load())) }

// A pulse is what moves while something is going on.
type pulse struct {
	inflight, queued, waiting int
	posts, retries            int64
	submits, delivered        int64
	head                      store.Cursor
	due                       time.Time
	pending                   int
}

func (w *world) pulse() (p pulse) {
	w.t.Helper()
	a, b := w.sandbox.WhatsApp.Stats(), w.sandbox.SMSC.Stats()
	p.posts, p.retries, p.submits, p.delivered, p.pending = a.Posts, a.Retries, b.Submits, a.Delivered+b.Delivered, w.sandbox.Clock.Pending()
	n := w.live.Load()
	if n == nil {
		return p
	}
	for _, l := range n.engine.Lanes() {
		p.inflight += l.InFlight
		p.queued += l.Queued
		if l.Down {
			p.inflight++ // its link comes back in a moment
		}
	}
	p.waiting, _ = n.store.Backlog()
	var err error
	p.head, err = n.store.Head(w.ctx)
	w.must(err)
	p.due, err = n.store.NextDue(w.ctx, []message.ConnectorID{w.whatsapp, w.smpp})
	w.must(err)
	return p
}

// settle waits in real time until nothing moves any more at this instant.
func (w *world) settle() pulse {
	w.t.Helper()
	w.steps++
	w.sandbox.Settle()
	limit := time.NewTimer(3 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(300 * time.Microsecond)
	defer tick.Stop()
	last, same := w.pulse(), 0
	for {
		select {
		case <-tick.C:
		case <-limit.C:
			w.slow++
			return last
		}
		p := w.pulse()
		busy := p.inflight > 0 || p.waiting > 0 || !p.due.IsZero() && !p.due.After(w.now()) && same < 200
		if p != last || busy {
			last, same = p, same+1
			if p == last && busy {
				continue
			}
			same = 0
			continue
		}
		if same++; same >= 2 {
			return p
		}
	}
}

// until lets time pass to an instant of the world, from deadline to deadline.
func (w *world) until(target time.Time) {
	w.t.Helper()
	for {
		p := w.settle()
		now := w.sandbox.Clock.Now()
		if !now.Before(target) {
			return
		}
		next := target
		if at, ok := w.sandbox.Clock.Next(); ok && at.Before(next) {
			next = at
		}
		if !p.due.IsZero() {
			if at := p.due.Add(-time.Duration(w.skew.Load())); at.Before(next) {
				next = at
			}
		}
		w.sandbox.Clock.Advance(max(next.Sub(now), 200*time.Millisecond))
		if n := w.live.Load(); n != nil {
			n.engine.Kick()
		}
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
}

// stored reads a message with its delivery.
func (w *world) stored(id message.MessageID) *store.Stored {
	w.t.Helper()
	list, err := w.live.Load().store.Messages(w.ctx, w.ws, []message.MessageID{id})
	w.must(err)
	if list[0] == nil || list[0].Delivery == nil {
		w.t.Fatalf("seed %d: message %s was acknowledged and is lost", w.seed, id)
	}
	return list[0]
}
