package postgres

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestDeliveryWhoseEventWasLost: a failover lost an event whose delivery was
// written by a node that had read it before. It holds up nothing.
func TestDeliveryWhoseEventWasLost(t *testing.T) {
	s := open(t, nil)
	w := newWorld(t, s, 1)
	w.lives(t, 0, 1)
	now := time.Now()
	endpoint := &store.Endpoint{ID: message.EndpointID(newID(now)), Workspace: w.ws, URL: "https://example.com/hook", Sealed: []byte("s"), CreatedAt: now}
	if err := s.PutEndpoint(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
	events := after(t, s, "")
	var rows []*store.WebhookDelivery
	for _, e := range events {
		rows = append(rows, &store.WebhookDelivery{ID: newID(now), Workspace: w.ws, Endpoint: endpoint.ID, Event: e.Event, Place: e.Cursor, State: store.WebhookPending, NextAt: now, CreatedAt: now})
	}
	if err := s.Enqueue(t.Context(), "webhooks", events[len(events)-1].Cursor, rows); err != nil {
		t.Fatal(err)
	}
	// Each event of the life was its own commit, so its own row of the log.
	if _, err := direct(t, s).Exec(t.Context(), "DELETE FROM events WHERE (epoch, xid, seq) = (SELECT epoch, xid, seq FROM events ORDER BY epoch, xid, seq LIMIT 1)"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Claim(t.Context(), endpoint.ID, "a", now, now.Add(time.Minute), 10); err != nil || len(list) != 0 {
		t.Fatalf("%d deliveries of an event that is gone, %v", len(list), err)
	}
	list, err := s.Claim(t.Context(), endpoint.ID, "a", now, now.Add(time.Minute), 10)
	if err != nil || len(list) != 1 || list[0].ID != rows[1].ID {
		t.Errorf("what waited behind it: %+v, %v", list, err)
	}
}
