package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/app"
	parley "github.com/parley-messaging/parley/sdk/go"
)

// write makes a file of a test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each line is told as "line: phone text parameters", or as what is wrong.
func TestRowsOfFiles(t *testing.T) {
	for name, test := range map[string]struct {
		file, text string
		c          sendCmd
		want       []string
		err        string
	}{
		"csv": {
			"a.csv", "to,name,text\n+33612345678,Ada,\n+33612345679,Bob,\"Own, {{name}}\"\n",
			sendCmd{Text: "Hello {{name}}"},
			[]string{"2: +33612345678 Hello Ada", "3: +33612345679 Own, Bob"},
			"",
		},
		"csv of a spreadsheet": {"a.csv", "\ufeffto;name\r\n+33612345678;Ada\r\n", sendCmd{Text: "Hello {{name}}"}, []string{"2: +33612345678 Hello Ada"}, ""},
		"a contact":            {"a.csv", "to\nct_01\n", sendCmd{Text: "Hi"}, []string{"2: ct_01 Hi"}, ""},
		"a column is missing":  {"a.csv", "to\n+1\n", sendCmd{Text: "Hello {{name}}"}, []string{"2: it has no value for name"}, ""},
		"nobody":               {"a.csv", "to,b\n,x\n+1,y\n", sendCmd{Text: "Hi"}, []string{"2: it has no to", "3: +1 Hi"}, ""},
		"cells are missing":    {"a.csv", "to,b\n+1\n+2,y\n", sendCmd{Text: "Hi"}, []string{"2: wrong number of fields", "3: +2 Hi"}, ""},
		"no heading to":        {"a.csv", "phone,b\n+1,y\n", sendCmd{Text: "Hi"}, nil, "no column named to"},
		"empty":                {"a.csv", "", sendCmd{Text: "Hi"}, nil, "no heading"},
		"template": {
			"a.csv", "to,flight\n+1,AF1\n",
			sendCmd{Template: "boarding_pass/en", Param: map[string]string{"gate": "B"}},
			[]string{"2: +1  flight=AF1 gate=B"},
			"",
		},
		"nothing to say": {"a.csv", "to\n+1\n", sendCmd{}, []string{"2: it says nothing: give a text, a column text, or --template"}, ""},
		"json lines": {
			"a.jsonl", "{\"to\":\"+1\",\"parameters\":{\"name\":\"Ada\"}}\n\n{\"to\":{\"contact\":\"ct_1\"},\"content\":{\"text\":\"Own\"}}\n{\"to\":\"+2\",\"nmae\":1}\n[]\n{\"to\":\"+3\",\"parameters\":{\"name\":\"B\"}}",
			sendCmd{Text: "Hello {{name}}"},
			[]string{"1: +1 Hello Ada", "3: ct_1 Own", "4: it is not as JSON lines", "5: it is not as JSON lines", "6: +3 Hello B"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.c
			c.File, c.Purpose = test.file, "utility"
			var got []string
			err := c.rows(strings.NewReader(test.text), func(r row) bool {
				text := ""
				if r.err != nil {
					text = r.err.Error()
					if strings.HasPrefix(text, "it is not as JSON lines") {
						text = "it is not as JSON lines"
					}
				} else {
					text = r.req.To.Phone + r.req.To.Contact + " "
					if r.req.Content != nil {
						text += r.req.Content.Text
					}
					if r.req.Template != nil {
						text += " flight=" + r.req.Template.Parameters["flight"] + " gate=" + r.req.Template.Parameters["gate"]
					}
				}
				got = append(got, fmt.Sprintf("%d: %s", r.line, text))
				return true
			})
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The same line has the same key wherever it stands; another word, person or
// --idempotency-key gives another.
func TestKeysOfLines(t *testing.T) {
	keys := func(text, salt, file string) []string {
		c := sendCmd{File: "a.csv", Purpose: "utility", Text: text, Key: salt}
		var out []string
		if err := c.rows(strings.NewReader(file), func(r row) bool { out = append(out, r.req.IdempotencyKey); return true }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	a := keys("Hi {{n}}", "", "to,n\n+1,a\n+2,a\n+1,b\n")
	b := keys("Hi {{n}}", "", "to,n\n+9,x\n+1,b\n+1,a\n")
	if a[0] == a[1] || a[0] == a[2] || a[0] != b[2] || a[2] != b[1] {
		t.Errorf("%v\n%v", a, b)
	}
	if other := keys("Ho {{n}}", "", "to,n\n+1,a\n"); other[0] == a[0] {
		t.Error("another text under the same key")
	}
	if other := keys("Hi {{n}}", "spring", "to,n\n+1,a\n"); other[0] == a[0] {
		t.Error("--idempotency-key changes nothing")
	}
	if own := keys("Hi", "", "to,idempotency_key\n+1,mine\n"); own[0] != "mine" {
		t.Errorf("the line's own key became %q", own[0])
	}
}

// A taker is a server that takes messages in, once for each key.
type taker struct {
	mu    sync.Mutex
	keys  map[string]int // key → messages asked for
	after int            // this many, then it is gone; 0 = never
}

func (s *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in parley.SendRequest
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	switch {
	case s.after > 0 && len(s.keys) >= s.after && s.keys[key] == 0:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"status":401,"code":"api_key_invalid","title":"The API key is not in force"}`)
		return
	case strings.HasPrefix(in.To.Phone, "bad"):
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"status":422,"code":"bad_number","title":"Not a phone number","field":"to","detail":"is no number","remedy":"write it with +"}`)
		return
	}
	if s.keys[key]++; s.keys[key] > 1 {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"id":"msg_%s","state":"queued","plan":[],"warnings":[]}`, key)
}

// A run that was cut short is run again: every line is accepted once, bad ones
// are told, and what the results hold is not even asked for.
func TestSendFileIsResumed(t *testing.T) {
	s := &taker{keys: map[string]int{}, after: 150}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	var file strings.Builder
	file.WriteString("to,n\n")
	for i := range 300 {
		to := fmt.Sprintf("+336%08d", i)
		if i%100 == 7 {
			to = fmt.Sprintf("bad%d", i)
		}
		fmt.Fprintf(&file, "%s,%d\n", to, i)
	}
	c := sendCmd{
		serverFlags: serverFlags{URL: srv.URL, APIKey: app.Secret("pk_test")}, Purpose: "utility", To: "Hello {{n}}",
		File: write(t, "people.csv", file.String()), Results: filepath.Join(t.TempDir(), "results.jsonl"), Parallel: 4, JSON: true,
	}
	run := func() error { again := c; return again.Run(context.Background()) }
	if err := run(); err == nil || !strings.Contains(err.Error(), "run the same command again") {
		t.Fatalf("the key ended in between: %v", err)
	}
	s.mu.Lock()
	s.after = 0
	s.mu.Unlock()
	if err := run(); err == nil || err.Error() != "exit status 1" {
		t.Fatalf("three lines are bad: %v", err)
	}
	count := func() (messages, asked int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, n := range s.keys {
			asked += n
		}
		return len(s.keys), asked
	}
	messages, asked := count()
	if messages != 297 {
		t.Errorf("%d messages for 297 good lines", messages)
	}
	if err := run(); err == nil || err.Error() != "exit status 1" {
		t.Fatal(err)
	}
	if _, again := count(); again != asked {
		t.Errorf("%d lines were asked for that stand in the results", again-asked)
	}
	raw, err := os.ReadFile(c.Results)
	if err != nil || strings.Contains(string(raw), "+336") || strings.Count(string(raw), `"id"`) != 297 {
		t.Errorf("%v, %d ids in the results; they name nobody", err, strings.Count(string(raw), `"id"`))
	}
	if info, err := os.Stat(c.Results); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// Without results, the keys alone keep everything from being sent twice.
	c.Results = ""
	err = run()
	if messages, _ := count(); err == nil || messages != 297 {
		t.Errorf("%v, %d messages", err, messages)
	}
}
