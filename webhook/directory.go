package webhook

import (
	"bytes"
	"context"
	"slices"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A target is an endpoint with its secrets opened. It never changes.
type target struct {
	*store.Endpoint
	keys []signingKey
}

func (t *target) same(e *store.Endpoint) bool {
	return t.URL == e.URL && t.Batch == e.Batch && t.FailingAt.Equal(e.FailingAt) && bytes.Equal(t.Sealed, e.Sealed)
}

// A directory tells the reader who wants which events. It never changes.
type directory struct {
	changes uint64 // of Dispatcher.changes, those it knows of
	enabled int
	of      map[message.WorkspaceID][]*store.Endpoint
}

func wants(e *store.Endpoint, kind string) bool {
	return len(e.Types) == 0 || slices.Contains(e.Types, kind)
}

// watch keeps the directory and the senders in step with the store.
func (d *Dispatcher) watch() {
	for rest(d.intake, d.look, refresh) {
		if err := d.refresh(d.intake); err != nil && d.intake.Err() == nil {
			d.o.Log.Warn("webhook endpoints not readable", "error", err)
		}
	}
}

// refresh reads all endpoints and starts, changes and ends senders.
func (d *Dispatcher) refresh(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changes := d.changes.Load() // before the list is read: what is told meanwhile may not be in it
	list, err := d.o.Store.Endpoints(ctx, message.WorkspaceID{})
	if err != nil {
		return err
	}
	dir := &directory{changes: changes, of: make(map[message.WorkspaceID][]*store.Endpoint)}
	live := make(map[message.EndpointID]bool, len(list))
	for _, e := range list {
		if e.Disabled != "" {
			continue
		}
		dir.enabled++
		dir.of[e.Workspace] = append(dir.of[e.Workspace], e)
		live[e.ID] = true
		d.aim(ctx, e)
	}
	for id, s := range d.senders {
		if !live[id] {
			delete(d.senders, id)
			s.end()
		}
	}
	d.dir.Store(dir)
	return nil
}

// aim points the sender of an endpoint at what is stored now.
func (d *Dispatcher) aim(ctx context.Context, e *store.Endpoint) {
	s := d.senders[e.ID]
	if s != nil && s.target.Load().same(e) || d.intake.Err() != nil {
		return
	}
	t := &target{Endpoint: e}
	secrets, err := OpenSecrets(ctx, d.o.Workspaces, e.Workspace, e.ID, e.Sealed)
	if err == nil {
		t.keys, err = signingKeys(secrets)
	}
	if err != nil {
		// Its rows wait: an unsigned request would teach receivers to accept
		// unsigned requests.
		d.o.Log.Error("webhook endpoint has no secret that opens", "workspace", e.Workspace, "endpoint", e.ID, "error", err)
		return
	}
	if s != nil {
		if s.target.Swap(t).URL != t.URL {
			s.forgive() // another server: what the one before did is no matter
		}
		kick(s.wake)
		return
	}
	s = newSender(d, t)
	d.senders[e.ID] = s
	d.wait.Go(s.run)
}

// nudge wakes the senders of endpoints that were given new rows.
func (d *Dispatcher) nudge(ids map[message.EndpointID]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range ids {
		if s := d.senders[id]; s != nil {
			kick(s.wake)
		}
	}
}
