package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An accept is one Acceptance in a group.
type accept struct {
	*store.Acceptance
	o       *op
	at      int
	result  store.AcceptResult
	expired bool // a forgotten use of its idempotency key stands in the way
}

// remembered is what is stored under an idempotency key.
type remembered struct {
	body    [16]byte
	message message.MessageID
	answer  []byte
	day     int32
	expires int64
}

// Accept implements store.Outbox.
func (s *Store) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	o := &op{accepts: items, items: len(items)}
	if err := s.queue.do(ctx, o); err != nil {
		return nil, err
	}
	return o.accepted, nil
}

// Recall implements store.Outbox.
func (s *Store) Recall(ctx context.Context, ws message.WorkspaceID, name, body [16]byte, now time.Time) (store.AcceptResult, error) {
	var m remembered
	err := s.row(ctx, []any{(*id16)(&m.body), (*id16)(&m.message), &m.answer, &m.day}, `SELECT body, message, answer, day FROM idempotency
		WHERE workspace = $1 AND key = $2 AND expires_at > $3`, ws[:], name[:], micros(now))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.AcceptResult{Verdict: store.Missing}, nil
	case err != nil:
		return store.AcceptResult{}, err
	case m.body != body:
		return store.AcceptResult{Verdict: store.Mismatch}, nil
	}
	return store.AcceptResult{Verdict: store.Replayed, Message: m.message, Answer: m.answer, Day: m.day}, nil
}

func wanted(indexes map[key]bool, n *store.NewContact) {
	for i := range n.Identities {
		indexes[key{n.Workspace, n.Identities[i].Index}] = true
	}
}

// wanted adds what is to be locked and read for the decision.
func (a *accept) wanted(g *group, idem, indexes map[key]bool) {
	h := &g.held
	if a.Idempotency != nil && g.wary {
		idem[key{a.Message.Workspace, a.Idempotency.Key}] = true
	}
	if a.NewContact == nil {
		h.contacts[key{a.Message.Workspace, a.Message.Contact}] = &contact{}
	} else if g.wary {
		wanted(indexes, a.NewContact)
	}
	if a.Guard != nil {
		h.configs[a.Message.Workspace] = 0
	}
	if a.Fence != nil {
		h.leases[a.Fence.Connector] = lease{}
	}
}

func (g *group) readIdempotency(b *pgx.Batch, wanted map[key]bool) {
	if len(wanted) == 0 {
		return
	}
	in, keys := columns(wanted)
	b.Queue(`SELECT i.ws, i.key, x.body, x.message, x.answer, x.day, x.expires_at FROM unnest($1::bytea[], $2::bytea[]) i(ws, key)
		CROSS JOIN LATERAL (SELECT * FROM idempotency x WHERE x.workspace = i.ws AND x.key = i.key OFFSET 0) x`, in, keys).
		Query(each(func(r pgx.Rows) error {
			var k key
			var m remembered
			err := r.Scan((*id16)(&k.in), (*id16)(&k.id), (*id16)(&m.body), (*id16)(&m.message), &m.answer, &m.day, &m.expires)
			g.held.idem[k] = &m
			return err
		}))
}

func (g *group) decideAccept(a *accept) {
	a.result = store.AcceptResult{Verdict: store.Done}
	k := key{in: a.Message.Workspace}
	if a.Idempotency != nil {
		k.id = a.Idempotency.Key
		if r := g.held.idem[k]; r != nil {
			a.expired = r.expires <= micros(a.Idempotency.Created)
			switch {
			case a.expired:
			case r.body != a.Idempotency.Body:
				a.result.Verdict = store.Mismatch
				return
			default:
				a.result = store.AcceptResult{Verdict: store.Replayed, Message: r.message, Answer: bytes.Clone(r.answer), Day: r.day}
				return
			}
		}
	}
	if a.result.Verdict = g.person(a.Message.Workspace, a.Message.Contact, a.NewContact); a.result.Verdict != store.Done {
		return
	}
	if a.result.Verdict = g.permitted(a); a.result.Verdict != store.Done {
		return
	}
	a.result.Message = a.Message.ID
	if g.taken(a.Message) {
		a.result.Verdict = store.Duplicate
		return
	}
	g.messages[key{a.Message.Workspace, a.Message.ID}] = true
	g.take(a.NewContact)
	if i := a.Idempotency; i != nil {
		g.held.idem[k] = &remembered{body: i.Body, message: a.Message.ID, answer: i.Answer, day: i.Day, expires: micros(i.Expires)}
	}
	g.events.add(a.Events)
}

