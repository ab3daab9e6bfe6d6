package story

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/port"
)

const passenger = "+33612345678"

// A demo is a running demo and the ways in.
type demo struct {
	*place
	*api
	program *program
	banner  string
}

// startDemo starts a demo in a place and reads from its banner where it is.
func startDemo(t *testing.T, p *place) *demo {
	t.Helper()
	d := &demo{place: p, program: p.start("demo")}
	d.banner = d.program.until("Stop with Ctrl-C")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(d.banner)
		if m == nil {
			t.Fatalf("the banner does not tell %s:\n%s", pattern, d.banner)
		}
		return m[1]
	}
	d.api = &api{t: t, base: find(`API +(http://\S+)`), key: find(`API key +(\S+)`)}
	p.set("PARLEY_URL", d.base)
	p.set("PARLEY_API_KEY", d.key)
	p.set("PARLEY_SANDBOX", find(`Sandbox +(http://\S+)`))
	return d
}

// example is the request the banner tells newcomers to paste.
func (d *demo) example() string {
	d.api.t.Helper()
	_, body, ok := strings.Cut(d.banner, "-d '")
	body, _, end := strings.Cut(body, "}'")
	if !ok || !end {
		d.api.t.Fatalf("the banner shows no request:\n%s", d.banner)
	}
	return body + "}"
}

// send sends a request and gives the message's id and the answer.
func (d *demo) send(body any) (string, map[string]any) {
	d.api.t.Helper()
	out := d.want(http.StatusAccepted, "POST", "/v1/messages", body)
	return text(out, "id"), out
}

// until waits until a message is as it should be, and gives its story.
func (d *demo) until(id, what string, so func(m map[string]any) bool) (m map[string]any) {
	d.api.t.Helper()
	defer func() {
		if d.api.t.Failed() {
			d.api.t.Logf("%s is now %v", id, m)
		}
	}()
	eventually(d.api.t, id+" "+what, func() bool {
		m = d.want(http.StatusOK, "GET", "/v1/messages/"+id, nil)
		return so(m)
	})
	return m
}

// inbox counts what a person holds of a channel, and gives the last text.
func (d *demo) inbox(channel string) (n int, last string) {
	d.api.t.Helper()
	var phone struct {
		Inbox []struct {
			Channel  string `json:"channel"`
			Text     string `json:"text"`
			Outgoing bool   `json:"outgoing"`
		} `json:"inbox"`
	}
	must(d.api.t, json.Unmarshal([]byte(d.ok("sandbox", "handset", passenger, "--json")), &phone))
	for _, m := range phone.Inbox {
		if m.Channel == channel && !m.Outgoing {
			n, last = n+1, m.Text
		}
	}
	return n, last
}

func (d *demo) internet(to string) { d.ok("sandbox", "handset", passenger, "--internet", to) }

// audit balances the books, and compares them with the sandbox's journal.
func (d *demo) audit() {
	d.api.t.Helper()
	eventually(d.api.t, "books that balance", func() bool { // receipts may be on their way
		_, _, code := d.run("audit", "--sandbox", d.sandbox(), "--json")
		return code == 0
	})
}

func (d *demo) sandbox() string {
	for i := len(d.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(d.env[i], "PARLEY_SANDBOX="); ok {
			return v
		}
	}
	return ""
}

// A receiver is a customer's webhook endpoint.
type receiver struct {
	t      *testing.T
	secret string
	events chan map[string]any
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	stamp := q.Header.Get("Webhook-Timestamp")
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret, "whsec_"))
	if err != nil {
		r.t.Error(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(q.Header.Get("Webhook-Id") + "." + stamp + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(q.Header.Get("Webhook-Signature")), []byte(want)) {
		r.t.Errorf("a webhook with a wrong signature: %v", q.Header)
	}
	if seconds, err := strconv.ParseInt(stamp, 10, 64); err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 48*time.Hour {
		r.t.Errorf("a webhook with the timestamp %q", stamp)
	}
	var e map[string]any
	if err := json.Unmarshal(body, &e); err != nil {
		r.t.Error(err)
	}
	select {
	case r.events <- e:
	default:
		r.t.Error("more webhooks than expected")
	}
	w.WriteHeader(http.StatusNoContent)
}

// next waits for an event of a type.
func (r *receiver) next(typ string) map[string]any {
	r.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		select {
		case e := <-r.events:
			if text(e, "type") == typ {
				return e
			}
		case <-end.C:
			r.t.Fatalf("no webhook told %s", typ)
		}
	}
}

