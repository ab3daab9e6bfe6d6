package privacy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/privacy"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	phone = message.Address{Channel: message.Phone, ID: "+33612345678"}
)

// breakable can let Erase fail, as a full disk would.
type breakable struct {
	store.Store
	broken bool
}

func (b *breakable) Erase(ctx context.Context, ws message.WorkspaceID, id message.ContactID, at time.Time, events []store.Event) (store.Verdict, error) {
	if b.broken {
		return 0, store.ErrUnavailable
	}
	return b.Store.Erase(ctx, ws, id, at, events)
}

type rig struct {
	store   *breakable
	reg     *workspace.Registry
	book    *contact.Book
	ws      message.WorkspaceID
	ids     *id.Maker
	options privacy.Options
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{store: &breakable{Store: open(t, filepath.Join(t.TempDir(), "parley.db"))}, ids: id.NewMaker()}
	r.over(t, r.store)
	w, err := r.reg.Create(t.Context(), "one")
	check(t, err)
	r.ws = w.ID
	r.options.Journal = filepath.Join(t.TempDir(), "erasures.jsonl")
	return r
}

// over builds what stands on a store: as a process does when it starts.
func (r *rig) over(t *testing.T, s *breakable) {
	t.Helper()
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	check(t, err)
	now := func() time.Time { return noon }
	log := slog.New(slog.DiscardHandler)
	r.store = s
	r.reg, err = workspace.Open(t.Context(), workspace.Options{Store: s, Keys: keys, Now: now, IDs: r.ids, Log: log})
	check(t, err)
	r.book = contact.New(contact.Options{Store: s, Workspaces: r.reg, Now: now, IDs: r.ids})
	r.options.Store, r.options.Workspaces, r.options.People = s, r.reg, r.book
	r.options.Now, r.options.IDs, r.options.Log, r.options.Node = now, r.ids, log, "node-1"
}

func (r *rig) office(t *testing.T) *privacy.Office {
	t.Helper()
	o, err := privacy.Open(t.Context(), r.options)
	check(t, err)
	t.Cleanup(func() { check(t, o.Close()) })
	return o
}

