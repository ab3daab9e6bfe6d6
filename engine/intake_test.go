package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// A slowStore commits new messages only when told to, and writes down whose
// they were.
type slowStore struct {
	store.Store
	let  chan struct{}
	mu   sync.Mutex
	came []message.WorkspaceID
}

func (s *slowStore) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	s.mu.Lock()
	s.came = append(s.came, items[0].Message.Workspace)
	s.mu.Unlock()
	<-s.let
	return s.Store.Accept(ctx, items)
}

func (s *slowStore) seen() []message.WorkspaceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.came)
}

// TestTenantsShareTheDoor (law 11): one tenant has hundreds of requests in
// flight when another sends a single one. It comes in next, not after them.
func TestTenantsShareTheDoor(t *testing.T) {
	slow := &slowStore{let: make(chan struct{})}
	const room, flood = 32, 300
	w := newWorldOn(t, func(s store.Store) engine.Store {
		slow.Store = s
		return slow
	}, new(turnstile).open, func(o *engine.Options) { o.Intake = room })
	let := sync.OnceFunc(func() { close(slow.let) })
	t.Cleanup(let)
	other, err := w.rooms.Create(w.ctx, "another brand")
	must(t, err)
	cn, err := w.rooms.PutConnector(w.ctx, other.ID, workspace.ConnectorInput{Kind: "turnstile", Name: "their own", Config: json.RawMessage(`{}`)})
	must(t, err)
	_, err = w.rooms.PutSender(w.ctx, &store.Sender{Workspace: other.ID, Channel: message.SMS, Address: "BRAND", Connectors: []message.ConnectorID{cn.ID}, CreatedAt: time.Now()})
	must(t, err)

	var asked sync.WaitGroup
	send := func(ws message.WorkspaceID, i int) {
		asked.Go(func() {
			if _, err := w.engine.Accept(w.ctx, ws, smsTo(fmt.Sprintf("+336124%05d", i), message.Authentication), engine.Idempotency{}); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range flood {
		send(w.ws, i)
	}
	w.eventually("the flood stands before the door", func() bool {
		inside, waiting := w.engine.Intake()
		return inside == room && waiting == flood-room && len(slow.seen()) == room
	})
	send(other.ID, flood)
	w.eventually("the single one too", func() bool { _, waiting := w.engine.Intake(); return waiting == flood-room+1 })
	// One at a time: one of the flood's was next when it came, then it is its turn.
	for n := range 2 {
		slow.let <- struct{}{}
		w.eventually("the next comes in", func() bool { return len(slow.seen()) == room+n+1 })
	}
	if at := slices.Index(slow.seen(), other.ID); at < room || at > room+1 {
		t.Errorf("the single request came in as number %d", at)
	}
	let()
	asked.Wait()
	if inside, waiting := w.engine.Intake(); inside != 0 || waiting != 0 {
		t.Errorf("%d inside and %d waiting after all", inside, waiting)
	}
}
