package storetest

import (
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// expired is a time to live that is over at once: leases live on the database's
// clock, which a test cannot move.
const expired = -time.Second

func (k *kit) lease(owner string, ttl time.Duration, connectors ...message.ConnectorID) map[message.ConnectorID]int64 {
	k.Helper()
	list, err := k.s.Lease(k.ctx, owner, connectors, ttl)
	k.ok(err)
	tokens := make(map[message.ConnectorID]int64)
	for _, l := range list {
		if l.Owner != owner {
			k.Errorf("lease of %s given to %s", l.Owner, owner)
		}
		tokens[l.Connector] = l.Token
	}
	return tokens
}

func leasesTests() []test {
	return []test{
		{"a lease is one owner's until it expires", func(k *kit) {
			a, b := message.ConnectorID(k.id()), message.ConnectorID(k.id())
			first := k.lease("one", time.Hour, a)[a]
			k.same("renewed", k.lease("one", time.Hour, a)[a], first)
			got := k.lease("two", time.Hour, a, b)
			if _, ok := got[a]; ok || got[b] == 0 {
				k.Errorf("two was given %v", got)
			}
			list, err := k.s.LeaseList(k.ctx)
			k.ok(err)
			owners := make(map[message.ConnectorID]string)
			for _, l := range list {
				owners[l.Connector] = l.Owner
				if l.TTL <= 0 || l.TTL > time.Hour {
					k.Errorf("time to live %s", l.TTL)
				}
			}
			k.same("owners", owners, map[message.ConnectorID]string{a: "one", b: "two"})
			k.lease("one", expired, a)
			second := k.lease("two", time.Hour, a)[a]
			if second <= first {
				k.Errorf("token %d after %d: it did not rise with the change of hands", second, first)
			}
		}},
		{"an owner whose lease expired gets a new token", func(k *kit) {
			c := message.ConnectorID(k.id())
			first := k.lease("one", expired, c)[c]
			if second := k.lease("one", time.Hour, c)[c]; second <= first {
				k.Errorf("token %d after %d", second, first)
			}
		}},
		{"a lease given back is free at once, and only its owner gives it back", func(k *kit) {
			c := message.ConnectorID(k.id())
			first := k.lease("one", time.Hour, c)[c]
			k.ok(k.s.Release(k.ctx, "two", []message.ConnectorID{c}))
			k.same("not two's to give", len(k.lease("two", time.Hour, c)), 0)
			k.ok(k.s.Release(k.ctx, "one", []message.ConnectorID{c}))
			if second := k.lease("two", time.Hour, c)[c]; second <= first {
				k.Errorf("token %d after %d", second, first)
			}
		}},
		{"of many owners one gets it", func(k *kit) {
			c := message.ConnectorID(k.id())
			given := gather(k, 12, func(i int) int {
				list, err := k.s.Lease(k.ctx, string(rune('a'+i)), []message.ConnectorID{c}, time.Hour)
				if err != nil {
					k.Error(err)
				}
				return len(list)
			})
			n := 0
			for _, g := range given {
				n += g
			}
			k.same("owners", n, 1)
		}},
		{"a hint wakes", func(k *kit) {
			c := message.ConnectorID(k.id())
			woken := k.s.Woken()
			early, late := message.MessageID{1}, message.MessageID{2}
			k.ok(k.s.Wake(k.ctx, store.Hints{c: late}))
			k.ok(k.s.Wake(k.ctx, store.Hints{c: early}))
			deadline := time.After(10 * time.Second)
			for got := (store.Hint{}); got.From != early; { // the first may be heard before the second is told
				select {
				case got = <-woken:
					k.same("connector", got.Connector, c)
				case <-deadline:
					k.Fatal("the earlier hint never came")
				}
			}
		}},
		{"the store tells its clock, takes writes and knows its backlog", func(k *kit) {
			now, err := k.s.Now(k.ctx)
			k.ok(err)
			if d := now.Sub(k.now).Abs(); d > 10*time.Minute {
				k.Errorf("the clock is %s off", d)
			}
			k.ok(k.s.Ping(k.ctx))
			waiting, limit := k.s.Backlog()
			if waiting != 0 || limit <= 0 {
				k.Errorf("backlog %d of %d", waiting, limit)
			}
		}},
	}
}

func upkeepTests() []test {
	return []test{
		{"a purge takes what is older than its time and leaves the rest", func(k *kit) {
			begin := k.now
			k.now = begin.Add(-72 * time.Hour)
			old := k.message()
			flying := k.message()
			end := k.next(old.Delivery, message.Failed)
			end.Delivery.Due = time.Time{}
			k.apply(store.Done, end)
			k.ok(k.s.Charge(k.ctx, "charges", "", []*store.Charge{k.charge(old.Message.ID, 1, 7, "estimate")}))
			k.now = begin
			young := k.message()
			end = k.next(young.Delivery, message.Failed)
			k.apply(store.Done, end)
			cut := begin.Add(-24 * time.Hour)
			purge := func(p store.Purge) (n int) {
				k.Helper()
				p.Batch = 1
				for i := 0; ; i++ {
					gone, err := k.s.Purge(k.ctx, p)
					k.ok(err)
					if n += gone; gone == 0 {
						return n
					}
					if i > 100 {
						k.Fatal("the purge never ends")
					}
				}
			}
			k.same("zero times keep everything", purge(store.Purge{}), 0)
			if purge(store.Purge{Content: cut}) == 0 {
				k.Error("no content was purged")
			}
			list, err := k.s.Messages(k.ctx, k.ws, []message.MessageID{old.Message.ID, flying.Message.ID, young.Message.ID})
			k.ok(err)
			if list[0].Sealed != nil || list[1].Sealed == nil || list[2].Sealed == nil {
				k.Error("content: only that of the old ended message may go")
			}
			if purge(store.Purge{Messages: cut}) == 0 {
				k.Error("no message was purged")
			}
			list, err = k.s.Messages(k.ctx, k.ws, []message.MessageID{old.Message.ID, flying.Message.ID, young.Message.ID})
			k.ok(err)
			if list[0] != nil || list[1] == nil || list[2] == nil {
				k.Error("messages: only the old ended one may go")
			}
			b, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			if b.Accepted != 2 || b.Charges != 0 || b.Orphans != 0 {
				k.Errorf("books %+v", b)
			}
		}},
		{"events go when every reader has passed them", func(k *kit) {
			k.now = k.now.Add(-72 * time.Hour)
			k.say(k.ws, "a.b")
			passed, err := k.s.Head(k.ctx)
			k.ok(err)
			kept := k.say(k.ws, "a.c")
			k.ok(k.s.SaveCursor(k.ctx, "slow", passed))
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			k.ok(k.s.SaveCursor(k.ctx, "fast", head))
			k.now = k.now.Add(72 * time.Hour)
			_, err = k.s.Purge(k.ctx, store.Purge{Events: k.now.Add(-24 * time.Hour), Batch: 100})
			k.ok(err)
			list, _ := k.page(k.ws, "", 10)
			k.same("left", list, []message.EventID{kept})
			k.ok(k.s.SaveCursor(k.ctx, "slow", head))
			_, err = k.s.Purge(k.ctx, store.Purge{Events: k.now.Add(-24 * time.Hour), Batch: 100})
			k.ok(err)
			list, _ = k.page(k.ws, "", 10)
			k.same("none left", list, []message.EventID(nil))
			next := k.say(k.ws, "a.d")
			list, _ = k.page(k.ws, head, 10)
			k.same("an empty log goes on after its head", list, []message.EventID{next})
		}},
		{"a purge of one workspace leaves the others alone", func(k *kit) {
			now := k.now
			k.now = now.Add(-72 * time.Hour)
			mine := k.ws
			make := func() (a *store.Acceptance, e *store.Endpoint) {
				a = k.message()
				end := k.next(a.Delivery, message.Failed)
				end.Delivery.Due = time.Time{}
				k.apply(store.Done, end)
				return a, k.endpoint()
			}
			a, hook := make()
			k.enqueue(hook.ID)
			for range 2 { // one event of the message after the other
				k.settle("a", store.WebhookDelivered, time.Time{}, k.claim(hook.ID, "a", k.now, 100)...)
			}
			k.ws = k.workspace()
			b, other := make()
			k.enqueue(other.ID)
			k.ws = mine
			k.now = now
			cut := now.Add(-24 * time.Hour)
			for range 20 {
				_, err := k.s.Purge(k.ctx, store.Purge{Workspace: mine, Messages: cut, Content: cut, Events: cut, Webhooks: cut, Batch: 1})
				k.ok(err)
			}
			_, err := k.s.Purge(k.ctx, store.Purge{Workspace: k.id(), Messages: cut, Content: cut, Events: cut, Webhooks: cut, Batch: 100})
			k.ok(err)
			count := func(ws message.WorkspaceID) (messages, events int) {
				b, err := k.s.Books(k.ctx, ws)
				k.ok(err)
				return int(b.Accepted), int(b.Events)
			}
			messages, events := count(mine)
			if messages != 0 || events != 0 {
				k.Errorf("%d messages and %d events of the workspace are left", messages, events)
			}
			if messages, events = count(other.Workspace); messages != 1 || events != 2 {
				k.Errorf("%d messages and %d events of the other are left", messages, events)
			}
			list, err := k.s.Messages(k.ctx, other.Workspace, []message.MessageID{b.Message.ID, a.Message.ID})
			k.ok(err)
			if list[0] == nil || list[0].Sealed == nil || list[1] != nil {
				k.Error("the other's message lost its content")
			}
		}},
		{"events that a pending webhook needs are not lost to it", func(k *kit) {
			now := k.now
			k.now = now.Add(-72 * time.Hour)
			e := k.endpoint()
			k.story(1)
			rows := k.enqueue(e.ID)
			k.now = now
			for range 5 {
				_, err := k.s.Purge(k.ctx, store.Purge{Workspace: k.ws, Events: now.Add(-24 * time.Hour), Webhooks: now.Add(-24 * time.Hour), Batch: 100})
				k.ok(err)
			}
			list := k.claim(e.ID, "a", now, 10)
			k.same("still claimed", rowIDs(list), rowIDs(rows))
			k.same("with its event", list[0].Event, rows[0].Event)
		}},
		{"small things are purged by their own times", func(k *kit) {
			past, future := k.now.Add(-time.Hour), k.now.Add(time.Hour)
			who, index := k.contact()
			a := k.acceptance(who)
			a.Idempotency = &store.Idempotency{Key: k.id(), Body: k.id(), Created: past.Add(-time.Hour), Expires: past}
			b := k.acceptance(who)
			b.Idempotency = &store.Idempotency{Key: k.id(), Body: k.id(), Created: past, Expires: future}
			k.accept(a, b)
			r := k.reception(who, index)
			r.Forget = past
			k.received(store.Done, r)
			c := k.next(a.Delivery, message.Sent)
			stale, live := k.ref(k.id(), c.Delivery), k.ref(k.id(), c.Delivery)
			stale.Expires = past
			c.Open = []store.OpenRef{stale, live}
			k.apply(store.Done, c)
			aside := &store.Callback{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: past, Sealed: []byte("b")}
			waits := &store.Callback{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: past, Sealed: []byte("b")}
			k.ok(k.s.Keep(k.ctx, []*store.Callback{aside, waits}))
			k.ok(k.s.Defer(k.ctx, aside.ID, "why", time.Time{}))
			k.story(1)
			e := k.endpoint()
			k.enqueue(e.ID)
			list := k.claim(e.ID, "a", k.now, 2)
			k.settle("a", store.WebhookDead, time.Time{}, list[0])
			_, err := k.s.Purge(k.ctx, store.Purge{Webhooks: future, Callbacks: k.now, Idempotency: k.now, Dedup: k.now, Refs: k.now, Batch: 100})
			k.ok(err)
			k.same("ref expired", k.match(k.lookup(nil, stale.Key)).Found, false)
			k.same("ref live", k.match(k.lookup(nil, live.Key)).Found, true)
			again := k.reception(who, index)
			again.Dedup = r.Dedup
			k.received(store.Done, again)
			k.same("key live", k.accepted(b)[0].Verdict, store.Replayed)
			books, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			if books.SetAside != 0 || books.Callbacks != 1 || books.Webhooks[store.WebhookDead] != 0 || books.Webhooks[store.WebhookPending] == 0 {
				k.Errorf("books %+v", books)
			}
		}},
	}
}
