package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.db")
	if _, err := Open(ctx, path, Options{Now: time.Now}); !errors.Is(err, store.ErrSchema) {
		t.Errorf("no database: %v", err)
	}
	if err := Migrate(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(ctx, path); err != nil {
		t.Errorf("migrate twice: %v", err)
	}
	if _, err := Open(ctx, path, Options{Now: time.Now, weak: true}); !errors.Is(err, store.ErrWeak) {
		t.Errorf("weak settings: %v", err)
	}
	s := open(t, path, Options{})
	if _, err := Open(ctx, path, Options{Now: time.Now}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	if err := Migrate(ctx, path); !errors.Is(err, ErrLocked) {
		t.Errorf("migrate beside a server: %v", err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + tail)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != fs.FileMode(0o600) {
			t.Errorf("%q may be read by others: %o", tail, mode)
		}
	}
	if err := s.writer.c.set("user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, path, Options{Now: time.Now, Migrate: true}); !errors.Is(err, store.ErrSchema) {
		t.Errorf("a newer schema: %v", err)
	}
	if err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("after close: %v", err)
	}
	if _, err := s.Head(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read after close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close twice: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := Migrate(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{readOnly: true})
	if err := s.Ping(context.Background()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	if _, err := s.Head(context.Background()); err != nil {
		t.Errorf("reading must go on: %v", err)
	}
}

// accept stores one message with a new person and its event.
func accept(s *Store, ws message.WorkspaceID, sealed int) error {
	return acceptFor(s, ws, sealed, message.Utility)
}

func acceptFor(s *Store, ws message.WorkspaceID, sealed int, purpose message.Purpose) error {
	now := time.Now()
	c := &store.NewContact{
		ID: newID(now), Workspace: ws, Key: make([]byte, 60), CreatedAt: now,
		Identities: []store.Identity{{Index: newID(now), Channel: message.Phone, CreatedAt: now}},
	}
	d := &message.Delivery{ID: newID(now), Workspace: ws, Contact: c.ID, State: message.Queued, Version: 1, Purpose: purpose, CreatedAt: now, Due: now}
	r, err := s.Accept(context.Background(), []*store.Acceptance{{
		Message:  &store.Message{ID: d.ID, Workspace: ws, Contact: c.ID, Direction: store.MT, CreatedAt: now, Sealed: make([]byte, sealed)},
		Delivery: d, NewContact: c, Ready: true,
		Events: []store.Event{{ID: newID(now), Workspace: ws, Type: "message.accepted", Message: d.ID, Contact: c.ID, Version: 1, At: now}},
	}})
	if err == nil && r[0].Verdict != store.Done {
		err = fmt.Errorf("verdict %s", r[0].Verdict)
	}
	return err
}

func books(t *testing.T, s *Store) *store.Books {
	t.Helper()
	b, err := s.Books(context.Background(), message.WorkspaceID{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFullDisk(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true, pages: 160})
	ws := message.WorkspaceID(newID(time.Now()))
	var mu sync.Mutex
	done := int64(0)
	var wg sync.WaitGroup
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				err := accept(s, ws, 700)
				if errors.Is(err, store.ErrUnavailable) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				done++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if b := books(t, s); b.Accepted != done || b.Events != done || b.Ready != done || b.Orphans != 0 {
		t.Errorf("%d were acknowledged, the books say %+v", done, b)
	}
	// There is room again: the store goes on by itself.
	if err := s.write(context.Background(), 1, func(w *writer) error { return w.c.set("max_page_count = 100000") }); err != nil {
		t.Fatal(err)
	}
	if err := accept(s, ws, 700); err != nil {
		t.Fatal(err)
	}
	if b := books(t, s); b.Accepted != done+1 || b.Orphans != 0 {
		t.Errorf("books %+v after %d", b, done+1)
	}
}

// TestDiskFillsAnywhere fills disks of many sizes, so that a transaction fails at
// each of its steps: SQLite may have taken it back by itself then, and what is
// still written would be committed alone.
func TestDiskFillsAnywhere(t *testing.T) {
	for pages := int64(130); pages < 230; pages += 2 {
		s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true, pages: pages, late: 4})
		ws := message.WorkspaceID(newID(time.Now()))
		done := int64(0)
		for refused := 0; refused < 3; {
			switch err := accept(s, ws, 100+int(pages)*7); {
			case errors.Is(err, store.ErrUnavailable):
				refused++
			case err != nil:
				t.Fatal(err)
			default:
				done++
			}
		}
		if b := books(t, s); b.Accepted != done || b.Events != done || b.Ready != done || b.Orphans != 0 {
			t.Errorf("%d pages: %d were acknowledged, the books say %+v", pages, done, b)
		}
		err := s.read(t.Context(), func(c *conn) error {
			for _, sql := range []string{
				`SELECT count(*) FROM contact_messages k WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = k.message)`,
				`SELECT count(*) FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = d.id)`,
			} {
				if n, err := c.count(sql); err != nil || n != 0 {
					t.Errorf("%d pages: %d of %s, %v", pages, n, sql, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for key := range s.lateOnes() {
			if list, err := s.Messages(t.Context(), ws, []message.MessageID{key.id}); err != nil || list[0] == nil {
				t.Errorf("%d pages: a delivery is held without its message: %v", pages, err)
			}
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true, Queue: 4})
	ctx, cancel := context.WithCancel(context.Background())
	begun, release := make(chan struct{}), make(chan struct{})
	results := make(chan error, 8)
	go func() {
		results <- s.write(context.Background(), 1, func(*writer) error { close(begun); <-release; return nil })
	}()
	<-begun
	ran := false
	go func() { results <- s.write(ctx, 3, func(*writer) error { ran = true; return nil }) }()
	for {
		if waiting, limit := s.Backlog(); waiting == 4 {
			if limit != 4 {
				t.Errorf("limit %d", limit)
			}
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the second write never came")
		}
	}
	if err := s.Ping(context.Background()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("beyond the queue: %v", err)
	}
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("given up while waiting: %v", err)
	}
	close(release)
	if err := <-results; err != nil {
		t.Error(err)
	}
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	if ran {
		t.Error("a write given up before it began was made")
	}
	if waiting, _ := s.Backlog(); waiting != 0 {
		t.Errorf("%d still wait", waiting)
	}
}

// TestBadOpAlone checks that an op which SQLite refuses fails alone.
func TestBadOpAlone(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	begun, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		_ = s.write(context.Background(), 1, func(*writer) error { close(begun); <-release; return nil })
	}()
	<-begun
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if i%5 == 0 {
				err := s.write(context.Background(), 1, func(w *writer) error { return w.c.q(`INSERT INTO meta VALUES ('ping', 0)`).exec() })
				if err == nil || errors.Is(err, store.ErrUnavailable) {
					t.Errorf("a bad write: %v", err)
				}
			} else if err := accept(s, ws, 10); err != nil {
				t.Error(err)
			}
		}()
	}
	close(release)
	wg.Wait()
	if b := books(t, s); b.Accepted != 16 || b.Events != 16 || b.Orphans != 0 {
		t.Errorf("books %+v", b)
	}
}

// A one-time code that comes behind a flood of new messages is durable before
// they are.
func TestCodesGoFirst(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true})
	var ws message.WorkspaceID = newID(time.Now())
	begun, release := make(chan struct{}), make(chan struct{})
	blocked := make(chan error, 1)
	go func() {
		blocked <- s.write(context.Background(), 1, func(*writer) error { close(begun); <-release; return nil })
	}()
	<-begun
	const flood = 4 * groupShare
	done := make(chan message.Purpose, flood+1)
	send := func(p message.Purpose) {
		if err := acceptFor(s, ws, 10, p); err != nil {
			t.Error(err)
		}
		done <- p
	}
	for range flood {
		go send(message.Marketing)
	}
	waits := func(n int) {
		for {
			if waiting, _ := s.Backlog(); waiting >= n {
				return
			}
			runtime.Gosched()
		}
	}
	waits(flood + 1)
	go send(message.Authentication)
	waits(flood + 2)
	close(release)
	if err := <-blocked; err != nil {
		t.Fatal(err)
	}
	before := 0
	for p := range done {
		if p == message.Authentication {
			break
		}
		before++
	}
	if before > 2*groupShare { // one group, and what the scheduler let pass
		t.Errorf("%d messages of the flood were told first", before)
	}
	for range flood - before {
		<-done
	}
}
