package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func (k *kit) parked(keys ...message.RefKey) *store.Parked {
	return &store.Parked{ID: k.id(), Workspace: k.ws, Connector: k.connector, Keys: keys, At: k.now, Expires: k.now.Add(time.Hour), Day: 3, Sealed: []byte("receipt")}
}

func (k *kit) lookup(park *store.Parked, keys ...message.RefKey) *store.Lookup {
	return &store.Lookup{Workspace: k.ws, Connector: k.connector, Keys: keys, At: k.now, Park: park}
}

func (k *kit) match(l *store.Lookup) store.Matched {
	k.Helper()
	m, err := k.s.Match(k.ctx, []*store.Lookup{l})
	k.ok(err)
	return m[0]
}

// open moves a new message on with a ref open under key.
func (k *kit) open(key message.RefKey) (store.OpenRef, []store.Parked) {
	k.Helper()
	c := k.next(k.message().Delivery, message.Sending)
	r := k.ref(key, c.Delivery)
	c.Open = []store.OpenRef{r}
	a := k.applied(c)[0]
	if a.Verdict != store.Done {
		k.Fatal(a.Verdict)
	}
	return r, a.Parked
}

func inboxTests() []test {
	return []test{
		{"a callback is kept until it is done", func(k *kit) {
			old := &store.Callback{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: k.now.Add(-time.Minute), Day: 4, Sealed: []byte("body")}
			older := &store.Callback{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: k.now.Add(-time.Hour), Day: 4, Sealed: []byte("body")}
			young := &store.Callback{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: k.now, Day: 4, Sealed: []byte("body")}
			k.ok(k.s.Keep(k.ctx, []*store.Callback{old, older, young}))
			kept := func() []*store.Callback {
				k.Helper()
				list, err := k.s.Kept(k.ctx, k.now, 100)
				k.ok(err)
				return list
			}
			k.same("oldest first", kept(), []*store.Callback{older, old})
			k.ok(k.s.Finish(k.ctx, []message.EventID{older.ID, young.ID}))
			k.same("one done", kept(), []*store.Callback{old})
			k.ok(k.s.Defer(k.ctx, old.ID, "why", k.now.Add(time.Hour)))
			k.same("not before its time", kept(), []*store.Callback(nil))
			k.ok(k.s.Defer(k.ctx, old.ID, "why", k.now.Add(-time.Second)))
			old.Tries = 2
			k.same("tries are counted", kept(), []*store.Callback{old})
			k.ok(k.s.Defer(k.ctx, old.ID, "why", time.Time{}))
			k.same("set aside", kept(), []*store.Callback(nil))
			b, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			if b.SetAside != 1 || b.Callbacks != 0 {
				k.Errorf("books: %d set aside, %d kept", b.SetAside, b.Callbacks)
			}
			if err := k.s.Defer(k.ctx, k.id(), "why", k.now); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("defer of nothing: %v", err)
			}
		}},
		{"a receipt finds its ref by any spelling, within its connector", func(k *kit) {
			key := message.RefKey(k.id())
			r, _ := k.open(key)
			k.same("found", k.match(k.lookup(nil, k.id(), key)), store.Matched{Found: true, Ref: r})
			other := k.lookup(nil, key)
			other.Connector = k.id()
			k.same("another connector", k.match(other), store.Matched{})
			k.same("another key", k.match(k.lookup(nil, k.id())), store.Matched{})
		}},
		{"a closed ref is found no more", func(k *kit) {
			key := message.RefKey(k.id())
			r, _ := k.open(key)
			twin, _ := k.open(key)
			d := k.load(r.Message).Delivery
			c := k.next(d, message.Delivered)
			c.Close = []store.RefName{r.RefName}
			k.apply(store.Done, c)
			k.same("the other message's ref stays", k.match(k.lookup(nil, key)), store.Matched{Found: true, Ref: twin})
			c = k.next(k.load(twin.Message).Delivery, message.Delivered)
			c.Close = []store.RefName{twin.RefName}
			k.apply(store.Done, c)
			k.same("gone", k.match(k.lookup(nil, key)), store.Matched{})
		}},
		{"of refs under a reused id the time chooses", func(k *kit) {
			key := message.RefKey(k.id())
			begin := k.now
			first, _ := k.open(key)
			k.now = begin.Add(24 * time.Hour)
			second, _ := k.open(key)
			at := func(t time.Time) *store.Lookup {
				l := k.lookup(nil, key)
				l.At = t
				return l
			}
			k.same("after the first", k.match(at(begin.Add(time.Hour))).Ref, first)
			k.same("after the second", k.match(at(begin.Add(25*time.Hour))).Ref, second)
		}},
		{"a receipt that came first is parked, given with the ref and stays until it is joined", func(k *kit) {
			key := message.RefKey(k.id())
			p := k.parked(k.id(), key)
			l := k.lookup(p, p.Keys...)
			k.same("not found", k.match(l), store.Matched{})
			_, parked := k.open(k.id())
			k.same("another ref takes nothing", parked, []store.Parked(nil))
			_, parked = k.open(key)
			k.same("given", parked, []store.Parked{*p})
			found, lost, err := k.s.Rematch(k.ctx, k.now, 10)
			k.ok(err)
			if len(found) != 1 || len(lost) != 0 || found[0].Parked.ID != p.ID || !found[0].Match.Found {
				k.Fatalf("rematch: %d found, %d lost", len(found), len(lost))
			}
			k.ok(k.s.Unpark(k.ctx, k.id(), []message.EventID{p.ID})) // another tenant's word
			_, parked = k.open(key)
			k.same("given again", parked, []store.Parked{*p})
			k.ok(k.s.Unpark(k.ctx, k.ws, []message.EventID{p.ID, k.id()}))
			_, parked = k.open(key)
			k.same("joined", parked, []store.Parked(nil))
			b, err := k.s.Books(k.ctx, k.ws)
			k.ok(err)
			if b.Parked != 0 || b.OpenRefs != 4 {
				k.Errorf("books: %d parked, %d refs", b.Parked, b.OpenRefs)
			}
		}},
		{"by addresses alone a receipt settles only what fits once", func(k *kit) {
			key := message.RefKey(k.id())
			infer := func() *store.Lookup {
				l := k.lookup(nil, k.id())
				l.Inferred = key
				return l
			}
			open := func() store.OpenRef {
				c := k.next(k.message().Delivery, message.Sending)
				r := k.ref(key, c.Delivery)
				r.Inferred = true
				c.Open = []store.OpenRef{r}
				k.apply(store.Done, c)
				return r
			}
			k.same("none", k.match(infer()), store.Matched{})
			r := open()
			k.same("one", k.match(infer()), store.Matched{Found: true, Ref: r, Inferred: true})
			k.same("not by id", k.match(k.lookup(nil, key)), store.Matched{})
			open()
			k.same("two", k.match(infer()), store.Matched{})
		}},
		{"by addresses a receipt fits only attempts of its time", func(k *kit) {
			key := message.RefKey(k.id())
			begin := k.now
			at := func(d time.Duration) *store.Lookup {
				l := k.lookup(nil, k.id())
				l.Inferred, l.At = key, begin.Add(d)
				return l
			}
			open := func() store.Applied {
				c := k.next(k.message().Delivery, message.Sending)
				r := k.ref(key, c.Delivery)
				r.Inferred = true
				c.Open = []store.OpenRef{r}
				return k.applied(c)[0]
			}
			park := func(d time.Duration) message.EventID {
				p := k.parked(k.id())
				p.Inferred, p.At, p.Expires = key, begin.Add(d), begin.Add(48*time.Hour)
				l := k.lookup(p, p.Keys...)
				l.Inferred, l.At = key, p.At
				k.same("parked", k.match(l).Found, false)
				return p.ID
			}
			early, fits, late := park(-61*time.Second), park(-59*time.Second), park(61*time.Minute)
			given := func(list []store.Parked) (out []message.EventID) {
				for _, p := range list {
					out = append(out, p.ID)
				}
				return out
			}
			k.same("given with the ref", given(open().Parked), []message.EventID{fits})
			k.same("too early", k.match(at(-61*time.Second)).Found, false)
			k.same("just in time", k.match(at(-59*time.Second)).Found, true)
			k.same("late", k.match(at(time.Hour)).Found, true)
			k.same("too late", k.match(at(time.Hour+time.Second)).Found, false)
			rematch := func() (out []message.EventID) {
				found, lost, err := k.s.Rematch(k.ctx, begin, 10)
				k.ok(err)
				k.same("lost", lost, []store.Parked(nil))
				for _, f := range found {
					out = append(out, f.Parked.ID)
				}
				return out
			}
			k.same("rematched", rematch(), []message.EventID{fits})
			k.now = begin.Add(30 * time.Minute)
			k.same("the second attempt takes what fits it alone", given(open().Parked), []message.EventID{late})
			k.same("the first still fits alone", k.match(at(time.Minute)).Found, true)
			k.same("two fit", k.match(at(45*time.Minute)).Found, false)
			k.same("the second alone", k.match(at(61*time.Minute)).Found, true)
			k.ok(k.s.Unpark(k.ctx, k.ws, []message.EventID{early, fits, late}))
		}},
		{"parked receipts without a ref are lost when they expire", func(k *kit) {
			p := k.parked(k.id())
			p.Expires = k.now.Add(time.Minute)
			k.match(k.lookup(p, p.Keys...))
			found, lost, err := k.s.Rematch(k.ctx, k.now, 100)
			k.ok(err)
			if len(found)+len(lost) != 0 {
				k.Fatalf("%d found, %d lost", len(found), len(lost))
			}
			found, lost, err = k.s.Rematch(k.ctx, k.now.Add(time.Hour), 100)
			k.ok(err)
			k.same("found", found, []store.Rematched(nil))
			k.same("lost", lost, []store.Parked{*p})
			_, lost, err = k.s.Rematch(k.ctx, k.now.Add(time.Hour), 100)
			k.ok(err)
			k.same("lost once", lost, []store.Parked(nil))
		}},
		{"receipts and refs that come at one moment find each other", func(k *kit) {
			const n = 60
			keys := make([]message.RefKey, n)
			changes := make([]*store.Change, n)
			for i := range keys {
				keys[i] = k.id()
				changes[i] = k.next(k.message().Delivery, message.Sending)
				changes[i].Open = []store.OpenRef{k.ref(keys[i], changes[i].Delivery)}
			}
			var mu sync.Mutex
			seen := make(map[message.RefKey]int)
			done := make(map[message.EventID]bool)
			gather(k, 2*n, func(i int) error {
				key := keys[i/2]
				if i%2 == 0 {
					m, err := k.s.Match(k.ctx, []*store.Lookup{k.lookup(k.parked(key), key)})
					if err != nil {
						k.Error(err)
					} else if m[0].Found {
						mu.Lock()
						seen[key]++
						mu.Unlock()
					}
					return err
				}
				a, err := k.s.Apply(k.ctx, []*store.Change{changes[i/2]})
				if err != nil {
					k.Error(err)
					return err
				}
				mu.Lock()
				for _, p := range a[0].Parked {
					seen[key]++
					done[p.ID] = true
				}
				mu.Unlock()
				return nil
			})
			found, lost, err := k.s.Rematch(k.ctx, k.now, 1000)
			k.ok(err)
			for _, f := range found {
				if !done[f.Parked.ID] {
					seen[f.Parked.Keys[0]]++
				}
			}
			if len(lost) != 0 {
				k.Errorf("%d lost", len(lost))
			}
			for i, key := range keys {
				if seen[key] != 1 {
					k.Errorf("receipt %d was found %d times", i, seen[key])
				}
			}
		}},
	}
}
