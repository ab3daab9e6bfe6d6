package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestTornLog cuts the write-ahead log at page boundaries and within pages, as
// a power cut may: what is left is always a whole prefix of the commits.
func TestTornLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	if err := Migrate(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{})
	ws := message.WorkspaceID(newID(time.Now()))
	const commits = 5
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
		c, err := Open(context.Background(), torn, Options{Now: time.Now, Readers: 1})
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
	for range 2 {
		err = errors.Join(err, accept(s, ws, 100))
	}
	lost, headErr := s.Head(ctx)
	if err = errors.Join(err, headErr); err != nil {
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
	if err != nil || epoch < 2 {
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
	if _, _, err := r.Read(ctx, ws, "9999999999.1", 1); !errors.Is(err, store.ErrNotFound) {
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
