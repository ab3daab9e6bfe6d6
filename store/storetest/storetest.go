// Package storetest is the promise every store keeps, told once: Run takes a
// way to open an empty store and tries all that package store says, role by
// role, in files named like the seam's.
//
// It holds nothing about SQL, and nothing that only one store can do: what a
// store promises beyond the seam is tested beside that store.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An Open gives a store without any data; it is closed by the test that asked
// for it, through t.Cleanup of the implementation. now is the clock for stores
// without a clock of their own.
type Open func(t *testing.T, now func() time.Time) store.Store

// Run tries every promise, each on a store of its own.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	t.Helper()
	for _, role := range []struct {
		name  string
		cases []test
	}{
		{"Outbox", append(outboxTests(), outboxReadTests()...)},
		{"Inbox", append(inboxTests(), receiveTests()...)},
		{"Contacts", contactsTests()},
		{"Senders", sendersTests()},
		{"Workspaces", workspacesTests()},
		{"Log", logTests()},
		{"Webhooks", webhooksTests()},
		{"Ledger", ledgerTests()},
		{"Media", mediaTests()},
		{"Leases", leasesTests()},
		{"Upkeep", upkeepTests()},
		{"Tenants", tenantsTests()},
	} {
		t.Run(role.name, func(t *testing.T) {
			for _, c := range role.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newKit(t, open)) })
			}
		})
	}
}

// A test is one promise.
type test struct {
	name string
	run  func(k *kit)
}

// A kit is one store and what tests need around it.
type kit struct {
	*testing.T
	ctx       context.Context
	s         store.Store
	now       time.Time
	ws        message.WorkspaceID
	connector message.ConnectorID
	sender    message.SenderID
	salt      [4]byte
	n         atomic.Uint32
}

func newKit(t *testing.T, open Open) *kit {
	t.Helper()
	k := &kit{T: t, ctx: context.Background(), now: time.Now().UTC().Truncate(time.Microsecond)}
	_, _ = rand.Read(k.salt[:])
	k.s = open(t, func() time.Time { return k.now })
	k.ws = k.workspace()
	k.connector, k.sender = k.id(), k.id()
	return k
}

// id makes increasing ids of the kit's time.
func (k *kit) id() [16]byte { return k.idAt(k.now) }

func (k *kit) idAt(at time.Time) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	copy(id[8:12], k.salt[:])
	binary.BigEndian.PutUint32(id[12:], k.n.Add(1))
	return id
}

