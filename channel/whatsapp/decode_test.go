package whatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// A sample is one callback of the providers' collections.
type sample struct {
	name string
	body []byte
}

func samples(t testing.TB) []sample {
	t.Helper()
	var list []sample
	files, err := filepath.Glob("testdata/pywa-updates/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		var all map[string]json.RawMessage
		load(t, file, &all)
		for name, body := range all {
			list = append(list, sample{filepath.Base(file) + "/" + name, body})
		}
	}
	var examples []example23
	load(t, "testdata/meta-cloudapi/examples_v23.json", &examples)
	for _, e := range examples {
		if e.Direction == "webhook" {
			list = append(list, sample{"examples/" + e.Name, e.Body})
		}
	}
	return list
}

type example23 struct {
	Path, Direction, Name string
	Body                  json.RawMessage
}

func load(t testing.TB, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// silent are the samples that are no news for us; all others are.
var silent = map[string]bool{
	"examples/Group Create Message": true, "examples/Group Settings Update": true, "examples/Group Remove Participants": true,
	"system.json/identity_change": true,
	"outgoing_message.json/text":  true, "outgoing_message.json/edit": true, "outgoing_message.json/delete": true,
	"call_connect.json/business_initiated": true, "call_connect.json/user_initiated": true, "call_status.json/call_status": true, "call_terminate.json/call_terminate": true,
}

func TestEverySampleDecodes(t *testing.T) {
	for _, s := range samples(t) {
		events, err := Decode(s.body, "portfolio")
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if (len(events) == 0) != silent[s.name] {
			t.Errorf("%s: %d events", s.name, len(events))
		}
		for _, e := range events {
			if in, ok := e.(*message.Inbound); ok && (in.From.ID == "" || in.ID == "" || in.At.IsZero() || in.To == "") {
				t.Errorf("%s: incomplete: %+v", s.name, in)
			}
		}
	}
}

// The order of members and null for absent must not matter.
func TestMembersInAnyOrderAndNulls(t *testing.T) {
	for _, s := range samples(t) {
		want, err := Decode(s.body, "p")
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(s.body, &v); err != nil {
			t.Fatal(err)
		}
		// Marshal sorts the members, so values come after their names.
		shuffled, err := json.MarshalIndent(nulls(v), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(shuffled, "p")
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		ignoreJSON := cmp.FilterPath(func(p cmp.Path) bool {
			name := p.Last().String()
			return name == ".Raw" || name == ".Referral"
		}, cmp.Ignore())
		if diff := cmp.Diff(want, got, ignoreJSON); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
}

// nulls adds a null member, and one nobody knows, to every object.
func nulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = nulls(v[k])
		}
		for _, k := range []string{"errors", "pricing", "referral", "context", "biz_opaque_callback_data", "contacts"} {
			if _, ok := v[k]; !ok {
				v[k] = nil
			}
		}
		v["zz_new"] = map[string]any{"a": []any{1, "}]", nil}}
	case []any:
		for i := range v {
			v[i] = nulls(v[i])
		}
	}
	return v
}

func TestSignatures(t *testing.T) {
	var vectors []struct {
		Name, Secret, Body, Header, Value string
		Legacy                            string `json:"legacy_value"`
		Valid                             bool
	}
	load(t, "testdata/webhook_signatures.json", &vectors)
	for _, v := range vectors {
		w := &Connector{config: Config{AppSecret: channel.Secret(v.Secret)}}
		a, err := w.Verify(&channel.Callback{Method: http.MethodPost, Header: http.Header{v.Header: {v.Value}}, Body: []byte(v.Body)})
		if a.Keep != v.Valid || (err == nil) != v.Valid {
			t.Errorf("%s: %+v, %v", v.Name, a, err)
		}
		legacy, err := w.Verify(&channel.Callback{Method: http.MethodPost, Header: http.Header{"X-Hub-Signature": {v.Legacy}}, Body: []byte(v.Body)})
		if legacy.Keep || !errors.Is(err, graph.ErrSignature) {
			t.Errorf("%s: the SHA-1 signature alone is taken", v.Name)
		}
	}
}

func TestHandshake(t *testing.T) {
	w := &Connector{config: Config{VerifyToken: "right"}}
	for _, c := range []struct {
		mode, token, challenge string
		status                 int
		body                   string
	}{
		{"subscribe", "right", "1158201444", 200, "1158201444"},
		{"subscribe", "wrong", "1158201444", 403, ""},
		{"subscribe", "", "1158201444", 403, ""},
		{"unsubscribe", "right", "1158201444", 403, ""},
		{"subscribe", "right", "<script>", 403, ""},
		{"subscribe", "right", "", 403, ""},
	} {
		a, err := w.Verify(&channel.Callback{Method: http.MethodGet, Query: url.Values{"hub.mode": {c.mode}, "hub.verify_token": {c.token}, "hub.challenge": {c.challenge}}})
		if a.Status != c.status || a.Body != c.body || a.Keep || (err == nil) != (c.status == 200) {
			t.Errorf("%+v: got %+v, %v", c, a, err)
		}
	}
	none := &Connector{}
	if a, err := none.Verify(&channel.Callback{Method: http.MethodGet, Query: url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"1"}}}); err == nil || a.Status != 403 {
		t.Error("without a verify token nobody may subscribe")
	}
}

