package storetest

import (
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func contactsTests() []test {
	return []test{
		{"a contact is read as it was made", func(k *kit) {
			c := k.newContact(k.id())
			e := k.event("contact.created", message.MessageID{}, c.ID)
			k.ok(k.s.CreateContact(k.ctx, c, []store.Event{e}))
			p := k.person(c.ID)
			want := &store.Person{ID: c.ID, Workspace: k.ws, Version: p.Version, Key: c.Key, KeyVersion: 1, CreatedAt: k.now, Profile: c.Profile, Identities: c.Identities}
			k.same("person", p, want)
			found, err := k.s.Resolve(k.ctx, k.ws, [][16]byte{k.id(), c.Identities[0].Index})
			k.ok(err)
			k.same("resolved", found, []*store.Person{nil, want})
			k.same("event", k.logged()[0].Event, e)
			if err := k.s.CreateContact(k.ctx, k.newContact(k.id(), c.Identities[0].Index), nil); !errors.Is(err, store.ErrExists) {
				k.Errorf("identity taken: %v", err)
			}
			if _, err := k.s.Contact(k.ctx, k.ws, k.id()); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("unknown contact: %v", err)
			}
		}},
		{"contacts are listed newest first", func(k *kit) {
			var want []message.ContactID
			for range 5 {
				id, _ := k.contact()
				want = append([]message.ContactID{id}, want...)
			}
			_, err := k.s.Erase(k.ctx, k.ws, want[1], k.now, nil)
			k.ok(err)
			want = append(want[:1], want[2:]...)
			var got []message.ContactID
			var before message.ContactID
			for {
				list, err := k.s.ContactList(k.ctx, k.ws, before, 3)
				k.ok(err)
				if len(list) == 0 {
					break
				}
				for _, p := range list {
					got, before = append(got, p.ID), p.ID
				}
			}
			k.same("contacts", got, want)
		}},
		{"every change of a contact raises its version", func(k *kit) {
			who, index := k.contact()
			other := store.Identity{Index: k.id(), Channel: message.WhatsApp, Sealed: []byte("other"), CreatedAt: k.now}
			last := k.person(who).Version
			for _, c := range []struct {
				name string
				err  error
			}{
				{"profile", k.s.SetProfile(k.ctx, k.ws, who, []byte("new"), []store.Event{k.event("contact.updated", message.MessageID{}, who)})},
				{"identity", k.s.AddIdentity(k.ctx, k.ws, who, other, nil)},
				{"window", k.s.OpenWindow(k.ctx, k.ws, who, store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedAt: k.now, ClosesAt: k.now.Add(time.Hour)}, nil)},
				{"close", k.s.CloseWindow(k.ctx, k.ws, who, index, k.sender, k.now, nil)},
				{"suppress", k.s.Suppress(k.ctx, store.Suppression{Workspace: k.ws, Index: index, Scope: "all", Reason: "api", At: k.now}, nil)},
				{"allow", k.s.Allow(k.ctx, store.Suppression{Workspace: k.ws, Index: index, Scope: "all"}, nil)},
				{"removal", k.s.RemoveIdentity(k.ctx, k.ws, who, other.Index, nil)},
			} {
				if c.err != nil {
					k.Errorf("%s: %v", c.name, c.err)
				}
			}
			p := k.person(who)
			if p.Version < last+7 {
				k.Errorf("version %d, seven changes after %d", p.Version, last)
			}
			if string(p.Profile) != "new" || len(p.Identities) != 1 || len(p.Suppressed) != 0 {
				k.Errorf("person %+v", p)
			}
		}},
		{"an identity belongs to one person", func(k *kit) {
			a, index := k.contact()
			b, _ := k.contact()
			taken := store.Identity{Index: index, Channel: message.Phone, CreatedAt: k.now}
			if err := k.s.AddIdentity(k.ctx, k.ws, b, taken, nil); !errors.Is(err, store.ErrExists) {
				k.Errorf("taken: %v", err)
			}
			if err := k.s.RemoveIdentity(k.ctx, k.ws, b, index, nil); err != nil && !errors.Is(err, store.ErrNotFound) {
				k.Errorf("removal of another's: %v", err)
			}
			found, err := k.s.Resolve(k.ctx, k.ws, [][16]byte{index})
			k.ok(err)
			if found[0] == nil || found[0].ID != a {
				k.Error("it changed hands")
			}
			k.ok(k.s.RemoveIdentity(k.ctx, k.ws, a, index, nil))
			k.ok(k.s.AddIdentity(k.ctx, k.ws, b, taken, nil))
		}},
		{"a window is renewed, never shortened, and closed at a word", func(k *kit) {
			who, index := k.contact()
			w := store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedBy: k.id(), OpenedAt: k.now, ClosesAt: k.now.Add(24 * time.Hour)}
			k.ok(k.s.OpenWindow(k.ctx, k.ws, who, w, nil))
			short := w
			short.ClosesAt = k.now.Add(time.Hour)
			k.ok(k.s.OpenWindow(k.ctx, k.ws, who, short, nil))
			k.same("never shortened", k.person(who).Windows, []store.Window{w})
			long := w
			long.OpenedBy, long.ClosesAt = k.id(), k.now.Add(48*time.Hour)
			k.ok(k.s.OpenWindow(k.ctx, k.ws, who, long, nil))
			k.same("renewed", k.person(who).Windows, []store.Window{long})
			k.ok(k.s.CloseWindow(k.ctx, k.ws, who, index, k.id(), k.now, nil))
			k.same("another sender's stays", k.person(who).Windows, []store.Window{long})
			k.ok(k.s.CloseWindow(k.ctx, k.ws, who, index, k.sender, k.now.Add(time.Minute), nil))
			for _, w := range k.person(who).Windows {
				if w.ClosesAt.After(k.now.Add(time.Minute)) {
					k.Errorf("still open until %s", w.ClosesAt)
				}
			}
		}},
		{"a suppression needs no contact and outlives one", func(k *kit) {
			index := k.id()
			p := store.Suppression{Workspace: k.ws, Index: index, Scope: "marketing", Reason: "api", At: k.now}
			k.ok(k.s.Suppress(k.ctx, p, nil))
			found, err := k.s.Resolve(k.ctx, k.ws, [][16]byte{index})
			k.ok(err)
			if found[0] == nil || !found[0].ID.IsZero() {
				k.Fatalf("an index without contact: %+v", found[0])
			}
			k.same("suppressed", found[0].Suppressed, []store.Suppression{p})
			c := k.newContact(index)
			k.ok(k.s.CreateContact(k.ctx, c, nil))
			k.same("of the person", k.person(c.ID).Suppressed, []store.Suppression{p})
			_, err = k.s.Erase(k.ctx, k.ws, c.ID, k.now, nil)
			k.ok(err)
			found, err = k.s.Resolve(k.ctx, k.ws, [][16]byte{index})
			k.ok(err)
			if found[0] == nil || len(found[0].Suppressed) != 1 {
				k.Error("erasure took the suppression")
			}
		}},
		{"what did not reach an identity is remembered and forgotten", func(k *kit) {
			who, index := k.contact()
			r := store.Reach{Index: index, Channel: message.WhatsApp, Code: "131026", Until: k.now.Add(time.Hour)}
			k.ok(k.s.Remember(k.ctx, k.ws, index, r))
			k.same("reach", k.person(who).Reach, []store.Reach{r})
			r.Until = time.Time{}
			k.ok(k.s.Remember(k.ctx, k.ws, index, r))
			k.same("forgotten", k.person(who).Reach, []store.Reach(nil))
		}},
		{"erasing destroys all that is personal and nothing else", func(k *kit) {
			who, index := k.contact()
			stays, _ := k.contact()
			a, b := k.acceptance(who), k.acceptance(stays)
			a.Events[0].Sealed, b.Events[0].Sealed = []byte("personal"), []byte("personal")
			k.accept(a, b)
			r := k.reception(who, index)
			r.Window = &store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedBy: r.Message.ID, OpenedAt: k.now, ClosesAt: k.now.Add(time.Hour)}
			k.received(store.Done, r)
			k.ok(k.s.Remember(k.ctx, k.ws, index, store.Reach{Index: index, Channel: message.SMS, Code: "x", Until: k.now.Add(time.Hour)}))
			before := k.person(who).Version
			v, err := k.s.Erase(k.ctx, k.ws, who, k.now, []store.Event{k.event("contact.erased", message.MessageID{}, who)})
			k.ok(err)
			k.same("verdict", v, store.Done)
			p := k.person(who)
			if p.ErasedAt.IsZero() || p.Key != nil || p.Profile != nil || len(p.Identities)+len(p.Windows)+len(p.Reach) != 0 || p.Version <= before {
				k.Errorf("left of the person: %+v", p)
			}
			found, err := k.s.Resolve(k.ctx, k.ws, [][16]byte{index})
			k.ok(err)
			if found[0] != nil {
				k.Error("the index still resolves")
			}
			list, err := k.s.Messages(k.ctx, k.ws, []message.MessageID{a.Message.ID, r.Message.ID, b.Message.ID})
			k.ok(err)
			if list[0] == nil || list[0].Sealed != nil || list[0].Delivery == nil || list[1] == nil || list[1].Sealed != nil {
				k.Error("messages must stay without content")
			}
			if list[2].Sealed == nil {
				k.Error("another person's content is gone")
			}
			for _, e := range k.logged() {
				if (e.Contact == who) == (e.Sealed != nil) {
					k.Errorf("event %s of contact %s: sealed part %q", e.Type, e.Contact, e.Sealed)
				}
			}
			v, err = k.s.Erase(k.ctx, k.ws, who, k.now, nil)
			k.ok(err)
			k.same("twice", v, store.Missing)
			if err := k.s.SetProfile(k.ctx, k.ws, who, []byte("x"), nil); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("profile of an erased contact: %v", err)
			}
		}},
		{"keys are wrapped anew under a younger version", func(k *kit) {
			a, _ := k.contact()
			b, _ := k.contact()
			erased, _ := k.contact()
			_, err := k.s.Erase(k.ctx, k.ws, erased, k.now, nil)
			k.ok(err)
			list, err := k.s.RewrapContacts(k.ctx, k.ws, 2, 10)
			k.ok(err)
			if len(list) != 2 {
				k.Fatalf("%d contacts to rewrap, want 2", len(list))
			}
			k.ok(k.s.SetContactKeys(k.ctx, k.ws, []store.ContactKey{{ID: a, Key: []byte("anew"), Version: 2}, {ID: erased, Key: []byte("anew"), Version: 2}}))
			list, err = k.s.RewrapContacts(k.ctx, k.ws, 2, 10)
			k.ok(err)
			if len(list) != 1 || list[0].ID != b {
				k.Error("the wrong contacts are left to rewrap")
			}
			if p := k.person(a); string(p.Key) != "anew" || p.KeyVersion != 2 {
				k.Errorf("key %q of version %d", p.Key, p.KeyVersion)
			}
			if k.person(erased).Key != nil {
				k.Error("an erased contact has a key again")
			}
		}},
	}
}
