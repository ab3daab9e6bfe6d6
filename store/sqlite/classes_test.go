package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// columns reads the schema as it is in the database.
func columns(t *testing.T, c *conn) map[string]map[string]string {
	t.Helper()
	tables := make(map[string]map[string]string)
	q := c.q(`SELECT m.name, i.name, i.type FROM sqlite_schema m JOIN pragma_table_info(m.name) i WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	for {
		more, err := q.row()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return tables
		}
		if tables[q.str(0)] == nil {
			tables[q.str(0)] = make(map[string]string)
		}
		tables[q.str(0)][q.str(1)] = q.str(2)
	}
}

// comments reads the class that each column's comment in the migrations names.
func comments(t *testing.T) map[string]map[string]string {
	t.Helper()
	tables := make(map[string]map[string]string)
	table := regexp.MustCompile(`^CREATE TABLE (\w+) \(`)
	column := regexp.MustCompile(`^ +(\w+) +(?:INTEGER|TEXT|BLOB)\b.*-- (clear|hash|sealed)\b`)
	added := regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN (\w+) .*-- (clear|hash|sealed)\b`)
	for _, name := range Migrations() {
		sql, err := migrations.ReadFile("migrations/" + name)
		if err != nil {
			t.Fatal(err)
		}
		in := ""
		for line := range strings.Lines(string(sql)) {
			if m := table.FindStringSubmatch(line); m != nil {
				in = m[1]
				tables[in] = make(map[string]string)
			} else if m := added.FindStringSubmatch(line); m != nil {
				tables[m[1]][m[2]] = m[3]
			} else if m := column.FindStringSubmatch(line); m != nil && in != "" {
				tables[in][m[1]] = m[2]
			}
		}
	}
	return tables
}

func TestClasses(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true})
	schema, said := columns(t, s.writer.c), comments(t)
	classes := Classes()
	for table, cols := range schema {
		declared, ok := classes[table]
		if !ok {
			t.Errorf("table %s is in no class", table)
			continue
		}
		for col := range cols {
			want := "sealed"
			switch declared[col] {
			case "", Clear:
				want = "clear"
			case Hash:
				want = "hash"
			}
			if got := said[table][col]; got != want {
				t.Errorf("%s.%s: the migration's comment says %q, classes.go says %q", table, col, got, want)
			}
		}
		for col := range declared {
			if _, ok := cols[col]; !ok {
				t.Errorf("classes.go names %s.%s, which is not there", table, col)
			}
		}
	}
	for table := range classes {
		if schema[table] == nil {
			t.Errorf("classes.go names table %s, which is not there", table)
		}
	}
}

// TestEraseMissesNothing fills every column that may hold something of a
// person with a mark, erases the person and looks for the mark: in every
// column of every table, and in the bytes of the files.
func TestEraseMissesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, Options{Migrate: true})
	ctx, now := context.Background(), time.Now()
	mark := []byte("MARKOFAPERSON-MARKOFAPERSON")
	index, second := [16]byte([]byte("INDEXOFAPERSON!!")), [16]byte([]byte("SECONDOFAPERSON!"))
	ws, connector := message.WorkspaceID(newID(now)), message.ConnectorID(newID(now))
	contact := &store.NewContact{
		ID: newID(now), Workspace: ws, Key: mark, CreatedAt: now, Profile: mark,
		Identities: []store.Identity{{Index: index, Channel: message.Phone, Sealed: mark, CreatedAt: now}},
	}
	event := func() []store.Event {
		return []store.Event{{ID: newID(now), Workspace: ws, Type: "message.received", Contact: contact.ID, At: now, Sealed: mark}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateContact(ctx, contact, event()))
	must(s.write(ctx, 1, (*writer).catchUpAllEntries)) // whose the index is stands in its table; of the second it is still to be written
	must(s.AddIdentity(ctx, ws, contact.ID, store.Identity{Index: second, Channel: message.Phone, Sealed: mark, CreatedAt: now}, nil))
	must(s.Remember(ctx, ws, index, store.Reach{Index: index, Channel: message.SMS, Code: "1", Until: now.Add(time.Hour)}))
	must(s.Suppress(ctx, store.Suppression{Workspace: ws, Index: index, Scope: "all", Reason: "api", At: now}, nil))
	d := &message.Delivery{ID: newID(now), Workspace: ws, Contact: contact.ID, State: message.Queued, Version: 1, Purpose: message.Utility}
	_, err := s.Accept(ctx, []*store.Acceptance{{
		Delivery: d, Connector: connector, Events: event(),
		Message: &store.Message{ID: d.ID, Workspace: ws, Contact: contact.ID, Direction: store.MT, Identity: index, CreatedAt: now, Sealed: mark},
	}})
	must(err)
	_, err = s.Receive(ctx, []*store.Reception{{
		Dedup: newID(now), Forget: now, Events: event(),
		Message: &store.Message{ID: newID(now), Workspace: ws, Contact: contact.ID, Direction: store.MO, Identity: index, CreatedAt: now, Sealed: mark},
		Window:  &store.Window{Identity: index, Kind: "service", OpenedAt: now, ClosesAt: now.Add(time.Hour)},
	}})
	must(err)
	file := newID(now)
	must(s.PutMedia(ctx, &store.MediaFile{ID: file, Workspace: ws, Contact: contact.ID, State: store.MediaOpen, CreatedAt: now, Sealed: mark}))
	must(s.PutChunks(ctx, ws, file, 0, [][]byte{mark}))
	must(s.PutCopy(ctx, &store.MediaCopy{Workspace: ws, Media: file, Connector: connector, Sealed: mark}))
	must(s.PutLink(ctx, &store.Link{Key: index, Workspace: ws, Contact: contact.ID, Media: file, ExpiresAt: now}))

	found := marked(t, s, mark, index[:], second[:])
	if !found["entries.run"] {
		t.Error("nothing of the person is late")
	}
	for table, cols := range Classes() {
		for col, class := range cols {
			name := table + "." + col
			if class == ByContact && !found[name] {
				t.Errorf("%s is sealed by contact, but this test writes nothing into it", name)
			}
			if class == Hash && Survivors()[name] == "" && !found[name] {
				t.Errorf("%s is a hash that does not survive, but this test writes nothing into it", name)
			}
		}
	}
	verdict, err := s.Erase(ctx, ws, contact.ID, now, nil)
	must(err)
	if verdict != store.Done {
		t.Fatal(verdict)
	}
	for name := range marked(t, s, mark, index[:], second[:]) {
		if Survivors()[name] == "" || name == "entries.run" {
			t.Errorf("erase left something of the person in %s", name)
		}
	}
	must(s.Ping(ctx)) // no reader is in the way now,
	must(s.Ping(ctx)) // and the writer has been between two groups
	for _, tail := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + tail)
		must(err)
		if bytes.Contains(b, mark[:16]) || bytes.Contains(b, second[:]) {
			t.Errorf("the bytes of the file %q still hold something of the person", tail)
		}
	}
}

// marked gives the columns that hold one of the marks.
func marked(t *testing.T, s *Store, marks ...[]byte) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	err := s.read(context.Background(), func(c *conn) error {
		for table, cols := range columns(t, c) {
			for col := range cols {
				for _, mark := range marks {
					q := c.q(`SELECT count(*) FROM ` + table + ` WHERE instr(CAST("` + col + `" AS BLOB), ?) > 0`).blob(mark)
					if _, err := q.row(); err != nil {
						return err
					}
					if q.i(0) > 0 {
						found[table+"."+col] = true
					}
					q.done()
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
