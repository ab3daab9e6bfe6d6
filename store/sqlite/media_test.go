package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	zs "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestForward: a database of the first version, with a person in it, is
// brought forward and keeps what it had.
func TestForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	c, err := zs.OpenConn(path, zs.OpenReadWrite|zs.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	first, err := migrations.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteScript(c, string(first)+"\nPRAGMA user_version = 1;", nil); err != nil {
		t.Fatal(err)
	}
	ws, who := message.WorkspaceID(newID(time.Now())), message.ContactID(newID(time.Now()))
	err = sqlitex.Execute(c, `INSERT INTO names (n, name) VALUES (1, ?)`, &sqlitex.ExecOptions{Args: []any{ws[:]}})
	if err == nil {
		err = sqlitex.Execute(c, `INSERT INTO contacts (workspace, id, version, key, key_version, created_at, erased_at) VALUES (1, ?, 1, x'01', 1, 1, 0)`, &sqlitex.ExecOptions{Args: []any{who[:]}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), path, Options{Now: time.Now}); err == nil {
		t.Error("a database of the first version was opened as it is")
	}
	s := open(t, path, Options{Migrate: true})
	if _, err := s.Contact(t.Context(), ws, who); err != nil {
		t.Error("the person:", err)
	}
	m := &store.MediaFile{ID: newID(time.Now()), Workspace: ws, Contact: who, State: store.MediaOpen, CreatedAt: time.Now()}
	if err := s.PutMedia(t.Context(), m); err != nil {
		t.Error(err)
	}
}
