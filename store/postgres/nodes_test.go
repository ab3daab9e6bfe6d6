package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestTwoNodesOneKey: whatever node a repeated request, a new person or a
// repeated inbound message comes to, it is stored once.
func TestTwoNodesOneKey(t *testing.T) {
	url := server.Database(t)
	nodes := []*Store{openAt(t, url, nil), openAt(t, url, nil)}
	w := newWorld(t, nodes[0], 1)
	now := time.Now()
	for range 5 {
		ctx := context.Background()
		name, body, index, dedup := newID(now), newID(now), newID(now), newID(now)
		var mu sync.Mutex
		verdicts := make(map[string]int)
		var wg sync.WaitGroup
		for i := range 16 {
			count := func(kind string, v store.Verdict, err error) {
				mu.Lock()
				defer mu.Unlock()
				verdicts[kind+v.String()]++
				if err != nil {
					t.Error(err)
				}
			}
			wg.Go(func() {
				a := w.acceptance(0)
				a.Idempotency = &store.Idempotency{Key: name, Body: body, Created: now, Expires: now.Add(time.Hour)}
				got, err := nodes[i%2].Accept(ctx, []*store.Acceptance{a})
				if err != nil {
					t.Error(err)
					return
				}
				count("accept ", got[0].Verdict, nil)
			})
			wg.Go(func() {
				a := w.acceptance(0)
				a.NewContact = &store.NewContact{
					ID: newID(now), Workspace: w.ws, Key: []byte{1}, CreatedAt: now,
					Identities: []store.Identity{{Index: index, Channel: message.Phone, CreatedAt: now}},
				}
				a.Message.Contact, a.Delivery.Contact = a.NewContact.ID, a.NewContact.ID
				got, err := nodes[i%2].Accept(ctx, []*store.Acceptance{a})
				if err != nil {
					t.Error(err)
					return
				}
				count("person ", got[0].Verdict, nil)
			})
			wg.Go(func() {
				m := &store.Message{ID: newID(now), Workspace: w.ws, Contact: w.people[0], Direction: store.MO, CreatedAt: now}
				got, err := nodes[i%2].Receive(ctx, []*store.Reception{{
					Dedup: dedup, Forget: now, Message: m,
					Window: &store.Window{Kind: "service", OpenedAt: now, ClosesAt: now.Add(time.Hour)},
				}})
				if err != nil {
					t.Error(err)
					return
				}
				count("receive ", got[0], nil)
			})
		}
		wg.Wait()
		for kind, want := range map[string]int{
			"accept done": 1, "accept replayed": 15, "person done": 1, "person identity_taken": 15, "receive done": 1, "receive duplicate": 15,
		} {
			if verdicts[kind] != want {
				t.Errorf("%s: %d, want %d (%v)", kind, verdicts[kind], want, verdicts)
			}
		}
	}
	books, err := nodes[0].Books(t.Context(), message.WorkspaceID{})
	if err != nil || books.Accepted != 10 || books.Received != 5 || books.Orphans != 0 {
		t.Errorf("books = %+v, %v", books, err)
	}
}

// TestOptOutBeatsAttempt (law 7): once Suppress has returned, no change guarded
// by the version before it is written, on any node.
func TestOptOutBeatsAttempt(t *testing.T) {
	url := server.Database(t)
	nodes := []*Store{openAt(t, url, nil), openAt(t, url, nil)}
	w := newWorld(t, nodes[0], 20)
	for i, who := range w.people {
		a := w.acceptance(i)
		if _, err := nodes[0].Accept(t.Context(), []*store.Acceptance{a}); err != nil {
			t.Fatal(err)
		}
		person, err := nodes[0].Contact(t.Context(), w.ws, who)
		if err != nil {
			t.Fatal(err)
		}
		suppressed := make(chan struct{})
		go func() {
			defer close(suppressed)
			x := store.Suppression{Workspace: w.ws, Index: person.Identities[0].Index, Scope: "all", Reason: "keyword:STOP", At: time.Now()}
			if err := nodes[0].Suppress(context.Background(), x, nil); err != nil {
				t.Error(err)
			}
		}()
		for state := message.Sending; ; {
			after := false
			select {
			case <-suppressed:
				after = true
			default:
			}
			c := w.stage(a, 0)
			c.Delivery.State = state
			c.Guard = &store.Guard{Contact: person.Version}
			got, err := nodes[1].Apply(t.Context(), []*store.Change{c})
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Verdict == store.Guarded {
				break
			}
			if got[0].Verdict != store.Done || after {
				t.Fatalf("%s, after the opt-out: %v", got[0].Verdict, after)
			}
		}
		<-suppressed
	}
}

// TestWritersDoNotDeadlock: changes of the same deliveries in opposite orders,
// on two nodes with four writers each.
func TestWritersDoNotDeadlock(t *testing.T) {
	url := server.Database(t)
	four := func(o *Options) { o.Writers = 4; o.Group = 30 }
	nodes := []*Store{openAt(t, url, four), openAt(t, url, four)}
	w := newWorld(t, nodes[0], 30)
	items := make([]*store.Acceptance, 30)
	for i := range items {
		items[i] = w.acceptance(i)
	}
	if _, err := nodes[0].Accept(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for c := range 8 {
		wg.Go(func() {
			for r := range 20 {
				changes := make([]*store.Change, len(items))
				for i := range items {
					at := i
					if c%2 == 1 {
						at = len(items) - 1 - i
					}
					d := *items[at].Delivery
					d.Version, d.State = int32(r+2), message.Sent
					changes[i] = &store.Change{Delivery: &d, Connector: w.connector, Guard: &store.Guard{Contact: 1}}
				}
				got, err := nodes[c%2].Apply(context.Background(), changes)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, g := range got {
					if g.Verdict == store.Done {
						done++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if done < len(items) || done > 20*len(items) {
		t.Errorf("%d changes were done", done)
	}
	for _, s := range nodes {
		var n int
		if err := s.row(t.Context(), []any{&n}, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); err != nil || n != 0 {
			t.Errorf("%d deadlocks, %v", n, err)
		}
	}
}
