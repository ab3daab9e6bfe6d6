package webhook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/webhook"
)

func TestDelivered(t *testing.T) {
	r := start(t)
	c := r.receiver()
	all, secret := r.endpoint(c.url)
	some, _ := r.endpoint(c.url, func(e *store.Endpoint) { e.Types = []string{event.MessageRead} })
	r.dispatcher()
	sent := r.events(event.MessageReceived, r.message())
	got := c.take(http.StatusNoContent)
	if got.id() != sent[0].ID.String() {
		t.Errorf("webhook-id %s", got.id())
	}
	if err := webhook.Verify(secret, got.header, got.body, noon, time.Minute); err != nil {
		t.Error(err)
	}
	if err := webhook.Verify(vault.NewWebhookSecret(), got.header, got.body, noon, time.Minute); err != webhook.ErrSignature {
		t.Errorf("another secret: %v", err)
	}
	if e := got.event(t); e.Type != event.MessageReceived || e.Data.Text != "the secret garden" || e.Data.Message != sent[0].Message.String() {
		t.Errorf("got %+v", e)
	}
	if got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", got.header)
	}
	r.until("settled", func() bool { return len(r.rows(all, store.WebhookDelivered)) == 1 })
	row := r.rows(all, "")[0]
	if row.Status != http.StatusNoContent || row.Tries != 1 || row.Error != "" || !row.LastAt.Equal(noon) {
		t.Errorf("got %+v", row)
	}
	if rows := r.rows(some, ""); len(rows) != 0 {
		t.Errorf("unwanted: %v", rows)
	}
}

func TestFailuresComeBack(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, secret := r.endpoint(c.url)
	d := r.dispatcher()
	r.events(event.MessageReceived, r.message())
	waits := []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
		3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour,
	}
	var first string
	for i, want := range waits {
		got := c.take(http.StatusInternalServerError)
		check(t, webhook.Verify(secret, got.header, got.body, r.clock.Now(), time.Second))
		if i == 0 {
			first = got.id()
		}
		if got.id() != first {
			t.Fatalf("another id: %s", got.id())
		}
		var row *store.WebhookDelivery
		r.until("settled", func() bool { row = r.rows(e, "")[0]; return row.Tries == i+1 })
		if w := row.NextAt.Sub(r.clock.Now()); w != want || row.Error != "server_error" || row.Status != 500 {
			t.Fatalf("try %d: waits %v for %q (%d)", i+1, w, row.Error, row.Status)
		}
		r.clock.add(want)
		d.Kick()
	}
	c.take(http.StatusBadGateway)
	r.until("dead", func() bool { return len(r.rows(e, store.WebhookDead)) == 1 })

	// By hand it starts over.
	n, err := r.store.Replay(t.Context(), r.ws, e.ID, []message.DeliveryID{r.rows(e, "")[0].ID}, time.Time{}, time.Time{}, r.clock.Now())
	if n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	r.clock.add(10 * time.Minute)
	d.EndpointChanged(r.ws, e.ID)
	if got := c.take(200); got.id() != first {
		t.Errorf("another id: %s", got.id())
	}
	r.until("delivered", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 1 })
	n, err = r.store.Replay(t.Context(), r.ws, e.ID, nil, noon, noon.Add(time.Second), r.clock.Now())
	if n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	d.Kick()
	if got := c.take(200); got.id() != first {
		t.Errorf("another id: %s", got.id())
	}
	for _, secret := range []string{"garden", "336123", "they wrote", "127.0.0.1", c.url, "whsec"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, r.log)
		}
	}
}

func TestServerAsksForTime(t *testing.T) {
	r := start(t)
	calls := make(chan struct{}, 10)
	answers := make(chan func(http.ResponseWriter), 10)
	url := r.serve(func(w http.ResponseWriter, q *http.Request) {
		select {
		case answer := <-answers:
			answer(w)
			calls <- struct{}{}
		case <-q.Context().Done():
		case <-t.Context().Done():
		}
	})
	e, _ := r.endpoint(url)
	d := r.dispatcher()
	r.events(event.MessageSent, r.message())
	at := noon
	for i, tt := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{429, "90", 90 * time.Second},
		{503, at.Add(90*time.Second + 7*time.Minute).Format(http.TimeFormat), 7 * time.Minute},
		{429, "1", 2 * time.Minute},      // the schedule is longer
		{500, "7200", 10 * time.Minute},  // only 429 and 503 may ask
		{429, "9999999", 24 * time.Hour}, // bounded
		{503, "soon, please", time.Hour}, // unreadable
		{302, "", 3 * time.Hour},         // never followed
		{http.StatusOK, "", -1},
	} {
		answers <- func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", tt.header)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(tt.status)
		}
		<-calls
		var row *store.WebhookDelivery
		r.until("settled", func() bool { row = r.rows(e, "")[0]; return row.Tries == i+1 })
		if tt.want < 0 {
			if row.State != store.WebhookDelivered {
				t.Errorf("is %s", row.State)
			}
			break
		}
		if w := row.NextAt.Sub(r.clock.Now()); w != tt.want || row.Status != tt.status {
			t.Fatalf("%d %q: waits %v, want %v (%s)", tt.status, tt.header, w, tt.want, row.Error)
		}
		r.clock.add(tt.want)
		d.Kick()
	}
}

