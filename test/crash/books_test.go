package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/test/internal/rig"
)

// A message is our word on one message, as the API gives it.
type message struct {
	ID        string
	Direction string
	Purpose   string
	State     string
	Reason    string
	Address   string
	Content   struct{ Text string }
	Steps     []struct {
		Channel  string
		State    string
		Reason   string
		Attempts []struct {
			Outcome   string
			StartedAt time.Time `json:"started_at"`
		}
	}
}

func (m *message) ended() bool {
	switch m.State {
	case "delivered", "read", "failed", "expired", "cancelled", "unconfirmed":
		return true
	}
	return false
}

// unknown reports whether a step waits for news that may never come, or has
// waited for its answer so long that none will.
func (m *message) unknown() bool {
	for i := range m.Steps {
		s := &m.Steps[i]
		if s.State == "unknown" {
			return true
		}
		if n := len(s.Attempts); s.State == "sending" && n > 0 && time.Since(s.Attempts[n-1].StartedAt) > 35*time.Second {
			return true
		}
	}
	return false
}

// messages lists everything one way, newest first.
func messages(t *testing.T, c *rig.Client, direction string) []message {
	t.Helper()
	var all []message
	for after := ""; ; {
		var page struct {
			Data []message
			Next string
		}
		c.Must(t, "GET", "/v1/messages?limit=200&direction="+direction+"&after="+url.QueryEscape(after), nil, &page)
		all = append(all, page.Data...)
		if page.Next == "" {
			return all
		}
		after = page.Next
	}
}

// An event is one line of the log: the second journal.
type event struct {
	ID   string
	Type string
	Data struct {
		Message string
		Version int
		Step    int
		Attempt int
		Charge  json.RawMessage
	}
}

func events(t *testing.T, c *rig.Client) []event {
	t.Helper()
	var all []event
	for after := ""; ; {
		var page struct {
			Data []event
			Next string
			More bool
		}
		c.Must(t, "GET", "/v1/events?limit=200&after="+url.QueryEscape(after), nil, &page)
		all = append(all, page.Data...)
		if !page.More {
			return all
		}
		after = page.Next
	}
}

// A workspaceAudit is what parley audit says of a workspace.
type workspaceAudit struct {
	Books struct {
		Accepted  int
		Ready     int
		Waiting   int
		Callbacks int
		Charges   int
		Untold    int            `json:"events_untold"`
		Unbooked  int            `json:"events_unbooked"`
		Webhooks  map[string]int `json:"webhook_deliveries"`
	}
	Problems []string
}

// audit asks a live node to balance its books.
func audit(n *rig.Node) ([]workspaceAudit, error) {
	var out struct{ Workspaces []workspaceAudit }
	_, err := n.Admin.Call(context.Background(), "GET", "/audit", nil, &out)
	return out.Workspaces, err
}

// A listener is a client's webhook endpoint. It is never killed.
type listener struct {
	*httptest.Server
	mu       sync.Mutex
	got      map[string]int // by event id
	versions map[string]int // highest by message
	late     []string
}

