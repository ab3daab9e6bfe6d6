package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// after reads everything behind a cursor, as a reader that lives on would.
func after(t *testing.T, s *Store, c store.Cursor) []*store.LogEvent {
	t.Helper()
	list, _, err := s.Read(t.Context(), message.WorkspaceID{}, c, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// back waits until a store commits writes again, on each of its connections.
func back(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for good := 0; good < 10; {
		var trials sync.WaitGroup
		var failed atomic.Bool
		for range 8 {
			trials.Go(func() {
				if s.Ping(ctx) != nil || s.Finish(ctx, []message.EventID{newID(time.Now())}) != nil {
					failed.Store(true)
				}
			})
		}
		trials.Wait()
		if good++; failed.Load() {
			good = 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the store does not come back")
		}
	}
}

// burn uses up transaction numbers without a trace on the disk: transactions
// that are rolled back. It gives the last.
func burn(t *testing.T, at string, n int) (last uint64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for range n {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := tx.QueryRow(t.Context(), "SELECT pg_current_xact_id()::text").Scan(&text); err != nil {
			t.Fatal(err)
		}
		if last, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// TestNumbersGivenAgain: a server that crashed gives transaction numbers again
// that left no trace in its WAL. No event hides behind a head taken before.
func TestNumbersGivenAgain(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, migrate)
	at := pg.Database(t)
	s := openAt(t, at, nil)
	w := newWorld(t, s, 1)
	for try := 1; ; try++ {
		pg.Stop(false)
		if err := pg.Launch("wal_writer_delay=10s"); err != nil {
			t.Fatal(err)
		}
		back(t, s)
		w.lives(t, 0, 1)
		burnt := burn(t, at, 300)
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pg.Stop(true)
		if err := pg.Launch(); err != nil {
			t.Fatal(err)
		}
		again := burn(t, at, 1) < burnt
		back(t, s)
		w.lives(t, 0, 1)
		if got := len(after(t, s, head)); got != 4 {
			t.Errorf("%d events after the head, want 4", got)
		}
		if again {
			return
		}
		if try == 10 {
			t.Fatal("something flushed the WAL each time: no number was given twice")
		}
	}
}

// TestFailoverThatLost: a replica that missed the last commits is promoted
// under a live store. It gives their transaction numbers again, in a new epoch
// of the log: a reader that saw what is lost sees all that comes.
func TestFailoverThatLost(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, migrate)
	at, err := url.Parse(primary.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	replica := primary.Replica(t)
	address := "postgres://postgres@" + primary.Address() + "," + replica.Address() + at.Path + "?sslmode=disable&target_session_attrs=read-write"
	s := openAt(t, address, nil)
	w := newWorld(t, s, 1)
	w.lives(t, 0, 1)
	command := func(server *pgtest.Server, lines ...string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, line := range lines {
			if _, err := conn.Exec(t.Context(), line); err != nil {
				t.Fatal(line, err)
			}
		}
	}
	command(primary, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	command(replica, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	gone := func() bool {
		conn, err := pgx.Connect(t.Context(), primary.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var n int
		var names string
		if err := conn.QueryRow(t.Context(), "SELECT count(*), current_setting('synchronous_standby_names') FROM pg_stat_replication").Scan(&n, &names); err != nil {
			t.Fatal(err)
		}
		return n == 0 && names == ""
	}
	for tick := time.NewTicker(10 * time.Millisecond); !gone(); <-tick.C {
	}
	burn(t, primary.URL("postgres"), 1000)
	w.lives(t, 0, 20)
	seen := after(t, s, "")
	cursor := seen[len(seen)-1].Cursor
	primary.Stop(true)
	if err := replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	back(t, s)
	if epoch, err := s.Epoch(t.Context(), false); err != nil || epoch < 2 {
		t.Errorf("epoch = %d, %v", epoch, err)
	}
	if left := len(after(t, s, "")); left >= len(seen) {
		t.Fatalf("nothing was lost: %d events of %d", left, len(seen))
	}
	w.lives(t, 0, 2)
	list := after(t, s, cursor)
	if len(list) != 8 {
		t.Fatalf("%d events after a cursor of the lost ones, want 8", len(list))
	}
	old, err := parseCursor(cursor)
	if err != nil {
		t.Fatal(err)
	}
	if first, err := parseCursor(list[0].Cursor); err != nil || first.xid > old.xid {
		t.Errorf("the numbers were not given again: %s after %s, %v", list[0].Cursor, cursor, err)
	}
}

// TestEpochUnderALiveSession: the server behind a pooler was replaced and the
// session lives on. Whatever appends events finds out.
func TestEpochUnderALiveSession(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *Options) { o.Pooler = true })
	w := newWorld(t, s, 1)
	conn := direct(t, s)
	was := int64(1)
	for i, write := range []func(){
		func() { w.lives(t, 0, 1) },
		func() {
			e := store.Event{ID: newID(time.Now()), Workspace: w.ws, Type: "alone", At: time.Now()}
			if err := s.Append(t.Context(), []store.Event{e}); err != nil {
				t.Error(err)
			}
		},
		func() {
			e := store.Event{ID: newID(time.Now()), Workspace: w.ws, Type: "contact.created", At: time.Now()}
			c := &store.NewContact{ID: newID(time.Now()), Workspace: w.ws, Key: make([]byte, 60), CreatedAt: time.Now()}
			if err := s.CreateContact(t.Context(), c, []store.Event{e}); err != nil {
				t.Error(err)
			}
		},
		func() {
			a := w.acceptance(0)
			if got, err := s.Accept(t.Context(), []*store.Acceptance{a}); err != nil || got[0].Verdict != store.Done {
				t.Error(got, err)
			}
			if _, err := conn.Exec(t.Context(), "UPDATE epochs SET timeline = timeline + 1"); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Apply(t.Context(), []*store.Change{w.stage(a, 0)}); err != nil || got[0].Verdict != store.Done {
				t.Error(got, err)
			}
		},
	} {
		if i < 3 {
			if _, err := conn.Exec(t.Context(), "UPDATE epochs SET timeline = timeline + 1"); err != nil {
				t.Fatal(err)
			}
		}
		write()
		epoch, err := s.Epoch(t.Context(), false)
		if err != nil || epoch <= was {
			t.Errorf("write %d: epoch = %d after %d, %v", i, epoch, was, err)
		}
		was = epoch
	}
	last := after(t, s, "")
	if c := last[len(last)-1].Cursor; !strings.HasPrefix(string(c), fmt.Sprint(was)+".") {
		t.Errorf("the last event stands at %s, not in epoch %d", c, was)
	}
}
