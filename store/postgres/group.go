package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A key names a row by workspace (or connector) and id or hash.
type key struct{ in, id [16]byte }

// A group is the work of one transaction.
type group struct {
	s   *Store
	ops []*op

	accepts    []*accept
	changes    []*change
	receptions []*reception
	lookups    []*lookup
	callbacks  []*store.Callback
	finished   []message.EventID

	held     held
	messages map[key]bool // ids that are stored
	careful  bool         // an insert or a change failed: read what is stored
	wary     bool         // read which keys and people are there before inserting them
	blocked  bool         // a guard or a fence does not hold: why is to be read
	events   *events
	logged   bool // events were written
}

// waryFor is how many groups read which idempotency keys and people are there
// after an insert ran into one. As a rule both are new and the reading is for
// nothing; a client that repeats its requests should not make every group fail.
const waryFor = 200

// held is what the first round trip locked and read.
type held struct {
	contacts   map[key]*contact
	configs    map[message.WorkspaceID]int64
	leases     map[message.ConnectorID]lease
	now        int64
	idem       map[key]*remembered
	identities map[key]message.ContactID
	dedup      map[key]bool
	refs       map[key][]store.OpenRef
	versions   map[key]int32 // of deliveries, when careful
	update     bool          // contacts are locked for writing
}

type contact struct {
	version int64
	erased  bool
	there   bool
}

type lease struct{ token, expires int64 }

func newGroup(s *Store, ops []*op, careful bool) *group {
	g := &group{s: s, ops: ops, events: &events{}, messages: make(map[key]bool), careful: careful, wary: careful || s.wary.Load() > 0}
	for _, o := range ops {
		for i, a := range o.accepts {
			g.accepts = append(g.accepts, &accept{Acceptance: a, o: o, at: i})
		}
		for i, c := range o.changes {
			g.changes = append(g.changes, &change{Change: c, o: o, at: i})
		}
		for i, r := range o.receptions {
			g.receptions = append(g.receptions, &reception{Reception: r, o: o, at: i})
		}
		for i, l := range o.lookups {
			g.lookups = append(g.lookups, &lookup{Lookup: l, o: o, at: i})
		}
		g.callbacks = append(g.callbacks, o.callbacks...)
		g.finished = append(g.finished, o.finished...)
	}
	return g
}

// run executes the group. Errors before COMMIT is on its way are those of
// pgx; a cut COMMIT is store.ErrUncertain.
func (g *group) run(ctx context.Context, conn *pgx.Conn) error {
	b := &pgx.Batch{}
	g.begin(b)
	if g.lookUp(b) {
		if err := pipeline(ctx, conn, b); err != nil {
			abandon(conn, g.s)
			return err
		}
		b = &pgx.Batch{}
	}
	g.decide()
	if g.blocked && !g.careful {
		abandon(conn, g.s)
		return errChange
	}
	committed := false
	g.write(b)
	b.Queue("commit").Exec(func(tag commandTag) error {
		if committed = tag.String() == "COMMIT"; !committed {
			return errRolledBack
		}
		return nil
	})
	err := pipeline(ctx, conn, b)
	switch {
	case committed:
		return nil // whatever befell the connection after it
	case err == nil:
		return errRolledBack
	}
	abandon(conn, g.s)
	if refused(err) || errors.Is(err, errRolledBack) {
		return err
	}
	return commitFailed(err)
}

func (g *group) begin(b *pgx.Batch) {
	b.Queue("begin")
	if g.s.opt.Pooler {
		b.Queue(`SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true), set_config('enable_seqscan', 'off', true),
				(SELECT count(set_config(n, 'off', true)) FROM unnest($3::text[]) n)`,
			strconv.FormatInt(g.s.opt.Statement.Milliseconds(), 10), strconv.FormatInt(g.s.opt.Lock.Milliseconds(), 10), neverByWriters)
	}
}

