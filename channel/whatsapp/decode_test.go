package whatsapp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// A sample is one callback of the providers' collections.
type sample struct {
	name string
	body []byte
}

func samples(t testing.TB) []sample {
	t.Helper()
	var list []sample
	files, err := filepath.Glob("testdata/pywa-updates/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		var all map[string]json.RawMessage
		load(t, file, &all)
		for name, body := range all {
			list = append(list, sample{filepath.Base(file) + "/" + name, body})
		}
	}
	var examples []example23
	load(t, "testdata/meta-cloudapi/examples_v23.json", &examples)
	for _, e := range examples {
		if e.Direction == "webhook" {
			list = append(list, sample{"examples/" + e.Name, e.Body})
		}
	}
	return list
}

type example23 struct {
	Path, Direction, Name string
	Body                  json.RawMessage
}

func load(t testing.TB, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// silent lists the samples that are no news for us.
var silent = map[string]bool{
	"examples/Group Create Message": true, "examples/Group Settings Update": true, "examples/Group Remove Participants": true,
	"system.json/identity_change":  true,
	"outgoing_message.json/text":   true, "outgoing_message.json/edit": true, "outgoing_message.json/delete": true,
	"call_connect.json/call_connect": true, "call_status.json/call_status": true, "call_terminate.json/call_terminate": true,
	"deleted_message.json/revoke": false,
}

func TestEverySampleDecodes(t *testing.T) {
	for _, s := range samples(t) {
		events, err := Decode(s.body, "portfolio")
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		t.Logf("%s: %d %T", s.name, len(events), first(events))
	}
}

func first(e []message.Event) any {
	if len(e) == 0 {
		return nil
	}
	return e[0]
}

func TestSignatures(t *testing.T) {
	var vectors []struct {
		Name, Secret, Body, Header, Value string
		Valid                             bool
	}
	load(t, "testdata/webhook_signatures.json", &vectors)
	for _, v := range vectors {
		if got := graph.Signed(v.Secret, v.Value, []byte(v.Body)); got != v.Valid {
			t.Errorf("%s: got %v", v.Name, got)
		}
	}
}

var _ = cmp.Diff
var _ channel.Callback
