package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A bench drives whole lives of messages through a store.
type bench struct {
	s         *Store
	ws        message.WorkspaceID
	connector message.ConnectorID
	people    []message.ContactID
	at        time.Time
}

func newID(at time.Time) (id [16]byte) {
	_, _ = rand.Read(id[6:])
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16|uint64(binary.BigEndian.Uint16(id[6:])))
	return id
}

func newBench(tb testing.TB, people int) *bench {
	tb.Helper()
	s, err := Open(context.Background(), filepath.Join(tb.TempDir(), "life.db"), Options{Now: time.Now, Migrate: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	b := &bench{s: s, at: time.Now()}
	b.ws, b.connector = newID(b.at), newID(b.at)
	for range people {
		id := message.ContactID(newID(b.at))
		b.people = append(b.people, id)
		var index [16]byte
		_, _ = rand.Read(index[:])
		err := s.CreateContact(context.Background(), &store.NewContact{
			ID: id, Workspace: b.ws, Key: make([]byte, 60), CreatedAt: b.at, Identities: []store.Identity{{Index: index, Channel: message.Phone, Sealed: make([]byte, 44)}},
		}, nil)
		if err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

// lives takes a batch of messages from acceptance to delivery.
func (b *bench) lives(tb testing.TB, from, n int) {
	ctx := context.Background()
	now := time.Now()
	event := func(d *message.Delivery, kind string) []store.Event {
		return []store.Event{{
			ID: newID(now), Workspace: b.ws, Type: kind, Message: d.ID, Contact: d.Contact, Version: d.Version, At: now,
			Data: []byte(`{"state":"` + d.State.String() + `","step":0,"channel":"sms","attempt":1}`),
		}}
	}
	items := make([]*store.Acceptance, n)
	for i := range items {
		d := &message.Delivery{
			ID: newID(now), Workspace: b.ws, Contact: b.people[(from+i)%len(b.people)], State: message.Queued, Version: 1,
			Purpose: message.Utility, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Due: now.Add(time.Hour),
			Steps: []message.Step{{Channel: message.SMS, Sender: newID(now), Connector: b.connector, Mode: message.FreeForm, State: message.StepQueued, Segments: 1}},
		}
		items[i] = &store.Acceptance{
			Message: &store.Message{
				ID: d.ID, Workspace: b.ws, Contact: d.Contact, Direction: store.MT, Purpose: message.Utility,
				Identity: newID(now), CreatedAt: now, Sealed: make([]byte, 300),
			},
			Delivery: d, Connector: b.connector, Ready: true, Events: event(d, "message.accepted"),
		}
	}
	results, err := b.s.Accept(ctx, items)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range results {
		if r.Verdict != store.Done {
			tb.Fatalf("accept: %s", r.Verdict)
		}
	}
	for stage := range 3 {
		changes := make([]*store.Change, n)
		for i, item := range items {
			d := item.Delivery
			d.Version++
			c := &store.Change{Delivery: d, Connector: b.connector}
			name := store.RefName{Connector: b.connector, Key: message.RefKey(item.Message.Identity)}
			switch stage {
			case 0:
				d.State = message.Sending
				d.Steps[0].Attempts = []message.Attempt{{Connector: b.connector, StartedAt: now}}
				c.Events = event(d, "message.sending")
			case 1:
				d.State = message.Sent
				a := d.Steps[0].Last()
				a.Outcome, a.AnsweredAt, a.Parts = message.Taken, now, []message.Part{{Ref: make([]byte, 40), Key: name.Key}}
				c.Open = []store.OpenRef{{RefName: name, Workspace: b.ws, Message: d.ID, Attempt: 1, At: now, Expires: now.Add(time.Hour)}}
				c.Events = event(d, "message.sent")
			case 2:
				d.State, d.Due, d.EndedAt = message.Delivered, time.Time{}, now
				c.Close = []store.RefName{name}
				c.Events = event(d, "message.delivered")
			}
			changes[i] = c
		}
		applied, err := b.s.Apply(ctx, changes)
		if err != nil {
			tb.Fatal(err)
		}
		for _, a := range applied {
			if a.Verdict != store.Done {
				tb.Fatalf("apply %d: %s", stage, a.Verdict)
			}
		}
	}
}

// BenchmarkLife takes messages from acceptance to delivery: four writes, four
// events, one ref. One op is one message.
func BenchmarkLife(b *testing.B) {
	for _, batch := range []int{1, 50, 500} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			w := newBench(b, 1000)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				w.lives(b, i, min(batch, b.N-i))
			}
		})
	}
	b.Run("callers=500", func(b *testing.B) {
		w := newBench(b, 1000)
		b.ReportAllocs()
		b.ResetTimer()
		var wg sync.WaitGroup
		for c := range 500 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := c; i < b.N; i += 500 {
					w.lives(b, i, 1)
				}
			}()
		}
		wg.Wait()
	})
}
