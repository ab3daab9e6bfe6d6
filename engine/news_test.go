package engine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// tell posts a body as WhatsApp would.
func (w *world) tell(body string) {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(wa.DefaultAppSecret))
	mac.Write([]byte(body))
	answer, err := w.engine.Callback(w.ctx, w.whatsapp, &channel.Callback{
		Method: http.MethodPost, Body: []byte(body),
		Header: http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}},
	})
	must(w.t, err)
	if answer.Status != http.StatusOK {
		w.t.Fatalf("the callback was answered %d", answer.Status)
	}
}

// data waits for an event of a type and gives what it says.
func (w *world) data(typ string) string {
	w.t.Helper()
	var data string
	w.eventually("an event "+typ, func() bool {
		for _, e := range w.logged(typ) {
			data = string(e.Data)
		}
		return data != ""
	})
	return data
}

// What a provider tells of numbers and templates becomes events, and decides
// what may be sent.
func TestNewsOfAccountAndTemplate(t *testing.T) {
	w := newWorld(t)
	change := func(field, value string) string {
		return `{"object":"whatsapp_business_account","entry":[{"id":"` + wa.DefaultWABA + `","time":1763841600,"changes":[{"field":"` + field + `","value":` + value + `}]}]}`
	}
	w.tell(change("phone_number_quality_update", `{"display_phone_number":"15550783881","event":"FLAGGED","current_limit":"TIER_10K"}`))
	if data := w.data("account.updated"); !strings.Contains(data, "phone_number_quality_update") || !strings.Contains(data, "FLAGGED") {
		t.Errorf("the event says %s", data)
	}
	w.tell(change("message_template_status_update", `{"event":"PAUSED","message_template_id":1,"message_template_name":"hello_world","message_template_language":"en-US","reason":"NONE"}`))
	w.data("template.updated")
	w.eventually("the paused template is seen", func() bool {
		cfg, err := w.rooms.Config(w.ctx, w.ws)
		must(t, err)
		for _, row := range cfg.Templates(w.waSender, "hello_world", "en_US") {
			if row.State == message.TemplatePaused {
				return true
			}
		}
		return false
	})
}