// lookUp queues the locks and reads that decisions need; false when none is
// needed. Locks are taken in one order by all writers.
func (g *group) lookUp(b *pgx.Batch) bool {
	h := &g.held
	before := b.Len()
	h.contacts = make(map[key]*contact)
	h.configs = make(map[message.WorkspaceID]int64)
	h.leases = make(map[message.ConnectorID]lease)
	h.idem = make(map[key]*remembered)
	h.identities = make(map[key]message.ContactID)
	h.dedup = make(map[key]bool)
	h.refs = make(map[key][]store.OpenRef)
	h.versions = make(map[key]int32)
	idem := make(map[key]bool)
	indexes := make(map[key]bool)
	for _, a := range g.accepts {
		a.wanted(g, idem, indexes)
	}
	for _, c := range g.changes {
		if c.Guard != nil {
			h.contacts[key{c.Delivery.Workspace, c.Delivery.Contact}] = &contact{}
			h.configs[c.Delivery.Workspace] = 0
		}
		if c.Fence != nil {
			h.leases[c.Fence.Connector] = lease{}
		}
	}
	for _, r := range g.receptions {
		r.wanted(h, indexes)
	}
	refs := make(map[key]bool)
	for _, l := range g.lookups {
		for _, k := range l.names() {
			refs[k] = true
		}
	}
	if g.careful {
		g.lockNewContacts()
	}
	g.lockConfigs(b)
	g.lockLeases(b)
	g.lockContacts(b)
	g.readIdempotency(b, idem)
	g.readIdentities(b, indexes)
	g.readDedup(b)
	g.readRefs(b, refs)
	if g.careful {
		g.readMessages(b)
		g.lockDeliveries(b)
	}
	return b.Len() > before
}

// columns splits keys, sorted, into the arrays of a statement.
func columns[V any](m map[key]V) (in, id [][]byte) {
	keys := make([]key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := bytes.Compare(a.in[:], b.in[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.id[:], b.id[:])
	})
	in, id = make([][]byte, len(keys)), make([][]byte, len(keys))
	for i := range keys {
		in[i], id[i] = keys[i].in[:], keys[i].id[:]
	}
	return in, id
}