// permitted judges the fence and the guard of an acceptance.
func (g *group) permitted(a *accept) store.Verdict {
	m := a.Message
	switch {
	case !g.fits(a.Fence):
		return store.Fenced
	case a.Guard == nil:
		return store.Done
	case a.NewContact != nil:
		if g.held.configs[m.Workspace] != a.Guard.Config {
			return store.Guarded
		}
		return store.Done
	}
	return g.seen(a.Guard, m.Workspace, m.Contact)
}

// person decides about the contact of a message.
func (g *group) person(ws message.WorkspaceID, id message.ContactID, n *store.NewContact) store.Verdict {
	if n == nil {
		if c := g.held.contacts[key{ws, id}]; c == nil || !c.there || c.erased {
			return store.StaleContact
		}
		return store.Done
	}
	if c := g.held.contacts[key{n.Workspace, n.ID}]; c != nil && c.there {
		return store.IdentityTaken
	}
	for i := range n.Identities {
		if _, taken := g.held.identities[key{n.Workspace, n.Identities[i].Index}]; taken {
			return store.IdentityTaken
		}
	}
	return store.Done
}

// take notes a new contact, so that the next item in the group sees it.
func (g *group) take(n *store.NewContact) {
	if n == nil {
		return
	}
	g.held.contacts[key{n.Workspace, n.ID}] = &contact{version: 1, there: true}
	for i := range n.Identities {
		g.held.identities[key{n.Workspace, n.Identities[i].Index}] = n.ID
	}
}

// writeAccepts queues the inserts. Rows with keys that another writer may be
// inserting go in the order of the keys.
func (g *group) writeAccepts(b *pgx.Batch) {
	var done []*accept
	var contacts []*store.NewContact
	for _, a := range g.accepts {
		if a.result.Verdict != store.Done {
			continue
		}
		done = append(done, a)
		if a.NewContact != nil {
			contacts = append(contacts, a.NewContact)
		}
	}
	if len(done) == 0 {
		return
	}
	writeIdempotency(b, done)
	writeContacts(b, contacts)
	messages := make([]*store.Message, len(done))
	for i, a := range done {
		messages[i] = a.Message
	}
	writeMessages(b, messages)
	writeDeliveries(b, done)
}

func writeIdempotency(b *pgx.Batch, done []*accept) {
	with := make([]*accept, 0, len(done))
	var ws, keys [][]byte
	for _, a := range done {
		if a.Idempotency == nil {
			continue
		}
		with = append(with, a)
		if a.expired {
			ws, keys = append(ws, a.Message.Workspace[:]), append(keys, a.Idempotency.Key[:])
		}
	}
	if len(keys) > 0 {
		b.Queue(`DELETE FROM idempotency x USING (SELECT y.at FROM unnest($1::bytea[], $2::bytea[]) i(ws, key)
			CROSS JOIN LATERAL (SELECT y.ctid AS at FROM idempotency y WHERE y.workspace = i.ws AND y.key = i.key OFFSET 0) y) l WHERE x.ctid = l.at`, ws, keys)
	}
	if len(with) == 0 {
		return
	}
	slices.SortFunc(with, func(a, b *accept) int {
		return cmp.Or(bytes.Compare(a.Message.Workspace[:], b.Message.Workspace[:]), bytes.Compare(a.Idempotency.Key[:], b.Idempotency.Key[:]))
	})
	n := len(with)
	ws, keys = make([][]byte, n), make([][]byte, n)
	body, ids, answer := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	day, created, expires := make([]int32, n), make([]int64, n), make([]int64, n)
	for i, a := range with {
		x := a.Idempotency
		ws[i], keys[i], body[i], ids[i], answer[i] = a.Message.Workspace[:], x.Key[:], x.Body[:], a.Message.ID[:], x.Answer
		day[i], created[i], expires[i] = x.Day, micros(x.Created), micros(x.Expires)
	}
	b.Queue(`INSERT INTO idempotency (workspace, key, body, message, answer, day, created_at, expires_at)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::int[], $7::bigint[], $8::bigint[])`,
		ws, keys, body, ids, answer, day, created, expires)
}

// writeContacts queues new contacts with their identities.
func writeContacts(b *pgx.Batch, list []*store.NewContact) {
	if len(list) == 0 {
		return
	}
	n := len(list)
	ws, ids, keys, profiles := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	versions, created := make([]int32, n), make([]int64, n)
	var owned []ownedIdentity
	for i, c := range list {
		ws[i], ids[i], keys[i], profiles[i], versions[i], created[i] = c.Workspace[:], c.ID[:], c.Key, c.Profile, c.KeyVersion, micros(c.CreatedAt)
		for j := range c.Identities {
			owned = append(owned, ownedIdentity{c.Workspace, c.ID, &c.Identities[j]})
		}
	}
	b.Queue(`INSERT INTO contacts (workspace, id, version, key, key_version, profile, created_at)
		SELECT i.ws, i.id, 1, i.key, i.kv, i.profile, i.at
		FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int[], $5::bytea[], $6::bigint[]) i(ws, id, key, kv, profile, at)`,
		ws, ids, keys, versions, profiles, created)
	writeIdentities(b, owned)
}

