package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/smpp"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func start(t *testing.T, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return begin }
	}
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// call talks to the control API or to Graph and returns the answer as text.
func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sandbox-token")
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// webhook is a callback that hands over each body.
func webhook(t *testing.T) (string, chan string) {
	t.Helper()
	bodies := make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- string(b)
	}))
	t.Cleanup(s.Close)
	return s.URL, bodies
}

func bind(t *testing.T, s *sandbox.Sandbox, told chan *smpp.DeliverSM) *smpp.Session {
	t.Helper()
	cfg := smpp.ClientConfig{Addr: s.SMPPAddr(), Bind: smpp.Bind{SystemID: "parley", Password: "sandbox"}}
	cfg.Handler = func(r *smpp.Request) {
		told <- r.PDU.Body.(*smpp.DeliverSM)
		_ = r.Accept("")
	}
	session, err := smpp.Dial(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session
}

func template(to string) string {
	return fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}},"biz_opaque_callback_data":"ms_1"}`, to)
}

const messages = "/v24.0/106540352242922/messages"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestControlFromEndToEnd(t *testing.T) {
	url, bodies := webhook(t)
	file := filepath.Join(t.TempDir(), "journal.jsonl")
	s := start(t, sandbox.Options{Seed: 7, JournalFile: file, Callback: url})
	told := make(chan *smpp.DeliverSM, 100)
	session := bind(t, s, told)
	c := s.ControlURL()
	steps := []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/handsets/33612345678", "", 200, `"latency":"instant"`},
		{"PUT", "/handsets/+33612345678", `{"internet":false,"name":"Ada","read_after":"1m"}`, 200, `"name":"Ada"`},
		{"PUT", "/handsets/33612345678", `{"latency":"soon"}`, 422, `latency is`},
		{"PUT", "/handsets/33612345678", `{"colour":"red"}`, 400, `unknown field`},
		{"GET", "/handsets/ada", "", 400, `digits`},
		{"POST", "/handsets/33612345678/reply", `{"text":"hi"}`, 409, `offline`},
		{"POST", "/handsets/33612345678/reply", `{"channel":"pigeon"}`, 400, `channel`},
		{"POST", "/faults", `{"to":"33600000009","fault":"reject","channel":"whatsapp","code":130429,"times":2}`, 200, `"code":130429`},
		{"POST", "/faults", `{"to":"33600000009","fault":"reject"}`, 400, `code`},
		{"POST", "/faults", `{"to":"33600000009","fault":"throttle_once","times":1}`, 200, `"code":88`},
		{"POST", "/faults", `{"to":"*","fault":"kindness"}`, 400, `unknown fault`},
		{"DELETE", "/faults", "", 200, `{"faults":[]}`},
		{"GET", "/magic", "", 200, `"valid_number":"13075550110"`},
		{"GET", "/clock", "", 200, `"now":"2026-03-01T12:00:00Z"`},
		{"POST", "/clock/advance", `{"by":"-1h"}`, 400, `positive`},
		{"PUT", "/templates/hello_world", `{"language":"xx","status":"paused"}`, 404, `no template`},
		{"PUT", "/callback", `{"url":"http://127.0.0.1:1"}`, 502, `refused`},
		{"GET", "/templates", "", 200, `hello_world`},
	}
	for _, step := range steps {
		if status, body := call(t, step.method, c+step.path, step.body); status != step.status || !strings.Contains(body, step.has) {
			t.Errorf("%s %s: %d %s", step.method, step.path, status, body)
		}
	}

	// The internet is off: WhatsApp waits, then arrives, is read, is answered.
	call(t, "POST", s.WhatsAppURL()+messages, template("33612345678"))
	expect(t, bodies, `"status":"sent"`)
	call(t, "POST", c+"/clock/advance", `{"by":"2h"}`)
	if _, body := call(t, "GET", c+"/handsets/33612345678", ""); !strings.Contains(body, `"waiting":1`) {
		t.Error(body)
	}
	call(t, "PUT", c+"/handsets/33612345678", `{"internet":true,"auto_read":false}`)
	expect(t, bodies, `"status":"delivered","timestamp":"1772373600"`)
	call(t, "POST", c+"/handsets/33612345678/read", ``)
	expect(t, bodies, `"status":"read"`)
	call(t, "POST", c+"/handsets/33612345678/reply", `{"payload":"seat","title":"Change seat","skew":"-1h"}`)
	expect(t, bodies, `"timestamp":"1772370000","type":"button"`)

	// SMS both ways.
	if _, err := session.SubmitWait(context.Background(), &smpp.SubmitSM{
		Source:      smpp.Address{TON: 3, Addr: "36180"},
		Destination: smpp.Address{TON: 1, NPI: 1, Addr: "33612345678"}, RegisteredDelivery: 1, ShortMessage: []byte("hello"),
	}); err != nil {
		t.Fatal(err)
	}
	if d := <-told; !strings.Contains(string(d.ShortMessage), "stat:DELIVRD") {
		t.Errorf("%s", d.ShortMessage)
	}
	call(t, "POST", c+"/handsets/33612345678/reply", `{"channel":"sms","text":"STOP"}`)
	if d := <-told; string(d.ShortMessage) != "STOP" || d.Destination.Addr != "36180" {
		t.Errorf("%+v", d)
	}

	_, body := call(t, "GET", c+"/journal?channel=whatsapp&direction=mt&to=33612345678", "")
	for _, want := range []string{`"ref":"ms_1"`, `"fate":"read"`, `"next":4`, `"lost":0`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if _, body := call(t, "GET", c+"/handsets/33612345678/inbox", ""); strings.Count(body, `"id"`) < 4 || !strings.Contains(body, `"content":{"messaging_product"`) {
		t.Error(body)
	}
	if _, body := call(t, "GET", c+"/stats", ""); !strings.Contains(body, `"accepted":1`) || !strings.Contains(body, `"sessions":1`) {
		t.Error(body)
	}
	if _, body := call(t, "POST", c+"/smsc/drop", ""); !strings.Contains(body, `"links":1`) {
		t.Error(body)
	}
	if _, body := call(t, "POST", c+"/reset", ""); !strings.Contains(body, `"accepted":0`) {
		t.Error(body)
	}
	if err := s.Journal.Flush(); err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		if !json.Valid(line) {
			t.Errorf("line %d is not JSON: %s", i+1, line)
		}
	}
	if !bytes.Contains(lines, []byte(`{"seq":1,"fate":"read"`)) || !bytes.Contains(lines, []byte(`"ref":"ms_1"`)) {
		t.Errorf("%s", lines)
	}
}

func expect(t *testing.T, bodies chan string, part string) {
	t.Helper()
	select {
	case b := <-bodies:
		if !strings.Contains(b, part) {
			t.Errorf("%s is not in %s", part, b)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("no webhook with %s", part)
	}
}

// TestSameSeedSameStory runs the same hour twice, and once with another seed.
// Each message has the same story; how those of different people interleave is
// left to the network.
func TestSameSeedSameStory(t *testing.T) {
	story := func(seed uint64) string {
		drawn := handset.Drawn
		url, bodies := webhook(t)
		o := sandbox.Options{Seed: seed, Handsets: handset.Options{Defaults: handset.Change{Latency: &drawn}}}
		o.WhatsApp.Webhooks.Lanes, o.WhatsApp.Webhooks.Batch = 1, 1
		s := start(t, o)
		if err := s.SetCallback(context.Background(), url, ""); err != nil {
			t.Fatal(err)
		}
		var told []string
		for i := range 30 {
			_, body := call(t, "POST", s.WhatsAppURL()+messages, template(fmt.Sprint(33600000000+i)))
			told = append(told, body)
		}
		s.Advance(time.Hour)
		for s.WhatsApp.Stats().Waiting > 0 {
			runtime.Gosched()
		}
		for len(bodies) > 0 {
			told = append(told, <-bodies)
		}
		slices.Sort(told)
		return strings.Join(told, "\n")
	}
	one, again, other := story(1), story(1), story(2)
	if diff := cmp.Diff(one, again); diff != "" {
		t.Error("the same seed tells another story", diff)
	}
	if one == other {
		t.Error("another seed tells the same story")
	}
	if strings.Count(one, `"status":"delivered"`) < 20 {
		t.Errorf("too little happened: %s", one)
	}
}

func TestDocumentedMagicIsTheTable(t *testing.T) {
	source, err := os.ReadFile("sandbox.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(source), "\npackage sandbox")
	lines := 0
	for _, m := range sandbox.Magic() {
		if !strings.Contains(doc, "//\t"+m.Code+" "+m.Name+" ") {
			t.Errorf("%s %s is not in the package comment", m.Code, m.Name)
		}
		lines++
	}
	if n := strings.Count(doc, "//\t"); n != lines {
		t.Errorf("the comment has %d lines, the table %d", n, lines)
	}
}

func TestSharedClockAndTLS(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	jumped := make(chan time.Duration, 1)
	jumped <- 0
	var s *sandbox.Sandbox
	s = start(t, sandbox.Options{
		SMPPTLS: web.TLS,
		Now: func() time.Time {
			d := <-jumped
			jumped <- d
			return begin.Add(d)
		},
		AdvanceAll: func(d time.Duration) time.Time {
			jumped <- d + <-jumped
			s.Clock.Wake()
			return s.Clock.Now()
		},
	})
	told := make(chan *smpp.DeliverSM, 1)
	cfg := smpp.ClientConfig{
		Addr: s.SMPPAddr(), Bind: smpp.Bind{SystemID: "parley", Password: "sandbox"},
		TLS: web.Client().Transport.(*http.Transport).TLSClientConfig,
	}
	cfg.Handler = func(r *smpp.Request) {
		told <- r.PDU.Body.(*smpp.DeliverSM)
		_ = r.Accept("")
	}
	session, err := smpp.Dial(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(context.Background())
	_, err = session.SubmitWait(context.Background(), &smpp.SubmitSM{
		Source:      smpp.Address{TON: 3, Addr: "36180"},
		Destination: smpp.Address{TON: 1, NPI: 1, Addr: "99900001930"}, RegisteredDelivery: 1, ShortMessage: []byte("late"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, body := call(t, "POST", s.ControlURL()+"/clock/advance", `{"by":"1m"}`); !strings.Contains(body, "12:01:00Z") {
		t.Error(body)
	}
	if d := <-told; !strings.Contains(string(d.ShortMessage), "stat:DELIVRD") {
		t.Errorf("%s", d.ShortMessage)
	}
}

func TestAddressInUse(t *testing.T) {
	s := start(t, sandbox.Options{})
	other, err := sandbox.New(sandbox.Options{Now: time.Now, ControlAddr: strings.TrimPrefix(s.ControlURL(), "http://")})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err == nil {
		t.Error("two sandboxes share a port")
	}
	if err := other.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := sandbox.New(sandbox.Options{}); err == nil {
		t.Error("no clock, no error")
	}
}
