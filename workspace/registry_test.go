package workspace_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

const (
	masterA = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	masterB = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A node is one process of an installation, with its own clock.
type node struct {
	*workspace.Registry
	now time.Time
}

func start(t *testing.T, s workspace.Store, masters string) *node {
	t.Helper()
	keys, err := vault.ParseMasters(masters)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{now: noon}
	n.Registry, err = workspace.Open(t.Context(), workspace.Options{
		Store: s, Keys: keys, Now: func() time.Time { return n.now }, IDs: id.NewMaker(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestartKeepsKeys(t *testing.T) {
	ctx, s := t.Context(), open(t)
	one := start(t, s, masterA)
	w, err := one.Create(ctx, "  Air Example ")
	check(t, err)
	if w.Name != "Air Example" {
		t.Errorf("named %q", w.Name)
	}
	sealed, err := one.SealWorkspace(ctx, w.ID, "endpoints.secret", [16]byte{1}, []byte("hush"))
	check(t, err)
	day, kept, err := one.SealDay(ctx, w.ID, noon, "callbacks.body", [16]byte{2}, []byte("raw"))
	check(t, err)

	two := start(t, s, masterA)
	got, err := two.Get(ctx, w.ID)
	check(t, err)
	if got.Name != w.Name || got.Keys.Index("phone", "+33612345678") != w.Keys.Index("phone", "+33612345678") {
		t.Error("another node has other keys")
	}
	plain, err := two.OpenWorkspace(ctx, w.ID, "endpoints.secret", [16]byte{1}, sealed)
	if err != nil || string(plain) != "hush" {
		t.Errorf("got %q, %v", plain, err)
	}
	plain, err = two.OpenDay(ctx, w.ID, day, "callbacks.body", [16]byte{2}, kept)
	if err != nil || string(plain) != "raw" {
		t.Errorf("got %q, %v", plain, err)
	}
	if _, err := two.OpenDay(ctx, w.ID, day, "callbacks.body", [16]byte{3}, kept); !errors.Is(err, vault.ErrOpen) {
		t.Errorf("a value moved to another row gives %v", err)
	}
	if !two.Installation().PublicKey().Equal(one.Installation().PublicKey()) {
		t.Error("installation keys were made twice")
	}
	if _, err := two.Get(ctx, message.WorkspaceID{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown workspace gives %v", err)
	}
	if _, err := two.Get(ctx, message.WorkspaceID{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the zero workspace gives %v", err)
	}
	keys, err := vault.ParseMasters(masterB)
	check(t, err)
	_, err = workspace.Open(ctx, workspace.Options{Store: s, Keys: keys, Now: func() time.Time { return noon }, IDs: id.NewMaker(), Log: slog.New(slog.DiscardHandler)})
	var missing *vault.MissingKeyError
	if !errors.As(err, &missing) || missing.MasterID == "" {
		t.Errorf("another master key gives %v", err)
	}
}

func TestDaysAreMadeSharedAndPurged(t *testing.T) {
	ctx, s := t.Context(), open(t)
	one := start(t, s, masterA)
	w, err := one.Create(ctx, "one")
	check(t, err)
	day, sealed, err := one.SealDay(ctx, w.ID, noon, "x", [16]byte{}, []byte("first day"))
	check(t, err)

	// A day that Create did not foresee, made by one node, read by another.
	later := noon.Add(4 * 24 * time.Hour)
	two := start(t, s, masterA)
	one.now, two.now = later, later
	day4, sealed4, err := two.SealDay(ctx, w.ID, later, "x", [16]byte{}, []byte("fifth day"))
	check(t, err)
	if plain, err := one.OpenDay(ctx, w.ID, day4, "x", [16]byte{}, sealed4); err != nil || string(plain) != "fifth day" {
		t.Errorf("got %q, %v", plain, err)
	}
	// Both seal under one key from then on.
	_, again, err := one.SealDay(ctx, w.ID, later, "x", [16]byte{}, []byte("too"))
	check(t, err)
	if _, err := two.OpenDay(ctx, w.ID, day4, "x", [16]byte{}, again); err != nil {
		t.Error(err)
	}

	// The last moment of the seventh day, and the first of the eighth.
	end := noon.Truncate(24 * time.Hour).Add(7*24*time.Hour - time.Microsecond)
	_, err = one.PurgeDays(ctx, end)
	check(t, err)
	if _, err := one.OpenDay(ctx, w.ID, day, "x", [16]byte{}, sealed); err != nil {
		t.Errorf("purged too early: %v", err)
	}
	n, err := one.PurgeDays(ctx, end.Add(time.Microsecond))
	check(t, err)
	if n != 1 {
		t.Errorf("purged %d keys, want that of the first day", n)
	}
	var missing *vault.MissingKeyError
	if _, err := one.OpenDay(ctx, w.ID, day, "x", [16]byte{}, sealed); !errors.As(err, &missing) {
		t.Errorf("after the purge: %v", err)
	}
	if _, err := one.OpenDay(ctx, w.ID, day4, "x", [16]byte{}, sealed4); err != nil {
		t.Errorf("a later day was purged: %v", err)
	}
}

func TestConfigIsCachedAndRefreshed(t *testing.T) {
	ctx, s := t.Context(), open(t)
	one, two := start(t, s, masterA), start(t, s, masterA)
	w, err := one.Create(ctx, "one")
	check(t, err)
	before, err := two.Config(ctx, w.ID)
	check(t, err)

	account, err := one.PutConnector(ctx, w.ID, workspace.ConnectorInput{Kind: "smpp", Name: "main", Config: []byte(`{"password":"pa55"}`)})
	check(t, err)
	if bytes.Contains(account.Sealed, []byte("pa55")) {
		t.Error("credentials are stored in the clear")
	}
	sender, err := one.PutSender(ctx, &store.Sender{Workspace: w.ID, Channel: message.SMS, Address: "36180", Connectors: []message.ConnectorID{account.ID}})
	check(t, err)
	_, err = one.PutTemplate(ctx, &store.Template{Workspace: w.ID, Sender: sender.ID, Name: "code", Language: "fr", Category: message.Authentication, State: message.TemplateApproved})
	check(t, err)
	_, err = one.SetSettings(ctx, w.ID, []byte(`{"default_route":[{"channel":"sms","sender":"`+sender.ID.String()+`"}]}`))
	check(t, err)

	if got, _ := two.Config(ctx, w.ID); got != before {
		t.Error("a snapshot was read again without need")
	}
	check(t, two.Refresh(ctx))
	got, err := two.Config(ctx, w.ID)
	check(t, err)
	if got.Version <= before.Version || got.Sender(sender.ID) == nil || len(got.Templates(sender.ID, "code", "fr")) != 1 || got.Settings.DefaultRoute[0].Sender != sender.ID {
		t.Errorf("refreshed to %+v", got)
	}
	config, err := two.OpenConfig(ctx, got.Connector(account.ID))
	if err != nil || string(config) != `{"password":"pa55"}` {
		t.Errorf("got %s, %v", config, err)
	}

	// Pausing and health leave the rest alone; a config not given stays.
	check(t, one.SetPaused(ctx, w.ID, account.ID, true))
	check(t, one.SetHealth(ctx, w.ID, account.ID, store.Health{State: "misconfigured", Code: "14", At: noon}))
	renamed, err := one.PutConnector(ctx, w.ID, workspace.ConnectorInput{ID: account.ID, Name: "new name"})
	check(t, err)
	c, err := one.Config(ctx, w.ID)
	check(t, err)
	if now := c.Connector(account.ID); !now.Paused || now.Health.State != "misconfigured" || renamed.Name != "new name" || !bytes.Equal(now.Sealed, account.Sealed) {
		t.Errorf("connector is %+v", now)
	}
	one.Stale(w.ID)
	if again, err := one.Config(ctx, w.ID); err != nil || again == c {
		t.Errorf("a stale snapshot was kept, %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	ctx := t.Context()
	n := start(t, open(t), masterA)
	w, err := n.Create(ctx, "one")
	check(t, err)
	other, err := n.Create(ctx, "two")
	check(t, err)
	account, err := n.PutConnector(ctx, w.ID, workspace.ConnectorInput{Kind: "smpp", Config: []byte(`{}`)})
	check(t, err)
	sender, err := n.PutSender(ctx, &store.Sender{Workspace: w.ID, Channel: message.SMS, Address: "36180", Connectors: []message.ConnectorID{account.ID}})
	check(t, err)
	invalid := func(name string, err error) {
		t.Helper()
		if e := new(workspace.InvalidError); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = n.Create(ctx, " ")
	invalid("no name", err)
	_, err = n.PutSender(ctx, &store.Sender{Workspace: other.ID, Channel: message.SMS, Address: "1", Connectors: []message.ConnectorID{account.ID}})
	invalid("another tenant's connector", err)
	_, err = n.PutSender(ctx, &store.Sender{Workspace: w.ID, Channel: message.SMS})
	invalid("no address", err)
	_, err = n.PutConnector(ctx, w.ID, workspace.ConnectorInput{Kind: "smpp", Config: []byte(`{`)})
	invalid("no JSON", err)
	_, err = n.PutConnector(ctx, w.ID, workspace.ConnectorInput{ID: account.ID, Kind: "whatsapp_cloud"})
	invalid("another kind", err)
	invalid("in use", n.DeleteConnector(ctx, w.ID, account.ID))
	_, err = n.PutTemplate(ctx, &store.Template{Workspace: other.ID, Sender: sender.ID, Name: "a", Language: "fr", Category: message.Utility})
	invalid("another tenant's sender", err)
	_, err = n.SetSettings(ctx, other.ID, []byte(`{"default_route":[{"channel":"sms","sender":"`+sender.ID.String()+`"}]}`))
	invalid("another tenant's sender in the route", err)

	if _, err := n.PutSender(ctx, &store.Sender{Workspace: w.ID, Channel: message.SMS, Address: "36180"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("an address twice: %v", err)
	}
	if _, err := n.PutConnector(ctx, other.ID, workspace.ConnectorInput{ID: account.ID, Name: "mine"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's connector: %v", err)
	}
	check(t, n.DeleteSender(ctx, w.ID, sender.ID))
	check(t, n.DeleteConnector(ctx, w.ID, account.ID))
}

func TestAPIKeys(t *testing.T) {
	ctx, s := t.Context(), open(t)
	one, two := start(t, s, masterA), start(t, s, masterA)
	w, err := one.Create(ctx, "one")
	check(t, err)
	secret, key, err := one.CreateAPIKey(ctx, w.ID, "backend", []string{"messages"})
	check(t, err)
	if len(secret) != 46 || !strings.HasPrefix(secret, "pk_") || !strings.HasSuffix(secret, key.Hint) {
		t.Errorf("secret of length %d, hint %q", len(secret), key.Hint)
	}
	for _, n := range []*node{one, two} {
		got, err := n.Authenticate(ctx, secret)
		if err != nil || got.ID != key.ID || got.Workspace != w.ID || got.Scopes[0] != "messages" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	wrong := []byte(secret)
	wrong[20] ^= 1
	for _, bad := range []string{"", "pk_", string(wrong), secret + "=", "sk" + secret[2:]} {
		if _, err := one.Authenticate(ctx, bad); !errors.Is(err, workspace.ErrBadKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	check(t, one.RevokeAPIKey(ctx, w.ID, key.ID))
	if _, err := one.Authenticate(ctx, secret); !errors.Is(err, workspace.ErrBadKey) {
		t.Errorf("revoked here: %v", err)
	}
	two.now = noon.Add(5 * time.Second)
	if _, err := two.Authenticate(ctx, secret); !errors.Is(err, workspace.ErrBadKey) {
		t.Errorf("revoked elsewhere five seconds ago: %v", err)
	}
	if list, err := one.APIKeys(ctx, w.ID); err != nil || len(list) != 1 {
		t.Errorf("listed %d, %v", len(list), err)
	}
}

func TestRotation(t *testing.T) {
	ctx, s := t.Context(), open(t)
	one, two := start(t, s, masterA), start(t, s, masterA)
	w, err := one.Create(ctx, "one")
	check(t, err)
	_, err = two.Config(ctx, w.ID)
	check(t, err)
	account, err := one.PutConnector(ctx, w.ID, workspace.ConnectorInput{Kind: "smpp", Config: []byte(`{"a":1}`)})
	check(t, err)
	old, err := one.SealWorkspace(ctx, w.ID, "x", [16]byte{}, []byte("old"))
	check(t, err)
	check(t, one.RotateKEK(ctx, w.ID))
	sealed, err := one.SealWorkspace(ctx, w.ID, "x", [16]byte{}, []byte("new"))
	check(t, err)
	if vault.WrappedVersion(sealed) != 0 || sealed[1] != 2 {
		t.Errorf("sealed under version %d", sealed[1])
	}
	// A node that has not refreshed learns of the key when it needs it.
	if plain, err := two.OpenWorkspace(ctx, w.ID, "x", [16]byte{}, sealed); err != nil || string(plain) != "new" {
		t.Errorf("got %q, %v", plain, err)
	}
	again, changed, err := one.Reseal(ctx, w.ID, "x", [16]byte{}, old)
	if err != nil || !changed || again[1] != 2 {
		t.Errorf("resealed: %v, %v", changed, err)
	}
	c, err := one.Config(ctx, w.ID)
	check(t, err)
	if now := c.Connector(account.ID); now.KeyVersion != 2 {
		t.Errorf("credentials are under version %d", now.KeyVersion)
	}

	// The master: new one first, everything wrapped again, old one gone.
	both := start(t, s, masterB+" "+masterA)
	n, err := both.RotateMaster(ctx)
	check(t, err)
	if n != 6 { // three of the installation, two KEKs, one index key
		t.Errorf("wrapped %d keys anew", n)
	}
	if n, err = both.RotateMaster(ctx); n != 0 || err != nil {
		t.Errorf("and again %d, %v", n, err)
	}
	alone := start(t, s, masterB)
	c, err = alone.Config(ctx, w.ID)
	check(t, err)
	if config, err := alone.OpenConfig(ctx, c.Connector(account.ID)); err != nil || string(config) != `{"a":1}` {
		t.Errorf("got %s, %v", config, err)
	}
}

func TestJournalHead(t *testing.T) {
	ctx := t.Context()
	n := start(t, open(t), masterA)
	want := vault.JournalHead{Seq: 1<<40 + 7, MAC: [32]byte{1, 2, 3}}
	check(t, n.SetJournalHead(ctx, "node-1", want))
	for name, want := range map[string]vault.JournalHead{"node-1": want, "node-2": {}} {
		if got, err := n.JournalHead(ctx, name); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
