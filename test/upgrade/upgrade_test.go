package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	zs "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/test/internal/rig"
)

var makeIt = flag.Bool("make", false, "make the fixtures of today's schema first; never over those of a release")

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(rig.Main(m, func(bin string) { program = bin }))
}

// A fixture is what was known when a database was made.
type fixture struct {
	Made    time.Time                  `json:"made"`
	Key     string                     `json:"key"`
	Repeat  json.RawMessage            `json:"repeat"`  // the answer to repeated under its idempotency key
	Answers map[string]json.RawMessage `json:"answers"` // by path
}

// stores are the kinds of database, and how one is filled from a dump: load
// gives the node's database URL.
var stores = map[string]func(t *testing.T, data, dump string) (url string){
	"sqlite": func(t *testing.T, data, dump string) string {
		c, err := zs.OpenConn(filepath.Join(data, "parley.db"), zs.OpenReadWrite|zs.OpenCreate)
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlitex.ExecuteScript(c, dump, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return ""
	},
	"postgres": func(t *testing.T, _, dump string) string {
		url := pgtest.Start(t, nil).Empty(t)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), dump, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		return url
	},
}

// TestUpgrade brings every database of testdata forward. Its data is there, its
// people's names can be opened, its books balance, what waited still waits, a
// repeated request is known, and the program works on it.
func TestUpgrade(t *testing.T) {
	if *makeIt {
		for kind := range stores {
			produce(t, kind)
		}
	}
	folders, err := filepath.Glob(filepath.Join("testdata", "schema-*", "*"))
	if err != nil || len(folders) < len(stores) {
		t.Fatalf("%d databases in testdata, %v", len(folders), err)
	}
	for _, folder := range folders {
		t.Run(strings.TrimPrefix(filepath.ToSlash(folder), "testdata/"), func(t *testing.T) {
			t.Parallel()
			upgrade(t, folder)
		})
	}
}

func upgrade(t *testing.T, folder string) {
	read := func(name string) []byte {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var f fixture
	if err := json.Unmarshal(read("expected.json"), &f); err != nil {
		t.Fatal(err)
	}
	w := rig.NewWorld(t, program, "")
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range beside {
		if err := os.WriteFile(filepath.Join(data, name), read(name+kept), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Database = stores[filepath.Base(folder)](t, data, string(read("database.sql")))
	// Life goes on a minute after the database was made: nothing is too old yet.
	n := w.Node("alone", "--clock-skew="+time.Until(f.Made.Add(time.Minute)).Round(time.Second).String())
	n.API.Key = f.Key
	n.Start()
	if !n.Up(30 * time.Second) {
		t.Fatal("the program does not start on it")
	}
	for path, want := range f.Answers {
		var got, expected any
		n.API.Must(t, "GET", path, nil, &got)
		if err := json.Unmarshal(want, &expected); err != nil {
			t.Fatal(err)
		}
		for _, where := range missing(path, expected, got) {
			t.Error(where)
		}
	}
	var audit struct {
		Workspaces []struct{ Problems []string }
	}
	n.Admin.Must(t, "GET", "/audit", nil, &audit)
	if len(audit.Workspaces) != 1 || len(audit.Workspaces[0].Problems) > 0 {
		t.Errorf("the books: %+v", audit)
	}
	var first, again struct{ ID string }
	if err := json.Unmarshal(f.Repeat, &first); err != nil {
		t.Fatal(err)
	}
	n.API.Must(t, "POST", "/v1/messages", repeated, &again, "Idempotency-Key", "repeated")
	if first.ID == "" || again.ID != first.ID {
		t.Errorf("a repeated request made %s, it was %s", again.ID, first.ID)
	}
	n.API.Must(t, "POST", "/v1/messages", message("+33699000001", "after the upgrade"), &again)
	if status, err := n.API.Call(t.Context(), "GET", "/v1/messages/"+again.ID, nil, nil); status != http.StatusOK {
		t.Errorf("a new message: %d, %v", status, err)
	}
	n.Terminate(t, 30*time.Second)
}

// missing compares an answer with the one that was given then: what was there
// must be there; there may be more.
func missing(at string, want, got any) (problems []string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, not an object", at, got)}
		}
		for k, v := range w {
			if !slices.Contains(moving, k) {
				problems = append(problems, missing(at+"."+k, v, g[k])...)
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s has %d items, not %d", at, len(g), len(w))}
		}
		for i, v := range w {
			problems = append(problems, missing(fmt.Sprintf("%s[%d]", at, i), v, g[i])...)
		}
	default:
		if want != got {
			return []string{fmt.Sprintf("%s is %v, was %v", at, got, want)}
		}
	}
	return problems
}

// indented is how fixtures are written, for people who read differences.
func indented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	_ = e.Encode(v) // made of JSON
	return b.Bytes()
}
