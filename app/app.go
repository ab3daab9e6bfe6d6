// Package app wires the rooms into a program: options in, a running node out.
// It is the only place that names every channel and every store, and the only
// one that reads the clock.
//
// It decides nothing about messages. Start with [New], which builds everything
// in one straight line; [App.Stop] undoes it in reverse.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-messaging/parley/api"
	"github.com/parley-messaging/parley/callback"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/internal/safedial"
	"github.com/parley-messaging/parley/ledger"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/price"
	"github.com/parley-messaging/parley/privacy"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/webhook"
	"github.com/parley-messaging/parley/workspace"
)

// An App is one node. Its parts may be used directly by tests and by the demo.
type App struct {
	Options    Options
	Store      store.Store
	Workspaces *workspace.Registry
	People     *contact.Book
	Privacy    *privacy.Office
	Media      *media.Keeper
	Engine     *engine.Engine
	API        *api.Server
	Webhooks   *webhook.Dispatcher
	Ledger     *ledger.Ledger
	IDs        *id.Maker
	Now        func() time.Time

	log   *slog.Logger
	undo  cleanups
	http  *http.Server
	addr  net.Addr
	admin net.Addr
	once  sync.Once
	err   error
}

// New builds a node and starts nothing. now is the clock of messages; leases
// and sessions live on real time.
func New(ctx context.Context, o Options, now func() time.Time, log *slog.Logger) (a *App, err error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	a = &App{Options: o, IDs: id.NewMaker(), Now: now, log: log, undo: cleanups{log: log}}
	made := a
	defer func() {
		if err != nil {
			err = errors.Join(err, made.undo.run(context.WithoutCancel(ctx)))
		}
	}()
	traces, err := StartTracing(ctx)
	if err != nil {
		return nil, err
	}
	a.undo.add("traces", traces)
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, err
	}
	masters, err := loadMaster(&o, log)
	if err != nil {
		return nil, err
	}
	s, alone, err := openStore(ctx, &o, time.Now, log)
	if err != nil {
		return nil, err
	}
	a.Store = s
	a.undo.add("store", func(context.Context) error { return s.Close() })
	if o.Node == "" {
		o.Node = nodeName(alone)
		a.Options.Node = o.Node
	}
	a.Workspaces, err = workspace.Open(ctx, workspace.Options{Store: s, Keys: masters, Now: now, IDs: a.IDs, Log: log, Check: checkConfig})
	if err != nil {
		return nil, err
	}
	a.People = contact.New(contact.Options{Store: s, Workspaces: a.Workspaces, Now: now, IDs: a.IDs})
	a.Privacy, err = privacy.Open(ctx, privacy.Options{Store: s, Workspaces: a.Workspaces, People: a.People, Now: now, IDs: a.IDs, Log: log, Journal: o.Journal, Node: o.Node})
	if err != nil {
		return nil, err
	}
	a.undo.add("erasure journal", func(context.Context) error { return a.Privacy.Close() })
	set, err := rules.Load()
	if err != nil {
		return nil, err
	}
	phones := rules.NewPhones(rules.PhoneOptions{Sandbox: o.Sandbox})
	prices, err := price.New(set, nil, nil)
	if err != nil {
		return nil, err
	}
	a.Media, err = media.New(media.Options{Store: s, Workspaces: a.Workspaces, People: a.People, Types: channels, IDs: a.IDs, Now: now, Log: log, Public: o.Public})
	if err != nil {
		return nil, err
	}
	a.Engine, err = engine.New(engine.Options{
		Store: s, Workspaces: a.Workspaces, People: a.People, Rules: set, Phones: phones, Prices: prices,
		Types: channels, IDs: a.IDs, Now: now, Log: log, Node: o.Node, Intake: o.Intake, LeaseFor: o.LeaseFor,
		Env: channel.Env{Now: now, Log: log, Dial: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, Public: o.Public}, Media: a.Media, Trace: messageTracer(),
	})
	if err != nil {
		return nil, err
	}
	allow, err := o.allowed()
	if err != nil {
		return nil, err
	}
	a.Webhooks, err = webhook.New(webhook.Options{Store: s, Workspaces: a.Workspaces, People: a.People, Now: now, IDs: a.IDs, Log: log, Node: o.Node, Append: s.Append, Guard: &safedial.Guard{Allow: allow}})
	if err != nil {
		return nil, err
	}
	a.Ledger, err = ledger.New(ledger.Options{Store: s, Log: log, Node: o.Node})
	if err != nil {
		return nil, err
	}
	a.API, err = api.New(api.Options{
		Engine: a.Engine, Workspaces: a.Workspaces, People: a.People, Privacy: a.Privacy, Store: s, Media: a.Media, Phones: phones,
		Now: now, ID: func() [16]byte { return a.IDs.Next(now()) }, Log: log,
		CheckURL: a.Webhooks.CheckURL, Webhooks: a.Webhooks,
		Rate: api.Rate{PerSecond: o.RateLimit}, Public: o.Public,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Start listens and runs; it returns once requests are answered.
func (a *App) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.undo.run(context.WithoutCancel(ctx)))
		}
	}()
	ln, err := net.Listen("tcp", a.Options.Listen)
	if err != nil {
		return &OptionError{"listen", "cannot be listened on: " + err.Error(), "stop what uses it, or give another address"}
	}
	a.addr = ln.Addr()
	a.undo.add("listener", func(context.Context) error { _ = ln.Close(); return nil })
	if err := a.startAdmin(); err != nil {
		return err
	}
	a.undo.add("engine", a.Engine.Stop)
	if err := a.Engine.Start(ctx); err != nil {
		return err
	}
	a.undo.add("ledger", a.Ledger.Stop)
	if err := a.Ledger.Start(ctx); err != nil {
		return err
	}
	a.undo.add("webhooks", a.Webhooks.Stop)
	if err := a.Webhooks.Start(ctx); err != nil {
		return err
	}
	people := newFollower(a.Store, a.People.Forget, a.log)
	a.undo.add("follower", people.Stop)
	if err := people.Start(ctx); err != nil {
		return err
	}
	janitor := newJanitor(a)
	a.undo.add("janitor", janitor.Stop)
	janitor.Start()
	mux := http.NewServeMux()
	mux.Handle("/", a.API)
	mux.Handle("/callbacks/{connector}", callback.Handler(a.Engine, a.log))
	mux.Handle("GET "+media.Path+"{token}", a.Media.Handler())
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	a.http = api.NewServer(a.addr.String(), traced(mux), a.log)
	a.undo.add("http", a.stopHTTP)
	go func() {
		if err := a.http.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("API stopped", "error", err)
		}
	}()
	a.log.Info("listening", "api", a.URL(), "database", hideURL(a.Options.DatabaseURL), "node", a.Options.Node)
	return nil
}