// singles is columns for plain ids.
func singles[K ~[16]byte, V any](m map[K]V) [][]byte {
	out := make([][]byte, 0, len(m))
	for k := range m {
		out = append(out, bytes.Clone(k[:]))
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

func each(scan func(pgx.Rows) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

func (g *group) lockConfigs(b *pgx.Batch) {
	if len(g.held.configs) == 0 {
		return
	}
	b.Queue(`SELECT i.ws, c.version FROM unnest($1::bytea[]) i(ws)
		CROSS JOIN LATERAL (SELECT c.version FROM configurations c WHERE c.workspace = i.ws FOR SHARE) c`, singles(g.held.configs)).
		Query(each(func(r pgx.Rows) error {
			var ws id16
			var version int64
			err := r.Scan(&ws, &version)
			g.held.configs[message.WorkspaceID(ws)] = version
			return err
		}))
}

func (g *group) lockLeases(b *pgx.Batch) {
	if len(g.held.leases) == 0 {
		return
	}
	b.Queue(`SELECT i.c, l.token, l.expires_at, `+clock+` FROM unnest($1::bytea[]) i(c)
		CROSS JOIN LATERAL (SELECT l.token, l.expires_at FROM leases l WHERE l.connector = i.c FOR SHARE) l`, singles(g.held.leases)).
		Query(each(func(r pgx.Rows) error {
			var c id16
			var l lease
			err := r.Scan(&c, &l.token, &l.expires, &g.held.now)
			g.held.leases[message.ConnectorID(c)] = l
			return err
		}))
}

// lockContacts holds versions still until the commit: an opt-out committed
// before ours is seen, one that comes later waits (law 7).
func (g *group) lockContacts(b *pgx.Batch) {
	if len(g.held.contacts) == 0 {
		return
	}
	strength := "SHARE"
	if g.held.update {
		strength = "NO KEY UPDATE"
	}
	in, id := columns(g.held.contacts)
	b.Queue(`SELECT i.ws, i.id, c.version, c.erased_at <> 0 FROM unnest($1::bytea[], $2::bytea[]) i(ws, id)
		CROSS JOIN LATERAL (SELECT c.version, c.erased_at FROM contacts c WHERE c.workspace = i.ws AND c.id = i.id FOR `+strength+`) c`, in, id).
		Query(each(func(r pgx.Rows) error {
			var ws, id id16
			var version int64
			var erased bool
			err := r.Scan(&ws, &id, &version, &erased)
			c := g.held.contacts[key{ws, id}]
			if c != nil {
				c.version, c.erased, c.there = version, erased, true
			}
			return err
		}))
}

func (g *group) readIdentities(b *pgx.Batch, wanted map[key]bool) {
	if len(wanted) == 0 {
		return
	}
	in, idx := columns(wanted)
	b.Queue(`SELECT i.ws, i.idx, x.contact FROM unnest($1::bytea[], $2::bytea[]) i(ws, idx)
		CROSS JOIN LATERAL (SELECT x.contact FROM identities x WHERE x.workspace = i.ws AND x.idx = i.idx OFFSET 0) x`, in, idx).
		Query(each(func(r pgx.Rows) error {
			var ws, idx, contact id16
			err := r.Scan(&ws, &idx, &contact)
			g.held.identities[key{ws, idx}] = message.ContactID(contact)
			return err
		}))
}

// lockNewContacts has the ids of new contacts looked up too.
func (g *group) lockNewContacts() {
	for _, a := range g.accepts {
		if n := a.NewContact; n != nil {
			g.held.contacts[key{n.Workspace, n.ID}] = &contact{}
		}
	}
	for _, r := range g.receptions {
		if n := r.NewContact; n != nil {
			g.held.contacts[key{n.Workspace, n.ID}] = &contact{}
		}
	}
}

func (g *group) readMessages(b *pgx.Batch) {
	ids := make(map[key]bool)
	for _, a := range g.accepts {
		ids[key{a.Message.Workspace, a.Message.ID}] = true
	}
	for _, r := range g.receptions {
		ids[key{r.Message.Workspace, r.Message.ID}] = true
	}
	in, id := columns(ids)
	b.Queue(`SELECT i.ws, i.id FROM unnest($1::bytea[], $2::bytea[]) i(ws, id)
		CROSS JOIN LATERAL (SELECT 1 FROM messages x WHERE x.workspace = i.ws AND x.id = i.id OFFSET 0) x`, in, id).
		Query(each(func(r pgx.Rows) error {
			var k key
			err := r.Scan((*id16)(&k.in), (*id16)(&k.id))
			g.messages[k] = true
			return err
		}))
}

// decide gives every item its verdict; nothing is written yet.
func (g *group) decide() {
	for _, a := range g.accepts {
		g.decideAccept(a)
	}
	for _, c := range g.changes {
		g.decideChange(c)
	}
	for _, r := range g.receptions {
		g.decideReception(r)
	}
	for _, l := range g.lookups {
		g.decideLookup(l)
	}
}

// write queues every statement of the second round trip.
func (g *group) write(b *pgx.Batch) {
	// Parked receipts go first, so that a ref opened in this group takes them.
	g.writeParked(b)
	g.writeAccepts(b)
	g.writeReceptions(b)
	g.writeChanges(b)
	g.writeCallbacks(b)
	g.events.write(b, g.s.epoch())
	g.logged = len(g.events.packs) > 0
}

// answer hands the results to the callers: the group is committed.
func (g *group) answer() {
	for _, o := range g.ops {
		switch {
		case o.accepts != nil:
			o.accepted = make([]store.AcceptResult, len(o.accepts))
		case o.changes != nil:
			o.applied = make([]store.Applied, len(o.changes))
		case o.receptions != nil:
			o.received = make([]store.Verdict, len(o.receptions))
		case o.lookups != nil:
			o.matched = make([]store.Matched, len(o.lookups))
		}
	}
	for _, a := range g.accepts {
		a.o.accepted[a.at] = a.result
	}
	for _, c := range g.changes {
		c.o.applied[c.at] = c.result
	}
	for _, r := range g.receptions {
		r.o.received[r.at] = r.result
	}
	for _, l := range g.lookups {
		l.o.matched[l.at] = l.result
	}
	for _, o := range g.ops {
		g.s.queue.finish(o, nil)
	}
}
