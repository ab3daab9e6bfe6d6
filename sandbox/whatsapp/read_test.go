package whatsapp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// A read receipt shows blue ticks on what the person wrote, with typing for 25
// seconds; it plays the faults of a magic number, and knows its own ids only.
func TestReadReceipts(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	read := func(id, more string) (int, string) {
		return f.send(`{"messaging_product":"whatsapp","status":"read","message_id":"` + id + `"` + more + `}`)
	}
	const typing = `,"typing_indicator":{"type":"text"}`
	wrote := func(from string) string {
		id, err := f.server.Write(whatsapp.Inbound{From: from, To: number, Text: "Hello"})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, from := range []string{"33612345678", "5531987654321", "5215512345678"} { // two whose id differs from the number
		first, second := wrote(from), wrote(from)
		if status, body := read(second, typing); status != 200 || body != `{"success":true}` {
			t.Errorf("%s: %d %s", from, status, body)
		}
		if box := f.fleet.Inbox(from); !box[0].Seen || !box[1].Seen || box[0].ID != first || !f.fleet.Typing(from, number) {
			t.Errorf("%s sees %+v", from, box)
		}
		f.clock.Advance(25 * time.Second)
		if f.fleet.Typing(from, number) {
			t.Errorf("%s: typing is shown for ever", from)
		}
	}
	for name, c := range map[string]struct {
		id, more string
		status   int
		code     string
	}{
		"of nobody":     {"wamid.x", "", 400, `"code":131009`},
		"not ours":      {"wamid.HBgLMzM2MTIzNDU2NzgVAgARGBIzNDU2", "", 400, `"code":131009`},
		"no id":         {"", "", 400, `"code":131008`},
		"typing a song": {wrote("33612345679"), `,"typing_indicator":{"type":"audio"}`, 400, `"code":131009`},
		"a magic token": {wrote(fault.Number("25", 0)), typing, 401, `"code":190`},
		"magic trouble": {wrote(fault.Number("27", 0)), typing, 500, `"code":131000`},
	} {
		if status, body := read(c.id, c.more); status != c.status || !strings.Contains(body, c.code) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// Faults that pass the second time are counted apart from those of messages.
	once := wrote(fault.Number("10", 0))
	if status, _ := read(once, ""); status != 400 {
		t.Errorf("the first: %d", status)
	}
	if status, _ := read(once, ""); status != 200 {
		t.Errorf("the second: %d", status)
	}
}
