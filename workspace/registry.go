package workspace

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// A Store is what a Registry keeps its rows in.
type Store interface {
	store.Workspaces
	store.Senders
}

// Options are what a Registry stands on.
type Options struct {
	Store Store
	Keys  *vault.Masters
	Now   func() time.Time
	IDs   *id.Maker
	Log   *slog.Logger
	// Check validates a connector's configuration by its kind before it is
	// stored; nil accepts every JSON object.
	Check func(kind string, config []byte) error
}

// A Workspace is a tenant with its keys opened. It is safe for concurrent use.
type Workspace struct {
	ID   message.WorkspaceID
	Name string
	Keys *vault.Workspace
}

// A Registry knows every workspace of the installation. It is safe for
// concurrent use.
type Registry struct {
	store        Store
	masters      *vault.Masters
	ring         *vault.Keyring
	installation *vault.Installation
	now          func() time.Time
	ids          *id.Maker
	log          *slog.Logger
	check        func(kind string, config []byte) error

	mu      sync.RWMutex
	rooms   map[message.WorkspaceID]*Workspace
	configs map[message.WorkspaceID]*Config

	admin  sync.Mutex // held while configuration is read, changed and written
	dayMu  sync.Mutex // held while a daily key is made
	ahead  vault.Day  // the day up to which Refresh made keys
	tokens tokens
}

// Open reads the keys of the installation, and makes them the first time. It
// fails with *vault.MissingKeyError when the master key given is another one
// than the keys in the store are wrapped by.
func Open(ctx context.Context, o Options) (*Registry, error) {
	r := &Registry{
		store: o.Store, masters: o.Keys, ring: vault.NewKeyring(o.Keys),
		now: o.Now, ids: o.IDs, log: o.Log, check: o.Check,
		rooms:   make(map[message.WorkspaceID]*Workspace),
		configs: make(map[message.WorkspaceID]*Config),
	}
	r.tokens.known = make(map[[32]byte]token)
	rows, err := r.store.Keys(ctx, message.WorkspaceID{})
	if err != nil {
		return nil, err
	}
	if !hasKind(rows, vault.KindSigning) {
		made, err := vault.NewInstallation(o.Keys)
		if err != nil {
			return nil, err
		}
		if err := r.store.PutKeys(ctx, toRows(made, o.Now())); err != nil {
			return nil, err
		}
		// What is in the store is the truth, should another node have been
		// first.
		if rows, err = r.store.Keys(ctx, message.WorkspaceID{}); err != nil {
			return nil, err
		}
		o.Log.Info("installation keys made")
	}
	if r.installation, err = vault.OpenInstallation(o.Keys, masterKeys(rows)); err != nil {
		return nil, err
	}
	return r, nil
}

// Installation gives the keys that belong to no workspace.
func (r *Registry) Installation() *vault.Installation { return r.installation }

// Create makes a workspace with fresh keys, among them the daily keys of today
// and tomorrow. It fails with *InvalidError for an empty or overlong name.
func (r *Registry) Create(ctx context.Context, name string) (*Workspace, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 200 {
		return nil, &InvalidError{Field: "name", Problem: "must be 1 to 200 bytes long"}
	}
	now := r.now()
	ws := message.WorkspaceID(r.ids.Next(now))
	made, err := r.ring.NewWorkspace(ws)
	if err != nil {
		return nil, err
	}
	if err := r.ring.Add(made...); err != nil {
		return nil, err
	}
	keys, err := r.ring.Workspace(ws)
	if err != nil {
		return nil, err
	}
	rows := toRows(made, now)
	today := vault.DayOf(now)
	days := []vault.WrappedDay{keys.NewDay(today), keys.NewDay(today + 1)}
	for _, day := range days {
		rows = append(rows, dayRow(day, now))
	}
	if err := r.store.CreateWorkspace(ctx, &store.Workspace{ID: ws, Name: name, CreatedAt: now}, rows); err != nil {
		r.ring.Drop(ws)
		return nil, err
	}
	for _, day := range days {
		if err := keys.AddDay(day); err != nil {
			return nil, err
		}
	}
	w := &Workspace{ID: ws, Name: name, Keys: keys}
	r.mu.Lock()
	r.rooms[ws] = w
	r.mu.Unlock()
	r.log.Info("workspace created", "workspace", ws)
	return w, nil
}

// List reads all workspaces from the store.
func (r *Registry) List(ctx context.Context) ([]*store.Workspace, error) {
	return r.store.WorkspaceList(ctx)
}

// Get gives a workspace with its keys opened, from memory after the first
// time. It fails with store.ErrNotFound.
func (r *Registry) Get(ctx context.Context, ws message.WorkspaceID) (*Workspace, error) {
	r.mu.RLock()
	w := r.rooms[ws]
	r.mu.RUnlock()
	if w != nil {
		return w, nil
	}
	if ws.IsZero() {
		return nil, store.ErrNotFound
	}
	list, err := r.store.WorkspaceList(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range list {
		if row.ID != ws {
			continue
		}
		keys, err := r.loadKeys(ctx, ws)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if w := r.rooms[ws]; w != nil {
			return w, nil
		}
		w = &Workspace{ID: ws, Name: row.Name, Keys: keys}
		r.rooms[ws] = w
		return w, nil
	}
	return nil, store.ErrNotFound
}

// Reload reads a workspace's keys from the store again. Whoever meets a
// *vault.MissingKeyError calls it and tries once more: another node may have
// made the key. See also [Retry].
func (r *Registry) Reload(ctx context.Context, ws message.WorkspaceID) error {
	_, err := r.loadKeys(ctx, ws)
	return err
}

// Retry runs do, and once more after a Reload when it failed for want of a
// key.
func (r *Registry) Retry(ctx context.Context, ws message.WorkspaceID, do func() error) error {
	err := do()
	var missing *vault.MissingKeyError
	if !errors.As(err, &missing) {
		return err
	}
	if again := r.Reload(ctx, ws); again != nil {
		return again
	}
	return do()
}

func (r *Registry) loadKeys(ctx context.Context, ws message.WorkspaceID) (*vault.Workspace, error) {
	rows, err := r.store.Keys(ctx, ws)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, store.ErrNotFound
	}
	if err := r.ring.Add(masterKeys(rows)...); err != nil {
		return nil, err
	}
	keys, err := r.ring.Workspace(ws)
	if err != nil {
		return nil, err
	}
	for _, day := range dayKeys(rows) {
		if err := keys.AddDay(day); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// open lists the workspaces held in memory.
func (r *Registry) open() []*Workspace {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Workspace, 0, len(r.rooms))
	for _, w := range r.rooms {
		out = append(out, w)
	}
	return out
}
