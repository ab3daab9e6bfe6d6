package whatsapp_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

func TestInboundOfEveryType(t *testing.T) {
	const from = "5541998765432"
	tests := []struct {
		in      whatsapp.Inbound
		want    string // part of the body
		foreign bool   // newer than the schema
	}{
		{whatsapp.Inbound{Text: "Grüße / 👍"}, `"text":{"body":"Gr\u00fc\u00dfe \/ \ud83d\udc4d"}`, false},
		{whatsapp.Inbound{Text: "quoting", Context: "wamid.X"}, `"context":{"from":"15550783881","id":"wamid.X"}`, false},
		{whatsapp.Inbound{Text: "ad", Referral: `{"source_url":"https://fb.me/x","source_type":"ad","source_id":"1"}`}, `"referral":{"source_url":"https:\/\/fb.me\/x"`, false},
		{whatsapp.Inbound{Payload: "seat", Title: "Change seat"}, `"button":{"payload":"seat","text":"Change seat"}`, false},
		{whatsapp.Inbound{Type: "button_reply", Payload: "a", Title: "A"}, `"button_reply":{"id":"a","title":"A"}`, false},
		{whatsapp.Inbound{Type: "list_reply", Payload: "a", Title: "A", Description: "d"}, `"list_reply":{"id":"a","title":"A","description":"d"}`, false},
		{whatsapp.Inbound{Type: "nfm_reply", Text: `{"a":1}`}, `"response_json":"{\"a\":1}"`, false},
		{whatsapp.Inbound{Type: "image", Text: "look"}, `"caption":"look"`, false},
		{whatsapp.Inbound{Type: "video"}, `"mime_type":"video\/mp4"`, false},
		{whatsapp.Inbound{Type: "audio"}, `"voice":true`, false},
		{whatsapp.Inbound{Type: "document", Filename: "a.pdf"}, `"filename":"a.pdf"`, false},
		{whatsapp.Inbound{Type: "sticker"}, `"animated":false`, false},
		{whatsapp.Inbound{Type: "location"}, `"latitude":48.8566`, false},
		{whatsapp.Inbound{Type: "location", Content: `{"latitude":1.5,"longitude":2}`}, `"location":{"latitude":1.5,"longitude":2}`, false},
		{whatsapp.Inbound{Type: "contacts"}, `"formatted_name":"Ada Lovelace"`, false},
		{whatsapp.Inbound{Type: "reaction", Text: "👍"}, `"emoji":"\ud83d\udc4d"`, false},
		{whatsapp.Inbound{Type: "order"}, `"quantity":2`, false},
		{whatsapp.Inbound{Type: "user_changed_number", NewNumber: "33600000000"}, `"wa_id":"33600000000"`, false},
		{whatsapp.Inbound{Type: "unsupported"}, `"code":131051`, false},
		{whatsapp.Inbound{Type: "edit", Text: "better"}, `"original_message_id":"wamid.`, true},
		{whatsapp.Inbound{Type: "revoke"}, `"revoke":{"original_message_id":"wamid.`, true},
		{whatsapp.Inbound{Type: "marketing", Text: "stop"}, `"value":"stop"`, true},
	}
	payload := schema(t, "WebhookPayload")
	f := newFixture(t, whatsapp.Options{Webhooks: whatsapp.Webhooks{Lanes: 1}})
	f.send(templateTo(from))
	f.statuses(3)
	for _, test := range tests {
		test.in.From = from
		if _, err := f.server.Write(test.in); err != nil {
			t.Errorf("%+v: %v", test.in, err)
			continue
		}
		f.next()
		f.hook.mu.Lock()
		mark, body, _ := strings.Cut(string(f.hook.bodies[len(f.hook.bodies)-1]), "\n")
		f.hook.mu.Unlock()
		if !strings.Contains(body, test.want) {
			t.Errorf("%s is not in %s", test.want, body)
		}
		if !test.foreign {
			valid(t, payload, []byte(body))
			if !strings.Contains(body, `"from":"554198765432"`) {
				t.Errorf("no Brazilian wa_id in %s", body)
			}
		}
		mac := hmac.New(sha256.New, []byte("sandbox-secret"))
		mac.Write([]byte(body))
		if mark != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Error("wrong signature")
		}
	}
	if !f.fleet.Get(from).OptedOut {
		t.Error("stop did not opt out")
	}
}

