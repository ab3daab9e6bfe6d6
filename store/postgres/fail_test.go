package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestRestart stops the server abruptly while eight callers write. Every write
// that was acknowledged is there afterwards, none that failed as unavailable
// is, and the store goes on by itself.
func TestRestart(t *testing.T) {
	server := pgtest.Start(t, migrate)
	s := openAt(t, server.Database(t), nil)
	w := newWorld(t, s, 10)
	var mu sync.Mutex
	outcome := make(map[[16]byte]error)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wrote := make(chan struct{}, 1)
	for c := range 8 {
		wg.Go(func() {
			for i := c; ; i += 8 {
				select {
				case <-stop:
					return
				default:
				}
				a := w.acceptance(i)
				_, err := s.Accept(context.Background(), []*store.Acceptance{a})
				mu.Lock()
				outcome[a.Message.ID] = err
				mu.Unlock()
				if err == nil {
					nudge(wrote)
				} else if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUncertain) {
					t.Errorf("accept: %v", err)
				}
			}
		})
	}
	for range 3 {
		for range 30 {
			<-wrote
		}
		server.Stop(true)
		if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUncertain) {
			t.Errorf("ping of a stopped server: %v", err)
		}
		select {
		case <-wrote: // of before the stop
		default:
		}
		if err := server.Launch(); err != nil {
			t.Fatal(err)
		}
		<-wrote // by itself
	}
	close(stop)
	wg.Wait()
	var lost, ghosts, acked, uncertain int
	for id, err := range outcome {
		found, readErr := s.Messages(t.Context(), w.ws, ids16(id))
		if readErr != nil {
			t.Fatal(readErr)
		}
		switch {
		case err == nil:
			if acked++; found[0] == nil {
				lost++
			}
		case errors.Is(err, store.ErrUncertain):
			uncertain++
		case found[0] != nil:
			ghosts++
		}
	}
	t.Logf("%d acknowledged, %d uncertain of %d", acked, uncertain, len(outcome))
	if lost > 0 || ghosts > 0 {
		t.Errorf("%d acknowledged writes are lost, %d refused ones are there", lost, ghosts)
	}
	books, err := s.Books(t.Context(), w.ws)
	if err != nil || books.Orphans != 0 || books.Lost != 0 || books.Events != books.Accepted {
		t.Errorf("books = %+v, %v", books, err)
	}
}

// TestBacklog fills the queue while the writers are held.
func TestBacklog(t *testing.T) {
	s := open(t, func(o *Options) { o.Backlog = 3; o.Writers = 1; o.Group = 1 })
	w := newWorld(t, s, 1)
	conn := direct(t, s)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 3)
	for i := range 3 {
		go func() {
			_, err := s.Accept(context.Background(), []*store.Acceptance{w.acceptance(i)})
			results <- err
		}()
	}
	for waiting, limit := s.Backlog(); waiting < 3; waiting, limit = s.Backlog() {
		if limit != 3 {
			t.Fatalf("limit = %d", limit)
		}
	}
	if _, err := s.Accept(t.Context(), []*store.Acceptance{w.acceptance(0)}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a full backlog answers %v", err)
	}
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if waiting, _ := s.Backlog(); waiting != 0 {
		t.Errorf("%d still wait", waiting)
	}
}

// TestCancelled: ctx ends a write that no writer has begun.
func TestCancelled(t *testing.T) {
	s := open(t, func(o *Options) { o.Writers = 1; o.Group = 1 })
	w := newWorld(t, s, 1)
	conn := direct(t, s)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() {
		_, err := s.Accept(context.Background(), []*store.Acceptance{w.acceptance(0)})
		first <- err
	}()
	for watcher := direct(t, s); len(waiting(t, watcher)) == 0; { // until the writer waits for the lock
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	a := w.acceptance(0)
	go func() {
		_, err := s.Accept(ctx, []*store.Acceptance{a})
		second <- err
	}()
	for waiting, _ := s.Backlog(); waiting < 2; waiting, _ = s.Backlog() {
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled write: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	found, err := s.Messages(t.Context(), w.ws, ids16(a.Message.ID))
	if err != nil || found[0] != nil {
		t.Errorf("a cancelled write was written: %v, %v", found, err)
	}
}

// TestTimeout: a lock that is not let go makes writes unavailable, with a hint,
// and the store goes on after it.
func TestTimeout(t *testing.T) {
	for name, limit := range map[string]func(*Options){
		"lock":      func(o *Options) { o.Lock = 500 * time.Millisecond },
		"statement": func(o *Options) { o.Statement = 500 * time.Millisecond },
		"pooler":    func(o *Options) { o.Lock = 500 * time.Millisecond; o.Pooler = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, limit)
			w := newWorld(t, s, 1)
			conn := direct(t, s)
			if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			a := w.acceptance(0)
			_, err := s.Accept(t.Context(), []*store.Acceptance{a})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("accept behind a lock: %v", err)
			}
			t.Log(err)
			if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
				t.Fatal(err)
			}
			got, err := s.Accept(t.Context(), []*store.Acceptance{a})
			if err != nil || got[0].Verdict != store.Done {
				t.Errorf("accept after it: %v, %v", got, err)
			}
		})
	}
}

