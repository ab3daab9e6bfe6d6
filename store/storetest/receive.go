package storetest

import (
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func (k *kit) reception(who message.ContactID, identity [16]byte) *store.Reception {
	id := message.MessageID(k.id())
	e := k.event("message.received", id, who)
	e.Sealed = []byte("personal")
	return &store.Reception{
		Dedup: k.id(), Forget: k.now.Add(7 * 24 * time.Hour),
		Message: &store.Message{
			ID: id, Workspace: k.ws, Contact: who, Direction: store.MO, Channel: message.WhatsApp, Sender: k.sender,
			Identity: identity, CreatedAt: k.now, ProviderAt: k.now.Add(-time.Second), Sealed: []byte("hello"),
		},
		Events: []store.Event{e},
	}
}

func (k *kit) received(want store.Verdict, r *store.Reception) {
	k.Helper()
	v, err := k.s.Receive(k.ctx, []*store.Reception{r})
	k.ok(err)
	if v[0] != want {
		k.Fatalf("verdict %s, want %s", v[0], want)
	}
}

func receiveTests() []test {
	return []test{
		{"an inbound message opens a window and raises the version", func(k *kit) {
			who, index := k.contact()
			before := k.person(who).Version
			r := k.reception(who, index)
			r.Window = &store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedBy: r.Message.ID, OpenedAt: k.now, ClosesAt: k.now.Add(24 * time.Hour)}
			r.Identities = []store.Identity{{Index: k.id(), Channel: message.WhatsApp, Sealed: []byte("scoped id"), CreatedAt: k.now}}
			k.received(store.Done, r)
			p := k.person(who)
			k.same("window", p.Windows, []store.Window{*r.Window})
			if p.Version <= before || len(p.Identities) != 2 {
				k.Errorf("version %d after %d, %d identities", p.Version, before, len(p.Identities))
			}
			late := k.reception(who, index)
			late.Window = &store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedBy: late.Message.ID, OpenedAt: k.now.Add(-time.Hour), ClosesAt: k.now.Add(23 * time.Hour)}
			k.received(store.Done, late)
			if got := k.person(who).Windows[0].ClosesAt; !got.Equal(r.Window.ClosesAt) {
				k.Errorf("a late message shortened the window to %s", got)
			}
			events := k.logged()
			k.same("event", events[0].Event, r.Events[0])
		}},
		{"an inbound event is stored once", func(k *kit) {
			who, index := k.contact()
			r := k.reception(who, index)
			verdicts := gather(k, 12, func(i int) store.Verdict {
				again := k.reception(who, index)
				again.Dedup = r.Dedup
				v, err := k.s.Receive(k.ctx, []*store.Reception{again})
				if err != nil {
					k.Error(err)
					return 0
				}
				return v[0]
			})
			if count := tally(verdicts); count[store.Done] != 1 || count[store.Duplicate] != 11 {
				k.Fatalf("verdicts %v", count)
			}
			if n := len(k.logged()); n != 1 {
				k.Errorf("%d events", n)
			}
		}},
		{"a new person comes with the first message", func(k *kit) {
			index := k.id()
			c := k.newContact(index)
			r := k.reception(c.ID, index)
			r.NewContact = c
			k.received(store.Done, r)
			k.person(c.ID)
			again := k.newContact(index)
			r = k.reception(again.ID, index)
			r.NewContact = again
			k.received(store.IdentityTaken, r)
			who, _ := k.contact()
			r = k.reception(who, index)
			r.Identities = []store.Identity{{Index: index, Channel: message.Phone, CreatedAt: k.now}}
			k.received(store.IdentityTaken, r)
			if n := len(k.logged()); n != 1 {
				k.Errorf("%d events", n)
			}
		}},
		{"an inbound message needs a living person", func(k *kit) {
			who, index := k.contact()
			_, err := k.s.Erase(k.ctx, k.ws, who, k.now, nil)
			k.ok(err)
			r := k.reception(who, index)
			k.received(store.StaleContact, r)
			c := k.newContact(index)
			r.NewContact, r.Message.Contact = c, c.ID // resolved again
			k.received(store.Done, r)
		}},
		{"consent words are kept with the message", func(k *kit) {
			who, index := k.contact()
			stop := k.reception(who, index)
			stop.Suppress = []store.Suppression{{Workspace: k.ws, Index: index, Scope: "marketing", Reason: "keyword:STOP", At: k.now}}
			k.received(store.Done, stop)
			p := k.person(who)
			k.same("suppressed", p.Suppressed, stop.Suppress)
			start := k.reception(who, index)
			start.Allow = []store.Suppression{{Workspace: k.ws, Index: index, Scope: "marketing"}}
			k.received(store.Done, start)
			after := k.person(who)
			k.same("allowed", after.Suppressed, []store.Suppression(nil))
			if after.Version <= p.Version {
				k.Error("the version did not rise")
			}
		}},
	}
}
