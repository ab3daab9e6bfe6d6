package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestNeighboursOfKeys: that a batch's keys are not in the table is asked once,
// and again as soon as one of them is written there.
func TestNeighboursOfKeys(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	keyed := func(tail, body byte) (store.Verdict, message.MessageID) {
		t.Helper()
		now := time.Now()
		c := &store.NewContact{ID: newID(now), Workspace: ws, Key: make([]byte, 60), CreatedAt: now}
		d := &message.Delivery{ID: newID(now), Workspace: ws, Contact: c.ID, State: message.Queued, Version: 1, Purpose: message.Utility, CreatedAt: now, Due: now}
		r, err := s.Accept(t.Context(), []*store.Acceptance{{
			Message:  &store.Message{ID: d.ID, Workspace: ws, Contact: c.ID, Direction: store.MT, CreatedAt: now, Sealed: []byte{1}},
			Delivery: d, NewContact: c,
			Idempotency: &store.Idempotency{Key: [16]byte{7, 15: tail}, Body: [16]byte{body}, Answer: []byte("answer"), Created: now, Expires: now.Add(time.Hour)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if r[0].Verdict == store.Done {
			return r[0].Verdict, d.ID
		}
		return r[0].Verdict, r[0].Message
	}
	_, first := keyed(1, 1)
	for _, write := range []bool{false, true} {
		if write {
			if err := s.write(t.Context(), 1, func(w *writer) error { return w.catchUpEntries(100) }); err != nil {
				t.Fatal(err)
			}
			if n := rows(t, s, `SELECT count(*) FROM idempotency`); n == 0 {
				t.Fatal("no key was written")
			}
		}
		if v, id := keyed(1, 1); v != store.Replayed || id != first {
			t.Errorf("written: %v: the key again: %v %v", write, v, id)
		}
		if v, _ := keyed(1, 2); v != store.Mismatch {
			t.Errorf("written: %v: the key for another body: %v", write, v)
		}
		if v, _ := keyed(2+map[bool]byte{true: 1}[write], 1); v != store.Done {
			t.Errorf("written: %v: a neighbour: %v", write, v)
		}
	}
}

func rows(t *testing.T, s *Store, sql string) (n int64) {
	t.Helper()
	err := s.read(t.Context(), func(c *conn) (err error) {
		n, err = c.count(sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
