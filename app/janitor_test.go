package app

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/postgres"
)

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

// node builds a node and starts nothing of it.
func node(t *testing.T, o Options, now func() time.Time) *App {
	t.Helper()
	o.Migrate = true
	a, err := New(t.Context(), o, now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error("stop:", err)
		}
	})
	return a
}

// TestJanitor lives through a hundred days: what two workspaces keep for
// different times goes when it is due, and nothing sooner.
func TestJanitor(t *testing.T) {
	c := &clock{now: time.Now().UTC().Truncate(time.Microsecond)}
	a := node(t, Options{DataDir: t.TempDir()}, c.Now)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	workspaces := make(map[string]message.WorkspaceID)
	for _, name := range []string{"thrifty", "keeper"} {
		w, err := a.Workspaces.Create(ctx, name)
		must(err)
		workspaces[name] = w.ID
		p, err := a.People.Create(ctx, w.ID, contact.Profile{}, message.Address{Channel: message.Phone, ID: "+33612345678"})
		must(err)
		id := message.MessageID(a.IDs.Next(c.Now()))
		day, sealed, err := a.Workspaces.SealDay(ctx, w.ID, c.Now(), "test", id, []byte("answer"))
		must(err)
		r, err := a.Store.Accept(ctx, []*store.Acceptance{{
			Message: &store.Message{ID: id, Workspace: w.ID, Contact: p.ID, Direction: store.MT, Purpose: message.Utility, CreatedAt: c.Now(), Sealed: []byte("content")},
			Delivery: &message.Delivery{
				ID: id, Workspace: w.ID, Contact: p.ID, State: message.Failed, Version: 1, Purpose: message.Utility, CreatedAt: c.Now(), EndedAt: c.Now(),
			},
			Idempotency: &store.Idempotency{Key: id, Body: id, Answer: sealed, Day: day, Created: c.Now(), Expires: c.Now().Add(24 * time.Hour)},
			Events:      []store.Event{{ID: message.EventID(a.IDs.Next(c.Now())), Workspace: w.ID, Type: "message.accepted", Message: id, Contact: p.ID, Version: 1, At: c.Now()}},
		}})
		must(err)
		if r[0].Verdict != store.Done {
			t.Fatal(r[0].Verdict)
		}
	}
	_, err := a.Workspaces.SetSettings(ctx, workspaces["thrifty"], []byte(`{"retention": {"messages": "20d", "content": "2d", "events": "5d"}}`))
	must(err)
	j := newJanitor(a)
	j.pause = 0
	type kept struct {
		messages, content, events int
		days                      bool
	}
	look := func(name string) (k kept) {
		t.Helper()
		ws := workspaces[name]
		list, err := a.Store.List(ctx, ws, store.Filter{Limit: 10})
		must(err)
		k.messages = len(list)
		for _, m := range list {
			if m.Sealed != nil {
				k.content++
			}
		}
		events, _, err := a.Store.Read(ctx, ws, "", 100)
		must(err)
		for _, e := range events {
			if e.Type == "message.accepted" {
				k.events++
			}
		}
		keys, err := a.Store.Keys(ctx, ws)
		must(err)
		for _, key := range keys {
			k.days = k.days || key.Kind == "day"
		}
		return k
	}
	all := kept{1, 1, 1, true}
	for _, step := range []struct {
		after           time.Duration
		thrifty, keeper kept
	}{
		{0, all, all},
		{47 * time.Hour, all, all},
		{2 * time.Hour, kept{1, 0, 1, true}, all},
		{72 * time.Hour, kept{1, 0, 0, true}, all},
		{72 * time.Hour, kept{1, 0, 0, false}, kept{1, 1, 1, false}},
		{13 * 24 * time.Hour, kept{0, 0, 0, false}, kept{1, 1, 1, false}},
		{80 * 24 * time.Hour, kept{0, 0, 0, false}, kept{1, 1, 0, false}},
	} {
		c.add(step.after)
		_, err := j.round(ctx)
		must(err)
		for name, want := range map[string]kept{"thrifty": step.thrifty, "keeper": step.keeper} {
			if got := look(name); got != want {
				t.Errorf("%s after %s more: %+v, want %+v", name, step.after, got, want)
			}
		}
	}
	// Another node's turn: this one leaves everything alone.
	must(a.Store.Release(ctx, a.Options.Node, []message.ConnectorID{janitorID()}))
	_, err = a.Store.Lease(ctx, "another", []message.ConnectorID{janitorID()}, time.Minute)
	must(err)
	c.add(1000 * 24 * time.Hour)
	if n, err := j.round(ctx); n != 0 || err != nil {
		t.Errorf("%d rows went while another node cleans, %v", n, err)
	}
	j.Start()
	j.Start()
	for range 2 {
		must(j.Stop(ctx))
	}
}

// TestErasureReachesAllNodes: a person that one node erased is gone from the
// memory of the other.
func TestErasureReachesAllNodes(t *testing.T) {
	server := pgtest.Start(t, func(ctx context.Context, url string) error {
		_, _, err := postgres.Migrate(ctx, url)
		return err
	})
	url := server.Database(t)
	key := Secret("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
	one := node(t, Options{DataDir: t.TempDir(), DatabaseURL: url, MasterKey: key, Node: "one"}, time.Now)
	two := node(t, Options{DataDir: t.TempDir(), DatabaseURL: url, MasterKey: key, Node: "two"}, time.Now)
	ctx := t.Context()
	w, err := one.Workspaces.Create(ctx, "Brand")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan message.ContactID, 100)
	f := newFollower(two.Store, func(ws message.WorkspaceID, id message.ContactID) { two.People.Forget(ws, id); told <- id }, two.log)
	if err := f.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 2 {
			if err := f.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	p, err := one.People.Create(ctx, w.ID, contact.Profile{Name: "A"}, message.Address{Channel: message.Phone, ID: "+33612345678"})
	if err != nil {
		t.Fatal(err)
	}
	heard := func() {
		t.Helper()
		select {
		case id := <-told:
			if id != p.ID {
				t.Fatalf("heard of %s", id)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was heard")
		}
	}
	there, err := two.People.ByID(ctx, w.ID, p.ID)
	if err != nil || there.Erased() {
		t.Fatalf("the second node does not know the person: %v", err)
	}
	if _, err := one.Privacy.Erase(ctx, w.ID, p.ID); err != nil {
		t.Fatal(err)
	}
	heard()
	gone, err := two.People.ByID(ctx, w.ID, p.ID)
	if err != nil || !gone.Erased() {
		t.Fatalf("the second node still holds the person: %v", err)
	}
}
