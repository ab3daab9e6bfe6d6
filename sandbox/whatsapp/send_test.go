package whatsapp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

func TestTemplateLife(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	status, body := f.send(templateTo("+33 6 12 34 56 78"))
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	valid(t, schema(t, "SendResponse"), []byte(body))
	var answer struct {
		Contacts []struct {
			Input string
			WAID  string `json:"wa_id"`
		}
		Messages []struct {
			ID     string
			Status string `json:"message_status"`
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Contacts[0].WAID != "33612345678" || answer.Contacts[0].Input != "+33 6 12 34 56 78" || answer.Messages[0].Status != "accepted" {
		t.Errorf("answer %+v", answer)
	}
	if diff := cmp.Diff([]string{"sent", "delivered", "read"}, f.statuses(3)); diff != "" {
		t.Error(diff)
	}
	f.hook.mu.Lock()
	first := string(f.hook.bodies[0])
	f.hook.mu.Unlock()
	for _, want := range []string{`"biz_opaque_callback_data":"ref-+33 6 12 34 56 78"`, `"category":"utility"`, `"billable":true`} {
		if !strings.Contains(first, want) {
			t.Errorf("%s is not in %s", want, first)
		}
	}
	inbox := f.fleet.Inbox("33612345678")
	if len(inbox) != 1 || inbox[0].ID != answer.Messages[0].ID || !inbox[0].Read || !strings.HasPrefix(inbox[0].Text, "Hello World\nWelcome") {
		t.Errorf("inbox %+v", inbox)
	}
	entries, _, _ := f.journal.After(0, 10, nil)
	want := []journal.Entry{{
		Seq: 1, Channel: "whatsapp", Direction: "mt", ID: answer.Messages[0].ID, Ref: "ref-+33 6 12 34 56 78",
		From: number, To: "33612345678", Type: "template", Text: inbox[0].Text, Hash: journal.Hash(inbox[0].Text), Fate: "read",
	}}
	entries[0].Time = time.Time{}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Error(diff)
	}
}

// TestMagicRecipients plays every line of the table that concerns WhatsApp.
func TestMagicRecipients(t *testing.T) {
	full := []string{"sent", "delivered", "read"}
	tests := map[string]struct {
		answer   int // 0: no answer
		code     int
		statuses []string
		again    int // the answer to the second message; 0 when the same
	}{
		"throttle_once":         {answer: 400, code: 130429, again: 200},
		"error_once":            {answer: 500, code: 131000, again: 200},
		"error_after_accept":    {answer: 500, code: 131000, statuses: full},
		"hang_after_accept":     {statuses: full},
		"cut_after_accept":      {statuses: full},
		"receipts_twice":        {answer: 200, statuses: []string{"sent", "sent", "delivered", "delivered", "read", "read"}},
		"receipts_reordered":    {answer: 200, statuses: []string{"read", "delivered", "sent"}},
		"receipt_first":         {answer: 200, statuses: full},
		"no_receipt":            {answer: 200},
		"late":                  {answer: 200, statuses: full},
		"window_closed":         {answer: 200, statuses: []string{"failed 131047"}},
		"unreachable":           {answer: 200, statuses: []string{"failed 131026"}},
		"template_paused":       {answer: 400, code: 132015},
		"capped":                {answer: 200, statuses: []string{"failed 131049"}},
		"opted_out":             {answer: 200, statuses: []string{"failed 131050"}},
		"token":                 {answer: 401, code: 190},
		"pair_limit_once":       {answer: 400, code: 131056, again: 200},
		"error_always":          {answer: 500, code: 131000, again: 500},
		"sent_then_failed":      {answer: 200, statuses: []string{"sent", "failed 131026"}},
		"garbage_answer":        {answer: 200, statuses: full},
		"spam_limit":            {answer: 400, code: 131048},
		"unpaid":                {answer: 200, statuses: []string{"failed 131042"}},
		"dropped_before_accept": {again: 200},
		"offline":               {answer: 200, statuses: []string{"sent"}},
		"phone_off":             {answer: 200, statuses: []string{"sent"}},
	}
	graphError := schema(t, "GraphError")
	payload := schema(t, "WebhookPayload")
	for _, m := range fault.Magic() {
		test, ok := tests[m.Name]
		if !ok && m.Handset == fault.NoWhatsApp {
			test.answer, test.statuses = 200, []string{"failed 131026"}
		} else if !ok {
			t.Errorf("%s has no test", m.Name)
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			f := newFixture(t, whatsapp.Options{Webhooks: whatsapp.Webhooks{Lanes: 1}})
			to := fault.Number(m.Code, 7)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if m.Name == "hang_after_accept" {
				go func() {
					f.hook.waitFor(3)
					cancel()
				}()
			}
			if m.Name == "receipt_first" {
				release := make(chan struct{})
				f.hook.mu.Lock()
				f.hook.hold = release
				f.hook.mu.Unlock()
				go func() {
					f.hook.waitFor(1)
					close(release)
				}()
			}
			status, body := f.do(ctx, http.MethodPost, "/v24.0/"+number+"/messages", "application/json", templateTo(to))
			if status != test.answer {
				t.Errorf("answer %d %s", status, body)
			}
			if test.code != 0 {
				valid(t, graphError, []byte(body))
				if !strings.Contains(body, fmt.Sprintf(`"code":%d`, test.code)) {
					t.Errorf("no code %d in %s", test.code, body)
				}
			}
			if m.Name == "receipt_first" && len(f.hook.changes) == 0 {
				t.Error("the answer came before the receipt")
			}
			if m.Name == "late" {
				if diff := cmp.Diff([]string{"sent"}, f.statuses(1)); diff != "" {
					t.Error(diff)
				}
				f.clock.Advance(7 * time.Second)
				test.statuses = test.statuses[1:]
			}
			if diff := cmp.Diff(test.statuses, f.statuses(len(test.statuses))); diff != "" {
				t.Error(diff)
			}
			if test.again != 0 {
				if status, body := f.send(templateTo(to)); status != test.again {
					t.Errorf("second answer %d %s", status, body)
				}
				if test.again == 200 {
					f.statuses(3)
				}
			}
			if len(test.statuses) == 0 && test.again == 0 {
				f.quiet()
			}
			f.hook.mu.Lock()
			defer f.hook.mu.Unlock()
			for _, b := range f.hook.bodies {
				_, b, _ := strings.Cut(string(b), "\n")
				valid(t, payload, []byte(b))
			}
		})
	}
}

