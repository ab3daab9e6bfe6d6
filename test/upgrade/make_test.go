package upgrade

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// beside are the files of an installation that belong to its database.
var beside = []string{"master.key", "erasures.journal"}

// kept ends their names in testdata: a real key or journal is never committed,
// and Git is told so by name.
const kept = ".txt"

// moving are the fields of answers that tell of the node and not of the data.
var moving = []string{"health", "next", "more", "failing_since"}

// paths are what is read back, but the messages, contacts and conversations
// themselves.
var paths = []string{
	"/v1/me", "/v1/settings", "/v1/connectors", "/v1/senders", "/v1/templates", "/v1/webhooks", "/v1/api-keys",
	"/v1/messages?limit=100", "/v1/contacts?limit=100", "/v1/conversations?limit=100", "/v1/events?limit=200",
}

func message(to, text string) map[string]any {
	return map[string]any{"to": to, "purpose": "utility", "content": map[string]any{"text": text}, "route": []any{map[string]any{"channel": "sms"}}}
}

var repeated = message("+33611000003", "told twice")

// produce makes a small installation of today and keeps it in testdata.
func produce(t *testing.T, kind string) {
	t.Helper()
	folder := filepath.Join("testdata", fmt.Sprintf("schema-%d", len(sqlite.Migrations())), kind)
	url := ""
	if kind == "postgres" {
		url = pgtest.Start(t, nil).Empty(t)
	}
	w := rig.NewWorld(t, program, url)
	n := w.Node("alone")
	f := fixture{Key: n.FirstKey(), Answers: map[string]json.RawMessage{}}
	n.Start()
	n.Up(30 * time.Second)
	n.API.Key = f.Key
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer hooks.Close()
	var made struct{ ID string }
	n.API.Must(t, "POST", "/v1/webhooks", map[string]any{"url": hooks.URL}, &made)
	hook := made.ID
	n.Seed(f.Key, "", nil)
	n.API.Must(t, "PUT", "/v1/settings", map[string]any{"retention": map[string]any{"messages": "8760h"}}, nil)
	for i, body := range []map[string]any{
		message("+33611000001", "Votre vol est à l'heure ✈"),
		{"to": "+33611000002", "purpose": "utility", "template": map[string]any{"name": "boarding_pass", "language": "en", "parameters": map[string]any{"flight": "AF1234"}}, "route": []any{map[string]any{"channel": "whatsapp"}}},
		{"to": "+33611000004", "purpose": "marketing", "content": map[string]any{"text": "tomorrow"}, "route": []any{map[string]any{"channel": "sms"}}, "send_at": time.Now().Add(20 * time.Hour).Format(time.RFC3339), "metadata": map[string]any{"booking": "X7K2"}},
		{"to": "+33611000005", "purpose": "marketing", "template": map[string]any{"name": "paused_offer", "language": "en_US"}, "route": []any{map[string]any{"channel": "whatsapp"}}},
	} {
		n.API.Must(t, "POST", "/v1/messages", body, &made, "Idempotency-Key", fmt.Sprint("made-", i))
	}
	n.API.Must(t, "POST", "/v1/messages", repeated, &f.Repeat, "Idempotency-Key", "repeated")
	for _, body := range []map[string]any{
		{"channel": "sms", "to": rig.ShortCode, "text": "Où est ma valise ?"}, {"channel": "whatsapp", "text": "merci 🙂"}, {"channel": "sms", "to": rig.ShortCode, "text": "STOP"},
	} {
		w.Control.Must(t, "POST", "/handsets/33611000001/reply", body, nil)
	}
	// Somebody was erased: the journal says so, and what is left of him.
	n.API.Must(t, "POST", "/v1/contacts", map[string]any{"identities": []any{map[string]any{"channel": "phone", "address": "+33611000009"}}}, &made)
	n.API.Must(t, "DELETE", "/v1/contacts/"+made.ID, nil, nil)
	rig.Eventually(t, "everything came to an end", 30*time.Second, func() bool {
		var audit struct {
			Workspaces []struct {
				Books struct {
					Ready, Waiting, Received, Callbacks int
					Untold                              int            `json:"events_untold"`
					Unbooked                            int            `json:"events_unbooked"`
					Webhooks                            map[string]int `json:"webhook_deliveries"`
				}
			}
		}
		n.Admin.Must(t, "GET", "/audit", nil, &audit)
		b := audit.Workspaces[0].Books
		return b.Ready == 0 && b.Waiting == 1 && b.Received == 3 && b.Callbacks+b.Untold+b.Unbooked+b.Webhooks["pending"] == 0
	})

	// What is read is what was stored: a new life has nothing in memory.
	n.Terminate(t, 30*time.Second)
	n.Start()
	n.Up(30 * time.Second)
	all := append([]string{"/v1/webhooks/" + hook + "/deliveries?limit=100"}, paths...)
	var list struct {
		Data []struct {
			ID      string
			Contact any
		}
	}
	n.API.Must(t, "GET", "/v1/messages?limit=100", nil, &list)
	for _, m := range list.Data {
		all = append(all, "/v1/messages/"+m.ID)
	}
	n.API.Must(t, "GET", "/v1/contacts?limit=100", nil, &list)
	for _, c := range list.Data {
		all = append(all, "/v1/contacts/"+c.ID, "/v1/contacts/"+c.ID+"/suppressions", "/v1/conversations/"+c.ID+"?limit=100", "/v1/windows?contact="+c.ID)
	}
	for _, path := range all {
		var answer json.RawMessage
		n.API.Must(t, "GET", path, nil, &answer)
		f.Answers[path] = answer
	}
	f.Made = time.Now().UTC().Round(time.Second)
	n.Terminate(t, 30*time.Second)

	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range beside {
		raw, err := os.ReadFile(filepath.Join(w.Dir, "data", name))
		if err != nil {
			t.Fatal(err)
		}
		write(name+kept, raw)
	}
	write("expected.json", indented(f))
	write("database.sql", dump(t, kind, filepath.Join(w.Dir, "data", "parley.db"), url))
}

// dump gives a database as SQL that a library can run.
func dump(t *testing.T, kind, file, url string) []byte {
	t.Helper()
	var cmd *exec.Cmd
	head := ""
	if kind == "sqlite" {
		cmd = exec.Command("sqlite3", file, ".dump")
		head = fmt.Sprintf("PRAGMA user_version = %d;\n", len(sqlite.Migrations()))
	} else {
		cmd = exec.Command("pg_dump", "--inserts", "--no-owner", "--no-privileges", "--dbname", url)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	var b strings.Builder
	b.WriteString(head)
	for line := range strings.Lines(string(out)) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(line, `\`): // a command of psql
		case text == "BEGIN TRANSACTION;", text == "COMMIT;": // who loads it has his own
		default:
			b.WriteString(line)
		}
	}
	return []byte(b.String())
}