func TestGoneIsDisabled(t *testing.T) {
	r := start(t)
	gone, other := r.receiver(), r.receiver()
	e, _ := r.endpoint(gone.url)
	r.endpoint(other.url, func(e *store.Endpoint) { e.Types = []string{event.WebhookDisabled} })
	r.dispatcher()
	r.events(event.MessageSent, r.message())
	gone.take(http.StatusGone)
	if got := other.take(200).event(t); got.Type != event.WebhookDisabled {
		t.Errorf("got %+v", got)
	}
	stored, err := r.store.Endpoint(t.Context(), r.ws, e.ID)
	if err != nil || stored.Disabled != "gone" {
		t.Errorf("got %+v, %v", stored, err)
	}
	r.until("dead", func() bool { return len(r.rows(e, store.WebhookDead)) == 1 })
	var data struct{ Endpoint, Reason string }
	check(t, json.Unmarshal(r.told[0].Data, &data))
	if data.Endpoint != e.ID.String() || data.Reason != "gone" {
		t.Errorf("got %+v", data)
	}
}

func TestFailingForDaysIsDisabled(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, _ := r.endpoint(c.url)
	d := r.dispatcher()
	r.events(event.MessageSent, r.message())
	tried := func(n int) {
		t.Helper()
		r.until("tried", func() bool { return r.rows(e, "")[0].Tries == n })
	}
	c.take(500)
	tried(1)
	r.clock.add(time.Hour)
	d.Kick()
	c.take(500)
	r.until("told", func() bool {
		stored, err := r.store.Endpoint(t.Context(), r.ws, e.ID)
		return err == nil && stored.FailingAt.Equal(noon)
	})
	tried(2)
	r.clock.add(time.Hour)
	d.Kick()
	c.take(200)
	r.until("recovered", func() bool {
		stored, err := r.store.Endpoint(t.Context(), r.ws, e.ID)
		return err == nil && stored.FailingAt.IsZero()
	})
	tried(3)
	r.events(event.MessageSent, r.message())
	c.take(500)
	tried(1)
	r.clock.add(73 * time.Hour)
	d.Kick()
	c.take(500)
	r.until("disabled", func() bool {
		stored, err := r.store.Endpoint(t.Context(), r.ws, e.ID)
		return err == nil && stored.Disabled == "failed"
	})
	tried(2)
	if rows := r.rows(e, store.WebhookPending); len(rows) != 1 {
		t.Errorf("what waits must wait for the endpoint to come back: %v", rows)
	}
}

func TestDeadEndpointHoldsUpNobody(t *testing.T) {
	r := start(t)
	dead, alive := r.receiver(), r.receiver() // nobody answers what comes to dead
	r.endpoint(dead.url)
	r.endpoint("http://127.0.0.1:1/closed")
	r.endpoint("http://10.0.0.1/") // the guard says no
	e, _ := r.endpoint(alive.url)
	r.dispatcher(func(o *webhook.Options) { o.Parallel = 2 })
	for range 20 {
		r.events(event.MessageSent, r.messages(5)...)
	}
	for seen := make(map[string]bool); len(seen) < 100; {
		seen[alive.take(200).id()] = true
	}
	r.until("settled", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 100 })
}

func TestForbiddenAddress(t *testing.T) {
	r := start(t)
	e, _ := r.endpoint("http://127.0.0.1:9/")
	r.dispatcher(func(o *webhook.Options) { o.Guard = nil })
	r.events(event.MessageSent, r.message())
	r.until("tried", func() bool { rows := r.rows(e, ""); return len(rows) == 1 && rows[0].Tries == 1 })
	if row := r.rows(e, "")[0]; row.Error != "forbidden_address" || row.State != store.WebhookPending {
		t.Errorf("got %+v", row)
	}
}