func TestUserIDsByShape(t *testing.T) {
	const scoped = "US.13491208655302741918"
	phone := message.Address{Channel: message.Phone, ID: "+16505551234"}
	user := message.Address{Channel: message.WhatsApp, Scope: "p", ID: scoped}
	for _, c := range []struct {
		name, from, user, contact string
		want                      message.Address
		also                      []message.Address
	}{
		{"both", "16505551234", scoped, `{"wa_id":"16505551234","user_id":"` + scoped + `"}`, phone, []message.Address{user}},
		{"phone only", "16505551234", "", `{"wa_id":"16505551234"}`, phone, nil},
		{"user only", "", scoped, `{"user_id":"` + scoped + `"}`, user, nil},
		{"user in from", scoped, "", `{"wa_id":"` + scoped + `"}`, user, nil},
		{"phone in contact", "", scoped, `{"wa_id":"16505551234","user_id":"` + scoped + `"}`, phone, []message.Address{user}},
		{"somebody else's contact", "16505551234", "", `{"wa_id":"16505550000","user_id":"US.1"}`, phone, nil},
	} {
		body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"id":"m","from":%q,"from_user_id":%q,"timestamp":1,"type":"text","text":{"body":"x"}}],"contacts":[%s]}}]}]}`, c.from, c.user, c.contact)
		events, err := Decode([]byte(body), "p")
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: %d, %v", c.name, len(events), err)
		}
		in := events[0].(*message.Inbound)
		if in.From != c.want || !cmp.Equal(in.Also, c.also) {
			t.Errorf("%s: from %v also %v", c.name, in.From, in.Also)
		}
	}
}

func TestAnswers(t *testing.T) {
	schema := schemas(t, "SendResponse")["SendResponse"]
	var examples []example23
	load(t, "testdata/meta-cloudapi/examples_v23.json", &examples)
	for _, e := range examples {
		if e.Direction != "response" || !strings.HasSuffix(e.Path, "/messages") || !strings.Contains(string(e.Body), `"contacts"`) {
			continue
		}
		valid(t, schema, e.Body)
		if a, err := decodeAnswer(e.Body); err != nil || len(a.Parts) != 1 {
			t.Errorf("%s: %+v, %v", e.Name, a, err)
		}
	}
	for _, c := range []struct {
		body string
		want message.Accepted
	}{
		{`{"messaging_product":"whatsapp","contacts":[{"input":"+55 11","wa_id":"5511"}],"messages":[{"id":"wamid.1"}]}`, message.Accepted{Parts: []string{"wamid.1"}, WaID: "5511"}},
		{`{"contacts":[{"input":"5511","wa_id":"5511"}],"messages":[{"id":"wamid.1","message_status":"accepted"}]}`, message.Accepted{Parts: []string{"wamid.1"}, Detail: "accepted"}},
		{`{"messages":[{"message_status":"held_for_quality_assessment","id":"wamid.1"}],"contacts":[{"input":"US.1","user_id":"US.1"}]}`, message.Accepted{Parts: []string{"wamid.1"}, Held: true, Detail: "held_for_quality_assessment"}},
	} {
		got, err := decodeAnswer([]byte(c.body))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	for _, body := range []string{"", "{}", "null", "<html>", `{"messages":[]}`, `{"messages":[{"id":""}]}`, `{"success":true}`} {
		var f *message.Fault
		if _, err := decodeAnswer([]byte(body)); !errors.As(err, &f) || f.Certain {
			t.Errorf("%q: a 200 without an id must be uncertain, got %v", body, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples(f) {
		f.Add([]byte(s.body))
	}
	f.Add([]byte(`{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"\ud83d\udc4d\u00e","status":"failed"}]}}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		events, err := Decode(body, "p")
		if err != nil && len(events) > 0 {
			t.Error("events beside an error")
		}
		if !bytes.Equal(before, body) {
			t.Error("the body was changed")
		}
		for _, e := range events {
			if in, ok := e.(*message.Inbound); ok && in.Raw != nil && !json.Valid(in.Raw) {
				t.Error("Raw is not JSON")
			}
		}
		// What encoding/json can read must never be called broken.
		if err != nil && json.Valid(body) {
			var v struct{ Object string }
			var top map[string]json.RawMessage
			if json.Unmarshal(body, &top) == nil && json.Unmarshal(top["object"], &v.Object) == nil && v.Object == "whatsapp_business_account" {
				t.Errorf("a well-formed callback is refused: %s", body)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("POST", "sha256=de164c67d2a341e9940d711749e8aa32f8710f66967d78c87f75800e2feaa4aa", []byte("{}"), "subscribe", "tok", "1")
	f.Add("GET", "", []byte(nil), "subscribe", "verify-token-1", "12")
	f.Fuzz(func(t *testing.T, method, signature string, body []byte, mode, token, challenge string) {
		w := &Connector{config: Config{AppSecret: "app-secret-0002", VerifyToken: "verify-token-1"}}
		a, err := w.Verify(&channel.Callback{
			Method: method, Header: http.Header{"X-Hub-Signature-256": {signature}}, Body: body,
			Query: url.Values{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {challenge}},
		})
		if a.Keep {
			t.Error("nobody knows the secret")
		}
		if a.Status == 200 && (method != "GET" || token != "verify-token-1") || (err == nil) != (a.Status == 200) {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"messaging_product":"whatsapp","contacts":[{"input":"1","wa_id":"1"}],"messages":[{"id":"wamid.1","message_status":"accepted"}]}`))
	f.Add([]byte(`{"error":{"message":"(#131047) Re-engagement message","type":"OAuthException","code":131047,"error_data":{"details":"x"},"fbtrace_id":"A"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAnswer(body)
		if (err == nil) != (len(a.Parts) == 1 && a.Parts[0] != "") {
			t.Errorf("%+v, %v", a, err)
		}
		for _, status := range []int{400, 401, 429, 500, 502} {
			if fault := answerFault(graph.Reply{Status: status, Header: http.Header{}, Body: body}); fault.Kind == message.NoFault {
				t.Errorf("status %d: no kind", status)
			}
		}
	})
}