func TestInboundRefusals(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	off := false
	if _, err := f.fleet.Put("33600000001", handset.Change{Internet: &off}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.server.Write(whatsapp.Inbound{From: "33600000001", Text: "x"}); !errors.Is(err, whatsapp.ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	for _, in := range []whatsapp.Inbound{
		{From: "x"},
		{From: "33600000002", Type: "telepathy"},
		{From: "33600000002", To: "1"},
		{From: "33600000002", Content: "{"},
		{From: "33600000002", Referral: "1", Text: "x"},
	} {
		if _, err := f.server.Write(in); !errors.Is(err, whatsapp.ErrInbound) {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

func TestHiddenNumberIsKnownByUserID(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	yes := true
	if _, err := f.fleet.Put("33600000001", handset.Change{HideNumber: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.server.Write(whatsapp.Inbound{From: "33600000001", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	m := list(f.next().value["messages"])[0]
	user, _ := m["from_user_id"].(string)
	if m["from"] != nil || user == "" {
		t.Fatalf("%v", m)
	}
	status, body := f.send(fmt.Sprintf(`{"messaging_product":"whatsapp","recipient":%q,"text":{"body":"x"}}`, user))
	if status != 200 || !strings.Contains(body, `"user_id":"`+user+`"`) {
		t.Errorf("%d %s", status, body)
	}
	st := list(f.next().value["statuses"])[0]
	if st["recipient_user_id"] != user || st["recipient_id"] != nil {
		t.Errorf("%v", st)
	}
}

func TestRetryIsByteIdenticalAndNothingIsLost(t *testing.T) {
	f := newFixture(t, whatsapp.Options{Webhooks: whatsapp.Webhooks{Lanes: 1, First: time.Hour, Longest: 4 * time.Hour}})
	f.hook.mu.Lock()
	f.hook.refuse = 2
	f.hook.mu.Unlock()
	if _, err := f.server.Write(whatsapp.Inbound{From: "33600000001", Text: "one"}); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 2; i++ {
		f.hook.waitPosts(i)
		for f.server.Stats().Retries < int64(i) {
			f.clock.Advance(0)
		}
		f.clock.Advance(time.Duration(i) * time.Hour)
	}
	f.next()
	f.hook.mu.Lock()
	defer f.hook.mu.Unlock()
	if len(f.hook.bodies) != 3 || !bytes.Equal(f.hook.bodies[0], f.hook.bodies[2]) || !bytes.Equal(f.hook.bodies[0], f.hook.bodies[1]) {
		t.Errorf("%d posts, %q", len(f.hook.bodies), f.hook.bodies)
	}
}

func (h *hook) waitPosts(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.bodies) < n {
		h.came.Wait()
	}
}

func TestPendingStatusesShareAPost(t *testing.T) {
	f := newFixture(t, whatsapp.Options{Webhooks: whatsapp.Webhooks{Lanes: 1}})
	release := make(chan struct{})
	f.hook.mu.Lock()
	f.hook.hold = release
	f.hook.mu.Unlock()
	for i := range 100 {
		f.send(templateTo(fmt.Sprint(33600000000 + i)))
	}
	close(release)
	f.statuses(300)
	f.hook.mu.Lock()
	defer f.hook.mu.Unlock()
	if len(f.hook.bodies) > 3 {
		t.Errorf("%d posts for 300 statuses", len(f.hook.bodies))
	}
	payload := schema(t, "WebhookPayload")
	for _, b := range f.hook.bodies {
		_, b, _ := strings.Cut(string(b), "\n")
		valid(t, payload, []byte(b))
	}
}

func TestHandshake(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	if err := f.server.SetCallback(context.Background(), f.hook.URL, "wrong"); !errors.Is(err, whatsapp.ErrHandshake) {
		t.Errorf("wrong token: %v", err)
	}
	other := newHook(t)
	defer other.Close()
	body := fmt.Sprintf(`{"webhook_configuration":{"override_callback_uri":%q,"verify_token":"sandbox-verify"}}`, other.URL)
	if status, answer := f.call(http.MethodPost, "/v24.0/"+number, body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	f.send(templateTo("33600000001"))
	<-other.changes
	if status, _ := f.call(http.MethodDelete, "/v24.0/102290129340398/subscribed_apps", ""); status != 200 {
		t.Error(status)
	}
}

func TestMedia(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	upload := func(kind string, data []byte) (int, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField("messaging_product", "whatsapp")
		_ = w.WriteField("type", kind)
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="a"`}, "Content-Type": {kind}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(data)
		_ = w.Close()
		return f.do(context.Background(), http.MethodPost, "/v24.0/"+number+"/media", w.FormDataContentType(), b.String())
	}
	if status, body := upload("image/gif", []byte("GIF")); status != 400 || !strings.Contains(body, `"code":100`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := upload("image/png", make([]byte, 5<<20+1)); status != 400 || !strings.Contains(body, `"code":131053`) {
		t.Errorf("%d %s", status, body)
	}
	status, body := upload("image/png", []byte("PNG"))
	var made, info struct {
		ID, URL  string
		FileSize string `json:"file_size"`
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	_, body = f.call(http.MethodGet, "/v24.0/"+made.ID, "")
	if err := json.Unmarshal([]byte(body), &info); err != nil || info.FileSize != "3" {
		t.Fatal(body, err)
	}
	path := strings.TrimPrefix(info.URL, f.http.URL)
	if status, data := f.call(http.MethodGet, path, ""); status != 200 || data != "PNG" {
		t.Errorf("%d %q", status, data)
	}
	f.clock.Advance(6 * time.Minute)
	if status, _ := f.call(http.MethodGet, path, ""); status != 404 {
		t.Errorf("an expired link answers %d", status)
	}
	if _, err := f.server.Write(whatsapp.Inbound{From: "33600000001", Text: "hi"}); err != nil {
		t.Fatal(err)
	}
	f.next()
	image := func(id string) string {
		return fmt.Sprintf(`{"messaging_product":"whatsapp","to":"33600000001","type":"image","image":{"id":%q}}`, id)
	}
	f.send(image(made.ID))
	f.statuses(3)
	if status, _ := f.call(http.MethodDelete, "/v24.0/"+made.ID, ""); status != 200 {
		t.Error(status)
	}
	f.send(image(made.ID))
	if diff := cmp.Diff([]string{"failed 131053"}, f.statuses(1)); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateReview(t *testing.T) {
	f := newFixture(t, whatsapp.Options{Review: time.Hour})
	const path = "/v24.0/102290129340398/message_templates"
	make := func(name, text, example string) (int, string) {
		return f.call(http.MethodPost, path, fmt.Sprintf(`{"name":%q,"language":"fr","category":"utility","components":[{"type":"BODY","text":%q%s}]}`, name, text, example))
	}
	for _, bad := range [][]string{{"Upper", "x", ""}, {"edge", "{{1}} x", `,"example":{}`}, {"noexample", "a {{1}} x", ""}, {"long", strings.Repeat("x", 1025), ""}} {
		if status, body := make(bad[0], bad[1], bad[2]); status != 400 {
			t.Errorf("%s: %d %s", bad[0], status, body)
		}
	}
	status, body := make("parcel", "Colis {{1}} livré", `,"example":{"body_text":[["1"]]}`)
	if status != 200 || !strings.Contains(body, `"status":"PENDING","category":"UTILITY"`) {
		t.Fatalf("%d %s", status, body)
	}
	send := `{"messaging_product":"whatsapp","to":"33612345678","type":"template","template":{"name":"parcel","language":{"code":"fr"},"components":[{"type":"body","parameters":[{"type":"text","text":"A-1"}]}]}}`
	if status, _ := f.send(send); status != 404 {
		t.Errorf("pending: %d", status)
	}
	if status, body := make("parcel", "x", ""); status != 400 || !strings.Contains(body, "2388024") {
		t.Errorf("%d %s", status, body)
	}
	f.clock.Advance(2 * time.Hour)
	c := f.next()
	if c.field != "message_template_status_update" || c.value["event"] != "APPROVED" {
		t.Errorf("%+v", c)
	}
	if status, body := f.send(send); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	f.statuses(3)
	if err := f.server.SetTemplateStatus("", "parcel", "fr", "PAUSED"); err != nil {
		t.Fatal(err)
	}
	if c := f.next(); c.value["event"] != "PAUSED" {
		t.Errorf("%+v", c)
	}
	if status, body := f.send(send); status != 400 || !strings.Contains(body, "132015") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := f.call(http.MethodDelete, path+"?name=parcel", ""); status != 200 {
		t.Error(status)
	}
	if status, _ := f.call(http.MethodDelete, path+"?name=parcel", ""); status != 400 {
		t.Error(status)
	}
}
