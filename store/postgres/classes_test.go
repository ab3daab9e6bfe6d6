package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// schema reads the columns of every table, with their types.
func schema(t *testing.T, s *Store) map[string]map[string]string {
	t.Helper()
	tables := make(map[string]map[string]string)
	err := s.query(t.Context(), func(r pgx.Rows) error {
		var table, column, kind string
		err := r.Scan(&table, &column, &kind)
		if tables[table] == nil {
			tables[table] = make(map[string]string)
		}
		tables[table][column] = kind
		return err
	}, `SELECT table_name::text, column_name::text, udt_name::text FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func TestClasses(t *testing.T) {
	tables, classes := schema(t, open(t, nil)), Classes()
	for table, columns := range tables {
		declared, ok := classes[table]
		if !ok {
			t.Errorf("table %s is in no class", table)
		}
		for column := range declared {
			if kind := columns[column]; kind != "bytea" && kind != "_bytea" {
				t.Errorf("%s.%s is %s as declared in classes.go, but its type is %q", table, column, declared[column], kind)
			}
		}
		for column := range columns {
			if (column == "sealed" || column == "idx" || column == "answer") && declared[column] == "" {
				t.Errorf("%s.%s is in no class", table, column)
			}
		}
	}
	for table := range classes {
		if tables[table] == nil {
			t.Errorf("classes.go names table %s, which is not there", table)
		}
	}
}

// TestEraseMissesNothing fills every column that may hold something of a person
// with a mark, erases the person and looks for the mark in every column.
func TestEraseMissesNothing(t *testing.T) {
	s := open(t, nil)
	ctx, now := t.Context(), time.Now()
	mark := []byte("MARKOFAPERSON-MARKOFAPERSON")
	index := [16]byte([]byte("INDEXOFAPERSON!!"))
	ws, connector := message.WorkspaceID(newID(now)), message.ConnectorID(newID(now))
	contact := &store.NewContact{
		ID: newID(now), Workspace: ws, Key: mark, CreatedAt: now, Profile: mark,
		Identities: []store.Identity{{Index: index, Channel: message.Phone, Sealed: mark, CreatedAt: now}},
	}
	event := func() store.Event {
		return store.Event{ID: newID(now), Workspace: ws, Type: "message.received", Contact: contact.ID, At: now, Sealed: mark}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateContact(ctx, contact, []store.Event{event()}))
	must(s.Remember(ctx, ws, index, store.Reach{Index: index, Channel: message.SMS, Code: "1", Until: now.Add(time.Hour)}))
	must(s.Suppress(ctx, store.Suppression{Workspace: ws, Index: index, Scope: "all", Reason: "api", At: now}, nil))
	d := &message.Delivery{ID: newID(now), Workspace: ws, Contact: contact.ID, State: message.Queued, Version: 1, Purpose: message.Utility}
	_, err := s.Accept(ctx, []*store.Acceptance{{
		Delivery: d, Connector: connector, Events: []store.Event{event()},
		Message: &store.Message{ID: d.ID, Workspace: ws, Contact: contact.ID, Direction: store.MT, Identity: index, CreatedAt: now, Sealed: mark},
	}})
	must(err)
	_, err = s.Receive(ctx, []*store.Reception{{
		Dedup: newID(now), Forget: now, Events: []store.Event{event()},
		Message: &store.Message{ID: newID(now), Workspace: ws, Contact: contact.ID, Direction: store.MO, Identity: index, CreatedAt: now, Sealed: mark},
		Window:  &store.Window{Identity: index, Kind: "service", OpenedAt: now, ClosesAt: now.Add(time.Hour)},
	}})
	must(err)
	file := newID(now)
	must(s.PutMedia(ctx, &store.MediaFile{ID: file, Workspace: ws, Contact: contact.ID, State: store.MediaOpen, CreatedAt: now, Sealed: mark}))
	must(s.PutChunks(ctx, ws, file, 0, [][]byte{mark}))
	must(s.PutCopy(ctx, &store.MediaCopy{Workspace: ws, Media: file, Connector: connector, Sealed: mark}))
	must(s.PutLink(ctx, &store.Link{Key: index, Workspace: ws, Contact: contact.ID, Media: file, ExpiresAt: now}))

	found := marked(t, s, mark, index[:])
	for table, columns := range Classes() {
		for column, class := range columns {
			name := table + "." + column
			if (class == ByContact || class == Hash && Survivors()[name] == "") && !found[name] {
				t.Errorf("%s must be emptied by erase, but this test writes nothing into it", name)
			}
		}
	}
	verdict, err := s.Erase(ctx, ws, contact.ID, now, nil)
	must(err)
	if verdict != store.Done {
		t.Fatal(verdict)
	}
	for name := range marked(t, s, mark, index[:]) {
		if Survivors()[name] == "" {
			t.Errorf("erase left something of the person in %s", name)
		}
	}
}

// marked gives the columns that hold one of the marks.
func marked(t *testing.T, s *Store, marks ...[]byte) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for table, columns := range schema(t, s) {
		for column, kind := range columns {
			text := fmt.Sprintf(`convert_to(%q::text, 'UTF8')`, column)
			if kind == "bytea" {
				text = fmt.Sprintf("%q", column)
			}
			for _, mark := range marks {
				var n int
				if err := s.row(t.Context(), []any{&n}, fmt.Sprintf("SELECT count(*) FROM %s WHERE position($1::bytea IN %s) > 0", table, text), mark); err != nil {
					t.Fatal(err)
				}
				if n > 0 {
					found[table+"."+column] = true
				}
			}
		}
	}
	return found
}
