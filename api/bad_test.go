package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/store"
)

// canary stands for what a client sent: no answer and no log may repeat it.
const canary = "CANARY33612345678"

type wrong struct {
	name   string
	body   string
	status int
	code   string
	field  string
}

// message wraps fields in an otherwise good request.
func with(fields string) string {
	return `{"to":"+33612345678","purpose":"utility","content":{"text":"` + canary + `"},` + fields + `}`
}

var wrongs = []wrong{
	{"nothing", "", 400, codeMalformed, ""},
	{"no JSON", canary, 400, codeMalformed, ""},
	{"half", `{"to":"` + canary, 400, codeMalformed, ""},
	{"two values", with(`"metadata":{}`) + `{}`, 400, codeMalformed, ""},
	{"array", `["` + canary + `"]`, 422, codeType, ""},
	{"not UTF-8", "{\"to\":\"" + canary + "\xff\"}", 400, codeMalformed, ""},
	{"too deep", strings.Repeat(`{"content":`, 50) + `1` + strings.Repeat(`}`, 50), 422, codeUnknown, "content.content"},
	{"unknown field", with(`"priority":"` + canary + `"`), 422, codeUnknown, "priority"},
	{"another case", with(`"Metadata":{}`), 422, codeUnknown, "Metadata"},
	{"flash", with(`"flash":{"enabled":true,"text":"` + canary + `"}`), 422, engine.CodeContent, "flash"},
	{"flash by its class", with(`"route":[{"channel":"sms","content":{"text":"x","message-class":0}}]`), 422, engine.CodeContent, "route[0].content.message-class"},
	{"flash by its type", with(`"type":"` + canary + `"`), 422, engine.CodeContent, "type"},
	{"flash again", with(`"flash_message":true`), 422, engine.CodeContent, "flash_message"},
	{"binary", `{"to":"1","purpose":"utility","content":{"binary":{"hex":"` + canary + `","dataCoding":245}}}`, 422, engine.CodeContent, "content.binary"},
	{"binary by its header", `{"to":"1","purpose":"utility","content":{"text":"x","udh":"` + canary + `"}}`, 422, engine.CodeContent, "content.udh"},
	{"binary by its coding", `{"to":"1","purpose":"utility","content":{"text":"x","data_coding":4}}`, 422, engine.CodeContent, "content.data_coding"},
	{"alphabet", with(`"transliteration":"NON_UNICODE"`), 422, engine.CodeContent, "transliteration"},
	{"transliterate is a word", `{"to":"1","purpose":"utility","content":{"text":"x","transliterate":"` + canary + `"}}`, 422, codeType, "content.transliterate"},
	{"media of a binary kind", `{"to":"1","purpose":"utility","content":{"media":[{"type":"binary","url":"https://x"}]}}`, 422, engine.CodeContent, "content.media[0].type"},
	{"unknown field inside", with(`"route":[{"channel":"sms","next_if":{"not_sent_in":"` + canary + `"}}]`), 422, codeUnknown, "route[0].next_if.not_sent_in"},
	{"twice", with(`"to":"` + canary + `"`), 422, codeTwice, "to"},
	{"to is a number", `{"to":33612345678,"purpose":"utility","content":{"text":"x"}}`, 422, codeType, "to"},
	{"to is missing", `{"purpose":"utility","content":{"text":"x"}}`, 422, engine.CodeBadRecipient, "to"},
	{"to is null", `{"to":null,"purpose":"utility","content":{"text":"x"}}`, 422, engine.CodeBadRecipient, "to"},
	{"two recipients", `{"to":{"phone":"` + canary + `","channel":"messenger","id":"1"},"purpose":"utility","content":{"text":"x"}}`, 422, engine.CodeBadRecipient, "to"},
	{"channel without id", `{"to":{"channel":"` + canary + `"},"purpose":"utility","content":{"text":"x"}}`, 422, engine.CodeBadRecipient, "to"},
	{"contact is no id", `{"to":{"contact":"` + canary + `"},"purpose":"utility","content":{"text":"x"}}`, 422, engine.CodeInvalid, "to.contact"},
	{"purpose is missing", `{"to":"+33612345678","content":{"text":"` + canary + `"}}`, 422, engine.CodePurpose, "purpose"},
	{"purpose is unknown", `{"to":"+33612345678","purpose":"` + canary + `","content":{"text":"x"}}`, 422, engine.CodePurpose, "purpose"},
	{"content is empty", `{"to":"+33612345678","purpose":"utility","content":{}}`, 422, engine.CodeEmpty, "content"},
	{"content is missing", `{"to":"+33612345678","purpose":"utility"}`, 422, engine.CodeEmpty, "content"},
	{"text is empty", `{"to":"+33612345678","purpose":"utility","content":{"text":""}}`, 422, engine.CodeEmpty, "content"},
	{"text is too long", `{"to":"+33612345678","purpose":"utility","content":{"text":"` + canary + strings.Repeat("é", maxText) + `"}}`, 422, engine.CodeTooLong, "content.text"},
	{"text is a list", `{"to":"+33612345678","purpose":"utility","content":{"text":["` + canary + `"]}}`, 422, codeType, "content.text"},
	{"media of no kind", `{"to":"1","purpose":"utility","content":{"media":[{"type":"` + canary + `","url":"https://x"}]}}`, 422, engine.CodeContent, "content.media[0].type"},
	{"media from nowhere", `{"to":"1","purpose":"utility","content":{"media":[{"type":"image"}]}}`, 422, engine.CodeInvalid, "content.media[0]"},
	{"media by ftp", `{"to":"1","purpose":"utility","content":{"media":[{"type":"image","url":"ftp://` + canary + `"}]}}`, 422, engine.CodeInvalid, "content.media[0].url"},
	{"media by a broken address", `{"to":"1","purpose":"utility","content":{"media":[{"type":"image","url":"https://` + canary + `%zz"}]}}`, 422, engine.CodeInvalid, "content.media[0].url"},
	{"button of no kind", with(`"route":[{"channel":"sms","content":{"actions":[{"type":"x","title":"` + canary + `"}]}}]`), 422, engine.CodeContent, "route[0].content.actions[0].type"},
	{"off the map", `{"to":"1","purpose":"utility","content":{"location":{"latitude":91,"longitude":0}}}`, 422, engine.CodeInvalid, "content.location.latitude"},
	{"latitude beyond numbers", `{"to":"1","purpose":"utility","content":{"location":{"latitude":1e400,"longitude":0}}}`, 422, codeType, "content.location.latitude"},
	{"list without rows", `{"to":"1","purpose":"utility","content":{"list":{"button":"` + canary + `","sections":[]}}}`, 422, engine.CodeEmpty, "content.list"},
	{"route is a word", with(`"route":"` + canary + `"`), 422, engine.CodeInvalid, "route"},
	{"route is an object", with(`"route":{}`), 422, codeType, "route"},
	{"route is too long", with(`"route":[` + strings.Repeat(`{"channel":"sms"},`, 10) + `{"channel":"sms"}]`), 422, engine.CodeTooLong, "route"},
	{"step without channel", with(`"route":[{"sender":null}]`), 422, engine.CodeInvalid, "route[0].channel"},
	{"sender is no id", with(`"route":[{"channel":"sms","sender":"` + canary + `"}]`), 422, engine.CodeInvalid, "route[0].sender"},
	{"never fails", with(`"route":[{"channel":"sms","next_if":{"failed":false}}]`), 422, engine.CodeInvalid, "route[0].next_if.failed"},
	{"wait is no duration", with(`"route":[{"channel":"sms","next_if":{"not_read_in":"` + canary + `"}}]`), 422, engine.CodeInvalid, "route[0].next_if.not_read_in"},
	{"wait is a number", with(`"route":[{"channel":"sms","next_if":{"not_read_in":60}}]`), 422, codeType, "route[0].next_if.not_read_in"},
	{"wait is below zero", with(`"route":[{"channel":"sms","next_if":{"not_read_in":"-5s"}}]`), 422, engine.CodeInvalid, "route[0].next_if.not_read_in"},
	{"wait has no end", with(`"route":[{"channel":"sms","next_if":{"not_read_in":"31d"}}]`), 422, engine.CodeInvalid, "route[0].next_if.not_read_in"},
	{"expires too late", with(`"expires_in":"P5W"`), 422, engine.CodeInvalid, "expires_in"},
	{"expires in a moment", with(`"expires_in":"10ms"`), 422, engine.CodeInvalid, "expires_in"},
	{"expires in months", with(`"expires_in":"P1M"`), 422, engine.CodeInvalid, "expires_in"},
	{"time is no time", with(`"send_at":"` + canary + `"`), 422, engine.CodeInvalid, "send_at"},
	{"time without zone", with(`"send_at":"2026-11-22T10:00:00"`), 422, engine.CodeInvalid, "send_at"},
	{"price is a number", with(`"max_price":{"amount":0.15,"currency":"EUR"}`), 422, codeType, "max_price.amount"},
	{"price is below zero", with(`"max_price":{"amount":"-1","currency":"EUR"}`), 422, engine.CodeInvalid, "max_price.amount"},
	{"price is too fine", with(`"max_price":{"amount":"0.1234567","currency":"EUR"}`), 422, engine.CodeInvalid, "max_price.amount"},
	{"price is a word", with(`"max_price":{"amount":"` + canary + `","currency":"EUR"}`), 422, engine.CodeInvalid, "max_price.amount"},
	{"currency is a sign", with(`"max_price":{"amount":"1","currency":"€"}`), 422, engine.CodeInvalid, "max_price.currency"},
	{"metadata is nested", with(`"metadata":{"a":{"b":"` + canary + `"}}`), 422, codeType, "metadata.a"},
	{"metadata value too long", with(`"metadata":{"a":"` + canary + strings.Repeat("x", 500) + `"}`), 422, engine.CodeTooLong, "metadata"},
	{"metadata key too long", with(`"metadata":{"` + canary + strings.Repeat("x", 40) + `":"a"}`), 422, engine.CodeTooLong, "metadata"},
	{"too much metadata", with(`"metadata":{` + manyKeys(51) + `}`), 422, engine.CodeTooLong, "metadata"},
	{"template without name", with(`"template":{"language":"` + canary + `"}`), 422, engine.CodeInvalid, "template"},
	{"parameters are a text", with(`"template":{"name":"a","language":"fr","parameters":"` + canary + `"}`), 422, codeType, "template.parameters"},
	{"parameter is a number", with(`"template":{"name":"a","language":"fr","parameters":{"a":1}}`), 422, codeType, "template.parameters.a"},
	{"reply to no id", with(`"reply_to":"` + canary + `"`), 422, engine.CodeInvalid, "reply_to"},
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":"v",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestBadMessages(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/v1/messages", "/v1/messages/preview"} {
		for _, tt := range wrongs {
			t.Run(tt.name, func(t *testing.T) {
				w := r.call("POST", path, tt.body, "Content-Type", "application/json")
				judge(t, r, w, tt.status, tt.code, tt.field)
			})
		}
	}
	if n := len(r.engine.requests); n != 0 {
		t.Errorf("%d bad requests came through", n)
	}
}

