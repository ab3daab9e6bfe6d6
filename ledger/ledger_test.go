package ledger_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/ledger"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type rig struct {
	t     *testing.T
	store *sqlite.Store
	ids   *id.Maker
	who   *contact.Person
	ws    message.WorkspaceID
}

func start(t *testing.T) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "parley.db"), sqlite.Options{Now: time.Now, Migrate: true})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	check(t, err)
	r := &rig{t: t, store: s, ids: id.NewMaker()}
	now := func() time.Time { return noon }
	reg, err := workspace.Open(t.Context(), workspace.Options{Store: s, Keys: keys, Now: now, IDs: r.ids, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	w, err := reg.Create(t.Context(), "one")
	check(t, err)
	r.ws = w.ID
	book := contact.New(contact.Options{Store: s, Workspaces: reg, Now: now, IDs: r.ids})
	r.who, err = book.Create(t.Context(), r.ws, contact.Profile{}, message.Address{Channel: message.Phone, ID: "+33612345678"})
	check(t, err)
	return r
}

func (r *rig) log(kind string, m message.MessageID, data string) {
	r.t.Helper()
	check(r.t, r.store.SetProfile(r.t.Context(), r.ws, r.who.ID, nil, []store.Event{{
		ID: message.EventID(r.ids.Next(noon)), Workspace: r.ws, Type: kind, Message: m, Contact: r.who.ID, At: noon, Data: []byte(data),
	}}))
}

func (r *rig) ledger(node string) *ledger.Ledger {
	r.t.Helper()
	l, err := ledger.New(ledger.Options{Store: r.store, Log: slog.New(slog.DiscardHandler), Node: node})
	check(r.t, err)
	check(r.t, l.Start(r.t.Context()))
	check(r.t, l.Start(r.t.Context()))
	r.t.Cleanup(func() { check(r.t, l.Stop(r.t.Context())) })
	return l
}

// charges waits until the reader has passed everything, then reads.
func (r *rig) charges(m message.MessageID) []*store.Charge {
	r.t.Helper()
	head, err := r.store.Head(r.t.Context())
	check(r.t, err)
	end := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := r.store.Cursor(r.t.Context(), "ledger")
		check(r.t, err)
		if c == head {
			break
		}
		select {
		case <-tick.C:
		case <-end:
			r.t.Fatal("the ledger never came so far")
		}
	}
	list, err := r.store.Charges(r.t.Context(), r.ws, m)
	check(r.t, err)
	return list
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const due = `{"state":"delivered","step":1,"channel":"whatsapp","attempt":2,"charge":{"micros":%d,"currency":"EUR","by":"%s","rule":"%s","country":"FR"},"purpose":"utility"}`

func TestChargesFollowEvents(t *testing.T) {
	r := start(t)
	m, other := r.ids.Message(noon), r.ids.Message(noon)
	r.log(event.MessageAccepted, m, `{"state":"queued","purpose":"utility"}`)
	r.log(event.MessageDelivered, m, fmt.Sprintf(due, 30_000, "estimate", "card/FR"))
	l := r.ledger("node-1")
	want := &store.Charge{
		Workspace: r.ws, Message: m, Step: 1, Attempt: 2, Channel: message.WhatsApp, Purpose: message.Utility, Country: "FR",
		Amount: message.Money{Micros: 30_000, Currency: "EUR"}, By: "estimate", Rule: "card/FR", At: noon,
	}
	if diff := cmp.Diff([]*store.Charge{want}, r.charges(m)); diff != "" {
		t.Error(diff)
	}
	// The provider's word replaces the estimate, and a late estimate does not
	// replace the provider's word.
	r.log(event.MessageStep, m, fmt.Sprintf(due, 0, "provider", "free_entry_point"))
	r.log(event.MessageStep, m, fmt.Sprintf(due, 31_000, "estimate", "card/FR"))
	// What cannot be booked stops nothing.
	for _, bad := range []string{
		`{"charge":{"micros":1,"currency":"EUR","by":"provider"}}`, `{"charge":`, `{"step":-1,"attempt":0,"charge":{"micros":1}}`,
		`{"step":0,"attempt":0,"charge":{"micros":1,"currency":"","by":"provider"}}`, `{"detail":"\"charge\": yes"}`, `{"charge":null}`,
		`{"step":0,"attempt":0,"charge":{"micros":1,"currency":"EUR","by":"hearsay"}}`,
	} {
		r.log(event.MessageStep, other, bad)
	}
	r.log(event.MessageSent, other, `{"state":"sent","step":0,"channel":"sms","attempt":0,"charge":{"micros":70000,"currency":"EUR","by":"estimate"},"purpose":"marketing"}`)
	want.Amount.Micros, want.By, want.Rule = 0, "provider", "free_entry_point"
	if diff := cmp.Diff([]*store.Charge{want}, r.charges(m)); diff != "" {
		t.Error(diff)
	}
	if list := r.charges(other); len(list) != 1 || list[0].Amount.Micros != 70_000 {
		t.Errorf("got %+v", list)
	}
	check(t, l.Stop(t.Context()))
	check(t, l.Stop(t.Context()))
	wantCounts := []ledger.Count{
		{"contact.created", "", 1},
		{event.MessageAccepted, "", 1},
		{event.MessageDelivered, "whatsapp", 1},
		{event.MessageSent, "sms", 1},
		{event.MessageStep, "", 7},
		{event.MessageStep, "whatsapp", 2},
	}
	if diff := cmp.Diff(wantCounts, l.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestReadingAgainChangesNothing(t *testing.T) {
	r := start(t)
	m := r.ids.Message(noon)
	r.log(event.MessageDelivered, m, fmt.Sprintf(due, 30_000, "estimate", "card/FR"))
	r.log(event.MessageStep, m, fmt.Sprintf(due, 25_000, "provider", "utility/regular"))
	l := r.ledger("node-1")
	before := r.charges(m)
	check(t, l.Stop(t.Context()))
	check(t, r.store.SaveCursor(t.Context(), "ledger", ""))
	r.ledger("node-2") // the lease was given back: no wait
	if diff := cmp.Diff(before, r.charges(m)); diff != "" {
		t.Error(diff)
	}
	costs, err := r.store.Costs(t.Context(), r.ws, noon, noon.Add(time.Hour))
	check(t, err)
	if len(costs) != 1 || costs[0].Count != 1 || costs[0].Amount.Micros != 25_000 {
		t.Errorf("got %+v", costs)
	}
}

func TestNeedsItsOptions(t *testing.T) {
	if _, err := ledger.New(ledger.Options{}); err == nil {
		t.Error("made of nothing")
	}
}

func TestFactsReadPlainly(t *testing.T) {
	for _, data := range []string{
		fmt.Sprintf(due, 1, "estimate", "x"),
		`{"state":"delivered","purpose":"marketing","step":0,"channel":"sms","sender":"snd_1","step_state":"delivered","attempt":12,` +
			`"charge":{"micros":-60000,"currency":"EUR","by":"provider","rule":"sms FR","country":"FR","more":[1]}}`,
		`{"step":255,"attempt":65535,"charge":{}}`,
		`{}`,
	} {
		if err := ledger.ReadsPlainly([]byte(data)); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
	for _, data := range []string{`{"step":256}`, `{"step":null}`, `{"attempt":-1}`, `{"channel":"s\u006ds"}`, `{"purpose":"é"}`, `{"charge":null}`, `{"charge":{"micros":"1"}}`} {
		if ledger.ReadsPlainly([]byte(data)) == nil {
			t.Errorf("%s is read in the quick way", data)
		}
	}
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(due, 1, "estimate", "x")))
	f.Add([]byte(`{"channel":"\"","charge":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ledger.ChargeOf(data)
		if err == nil && c != nil && !json.Valid(data) {
			t.Fatalf("a charge of %q", data)
		}
	})
}
