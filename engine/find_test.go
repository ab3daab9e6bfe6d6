package engine_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// TestCallbackOfANewConnector: a provider verifies our address in the moment
// its account was made.
func TestCallbackOfANewConnector(t *testing.T) {
	w := newWorld(t)
	raw, err := json.Marshal(map[string]any{
		"base_url": w.sandbox.WhatsAppURL(), "phone_number_id": wa.DefaultNumber, "waba_id": wa.DefaultWABA, "token": "t", "app_secret": "s", "verify_token": "v",
	})
	must(t, err)
	for range 3 {
		c, err := w.rooms.PutConnector(w.ctx, w.ws, workspace.ConnectorInput{Kind: "whatsapp_cloud", Name: "new", Config: raw})
		must(t, err)
		answer, err := w.engine.Callback(w.ctx, c.ID, &channel.Callback{
			Method: http.MethodGet, Header: http.Header{}, Query: url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {"v"}, "hub.challenge": {"42"}},
		})
		if err != nil || answer.Body != "42" {
			t.Errorf("answered %+v, %v", answer, err)
		}
	}
}

// TestStrangersWaitTogether: made-up ids cost the database a look every quarter
// of a second at most, however many come.
func TestStrangersWaitTogether(t *testing.T) {
	w := newWorld(t)
	ask := func() {
		_, err := w.engine.Callback(w.ctx, message.ConnectorID(id.NewMaker().Next(time.Now())), &channel.Callback{Method: http.MethodPost, Header: http.Header{}})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger is told %v", err)
		}
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 500 {
		all.Go(ask)
	}
	all.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("500 at once took %s", took)
	}
	began = time.Now()
	for range 5 {
		ask()
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("5 in turn took %s: each had a look of its own", took)
	}
}
