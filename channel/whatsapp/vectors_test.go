package whatsapp

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parley-messaging/parley/message"
)

var update = flag.Bool("update", false, "write what is sent and read into testdata")

// A vector is one file of testdata/send: a note, the name of the message in
// outbounds, the exact bytes sent, an answer and what it means.
func TestSendVectors(t *testing.T) {
	const answer = `{"messaging_product":"whatsapp","contacts":[{"input":"33612345678","wa_id":"33612345678"}],"messages":[{"id":"wamid.HBgL"}]}`
	for name, m := range outbounds() {
		t.Run(name, func(t *testing.T) {
			body, err := encode(nil, &m)
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := decodeAnswer([]byte(answer))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", "send", file(name)), &txtar.Archive{
				Comment: []byte("POST /{number}/messages for: " + name + "\n"),
				Files: []txtar.File{
					{Name: "message.json", Data: pretty(t, m)},
					{Name: "request.json", Data: append(body, '\n')},
					{Name: "answer.json", Data: []byte(answer + "\n")},
					{Name: "accepted.json", Data: pretty(t, accepted)},
				},
			})
		})
	}
}

// TestCallbackVectors holds what every sample callback is read as.
func TestCallbackVectors(t *testing.T) {
	for _, s := range samples(t) {
		events, err := Decode(s.body, "506914307656634")
		if err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		for _, e := range events {
			fmt.Fprintf(&told, "%T %s", e, pretty(t, e))
			if r, ok := e.(*message.Receipt); ok && r.Fault != nil {
				fmt.Fprintf(&told, "fault %v certain %v scope %v\n", r.Fault.Kind, r.Fault.Certain, r.Fault.Scope)
			}
		}
		var body bytes.Buffer
		if err := json.Compact(&body, s.body); err != nil {
			t.Fatal(err)
		}
		body.WriteByte('\n')
		compare(t, filepath.Join("testdata", "callback", file(s.name)), &txtar.Archive{
			Comment: []byte("A callback as in " + s.name + "\n"),
			Files:   []txtar.File{{Name: "body.json", Data: body.Bytes()}, {Name: "events.txt", Data: told.Bytes()}},
		})
	}
}

func file(name string) string {
	return strings.NewReplacer(" ", "_", "/", "-", ".json", "", "(", "", ")", "").Replace(strings.ToLower(name)) + ".txtar"
}

func pretty(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func compare(t *testing.T, path string, got *txtar.Archive) {
	t.Helper()
	b := txtar.Format(got)
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("%s differs; look at the difference with -update and git diff\n%s", path, b)
	}
}