type ownedIdentity struct {
	ws      message.WorkspaceID
	contact message.ContactID
	*store.Identity
}

func writeIdentities(b *pgx.Batch, list []ownedIdentity) {
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b ownedIdentity) int {
		return cmp.Or(bytes.Compare(a.ws[:], b.ws[:]), bytes.Compare(a.Index[:], b.Index[:]))
	})
	n := len(list)
	ws, idx, contacts, sealed := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	channels, created := make([]string, n), make([]int64, n)
	for i := range list {
		x := &list[i]
		ws[i], idx[i], contacts[i], channels[i], sealed[i], created[i] = x.ws[:], x.Index[:], x.contact[:], string(x.Channel), x.Sealed, micros(x.CreatedAt)
	}
	b.Queue(`INSERT INTO identities (workspace, idx, contact, channel, sealed, created_at)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::text[], $5::bytea[], $6::bigint[])`,
		ws, idx, contacts, channels, sealed, created)
}

func writeMessages(b *pgx.Batch, list []*store.Message) {
	if len(list) == 0 {
		return
	}
	n := len(list)
	ws, ids, contacts := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	senders, identities, sealed := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	directions, purposes, channels := make([]int16, n), make([]string, n), make([]string, n)
	created, provider := make([]int64, n), make([]int64, n)
	for i, m := range list {
		ws[i], ids[i], contacts[i], senders[i], identities[i], sealed[i] = m.Workspace[:], m.ID[:], m.Contact[:], m.Sender[:], none(&m.Identity), m.Sealed
		directions[i], purposes[i], channels[i] = int16(m.Direction), string(m.Purpose), string(m.Channel)
		created[i], provider[i] = micros(m.CreatedAt), micros(m.ProviderAt)
	}
	b.Queue(`INSERT INTO messages (workspace, id, contact, direction, purpose, channel, sender, identity, created_at, provider_at, sealed)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::smallint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[])`,
		ws, ids, contacts, directions, purposes, channels, senders, identities, created, provider, sealed)
}

// A row is what a delivery looks like in its table.
type rows struct {
	ws, id, connector, track [][]byte
	version                  []int32
	state, lane              []int16
	sending                  []bool
	due                      []int64
}

func newRows(n int) *rows {
	return &rows{
		ws: make([][]byte, n), id: make([][]byte, n), connector: make([][]byte, n), track: make([][]byte, n),
		version: make([]int32, n), state: make([]int16, n), lane: make([]int16, n), sending: make([]bool, n), due: make([]int64, n),
	}
}

// sending reports whether an attempt of the current step has no answer yet.
func sending(d *message.Delivery) bool {
	s := d.Step()
	return s != nil && s.State == message.StepSending
}

func (r *rows) set(i int, d *message.Delivery, connector *message.ConnectorID, ready bool, buffer []byte) []byte {
	r.ws[i], r.id[i], r.connector[i] = d.Workspace[:], d.ID[:], connector[:]
	start := len(buffer)
	buffer = d.AppendTrack(buffer)
	r.track[i] = buffer[start:len(buffer):len(buffer)]
	r.version[i], r.state[i], r.sending[i], r.due[i] = d.Version, int16(d.State), sending(d), micros(d.Due)
	r.lane[i] = -1
	if ready {
		r.lane[i] = int16(d.Purpose.Priority())
	}
	return buffer
}

func writeDeliveries(b *pgx.Batch, done []*accept) {
	r := newRows(len(done))
	contacts := make([][]byte, len(done))
	buffer := make([]byte, 0, 256*len(done))
	for i, a := range done {
		contacts[i] = a.Message.Contact[:]
		buffer = r.set(i, a.Delivery, &a.Connector, a.Ready, buffer)
	}
	b.Queue(`INSERT INTO deliveries (workspace, id, contact, version, state, connector, lane, sending, due, track)
		SELECT i.ws, i.id, i.contact, i.version, i.state, i.connector, nullif(i.lane, -1), i.sending, nullif(i.due, 0), i.track
		FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int[], $5::smallint[], $6::bytea[], $7::smallint[], $8::bool[], $9::bigint[], $10::bytea[])
			i(ws, id, contact, version, state, connector, lane, sending, due, track)`,
		r.ws, r.id, contacts, r.version, r.state, r.connector, r.lane, r.sending, r.due, r.track)
}