// judge checks that an answer is the problem it should be and repeats nothing.
func judge(t *testing.T, r *rig, w *httptest.ResponseRecorder, status int, code, field string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Code != code || p.Field != field {
		t.Errorf("%d %s, want %d %s at %q", w.Code, w.Body, status, code, field)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || p.Title == "" || p.Type != "/docs#error-"+code || p.Request == "" || p.Request != w.Header().Get(headerRequest) {
		t.Errorf("%s %s", w.Header().Get("Content-Type"), w.Body)
	}
	if code == engine.CodeContent && p.Remedy == "" {
		t.Errorf("refused without a remedy: %s", w.Body)
	}
	for _, text := range []string{w.Body.String(), fmt.Sprint(w.Header()), r.logged.String()} {
		if strings.Contains(text, canary) {
			t.Errorf("the canary sings: %s", text)
		}
	}
}

func TestBadRequests(t *testing.T) {
	r := newRig(t, func(o *Options) { o.CheckURL = func(u string) error { return errors.New("private address " + u) } })
	good := with(`"metadata":{}`)
	contact := "/v1/contacts/" + r.ids.Contact(noon).String()
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code, field              string
	}{
		{"no key", "POST", "/v1/messages", good, []string{"Authorization", ""}, 401, codeKeyMissing, "Authorization"},
		{"no bearer", "GET", "/v1/me", "", []string{"Authorization", "", "Authorization", "Basic " + canary}, 401, codeKeyMissing, "Authorization"},
		{"bad key", "GET", "/v1/me", "", []string{"Authorization", "", "Authorization", "Bearer pk_" + canary}, 401, codeKeyBad, "Authorization"},
		{"no such path", "GET", "/v1/" + canary, "", nil, 404, codeNoRoom, ""},
		{"no such method", "PATCH", "/v1/messages", good, nil, 405, codeMethod, ""},
		{"form body", "POST", "/v1/messages", good, []string{"Content-Type", "", "Content-Type", "text/plain"}, 415, codeMedia, "Content-Type"},
		{"key twice", "POST", "/v1/messages", good, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 400, engine.CodeInvalid, "Idempotency-Key"},
		{"key too long", "POST", "/v1/messages", good, []string{"Idempotency-Key", canary + strings.Repeat("a", 255)}, 400, engine.CodeInvalid, "Idempotency-Key"},
		{"key not ASCII", "POST", "/v1/messages", good, []string{"Idempotency-Key", canary + "é"}, 400, engine.CodeInvalid, "Idempotency-Key"},
		{"key empty", "POST", "/v1/messages", good, []string{"Idempotency-Key", `""`}, 400, engine.CodeInvalid, "Idempotency-Key"},
		{"too large", "POST", "/v1/messages", strings.Repeat(" ", maxBody) + good, nil, 413, codeTooLarge, ""},
		{"batch too large", "POST", "/v1/messages/batch", strings.Repeat(" ", maxBatchBody) + good, nil, 413, codeTooLarge, ""},
		{"batch of none", "POST", "/v1/messages/batch", `{"purpose":"utility","content":{"text":"x"},"messages":[]}`, nil, 422, engine.CodeInvalid, "messages"},
		{"batch of too many", "POST", "/v1/messages/batch", `{"purpose":"utility","content":{"text":"x"},"messages":[` + strings.Repeat(`{"to":"1"},`, maxBatch) + `{"to":"1"}]}`, nil, 422, engine.CodeTooLong, "messages"},
		{"batch item of a wrong type", "POST", "/v1/messages/batch", `{"purpose":"utility","content":{"text":"x"},"messages":[{"to":"1"},{"to":5}]}`, nil, 422, codeType, "messages[1].to"},
		{"message is no id", "GET", "/v1/messages/" + canary, "", nil, 404, engine.CodeNotFound, ""},
		{"message of nobody", "GET", "/v1/messages/" + r.ids.Message(noon).String(), "", nil, 404, engine.CodeNotFound, ""},
		{"limit too high", "GET", "/v1/messages?limit=5000", "", nil, 422, engine.CodeInvalid, "limit"},
		{"limit is a word", "GET", "/v1/messages?limit=" + canary, "", nil, 422, engine.CodeInvalid, "limit"},
		{"state is unknown", "GET", "/v1/messages?state=" + canary, "", nil, 422, engine.CodeInvalid, "state"},
		{"cursor is no id", "GET", "/v1/messages?after=" + canary, "", nil, 422, engine.CodeInvalid, "after"},
		{"time is no time", "GET", "/v1/messages?since=" + canary, "", nil, 422, engine.CodeInvalid, "since"},
		{"unknown parameter", "GET", "/v1/messages?page=" + canary, "", nil, 422, engine.CodeInvalid, "page"},
		{"contact of a wrong type", "POST", "/v1/contacts", `{"name":5,"identities":[{"channel":"phone","address":"` + canary + `"}]}`, nil, 422, codeType, "name"},
		{"contact with an unknown field", "POST", "/v1/contacts", `{"nom":"` + canary + `","identities":[{"channel":"phone","address":"+33612345678"}]}`, nil, 422, codeUnknown, "nom"},
		{"contact without address", "POST", "/v1/contacts", `{"name":"` + canary + `"}`, nil, 422, engine.CodeInvalid, ""},
		{"contact with a bad number", "POST", "/v1/contacts", `{"identities":[{"channel":"phone","address":"` + canary + `"}]}`, nil, 422, engine.CodeBadNumber, "identities[0].address"},
		{"contact with a bad country", "POST", "/v1/contacts", `{"country":"` + canary + `","identities":[{"channel":"phone","address":"+33612345678"}]}`, nil, 422, engine.CodeInvalid, "country"},
		{"contact is no JSON", "POST", "/v1/contacts", `{"name":"` + canary, nil, 400, codeMalformed, ""},
		{"contact too large", "POST", "/v1/contacts", `{"name":"` + strings.Repeat(canary, 70_000) + `"}`, nil, 413, codeTooLarge, ""},
		{"contact of nobody", "GET", contact, "", nil, 404, engine.CodeNotFound, ""},
		{"erase nobody", "DELETE", contact, "", nil, 404, engine.CodeNotFound, ""},
		{"scope is unknown", "POST", contact + "/suppressions", `{"scope":"` + canary + `"}`, nil, 422, engine.CodeInvalid, "scope"},
		{"webhook to a file", "POST", "/v1/webhooks", `{"url":"file:///` + canary + `"}`, nil, 422, engine.CodeInvalid, "url"},
		{"webhook inside", "POST", "/v1/webhooks", `{"url":"https://` + canary + `.internal"}`, nil, 422, codeURL, "url"},
		{"connector of no kind", "POST", "/v1/connectors", `{"kind":"` + canary + `","name":"x","config":{}}`, nil, 422, engine.CodeInvalid, "kind"},
		{"sender whose name is too long", "POST", "/v1/senders", `{"channel":"sms","address":"` + canary + `"}`, nil, 422, engine.CodeInvalid, "address"},
		{"sender of no channel", "POST", "/v1/senders", `{"channel":"` + canary + `","address":"x"}`, nil, 422, engine.CodeNoChannel, "channel"},
		{"key with an unknown scope", "POST", "/v1/api-keys", `{"name":"x","scopes":["` + canary + `"]}`, nil, 422, engine.CodeInvalid, "scopes"},
		{"settings with an unknown field", "PUT", "/v1/settings", `{"colour":"` + canary + `"}`, nil, 422, codeUnknown, "colour"},
		{"settings with no country", "PUT", "/v1/settings", `{"default_region":"` + canary + `"}`, nil, 422, engine.CodeInvalid, "settings.default_region"},
		{"events from nowhere", "GET", "/v1/events?after=" + canary, "", nil, 422, engine.CodeInvalid, "after"},
		{"events of no type", "GET", "/v1/events?types=" + canary, "", nil, 422, engine.CodeInvalid, "types"},
		{"events with an unknown parameter", "GET", "/v1/events?since=" + canary, "", nil, 422, codeUnknown, "since"},
		{"stream from nowhere", "GET", "/v1/events/stream?after=" + canary, "", nil, 422, engine.CodeInvalid, "after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			judge(t, r, r.call(tt.method, tt.path, tt.body, tt.header...), tt.status, tt.code, tt.field)
		})
	}
}

