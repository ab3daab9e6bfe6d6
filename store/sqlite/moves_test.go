package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

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
					if open := slices.SortedFunc(maps.Keys(sh.open), func(a, b message.MessageID) int { return bytes.Compare(a[:], b[:]) }); len(open) > 0 && draw.IntN(4) == 0 {
						sh.find(t, sh.s, "moving", open[draw.IntN(len(open))])
					}
				}
				sh.join(t)
				indexes := slices.SortedFunc(maps.Keys(sh.whose), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
				sh.pass(t, indexes[draw.IntN(len(indexes))], sh.people[draw.IntN(len(sh.people))])
				sh.pass(t, indexes[draw.IntN(len(indexes))], message.ContactID{})
				sh.join(t)
				path := filepath.Join(dir, fmt.Sprintf("%d.db", round))
				copyFiles(t, sh.s.path, path)
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

// TestFindWhileLate: what a receipt names is found, and only that is written; a
// receipt about nothing known writes no ref at all.
func TestFindWhileLate(t *testing.T) {
	sh := newShop(t, 100)
	for i := range 10 {
		sh.accept(t, sh.people[i%5])
		sh.move(t, sh.order[i])
		sh.move(t, sh.order[i])
	}
	written := func() int { return int(rows(t, sh.s, `SELECT count(*) FROM refs`)) }
	found, err := sh.s.Match(t.Context(), []*store.Lookup{{Workspace: sh.ws, Connector: sh.connector, Keys: []message.RefKey{{1}}}})
	if err != nil || found[0].Found || written() != 0 {
		t.Fatalf("a stranger: %+v, %v; %d refs written", found, err, written())
	}
	for i := range 3 {
		sh.find(t, sh.s, "late", sh.order[i])
		if n := written(); n != i+1 {
			t.Fatalf("%d refs written, want %d", n, i+1)
		}
	}
	for _, id := range sh.order {
		sh.move(t, id) // closes both kinds
	}
	if n := written(); n != 0 {
		t.Errorf("%d refs are open at the end", n)
	}
	var s store.Store = sh.s
	sh.check(t, &s, "at the end")
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
				lost := sh.newcomer()
				sh.whose[lost.Identities[0].Index] = message.ContactID{}
				err := sh.s.write(t.Context(), 1, func(w *writer) error {
					d := *sh.known[sh.order[0]]
					d.Version++
					d.State = message.Failed
					w.stage(w.names.find(sh.ws), 1, &d, true, nil)
					w.entries.addKey(keyEntry{1, [16]byte{9}}, 9)
					_, failed := w.createContact(w.names.find(sh.ws), lost)
					return errors.Join(broken, failed, w.flushMoves(), w.flushEntries())
				})
				if !errors.Is(err, broken) {
					t.Fatal(err)
				}
				if i%10 == 0 {
					sh.join(t) // takes the number of the row
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
	e := &entries{answers: make(map[keyEntry]int64), owners: make(map[keyEntry]*ownerEntry)}
	e.addKey(keyEntry{1, [16]byte{2}}, 3)
	e.addPerson(personEntry{4, message.MessageID{5}})
	e.addOwner(&ownerEntry{keyEntry{1, [16]byte{6}}, 7})
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
		e := &entries{answers: make(map[keyEntry]int64), owners: make(map[keyEntry]*ownerEntry)}
		if err := e.replay(b); err != nil && !errors.Is(err, errEntries) {
			t.Error(err)
		}
	})
}
