package whatsapp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/message"
)

// spoil calls use with v spoilt in every place, one at a time: set to null,
// left out, of another type, or beside a member nobody knows.
func spoil(v any, at string, use func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, old := range v {
			where := at + "." + key
			for what, bad := range map[string]any{"null": nil, "number": 7.5, "text": "é\x00\u2028", "list": []any{nil, 1.0}, "object": map[string]any{"x": nil}, "deep": []any{[]any{[]any{}}}} {
				v[key] = bad
				use(what + " at " + where)
			}
			delete(v, key)
			use("without " + where)
			v[key] = old
			spoil(old, where, use)
		}
		v["never_heard_of"] = map[string]any{"of": []any{"this", nil}}
		use("more in " + at)
		delete(v, "never_heard_of")
	case []any:
		for i, old := range v {
			v[i] = nil
			use(fmt.Sprintf("null at %s[%d]", at, i))
			v[i] = old
			spoil(old, fmt.Sprintf("%s[%d]", at, i), use)
		}
	}
}

// Whatever is null, missing, unknown or of another type in a webhook, the rest
// is read, nothing panics, and no event comes that could not be told apart.
func TestSpoiltWebhooks(t *testing.T) {
	tried := 0
	for _, s := range samples(t) {
		var doc any
		if err := json.Unmarshal(s.body, &doc); err != nil {
			t.Fatal(err)
		}
		spoil(doc, "", func(what string) {
			tried++
			body, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			events, err := Decode(body, "p")
			if callback := !strings.HasSuffix(what, " .object") && !strings.HasSuffix(what, " .entry"); callback && err != nil {
				t.Fatalf("%s, %s: %v", s.name, what, err)
			}
			for _, e := range events {
				switch e := e.(type) {
				case *message.Receipt:
					if e.ID == "" || e.Status == 0 {
						t.Fatalf("%s, %s: a receipt of nothing: %+v", s.name, what, e)
					}
				case *message.Inbound:
					if e.ID == "" || e.From.ID == "" || e.Type == "" {
						t.Fatalf("%s, %s: a message of nobody: %+v", s.name, what, e)
					}
				}
			}
		})
	}
	if tried < 10_000 {
		t.Errorf("only %d spoilt bodies", tried)
	}
}
