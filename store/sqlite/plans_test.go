package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestPlans runs every reading and writing on the hot path and then looks at
// the plan of each statement that was prepared: none may read a whole big
// table, and none may sort what an index gives in order.
func TestPlans(t *testing.T) {
	w := newBench(t, 10)
	w.lives(t, 0, 5)
	s, ctx, now := w.s, context.Background(), time.Now()
	var ws message.WorkspaceID
	endpoint := message.EndpointID(newID(now))
	events, cursor, err := s.Read(ctx, ws, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	row := &store.WebhookDelivery{ID: newID(now), Workspace: w.ws, Endpoint: endpoint, Event: events[0].Event, State: store.WebhookPending, NextAt: now}
	for _, f := range []func() error{
		func() error { return s.Enqueue(ctx, "r", cursor, []*store.WebhookDelivery{row}) },
		func() error { _, err := s.Claim(ctx, endpoint, "a", now, now, 10); return err },
		func() error {
			return s.Settle(ctx, "a", []*store.WebhookTry{{ID: row.ID, Endpoint: endpoint, State: store.WebhookDelivered}})
		},
		func() error {
			done := *row
			done.ID, done.State, done.Tries, done.CreatedAt, done.LastAt = newID(now), store.WebhookDelivered, 1, now, now
			done.Event = events[1].Event
			return s.Enqueue(ctx, "r", cursor, []*store.WebhookDelivery{&done})
		},
		func() error {
			_, err := s.Replay(ctx, w.ws, endpoint, []message.DeliveryID{newID(now)}, now, now, now)
			return err
		},
		func() error { _, err := s.Replay(ctx, w.ws, endpoint, nil, now, now, now); return err },
		func() error { _, err := s.DeliveryList(ctx, w.ws, endpoint, "", message.DeliveryID{}, 10); return err },
		func() error { _, _, err := s.Read(ctx, w.ws, "", 10); return err },
		func() error { _, err := s.Load(ctx, w.ws, []message.MessageID{events[0].Message}); return err },
		func() error { _, err := s.Messages(ctx, w.ws, []message.MessageID{events[0].Message}); return err },
		func() error { _, err := s.Ready(ctx, w.connector, store.Place{}, 10); return err },
		func() error { _, err := s.Due(ctx, nil, now, 10); return err },
		func() error { _, err := s.NextDue(ctx, nil); return err },
		func() error { _, err := s.Attempting(ctx, w.connector, message.MessageID{}, 10); return err },
		func() error { _, err := s.List(ctx, w.ws, store.Filter{Limit: 10}); return err },
		func() error { _, err := s.List(ctx, w.ws, store.Filter{Contact: w.people[0], Limit: 10}); return err },
		func() error { _, err := s.Resolve(ctx, w.ws, [][16]byte{newID(now)}); return err },
		func() error { _, err := s.ContactList(ctx, w.ws, message.ContactID{}, 10); return err },
		func() error { _, err := s.RewrapContacts(ctx, w.ws, 9, 10); return err },
		func() error {
			_, err := s.Match(ctx, []*store.Lookup{{
				Workspace: w.ws, Connector: w.connector, Keys: []message.RefKey{{1}}, Inferred: message.RefKey{2},
				Park: &store.Parked{ID: newID(now), Workspace: w.ws, Connector: w.connector, Keys: []message.RefKey{{1}}},
			}})
			return err
		},
		func() error { w.lives(t, 5, 5); return nil },
		func() error { return s.Unpark(ctx, w.ws, []message.EventID{newID(now)}) },
		func() error { _, err := s.Erase(ctx, w.ws, w.people[0], now, nil); return err },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	big := []string{"answers", "webhook_runs", "event_halves", "messages", "deliveries", "events", "webhooks", "refs", "contacts", "identities", "owners", "o", "windows", "idempotency", "dedup", "charges", "m", "d", "e", "c", "k", "i"}
	look := func(c *conn) {
		for sql := range c.stmts {
			if strings.HasPrefix(sql, "PRAGMA") || strings.HasPrefix(sql, "EXPLAIN") || strings.Contains(sql, "max(seq)") {
				continue
			}
			var plan []string
			q := c.q("EXPLAIN QUERY PLAN " + sql)
			for {
				more, err := q.row()
				if err != nil {
					t.Error(sql, err)
					return
				}
				if !more {
					break
				}
				plan = append(plan, q.str(3))
			}
			q.done() // an explained write stays open otherwise
			for _, step := range plan {
				// Windows that are one contact's, refs that are one key's and
				// identities of one contact are few: sorting them is nothing.
				sorts := strings.Contains(step, "TEMP B-TREE") && !strings.Contains(sql, "FROM refs") && !strings.Contains(sql, "FROM identities")
				for _, table := range big {
					scan, rest, _ := strings.Cut(step, "SCAN "+table)
					// Claims and due times walk an index made for them.
					walks := strings.Contains(rest, "deliveries_due")
					if strings.Contains(step, "SCAN "+table) && scan == "" && (rest == "" || rest[0] == ' ') && !walks || sorts {
						t.Errorf("%s\n\t%s", sql, strings.Join(plan, "\n\t"))
					}
				}
			}
		}
	}
	for range s.options.Readers {
		r := <-s.readers
		look(r)
		defer func() { s.readers <- r }()
	}
	if err := s.write(ctx, 1, func(w *writer) error { look(w.c); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestPathOfStore(t *testing.T) {
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "no", "such", "a.db"), Options{Now: time.Now, Migrate: true}); err == nil {
		t.Error("a folder that is not there was made")
	}
	// Signs that mean something in a URI are only part of the name.
	t.Chdir(t.TempDir())
	for _, name := range []string{"plain.db", "a b?c=d#e%41&vfs=x.db", "file:x.db", "//" + t.TempDir() + "/é.db"} {
		s := open(t, name, Options{Migrate: true})
		if err := accept(s, message.WorkspaceID(newID(time.Now())), 10); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, tail := range []string{"", "-wal"} {
			if info, err := os.Stat(name + tail); err != nil || info.Size() == 0 {
				t.Errorf("%s%s: %v", name, tail, err)
			}
		}
	}
}
