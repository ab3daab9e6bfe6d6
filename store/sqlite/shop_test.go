package sqlite

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A shop has messages at every stage of their lives.
type shop struct {
	*bench
	keys  map[message.MessageID][16]byte // idempotency keys
	known map[message.MessageID]*message.Delivery
	order []message.MessageID
	open  map[message.MessageID]store.RefName
	whose map[[16]byte]message.ContactID // by blind index; zero: nobody's any more
}

func newShop(t *testing.T, late int) *shop {
	b := &bench{s: open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true, late: late}), at: time.Now()}
	b.ws, b.connector = newID(b.at), newID(b.at)
	sh := &shop{bench: b, keys: make(map[message.MessageID][16]byte), known: make(map[message.MessageID]*message.Delivery), open: make(map[message.MessageID]store.RefName), whose: make(map[[16]byte]message.ContactID)}
	for range 5 {
		sh.join(t)
	}
	return sh
}

func (sh *shop) newcomer() *store.NewContact {
	return &store.NewContact{
		ID: newID(sh.at), Workspace: sh.ws, Key: make([]byte, 60), CreatedAt: sh.at,
		Identities: []store.Identity{{Index: newID(sh.at), Channel: message.Phone, Sealed: make([]byte, 44)}},
	}
}

// join makes a person.
func (sh *shop) join(t *testing.T) {
	n := sh.newcomer()
	if err := sh.s.CreateContact(t.Context(), n, nil); err != nil {
		t.Fatal(err)
	}
	sh.people = append(sh.people, n.ID)
	sh.whose[n.Identities[0].Index] = n.ID
}

// pass takes the number of one person and may give it to another.
func (sh *shop) pass(t *testing.T, index [16]byte, to message.ContactID) {
	from := sh.whose[index]
	if !from.IsZero() {
		if err := sh.s.RemoveIdentity(t.Context(), sh.ws, from, index, nil); err != nil {
			t.Fatal(err)
		}
	}
	sh.whose[index] = to
	if to.IsZero() {
		return
	}
	if err := sh.s.AddIdentity(t.Context(), sh.ws, to, store.Identity{Index: index, Channel: message.Phone, Sealed: make([]byte, 44), CreatedAt: sh.at}, nil); err != nil {
		t.Fatal(err)
	}
	other := sh.people[0]
	if other == to {
		other = sh.people[1]
	}
	if err := sh.s.AddIdentity(t.Context(), sh.ws, other, store.Identity{Index: index, Channel: message.Phone}, nil); !errors.Is(err, store.ErrExists) {
		t.Fatalf("a number of another was given to a second: %v", err)
	}
}

func (sh *shop) accept(t *testing.T, who message.ContactID) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := &message.Delivery{
		ID: newID(now), Workspace: sh.ws, Contact: who, State: message.Queued, Version: 1, Purpose: message.Utility,
		CreatedAt: now, ExpiresAt: now.Add(time.Hour), Due: now.Add(time.Hour),
		Steps: []message.Step{{Channel: message.SMS, Connector: sh.connector, State: message.StepQueued}},
	}
	key := newID(now)
	r, err := sh.s.Accept(t.Context(), []*store.Acceptance{{
		Message:  &store.Message{ID: d.ID, Workspace: sh.ws, Contact: who, Direction: store.MT, Purpose: message.Utility, Identity: newID(now), CreatedAt: now, Sealed: []byte("sealed")},
		Delivery: d, Connector: sh.connector, Ready: true,
		Idempotency: &store.Idempotency{Key: key, Body: [16]byte{1}, Answer: []byte("answer"), Created: now, Expires: now.Add(24 * time.Hour)},
	}})
	if err != nil || r[0].Verdict != store.Done {
		t.Fatal(r, err)
	}
	sh.keys[d.ID], sh.known[d.ID] = key, d
	sh.order = append(sh.order, d.ID)
}

// move takes a message one stage further.
func (sh *shop) move(t *testing.T, id message.MessageID) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := sh.known[id]
	c := &store.Change{Delivery: d, Connector: sh.connector}
	switch d.State {
	case message.Queued:
		d.State, d.Steps[0].State = message.Sending, message.StepSending
		d.Steps[0].Attempts = []message.Attempt{{Connector: sh.connector, StartedAt: now}}
	case message.Sending:
		name := store.RefName{Connector: sh.connector, Key: message.RefKey(newID(now))}
		d.State, d.Steps[0].State, d.Due = message.Sent, message.StepSent, now.Add(2*time.Hour)
		c.Open = []store.OpenRef{{RefName: name, Workspace: sh.ws, Message: id, At: now, Expires: now.Add(time.Hour)}}
		sh.open[id] = name
	case message.Sent:
		d.State, d.Steps[0].State, d.Due, d.EndedAt = message.Delivered, message.StepDelivered, time.Time{}, now
		c.Close = []store.RefName{sh.open[id]}
		delete(sh.open, id)
	default:
		return
	}
	d.Version++
	a, err := sh.s.Apply(t.Context(), []*store.Change{c})
	if err != nil || a[0].Verdict != store.Done {
		t.Fatal(a, err)
	}
}