// waitFor waits until n statuses have arrived.
func (h *hook) waitFor(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		have := 0
		for _, b := range h.bodies {
			have += strings.Count(string(b), `"status":"`)
		}
		if have >= n {
			return
		}
		h.came.Wait()
	}
}

func TestWindow(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	const to = "33612345678"
	f.send(textTo(to, "hello"))
	if diff := cmp.Diff([]string{"failed 131047"}, f.statuses(1)); diff != "" {
		t.Error(diff)
	}
	if _, err := f.server.Write(whatsapp.Inbound{From: to, Text: "hi"}); err != nil {
		t.Fatal(err)
	}
	f.next()
	f.send(textTo(to, "hello"))
	if diff := cmp.Diff([]string{"sent", "delivered", "read"}, f.statuses(3)); diff != "" {
		t.Error(diff)
	}
	f.clock.Advance(24*time.Hour + time.Minute)
	f.send(textTo(to, "hello"))
	if diff := cmp.Diff([]string{"failed 131047"}, f.statuses(1)); diff != "" {
		t.Error(diff)
	}
}

func TestTemplateTTLDropsSilently(t *testing.T) {
	f := newFixture(t, whatsapp.Options{Templates: []whatsapp.Template{{
		Name: "soon", Language: "en", Category: "UTILITY",
		Status: "APPROVED", TTL: 60, Components: json.RawMessage(`[{"type":"BODY","text":"soon"}]`),
	}}})
	off := false
	if _, err := f.fleet.Put("33612345678", handset.Change{Internet: &off}); err != nil {
		t.Fatal(err)
	}
	f.send(strings.Replace(strings.Replace(templateTo("33612345678"), "hello_world", "soon", 1), "en_US", "en", 1))
	if diff := cmp.Diff([]string{"sent"}, f.statuses(1)); diff != "" {
		t.Error(diff)
	}
	f.clock.Advance(2 * time.Minute)
	on := true
	if _, err := f.fleet.Put("33612345678", handset.Change{Internet: &on}); err != nil {
		t.Fatal(err)
	}
	if s := f.server.Stats(); s.Expired != 1 || s.Delivered != 0 {
		t.Errorf("%+v", s)
	}
}