// demoPlace is a place for a demo on ports that are free.
func demoPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	p.set("PARLEY_LISTEN", "127.0.0.1:0")
	admin := port.For(t)
	p.set("PARLEY_ADMIN_LISTEN", admin)
	p.set("PARLEY_ADMIN", "http://"+admin)
	for _, name := range []string{"WHATSAPP", "SMPP", "CONTROL"} {
		p.set("PARLEY_SANDBOX_"+name, "127.0.0.1:0")
	}
	return p
}

// TestStory is the story of a brand and a passenger.
func TestStory(t *testing.T) {
	p := demoPlace(t)
	d := startDemo(t, p)
	tail := p.start("tail", "--json", "--since", "start")
	hook := &receiver{t: t, events: make(chan map[string]any, 1000)}
	listener := httptest.NewUnstartedServer(hook)
	endpoint := d.want(http.StatusCreated, "POST", "/v1/webhooks", map[string]any{"url": "http://" + listener.Listener.Addr().String() + "/hook"})
	hook.secret = text(endpoint, "secret")
	listener.Start()
	t.Cleanup(listener.Close)

	t.Log("a boarding pass goes out by WhatsApp and is read")
	first, answer := d.send(d.example())
	if text(answer, "plan", 0, "channel") != "whatsapp" || text(answer, "plan", 0, "mode") != "template" || text(answer, "plan", 1, "channel") != "sms" {
		t.Errorf("the plan is %v", at(answer, "plan"))
	}
	m := d.until(first, "is read", func(m map[string]any) bool { return text(m, "state") == "read" })
	for _, when := range []string{"started_at", "sent_at", "delivered_at", "read_at"} {
		if text(m, "steps", 0, "attempts", 0, when) == "" {
			t.Errorf("the attempt does not tell %s: %v", when, at(m, "steps", 0))
		}
	}
	if text(m, "steps", 1, "state") != "cancelled" || length(m, "steps", 1, "attempts") != 0 {
		t.Errorf("the SMS was not left alone: %v", at(m, "steps", 1))
	}
	hook.next("message.delivered")

	t.Log("without internet the SMS arrives instead")
	d.internet("off")
	second, answer := d.send(d.example())
	if at(answer, "plan", 0, "late_risk") != true || text(answer, "warnings", 0, "code") == "" {
		t.Errorf("the answer does not warn of a late delivery: %v", answer)
	}
	m = d.until(second, "arrives by SMS", func(m map[string]any) bool {
		return text(m, "state") == "delivered" && length(m, "charges") > 0
	})
	if text(m, "steps", 0, "state") != "sent" || text(m, "steps", 0, "reason") != "not_delivered_in_time" || text(m, "steps", 0, "attempts", 0, "outcome") != "accepted" {
		t.Errorf("the WhatsApp step tells %v", at(m, "steps", 0))
	}
	if text(m, "steps", 1, "state") != "delivered" || length(m, "steps", 1, "attempts") != 1 ||
		text(m, "steps", 1, "attempts", 0, "parts", 0, "provider_id") == "" || text(m, "steps", 1, "attempts", 0, "price", "amount") == "" {
		t.Errorf("the SMS step tells %v", at(m, "steps", 1))
	}
	if text(m, "cost", 0, "amount") == "" || text(m, "charges", 0, "channel") != "sms" {
		t.Errorf("the cost is %v, the charges are %v", at(m, "cost"), at(m, "charges"))
	}
	if n, last := d.inbox("sms"); n != 1 || !strings.HasPrefix(last, "Your boarding pass for AF1234") {
		t.Errorf("the phone holds %d SMS, the last says %q", n, last)
	}
	if journal := d.ok("sandbox", "journal", "--channel", "sms", "--direction", "mt"); !strings.Contains(journal, "delivered") {
		t.Errorf("nothing came over SMPP:\n%s", journal)
	}

	t.Log("the WhatsApp message that comes late is superseded, not a second success")
	before, _ := d.inbox("whatsapp")
	d.internet("on")
	m = d.until(second, "is superseded", func(m map[string]any) bool {
		return text(m, "steps", 0, "state") == "superseded" && length(m, "charges") == 2
	})
	if text(m, "state") != "delivered" {
		t.Errorf("the message is %q", text(m, "state"))
	}
	if now, _ := d.inbox("whatsapp"); now != before+1 {
		t.Errorf("%d WhatsApp messages came late, want 1", now-before)
	}

	t.Log("where a variant fits the wait, the late message never comes")
	d.internet("off")
	before, _ = d.inbox("whatsapp")
	third, answer := d.send(strings.Replace(d.example(), `"5s"`, `"60s"`, 1))
	if text(answer, "plan", 0, "template") != "boarding_pass_ttl60/en" || at(answer, "plan", 0, "late_risk") == true {
		t.Errorf("the fitting variant was not chosen: %v", at(answer, "plan", 0))
	}
	d.until(third, "is sent", func(m map[string]any) bool { return text(m, "state") == "sent" })
	d.ok("sandbox", "advance", "61s")
	d.until(third, "arrives by SMS", func(m map[string]any) bool { return text(m, "state") == "delivered" })
	d.internet("on")
	d.ok("sandbox", "advance", "10m")
	if now, _ := d.inbox("whatsapp"); now != before {
		t.Errorf("%d WhatsApp messages came after their time", now-before)
	}
	if journal := d.ok("sandbox", "journal", "--channel", "whatsapp", "--direction", "mt"); !strings.Contains(journal, "expired") {
		t.Errorf("the provider did not give it up:\n%s", journal)
	}
	m = d.want(http.StatusOK, "GET", "/v1/messages/"+third, nil)
	if s := text(m, "steps", 0, "state"); text(m, "state") != "delivered" || s == "superseded" || s == "delivered" {
		t.Errorf("the message is %s, its WhatsApp step %s", text(m, "state"), s)
	}

	t.Log("the passenger answers: webhook and tail tell the same")
	free := map[string]any{
		"to": passenger, "purpose": "service", "content": map[string]any{"text": "With pleasure."},
		"route": []map[string]any{{"channel": "whatsapp"}},
	}
	if _, problem := d.call("POST", "/v1/messages", free); text(problem, "code") != "window_closed" {
		t.Errorf("free-form before the answer: %v", problem)
	}
	d.ok("sandbox", "reply", passenger, "Thank you")
	got := hook.next("message.received")
	if text(got, "data", "content", "text") != "Thank you" {
		t.Errorf("the webhook tells %v", got)
	}
	eventually(t, "the same event in tail", func() bool {
		for _, line := range tail.said() {
			var e map[string]any
			if json.Unmarshal([]byte(line), &e) == nil && text(e, "id") == text(got, "id") {
				return text(e, "data", "content", "text") == "Thank you"
			}
		}
		return false
	})

	t.Log("for 24 hours free-form goes through, and then it does not")
	out := d.ok("send", passenger, "With pleasure.", "--purpose", "service", "--route", "whatsapp", "--wait", "--within", "60s")
	if !strings.Contains(out, "window_open") || !strings.Contains(out, "delivered") {
		t.Errorf("send --wait says:\n%s", out)
	}
	d.ok("sandbox", "advance", "1d")
	status, problem := d.call("POST", "/v1/messages", free)
	if status != http.StatusUnprocessableEntity || text(problem, "code") != "window_closed" || text(problem, "detail") == "" || text(problem, "remedy") == "" {
		t.Errorf("free-form a day later: %d %v", status, problem)
	}
	if _, why, code := d.run("send", passenger, "Anything else?", "--purpose", "service", "--route", "whatsapp"); code == 0 || !strings.Contains(why, "window_closed") {
		t.Errorf("send a day later: exit %d, %s", code, why)
	}

	t.Log("the books balance, Ctrl-C stops, and everything is there after a start")
	d.audit()
	held := d.want(http.StatusOK, "GET", "/v1/messages?limit=200", nil)
	tail.interrupt()
	d.program.interrupt()
	key := d.key
	d = startDemo(t, p)
	if d.key != key {
		t.Error("the API key changed over a restart")
	}
	again := d.want(http.StatusOK, "GET", "/v1/messages?limit=200", nil)
	if length(again, "data") != length(held, "data") {
		t.Fatalf("%d messages are there, want %d", length(again, "data"), length(held, "data"))
	}
	for i := range length(held, "data") {
		was, is := at(held, "data", i), at(again, "data", i)
		if text(was, "id") != text(is, "id") || text(was, "state") != text(is, "state") {
			t.Errorf("message %d was %s %s and is %s %s", i, text(was, "id"), text(was, "state"), text(is, "id"), text(is, "state"))
		}
	}
	if out := d.ok("tail", "--since", "start", "--json", "--types", "message.received", "--limit", "1"); !strings.Contains(out, text(got, "id")) {
		t.Errorf("the log forgot the answer:\n%s", out)
	}
	d.audit()
	d.program.interrupt()
}
