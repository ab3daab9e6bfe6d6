package storetest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// tenantsTests try each read and write with another workspace's ids (law 10).
func tenantsTests() []test {
	return []test{
		{"nothing is read with another workspace's id", func(k *kit) {
			a := k.message()
			who := a.Message.Contact
			index := k.person(who).Identities[0].Index
			k.ok(k.s.Suppress(k.ctx, store.Suppression{Workspace: k.ws, Index: index, Scope: "all", Reason: "api", At: k.now}, nil))
			key := &store.Idempotency{Key: k.id(), Body: k.id(), Answer: []byte("secret"), Created: k.now, Expires: k.now.Add(time.Hour)}
			b := k.acceptance(who)
			b.Idempotency = key
			k.accept(b)
			r, _ := k.open(k.id())
			k.ok(k.s.PutConnector(k.ctx, k.account(), nil))
			k.ok(k.s.SetSettings(k.ctx, k.ws, json.RawMessage(`{"a":1}`)))
			k.ok(k.s.PutKeys(k.ctx, []store.WrappedKey{{Workspace: k.ws, Kind: "kek", Version: 1, Bytes: []byte("k"), CreatedAt: k.now}}))
			k.ok(k.s.CreateAPIKey(k.ctx, &store.APIKey{ID: k.id(), Workspace: k.ws, Hash: [32]byte{5}, CreatedAt: k.now}))
			k.ok(k.s.Charge(k.ctx, "charges", "", []*store.Charge{k.charge(a.Message.ID, 1, 7, "estimate")}))
			e := k.endpoint()
			k.enqueue(e.ID)
			for _, ws := range []message.WorkspaceID{k.workspace(), k.id()} { // another's, and nobody's
				loaded, err := k.s.Load(k.ctx, ws, []message.MessageID{a.Message.ID})
				k.ok(err)
				k.same("load", loaded, []*store.Record{nil})
				messages, err := k.s.Messages(k.ctx, ws, []message.MessageID{a.Message.ID})
				k.ok(err)
				k.same("messages", messages, []*store.Stored{nil})
				for _, f := range []store.Filter{{Limit: 10}, {Limit: 10, Contact: who}} {
					list, err := k.s.List(k.ctx, ws, f)
					k.ok(err)
					k.same("list", list, []*store.Stored(nil))
				}
				recalled, err := k.s.Recall(k.ctx, ws, key.Key, key.Body, k.now)
				k.ok(err)
				k.same("recall", recalled.Verdict, store.Missing)
				l := k.lookup(nil, r.Key)
				l.Workspace = ws
				k.same("match", k.match(l), store.Matched{})
				people, err := k.s.Resolve(k.ctx, ws, [][16]byte{index})
				k.ok(err)
				k.same("resolve", people, []*store.Person{nil})
				if _, err := k.s.Contact(k.ctx, ws, who); !errors.Is(err, store.ErrNotFound) {
					k.Errorf("contact: %v", err)
				}
				people, err = k.s.ContactList(k.ctx, ws, message.ContactID{}, 10)
				k.ok(err)
				k.same("contacts", people, []*store.Person(nil))
				people, err = k.s.RewrapContacts(k.ctx, ws, 9, 10)
				k.ok(err)
				k.same("rewrap", people, []*store.Person(nil))
				c, err := k.s.Configuration(k.ctx, ws)
				k.ok(err)
				if c.Settings != nil || len(c.Connectors)+len(c.Senders)+len(c.Templates) != 0 {
					k.Errorf("configuration %+v", c)
				}
				keys, err := k.s.Keys(k.ctx, ws)
				k.ok(err)
				k.same("keys", keys, []store.WrappedKey(nil))
				apiKeys, err := k.s.APIKeys(k.ctx, ws)
				k.ok(err)
				k.same("api keys", apiKeys, []*store.APIKey(nil))
				events, _, err := k.s.Read(k.ctx, ws, "", 10)
				k.ok(err)
				k.same("events", events, []*store.LogEvent(nil))
				charges, err := k.s.Charges(k.ctx, ws, a.Message.ID)
				k.ok(err)
				k.same("charges", charges, []*store.Charge(nil))
				costs, err := k.s.Costs(k.ctx, ws, k.now.Add(-time.Hour), k.now.Add(time.Hour))
				k.ok(err)
				k.same("costs", costs, []store.Cost(nil))
				if _, err := k.s.Endpoint(k.ctx, ws, e.ID); !errors.Is(err, store.ErrNotFound) {
					k.Errorf("endpoint: %v", err)
				}
				endpoints, err := k.s.Endpoints(k.ctx, ws)
				k.ok(err)
				k.same("endpoints", endpoints, []*store.Endpoint(nil))
				rows, err := k.s.DeliveryList(k.ctx, ws, e.ID, "", message.DeliveryID{}, 10)
				k.ok(err)
				k.same("deliveries", rows, []*store.WebhookDelivery(nil))
			}
		}},
		{"nothing is written with another workspace's id", func(k *kit) {
			a := k.message()
			who := a.Message.Contact
			index := k.person(who).Identities[0].Index
			account := k.account()
			k.ok(k.s.PutConnector(k.ctx, account, nil))
			sender := &store.Sender{ID: k.id(), Workspace: k.ws, Channel: message.SMS, CreatedAt: k.now}
			k.ok(k.s.PutSender(k.ctx, sender, nil))
			template := &store.Template{ID: k.id(), Workspace: k.ws, Sender: sender.ID, Name: "a", Language: "fr", UpdatedAt: k.now}
			k.ok(k.s.PutTemplate(k.ctx, template, nil))
			apiKey := &store.APIKey{ID: k.id(), Workspace: k.ws, Hash: [32]byte{5}, CreatedAt: k.now}
			k.ok(k.s.CreateAPIKey(k.ctx, apiKey))
			e := k.endpoint()
			rows := k.enqueue(e.ID)
			k.settle("a", store.WebhookDead, time.Time{}, k.claim(e.ID, "a", k.now, 1)...)
			before, person, config := k.load(a.Message.ID), k.person(who), k.configuration()
			for _, ws := range []message.WorkspaceID{k.workspace(), k.id()} {
				stray := k.acceptance(who)
				stray.Message.Workspace, stray.Delivery.Workspace = ws, ws
				k.same("accept", k.accepted(stray)[0].Verdict, store.StaleContact)
				c := k.next(a.Delivery, message.Failed)
				c.Delivery.Workspace = ws
				k.apply(store.Missing, c)
				r := k.reception(who, index)
				r.Message.Workspace = ws
				k.received(store.StaleContact, r)
				verdict, err := k.s.Erase(k.ctx, ws, who, k.now, nil)
				k.ok(err)
				k.same("erase", verdict, store.Missing)
				w := store.Window{Identity: index, Sender: k.sender, Kind: "service", OpenedAt: k.now, ClosesAt: k.now.Add(time.Hour)}
				for name, err := range map[string]error{
					"profile":      k.s.SetProfile(k.ctx, ws, who, []byte("x"), nil),
					"add":          k.s.AddIdentity(k.ctx, ws, who, store.Identity{Index: k.id(), Channel: message.SMS, CreatedAt: k.now}, nil),
					"remove":       k.s.RemoveIdentity(k.ctx, ws, who, index, nil),
					"open window":  k.s.OpenWindow(k.ctx, ws, who, w, nil),
					"close window": k.s.CloseWindow(k.ctx, ws, who, index, k.sender, k.now, nil),
					"sender":       k.s.DeleteSender(k.ctx, ws, sender.ID),
					"connector":    k.s.DeleteConnector(k.ctx, ws, account.ID),
					"health":       k.s.SetHealth(k.ctx, ws, account.ID, store.Health{State: "x"}, nil),
					"template":     k.s.DeleteTemplate(k.ctx, ws, template.ID),
					"api key":      k.s.RevokeAPIKey(k.ctx, ws, apiKey.ID, k.now),
					"endpoint":     k.s.DeleteEndpoint(k.ctx, ws, e.ID),
				} {
					if !errors.Is(err, store.ErrNotFound) {
						k.Errorf("%s: %v", name, err)
					}
				}
				k.ok(k.s.SetContactKeys(k.ctx, ws, []store.ContactKey{{ID: who, Key: []byte("theirs"), Version: 9}}))
				k.ok(k.s.Suppress(k.ctx, store.Suppression{Workspace: ws, Index: index, Scope: "all", Reason: "api", At: k.now}, nil))
				k.ok(k.s.Remember(k.ctx, ws, index, store.Reach{Index: index, Channel: message.SMS, Code: "x", Until: k.now.Add(time.Hour)}))
				n, err := k.s.Replay(k.ctx, ws, e.ID, []message.DeliveryID{rows[0].ID}, time.Time{}, time.Time{}, k.now)
				k.ok(err)
				k.same("replay", n, 0)
			}
			k.same("record", k.load(a.Message.ID), before)
			k.same("person", k.person(who), person)
			k.same("configuration", k.configuration(), config)
			if _, err := k.s.APIKeyByHash(k.ctx, apiKey.Hash); err != nil {
				k.Errorf("api key: %v", err)
			}
			if _, err := k.s.Endpoint(k.ctx, k.ws, e.ID); err != nil {
				k.Errorf("endpoint: %v", err)
			}
		}},
	}
}
