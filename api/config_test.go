package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	sdk "github.com/parley-messaging/parley/sdk/go"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/webhook"
)

func TestConfigurationBySDK(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Public = "https://parley.example.com" })
	ctx, c := t.Context(), r.client()
	kinds, err := c.Connectors.Kinds(ctx)
	r.check(err)
	if len(kinds) != 1 || kinds[0].Kind != "smpp" || kinds[0].Receipts.Horizon != sdk.Duration(48*time.Hour) {
		t.Errorf("%+v", kinds)
	}
	cn, err := c.Connectors.Create(ctx, &sdk.NewConnector{Kind: "smpp", Name: "SMSC", Config: json.RawMessage(`{"password":"hunter2"}`)})
	r.check(err)
	if cn.Callback != "https://parley.example.com/callbacks/"+cn.ID || cn.Health.State != "ok" {
		t.Errorf("%+v", cn)
	}
	cn, err = c.Connectors.Update(ctx, cn.ID, &sdk.ConnectorChange{Name: "SMSC 2"})
	r.check(err)
	if w := r.call("GET", "/v1/connectors", ""); strings.Contains(w.Body.String(), "hunter2") || cn.Name != "SMSC 2" {
		t.Errorf("%s", w.Body)
	}
	sd, err := c.Senders.Create(ctx, &sdk.SenderRequest{Channel: sdk.SMS, Address: "36123", Connectors: []string{cn.ID}, Settings: json.RawMessage(`{"stop":"36123"}`)})
	r.check(err)
	if _, err := c.Senders.Create(ctx, &sdk.SenderRequest{Channel: sdk.SMS, Address: "36123"}); !sdk.IsCode(err, codeExists) {
		t.Errorf("error %v", err)
	}
	sd, err = c.Senders.Update(ctx, sd.ID, &sdk.SenderRequest{Channel: sdk.SMS, Address: "36124", Connectors: []string{cn.ID}})
	r.check(err)
	if got, err := c.Senders.Get(ctx, sd.ID); err != nil || got.Address != "36124" {
		t.Errorf("%+v %v", got, err)
	}
	if err := c.Connectors.Delete(ctx, cn.ID); !sdk.IsCode(err, engine.CodeInvalid) {
		t.Errorf("error %v", err)
	}
	if n, err := c.Connectors.SyncTemplates(ctx, cn.ID); err != nil || n != 3 {
		t.Errorf("templates: %d, %v", n, err)
	}
	if _, err = c.Connectors.Pause(ctx, cn.ID); err != nil || len(r.engine.paused) != 1 {
		t.Errorf("%v %v", err, r.engine.paused)
	}
	if _, err = c.Connectors.Resume(ctx, cn.ID); err != nil || len(r.engine.paused) != 0 {
		t.Errorf("%v %v", err, r.engine.paused)
	}
	tp, err := c.Templates.Put(ctx, &sdk.TemplateRequest{Sender: sd.ID, Name: "a", Language: "fr", Category: sdk.Utility, State: "approved", TTL: sdk.Duration(10 * time.Minute), Body: "Bonjour {{1}}"})
	r.check(err)
	if list, err := c.Templates.List(ctx, sd.ID); err != nil || len(list) != 1 || list[0].TTL != sdk.Duration(10*time.Minute) {
		t.Errorf("%+v %v", list, err)
	}
	r.check(c.Templates.Delete(ctx, tp.ID))
	want := &sdk.Settings{
		DefaultRoute: []sdk.SettingsStep{{Channel: sdk.WhatsApp, Next: &sdk.NextIf{NotDelivered: sdk.Duration(time.Minute)}}, {Channel: sdk.SMS, Sender: sd.ID}}, DefaultRegion: "FR", Timezone: "Europe/Paris",
		Retention: &sdk.Retention{Content: sdk.Duration(30 * 24 * time.Hour)}, MaxPrice: &sdk.Amount{Amount: "0.2", Currency: "EUR"},
	}
	_, err = c.Workspace.SetSettings(ctx, want)
	r.check(err)
	got, err := c.Workspace.Settings(ctx)
	r.check(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = c.Workspace.SetSettings(ctx, &sdk.Settings{})
	r.check(err)
	r.check(c.Senders.Delete(ctx, sd.ID))
	r.check(c.Connectors.Delete(ctx, cn.ID))
	me, err := c.Workspace.Me(ctx)
	r.check(err)
	if me.Workspace != r.ws.String() || me.Name != "one" {
		t.Errorf("%+v", me)
	}
	usage, err := c.Workspace.Usage(ctx, time.Time{}, time.Time{})
	r.check(err)
	if !usage.From.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", usage)
	}
}

func TestKeysBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	key, err := c.Workspace.CreateKey(ctx, &sdk.APIKeyRequest{Name: "reader", Scopes: []string{"messages:read", "config:*"}})
	r.check(err)
	reader := sdk.New(r.web.URL, key.Secret)
	if _, err := reader.Messages.List(ctx, sdk.ListMessages{}); err != nil {
		t.Error(err)
	}
	if _, err := reader.Messages.Send(ctx, &sdk.SendRequest{To: sdk.Phone("+331"), Purpose: sdk.Utility, Content: &sdk.Content{Text: "x"}}); !sdk.IsCode(err, codeScope) {
		t.Errorf("error %v", err)
	}
	if _, err := reader.Contacts.List(ctx, sdk.ListOptions{}); !sdk.IsCode(err, codeScope) {
		t.Errorf("error %v", err)
	}
	if _, err := reader.Workspace.Settings(ctx); err != nil {
		t.Error(err)
	}
	keys, err := c.Workspace.Keys(ctx)
	r.check(err)
	for _, k := range keys {
		if k.Secret != "" {
			t.Error("a secret is shown again")
		}
	}
	r.check(c.Workspace.RevokeKey(ctx, key.ID))
	if _, err := reader.Workspace.Me(ctx); !sdk.IsCode(err, codeKeyBad) {
		t.Errorf("error %v", err)
	}
}

func TestWebhooksBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	we, err := c.Webhooks.Create(ctx, &sdk.EndpointRequest{URL: "https://example.com/hook", Types: []string{event.MessageDelivered}})
	r.check(err)
	if !strings.HasPrefix(we.Secret, "whsec_") {
		t.Errorf("%+v", we)
	}
	rotated, err := c.Webhooks.Rotate(ctx, we.ID, sdk.RotateRequest{Grace: "12h"})
	r.check(err)
	var id message.EndpointID
	r.check(id.UnmarshalText([]byte(we.ID)))
	row, err := r.store.Endpoint(ctx, r.ws, id)
	r.check(err)
	secrets, err := r.server.secrets(ctx, row)
	r.check(err)
	if want := []Secret{{Secret: rotated.Secret}, {Secret: we.Secret, Until: noon.Add(12 * time.Hour)}}; !cmp.Equal(want, secrets) || bytes.Contains(row.Sealed, []byte("whsec_")) {
		t.Error("not the new secret and the old one for its grace, sealed")
	}
	// The room that signs reads what this one seals.
	signing, err := webhook.OpenSecrets(ctx, r.reg, r.ws, id, row.Sealed)
	r.check(err)
	if len(signing) != 2 || signing[0].Value != rotated.Secret || signing[1].Value != we.Secret || !signing[1].Until.Equal(noon.Add(12*time.Hour)) {
		t.Error("package webhook reads other secrets")
	}
	we, err = c.Webhooks.Update(ctx, we.ID, &sdk.EndpointRequest{URL: "https://example.com/other", Batch: 10})
	r.check(err)
	list, err := c.Webhooks.List(ctx)
	r.check(err)
	if len(list) != 1 || list[0].Secret != "" || list[0].URL != "https://example.com/other" || we.Batch != 10 {
		t.Errorf("%+v", list)
	}
	_, err = c.Contacts.Create(ctx, &sdk.ContactRequest{Identities: []sdk.NewIdentity{{Channel: "messenger", Address: "1"}}})
	r.check(err)
	rows, cursor, err := r.store.Read(ctx, r.ws, "", 1)
	r.check(err)
	r.check(r.store.Enqueue(ctx, "webhooks", cursor, []*store.WebhookDelivery{{
		ID: message.DeliveryID(r.ids.Next(noon)), Workspace: r.ws, Endpoint: id, State: store.WebhookPending, NextAt: noon, CreatedAt: noon, Event: rows[0].Event,
	}}))
	deliveries, err := c.Webhooks.Deliveries(ctx, we.ID, "pending", sdk.ListOptions{})
	r.check(err)
	if len(deliveries.Data) != 1 || deliveries.Data[0].Type != event.ContactCreated {
		t.Fatalf("%+v", deliveries)
	}
	if _, err := c.Webhooks.Replay(ctx, we.ID, &sdk.ReplayRequest{IDs: []string{deliveries.Data[0].ID}}); err != nil {
		t.Error(err)
	}
	if _, err := c.Webhooks.Replay(ctx, we.ID, &sdk.ReplayRequest{}); !sdk.IsCode(err, engine.CodeInvalid) {
		t.Errorf("error %v", err)
	}
	r.check(c.Webhooks.Delete(ctx, we.ID))
	if _, err := c.Webhooks.Get(ctx, we.ID); !sdk.IsCode(err, engine.CodeNotFound) {
		t.Errorf("error %v", err)
	}
}
