//go:build unix

package simulate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/price"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// A mortal store stops writing at an instant, as for a process that is killed:
// what was committed stays, nothing after it is. The engine above it is told
// that its leases are gone, so that it lets go of everything.
type mortal struct {
	*sqlite.Store
	dead atomic.Bool
}

var errDead = errors.Join(store.ErrUnavailable, errors.New("this node is dead"))

func (m *mortal) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.Accept(ctx, items)
}

func (m *mortal) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	if m.dead.Load() {
		out := make([]store.Applied, len(items))
		for i := range out {
			out[i].Verdict = store.Fenced
		}
		return out, nil
	}
	return m.Store.Apply(ctx, items)
}

func (m *mortal) Load(ctx context.Context, ws message.WorkspaceID, ids []message.MessageID) ([]*store.Record, error) {
	if m.dead.Load() {
		return make([]*store.Record, len(ids)), nil
	}
	return m.Store.Load(ctx, ws, ids)
}

func (m *mortal) Receive(ctx context.Context, items []*store.Reception) ([]store.Verdict, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.Receive(ctx, items)
}

func (m *mortal) Keep(ctx context.Context, items []*store.Callback) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Keep(ctx, items)
}

func (m *mortal) Finish(ctx context.Context, ids []message.EventID) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Finish(ctx, ids)
}

func (m *mortal) Defer(ctx context.Context, id message.EventID, why string, until time.Time) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Defer(ctx, id, why, until)
}

func (m *mortal) Match(ctx context.Context, items []*store.Lookup) ([]store.Matched, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.Match(ctx, items)
}

func (m *mortal) Unpark(ctx context.Context, ws message.WorkspaceID, ids []message.EventID) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Unpark(ctx, ws, ids)
}

func (m *mortal) Rematch(ctx context.Context, now time.Time, limit int) ([]store.Rematched, []store.Parked, error) {
	if m.dead.Load() {
		return nil, nil, errDead
	}
	return m.Store.Rematch(ctx, now, limit)
}

func (m *mortal) Suppress(ctx context.Context, s store.Suppression, events []store.Event) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Suppress(ctx, s, events)
}

func (m *mortal) Release(ctx context.Context, owner string, connectors []message.ConnectorID) error {
	if m.dead.Load() {
		return nil
	}
	return m.Store.Release(ctx, owner, connectors)
}

// A node is one life of Parley on the simulation's file.
type node struct {
	store  *mortal
	rooms  *workspace.Registry
	engine *engine.Engine

	mu    sync.Mutex
	wires []net.Conn
}

// dial connects the node to the network, until it is cut off.
func (n *node) dial(to *network) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, kind, address string) (net.Conn, error) {
		if n.store.dead.Load() {
			return nil, errDead
		}
		c, err := to.dial(ctx, kind, address)
		if err == nil {
			n.mu.Lock()
			n.wires = append(n.wires, c)
			n.mu.Unlock()
		}
		return c, err
	}
}

// cut closes every connection: the dead tell nobody anything.
func (n *node) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.wires {
		_ = c.Close() // the engine may have closed it
	}
	n.wires = nil
}

// open starts a life. The first makes the file.
func (w *world) open() {
	w.t.Helper()
	st, err := sqlite.Open(w.ctx, filepath.Join(w.dir, "parley.db"), sqlite.Options{Now: time.Now, Log: w.log, Migrate: true})
	w.must(err)
	n := &node{store: &mortal{Store: st}}
	if w.masters == nil {
		w.masters, err = vault.CreateMaster(filepath.Join(w.dir, "master.key"))
		w.must(err)
	}
	n.rooms, err = workspace.Open(w.ctx, workspace.Options{Store: n.store, Keys: w.masters, Now: w.now, IDs: w.ids, Log: w.log})
	w.must(err)
	people := contact.New(contact.Options{Store: n.store, Workspaces: n.rooms, Now: w.now, IDs: w.ids})
	set, err := rules.Load()
	w.must(err)
	prices, err := price.New(set, nil, nil)
	w.must(err)
	n.engine, err = engine.New(engine.Options{
		Store: n.store, Workspaces: n.rooms, People: people, Rules: set, Phones: rules.NewPhones(rules.PhoneOptions{Sandbox: true}), Prices: prices,
		Types: []channel.Type{whatsapp.Type, sms.Type}, IDs: w.ids, Now: w.now, Log: w.log, Node: "alone",
		Env: channel.Env{Now: w.now, Log: w.log, Dial: n.dial(&w.net)},
	})
	w.must(err)
	if w.ws.IsZero() {
		w.configure(n)
	}
	w.must(n.engine.Start(w.ctx))
	w.live.Store(n)
}

// close ends a life: stopped, or killed at this instant.
func (w *world) close(kill bool) {
	w.t.Helper()
	n := w.live.Load()
	if kill {
		n.cut()
		n.store.dead.Store(true)
	}
	w.live.Store(nil)
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	w.must(n.engine.Stop(ctx))
	w.must(n.store.Close())
}

// callback is the node's door for webhooks.
func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	n := w.live.Load()
	id, err := message.ParseID[connectorKind](strings.TrimPrefix(r.URL.Path, "/"))
	raw, err2 := io.ReadAll(r.Body)
	if n == nil || err != nil || err2 != nil {
		http.Error(rw, "not now", http.StatusServiceUnavailable)
		return
	}
	answer, err := n.engine.Callback(r.Context(), message.ConnectorID(id), &channel.Callback{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: raw})
	if err != nil && answer.Status == 0 {
		http.Error(rw, "not now", http.StatusServiceUnavailable)
		return
	}
	rw.WriteHeader(answer.Status)
	_, _ = io.WriteString(rw, answer.Body)
}

type connectorKind struct{}

func (connectorKind) Prefix() string { return "cn" }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
