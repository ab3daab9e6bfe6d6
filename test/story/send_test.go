package story

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSendFile sends to everybody in a file, twice, and each person gets it
// once; what cannot be sent is told line by line.
func TestSendFile(t *testing.T) {
	p := newPlace(t)
	for _, name := range []string{"LISTEN", "SANDBOX_WHATSAPP", "SANDBOX_SMPP", "SANDBOX_CONTROL"} {
		p.set("PARLEY_"+name, "127.0.0.1:0")
	}
	p.set("PARLEY_ADMIN_LISTEN", "none")
	d := startDemo(t, p)
	file := "to,name\n"
	for i := range 40 {
		file += fmt.Sprintf("+3361234%04d,Person %d\n", i, i)
	}
	file += "12,Nobody\n+33612340001\n"
	must(t, os.WriteFile(filepath.Join(p.dir, "people.csv"), []byte(file), 0o600))
	args := []string{"send", "--file", "people.csv", "Hello {{name}}, your order is here.", "--purpose", "utility", "--route", "sms", "--results", "results.jsonl"}
	out, problems, code := p.run(args...)
	if code != 1 || !strings.Contains(out, "40 lines accepted, 0 lines accepted before, 2 lines refused") || !strings.Contains(out, "line 42: to ") || !strings.Contains(out, "line 43: wrong number of fields") {
		t.Fatalf("exit %d\n%s%s", code, out, problems)
	}
	for _, results := range []bool{true, false} { // by the results, then by the keys alone
		again := args
		if !results {
			again = args[:len(args)-2]
		}
		if out, _, _ := p.run(again...); !strings.Contains(out, "0 lines accepted, 40 lines accepted before") {
			t.Errorf("results %v: %s", results, out)
		}
	}
	page := d.want(200, "GET", "/v1/messages?limit=200&direction=outbound", nil)
	if n := length(page, "data"); n != 40 {
		t.Errorf("%d messages for 40 people", n)
	}
	eventually(t, "the text on the phone", func() bool {
		var phone struct {
			Inbox []struct{ Text string }
		}
		must(t, json.Unmarshal([]byte(p.ok("sandbox", "handset", "+33612340007", "--json")), &phone))
		return len(phone.Inbox) == 1 && phone.Inbox[0].Text == "Hello Person 7, your order is here."
	})
	if out := p.ok("send", "--file", "people.csv", "Hello {{name}}", "--purpose", "utility", "--route", "sms", "--preview"); !strings.Contains(out, "line 2 of 42") || !strings.Contains(out, "Hello Person 0") {
		t.Errorf("preview says:\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(func() string { out, _, _ := p.run(append(args, "--json")...); return out }()), "\n")
	if len(lines) != 42 {
		t.Errorf("%d lines of JSON for 42", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	// Flash is not expressible, and the server says so to whoever asks for it.
	refused := d.want(422, "POST", "/v1/messages", `{"to":"+33612345678","purpose":"utility","content":{"text":"x","flash":true}}`)
	if text(refused, "code") != "content_not_supported" || text(refused, "field") != "content.flash" || text(refused, "remedy") == "" {
		t.Errorf("%v", refused)
	}
	d.program.interrupt()
}
