package storetest

import (
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func ids(list []*store.Record) (out []message.MessageID) {
	for _, r := range list {
		out = append(out, r.Delivery.ID)
	}
	return out
}

func storedIDs(list []*store.Stored) (out []message.MessageID) {
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

func outboxReadTests() []test {
	return []test{
		{"a lane is read priority by priority, from a place on", func(k *kit) {
			who, _ := k.contact()
			at := make(map[message.Purpose][]message.MessageID)
			for _, p := range []message.Purpose{message.Marketing, message.Authentication, message.Utility, message.Authentication, message.Marketing, message.Marketing} {
				a := k.acceptance(who)
				a.Delivery.Purpose, a.Message.Purpose = p, p
				k.accept(a)
				at[p] = append(at[p], a.Message.ID)
			}
			elsewhere := k.acceptance(who)
			elsewhere.Connector = k.id()
			resting := k.acceptance(who)
			resting.Ready = false
			k.accept(elsewhere, resting)
			for _, p := range message.Purposes {
				var read []message.MessageID
				place := store.Place{Priority: p.Priority()}
				for {
					list, err := k.s.Ready(k.ctx, k.connector, place, 2)
					k.ok(err)
					if len(list) == 0 {
						break
					}
					read = append(read, ids(list)...)
					place.ID = list[len(list)-1].Delivery.ID
				}
				k.same(string(p), read, at[p])
			}
		}},
		{"what is due is read by those who own it, earliest first", func(k *kit) {
			who, _ := k.contact()
			mine, theirs := message.ConnectorID(k.id()), message.ConnectorID(k.id())
			put := func(c message.ConnectorID, due time.Time) message.MessageID {
				a := k.acceptance(who)
				a.Connector, a.Delivery.Due, a.Ready = c, due, false
				k.accept(a)
				return a.Message.ID
			}
			late := put(mine, k.now)
			early := put(mine, k.now.Add(-time.Minute))
			nobodys := put(message.ConnectorID{}, k.now.Add(-time.Second))
			put(theirs, k.now.Add(-time.Hour))
			put(mine, k.now.Add(time.Second))
			put(mine, time.Time{})
			owned := []message.ConnectorID{mine, k.id()}
			list, err := k.s.Due(k.ctx, owned, k.now, 100)
			k.ok(err)
			k.same("due", ids(list), []message.MessageID{early, nobodys, late})
			list, err = k.s.Due(k.ctx, owned, k.now, 1)
			k.ok(err)
			k.same("limit", ids(list), []message.MessageID{early})
			list, err = k.s.Due(k.ctx, nil, k.now, 100)
			k.ok(err)
			k.same("owning none", ids(list), []message.MessageID{nobodys})
			next, err := k.s.NextDue(k.ctx, owned)
			k.ok(err)
			k.same("next", next, k.now.Add(-time.Minute))
			next, err = k.s.NextDue(k.ctx, []message.ConnectorID{theirs})
			k.ok(err)
			k.same("next of theirs", next, k.now.Add(-time.Hour))
		}},
		{"nothing is due in an empty store", func(k *kit) {
			next, err := k.s.NextDue(k.ctx, []message.ConnectorID{k.connector})
			k.ok(err)
			if !next.IsZero() {
				k.Fatal(next)
			}
		}},
		{"what was being sent is found again", func(k *kit) {
			var want []message.MessageID
			for i := range 6 {
				a := k.message()
				if i == 1 {
					continue
				}
				c := k.next(a.Delivery, message.Sending)
				c.Delivery.Steps[0].State = message.StepSending
				switch i {
				case 3: // a second step, while the first was sent already
					first := c.Delivery.Steps[0]
					first.State = message.StepSent
					c.Delivery.State, c.Delivery.Current = message.Sent, 1
					c.Delivery.Steps = append([]message.Step{first}, c.Delivery.Steps...)
				case 4: // nothing is on its way: it is held
					c.Delivery.Steps[0].State = message.StepHeld
				}
				switch {
				case i == 2:
					c.Connector = k.id()
				case i != 4:
					want = append(want, a.Message.ID)
				}
				k.apply(store.Done, c)
			}
			list, err := k.s.Attempting(k.ctx, k.connector, message.MessageID{}, 2)
			k.ok(err)
			k.same("first page", ids(list), want[:2])
			list, err = k.s.Attempting(k.ctx, k.connector, want[1], 2)
			k.ok(err)
			k.same("second page", ids(list), want[2:])
		}},
		{"a list is newest first and narrowed by its filter", func(k *kit) {
			who, _ := k.contact()
			other, _ := k.contact()
			var all []message.MessageID
			for i := range 4 {
				k.now = k.now.Add(time.Minute)
				a := k.acceptance(who)
				if i == 2 {
					a = k.acceptance(other)
				}
				k.accept(a)
				all = append([]message.MessageID{a.Message.ID}, all...)
				if i == 0 {
					k.apply(store.Done, k.next(a.Delivery, message.Failed))
				}
			}
			mo := &store.Message{
				ID: k.id(), Workspace: k.ws, Contact: who, Direction: store.MO, Channel: message.SMS, Sender: k.sender, Identity: k.id(),
				CreatedAt: k.now, ProviderAt: k.now.Add(-time.Second), Sealed: []byte("hello"),
			}
			v, err := k.s.Receive(k.ctx, []*store.Reception{{Dedup: k.id(), Forget: k.now.Add(time.Hour), Message: mo}})
			k.ok(err)
			k.same("received", v, []store.Verdict{store.Done})
			all = append([]message.MessageID{mo.ID}, all...)
			for _, c := range []struct {
				name string
				f    store.Filter
				want []message.MessageID
			}{
				{"all", store.Filter{}, all},
				{"limit", store.Filter{Limit: 2}, all[:2]},
				{"before", store.Filter{Before: all[1]}, all[2:]},
				{"contact", store.Filter{Contact: other}, all[2:3]},
				{"state", store.Filter{State: message.Failed}, all[4:]},
				{"direction", store.Filter{Direction: store.MO}, all[:1]},
				{"contact and direction", store.Filter{Contact: who, Direction: store.MT}, []message.MessageID{all[1], all[3], all[4]}},
				{"since", store.Filter{Since: k.now}, all[:2]},
				{"until", store.Filter{Until: k.now.Add(-2 * time.Minute)}, all[4:]},
			} {
				if c.f.Limit == 0 {
					c.f.Limit = 100
				}
				list, err := k.s.List(k.ctx, k.ws, c.f)
				k.ok(err)
				k.same(c.name, storedIDs(list), c.want)
			}
			list, err := k.s.Messages(k.ctx, k.ws, []message.MessageID{mo.ID})
			k.ok(err)
			k.same("inbound", list[0], &store.Stored{Message: *mo})
		}},
	}
}