// TestMetaExamples sends the documented request examples: none may be taken
// for malformed. Templates of the examples do not exist here.
func TestMetaExamples(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	raw, err := os.ReadFile("testdata/examples_v23.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Path, Direction, Name string
		Body                  json.RawMessage
	}
	if err := json.Unmarshal(raw, &examples); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range examples {
		if e.Path != "/{Version}/{Phone-Number-ID}/messages" || e.Direction != "request" {
			continue
		}
		n++
		status, body := f.send(string(e.Body))
		if strings.Contains(string(e.Body), `"status"`) && strings.Contains(body, `"code":131009`) {
			continue // nobody wrote the message they read
		}
		if status != 200 && !strings.Contains(body, `"code":132001`) {
			t.Errorf("%s: %d %s", e.Name, status, body)
		}
	}
	if n < 40 {
		t.Errorf("only %d examples", n)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 4097)
	template := func(name, components string) string {
		return `{"messaging_product":"whatsapp","to":"33612345678","type":"template","template":{"name":"` + name + `","language":{"code":"en_US"},"components":` + components + `}}`
	}
	interactive := func(v string) string {
		return `{"messaging_product":"whatsapp","to":"33612345678","type":"interactive","interactive":` + v + `}`
	}
	button := `{"type":"reply","reply":{"id":"%d","title":"%d"}}`
	tests := []struct {
		name, body   string
		status, code int
	}{
		{"not json", `{`, 400, 100},
		{"no product", `{"to":"33612345678"}`, 400, 100},
		{"no to", `{"messaging_product":"whatsapp","type":"text","text":{"body":"x"}}`, 400, 100},
		{"bad to", textTo("abc", "x"), 400, 131009},
		{"to the sender", textTo("15550783881", "x"), 400, 131021},
		{"null is absent", `{"messaging_product":"whatsapp","to":"33612345678","text":null}`, 400, 131008},
		{"empty text", textTo("33612345678", ""), 400, 131008},
		{"long text", textTo("33612345678", long), 400, 100},
		{"unknown type", `{"messaging_product":"whatsapp","to":"33612345678","type":"hologram","hologram":{}}`, 400, 131051},
		{"media without source", `{"messaging_product":"whatsapp","to":"33612345678","type":"image","image":{}}`, 400, 131008},
		{"caption on audio", `{"messaging_product":"whatsapp","to":"33612345678","type":"audio","audio":{"link":"https://example.com/a","caption":"c"}}`, 400, 100},
		{"bad latitude", `{"messaging_product":"whatsapp","to":"33612345678","type":"location","location":{"latitude":91,"longitude":2}}`, 400, 131009},
		{"four buttons", interactive(`{"type":"button","body":{"text":"b"},"action":{"buttons":[` +
			strings.Join([]string{fmt.Sprintf(button, 1, 1), fmt.Sprintf(button, 2, 2), fmt.Sprintf(button, 3, 3), fmt.Sprintf(button, 4, 4)}, ",") + `]}}`), 400, 131009},
		{"same title twice", interactive(`{"type":"button","body":{"text":"b"},"action":{"buttons":[` + fmt.Sprintf(button, 1, 1) + "," + fmt.Sprintf(button, 2, 1) + `]}}`), 400, 131009},
		{"long label", interactive(`{"type":"list","body":{"text":"b"},"action":{"button":"` + long[:21] + `","sections":[{"rows":[{"id":"1","title":"t"}]}]}}`), 400, 100},
		{"template unknown", template("nowhere", "[]"), 404, 132001},
		{"template paused", template("paused_offer", "[]"), 400, 132015},
		{"template too few", template("order_update", `[{"type":"body","parameters":[{"type":"text","text":"Ada"}]}]`), 400, 132000},
		{"template new-line", template("order_update", `[{"type":"body","parameters":[{"type":"text","text":"A\nda"},{"type":"text","text":"1"}]}]`), 400, 132018},
		{"template wrong kind", template("order_update", `[{"type":"body","parameters":[{"type":"image","image":{"id":"1"}},{"type":"text","text":"1"}]}]`), 400, 132012},
		{"template long", template("order_update", `[{"type":"body","parameters":[{"type":"text","text":"`+long[:1020]+`"},{"type":"text","text":"1"}]}]`), 400, 132005},
		{"template no header", template("spring_offer", `[{"type":"body","parameters":[{"type":"text","text":"Ada"}]}]`), 400, 132012},
		{"template no button", template("one_time_code", `[{"type":"body","parameters":[{"type":"text","text":"123"}]}]`), 400, 131008},
	}
	f := newFixture(t, whatsapp.Options{})
	graphError := schema(t, "GraphError")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body := f.send(test.body)
			if status != test.status || !strings.Contains(body, fmt.Sprintf(`"code":%d,`, test.code)) {
				t.Errorf("%d %s", status, body)
			}
			valid(t, graphError, []byte(body))
		})
	}
	if n := f.server.Stats().Accepted; n != 0 {
		t.Errorf("%d accepted", n)
	}
}

