package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	now := time.Now()
	c := &store.NewContact{ID: newID(now), Workspace: ws, Key: make([]byte, 60), CreatedAt: now,
		Identities: []store.Identity{{Index: newID(now), Channel: message.Phone, CreatedAt: now}}}
	d := &message.Delivery{ID: newID(now), Workspace: ws, Contact: c.ID, State: message.Queued, Version: 1, Purpose: message.Utility, CreatedAt: now, Due: now}
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

// TestTornLog cuts the write-ahead log at page boundaries and within pages, as
// a power cut may: what is left is always a whole prefix of the commits.
func TestTornLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	s := open(t, path, Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	const commits = 25
	for range commits {
		if err := accept(s, ws, 300); err != nil {
			t.Fatal(err)
		}
	}
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const header, frame = 32, 24 + 4096
	frames := (len(log) - header) / frame
	var cuts []int
	for i := 0; i <= frames; i++ {
		cuts = append(cuts, header+i*frame)
		if i%7 == 0 && i < frames {
			cuts = append(cuts, header+i*frame+11, header+i*frame+2000)
		}
	}
	last, seen := int64(-1), make(map[int64]bool)
	for _, cut := range cuts {
		torn := filepath.Join(dir, fmt.Sprintf("torn-%d.db", cut))
		for name, b := range map[string][]byte{torn: base, torn + "-wal": log[:cut]} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if cut < header+frame && len(base) == 0 {
			continue
		}
		c, err := Open(context.Background(), torn, Options{Now: time.Now, Migrate: true})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		b := books(t, c)
		if b.Accepted < last || b.Events != b.Accepted || b.Ready != b.Accepted || b.Orphans != 0 {
			t.Errorf("cut at %d: %d before, books %+v", cut, last, b)
		}
		last = b.Accepted
		seen[last] = true
		check := c.writer.c.q(`PRAGMA integrity_check`)
		if _, err := check.row(); err != nil || check.str(0) != "ok" {
			t.Errorf("cut at %d: integrity %v", cut, err)
		}
		check.done()
		if err := accept(c, ws, 10); err != nil {
			t.Errorf("cut at %d: the store does not go on: %v", cut, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, tail := range []string{"", "-wal", "-shm", ".lock"} {
			_ = os.Remove(torn + tail)
		}
	}
	if last != commits || len(seen) != commits+1 {
		t.Errorf("%d of %d commits at the end, %d lengths seen", last, commits, len(seen))
	}
}

func TestBackup(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	s := open(t, path, Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	for range 10 {
		if err := accept(s, ws, 100); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(dir, "copy.db")
	if err := s.Backup(ctx, copied); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, copied); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	want, err := s.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Two more that the restored store will not have, and a reader past them.
	lost, err := s.Head(ctx)
	for range 2 {
		err = errors.Join(err, accept(s, ws, 100))
	}
	if lost, err = s.Head(ctx); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ctx, copied, path, Options{Now: time.Now}); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a living store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(dir, "restored.db")
	if err := Restore(ctx, copied, restored, Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	r := open(t, restored, Options{})
	if b := books(t, r); b.Accepted != 10 || b.Orphans != 0 {
		t.Errorf("books %+v", b)
	}
	epoch, err := r.Epoch(ctx, false)
	if err != nil || epoch != 2 {
		t.Errorf("epoch %d: %v", epoch, err)
	}
	for range 3 {
		if err := accept(r, ws, 100); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []store.Cursor{want, lost} {
		list, _, err := r.Read(ctx, ws, c, 100)
		if err != nil || len(list) != 3 {
			t.Errorf("after cursor %s: %d events, want the 3 told anew (%v)", c, len(list), err)
		}
	}
	if _, _, err := r.Read(ctx, ws, "9.1", 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cursor of the future: %v", err)
	}
}

func TestReopenKeepsAll(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, Options{Migrate: true})
	ws, connector := message.WorkspaceID(newID(time.Now())), message.ConnectorID(newID(time.Now()))
	if err := accept(s, ws, 10); err != nil {
		t.Fatal(err)
	}
	leases, err := s.Lease(ctx, "before", []message.ConnectorID{connector}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := s.Read(ctx, ws, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	after, _, err := s.Read(ctx, ws, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Error(d)
	}
	// The lock says that the process before is gone, and its leases with it.
	again, err := s.Lease(ctx, "after", []message.ConnectorID{connector}, time.Hour)
	if err != nil || len(again) != 1 || again[0].Token <= leases[0].Token {
		t.Errorf("leases %+v after %+v: %v", again, leases, err)
	}
}

func TestMigrationNames(t *testing.T) {
	names := Migrations()
	if len(names) == 0 || names[0] != "0001_init.sql" || !slices.IsSorted(names) {
		t.Errorf("migrations %v", names)
	}
}
