package sqlite

import (
	"bytes"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestRun packs events and unpacks what was packed.
func TestRun(t *testing.T) {
	words := []string{"message.sent", "message.delivered", "contact.created"}
	rapid.Check(t, func(t *rapid.T) {
		id := func(name string) (id [16]byte) {
			if rapid.Bool().Draw(t, name+" there") {
				copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
			}
			return id
		}
		first, since := rapid.Int64Range(1, 1<<40).Draw(t, "first"), rapid.Int64Range(0, 1<<52).Draw(t, "since")
		want := &run{first: first}
		var w runWriter
		for i := range rapid.IntRange(0, 30).Draw(t, "n") {
			kind := rapid.IntRange(0, len(words)-1).Draw(t, "kind")
			e := store.Event{
				ID: id("id"), Type: words[kind], Message: id("message"), Contact: id("contact"), Version: rapid.Int32().Draw(t, "version"),
				At: fromMicros(rapid.Int64Range(0, 1<<52).Draw(t, "at")),
			}
			if rapid.Bool().Draw(t, "data there") {
				e.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "data")
			}
			if i > 0 && rapid.Bool().Draw(t, "of the same message") {
				e.Message, e.Contact = want.events[i-1].Message, want.events[i-1].Contact
			}
			if i > 0 && rapid.Bool().Draw(t, "the same said") {
				e.Data = bytes.Clone(want.events[rapid.IntRange(0, i-1).Draw(t, "by")].Data)
			}
			sealed := rapid.Bool().Draw(t, "sealed")
			in := e
			if sealed {
				in.Sealed = []byte{1}
			}
			w.add(&in, int64(2*i), int64(kind), since)
			want.events, want.seqs, want.sealed = append(want.events, e), append(want.seqs, first+int64(2*i)), append(want.sealed, sealed)
		}
		b := w.b
		got, err := unpack(b, first, since, func(n int64) string { return words[n] })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(run{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		for n := range len(b) { // cut short it is an error or fewer events
			if part, err := unpack(b[:n], first, since, func(n int64) string { return words[n] }); err == nil && len(part.events) >= len(want.events) && len(b) > 0 {
				t.Fatalf("%d of %d bytes gave %d events", n, len(b), len(part.events))
			}
		}
	})
}

func FuzzRun(f *testing.F) {
	var w runWriter
	for range 3 {
		w.add(&store.Event{ID: message.EventID{1}, Message: message.MessageID{2}, Version: 3, Data: []byte("{}")}, 1, 2, 3)
	}
	f.Add(w.b)
	f.Add([]byte{0, asBefore, 1})
	f.Add([]byte{0, dataOf, 1, 1})
	f.Add([]byte{0, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := unpack(b, 1, 0, func(n int64) string { return strconv.FormatInt(n, 10) })
		if err == nil && (len(r.events) != len(r.seqs) || len(r.events) != len(r.sealed)) {
			t.Fatal("lists of different lengths")
		}
	})
}

// TestRunSaysThingsOnce: of what a batch says of its messages little is left but
// their ids. A row of before is read as it was written.
func TestRunSaysThingsOnce(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 200)
	var w runWriter
	for i := range 100 {
		w.add(&store.Event{ID: message.EventID{byte(i)}, Message: message.MessageID{byte(i / 2)}, Contact: message.ContactID{1}, Data: data}, int64(i), 1, 0)
	}
	if len(w.b) > 100*(16+16+10)+300 {
		t.Errorf("a run of a hundred events takes %d bytes", len(w.b))
	}
	old := []byte{0, withMessage | withData}
	old = append(old, bytes.Repeat([]byte{7}, 16)...)
	old = append(old, 1)
	old = append(old, bytes.Repeat([]byte{8}, 16)...)
	old = append(old, 6, 4, 2, '{', '}')
	r, err := unpack(old, 1, 0, func(int64) string { return "x" })
	if err != nil || len(r.events) != 1 || r.events[0].Version != 3 || string(r.events[0].Data) != "{}" || r.events[0].Message[15] != 8 || !r.events[0].Contact.IsZero() {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestPurgeOfAPartOfARun: what is left keeps its number, and no number is given
// twice, also by the next process.
func TestPurgeOfAPartOfARun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	now := time.Now().UTC().Truncate(time.Microsecond)
	var all []store.Event
	for i := range 6 {
		at := now
		if i%2 == 1 {
			at = now.Add(-100 * time.Hour) // old ones among young ones, the last of all too
		}
		all = append(all, store.Event{ID: message.EventID(newID(now)), Workspace: ws, Type: "x", At: at, Data: []byte(strconv.Itoa(i)), Sealed: []byte{byte(i)}, Contact: message.ContactID{9}})
	}
	if err := s.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	read := func() (list []store.Event, cursors []store.Cursor) {
		t.Helper()
		events, _, err := s.Read(t.Context(), ws, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			list, cursors = append(list, e.Event), append(cursors, e.Cursor)
		}
		return list, cursors
	}
	_, before := read()
	n, err := s.Purge(t.Context(), store.Purge{Events: now.Add(-50 * time.Hour)})
	if err != nil || n != 3 {
		t.Fatalf("purged %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	next := store.Event{ID: message.EventID(newID(now)), Workspace: ws, Type: "y", At: now}
	if err := s.Append(t.Context(), []store.Event{next}); err != nil {
		t.Fatal(err)
	}
	got, cursors := read()
	if diff := cmp.Diff([]store.Event{all[0], all[2], all[4], next}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]store.Cursor{before[0], before[2], before[4], "1.7"}, cursors); diff != "" {
		t.Error(diff)
	}
}

// TestTail: readers see the same from memory and from the file, and nothing of
// a person who was erased.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, Options{Migrate: true, tail: 40})
	a, b := message.WorkspaceID(newID(time.Now())), message.WorkspaceID(newID(time.Now()))
	for i := range 100 {
		ws := [...]message.WorkspaceID{a, b}[i%3%2]
		e := store.Event{ID: message.EventID(newID(time.Now())), Workspace: ws, Type: "x", At: time.Now().UTC().Truncate(time.Microsecond), Data: []byte(strconv.Itoa(i))}
		if err := s.Append(t.Context(), []store.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(t.TempDir(), "b.db")
	if err := s.Backup(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	file := open(t, other, Options{tail: 1})
	for _, ws := range []message.WorkspaceID{{}, a, b} {
		for _, from := range []store.Cursor{"", "1.30", "1.60", "1.61", "1.75", "1.99", "1.100"} {
			for _, limit := range []int{1, 7, 1000} {
				want, wantNext, err := file.Read(t.Context(), ws, from, limit)
				if err != nil {
					t.Fatal(err)
				}
				got, next, err := s.Read(t.Context(), ws, from, limit)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || next != wantNext {
					t.Errorf("%v from %q, %d: next %q, want %q\n%s", ws, from, limit, next, wantNext, diff)
				}
			}
		}
	}
	if _, _, ok := s.tail.read(a, place{1, 90}, 5); !ok {
		t.Error("the end of the log was not read from memory")
	}
	if _, _, ok := s.tail.read(a, place{1, 20}, 5); ok {
		t.Error("memory claims to reach further back than it does")
	}
}

// TestTailForgetsTheErased: what is read from memory after an erasure holds
// nothing of the person.
func TestTailForgetsTheErased(t *testing.T) {
	w := newBench(t, 1)
	s, who := w.s, w.people[0]
	e := store.Event{ID: message.EventID(newID(time.Now())), Workspace: w.ws, Type: "x", At: time.Now(), Contact: who, Sealed: []byte("sealed")}
	if err := s.Append(t.Context(), []store.Event{e}); err != nil {
		t.Fatal(err)
	}
	sealed := func() (n int) {
		t.Helper()
		list, _, err := s.Read(t.Context(), w.ws, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Sealed != nil {
				n++
			}
		}
		return n
	}
	if n := sealed(); n != 1 {
		t.Fatalf("%d events with a personal half, want 1", n)
	}
	if _, err := s.Erase(t.Context(), w.ws, who, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if n := sealed(); n != 0 {
		t.Errorf("%d events still have a personal half", n)
	}
}

// TestEventsOfRunsStay: rows and runs of deliveries point into the log, so what
// they are about is not purged before them.
func TestEventsOfRunsStay(t *testing.T) {
	w := newBench(t, 1)
	w.lives(t, 0, 3)
	events, next, err := w.s.Read(t.Context(), w.ws, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var rows []*store.WebhookDelivery
	for _, e := range events[2:9] {
		rows = append(rows, &store.WebhookDelivery{
			ID: newID(now), Workspace: w.ws, Endpoint: message.EndpointID{1}, Event: e.Event, State: store.WebhookDelivered, Tries: 1, Status: 200,
			NextAt: now, CreatedAt: now, LastAt: now,
		})
	}
	if err := w.s.Enqueue(t.Context(), "webhooks", next, rows); err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Hour)
	for _, step := range []struct {
		purge store.Purge
		want  int
	}{
		{store.Purge{Events: later}, len(events) - 7},
		{store.Purge{Events: later}, 0},
		{store.Purge{Webhooks: later}, 7},
		{store.Purge{Events: later}, 7},
	} {
		if n, err := w.s.Purge(t.Context(), step.purge); err != nil || n != step.want {
			t.Errorf("purge %+v took %d, want %d; %v", step.purge, n, step.want, err)
		}
	}
}

func FuzzWebhookRun(f *testing.F) {
	now := time.Now()
	f.Add(appendTold(nil, &told{seq: 7, id: message.DeliveryID{1}, made: now, tried: now, status: 204}, 5, micros(now)))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := unpackTold(b, 5, 1)
		if err != nil && list != nil {
			t.Fatal("an error and deliveries")
		}
	})
}

// TestRestoredTwice: a reader who saw the first restore misses nothing of the
// second, although it begins at the same place.
func TestRestoredTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "a.db"), Options{Migrate: true})
	ws := message.WorkspaceID(newID(time.Now()))
	say := func(s *Store, n int) {
		t.Helper()
		for range n {
			if err := s.Append(t.Context(), []store.Event{{ID: message.EventID(newID(time.Now())), Workspace: ws, Type: "x", At: time.Now()}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(s, 3)
	backup := filepath.Join(dir, "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	restore := func(name string) *Store {
		t.Helper()
		path := filepath.Join(dir, name)
		clock = clock.Add(time.Minute)
		at := clock
		if err := Restore(t.Context(), backup, path, Options{Now: func() time.Time { return at }}); err != nil {
			t.Fatal(err)
		}
		return open(t, path, Options{})
	}
	one := restore("one.db")
	say(one, 5)
	head, err := one.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two := restore("two.db")
	say(two, 5)
	if list, _, err := two.Read(t.Context(), ws, head, 100); err != nil || len(list) != 5 {
		t.Errorf("%d events after the second restore, want 5; %v", len(list), err)
	}
}

// TestEraseBesideAnEvent: an event that shares its commit with the erasure of
// its person leaves no personal half behind.
func TestEraseBesideAnEvent(t *testing.T) {
	w := newBench(t, 1)
	s, who := w.s, w.people[0]
	hold, held := make(chan struct{}), make(chan struct{})
	done := make(chan error, 3)
	go func() {
		done <- s.write(t.Context(), 1, func(*writer) error {
			select {
			case held <- struct{}{}:
				<-hold
			default: // run again
			}
			return nil
		})
	}()
	<-held
	e := store.Event{ID: message.EventID(newID(time.Now())), Workspace: w.ws, Type: "x", At: time.Now(), Contact: who, Sealed: []byte("sealed")}
	waits := func(n int64) {
		for tick := time.NewTicker(time.Millisecond); s.waiting.Load() < n; <-tick.C {
		}
	}
	go func() { done <- s.Append(t.Context(), []store.Event{e}) }()
	waits(2)
	go func() {
		_, err := s.Erase(t.Context(), w.ws, who, time.Now(), nil)
		done <- err
	}()
	waits(3)
	close(hold)
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var n int64
	err := s.read(t.Context(), func(c *conn) (err error) {
		n, err = c.count(`SELECT count(*) FROM event_halves`)
		return err
	})
	if err != nil || n != 0 {
		t.Errorf("%d personal halves are left, %v", n, err)
	}
}

// TestDeliveryOfADeletedEndpoint: the reader of the log asked before the
// endpoint was deleted. Nothing of it stays.
func TestDeliveryOfADeletedEndpoint(t *testing.T) {
	w := newBench(t, 1)
	w.lives(t, 0, 1)
	now := time.Now()
	endpoint := &store.Endpoint{ID: message.EndpointID(newID(now)), Workspace: w.ws, URL: "https://example.com", Sealed: []byte("s"), CreatedAt: now}
	if err := w.s.PutEndpoint(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
	events, next, err := w.s.Read(t.Context(), w.ws, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.s.DeleteEndpoint(t.Context(), w.ws, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	row := &store.WebhookDelivery{ID: newID(now), Workspace: w.ws, Endpoint: endpoint.ID, Event: events[0].Event, Place: events[0].Cursor, State: store.WebhookPending, NextAt: now, CreatedAt: now}
	if err := w.s.Enqueue(t.Context(), "webhooks", next, []*store.WebhookDelivery{row}); err != nil {
		t.Fatal(err)
	}
	b, err := w.s.Books(t.Context(), w.ws)
	if err != nil || b.Webhooks[store.WebhookPending] != 0 {
		t.Errorf("books %+v, %v", b, err)
	}
	if n, err := w.s.Purge(t.Context(), store.Purge{Events: now.Add(time.Hour), Batch: 100}); err != nil || n != len(events) {
		t.Errorf("%d of %d events purged, %v", n, len(events), err)
	}
}
