package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func (k *kit) endpoint() *store.Endpoint {
	k.Helper()
	e := &store.Endpoint{ID: k.id(), Workspace: k.ws, URL: "https://example.com/hook", Sealed: []byte("secret"), Types: []string{"message.sent"}, Batch: 10, CreatedAt: k.now}
	k.ok(k.s.PutEndpoint(k.ctx, e))
	return e
}

// enqueue queues events of the log, from the reader's cursor on, for endpoints.
func (k *kit) enqueue(endpoints ...message.EndpointID) []*store.WebhookDelivery {
	k.Helper()
	c, err := k.s.Cursor(k.ctx, "webhooks")
	k.ok(err)
	events, next, err := k.s.Read(k.ctx, message.WorkspaceID{}, c, 1000)
	k.ok(err)
	var rows []*store.WebhookDelivery
	for _, e := range events {
		for _, id := range endpoints {
			rows = append(rows, &store.WebhookDelivery{ID: k.id(), Workspace: k.ws, Endpoint: id, Event: e.Event, Place: e.Cursor, State: store.WebhookPending, NextAt: k.now, CreatedAt: k.now})
		}
	}
	k.ok(k.s.Enqueue(k.ctx, "webhooks", next, rows))
	saved, err := k.s.Cursor(k.ctx, "webhooks")
	k.ok(err)
	k.same("cursor", saved, next)
	return rows
}

func (k *kit) claim(id message.EndpointID, owner string, now time.Time, limit int) []*store.WebhookDelivery {
	k.Helper()
	list, err := k.s.Claim(k.ctx, id, owner, now, now.Add(time.Minute), limit)
	k.ok(err)
	return list
}

func (k *kit) settle(owner string, state string, next time.Time, rows ...*store.WebhookDelivery) {
	k.Helper()
	var tries []*store.WebhookTry
	for _, r := range rows {
		tries = append(tries, &store.WebhookTry{ID: r.ID, Endpoint: r.Endpoint, At: k.now, State: state, NextAt: next, Status: 500, Error: "e"})
	}
	k.ok(k.s.Settle(k.ctx, owner, tries))
}

func rowIDs(list []*store.WebhookDelivery) (out []message.DeliveryID) {
	for _, r := range list {
		out = append(out, r.ID)
	}
	return out
}

func (k *kit) story(n int) message.MessageID {
	k.Helper()
	a := k.message()
	d := a.Delivery
	for range n - 1 {
		c := k.next(d, message.Sending)
		k.apply(store.Done, c)
		d = c.Delivery
	}
	return a.Message.ID
}

