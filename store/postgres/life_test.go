package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A world drives whole lives of messages through a store.
type world struct {
	s         *Store
	ws        message.WorkspaceID
	connector message.ConnectorID
	people    []message.ContactID
	indexes   [][16]byte // of their numbers
}

func newID(at time.Time) (id [16]byte) {
	_, _ = rand.Read(id[6:])
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16|uint64(binary.BigEndian.Uint16(id[6:])))
	return id
}

func newWorld(t testing.TB, s *Store, people int) *world {
	t.Helper()
	now := time.Now()
	w := &world{s: s, ws: newID(now), connector: newID(now)}
	for range people {
		id, index := message.ContactID(newID(now)), [16]byte(newID(now))
		w.people, w.indexes = append(w.people, id), append(w.indexes, index)
		err := s.CreateContact(t.Context(), &store.NewContact{
			ID: id, Workspace: w.ws, Key: make([]byte, 60), CreatedAt: now, Identities: []store.Identity{{Index: index, Channel: message.Phone, Sealed: make([]byte, 44)}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) event(d *message.Delivery, kind string, now time.Time) []store.Event {
	return []store.Event{{
		ID: newID(now), Workspace: w.ws, Type: kind, Message: d.ID, Contact: d.Contact, Version: d.Version, At: now,
		Data: []byte(`{"state":"` + d.State.String() + `","step":0,"channel":"sms","attempt":1}`),
	}}
}

// acceptance makes a message to person i, waiting in the connector's lane.
func (w *world) acceptance(i int) *store.Acceptance {
	now := time.Now().Truncate(time.Microsecond)
	d := &message.Delivery{
		ID: newID(now), Workspace: w.ws, Contact: w.people[i%len(w.people)], State: message.Queued, Version: 1,
		Purpose: message.Utility, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Due: now.Add(time.Hour),
		Steps: []message.Step{{Channel: message.SMS, Sender: newID(now), Connector: w.connector, Mode: message.FreeForm, State: message.StepQueued, Segments: 1}},
	}
	return &store.Acceptance{
		Message: &store.Message{
			ID: d.ID, Workspace: w.ws, Contact: d.Contact, Direction: store.MT, Purpose: message.Utility,
			Identity: newID(now), CreatedAt: now, Sealed: make([]byte, 300),
		},
		Delivery: d, Connector: w.connector, Ready: true, Events: w.event(d, "message.accepted", now),
	}
}

// stage makes the next change of a message: sending, sent, delivered.
func (w *world) stage(a *store.Acceptance, n int) *store.Change {
	now := time.Now()
	d := a.Delivery
	d.Version++
	c := &store.Change{Delivery: d, Connector: w.connector}
	name := store.RefName{Connector: w.connector, Key: message.RefKey(a.Message.Identity)}
	switch n {
	case 0:
		d.State = message.Sending
		d.Steps[0].Attempts = []message.Attempt{{Connector: w.connector, StartedAt: now}}
	case 1:
		d.State = message.Sent
		at := d.Steps[0].Last()
		at.Outcome, at.AnsweredAt, at.Parts = message.Taken, now, []message.Part{{Ref: make([]byte, 40), Key: name.Key}}
		c.Open = []store.OpenRef{{RefName: name, Workspace: w.ws, Message: d.ID, Attempt: 1, At: now, Expires: now.Add(time.Hour)}}
	case 2:
		d.State, d.Due, d.EndedAt = message.Delivered, time.Time{}, now
		c.Close = []store.RefName{name}
	}
	c.Events = w.event(d, "message."+d.State.String(), now)
	return c
}

// lives takes n messages from acceptance to delivery.
func (w *world) lives(t testing.TB, from, n int) {
	ctx := context.Background()
	items := make([]*store.Acceptance, n)
	for i := range items {
		items[i] = w.acceptance(from + i)
	}
	results, err := w.s.Accept(ctx, items)
	if err != nil {
		t.Error(err)
		return
	}
	for _, r := range results {
		if r.Verdict != store.Done {
			t.Errorf("accept: %s", r.Verdict)
			return
		}
	}
	for stage := range 3 {
		changes := make([]*store.Change, n)
		for i, item := range items {
			changes[i] = w.stage(item, stage)
		}
		applied, err := w.s.Apply(ctx, changes)
		if err != nil {
			t.Error(err)
			return
		}
		for _, a := range applied {
			if a.Verdict != store.Done {
				t.Errorf("apply %d: %s", stage, a.Verdict)
				return
			}
		}
	}
}

// cpu gives the processor time of the server's processes for us, 0 where it
// cannot be read.
func (w *world) cpu(b *testing.B) time.Duration {
	var ticks int64
	err := w.s.query(context.Background(), func(r pgx.Rows) error {
		var pid int
		if err := r.Scan(&pid); err != nil {
			return err
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, f := range fields[11:13] {
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
		return nil
	}, `SELECT pid FROM pg_stat_activity WHERE datname = current_database() OR backend_type IN ('walwriter', 'checkpointer', 'background writer')`)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkLife takes messages from acceptance to delivery: four writes, four
// events, one ref. One op is one message; db-µs is the server's processor time.
func BenchmarkLife(b *testing.B) {
	run := func(name string, callers, batch int) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open(b, nil), 1000)
			b.ReportAllocs()
			b.ResetTimer()
			before := w.cpu(b)
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for i := c * batch; i < b.N; i += callers * batch {
						w.lives(b, i, min(batch, b.N-i))
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((w.cpu(b)-before).Microseconds())/float64(b.N), "db-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
		})
	}
	run("batch=1", 1, 1)
	run("batch=50", 1, 50)
	run("batch=500", 1, 500)
	run("callers=4,batch=250", 4, 250)
	run("callers=500", 500, 1)
}

func TestLife(t *testing.T) {
	w := newWorld(t, open(t, nil), 10)
	w.lives(t, 0, 50)
	books, err := w.s.Books(t.Context(), w.ws)
	if err != nil {
		t.Fatal(err)
	}
	if books.Accepted != 50 || books.States[message.Delivered] != 50 || books.Orphans != 0 || books.OpenRefs != 0 || books.Lost != 0 {
		t.Errorf("books = %+v", books)
	}
	events, _, err := w.s.Read(t.Context(), w.ws, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 200 {
		t.Errorf("%d events, want 200", len(events))
	}
}
