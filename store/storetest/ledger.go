package storetest

import (
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func (k *kit) charge(id message.MessageID, attempt uint16, micros int64, by string) *store.Charge {
	return &store.Charge{
		Workspace: k.ws, Message: id, Step: 0, Attempt: attempt, Channel: message.SMS, Purpose: message.Utility, Country: "FR",
		Amount: message.Money{Micros: micros, Currency: "EUR"}, By: by, Rule: "card/7", At: k.now,
	}
}

func ledgerTests() []test {
	return []test{
		{"charges come with the reader's cursor, and the provider's word wins", func(k *kit) {
			id := message.MessageID(k.id())
			estimate := k.charge(id, 1, 45000, "estimate")
			k.ok(k.s.Charge(k.ctx, "charges", "", []*store.Charge{estimate, k.charge(id, 2, 45000, "estimate")}))
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			word := k.charge(id, 1, 41000, "provider")
			k.ok(k.s.Charge(k.ctx, "charges", head, []*store.Charge{word}))
			k.ok(k.s.Charge(k.ctx, "charges", head, []*store.Charge{estimate})) // told again
			list, err := k.s.Charges(k.ctx, k.ws, id)
			k.ok(err)
			k.same("charges", list, []*store.Charge{word, k.charge(id, 2, 45000, "estimate")})
			c, err := k.s.Cursor(k.ctx, "charges")
			k.ok(err)
			k.same("cursor", c, head)
		}},
		{"costs are summed over a span", func(k *kit) {
			mk := func(p message.Purpose, currency string, at time.Time) *store.Charge {
				c := k.charge(k.id(), 1, 100, "estimate")
				c.Purpose, c.Amount.Currency, c.At = p, currency, at
				return c
			}
			k.ok(k.s.Charge(k.ctx, "r", "", []*store.Charge{
				mk(message.Utility, "EUR", k.now), mk(message.Utility, "EUR", k.now.Add(time.Minute)), mk(message.Utility, "USD", k.now),
				mk(message.Marketing, "EUR", k.now), mk(message.Utility, "EUR", k.now.Add(time.Hour)),
			}))
			costs, err := k.s.Costs(k.ctx, k.ws, k.now, k.now.Add(time.Hour))
			k.ok(err)
			got := make(map[string]int64)
			for _, c := range costs {
				got[string(c.Purpose)+c.Amount.Currency] = c.Amount.Micros*1000 + c.Count
			}
			k.same("costs", got, map[string]int64{"utilityEUR": 200002, "utilityUSD": 100001, "marketingEUR": 100001})
		}},
		{"the books balance", func(k *kit) {
			who, index := k.contact()
			ready, waiting, lost, failed, sent := k.acceptance(who), k.acceptance(who), k.acceptance(who), k.acceptance(who), k.acceptance(who)
			waiting.Ready, lost.Ready, lost.Delivery.Due = false, false, time.Time{}
			k.accept(ready, waiting, lost, failed, sent)
			end := k.next(failed.Delivery, message.Failed)
			end.Delivery.Due = time.Time{}
			out := k.next(sent.Delivery, message.Sent)
			out.Open = []store.OpenRef{k.ref(k.id(), out.Delivery)}
			k.apply(store.Done, end, out)
			k.received(store.Done, k.reception(who, index))
			p := k.parked(k.id())
			k.match(k.lookup(p, p.Keys...))
			k.ok(k.s.Keep(k.ctx, []*store.Callback{{ID: k.id(), Workspace: k.ws, Connector: k.connector, At: k.now, Sealed: []byte("b")}}))
			k.ok(k.s.Charge(k.ctx, "charges", "", []*store.Charge{k.charge(sent.Message.ID, 1, 7, "estimate")}))
			e := k.endpoint()
			k.enqueue(e.ID)
			list := k.claim(e.ID, "a", k.now, 2)
			k.settle("a", store.WebhookDelivered, time.Time{}, list[0])
			k.settle("a", store.WebhookDead, time.Time{}, list[1])
			want := &store.Books{
				Accepted: 5, States: map[message.State]int64{message.Queued: 3, message.Failed: 1, message.Sent: 1},
				Ready: 1, Waiting: 2, Lost: 1, OpenRefs: 1, Parked: 1, Callbacks: 1, Received: 1, Charges: 1,
				Webhooks: map[string]int64{store.WebhookPending: 6, store.WebhookDelivered: 1, store.WebhookDead: 1}, Events: 8, Unbooked: 8,
			}
			for _, ws := range []message.WorkspaceID{k.ws, {}} {
				b, err := k.s.Books(k.ctx, ws)
				k.ok(err)
				k.same("books", b, want)
			}
			b, err := k.s.Books(k.ctx, k.workspace())
			k.ok(err)
			k.same("another workspace", b, &store.Books{States: map[message.State]int64{}, Webhooks: map[string]int64{}})
		}},
		{"what the log's readers have not read is counted", func(k *kit) {
			unread := func(what string, ws message.WorkspaceID, untold, unbooked int64) {
				k.Helper()
				b, err := k.s.Books(k.ctx, ws)
				k.ok(err)
				k.same(what, [2]int64{b.Untold, b.Unbooked}, [2]int64{untold, unbooked})
			}
			k.story(2)
			unread("nobody is to be told", k.ws, 0, 2)
			e := k.endpoint()
			unread("an endpoint", k.ws, 2, 2)
			unread("all workspaces", message.WorkspaceID{}, 2, 2)
			unread("another workspace", k.workspace(), 0, 0)
			k.enqueue(e.ID)
			unread("told", k.ws, 0, 2)
			k.story(1)
			unread("one more", k.ws, 1, 3)
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			k.ok(k.s.Charge(k.ctx, store.LedgerReader, head, nil))
			unread("booked", k.ws, 1, 0)
			k.ok(k.s.SetEndpointHealth(k.ctx, k.ws, e.ID, k.now, "gone"))
			unread("a disabled endpoint", k.ws, 0, 0)
		}},
	}
}
