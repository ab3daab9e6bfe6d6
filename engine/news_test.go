package engine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
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

// change is a callback with one change of the account.
func change(field, value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"` + wa.DefaultWABA + `","time":1763841600,"changes":[{"field":"` + field + `","value":` + value + `}]}]}`
}

// template gives what is known of a template of the WhatsApp sender.
func (w *world) template(name, language string) *store.Template {
	w.t.Helper()
	cfg, err := w.rooms.Config(w.ctx, w.ws)
	must(w.t, err)
	for _, row := range cfg.Templates(w.waSender, name, language) {
		if row.Name == name {
			return row
		}
	}
	return nil
}

// Quality is told as an event; a template that was edited, or that is new, is
// read from the provider again; one that is gone there is gone here.
func TestTemplatesAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.tell(change("message_template_quality_update", `{"previous_quality_score":"GREEN","new_quality_score":"RED","message_template_id":2,"message_template_name":"spring_offer","message_template_language":"en_US"}`))
	if data := w.data("template.updated"); !strings.Contains(data, `"quality":"RED"`) || !strings.Contains(data, `"language":"en_US"`) {
		t.Errorf("the event says %s", data)
	}
	post := func(path, body string) {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.sandbox.WhatsAppURL()+"/v24.0/"+path, strings.NewReader(body))
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+wa.DefaultToken)
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", path, answer.StatusCode)
		}
	}
	// Made at the provider, approved after a while: the news leads to a reading.
	post(wa.DefaultWABA+"/message_templates", `{"name":"brand_new","language":"fr","category":"UTILITY","components":[{"type":"BODY","text":"Bonjour"}]}`)
	w.eventually("the new template can be used", func() bool {
		row := w.template("brand_new", "fr")
		return row != nil && row.State == message.TemplateApproved && row.Body == "Bonjour"
	})
	// Edited there: what is known is read again.
	post(w.template("brand_new", "fr").Provider, `{"components":[{"type":"BODY","text":"Bonsoir"}]}`)
	w.tell(change("message_template_components_update", `{"message_template_id":3,"message_template_name":"brand_new","message_template_language":"fr","message_template_element":"Bonsoir"}`))
	w.eventually("the edited text is known", func() bool { return w.template("brand_new", "fr").Body == "Bonsoir" })
	before := w.template("hello_world", "en_US").UpdatedAt
	n, err := w.engine.SyncTemplates(w.ctx, w.ws, w.whatsapp)
	must(t, err)
	if n != len(w.sandbox.WhatsApp.Templates("")) || !w.template("hello_world", "en_US").UpdatedAt.Equal(before) {
		t.Errorf("%d templates, written again: %v", n, !w.template("hello_world", "en_US").UpdatedAt.Equal(before))
	}
	r, err := http.NewRequestWithContext(w.ctx, http.MethodDelete, w.sandbox.WhatsAppURL()+"/v24.0/"+wa.DefaultWABA+"/message_templates?name=brand_new", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+wa.DefaultToken)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, answer.Body.Close())
	_, err = w.engine.SyncTemplates(w.ctx, w.ws, w.whatsapp)
	must(t, err)
	if row := w.template("brand_new", "fr"); row.State != message.TemplateDeleted {
		t.Errorf("deleted there, here it is %s", row.State)
	}
	var refusal *engine.Refusal
	if _, err := w.engine.SyncTemplates(w.ctx, w.ws, w.smpp); !errors.As(err, &refusal) || refusal.Code != engine.CodeNoTemplates {
		t.Errorf("templates of an SMSC: %v", err)
	}
	w.sandbox.WhatsApp.SetToken("another")
	if _, err := w.engine.SyncTemplates(w.ctx, w.ws, w.whatsapp); !errors.As(err, &refusal) || refusal.Code != engine.CodeProvider {
		t.Errorf("with a bad token: %v", err)
	}
}
