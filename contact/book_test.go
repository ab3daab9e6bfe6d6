package contact_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	phone = message.Address{Channel: message.Phone, ID: "+33612345678"}
	waID  = message.Address{Channel: message.WhatsApp, Scope: "portfolio-1", ID: "FR.13491208655302741918"}
)

// counted counts readings of people.
type counted struct {
	store.Store
	reads atomic.Int64
}

func (c *counted) Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*store.Person, error) {
	c.reads.Add(1)
	return c.Store.Resolve(ctx, ws, indexes)
}

func (c *counted) Contact(ctx context.Context, ws message.WorkspaceID, id message.ContactID) (*store.Person, error) {
	c.reads.Add(1)
	return c.Store.Contact(ctx, ws, id)
}

type rig struct {
	store *counted
	book  *contact.Book
	reg   *workspace.Registry
	ws    message.WorkspaceID
}

func start(t testing.TB, size int) *rig {
	t.Helper()
	r := &rig{store: &counted{Store: open(t)}}
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	check(t, err)
	now := func() time.Time { return noon }
	r.reg, err = workspace.Open(t.Context(), workspace.Options{Store: r.store, Keys: keys, Now: now, IDs: id.NewMaker(), Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	w, err := r.reg.Create(t.Context(), "one")
	check(t, err)
	r.ws = w.ID
	r.book = contact.New(contact.Options{Store: r.store, Workspaces: r.reg, Now: now, IDs: id.NewMaker(), Size: size})
	return r
}

func (r *rig) other() *contact.Book {
	return contact.New(contact.Options{Store: r.store, Workspaces: r.reg, Now: func() time.Time { return noon }, IDs: id.NewMaker()})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDraftIsStoredAndFound(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	if p, err := r.book.Resolve(ctx, r.ws, phone); p != nil || err != nil {
		t.Fatalf("nobody is known, got %v, %v", p, err)
	}
	draft, err := r.book.Draft(ctx, r.ws, phone, waID)
	check(t, err)
	if draft.New == nil || len(draft.New.Identities) != 2 || draft.New.KeyVersion != 1 || draft.ID.IsZero() {
		t.Fatalf("drafted %+v", draft.New)
	}
	sealed, err := draft.Seal(contact.PurposeContent, [16]byte{7}, []byte("bonjour"))
	check(t, err)
	check(t, r.store.CreateContact(ctx, draft.New, nil))
	r.book.Stored(draft)

	reads := r.store.reads.Load()
	p, err := r.book.Resolve(ctx, r.ws, waID)
	check(t, err)
	if p == nil || p.ID != draft.ID || p.New != nil || p.Version != 1 || r.store.reads.Load() != reads {
		t.Errorf("a stored draft is not in memory: %+v", p)
	}
	// Another node reads the same from the store.
	far, err := r.other().Resolve(ctx, r.ws, phone)
	check(t, err)
	for _, p := range []*contact.Person{p, far} {
		if plain, err := p.Open(contact.PurposeContent, [16]byte{7}, sealed); err != nil || string(plain) != "bonjour" {
			t.Errorf("got %q, %v", plain, err)
		}
		if _, err := p.Open(contact.PurposeContent, [16]byte{8}, sealed); !errors.Is(err, vault.ErrOpen) {
			t.Errorf("content moved to another message: %v", err)
		}
		if _, err := p.Open("events.personal", [16]byte{7}, sealed); !errors.Is(err, vault.ErrOpen) {
			t.Errorf("content moved to another column: %v", err)
		}
		for _, want := range []message.Address{phone, waID} {
			a, at, ok := p.Address([]message.Channel{want.Channel})
			if !ok || a != want || at != p.Index(want) {
				t.Errorf("address %+v, %v", a, ok)
			}
		}
		if a, _, ok := p.Address([]message.Channel{message.WhatsApp, message.Phone}, "portfolio-2"); !ok || a != phone {
			t.Errorf("the id of another portfolio was not passed over: %v", ok)
		}
		if _, _, ok := p.Address([]message.Channel{"messenger"}); ok {
			t.Error("an address on a channel nobody has")
		}
	}
	if again, err := r.book.Draft(ctx, r.ws, phone); err != nil || again.New != nil || again.ID != p.ID {
		t.Errorf("somebody known was drafted again: %v", err)
	}
	if _, err := r.book.Draft(ctx, r.ws); !errors.Is(err, contact.ErrNoAddress) {
		t.Errorf("a draft without address: %v", err)
	}
	if _, err := r.book.Draft(ctx, r.ws, message.Address{Channel: message.Phone}); !errors.Is(err, contact.ErrNoAddress) {
		t.Errorf("an address without id: %v", err)
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	p, err := r.book.Create(ctx, r.ws, contact.Profile{Name: "Ada"}, phone)
	check(t, err)
	w, err := r.reg.Create(ctx, "two")
	check(t, err)
	if q, err := r.book.Resolve(ctx, w.ID, phone); q != nil || err != nil {
		t.Errorf("found across workspaces: %v, %v", q, err)
	}
	for range 2 { // in memory, then not
		if _, err := r.book.ByID(ctx, w.ID, p.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read across workspaces: %v", err)
		}
		r.book.Forget(w.ID, p.ID)
		r.book.Forget(r.ws, p.ID)
	}
	a, err := r.book.Index(ctx, r.ws, phone)
	check(t, err)
	b, err := r.book.Index(ctx, w.ID, phone)
	check(t, err)
	if a == b {
		t.Error("one number has one index in two workspaces")
	}
}

func TestFindAsksOnce(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	known, err := r.book.Create(ctx, r.ws, contact.Profile{}, phone)
	check(t, err)
	r.book.Forget(r.ws, known.ID)
	stranger, stopped := message.Address{Channel: message.Phone, ID: "+33699999999"}, message.Address{Channel: message.Phone, ID: "+33688888888"}
	at, err := r.book.Index(ctx, r.ws, stopped)
	check(t, err)
	check(t, r.store.Suppress(ctx, store.Suppression{Workspace: r.ws, Index: at, Scope: contact.ScopeMarketing, Reason: "erased", At: noon}, nil))
	reads := r.store.reads.Load()
	got, err := r.book.Find(ctx, r.ws, []message.Address{stranger, phone, stopped, stranger})
	check(t, err)
	if n := r.store.reads.Load() - reads; n != 1 {
		t.Errorf("asked %d times", n)
	}
	if got[0].New == nil || got[0] != got[3] || got[1].ID != known.ID || got[1].New != nil || got[2].New == nil {
		t.Error("found the wrong people")
	}
	if why, yes := got[2].SuppressedFor(at, message.SMS, message.SenderID{}, message.Marketing); !yes || why != "erased" {
		t.Errorf("a kept suppression was not filled in: %q", why)
	}
	all, err := r.book.ResolveAll(ctx, r.ws, []message.Address{stranger, phone, stopped})
	check(t, err)
	if all[0] != nil || all[1] == nil || all[2] != nil {
		t.Errorf("resolved %v", all)
	}
}

func TestCRUD(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	profile := contact.Profile{Name: "Ada", Language: "fr", Country: "FR", Metadata: map[string]string{"tier": "gold"}}
	p, err := r.book.Create(ctx, r.ws, profile, phone)
	check(t, err)
	if _, err := r.book.Create(ctx, r.ws, profile, phone); !errors.Is(err, store.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	for _, p := range []*contact.Person{p, must(r.other().ByID(ctx, r.ws, p.ID))(t)} {
		got, err := r.book.Profile(p)
		if diff := cmp.Diff(profile, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	profile.Name = "Ada L."
	p, err = r.book.SetProfile(ctx, p, profile)
	check(t, err)
	if got, _ := p.OpenProfile(); got.Name != "Ada L." || p.Version != 2 {
		t.Errorf("version %d, %+v", p.Version, got)
	}
	if _, err := r.book.SetProfile(ctx, p, contact.Profile{Name: string(make([]byte, 20_000))}); !errors.Is(err, contact.ErrProfile) {
		t.Errorf("a huge profile: %v", err)
	}
	p, err = r.book.AddIdentity(ctx, p, waID)
	check(t, err)
	if q, err := r.book.Resolve(ctx, r.ws, waID); err != nil || q == nil || q.ID != p.ID {
		t.Errorf("not found by the new address: %v", err)
	}
	list, err := r.book.Identities(p)
	check(t, err)
	if len(list) != 2 || !list[0].CreatedAt.Equal(noon) {
		t.Errorf("identities %+v", list)
	}
	second, err := r.book.Create(ctx, r.ws, contact.Profile{}, message.Address{Channel: message.Phone, ID: "+33600000000"})
	check(t, err)
	if _, err := r.book.AddIdentity(ctx, second, waID); !errors.Is(err, store.ErrExists) {
		t.Errorf("somebody else's address: %v", err)
	}
	p, err = r.book.RemoveIdentity(ctx, p, p.Index(phone))
	check(t, err)
	if q, err := r.book.Resolve(ctx, r.ws, phone); q != nil || err != nil {
		t.Errorf("found by an address that was taken away: %v", err)
	}
	page, err := r.book.List(ctx, r.ws, message.ContactID{}, 1)
	check(t, err)
	if len(page) != 1 || page[0].ID != second.ID {
		t.Errorf("the newest is not first")
	}
	page, err = r.book.List(ctx, r.ws, second.ID, 10)
	check(t, err)
	if len(page) != 1 || page[0].ID != p.ID {
		t.Errorf("the second page holds %d", len(page))
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { t.Helper(); check(t, err); return v }
}

func TestWritesAreSeen(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	sender := message.SenderID{5}
	p, err := r.book.Create(ctx, r.ws, contact.Profile{}, phone, waID)
	check(t, err)
	again := func() *contact.Person { t.Helper(); return must(r.book.Resolve(ctx, r.ws, phone))(t) }
	at := p.Index(waID)

	check(t, r.book.OpenWindow(ctx, p, store.Window{Identity: at, Sender: sender, Kind: "service", OpenedAt: noon, ClosesAt: noon.Add(24 * time.Hour)}))
	p = again()
	for _, index := range [][16]byte{at, p.Index(phone)} {
		if closes, kind, open := p.Window(index, sender, noon); !open || kind != "service" || !closes.Equal(noon.Add(24*time.Hour)) {
			t.Errorf("window %v %q %v", closes, kind, open)
		}
	}
	if _, _, open := p.Window(at, message.SenderID{6}, noon); open {
		t.Error("the window of another sender")
	}
	if _, _, open := p.Window(at, sender, noon.Add(24*time.Hour)); open {
		t.Error("the window does not end")
	}
	check(t, r.book.CloseWindow(ctx, p, p.Index(phone), sender, noon))
	if _, _, open := again().Window(at, sender, noon); open {
		t.Error("the window was not closed")
	}

	check(t, r.book.Suppress(ctx, p, p.Index(phone), contact.SenderScope(sender), "keyword:STOP"))
	if _, yes := again().SuppressedFor(at, message.SMS, sender, message.Marketing); !yes {
		t.Error("a STOP was not seen")
	}
	check(t, r.book.Allow(ctx, again(), contact.SenderScope(sender), "keyword:START"))
	if why, yes := again().SuppressedFor(at, message.SMS, sender, message.Marketing); yes {
		t.Errorf("still suppressed: %s", why)
	}

	reads := r.store.reads.Load()
	check(t, r.book.Remember(ctx, again(), store.Reach{Index: at, Channel: message.WhatsApp, Code: "131026", Until: noon.Add(time.Hour)}))
	if code, yes := again().Unreachable(at, message.WhatsApp, noon); !yes || code != "131026" {
		t.Errorf("unreachable %q %v", code, yes)
	}
	if _, yes := again().Unreachable(at, message.SMS, noon); yes {
		t.Error("unreachable on another channel")
	}
	if _, yes := again().Unreachable(at, message.WhatsApp, noon.Add(time.Hour)); yes {
		t.Error("unreachable for ever")
	}
	if r.store.reads.Load() != reads {
		t.Error("remembering reach needs a reading")
	}
	if _, yes := must(r.other().Resolve(ctx, r.ws, phone))(t).Unreachable(at, message.WhatsApp, noon); !yes {
		t.Error("reach is not stored")
	}
	check(t, r.book.Remember(ctx, again(), store.Reach{Index: at, Channel: message.WhatsApp}))
	if _, yes := again().Unreachable(at, message.WhatsApp, noon); yes {
		t.Error("reach was not forgotten")
	}
}

func TestErasedPersonsHaveNothing(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	p, err := r.book.Create(ctx, r.ws, contact.Profile{Name: "Ada"}, phone)
	check(t, err)
	e := store.Event{ID: message.EventID{1}, Workspace: r.ws, Contact: p.ID}
	e.Sealed, err = p.SealEvent(e.ID, []byte(`{"name":"Ada"}`))
	check(t, err)
	if plain, erased, err := r.book.OpenEvent(ctx, &e); err != nil || erased || string(plain) != `{"name":"Ada"}` {
		t.Errorf("got %s, %v, %v", plain, erased, err)
	}
	_, err = r.store.Erase(ctx, r.ws, p.ID, noon, nil)
	check(t, err)
	r.book.Forget(r.ws, p.ID)
	if q, err := r.book.Resolve(ctx, r.ws, phone); q != nil || err != nil {
		t.Errorf("still found: %v", err)
	}
	p, err = r.book.ByID(ctx, r.ws, p.ID)
	check(t, err)
	_, err1 := p.Seal("x", [16]byte{}, nil)
	_, err2 := p.Open("x", [16]byte{}, e.Sealed)
	_, err3 := p.OpenProfile()
	if !p.Erased() || !errors.Is(err1, contact.ErrErased) || !errors.Is(err2, contact.ErrErased) || !errors.Is(err3, contact.ErrErased) {
		t.Errorf("erased %v: %v, %v, %v", p.Erased(), err1, err2, err3)
	}
	if plain, erased, err := r.book.OpenEvent(ctx, &e); err != nil || !erased || plain != nil {
		t.Errorf("got %s, %v, %v", plain, erased, err)
	}
	var _ event.Opener = r.book
}

func TestRewrappedContactsOpen(t *testing.T) {
	ctx, r := t.Context(), start(t, 0)
	var people []*contact.Person
	for i := range 7 {
		p, err := r.book.Create(ctx, r.ws, contact.Profile{Name: fmt.Sprint(i)}, message.Address{Channel: message.Phone, ID: fmt.Sprintf("+3361234567%d", i)})
		check(t, err)
		people = append(people, p)
	}
	check(t, r.reg.RotateKEK(ctx, r.ws))
	n, err := r.reg.RewrapContacts(ctx, r.store, r.ws, 3)
	if n != 7 || err != nil {
		t.Errorf("rewrapped %d, %v", n, err)
	}
	far := r.other()
	for i, p := range people {
		q := must(far.ByID(ctx, r.ws, p.ID))(t)
		if got, err := q.OpenProfile(); err != nil || got.Name != fmt.Sprint(i) || q.KeyVersion != 2 {
			t.Errorf("version %d: %+v, %v", q.KeyVersion, got, err)
		}
	}
}
