package story

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every template of docs/templates.md can be pasted against a demo: it is
// taken, arrives, and the books balance; so does a message with several
// attachments, and a person sees that theirs was read.
func TestTemplatesOfTheDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "templates.md"))
	must(t, err)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 11 {
		t.Fatalf("%d examples", len(blocks))
	}
	d := startDemo(t, demoPlace(t))
	said := map[string]bool{}
	for _, b := range blocks {
		var body map[string]any
		must(t, json.Unmarshal(b[1], &body))
		id, _ := d.send(body)
		m := d.until(id, "arrives", func(m map[string]any) bool {
			return m["state"] == "delivered" || m["state"] == "read" || m["state"] == "failed"
		})
		if m["state"] == "failed" {
			t.Errorf("%s\n%v", b[1], m)
		}
		n, last := d.inbox("whatsapp")
		if n != len(said)+1 || last == "" || said[last] {
			t.Errorf("after %s\nthe phone shows %d messages, at last %q", b[1], n, last)
		}
		said[last] = true
	}
	// In the window: several attachments, which are one message in the books and
	// three on the phone; and blue ticks on what the person wrote.
	d.ok("sandbox", "reply", passenger, "Hello")
	album := map[string]any{
		"to": passenger, "purpose": "service", "route": []any{map[string]any{"channel": "whatsapp"}},
		"content": map[string]any{"text": "Your trip", "media": []any{
			map[string]any{"type": "image", "url": "https://example.com/a.png"}, map[string]any{"type": "document", "url": "https://example.com/b.pdf", "filename": "b.pdf"}, map[string]any{"type": "audio", "url": "https://example.com/c.ogg"},
		}},
	}
	eventually(t, "the window opens", func() bool {
		status, _ := d.call("POST", "/v1/messages/preview", album)
		return status == http.StatusOK
	})
	id, _ := d.send(album)
	m := d.until(id, "arrives", func(m map[string]any) bool { return m["state"] == "read" || m["state"] == "delivered" })
	if parts, _ := at(m, "steps", 0, "attempts", 0, "parts").([]any); len(parts) != 3 {
		t.Errorf("%d parts: %v", len(parts), m)
	}
	heard := d.want(http.StatusOK, "GET", "/v1/messages?direction=inbound", nil)
	d.want(http.StatusNoContent, "POST", "/v1/messages/"+text(at(heard, "data", 0), "id")+"/read", map[string]any{"typing": true})
	if phone := d.ok("sandbox", "handset", passenger); !strings.Contains(phone, "✓ seen") || !strings.Contains(phone, "is typing") {
		t.Errorf("the phone shows\n%s", phone)
	}
	d.audit()
}