func (k *kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// same compares what was stored with what was read.
func (k *kit) same(what string, got, want any) {
	k.Helper()
	raw := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type() == reflect.TypeFor[json.RawMessage]() },
		cmp.FilterValues(func(x, y json.RawMessage) bool { return len(x)+len(y) > 0 },
			cmp.Transformer("json", func(raw json.RawMessage) (v any) {
				if len(raw) > 0 && json.Unmarshal(raw, &v) != nil {
					return string(raw)
				}
				return v
			})))
	opts := cmp.Options{cmpopts.EquateEmpty(), raw}
	if d := cmp.Diff(want, got, opts); d != "" {
		k.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func (k *kit) workspace() message.WorkspaceID {
	k.Helper()
	w := &store.Workspace{ID: k.id(), Name: "Brand", CreatedAt: k.now}
	k.ok(k.s.CreateWorkspace(k.ctx, w, nil))
	return w.ID
}

func (k *kit) newContact(indexes ...[16]byte) *store.NewContact {
	c := &store.NewContact{ID: k.id(), Workspace: k.ws, Key: []byte("wrapped"), KeyVersion: 1, CreatedAt: k.now, Profile: []byte("profile")}
	for _, index := range indexes {
		c.Identities = append(c.Identities, store.Identity{Index: index, Channel: message.Phone, Sealed: []byte("address"), CreatedAt: k.now})
	}
	return c
}

// contact makes a person with one identity.
func (k *kit) contact() (message.ContactID, [16]byte) {
	k.Helper()
	index := k.id()
	c := k.newContact(index)
	k.ok(k.s.CreateContact(k.ctx, c, nil))
	return c.ID, index
}

func (k *kit) person(id message.ContactID) *store.Person {
	k.Helper()
	p, err := k.s.Contact(k.ctx, k.ws, id)
	k.ok(err)
	return p
}

func (k *kit) event(kind string, about message.MessageID, who message.ContactID) store.Event {
	return store.Event{ID: k.id(), Workspace: k.ws, Type: kind, Message: about, Contact: who, Version: 1, At: k.now, Data: []byte(`{"a":1}`)}
}

// acceptance makes one message to a contact, waiting in the kit's lane.
func (k *kit) acceptance(who message.ContactID) *store.Acceptance {
	id := message.MessageID(k.id())
	d := &message.Delivery{
		ID: id, Workspace: k.ws, Contact: who, State: message.Queued, Version: 1, Purpose: message.Utility,
		CreatedAt: k.now, ExpiresAt: k.now.Add(time.Hour), Due: k.now.Add(time.Hour), Reason: "why",
		Steps: []message.Step{{
			Channel: message.SMS, Sender: k.sender, Connector: k.connector, Mode: message.FreeForm, State: message.StepQueued, Segments: 1,
			Attempts: []message.Attempt{{Connector: k.connector, Code: "7", Parts: []message.Part{{Ref: []byte("ref"), Key: message.RefKey(k.id())}}}},
		}},
	}
	return &store.Acceptance{
		Message: &store.Message{
			ID: id, Workspace: k.ws, Contact: who, Direction: store.MT, Purpose: message.Utility,
			Identity: k.id(), CreatedAt: k.now, Sealed: []byte("content"),
		},
		Delivery: d, Connector: k.connector, Ready: true,
		Events: []store.Event{k.event("message.accepted", id, who)},
	}
}

// accept stores acceptances that must all be Done.
func (k *kit) accept(items ...*store.Acceptance) {
	k.Helper()
	for _, r := range k.accepted(items...) {
		if r.Verdict != store.Done {
			k.Fatalf("accept: %s", r.Verdict)
		}
	}
}

func (k *kit) accepted(items ...*store.Acceptance) []store.AcceptResult {
	k.Helper()
	results, err := k.s.Accept(k.ctx, items)
	k.ok(err)
	if len(results) != len(items) {
		k.Fatalf("%d results for %d items", len(results), len(items))
	}
	return results
}

// message accepts one message to a new person.
func (k *kit) message() *store.Acceptance {
	k.Helper()
	who, _ := k.contact()
	a := k.acceptance(who)
	k.accept(a)
	return a
}

// next makes the following change of a delivery, as a copy.
func (k *kit) next(d *message.Delivery, s message.State) *store.Change {
	moved := *d
	moved.Version++
	moved.State = s
	moved.Steps = append([]message.Step(nil), d.Steps...)
	e := k.event("message."+s.String(), d.ID, d.Contact)
	e.Version = moved.Version
	return &store.Change{Delivery: &moved, Connector: k.connector, Events: []store.Event{e}}
}

func (k *kit) applied(items ...*store.Change) []store.Applied {
	k.Helper()
	results, err := k.s.Apply(k.ctx, items)
	k.ok(err)
	if len(results) != len(items) {
		k.Fatalf("%d results for %d items", len(results), len(items))
	}
	return results
}

// apply writes changes and checks their verdicts.
func (k *kit) apply(want store.Verdict, items ...*store.Change) {
	k.Helper()
	for i, r := range k.applied(items...) {
		if r.Verdict != want {
			k.Fatalf("apply %d: %s, want %s", i, r.Verdict, want)
		}
	}
}

func (k *kit) load(id message.MessageID) *store.Record {
	k.Helper()
	list, err := k.s.Load(k.ctx, k.ws, []message.MessageID{id})
	k.ok(err)
	return list[0]
}

// logged reads the whole log of the kit's workspace.
func (k *kit) logged() []*store.LogEvent {
	k.Helper()
	list, _, err := k.s.Read(k.ctx, k.ws, "", 10_000)
	k.ok(err)
	return list
}

func (k *kit) ref(key message.RefKey, d *message.Delivery) store.OpenRef {
	return store.OpenRef{
		RefName:   store.RefName{Connector: k.connector, Key: key},
		Workspace: k.ws, Message: d.ID, Step: 1, Attempt: 2, Part: 3, At: k.now, Expires: k.now.Add(time.Hour),
	}
}
