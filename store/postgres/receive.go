package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

// A reception is one Reception in a group.
type reception struct {
	*store.Reception
	o      *op
	at     int
	result store.Verdict
	fresh  []ownedIdentity
}

// Receive implements store.Inbox.
func (s *Store) Receive(ctx context.Context, items []*store.Reception) ([]store.Verdict, error) {
	o := &op{receptions: items, items: len(items)}
	if err := s.queue.do(ctx, o); err != nil {
		return nil, err
	}
	return o.received, nil
}

// wanted adds what the first round trip must lock and read.
func (r *reception) wanted(h *held, indexes map[key]bool) {
	ws := r.Message.Workspace
	h.update = true
	h.dedup[key{ws, r.Dedup}] = false
	if r.NewContact == nil {
		h.contacts[key{ws, r.Message.Contact}] = &contact{}
	} else {
		wanted(indexes, r.NewContact)
	}
	for i := range r.Identities {
		indexes[key{ws, r.Identities[i].Index}] = true
	}
	for _, list := range [][]store.Suppression{r.Suppress, r.Allow} {
		for i := range list {
			indexes[key{list[i].Workspace, list[i].Index}] = true
		}
	}
}

func (g *group) readDedup(b *pgx.Batch) {
	if len(g.held.dedup) == 0 {
		return
	}
	in, keys := columns(g.held.dedup)
	b.Queue(`SELECT i.ws, i.key FROM unnest($1::bytea[], $2::bytea[]) i(ws, key)
		CROSS JOIN LATERAL (SELECT 1 FROM dedup x WHERE x.workspace = i.ws AND x.key = i.key OFFSET 0) x`, in, keys).
		Query(each(func(r pgx.Rows) error {
			var k key
			err := r.Scan((*id16)(&k.in), (*id16)(&k.id))
			g.held.dedup[k] = true
			return err
		}))
}

func (g *group) decideReception(r *reception) {
	ws := r.Message.Workspace
	if g.held.dedup[key{ws, r.Dedup}] || g.taken(r.Message) {
		r.result = store.Duplicate
		return
	}
	for i := range r.Identities {
		owner, there := g.held.identities[key{ws, r.Identities[i].Index}]
		if there && (r.NewContact != nil || owner != r.Message.Contact) {
			r.result = store.IdentityTaken
		}
	}
	verdict := g.person(ws, r.Message.Contact, r.NewContact)
	if r.result == 0 || verdict != store.Done {
		r.result = verdict
	}
	if r.result != store.Done {
		return
	}
	g.held.dedup[key{ws, r.Dedup}] = true
	g.messages[key{ws, r.Message.ID}] = true
	g.take(r.NewContact)
	for i := range r.Identities {
		k := key{ws, r.Identities[i].Index}
		if _, there := g.held.identities[k]; !there {
			g.held.identities[k] = r.Message.Contact
			r.fresh = append(r.fresh, ownedIdentity{ws, r.Message.Contact, &r.Identities[i]})
		}
	}
	g.events.add(r.Events)
}

// writeReceptions queues what receptions leave behind: first what is new, then
// the net effect on windows and suppressions, in the order of the items.
func (g *group) writeReceptions(b *pgx.Batch) {
	var done []*reception
	for _, r := range g.receptions {
		if r.result == store.Done {
			done = append(done, r)
		}
	}
	if len(done) == 0 {
		return
	}
	var contacts []*store.NewContact
	var identities []ownedIdentity
	n := len(done)
	messages := make([]*store.Message, n)
	p := &personal{windows: make(map[windowKey]*store.Window), suppressions: make(map[suppressionKey]*store.Suppression), raised: make(map[key]int64)}
	seen := slices.Clone(done)
	slices.SortFunc(seen, func(a, b *reception) int {
		return cmp.Or(bytes.Compare(a.Message.Workspace[:], b.Message.Workspace[:]), bytes.Compare(a.Dedup[:], b.Dedup[:]))
	})
	ws, keys, forget := make([][]byte, n), make([][]byte, n), make([]int64, n)
	for i, r := range seen {
		ws[i], keys[i], forget[i] = r.Message.Workspace[:], r.Dedup[:], micros(r.Forget)
	}
	for i, r := range done {
		messages[i] = r.Message
		if r.NewContact != nil {
			contacts = append(contacts, r.NewContact)
		}
		identities = append(identities, r.fresh...)
		p.add(g, r.Reception)
	}
	b.Queue(`INSERT INTO dedup (workspace, key, forget_at) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[])`, ws, keys, forget)
	writeContacts(b, contacts)
	writeIdentities(b, identities)
	writeMessages(b, messages)
	g.writeMedia(b)
	p.write(b, g)
}

type windowKey struct {
	ws, contact, identity, sender [16]byte
	kind                          string
}

type suppressionKey struct {
	key
	scope string
}

// personal is the net effect of a group on windows, suppressions and versions.
type personal struct {
	windows      map[windowKey]*store.Window
	suppressions map[suppressionKey]*store.Suppression // nil = taken away
	raised       map[key]int64
}