func TestLimits(t *testing.T) {
	f := newFixture(t, whatsapp.Options{PairLimit: true, Throughput: 60})
	codes := map[string]int{}
	for range 50 {
		_, body := f.send(templateTo("33612345678"))
		codes[body[:20]]++
	}
	if status, body := f.send(templateTo("33612345678")); status != 400 || !strings.Contains(body, "131056") {
		t.Errorf("%d %s", status, body)
	}
	last := ""
	for i := range 80 {
		_, last = f.send(templateTo(fmt.Sprint(33600000000 + i)))
		if strings.Contains(last, "130429") {
			return
		}
	}
	t.Errorf("never throttled: %s", last)
}

func TestTokenAndPaths(t *testing.T) {
	f := newFixture(t, whatsapp.Options{})
	f.server.SetToken("another")
	if status, body := f.call(http.MethodGet, "/v24.0/"+number, ""); status != 401 || !strings.Contains(body, `"code":190`) {
		t.Errorf("%d %s", status, body)
	}
	f.server.SetToken("sandbox-token")
	for _, test := range []struct {
		method, path string
		status       int
		has          string
	}{
		{http.MethodGet, "/v24.0/" + number, 200, `"quality_rating":"GREEN"`},
		{http.MethodGet, "/v24.0/" + number + "?fields=status,throughput", 200, `"throughput":{"level":"STANDARD"}`},
		{http.MethodGet, "/v24.0/102290129340398/phone_numbers", 200, `"id":"` + number + `"`},
		{http.MethodGet, "/v24.0/102290129340398/subscribed_apps", 200, `whatsapp_business_api_data`},
		{http.MethodGet, "/v24.0/102290129340398/message_templates?limit=2", 200, `"next":"http:\/\/`},
		{http.MethodGet, "/v24.0/102290129340398/message_templates?after=x", 400, `"code":131059`},
		{http.MethodGet, "/v24.0/999", 400, `"error_subcode":33`},
		{http.MethodPost, "/v24.0/" + number + "/register", 200, `true`},
	} {
		if status, body := f.call(test.method, test.path, ""); status != test.status || !strings.Contains(body, test.has) {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
}
