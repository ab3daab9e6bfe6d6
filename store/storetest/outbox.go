package storetest

import (
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func outboxTests() []test {
	return []test{
		{"accept stores the message, its delivery and its events", func(k *kit) {
			who, _ := k.contact()
			a := k.acceptance(who)
			k.accept(a)
			k.same("record", k.load(a.Message.ID), &store.Record{
				Delivery: a.Delivery, Connector: k.connector, Ready: true, Identity: a.Message.Identity, Sealed: a.Message.Sealed,
			})
			list, err := k.s.Messages(k.ctx, k.ws, []message.MessageID{k.id(), a.Message.ID})
			k.ok(err)
			k.same("messages", list, []*store.Stored{nil, {Message: *a.Message, Delivery: a.Delivery}})
			events := k.logged()
			if len(events) != 1 {
				k.Fatalf("%d events, want 1", len(events))
			}
			k.same("event", events[0].Event, a.Events[0])
		}},
		{"a key used again gives the first answer", func(k *kit) {
			who, _ := k.contact()
			first, again, other := k.acceptance(who), k.acceptance(who), k.acceptance(who)
			key, body := k.id(), k.id()
			first.Idempotency = &store.Idempotency{Key: key, Body: body, Answer: []byte("first"), Day: 7, Created: k.now, Expires: k.now.Add(time.Hour)}
			again.Idempotency = &store.Idempotency{Key: key, Body: body, Answer: []byte("again"), Day: 8, Created: k.now, Expires: k.now.Add(time.Hour)}
			other.Idempotency = &store.Idempotency{Key: key, Body: k.id(), Answer: []byte("other"), Day: 8, Created: k.now, Expires: k.now.Add(time.Hour)}
			replay := store.AcceptResult{Verdict: store.Replayed, Message: first.Message.ID, Answer: []byte("first"), Day: 7}
			r := k.accepted(first, again, other) // in flight together
			if r[0].Verdict != store.Done || r[2].Verdict != store.Mismatch {
				k.Fatalf("verdicts %s, %s", r[0].Verdict, r[2].Verdict)
			}
			k.same("together", r[1], replay)
			k.same("later", k.accepted(again)[0], replay)
			if k.load(again.Message.ID) != nil || k.load(other.Message.ID) != nil {
				k.Fatal("a replayed or mismatched message was stored")
			}
			recall := func(key, body [16]byte, now time.Time) store.AcceptResult {
				r, err := k.s.Recall(k.ctx, k.ws, key, body, now)
				k.ok(err)
				return r
			}
			k.same("recall", recall(key, body, k.now), replay)
			k.same("recall of another body", recall(key, k.id(), k.now).Verdict, store.Mismatch)
			k.same("recall of another key", recall(k.id(), body, k.now).Verdict, store.Missing)
			k.same("recall of an expired key", recall(key, body, k.now.Add(2*time.Hour)).Verdict, store.Missing)
			again.Idempotency.Created, again.Idempotency.Expires = k.now.Add(2*time.Hour), k.now.Add(3*time.Hour)
			k.accept(again) // the key had expired
		}},
		{"of many requests with one key one is done", func(k *kit) {
			who, _ := k.contact()
			key, body := k.id(), k.id()
			results := gather(k, 24, func(i int) store.AcceptResult {
				a := k.acceptance(who)
				a.Idempotency = &store.Idempotency{Key: key, Body: body, Answer: a.Message.ID[:], Day: 1, Created: k.now, Expires: k.now.Add(time.Hour)}
				r, err := k.s.Accept(k.ctx, []*store.Acceptance{a})
				if err != nil {
					k.Error(err)
					return store.AcceptResult{}
				}
				if r[0].Verdict == store.Done {
					r[0].Message = a.Message.ID
				}
				return r[0]
			})
			list, err := k.s.List(k.ctx, k.ws, store.Filter{Limit: 100})
			k.ok(err)
			if len(list) != 1 {
				k.Fatalf("%d messages, want 1", len(list))
			}
			done := 0
			for _, r := range results {
				switch {
				case r.Verdict == store.Done:
					done++
				case r.Verdict != store.Replayed || string(r.Answer) != string(list[0].ID[:]):
					k.Errorf("verdict %s, answer of another message", r.Verdict)
				}
				if r.Message != list[0].ID {
					k.Error("another message than the one stored")
				}
			}
			if done != 1 {
				k.Errorf("%d done, want 1", done)
			}
		}},
		{"a new person comes with the message", func(k *kit) {
			index := k.id()
			c := k.newContact(index)
			a := k.acceptance(c.ID)
			a.NewContact = c
			k.accept(a)
			p := k.person(c.ID)
			if len(p.Identities) != 1 || p.Identities[0].Index != index || p.Version < 1 {
				k.Fatalf("person %+v", p)
			}
			taken := k.newContact(k.id(), index)
			b := k.acceptance(taken.ID)
			b.NewContact = taken
			if v := k.accepted(b)[0].Verdict; v != store.IdentityTaken {
				k.Fatalf("verdict %s", v)
			}
			found, err := k.s.Resolve(k.ctx, k.ws, [][16]byte{taken.Identities[0].Index})
			k.ok(err)
			if found[0] != nil || k.load(b.Message.ID) != nil || len(k.logged()) != 1 {
				k.Fatal("something of a refused item was stored")
			}
		}},
		{"of many requests making one person one is done", func(k *kit) {
			index := k.id()
			verdicts := gather(k, 16, func(i int) store.Verdict {
				c := k.newContact(k.id(), index)
				a := k.acceptance(c.ID)
				a.NewContact = c
				r, err := k.s.Accept(k.ctx, []*store.Acceptance{a})
				if err != nil {
					k.Error(err)
					return 0
				}
				return r[0].Verdict
			})
			count := tally(verdicts)
			if count[store.Done] != 1 || count[store.IdentityTaken] != 15 {
				k.Fatalf("verdicts %v", count)
			}
			people, err := k.s.ContactList(k.ctx, k.ws, message.ContactID{}, 100)
			k.ok(err)
			if len(people) != 1 || len(k.logged()) != 1 {
				k.Fatalf("%d people, %d events", len(people), len(k.logged()))
			}
		}},
		{"a message needs a living person", func(k *kit) {
			who, _ := k.contact()
			if _, err := k.s.Erase(k.ctx, k.ws, who, k.now, nil); err != nil {
				k.Fatal(err)
			}
			for _, id := range []message.ContactID{who, k.id()} {
				if v := k.accepted(k.acceptance(id))[0].Verdict; v != store.StaleContact {
					k.Errorf("verdict %s", v)
				}
			}
			if n := len(k.logged()); n != 0 {
				k.Errorf("%d events", n)
			}
		}},
		{"one item's fate is not another's", func(k *kit) {
			who, _ := k.contact()
			gather(k, 40, func(i int) error {
				good, bad := k.acceptance(who), k.acceptance(k.id())
				r, err := k.s.Accept(k.ctx, []*store.Acceptance{bad, good})
				if err != nil {
					k.Error(err)
					return err
				}
				if r[0].Verdict != store.StaleContact || r[1].Verdict != store.Done {
					k.Errorf("verdicts %s, %s", r[0].Verdict, r[1].Verdict)
				}
				lost, moved := k.next(bad.Delivery, message.Sending), k.next(good.Delivery, message.Sending)
				a, err := k.s.Apply(k.ctx, []*store.Change{lost, moved})
				if err != nil {
					k.Error(err)
					return err
				}
				if a[0].Verdict != store.Missing || a[1].Verdict != store.Done {
					k.Errorf("verdicts %s, %s", a[0].Verdict, a[1].Verdict)
				}
				return nil
			})
			if n := len(k.logged()); n != 80 {
				k.Errorf("%d events, want 80", n)
			}
		}},
		{"a change needs the version it was thought on", func(k *kit) {
			a := k.message()
			sending := k.next(a.Delivery, message.Sending)
			sent := k.next(sending.Delivery, message.Sent)
			sent.Open = []store.OpenRef{k.ref(k.id(), sent.Delivery)}
			k.apply(store.Conflict, sent) // too early
			k.apply(store.Done, sending, sent)
			k.apply(store.Conflict, sending) // too late
			r := k.load(a.Message.ID)
			k.same("delivery", r.Delivery, sent.Delivery)
			if r.Ready {
				k.Error("it still waits in the lane")
			}
			if n := len(k.logged()); n != 3 {
				k.Errorf("%d events, want 3: a refused change left one", n)
			}
			k.apply(store.Missing, k.next(k.acceptance(a.Message.Contact).Delivery, message.Sent))
		}},
		{"of many changes on one version one is done", func(k *kit) {
			a := k.message()
			verdicts := gather(k, 16, func(i int) store.Verdict {
				r, err := k.s.Apply(k.ctx, []*store.Change{k.next(a.Delivery, message.Sending)})
				if err != nil {
					k.Error(err)
					return 0
				}
				return r[0].Verdict
			})
			if count := tally(verdicts); count[store.Done] != 1 || count[store.Conflict] != 15 {
				k.Fatalf("verdicts %v", count)
			}
		}},
		{"a guard holds only for the versions seen", func(k *kit) {
			a := k.message()
			config := func() int64 {
				c, err := k.s.Configuration(k.ctx, k.ws)
				k.ok(err)
				return c.Version
			}
			guarded := func(contact, config int64) *store.Change {
				c := k.next(a.Delivery, message.Sending)
				c.Guard = &store.Guard{Contact: contact, Config: config}
				return c
			}
			version := k.person(a.Message.Contact).Version
			before := guarded(version, config())
			k.apply(store.Guarded, guarded(version+1, config()))
			k.apply(store.Guarded, guarded(version, config()+1))
			k.ok(k.s.SetProfile(k.ctx, k.ws, a.Message.Contact, []byte("new"), nil))
			k.apply(store.Guarded, before)
			version = k.person(a.Message.Contact).Version
			before = guarded(version, config())
			k.ok(k.s.SetSettings(k.ctx, k.ws, []byte(`{}`)))
			k.apply(store.Guarded, before)
			if n := len(k.logged()); n != 1 {
				k.Errorf("%d events, want 1", n)
			}
			k.apply(store.Done, guarded(version, config()))
		}},
		{"an acceptance is guarded and fenced like a change", func(k *kit) {
			leases, err := k.s.Lease(k.ctx, "a", []message.ConnectorID{k.connector}, time.Minute)
			k.ok(err)
			token := leases[0].Token
			c, err := k.s.Configuration(k.ctx, k.ws)
			k.ok(err)
			who := k.message().Message.Contact
			version, before := k.person(who).Version, len(k.logged())
			accept := func(want store.Verdict, change func(*store.Acceptance)) {
				k.Helper()
				for _, fresh := range []bool{false, true} {
					a := k.acceptance(who)
					if fresh {
						a.NewContact = k.newContact(k.id())
						a.Message.Contact, a.Delivery.Contact = a.NewContact.ID, a.NewContact.ID
					}
					a.Guard = &store.Guard{Contact: version, Config: c.Version}
					a.Fence = &store.Fence{Connector: k.connector, Token: token}
					if change(a); fresh && a.Guard.Contact != version {
						continue // of a new contact there is no version yet
					}
					r, err := k.s.Accept(k.ctx, []*store.Acceptance{a})
					k.ok(err)
					if r[0].Verdict != want {
						k.Errorf("new contact %v: %v, want %v", fresh, r[0].Verdict, want)
					}
					stored, err := k.s.Load(k.ctx, k.ws, []message.MessageID{a.Message.ID})
					k.ok(err)
					if there := stored[0] != nil; there != (want == store.Done) {
						k.Errorf("new contact %v: stored %v after %v", fresh, there, want)
					}
				}
			}
			accept(store.Guarded, func(a *store.Acceptance) { a.Guard.Contact++ })
			accept(store.Guarded, func(a *store.Acceptance) { a.Guard.Config++ })
			accept(store.Fenced, func(a *store.Acceptance) { a.Fence.Token++ })
			accept(store.Fenced, func(a *store.Acceptance) { a.Fence.Connector[0]++ })
			if n := len(k.logged()); n != before {
				k.Errorf("%d events, want %d: a refused acceptance left one", n, before)
			}
			accept(store.Done, func(*store.Acceptance) {})
			k.ok(k.s.SetProfile(k.ctx, k.ws, who, []byte("new"), nil))
			a := k.acceptance(who)
			a.Guard = &store.Guard{Contact: version, Config: c.Version}
			r, err := k.s.Accept(k.ctx, []*store.Acceptance{a})
			k.ok(err)
			if r[0].Verdict != store.Guarded {
				k.Errorf("after the person changed: %v", r[0].Verdict)
			}
			k.ok(k.s.Release(k.ctx, "a", []message.ConnectorID{k.connector}))
			version = k.person(who).Version
			accept(store.Fenced, func(*store.Acceptance) {})
		}},
		{"a fence holds only while its lease is held", func(k *kit) {
			a := k.message()
			fenced := func(c message.ConnectorID, token int64) *store.Change {
				x := k.next(a.Delivery, message.Sending)
				x.Fence = &store.Fence{Connector: c, Token: token}
				return x
			}
			k.apply(store.Fenced, fenced(k.connector, 1)) // never leased
			leases, err := k.s.Lease(k.ctx, "a", []message.ConnectorID{k.connector}, time.Minute)
			k.ok(err)
			token := leases[0].Token
			k.apply(store.Fenced, fenced(k.connector, token+1))
			k.apply(store.Fenced, fenced(k.connector, token-1))
			k.ok(k.s.Release(k.ctx, "a", []message.ConnectorID{k.connector}))
			k.apply(store.Fenced, fenced(k.connector, token))
			leases, err = k.s.Lease(k.ctx, "b", []message.ConnectorID{k.connector}, time.Minute)
			k.ok(err)
			k.apply(store.Fenced, fenced(k.connector, token))
			k.apply(store.Done, fenced(k.connector, leases[0].Token))
		}},
	}
}

// gather runs f on n goroutines at once and collects what they give.
func gather[T any](k *kit, n int, f func(i int) T) []T {
	k.Helper()
	out := make([]T, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			out[i] = f(i)
		}()
	}
	close(start)
	wg.Wait()
	return out
}

func tally(verdicts []store.Verdict) map[store.Verdict]int {
	count := make(map[store.Verdict]int)
	for _, v := range verdicts {
		count[v]++
	}
	return count
}