// person stores someone who was written to.
func (r *rig) person(t *testing.T, a message.Address) *contact.Person {
	t.Helper()
	ctx := t.Context()
	p, err := r.book.Create(ctx, r.ws, contact.Profile{Name: "Ada Lovelace"}, a)
	check(t, err)
	m := &store.Message{
		ID: r.ids.Message(noon), Workspace: r.ws, Contact: p.ID, Direction: store.MT, Purpose: message.Utility,
		Identity: p.Index(a), CreatedAt: noon,
	}
	m.Sealed, err = p.Seal(contact.PurposeContent, m.ID, []byte(`{"text":"votre carte"}`))
	check(t, err)
	e := store.Event{ID: message.EventID(r.ids.Next(noon)), Workspace: r.ws, Type: event.MessageAccepted, Message: m.ID, Contact: p.ID, Version: 1, At: noon, Data: []byte(`{"channel":"sms"}`)}
	e.Sealed, err = p.SealEvent(e.ID, []byte(`{"to":"`+a.ID+`"}`))
	check(t, err)
	d := &message.Delivery{
		ID: m.ID, Workspace: r.ws, Contact: p.ID, State: message.Queued, Version: 1, Purpose: m.Purpose, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour),
		Steps: []message.Step{{Channel: message.SMS, Mode: message.FreeForm, State: message.StepQueued}},
	}
	_, err = r.store.Accept(ctx, []*store.Acceptance{{Message: m, Delivery: d, Events: []store.Event{e}}})
	check(t, err)
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestErase(t *testing.T) {
	ctx, r := t.Context(), start(t)
	o := r.office(t)
	p := r.person(t, phone)
	index := p.Index(phone)
	document, err := o.Erase(ctx, r.ws, p.ID)
	check(t, err)
	receipt, err := o.VerifyReceipt(document)
	check(t, err)
	if receipt.Contact != p.ID.String() || receipt.Workspace != r.ws.String() || receipt.Journal != 1 || !receipt.Suppressed ||
		!receipt.ErasedAt.Equal(noon) || !receipt.CompleteAt.Equal(noon.Add(7*24*time.Hour)) {
		t.Errorf("receipt %+v", receipt)
	}
	counts := map[string]int64{}
	for _, item := range receipt.Erased {
		counts[item.What] = item.Count
	}
	if counts["key"] != 1 || counts["identities"] != 1 || counts["messages"] != 1 || counts["profile"] != 1 {
		t.Errorf("counted %v", counts)
	}
	if bytes.Contains(document, []byte("Ada")) || bytes.Contains(document, []byte("336123")) {
		t.Error("the receipt is personal")
	}

	gone, err := r.book.ByID(ctx, r.ws, p.ID)
	check(t, err)
	if !gone.Erased() || len(gone.Identities) != 0 || gone.Profile != nil {
		t.Errorf("left: %+v", gone.Person)
	}
	// The number is a stranger's now, who still gets no marketing.
	draft, err := r.book.Draft(ctx, r.ws, phone)
	check(t, err)
	if draft.New == nil || draft.ID == p.ID {
		t.Error("the erased person is found by their number")
	}
	if _, yes := draft.SuppressedFor(index, message.SMS, message.SenderID{}, message.Marketing); !yes {
		t.Error("no suppression was left")
	}
	if _, yes := draft.SuppressedFor(index, message.SMS, message.SenderID{}, message.Authentication); yes {
		t.Error("a one-time code is stopped")
	}
	events, _, err := r.store.Read(ctx, r.ws, "", 100)
	check(t, err)
	last := events[len(events)-1]
	if last.Type != event.ContactErased || last.Contact != p.ID || last.ID.String() != receipt.ID {
		t.Errorf("last event %+v", last.Event)
	}
	for _, e := range events {
		text, err := event.Render(ctx, r.book, e)
		if err != nil || bytes.Contains(text, []byte("336123")) {
			t.Errorf("event %s: %s, %v", e.Type, text, err)
		}
	}
	if _, err := o.Export(ctx, r.ws, p.ID); !errors.Is(err, contact.ErrErased) {
		t.Errorf("exporting someone erased: %v", err)
	}
	again, err := o.Erase(ctx, r.ws, p.ID)
	check(t, err)
	if second, err := o.VerifyReceipt(again); err != nil || len(second.Erased) != 0 || !second.ErasedAt.Equal(noon) {
		t.Errorf("erased twice: %+v, %v", second, err)
	}
	if _, err := o.Erase(ctx, r.ws, message.ContactID{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("erasing nobody: %v", err)
	}
	w, err := r.reg.Create(ctx, "two")
	check(t, err)
	if _, err := o.Erase(ctx, w.ID, p.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("erasing another tenant's contact: %v", err)
	}
	altered := bytes.Replace(document, []byte(`"count":1`), []byte(`"count":9`), 1)
	if _, err := o.VerifyReceipt(altered); !errors.Is(err, vault.ErrReceipt) {
		t.Errorf("an altered receipt: %v", err)
	}
}

func TestErasureCutOffIsCompletedAtTheNextStart(t *testing.T) {
	ctx, r := t.Context(), start(t)
	o := r.office(t)
	first := r.person(t, phone)
	second := r.person(t, message.Address{Channel: message.Phone, ID: "+33600000002"})
	r.store.broken = true
	if _, err := o.Erase(ctx, r.ws, first.ID); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	r.store.broken = false
	// A later one that works must not hide the one that did not.
	if _, err := o.Erase(ctx, r.ws, second.ID); err != nil {
		t.Fatal(err)
	}
	check(t, o.Close())
	r.over(t, r.store)
	r.office(t)
	p, err := r.book.ByID(ctx, r.ws, first.ID)
	check(t, err)
	if !p.Erased() {
		t.Error("a journalled erasure was not completed")
	}
}

func TestRestoredBackupIsErasedAgain(t *testing.T) {
	ctx, r := t.Context(), start(t)
	o := r.office(t)
	early := r.person(t, message.Address{Channel: message.Phone, ID: "+33600000001"})
	_, err := o.Erase(ctx, r.ws, early.ID)
	check(t, err)
	p, bystander := r.person(t, phone), r.person(t, message.Address{Channel: message.Phone, ID: "+33600000003"})
	backup := filepath.Join(t.TempDir(), "backup.db")
	check(t, r.store.Backup(ctx, backup))
	_, err = o.Erase(ctx, r.ws, p.ID)
	check(t, err)
	check(t, o.Close())

	r.over(t, &breakable{Store: open(t, backup)})
	back, err := r.book.ByID(ctx, r.ws, p.ID)
	check(t, err)
	if back.Erased() {
		t.Fatal("the backup does not bring the person back")
	}
	o = r.office(t)
	for _, one := range []struct {
		who    message.ContactID
		erased bool
	}{{early.ID, true}, {p.ID, true}, {bystander.ID, false}} {
		got, err := r.book.ByID(ctx, r.ws, one.who)
		check(t, err)
		if got.Erased() != one.erased {
			t.Errorf("%s: erased %v", one.who, got.Erased())
		}
	}
	draft, err := r.book.Draft(ctx, r.ws, phone)
	check(t, err)
	if _, yes := draft.SuppressedFor(p.Index(phone), message.SMS, message.SenderID{}, message.Marketing); !yes {
		t.Error("the suppression did not come back")
	}
	// The journal of a node that is gone does the same, and no harm twice.
	journal, err := os.Open(r.options.Journal)
	check(t, err)
	defer func() { check(t, journal.Close()) }()
	if n, err := o.ReplayJournal(ctx, journal); n != 0 || err != nil {
		t.Errorf("erased %d again, %v", n, err)
	}
}

func TestCutJournalIsNoticed(t *testing.T) {
	ctx, r := t.Context(), start(t)
	o := r.office(t)
	_, err := o.Erase(ctx, r.ws, r.person(t, phone).ID)
	check(t, err)
	check(t, o.Close())
	check(t, os.Truncate(r.options.Journal, 0))
	var cut *vault.JournalError
	if _, err := privacy.Open(ctx, r.options); !errors.As(err, &cut) {
		t.Errorf("got %v", err)
	}
	r.options.Shorter = true
	r.office(t)
	r.options.Shorter = false
	if head, err := r.reg.JournalHead(ctx, "node-1"); err != nil || head.Seq != 0 {
		t.Errorf("head %d, %v", head.Seq, err)
	}
}

func TestExport(t *testing.T) {
	ctx, r := t.Context(), start(t)
	o := r.office(t)
	p := r.person(t, phone)
	r.person(t, message.Address{Channel: message.Phone, ID: "+33600000002"})
	check(t, r.book.OpenWindow(ctx, p, store.Window{Identity: p.Index(phone), Sender: message.SenderID{1}, Kind: "service", OpenedAt: noon, ClosesAt: noon.Add(time.Hour)}))
	check(t, r.book.Suppress(ctx, p, p.Index(phone), contact.ScopeMarketing, "api"))
	text, err := o.Export(ctx, r.ws, p.ID)
	check(t, err)
	var doc privacy.Document
	check(t, json.Unmarshal(text, &doc))
	if doc.Profile.Name != "Ada Lovelace" || len(doc.Identities) != 1 || doc.Identities[0].ID != phone.ID ||
		len(doc.Windows) != 1 || len(doc.Suppressions) != 1 || len(doc.Messages) != 1 || len(doc.Events) != 2 {
		t.Fatalf("exported %s", text)
	}
	m := doc.Messages[0]
	if m.Address != phone.ID || m.State != "queued" || m.Direction != "to_person" || len(m.Steps) != 1 || !strings.Contains(string(m.Content), "votre carte") {
		t.Errorf("message %+v", m)
	}
	if !strings.Contains(string(doc.Events[1]), phone.ID) {
		t.Errorf("event %s", doc.Events[1])
	}
	if strings.Contains(string(text), "+33600000002") {
		t.Error("the export tells of somebody else")
	}
}