func webhooksTests() []test {
	return []test{
		{"an endpoint is kept, replaced and deleted", func(k *kit) {
			e := k.endpoint()
			got, err := k.s.Endpoint(k.ctx, k.ws, e.ID)
			k.ok(err)
			k.same("endpoint", got, e)
			e.Disabled, e.FailingAt, e.Types = "gone", k.now, nil
			k.ok(k.s.PutEndpoint(k.ctx, e))
			list, err := k.s.Endpoints(k.ctx, k.ws)
			k.ok(err)
			k.same("replaced", list, []*store.Endpoint{e})
			list, err = k.s.Endpoints(k.ctx, message.WorkspaceID{})
			k.ok(err)
			k.same("of all", list, []*store.Endpoint{e})
			k.ok(k.s.DeleteEndpoint(k.ctx, k.ws, e.ID))
			if _, err := k.s.Endpoint(k.ctx, k.ws, e.ID); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("deleted: %v", err)
			}
		}},
		{"deliveries are claimed in log order with the event as logged", func(k *kit) {
			e := k.endpoint()
			for range 4 {
				k.story(1)
			}
			rows := k.enqueue(e.ID)
			next, err := k.s.NextDelivery(k.ctx, e.ID)
			k.ok(err)
			k.same("next", next, k.now)
			first := k.claim(e.ID, "a", k.now, 3)
			k.same("first three", rowIDs(first), rowIDs(rows[:3]))
			for i, r := range first {
				k.same("event", r.Event, rows[i].Event)
			}
			k.same("the rest", rowIDs(k.claim(e.ID, "b", k.now, 3)), rowIDs(rows[3:]))
			k.same("none left", rowIDs(k.claim(e.ID, "b", k.now, 3)), []message.DeliveryID(nil))
		}},
		{"rows already there are left alone", func(k *kit) {
			e := k.endpoint()
			k.story(1)
			rows := k.enqueue(e.ID)
			k.settle("a", store.WebhookDelivered, time.Time{}, k.claim(e.ID, "a", k.now, 1)...)
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			k.ok(k.s.Enqueue(k.ctx, "webhooks", head, rows))
			k.same("nothing pending", rowIDs(k.claim(e.ID, "a", k.now, 1)), []message.DeliveryID(nil))
		}},
		{"one message's events go one after the other", func(k *kit) {
			e := k.endpoint()
			k.story(3)
			k.story(1)
			rows := k.enqueue(e.ID)
			list := k.claim(e.ID, "a", k.now, 10)
			k.same("heads", rowIDs(list), []message.DeliveryID{rows[0].ID, rows[3].ID})
			k.settle("a", store.WebhookPending, k.now.Add(time.Hour), list[0])
			k.same("still pending: none", rowIDs(k.claim(e.ID, "a", k.now, 10)), []message.DeliveryID(nil))
			k.settle("a", store.WebhookDelivered, time.Time{}, list[1])
			list = k.claim(e.ID, "a", k.now.Add(2*time.Hour), 10)
			k.same("tried again", rowIDs(list), []message.DeliveryID{rows[0].ID})
			if list[0].Tries != 1 || list[0].Status != 500 || list[0].Error != "e" || !list[0].LastAt.Equal(k.now) {
				k.Errorf("row %+v", list[0])
			}
			k.settle("a", store.WebhookDelivered, time.Time{}, list...)
			list = k.claim(e.ID, "a", k.now, 10)
			k.same("the second", rowIDs(list), []message.DeliveryID{rows[1].ID})
			k.settle("a", store.WebhookDead, time.Time{}, list...)
			k.same("the third", rowIDs(k.claim(e.ID, "a", k.now, 10)), []message.DeliveryID{rows[2].ID})
		}},
		{"a lease expires and its owner's word counts no more", func(k *kit) {
			e := k.endpoint()
			k.story(1)
			rows := k.enqueue(e.ID)
			old := k.claim(e.ID, "a", k.now, 10)
			k.same("leased", rowIDs(k.claim(e.ID, "b", k.now.Add(59*time.Second), 10)), []message.DeliveryID(nil))
			k.same("expired", rowIDs(k.claim(e.ID, "b", k.now.Add(2*time.Minute), 10)), rowIDs(rows))
			k.settle("a", store.WebhookDead, time.Time{}, old...)
			list, err := k.s.DeliveryList(k.ctx, k.ws, e.ID, "", message.DeliveryID{}, 10)
			k.ok(err)
			k.same("still pending", list[0].State, store.WebhookPending)
			k.settle("b", store.WebhookDelivered, time.Time{}, old...)
			list, err = k.s.DeliveryList(k.ctx, k.ws, e.ID, "", message.DeliveryID{}, 10)
			k.ok(err)
			k.same("settled", list[0].State, store.WebhookDelivered)
		}},
		{"endpoints do not hold each other up, and no row is claimed twice", func(k *kit) {
			a, b := k.endpoint(), k.endpoint()
			for range 30 {
				k.story(2)
			}
			rows := k.enqueue(a.ID, b.ID)
			var mu sync.Mutex
			seen := make(map[message.DeliveryID]int)
			order := make(map[message.MessageID]int32)
			gather(k, 4, func(i int) error {
				owner := string(rune('a' + i))
				for {
					list, err := k.s.Claim(k.ctx, a.ID, owner, k.now, k.now.Add(time.Minute), 5)
					if err != nil {
						k.Error(err)
						return err
					}
					if len(list) == 0 {
						return nil
					}
					var tries []*store.WebhookTry
					mu.Lock()
					for _, r := range list {
						seen[r.ID]++
						if r.Event.Version <= order[r.Event.Message] {
							k.Errorf("version %d after %d", r.Event.Version, order[r.Event.Message])
						}
						order[r.Event.Message] = r.Event.Version
						tries = append(tries, &store.WebhookTry{ID: r.ID, Endpoint: a.ID, At: k.now, State: store.WebhookDelivered, Status: 200})
					}
					mu.Unlock()
					if err := k.s.Settle(k.ctx, owner, tries); err != nil {
						k.Error(err)
						return err
					}
				}
			})
			for _, r := range k.claim(a.ID, "z", k.now, 1000) { // what was promoted at the very end
				seen[r.ID]++
			}
			for _, r := range rows {
				if want := map[message.EndpointID]int{a.ID: 1}[r.Endpoint]; seen[r.ID] != want {
					k.Errorf("claimed %d times, want %d", seen[r.ID], want)
				}
			}
			if n := len(k.claim(b.ID, "b", k.now, 1000)); n != 30 {
				k.Errorf("%d of the other endpoint, want 30", n)
			}
		}},
		{"deliveries that were taken before they are written are kept like the others", func(k *kit) {
			e, other := k.endpoint(), k.endpoint()
			for range 4 {
				k.story(3)
			}
			events, next, err := k.s.Read(k.ctx, message.WorkspaceID{}, "", 1000)
			k.ok(err)
			var rows []*store.WebhookDelivery
			for i, v := range events {
				r := &store.WebhookDelivery{ID: k.id(), Workspace: k.ws, Endpoint: e.ID, Event: v.Event, Place: v.Cursor, State: store.WebhookPending, NextAt: k.now, CreatedAt: k.now}
				if i%4 != 1 {
					r.State, r.Tries, r.LastAt, r.Status = store.WebhookDelivered, 1, k.now.Add(time.Duration(i)*time.Millisecond), 200+i
				}
				rows = append(rows, r)
			}
			taken := &store.WebhookDelivery{
				ID: k.id(), Workspace: k.ws, Endpoint: other.ID, Event: events[0].Event, Place: events[0].Cursor, State: store.WebhookDelivered, Tries: 1,
				NextAt: k.now, CreatedAt: k.now, LastAt: k.now, Status: 204,
			}
			all := append([]*store.WebhookDelivery{taken}, rows...)
			k.ok(k.s.Enqueue(k.ctx, "webhooks", next, all))
			k.ok(k.s.Enqueue(k.ctx, "webhooks", next, all)) // again: nothing changes
			for _, r := range all {
				r.Place = "" // not given back
			}
			newest := func(list []*store.WebhookDelivery, state string) (out []*store.WebhookDelivery) {
				for i := len(list) - 1; i >= 0; i-- {
					if state == "" || list[i].State == state {
						out = append(out, list[i])
					}
				}
				return out
			}
			list := func(state string, before message.DeliveryID, limit int) []*store.WebhookDelivery {
				k.Helper()
				got, err := k.s.DeliveryList(k.ctx, k.ws, e.ID, state, before, limit)
				k.ok(err)
				return got
			}
			k.same("all", list("", message.DeliveryID{}, 100), newest(rows, ""))
			for _, state := range []string{store.WebhookDelivered, store.WebhookPending, store.WebhookDead} {
				k.same(state, list(state, message.DeliveryID{}, 100), newest(rows, state))
			}
			k.same("a page", rowIDs(list("", rows[7].ID, 3)), []message.DeliveryID{rows[6].ID, rows[5].ID, rows[4].ID})
			books, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			k.same("books", books.Webhooks, map[string]int64{store.WebhookDelivered: 10, store.WebhookPending: 3})
			k.same("pending", rowIDs(k.claim(e.ID, "a", k.now, 100)), []message.DeliveryID{rows[1].ID, rows[5].ID, rows[9].ID})

			// Replayed by id, and by a span that holds everything.
			n, err := k.s.Replay(k.ctx, k.ws, e.ID, []message.DeliveryID{rows[2].ID, k.id()}, time.Time{}, time.Time{}, k.now)
			k.ok(err)
			k.same("replayed", n, 1)
			k.settle("a", store.WebhookDelivered, time.Time{}, rows[1], rows[5], rows[9])
			again := k.claim(e.ID, "a", k.now, 100)
			k.same("sent again", rowIDs(again), []message.DeliveryID{rows[2].ID})
			k.same("with its event", again[0].Event, rows[2].Event)
			k.settle("a", store.WebhookDelivered, time.Time{}, again...)
			n, err = k.s.Replay(k.ctx, k.ws, e.ID, nil, k.now.Add(-time.Hour), k.now.Add(time.Hour), k.now)
			k.ok(err)
			k.same("all again", n, len(rows))
			seen := 0
			for claimed := k.claim(e.ID, "a", k.now, 100); len(claimed) > 0; claimed = k.claim(e.ID, "a", k.now, 100) {
				seen += len(claimed)
				k.settle("a", store.WebhookDelivered, time.Time{}, claimed...)
			}
			k.same("sent again, all", seen, len(rows))
			if n, err := k.s.Replay(k.ctx, k.ws, other.ID, nil, k.now.Add(time.Hour), k.now.Add(2*time.Hour), k.now); err != nil || n != 0 {
				k.Errorf("a span without events replayed %d, %v", n, err)
			}

			purged, err := k.s.Purge(k.ctx, store.Purge{Webhooks: k.now.Add(48 * time.Hour), Batch: 1000})
			k.ok(err)
			if purged == 0 { // how many are told by row: a store may keep several in one
				k.Error("nothing was purged")
			}
			k.same("nothing left", list("", message.DeliveryID{}, 100), []*store.WebhookDelivery(nil))
		}},
		{"nothing is kept for an endpoint that was deleted while its deliveries were made", func(k *kit) {
			e, other := k.endpoint(), k.endpoint()
			k.story(2)
			k.ok(k.s.DeleteEndpoint(k.ctx, k.ws, e.ID))
			k.enqueue(e.ID, other.ID)
			books, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			k.same("books", books.Webhooks, map[string]int64{store.WebhookPending: 2})
		}},
		{"deliveries are listed newest first and replayed", func(k *kit) {
			e := k.endpoint()
			for range 3 {
				k.story(1)
			}
			rows := k.enqueue(e.ID)
			list := k.claim(e.ID, "a", k.now, 10)
			k.settle("a", store.WebhookDead, time.Time{}, list[:2]...)
			k.settle("a", store.WebhookDelivered, time.Time{}, list[2])
			page, err := k.s.DeliveryList(k.ctx, k.ws, e.ID, "", message.DeliveryID{}, 2)
			k.ok(err)
			k.same("newest first", rowIDs(page), []message.DeliveryID{rows[2].ID, rows[1].ID})
			page, err = k.s.DeliveryList(k.ctx, k.ws, e.ID, "", page[1].ID, 2)
			k.ok(err)
			k.same("next page", rowIDs(page), []message.DeliveryID{rows[0].ID})
			page, err = k.s.DeliveryList(k.ctx, k.ws, e.ID, store.WebhookDead, message.DeliveryID{}, 10)
			k.ok(err)
			k.same("dead", rowIDs(page), []message.DeliveryID{rows[1].ID, rows[0].ID})
			n, err := k.s.Replay(k.ctx, k.ws, e.ID, []message.DeliveryID{rows[1].ID, k.id()}, time.Time{}, time.Time{}, k.now)
			k.ok(err)
			k.same("replayed by id", n, 1)
			k.same("pending again", rowIDs(k.claim(e.ID, "a", k.now, 10)), []message.DeliveryID{rows[1].ID})
			k.settle("a", store.WebhookDead, time.Time{}, rows[1])
			n, err = k.s.Replay(k.ctx, k.ws, e.ID, nil, k.now.Add(-time.Minute), k.now.Add(time.Minute), k.now)
			k.ok(err)
			k.same("replayed by time", n, 3)
			n, err = k.s.Replay(k.ctx, k.ws, e.ID, nil, k.now.Add(time.Minute), k.now.Add(time.Hour), k.now)
			k.ok(err)
			k.same("another time", n, 0)
		}},
		{"an endpoint's health is noted, and a deleted one stays deleted", func(k *kit) {
			e := k.endpoint()
			k.ok(k.s.SetEndpointHealth(k.ctx, k.ws, e.ID, k.now, "gone"))
			e.FailingAt, e.Disabled = k.now, "gone"
			got, err := k.s.Endpoint(k.ctx, k.ws, e.ID)
			k.ok(err)
			k.same("failing", got, e)
			if err := k.s.SetEndpointHealth(k.ctx, k.workspace(), e.ID, time.Time{}, ""); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("another tenant's word: %v", err)
			}
			k.ok(k.s.SetEndpointHealth(k.ctx, k.ws, e.ID, time.Time{}, ""))
			e.FailingAt, e.Disabled = time.Time{}, ""
			got, err = k.s.Endpoint(k.ctx, k.ws, e.ID)
			k.ok(err)
			k.same("well", got, e)
			k.ok(k.s.DeleteEndpoint(k.ctx, k.ws, e.ID))
			if err := k.s.SetEndpointHealth(k.ctx, k.ws, e.ID, k.now, "gone"); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("of a deleted one: %v", err)
			}
			list, err := k.s.Endpoints(k.ctx, k.ws)
			k.ok(err)
			k.same("none", list, []*store.Endpoint(nil))
		}},
		{"nothing is pending at an unknown endpoint", func(k *kit) {
			next, err := k.s.NextDelivery(k.ctx, k.id())
			k.ok(err)
			if !next.IsZero() {
				k.Error(next)
			}
			k.same("claim", rowIDs(k.claim(k.id(), "a", k.now, 10)), []message.DeliveryID(nil))
		}},
	}
}