// URL is the API's base address.
func (a *App) URL() string { return "http://" + a.addr.String() }

// AdminURL is the base address of metrics and profiles; "" = switched off.
func (a *App) AdminURL() string {
	if a.admin == nil {
		return ""
	}
	return "http://" + a.admin.String()
}

// Stop ends intake, lets attempts on the wire finish, and closes everything in
// the reverse order of its making. It is harmless twice.
func (a *App) Stop(ctx context.Context) error {
	a.once.Do(func() { a.err = a.undo.run(ctx) })
	return a.err
}

func (a *App) stopHTTP(ctx context.Context) error {
	a.API.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := a.http.Shutdown(ctx); err != nil {
		return a.http.Close()
	}
	return nil
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
}

// readyz says whether a message could be made durable now.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	waiting, limit := a.Store.Backlog()
	state := struct {
		Status  string `json:"status"`
		Waiting int    `json:"writes_waiting"`
		Limit   int    `json:"writes_limit"`
	}{"ok", waiting, limit}
	if err := a.Store.Ping(ctx); err != nil {
		state.Status = "the store cannot write"
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(state) // the client may be gone
}

// loadMaster reads the master key, or makes it the first time.
func loadMaster(o *Options, log *slog.Logger) (*vault.Masters, error) {
	if o.MasterKey == "" {
		if _, err := os.Stat(o.MasterKeyFile); errors.Is(err, os.ErrNotExist) {
			if err := os.MkdirAll(filepath.Dir(o.MasterKeyFile), 0o700); err != nil {
				return nil, err
			}
			m, err := vault.CreateMaster(o.MasterKeyFile)
			if err != nil {
				return nil, err
			}
			log.Warn("a master key was made: keep a copy of it in a safe place, apart from the database; without it nothing personal can be read", "file", o.MasterKeyFile)
			return m, nil
		}
	}
	return vault.LoadMaster(string(o.MasterKey), o.MasterKeyFile)
}

// nodeName names a node that was not named. One alone keeps its name over
// restarts, so that it takes its leases back at once.
func nodeName(alone bool) string {
	if alone {
		return "alone"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// checkConfig validates a connector's configuration by its kind.
func checkConfig(kind string, config []byte) error {
	for i := range channels {
		if channels[i].Kind == kind {
			return channels[i].Check(config)
		}
	}
	return &workspace.InvalidError{Field: "kind", Problem: "is no kind of connector known here"}
}
