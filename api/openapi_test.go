package api

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// The committed document is the one these types make.
func TestDocumentIsCommitted(t *testing.T) {
	r := newRig(t, nil)
	got := r.server.Spec()
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("run go test ./api -run Document -update (-committed +made):\n%s", diff)
	}
	if w := r.call("GET", "/openapi.json", "", "Authorization", ""); w.Code != 200 || w.Body.String() != string(got) {
		t.Errorf("served: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// Every operation has a name, a tag, an answer and a description of errors,
// and every schema it points to is there.
func TestDocumentIsWhole(t *testing.T) {
	r := newRig(t, nil)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	r.check(json.Unmarshal(r.server.Spec(), &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	names := map[string]string{}
	for path, item := range doc.Paths {
		for method, raw := range item {
			var o struct {
				OperationID, Summary string
				Tags                 []string
				Responses            map[string]json.RawMessage
			}
			r.check(json.Unmarshal(raw, &o))
			if o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 || o.Responses["default"] == nil || len(o.Responses) < 2 {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			if other := names[o.OperationID]; other != "" {
				t.Errorf("%s names %s and %s", o.OperationID, other, path)
			}
			names[o.OperationID] = path
		}
	}
	for _, want := range []string{"sendMessage", "sendBatch", "previewMessage", "getMessage", "eraseContact", "streamEvents", "createWebhook", "getUsage"} {
		if names[want] == "" {
			t.Errorf("no operation %s", want)
		}
	}
	for ref := range strings.SplitSeq(string(r.server.Spec()), `"#/components/schemas/`) {
		name, _, ok := strings.Cut(ref, `"`)
		if ok && !strings.Contains(name, "{") && doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is missing", name)
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil {
		t.Error("huma's own error is in the document")
	}
}

// The page for people loads nothing from anywhere and has every operation and
// code in it.
func TestDocs(t *testing.T) {
	r := newRig(t, nil)
	w := r.call("GET", "/docs", "", "Authorization", "")
	page := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	for _, bad := range []string{"<script", "src=", "@import", "url(", `href="http`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for code := range catalogue {
		if !strings.Contains(page, `id="error-`+code+`"`) {
			t.Errorf("code %s is not explained", code)
		}
	}
	for _, want := range []string{`id="sendMessage"`, `id="schema-SendRequest"`, "prefers-color-scheme:dark", `name="viewport"`, "messages:write", "message.delivered"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for part := range strings.SplitSeq(page, `href="#`) {
		anchor, _, _ := strings.Cut(part, `"`)
		if !strings.HasPrefix(part, "<!doctype") && !strings.Contains(page, `id="`+anchor+`"`) {
			t.Errorf("a link leads to #%s, which is not there", anchor)
		}
	}
}
