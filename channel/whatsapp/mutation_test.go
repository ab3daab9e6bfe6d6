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

// besides gives a callback in which what was spoilt stands between the good
// neighbours "before" and "after", at one level of a batch where it still can.
func besides(t *testing.T, doc any, only string) map[string][]byte {
	t.Helper()
	message := func(id string) any {
		return map[string]any{"from": "33611111111", "id": id, "timestamp": "1762084800", "type": "text", "text": map[string]any{"body": "good"}}
	}
	status := func(id string) any {
		return map[string]any{"id": id, "status": "delivered", "timestamp": "1762084800", "recipient_id": "33611111111"}
	}
	change := func(id string) any {
		return map[string]any{"field": "messages", "value": map[string]any{
			"messaging_product": "whatsapp", "metadata": map[string]any{"display_phone_number": "1555", "phone_number_id": "1"}, "messages": []any{message(id)},
		}}
	}
	entry := func(id string) any { return map[string]any{"id": "1", "changes": []any{change(id)}} }
	out := map[string][]byte{}
	root, ok := doc.(map[string]any)
	if !ok {
		return out
	}
	// at puts neighbours around the list in m, writes the whole, and restores.
	at := func(level string, m map[string]any, key string, good func(string) any) []any {
		list, ok := m[key].([]any)
		if !ok || level != only {
			return list
		}
		m[key] = append(append([]any{good("before")}, list...), good("after"))
		object := root["object"]
		root["object"] = "whatsapp_business_account"
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		m[key], root["object"] = list, object
		if object == nil {
			delete(root, "object")
		}
		out[level] = b
		return list
	}
	first := func(list []any) map[string]any {
		if len(list) == 0 {
			return nil
		}
		m, _ := list[0].(map[string]any)
		return m
	}
	e := first(at("entry", root, "entry", entry))
	c := first(at("changes", e, "changes", change))
	if field, _ := c["field"].(string); field == "messages" {
		value, _ := c["value"].(map[string]any)
		at("messages", value, "messages", message)
		at("statuses", value, "statuses", status)
	}
	return out
}

// Whatever is spoilt in one message of a batch, the others are read: beside it
// in its list, its change, its entry.
func TestSpoiltNeighbours(t *testing.T) {
	tried, turn := map[string]int{}, 0
	levels := []string{"entry", "changes", "messages", "statuses"}
	for _, s := range samples(t) {
		var doc any
		if err := json.Unmarshal(s.body, &doc); err != nil {
			t.Fatal(err)
		}
		spoil(doc, "", func(what string) {
			turn++ // one level for each, in turn: all would take long
			for level, body := range besides(t, doc, levels[turn%len(levels)]) {
				tried[level]++
				events, err := Decode(body, "p")
				if err != nil {
					t.Fatalf("%s, %s, in %s: %v\n%s", s.name, what, level, err, body)
				}
				seen := map[string]bool{}
				for _, e := range events {
					switch e := e.(type) {
					case *message.Inbound:
						seen[e.ID] = true
					case *message.Receipt:
						seen[e.ID] = true
					}
				}
				if !seen["before"] || !seen["after"] {
					t.Fatalf("%s, %s: a neighbour in %s was lost: %v\n%s", s.name, what, level, seen, body)
				}
			}
		})
	}
	for _, level := range levels {
		if tried[level] < 300 {
			t.Errorf("only %d spoilt bodies at %s", tried[level], level)
		}
	}
}
