package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestForward: a database of the first version, with a person in it, is
// brought forward and keeps what it had.
func TestForward(t *testing.T) {
	url := server.Database(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	// The template database has the whole schema already.
	if _, err := conn.Exec(t.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	names := Migrations()
	if _, err := step(t.Context(), conn, names[0], number(names[len(names)-1])); err != nil {
		t.Fatal(err)
	}
	ws, who := message.WorkspaceID(newID(time.Now())), message.ContactID(newID(time.Now()))
	if _, err := conn.Exec(t.Context(), `INSERT INTO contacts (workspace, id, version, key, key_version, created_at) VALUES ($1, $2, 1, '\x01', 1, 1)`, ws[:], who[:]); err != nil {
		t.Fatal(err)
	}
	if err := checkVersion(t.Context(), conn); err == nil {
		t.Error("a database of the first version is taken as it is")
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	from, to, err := Migrate(t.Context(), url)
	if err != nil || from != 1 || to != number(names[len(names)-1]) {
		t.Fatalf("from %d to %d: %v", from, to, err)
	}
	s := openAt(t, url, nil)
	if _, err := s.Contact(t.Context(), ws, who); err != nil {
		t.Error("the person:", err)
	}
	m := &store.MediaFile{ID: newID(time.Now()), Workspace: ws, Contact: who, State: store.MediaOpen, CreatedAt: time.Now()}
	if err := s.PutMedia(t.Context(), m); err != nil {
		t.Error(err)
	}
}
