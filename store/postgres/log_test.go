package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestLogSkipsNothing: eight callers write on four connections of two nodes,
// others hold transactions with events open across many commits, and a reader
// follows all the while. It must see every event once, and those of one
// message in order.
func TestLogSkipsNothing(t *testing.T) {
	url := server.Database(t)
	a := openAt(t, url, nil)
	b := openAt(t, url, nil)
	w := newWorld(t, a, 50)
	second := *w
	second.s = b

	const callers, rounds, each, longs = 8, 12, 5, 40
	var writing sync.WaitGroup
	for c := range callers {
		node := []*world{w, &second}[c%2]
		writing.Go(func() {
			for r := range rounds {
				node.lives(t, c*rounds+r, each)
			}
		})
	}
	// Long transactions: they take their number early and commit late.
	writing.Go(func() {
		for range longs {
			conn := direct(t, a)
			tx, err := conn.Begin(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			e := store.Event{ID: newID(time.Now()), Workspace: w.ws, Type: "late", At: time.Now()}
			if err := appendEvents(context.Background(), tx, ourEpoch, []store.Event{e}); err != nil {
				t.Error(err)
				return
			}
			w.lives(t, 0, 1) // commits behind its back
			if err := tx.Commit(context.Background()); err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close(context.Background())
		}
	})
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()

	const want = (callers*rounds*each+longs)*4 + longs
	seen := make(map[message.EventID]bool)
	version := make(map[message.MessageID]int32)
	var cursor store.Cursor
	late, finished := 0, false
	for {
		changed := b.Changed()
		list, next, err := b.Read(t.Context(), message.WorkspaceID{}, cursor, 97)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if seen[e.ID] {
				t.Fatalf("event %s came twice", e.ID)
			}
			seen[e.ID] = true
			if e.Type == "late" {
				late++
				continue
			}
			if e.Version != version[e.Message]+1 {
				t.Fatalf("message %s: version %d after %d", e.Message, e.Version, version[e.Message])
			}
			version[e.Message] = e.Version
		}
		cursor = next
		if len(list) > 0 {
			continue
		}
		if finished {
			break
		}
		select {
		case <-done:
			finished = true
		case <-changed:
		}
	}
	if len(seen) != want || late != longs {
		t.Errorf("%d events (%d late), want %d (%d)", len(seen), late, want, longs)
	}
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list, _, err := b.Read(t.Context(), w.ws, head, 10); err != nil || len(list) != 0 {
		t.Errorf("after the head: %v, %v", list, err)
	}
}

// TestEpochAfterRestore plays a restore into a new cluster: transaction numbers
// start again below those of the events restored.
func TestEpochAfterRestore(t *testing.T) {
	url := server.Database(t)
	s := openAt(t, url, nil)
	w := newWorld(t, s, 1)
	w.lives(t, 0, 2)
	conn := direct(t, s)
	for _, sql := range []string{
		"UPDATE events SET xid = (xid::text::bigint + 1000000000)::text::xid8", // the old cluster was far ahead
		"UPDATE epochs SET cluster = cluster + 1",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	restored := openAt(t, url, nil)
	epoch, err := restored.Epoch(t.Context(), false)
	if err != nil || epoch < 2 {
		t.Fatalf("epoch = %d, %v", epoch, err)
	}
	old, middle, err := restored.Read(t.Context(), w.ws, "", 3)
	if err != nil || len(old) != 3 {
		t.Fatalf("%d old events, %v", len(old), err)
	}
	w.s = restored
	w.lives(t, 0, 1)
	rest, end, err := restored.Read(t.Context(), w.ws, middle, 100)
	if err != nil || len(rest) != 5+4 {
		t.Errorf("%d events after a cursor of the old epoch, want 9; %v", len(rest), err)
	}
	raised, err := restored.Epoch(t.Context(), true)
	if err != nil || raised <= epoch {
		t.Errorf("raised from %d to %d, %v", epoch, raised, err)
	}
	if list, _, err := restored.Read(t.Context(), w.ws, end, 100); err != nil || len(list) != 0 {
		t.Errorf("raising the epoch made %d events, %v", len(list), err)
	}
	again := openAt(t, url, nil)
	if epoch, err := again.Epoch(t.Context(), false); err != nil || epoch != raised {
		t.Errorf("opening again gave epoch %d, not %d, %v", epoch, raised, err)
	}
}

// TestHints: another node hears of events and of work.
func TestHints(t *testing.T) {
	url := server.Database(t)
	a, b := openAt(t, url, nil), openAt(t, url, func(o *Options) { o.Pooler = true; o.ListenURL = url })
	w := newWorld(t, a, 1)
	// Nothing is promised before the connection listens: hint until it is heard.
	heard, from := make(chan struct{}), message.MessageID{1, 15: 2}
	go func() {
		defer close(heard)
		if got := <-b.Woken(); got.Connector != w.connector || got.From != from {
			t.Errorf("woken for %v", got)
		}
	}()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-heard:
		case <-tick.C:
			if err := a.Wake(t.Context(), store.Hints{w.connector: from}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		tick.Stop()
		break
	}
	changed := b.Changed()
	w.lives(t, 0, 1)
	<-changed
}