func TestOrderWithinMessage(t *testing.T) {
	for _, batch := range []int{0, 4, 50} {
		r := start(t)
		c := r.receiver()
		e, _ := r.endpoint(c.url, func(e *store.Endpoint) { e.Batch = batch })
		d := r.dispatcher()
		ms := r.messages(10)
		for range 3 {
			r.events(event.MessageStep, ms...)
		}
		last := make(map[string]int)
		quiet := time.NewTicker(20 * time.Millisecond)
		defer quiet.Stop()
		for calls, done := 0, 0; done < 30; {
			select {
			case got := <-c.calls:
				if calls++; calls%4 == 2 {
					got.answer <- 500 // what follows must not overtake it
					continue
				}
				for _, one := range members(t, got, batch) {
					e := (&call{body: one}).event(t)
					switch before := last[e.Data.Message]; {
					case e.Data.Version < before:
						t.Errorf("%d after %d", e.Data.Version, before)
					case e.Data.Version > before: // and not the same again
						last[e.Data.Message] = e.Data.Version
						done++
					}
				}
				got.answer <- 200
			case <-quiet.C:
				r.clock.add(3 * time.Second)
				d.Kick()
			}
		}
		r.until("settled", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 30 })
		check(t, stop(d))
	}
}

// members gives the events of a request.
func members(t *testing.T, c *call, batch int) []json.RawMessage {
	t.Helper()
	if batch == 0 {
		return []json.RawMessage{c.body}
	}
	var body struct {
		Type string
		Data []json.RawMessage
	}
	check(t, json.Unmarshal(c.body, &body))
	if body.Type != "batch" || !strings.HasPrefix(c.id(), "batch_") || len(body.Data) > batch {
		t.Fatalf("got %s", c.body)
	}
	return body.Data
}

func TestCutRequestIsMadeAgain(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, _ := r.endpoint(c.url)
	d := r.dispatcher()
	r.events(event.MessageSent, r.message())
	first := c.next() // taken, and never answered
	check(t, crash(d))
	if rows := r.rows(e, ""); rows[0].State != store.WebhookPending || rows[0].Tries != 0 {
		t.Fatalf("a cut request counts: %+v", rows[0])
	}
	r.clock.add(2 * time.Minute) // its lease runs out
	r.dispatcher(func(o *webhook.Options) { o.Node = "node-2" })
	if again := c.take(200); again.id() != first.id() || string(again.body) != string(first.body) {
		t.Errorf("got %s, then %s", first.id(), again.id())
	}
	r.until("delivered", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 1 })
}

func TestRotation(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, old := r.endpoint(c.url)
	d := r.dispatcher()
	fresh := vault.NewWebhookSecret()
	r.seal(e, webhook.Secret{Value: fresh}, webhook.Secret{Value: old, Until: noon.Add(time.Hour)})
	check(t, r.store.PutEndpoint(t.Context(), e))
	d.EndpointChanged(r.ws, e.ID)
	r.events(event.MessageSent, r.message())
	got := c.take(200)
	for _, s := range []string{old, fresh} {
		if err := webhook.Verify(s, got.header, got.body, noon, time.Minute); err != nil {
			t.Error(err)
		}
	}
	r.clock.add(2 * time.Hour)
	r.events(event.MessageSent, r.message())
	got = c.take(200)
	if err := webhook.Verify(old, got.header, got.body, r.clock.Now(), time.Minute); err != webhook.ErrSignature {
		t.Errorf("the old secret still signs: %v", err)
	}
	check(t, webhook.Verify(fresh, got.header, got.body, r.clock.Now(), time.Minute))
}

func TestNobodyListens(t *testing.T) {
	r := start(t)
	d := r.dispatcher()
	before := r.events(event.MessageSent, r.message())
	var head store.Cursor
	r.until("passed by", func() bool {
		d.Kick()
		var err1, err2 error
		var saved store.Cursor
		head, err1 = r.store.Head(t.Context())
		saved, err2 = r.store.Cursor(t.Context(), "webhooks")
		return err1 == nil && err2 == nil && saved == head
	})
	c := r.receiver()
	e, _ := r.endpoint(c.url)
	d.EndpointChanged(r.ws, e.ID)
	after := r.events(event.MessageSent, r.message())
	if got := c.take(200).id(); got != after[0].ID.String() || got == before[0].ID.String() {
		t.Errorf("got %s", got)
	}
}

func TestStartAndStopTwice(t *testing.T) {
	r := start(t)
	d := r.dispatcher()
	check(t, d.Start(t.Context()))
	check(t, stop(d))
	check(t, stop(d))
	if _, err := webhook.New(webhook.Options{}); err == nil {
		t.Error("made of nothing")
	}
	leases, err := r.store.LeaseList(t.Context())
	check(t, err)
	for _, l := range leases {
		if l.Owner != "" && l.ExpiresAt.After(time.Now()) {
			t.Errorf("still held: %+v", l)
		}
	}
}