// check asks a store for all that was told.
func (sh *shop) check(t *testing.T, s *store.Store, name string) {
	t.Helper()
	ctx := t.Context()
	got, err := (*s).Load(ctx, sh.ws, sh.order)
	if err != nil {
		t.Fatal(name, err)
	}
	ready, sending, states := make(map[message.MessageID]bool), make(map[message.MessageID]bool), make(map[message.State]int64)
	for i, id := range sh.order {
		d := sh.known[id]
		if got[i] == nil {
			t.Fatalf("%s: message %d is gone", name, i)
		}
		if diff := cmp.Diff(d, got[i].Delivery); diff != "" {
			t.Fatalf("%s: message %d: %s", name, i, diff)
		}
		states[d.State]++
		if d.State == message.Queued {
			ready[id] = true
		}
		if d.State == message.Sending {
			sending[id] = true
		}
		r, err := (*s).Recall(ctx, sh.ws, sh.keys[id], [16]byte{1}, d.CreatedAt)
		if err != nil || r.Verdict != store.Replayed || r.Message != id {
			t.Fatalf("%s: key of message %d: %+v, %v", name, i, r, err)
		}
	}
	list, err := (*s).Ready(ctx, sh.connector, store.Place{Priority: message.Utility.Priority()}, 1000)
	if err != nil {
		t.Fatal(name, err)
	}
	sameIDs(t, name+": ready", ready, list)
	if list, err = (*s).Attempting(ctx, sh.connector, message.MessageID{}, 1000); err != nil {
		t.Fatal(name, err)
	}
	sameIDs(t, name+": sending", sending, list)
	b, err := (*s).Books(ctx, sh.ws)
	if err != nil {
		t.Fatal(name, err)
	}
	if !maps.Equal(b.States, states) || b.Orphans != 0 || b.Ready != int64(len(ready)) || b.OpenRefs != int64(len(sh.open)) || b.Accepted != int64(len(sh.order)) {
		t.Fatalf("%s: want %v, ready %d, open %d; books %+v", name, states, len(ready), len(sh.open), b)
	}
	for id := range sh.open {
		sh.find(t, *s, name, id)
	}
	for index, who := range sh.whose {
		found, err := (*s).Resolve(ctx, sh.ws, [][16]byte{index})
		if err != nil {
			t.Fatal(name, err)
		}
		if got := found[0]; who.IsZero() != (got == nil) || got != nil && got.ID != who {
			t.Fatalf("%s: a number is found to be of %v, it is of %v", name, got, who)
		}
	}
	for _, who := range sh.people {
		want := 0
		for _, id := range sh.order {
			if sh.known[id].Contact == who {
				want++
			}
		}
		found, err := (*s).List(ctx, sh.ws, store.Filter{Contact: who, Limit: 500})
		if err != nil || len(found) != want {
			t.Fatalf("%s: %d messages of a contact, want %d, %v", name, len(found), want, err)
		}
		for _, m := range found {
			if diff := cmp.Diff(sh.known[m.ID], m.Delivery); diff != "" {
				t.Fatalf("%s: listed: %s", name, diff)
			}
		}
	}
}

// find asks a store what a receipt is about that names the open ref of a message.
func (sh *shop) find(t *testing.T, s store.Store, name string, id message.MessageID) {
	t.Helper()
	found, err := s.Match(t.Context(), []*store.Lookup{{Workspace: sh.ws, Connector: sh.connector, Keys: []message.RefKey{{}, sh.open[id].Key}}})
	if err != nil || !found[0].Found || found[0].Ref.Message != id {
		t.Fatalf("%s: the ref of a message is not found: %+v, %v", name, found, err)
	}
}

func sameIDs(t *testing.T, name string, want map[message.MessageID]bool, list []*store.Record) {
	t.Helper()
	last := message.MessageID{}
	for _, r := range list {
		if !want[r.Delivery.ID] || string(r.Delivery.ID[:]) <= string(last[:]) {
			t.Fatalf("%s: %s is there, or out of order", name, r.Delivery.ID)
		}
		last = r.Delivery.ID
	}
	if len(list) != len(want) {
		t.Fatalf("%s: %d, want %d", name, len(list), len(want))
	}
}

// copyFiles copies a database that is open, as a stop would leave it.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, tail := range []string{"", "-wal"} {
		raw, err := os.ReadFile(from + tail)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+tail, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