func listen(t *testing.T) *listener {
	l := &listener{got: map[string]int{}, versions: map[string]int{}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var e event
		if err != nil || json.Unmarshal(raw, &e) != nil || e.ID == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got[e.ID]++
		if l.got[e.ID] == 1 && e.Data.Message != "" {
			if e.Data.Version < l.versions[e.Data.Message] {
				l.late = append(l.late, fmt.Sprintf("%s version %d after %d", e.Data.Message, e.Data.Version, l.versions[e.Data.Message]))
			}
			l.versions[e.Data.Message] = e.Data.Version
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(l.Close)
	return l
}

// enlist makes the listener an endpoint. It wants every event of the log: what
// came before it may be passed by, so it goes first.
func (l *listener) enlist(t *testing.T, c *rig.Client) {
	t.Helper()
	c.Must(t, "POST", "/v1/webhooks", map[string]any{"url": l.URL}, nil)
}

// A verdict counts what a comparison saw.
type verdict struct {
	Promised, Delivered, Unknown, Retries, People, Events, Repeated, Charges, PeopleTwice int
}

// compare holds the journals against each other. All must have ended: who
// still waits has been given his time.
func compare(t *testing.T, l *load, c *rig.Client, hooks *listener) verdict {
	t.Helper()
	v := verdict{Promised: len(l.told), Retries: int(l.retries.Load()), People: len(l.written)}
	journal := l.world.Journal()
	received := map[string]map[string]int{} // number, channel → accepted
	arrived := map[string]int{}             // number → on a screen
	for _, e := range journal {
		if e.Direction != "mt" || e.ID == "" || e.Part > 1 {
			continue
		}
		if received[e.To] == nil {
			received[e.To] = map[string]int{}
		}
		received[e.To][e.Channel]++
		if e.Fate == "delivered" || e.Fate == "read" {
			arrived[e.To]++
		}
	}

	// What clients were told is what we have: nothing lost, nothing made twice.
	ours := map[string]*message{}
	list := messages(t, c, "outbound")
	for i := range list {
		ours[list[i].ID] = &list[i]
	}
	promised := map[string]bool{}
	for _, p := range l.told {
		if promised[p.id] {
			t.Errorf("%s was promised for two requests", p.id)
		}
		promised[p.id] = true
		m := ours[p.id]
		if m == nil {
			t.Errorf("%s (%s, %s) was acknowledged and is lost", p.id, p.kind, p.purpose)
			continue
		}
		screens, sum := arrived[p.to], 0
		for channel, n := range received[p.to] {
			sum += n
			if n > 1 {
				t.Errorf("%s (%s, %s) reached the provider %d times by %s", p.id, p.kind, p.purpose, n, channel)
			}
		}
		if p.purpose == "marketing" && sum > 1 {
			t.Errorf("%s is marketing and was sent %d times", p.id, sum)
		}
		switch {
		case m.State == "delivered" || m.State == "read":
			v.Delivered++
			if screens == 0 {
				t.Errorf("%s (%s) is told %s and no handset has it", p.id, p.kind, m.State)
			}
		case m.State == "failed" && m.Reason == "outcome_unknown":
			v.Unknown++
			if screens > 0 {
				t.Errorf("%s (%s, %s) ended as unknown and a handset has it: %+v", p.id, p.kind, p.purpose, m.Steps)
			}
		default:
			t.Errorf("%s (%s, %s) stands at %s (%s): %+v", p.id, p.kind, p.purpose, m.State, m.Reason, m.Steps)
		}
	}
	for id := range ours {
		if !promised[id] {
			t.Errorf("%s exists and nobody was told of it", id)
		}
	}
	numbers := map[string]bool{}
	for _, p := range l.told {
		numbers[p.to] = true
	}
	for to := range received {
		if !numbers[to] {
			t.Errorf("the provider received something for %s that nobody ordered", to)
		}
	}

	// What people wrote is there: once by WhatsApp, whose messages have ids. A
	// short message has none: an SMSC that got no answer because we died says it
	// again, and no memory is left that could tell it from a person who does.
	people := map[string]int{}
	for _, m := range messages(t, c, "inbound") {
		people[m.Content.Text]++
	}
	for text := range l.written {
		switch n := people[text]; {
		case n == 0, n > 1 && l.written[text].channel == "whatsapp":
			t.Errorf("a person wrote %q by %s and we have it %d times", text, l.written[text].channel, n)
		case n > 1:
			v.PeopleTwice++
		}
	}

	v.Events, v.Charges = compareLog(t, c, ours, hooks)
	hooks.mu.Lock()
	defer hooks.mu.Unlock()
	for _, n := range hooks.got {
		if n > 1 {
			v.Repeated++
		}
	}
	for _, late := range hooks.late {
		t.Errorf("a webhook came out of order: %s", late)
	}
	return v
}

// compareLog holds the log against the messages and the webhooks against the
// log. It gives how many events there are and how many charges they tell.
func compareLog(t *testing.T, c *rig.Client, ours map[string]*message, hooks *listener) (n, charges int) {
	t.Helper()
	log := events(t, c)
	count := map[string]map[string]int{} // message, type
	version := map[string]int{}
	seen := map[string]bool{}
	charged := map[string]bool{} // attempts; a provider may correct what one cost
	for _, e := range log {
		if seen[e.ID] {
			t.Errorf("event %s is twice in the log", e.ID)
		}
		seen[e.ID] = true
		hooks.mu.Lock()
		if hooks.got[e.ID] == 0 {
			t.Errorf("event %s (%s) never reached the webhook", e.ID, e.Type)
		}
		hooks.mu.Unlock()
		id := e.Data.Message
		if id == "" {
			continue
		}
		if count[id] == nil {
			count[id] = map[string]int{}
		}
		count[id][e.Type]++
		if e.Data.Version < version[id] {
			t.Errorf("%s: version %d stands after %d in the log", id, e.Data.Version, version[id])
		}
		version[id] = e.Data.Version
		if len(e.Data.Charge) > 0 && string(e.Data.Charge) != "null" {
			charged[fmt.Sprint(id, e.Data.Step, e.Data.Attempt)] = true
		}
	}
	for id, m := range ours {
		of := count[id]
		if of["message.accepted"] != 1 {
			t.Errorf("%s: %d events say accepted", id, of["message.accepted"])
		}
		for _, once := range []string{"message.delivered", "message.read", "message.failed", "message.sent"} {
			if of[once] > 1 {
				t.Errorf("%s: %d events say %s", id, of[once], once)
			}
		}
		if (m.State == "delivered" || m.State == "read" || m.State == "failed") && of["message."+m.State] != 1 {
			t.Errorf("%s is %s and no event says so", id, m.State)
		}
	}
	return len(log), len(charged)
}