// What the engine and the store refuse comes out with its own status.
func TestEngineErrors(t *testing.T) {
	r := newRig(t, nil)
	tests := []struct {
		err    error
		status int
		code   string
		field  string
		retry  string
	}{
		{&engine.Refusal{Code: engine.CodeBadNumber, Field: "to", Detail: "is too short"}, 422, engine.CodeBadNumber, "to", ""},
		{&engine.Refusal{Code: engine.CodeErased, Field: "to"}, 410, engine.CodeErased, "to", ""},
		{&engine.Refusal{Code: engine.CodeBusy}, 429, engine.CodeBusy, "", "1"},
		{engine.ErrBusy, 429, engine.CodeBusy, "", "1"},
		{engine.ErrStopped, 503, codeStopping, "", "1"},
		{fmt.Errorf("writing %s: %w", canary, store.ErrUnavailable), 503, codeUnavailable, "", "2"},
		{store.ErrUncertain, 503, codeUnavailable, "", "2"},
		{store.ErrNotFound, 404, engine.CodeNotFound, "", ""},
		{errors.New("a secret of ours"), 500, codeInternal, "", ""},
	}
	for _, tt := range tests {
		r.engine.err = tt.err
		r.logged.Reset()
		w := r.call("POST", "/v1/messages", with(`"metadata":{}`))
		if tt.code != codeUnavailable {
			judge(t, r, w, tt.status, tt.code, tt.field)
		}
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%v: %d, Retry-After %q, %s", tt.err, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
		if tt.code == codeInternal && !strings.Contains(r.logged.String(), w.Header().Get(headerRequest)) {
			t.Error("the cause is not in the log with its request id")
		}
	}
}

// Every code of the engine has its line in the table.
func TestCatalogue(t *testing.T) {
	for _, code := range []string{
		engine.CodeInvalid, engine.CodeBadNumber, engine.CodeBadRecipient, engine.CodeNoContact, engine.CodeErased, engine.CodePurpose,
		engine.CodeEmpty, engine.CodeTooLong, engine.CodeContent, engine.CodeTemplate, engine.CodeTemplateState, engine.CodeTemplateParams,
		engine.CodePast, engine.CodeTooFar, engine.CodeTrigger, engine.CodeNoSender, engine.CodeNoChannel, engine.CodeNoRoute, engine.CodeWindow,
		engine.CodeOptedOut, engine.CodePrice, engine.CodeExpired, engine.CodeIdempotency, engine.CodeNotCancellable, engine.CodeNotFound, engine.CodeBusy,
	} {
		if _, ok := catalogue[code]; !ok {
			t.Errorf("%s has no status", code)
		}
	}
}