func (p *personal) add(g *group, r *store.Reception) {
	ws, who := r.Message.Workspace, r.Message.Contact
	raise := map[key]bool{}
	if len(r.Identities) > 0 || r.Window != nil {
		raise[key{ws, who}] = true
	}
	if w := r.Window; w != nil {
		k := windowKey{ws, who, w.Identity, w.Sender, w.Kind}
		if old := p.windows[k]; old == nil || w.ClosesAt.After(old.ClosesAt) {
			p.windows[k] = w
		}
	}
	change := func(list []store.Suppression, add bool) {
		for i := range list {
			x := &list[i]
			k := suppressionKey{key{x.Workspace, x.Index}, x.Scope}
			if p.suppressions[k] = nil; add {
				p.suppressions[k] = x
			}
			raise[key{ws, who}] = true
			if owner, ok := g.held.identities[k.key]; ok {
				raise[key{x.Workspace, owner}] = true
			}
		}
	}
	change(r.Suppress, true)
	change(r.Allow, false)
	for k := range raise {
		p.raised[k]++
	}
}

func (p *personal) write(b *pgx.Batch, g *group) {
	p.writeWindows(b)
	var put []*store.Suppression
	var gone []suppressionKey
	for k, v := range p.suppressions {
		if v == nil {
			gone = append(gone, k)
		} else {
			put = append(put, v)
		}
	}
	if len(gone) > 0 {
		ws, idx, scope := make([][]byte, len(gone)), make([][]byte, len(gone)), make([]string, len(gone))
		slices.SortFunc(gone, func(a, b suppressionKey) int {
			return cmp.Or(bytes.Compare(a.in[:], b.in[:]), bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.scope, b.scope))
		})
		for i := range gone {
			ws[i], idx[i], scope[i] = gone[i].in[:], gone[i].id[:], gone[i].scope
		}
		b.Queue(`DELETE FROM suppressions s USING (SELECT x.at FROM unnest($1::bytea[], $2::bytea[], $3::text[]) i(ws, idx, scope)
			CROSS JOIN LATERAL (SELECT y.ctid AS at FROM suppressions y WHERE y.workspace = i.ws AND y.idx = i.idx AND y.scope = i.scope OFFSET 0) x) l
			WHERE s.ctid = l.at`, ws, idx, scope)
	}
	if len(put) > 0 {
		n := len(put)
		ws, idx, scope, reason, at := make([][]byte, n), make([][]byte, n), make([]string, n), make([]string, n), make([]int64, n)
		slices.SortFunc(put, func(a, b *store.Suppression) int {
			return cmp.Or(bytes.Compare(a.Workspace[:], b.Workspace[:]), bytes.Compare(a.Index[:], b.Index[:]), cmp.Compare(a.Scope, b.Scope))
		})
		for i, s := range put {
			ws[i], idx[i], scope[i], reason[i], at[i] = s.Workspace[:], s.Index[:], s.Scope, s.Reason, micros(s.At)
		}
		b.Queue(`INSERT INTO suppressions (workspace, idx, scope, reason, at)
			SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::bigint[]) ON CONFLICT DO NOTHING`, ws, idx, scope, reason, at)
	}
	if len(p.raised) > 0 {
		in, id := columns(p.raised)
		by := make([]int64, len(in))
		for i := range in {
			by[i] = p.raised[key{[16]byte(in[i]), [16]byte(id[i])}]
		}
		for k := range p.raised {
			if _, locked := g.held.contacts[k]; !locked {
				// The next statement finds rows by ctid: they must stand still.
				b.Queue(`SELECT 1 FROM unnest($1::bytea[], $2::bytea[]) i(ws, id)
					CROSS JOIN LATERAL (SELECT 1 FROM contacts c WHERE c.workspace = i.ws AND c.id = i.id FOR NO KEY UPDATE) c`, in, id)
				break
			}
		}
		b.Queue(`UPDATE contacts c SET version = c.version + l.n FROM (SELECT i.n, x.at FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) i(ws, id, n)
			CROSS JOIN LATERAL (SELECT y.ctid AS at FROM contacts y WHERE y.workspace = i.ws AND y.id = i.id OFFSET 0) x) l WHERE c.ctid = l.at`, in, id, by)
	}
}

func (p *personal) writeWindows(b *pgx.Batch) {
	n := len(p.windows)
	if n == 0 {
		return
	}
	keys := make([]windowKey, 0, n)
	for k := range p.windows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(bytes.Compare(a.ws[:], b.ws[:]), bytes.Compare(a.contact[:], b.contact[:]), bytes.Compare(a.identity[:], b.identity[:]),
			bytes.Compare(a.sender[:], b.sender[:]), cmp.Compare(a.kind, b.kind))
	})
	ws, contact, identity, sender := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	kind, by, opened, closes := make([]string, n), make([][]byte, n), make([]int64, n), make([]int64, n)
	for i := range keys {
		k := &keys[i]
		w := p.windows[*k]
		ws[i], contact[i], identity[i], sender[i], kind[i] = k.ws[:], k.contact[:], k.identity[:], k.sender[:], k.kind
		by[i], opened[i], closes[i] = w.OpenedBy[:], micros(w.OpenedAt), micros(w.ClosesAt)
	}
	b.Queue(openWindowSQL, ws, contact, identity, sender, kind, by, opened, closes)
}

const openWindowSQL = `INSERT INTO windows AS w (workspace, contact, identity, sender, kind, opened_by, opened_at, closes_at)
	SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::bigint[], $8::bigint[])
	ON CONFLICT (workspace, contact, identity, sender, kind) DO UPDATE
	SET opened_by = excluded.opened_by, opened_at = excluded.opened_at, closes_at = excluded.closes_at WHERE excluded.closes_at > w.closes_at`

// taken reports whether a message with this id is stored, as far as is known:
// the table is read only after an insert failed.
func (g *group) taken(m *store.Message) bool { return g.messages[key{m.Workspace, m.ID}] }
