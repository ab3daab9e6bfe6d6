package engine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// status brings a receipt to the engine as Meta's callback does.
func (w *world) status(word string, echo message.Echo) {
	w.t.Helper()
	if status := w.meta(w.whatsapp, wa.DefaultAppSecret, "statuses", map[string]any{
		"id": "wamid.other-node", "status": word, "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"recipient_id": "33612345678", "biz_opaque_callback_data": echo.String(),
	}); status != http.StatusOK {
		w.t.Fatalf("the callback was answered %d", status)
	}
}

// meta brings a callback of an account with one thing in it to the engine,
// signed under a secret, and gives the status of the answer.
func (w *world) meta(account message.ConnectorID, secret, kind string, thing map[string]any) int {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": wa.DefaultWABA, "changes": []any{map[string]any{"field": "messages", "value": map[string]any{
			"messaging_product": "whatsapp", "metadata": map[string]any{"display_phone_number": "33100000000", "phone_number_id": wa.DefaultNumber},
			kind: []any{thing},
		}}},
	}}})
	must(w.t, err)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	header := http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}
	answer, err := w.engine.Callback(w.ctx, account, &channel.Callback{Method: http.MethodPost, Header: header, Body: body})
	if answer.Status < 400 {
		must(w.t, err)
	}
	return answer.Status
}

// What a person wrote is taken once, however often the provider tells it; and
// not at all when it is signed under a secret that is no longer ours.
func TestRepeatedAndStaleCallbacks(t *testing.T) {
	w := newWorld(t)
	wrote := func(id string) map[string]any {
		return map[string]any{
			"id": id, "from": "33612345730", "timestamp": strconv.FormatInt(time.Now().Unix(), 10), "type": "text", "text": map[string]any{"body": "hello"},
		}
	}
	if status := w.meta(w.whatsapp, "the secret of last year", "messages", wrote("wamid.forged")); status != http.StatusUnauthorized {
		t.Errorf("a stale signature is answered %d", status)
	}
	for range 3 {
		if status := w.meta(w.whatsapp, wa.DefaultAppSecret, "messages", wrote("wamid.once")); status != http.StatusOK {
			t.Errorf("answered %d", status)
		}
	}
	if status := w.meta(w.whatsapp, wa.DefaultAppSecret, "messages", wrote("wamid.another")); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	w.eventually("all is worked off", func() bool {
		b, err := w.store.Books(w.ctx, w.ws)
		return err == nil && b.Callbacks == 0
	})
	list, err := w.engine.List(w.ctx, w.ws, store.Filter{Direction: store.MO, Limit: 10})
	must(t, err)
	if len(list) != 2 {
		t.Errorf("%d messages were taken in, want 2", len(list))
	}
}

// TestReceiptOfAnotherNodesAttempt: this node holds a delivery in memory that
// another node, which took the account over, has sent since. The receipt comes
// here. It was answered 200 and must not be taken for a stranger's.
func TestReceiptOfAnotherNodesAttempt(t *testing.T) {
	w := newWorld(t)
	must(t, w.engine.PauseConnector(w.ctx, w.ws, w.whatsapp))
	w.eventually("the account is paused", func() bool {
		for _, l := range w.engine.Lanes() {
			if l.Connector == w.whatsapp {
				return l.Paused
			}
		}
		return false
	})
	a := w.send(&engine.Request{
		To: engine.Recipient{Phone: "+33612345678"}, Purpose: message.Utility,
		Template: &message.TemplateUse{Name: "boarding_pass", Language: "en", Parameters: map[string]string{"flight": "AF1"}},
		Route:    []engine.RouteStep{{Channel: message.WhatsApp}},
	})
	echo := message.Echo{Message: a.ID}
	w.status("sent", echo) // nobody's attempt: now it is in this node's memory
	records, err := w.store.Load(w.ctx, w.ws, []message.MessageID{a.ID})
	must(t, err)
	w.eventually("the first receipt is worked off", func() bool {
		b, err := w.store.Books(w.ctx, w.ws)
		return err == nil && b.Callbacks == 0
	})

	d := records[0].Delivery
	policy := flow.Default()
	version := d.Version + 1
	flow.Attempt(&policy, d, 1000, time.Now())
	d.Version = version
	applied, err := w.store.Apply(w.ctx, []*store.Change{{Delivery: d, Connector: flow.Connector(d), Ready: flow.Ready(d)}})
	must(t, err)
	if applied[0].Verdict != store.Done {
		t.Fatalf("the other node's attempt: %s", applied[0].Verdict)
	}
	w.status("delivered", echo)
	w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
}

// A tenant's own account, whose secret they know, says nothing about another
// tenant's message, although it names it (law 10).
func TestReceiptOfAStranger(t *testing.T) {
	w := newWorld(t)
	off := false
	const to = "33612345733"
	_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
	must(t, err)
	a := w.send(boardingPass("+"+to, time.Hour))
	w.until(a.ID, "sent", func(d *message.Delivery) bool { return d.State == message.Sent })
	other, err := w.rooms.Create(w.ctx, "another brand")
	must(t, err)
	raw, err := json.Marshal(map[string]any{
		"base_url": w.sandbox.WhatsAppURL(), "phone_number_id": wa.DefaultNumber, "waba_id": wa.DefaultWABA,
		"token": wa.DefaultToken, "app_secret": "theirs", "verify_token": wa.DefaultVerifyToken,
	})
	must(t, err)
	c, err := w.rooms.PutConnector(w.ctx, other.ID, workspace.ConnectorInput{Kind: "whatsapp_cloud", Name: "theirs", Config: raw})
	must(t, err)
	w.eventually("their account is open", func() bool { return len(w.engine.Lanes()) == 3 })
	if status := w.meta(c.ID, "theirs", "statuses", map[string]any{
		"id": "wamid.theirs", "status": "delivered", "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"recipient_id": to, "biz_opaque_callback_data": message.Echo{Message: a.ID}.String(),
	}); status != http.StatusOK {
		t.Errorf("their callback is answered %d", status)
	}
	w.eventually("it is worked off", func() bool {
		b, err := w.store.Books(w.ctx, other.ID)
		return err == nil && b.Callbacks == 0
	})
	v, err := w.engine.View(w.ctx, w.ws, a.ID)
	must(t, err)
	if v.Delivery.State != message.Sent {
		t.Errorf("a stranger made it %v", v.Delivery.State)
	}
}
