package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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
}

func newShop(t *testing.T, late int) *shop {
	b := &bench{s: open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true, late: late}), at: time.Now()}
	b.ws, b.connector = newID(b.at), newID(b.at)
	sh := &shop{bench: b, keys: make(map[message.MessageID][16]byte), known: make(map[message.MessageID]*message.Delivery), open: make(map[message.MessageID]store.RefName)}
	for range 5 {
		b.people = append(b.people, newID(b.at))
		err := b.s.CreateContact(t.Context(), &store.NewContact{
			ID: b.people[len(b.people)-1], Workspace: b.ws, Key: make([]byte, 60), CreatedAt: b.at,
			Identities: []store.Identity{{Index: newID(b.at), Channel: message.Phone, Sealed: make([]byte, 44)}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return sh
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
	for id, ref := range sh.open {
		found, err := (*s).Match(ctx, []*store.Lookup{{Workspace: sh.ws, Connector: sh.connector, Keys: []message.RefKey{ref.Key}}})
		if err != nil || !found[0].Found || found[0].Ref.Message != id {
			t.Fatalf("%s: the ref of a message is not found: %+v, %v", name, found, err)
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

// TestStopWhileLate copies the file as it is at many moments, as a stop without
// warning would leave it: what rows do not say yet is not lost, and nothing that
// was closed or moved on comes back.
func TestStopWhileLate(t *testing.T) {
	for _, late := range []int{0, 1, 7} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			sh := newShop(t, late)
			draw := rand.New(rand.NewPCG(1, uint64(late)))
			dir := t.TempDir()
			for round := range 6 {
				for range 40 {
					if len(sh.order) < 3 || draw.IntN(3) == 0 {
						sh.accept(t, sh.people[draw.IntN(len(sh.people))])
					} else {
						sh.move(t, sh.order[draw.IntN(len(sh.order))])
					}
				}
				path := filepath.Join(dir, fmt.Sprintf("%d.db", round))
				for _, tail := range []string{"", "-wal"} {
					raw, err := os.ReadFile(sh.s.path + tail)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path+tail, raw, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				copied := open(t, path, Options{late: late})
				var s store.Store = copied
				sh.check(t, &s, "after a stop")
				if err := copied.Close(); err != nil {
					t.Fatal(err)
				}
				c, err := newConn(path, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, table := range []string{"moves", "entries"} {
					if n, err := c.count("SELECT count(*) FROM " + table); err != nil || n != 0 {
						t.Errorf("%d rows of %s after a quiet end: %v", n, table, err)
					}
				}
				if err := c.close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, path, Options{})
				sh.check(t, &s, "after a quiet end")
				if round%3 == 0 { // asking lets rows be written: not always before the next stop
					s = sh.s
					sh.check(t, &s, "running")
				}
			}
		})
	}
}

// TestRollbackWhileLate lets groups fail among changes that are late.
func TestRollbackWhileLate(t *testing.T) {
	for _, late := range []int{0, 1, 7} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			sh := newShop(t, late)
			broken := errors.New("broken")
			var s store.Store = sh.s
			for i := range 60 {
				sh.accept(t, sh.people[i%5])
				sh.move(t, sh.order[i/2])
				err := sh.s.write(t.Context(), 1, func(w *writer) error {
					d := *sh.known[sh.order[0]]
					d.Version++
					d.State = message.Failed
					w.stage(w.names.find(sh.ws), 1, &d, true, nil)
					w.entries.addKey(keyEntry{1, [16]byte{9}}, 9)
					return errors.Join(broken, w.flushMoves(), w.flushEntries())
				})
				if !errors.Is(err, broken) {
					t.Fatal(err)
				}
			}
			sh.check(t, &s, "after failures")
			if _, ok := sh.s.writer.entries.answerOf(keyEntry{1, [16]byte{9}}); ok {
				t.Error("a key of a transaction that failed is held")
			}
		})
	}
}

// TestNothingAfterAFailure has the log refuse a transaction that SQLite has taken
// back by itself, as it does when a disk is full: what came after would be
// committed alone.
func TestNothingAfterAFailure(t *testing.T) {
	sh := newShop(t, 0)
	for i := range 4 {
		sh.accept(t, sh.people[i])
	}
	if err := acceptFor(sh.s, sh.ws, 10, message.Utility); err != nil { // the log is not empty
		t.Fatal(err)
	}
	journal := func(w *writer) (moves, entries int64) {
		moves, err := w.c.count(`SELECT count(*) FROM moves`)
		if err != nil {
			t.Error(err)
		}
		entries, err = w.c.count(`SELECT count(*) FROM entries`)
		if err != nil {
			t.Error(err)
		}
		return moves, entries
	}
	var moves, entries int64
	err := sh.s.write(t.Context(), 1, func(w *writer) error {
		moves, entries = journal(w)
		d := *sh.known[sh.order[0]]
		d.Version++
		d.State = message.Failed
		w.stage(w.names.find(sh.ws), 1, &d, false, nil)
		w.entries.addKey(keyEntry{1, [16]byte{9}}, 9)
		w.seq-- // its number is taken: the log refuses it
		return errors.Join(w.log([]store.Event{{ID: newID(d.CreatedAt), Workspace: sh.ws, Type: "x", At: d.CreatedAt}}), w.c.q(`ROLLBACK`).exec())
	})
	if err == nil {
		t.Fatal("the transaction was to fail")
	}
	err = sh.s.write(t.Context(), 1, func(w *writer) error {
		if m, e := journal(w); m != moves || e != entries {
			t.Errorf("%d moves and %d entries were written alone", m-moves, e-entries)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEraseWhileLate erases people whose messages were just accepted.
func TestEraseWhileLate(t *testing.T) {
	sh := newShop(t, 0)
	for i := range 20 {
		sh.accept(t, sh.people[i%5])
	}
	if v, err := sh.s.Erase(t.Context(), sh.ws, sh.people[0], time.Now(), nil); v != store.Done || err != nil {
		t.Fatal(v, err)
	}
	list, err := sh.s.Messages(t.Context(), sh.ws, sh.order)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range list {
		if erased := m.Contact == sh.people[0]; erased != (m.Sealed == nil) {
			t.Errorf("message %d: erased %v, content %q", i, erased, m.Sealed)
		}
	}
}

// TestRest sees that nothing stays late when nothing is written.
func TestRest(t *testing.T) {
	sh := newShop(t, 0)
	for i := range 20 {
		sh.accept(t, sh.people[i%5])
	}
	for sh.s.writer.moves.behind.Load() || sh.s.writer.entries.behind.Load() {
		if t.Context().Err() != nil {
			t.Fatal("it stays late")
		}
	}
	err := sh.s.read(context.Background(), func(c *conn) error {
		for table, want := range map[string]int64{"moves": 0, "entries": 0, "deliveries": 20, "idempotency": 20, "contact_messages": 20} {
			if n, err := c.count("SELECT count(*) FROM " + table); err != nil || n != want {
				t.Errorf("%d rows of %s, want %d: %v", n, table, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzMoves(f *testing.F) {
	m := &move{key: moveKey{1, message.MessageID{2}}, state: 3, version: 4, connector: 5, priority: 1, place: rowPlace{connector: 5, ready: true, due: 7}, track: []byte("track")}
	r := &lateRef{connector: 5, workspace: 1, OpenRef: store.OpenRef{RefName: store.RefName{Key: message.RefKey{8}}, Message: message.MessageID{2}, Step: 1, At: time.UnixMicro(9)}}
	f.Add(appendClose(r.append(m.append([]byte{movesForm})), 5, message.RefKey{8}, message.MessageID{3}))
	e := &entries{answers: make(map[keyEntry]int64)}
	e.addKey(keyEntry{1, [16]byte{2}}, 3)
	e.addPerson(personEntry{4, message.MessageID{5}})
	f.Add(append([]byte{entriesForm}, e.run...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &moves{of: make(map[moveKey]*move), at: make(map[moveKey]*move), refs: make(map[refKey][]*lateRef)}
		if err := l.replay(b, &names{}); err != nil && !errors.Is(err, errMoves) {
			t.Error(err)
		}
		for key, m := range l.of {
			again := &moves{of: make(map[moveKey]*move), refs: make(map[refKey][]*lateRef)}
			if err := again.replay(m.append([]byte{movesForm}), &names{}); err != nil {
				t.Fatal(err)
			}
			back := again.of[key]
			if back == nil || back.state != m.state || back.version != m.version || back.place != m.place || string(back.track) != string(m.track) {
				t.Errorf("%+v became %+v", m, back)
			}
		}
		e := &entries{answers: make(map[keyEntry]int64)}
		if err := e.replay(b); err != nil && !errors.Is(err, errEntries) {
			t.Error(err)
		}
	})
}