// TestExhausted: no connection left is said clearly.
func TestExhausted(t *testing.T) {
	s := open(t, func(o *Options) { o.Readers = 2; o.Wait = 2 * time.Second })
	for range 2 {
		c, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
	}
	_, err := s.WorkspaceList(t.Context())
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("no connection free: %v", err)
	}
	t.Log(err)

	server := pgtest.Start(t, migrate)
	url := server.Database(t)
	server.Stop(false)
	if err := server.Launch("max_connections=5", "superuser_reserved_connections=0", "max_wal_senders=0"); err != nil {
		t.Fatal(err)
	}
	var held []*pgx.Conn
	for range 5 {
		if c, err := pgx.Connect(t.Context(), url); err == nil {
			held = append(held, c)
		}
	}
	_, err = Open(t.Context(), Options{URL: url, Now: time.Now})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the server has no connection left: %v", err)
	}
	t.Log(err)
	for _, c := range held {
		_ = c.Close(t.Context())
	}
}

// TestWeak: settings that would lose acknowledged writes are refused.
func TestWeak(t *testing.T) {
	url := server.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "ALTER ROLE postgres IN DATABASE "+conn.Config().Database+" SET synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{URL: url, Now: time.Now})
	if !errors.Is(err, store.ErrWeak) {
		t.Errorf("synchronous_commit off: %v", err)
	}
	server := pgtest.Start(t, migrate)
	url = server.Database(t)
	for _, setting := range []string{"fsync=off", "full_page_writes=off"} {
		server.Stop(false)
		if err := server.Launch(setting); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{URL: url, Now: time.Now}); !errors.Is(err, store.ErrWeak) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// TestSchema: a database that is newer, older or empty is refused; nodes that
// migrate together do it once.
func TestSchema(t *testing.T) {
	url := server.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{
		"INSERT INTO parley_schema (version, name) VALUES (9999, 'future')",
		"DELETE FROM parley_schema",
		"DROP TABLE parley_schema",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Options{URL: url, Now: time.Now})
		if !errors.Is(err, store.ErrSchema) {
			t.Errorf("%s: %v", sql, err)
		}
		t.Log(err)
	}
	if _, err := conn.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := migrate(context.Background(), url); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	openAt(t, url, nil)
}

// TestBadData: a row the server refuses fails its own call only.
func TestBadData(t *testing.T) {
	s := open(t, func(o *Options) { o.Writers = 1 })
	w := newWorld(t, s, 1)
	conn := direct(t, s)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	results := make([]error, 6)
	var wg sync.WaitGroup
	for i := range results {
		a := w.acceptance(i)
		if i == 3 {
			a.Message.Channel = "\x00"
		}
		wg.Go(func() { _, results[i] = s.Accept(context.Background(), []*store.Acceptance{a}) })
	}
	for waiting, _ := s.Backlog(); waiting < len(results); waiting, _ = s.Backlog() {
	}
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i, err := range results {
		if (err != nil) != (i == 3) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func ids16[K ~[16]byte](id K) []message.MessageID { return []message.MessageID{message.MessageID(id)} }

func direct(t *testing.T, s *Store) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// waiting lists the sessions that wait for a lock.
func waiting(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT pid::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(fmt.Errorf("sessions: %w", err))
	}
	return list
}
