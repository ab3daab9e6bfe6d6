package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// reading runs f on one snapshot.
func (s *Store) reading(ctx context.Context, f func(tx pgx.Tx) error) error {
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	within, cancel := s.limit(ctx)
	defer cancel()
	tx, err := c.BeginTx(within, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s.readFailed(ctx, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(within)) }()
	return s.readFailed(ctx, f(tx))
}

// find runs one statement of a snapshot and calls scan for each row.
func find(ctx context.Context, tx pgx.Tx, scan func(pgx.Rows) error, sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return each(scan)(rows)
}

// personSQL reads people and all that hangs on them with one statement: their
// cost is that of the round trip. It is to be filled with a SELECT of the columns
// of p; idx is an index somebody asked for, id is NULL where nobody has it. The
// workspace of identities is looked at behind their contact: the planner has
// been seen to go through all of a workspace's instead of a contact's.
const personSQL = `WITH p (n, idx, id, version, key, key_version, created_at, erased_at, profile) AS MATERIALIZED (%s),
	ids AS MATERIALIZED (SELECT DISTINCT id FROM p WHERE id IS NOT NULL),
	x AS MATERIALIZED (SELECT x.* FROM ids CROSS JOIN LATERAL (SELECT * FROM identities x WHERE x.contact = ids.id OFFSET 0) x WHERE x.workspace = $1),
	k AS MATERIALIZED (SELECT idx FROM x UNION SELECT idx FROM p WHERE id IS NULL)
	SELECT 0::smallint, n, id, key, profile, NULL::bytea, ''::text, ''::text, version, key_version::bigint, created_at, erased_at FROM p WHERE id IS NOT NULL
	UNION ALL SELECT 1, 0, contact, idx, sealed, NULL, channel, '', created_at, 0, 0, 0 FROM x
	UNION ALL SELECT 2, 0, w.contact, w.identity, w.sender, w.opened_by, w.kind, '', w.opened_at, w.closes_at, 0, 0 FROM ids
		CROSS JOIN LATERAL (SELECT * FROM windows w WHERE w.workspace = $1 AND w.contact = ids.id OFFSET 0) w
	UNION ALL SELECT 3, 0, s.idx, NULL, NULL, NULL, s.scope, s.reason, s.at, 0, 0, 0 FROM k
		CROSS JOIN LATERAL (SELECT * FROM suppressions s WHERE s.workspace = $1 AND s.idx = k.idx OFFSET 0) s
	UNION ALL SELECT 4, 0, r.idx, NULL, NULL, NULL, r.channel, r.code, r.until, 0, 0, 0 FROM k
		CROSS JOIN LATERAL (SELECT * FROM reaches r WHERE r.workspace = $1 AND r.idx = k.idx OFFSET 0) r`

// personColumns are those of p but the first two; they belong to contacts c.
const personColumns = `c.id, c.version, c.key, c.key_version, c.created_at, c.erased_at, c.profile`

// found is what personSQL gave.
type found struct {
	people       map[int64]*store.Person // by n
	of           map[message.ContactID][]*store.Person
	identities   []owned[store.Identity]
	windows      []owned[store.Window]
	suppressions []store.Suppression
	reach        []store.Reach
}

type owned[T any] struct {
	by message.ContactID
	it T
}

func (s *Store) people(ctx context.Context, ws message.WorkspaceID, sql string, args ...any) (*found, error) {
	f := &found{people: make(map[int64]*store.Person), of: make(map[message.ContactID][]*store.Person)}
	err := s.query(ctx, func(r pgx.Rows) error {
		var part int16
		var n int64
		var id id16
		var a, b, c []byte
		var text, more string
		var i [4]int64
		if err := r.Scan(&part, &n, &id, &a, &b, &c, &text, &more, &i[0], &i[1], &i[2], &i[3]); err != nil {
			return err
		}
		who := message.ContactID(id)
		switch part {
		case 0:
			p := &store.Person{Workspace: ws, ID: who, Version: i[0], Key: a, KeyVersion: int32(i[1]), CreatedAt: instant(i[2]), ErasedAt: instant(i[3]), Profile: b}
			f.people[n], f.of[who] = p, append(f.of[who], p)
		case 1:
			f.identities = append(f.identities, owned[store.Identity]{who, store.Identity{Index: as16(a), Channel: message.Channel(text), Sealed: b, CreatedAt: instant(i[0])}})
		case 2:
			f.windows = append(f.windows, owned[store.Window]{who, store.Window{
				Identity: as16(a), Sender: as16(b), Kind: text, OpenedBy: as16(c), OpenedAt: instant(i[0]), ClosesAt: instant(i[1]),
			}})
		case 3:
			f.suppressions = append(f.suppressions, store.Suppression{Workspace: ws, Index: id, Scope: text, Reason: more, At: instant(i[0])})
		case 4:
			f.reach = append(f.reach, store.Reach{Index: id, Channel: message.Channel(text), Code: more, Until: instant(i[0])})
		}
		return nil
	}, fmt.Sprintf(personSQL, sql), args...)
	return f, err
}

// as16 gives an id of 16 bytes; NULL is the zero value.
func as16(b []byte) (id [16]byte) {
	copy(id[:], b)
	return id
}

// fill hangs what was found on the people, and the suppressions and reach of
// indexes without a contact on loose.
func (f *found) fill(loose map[[16]byte]*store.Person) {
	slices.SortFunc(f.identities, func(a, b owned[store.Identity]) int {
		return cmp.Or(a.it.CreatedAt.Compare(b.it.CreatedAt), bytes.Compare(a.it.Index[:], b.it.Index[:]))
	})
	slices.SortFunc(f.windows, func(a, b owned[store.Window]) int {
		return cmp.Or(bytes.Compare(a.it.Identity[:], b.it.Identity[:]), bytes.Compare(a.it.Sender[:], b.it.Sender[:]), cmp.Compare(a.it.Kind, b.it.Kind))
	})
	slices.SortFunc(f.suppressions, func(a, b store.Suppression) int {
		return cmp.Or(bytes.Compare(a.Index[:], b.Index[:]), cmp.Compare(a.Scope, b.Scope))
	})
	slices.SortFunc(f.reach, func(a, b store.Reach) int {
		return cmp.Or(bytes.Compare(a.Index[:], b.Index[:]), cmp.Compare(a.Channel, b.Channel))
	})
	behind := make(map[[16]byte][]*store.Person, len(loose)+len(f.identities))
	for index, p := range loose {
		behind[index] = []*store.Person{p}
	}
	for _, x := range f.identities {
		behind[x.it.Index] = f.of[x.by]
		for _, p := range f.of[x.by] {
			p.Identities = append(p.Identities, x.it)
		}
	}
	for _, w := range f.windows {
		for _, p := range f.of[w.by] {
			p.Windows = append(p.Windows, w.it)
		}
	}
	for _, x := range f.suppressions {
		for _, p := range behind[x.Index] {
			p.Suppressed = append(p.Suppressed, x)
		}
	}
	for _, x := range f.reach {
		for _, p := range behind[x.Index] {
			p.Reach = append(p.Reach, x)
		}
	}
}

// list gives people in the order of their numbers.
func (f *found) list() []*store.Person {
	f.fill(nil)
	var out []*store.Person
	for _, n := range slices.Sorted(maps.Keys(f.people)) {
		out = append(out, f.people[n])
	}
	return out
}

// Resolve implements store.Contacts. An index without a contact that is
// suppressed gives a Person without id.
func (s *Store) Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*store.Person, error) {
	out := make([]*store.Person, len(indexes))
	if len(indexes) == 0 {
		return out, nil
	}
	f, err := s.people(ctx, ws, `SELECT i.n, i.idx, `+personColumns+` FROM unnest($2::bytea[]) WITH ORDINALITY i(idx, n)
		LEFT JOIN LATERAL (SELECT x.contact FROM identities x WHERE x.workspace = $1 AND x.idx = i.idx OFFSET 0) x ON true
		LEFT JOIN LATERAL (SELECT * FROM contacts c WHERE c.workspace = $1 AND c.id = x.contact OFFSET 0) c ON true`, ws[:], ids(indexes))
	if err != nil {
		return nil, err
	}
	loose := make(map[[16]byte]*store.Person)
	for i, index := range indexes {
		if out[i] = f.people[int64(i+1)]; out[i] == nil {
			if loose[index] == nil {
				loose[index] = &store.Person{Workspace: ws}
			}
			out[i] = loose[index]
		}
	}
	f.fill(loose)
	for i, p := range out {
		if p.ID.IsZero() && len(p.Suppressed) == 0 {
			out[i] = nil
		}
	}
	return out, nil
}

// Contact implements store.Contacts.
func (s *Store) Contact(ctx context.Context, ws message.WorkspaceID, id message.ContactID) (*store.Person, error) {
	f, err := s.people(ctx, ws, `SELECT 1::bigint, NULL::bytea, `+personColumns+` FROM contacts c WHERE c.workspace = $1 AND c.id = $2`, ws[:], id[:])
	if err != nil {
		return nil, err
	}
	if len(f.people) == 0 {
		return nil, store.ErrNotFound
	}
	return f.list()[0], nil
}

// ContactList implements store.Contacts.
func (s *Store) ContactList(ctx context.Context, ws message.WorkspaceID, before message.ContactID, limit int) ([]*store.Person, error) {
	q := &statement{}
	q.add(`SELECT row_number() OVER (ORDER BY c.id DESC), NULL::bytea, c.* FROM (SELECT `, personColumns, ` FROM contacts c WHERE c.workspace = `, q.arg(ws[:]), ` AND c.erased_at = 0`)
	if !before.IsZero() {
		q.add(` AND c.id < `, q.arg(before[:]))
	}
	q.add(` ORDER BY c.id DESC LIMIT `, q.arg(limit), `) c`)
	f, err := s.people(ctx, ws, q.text.String(), q.args...)
	if err != nil {
		return nil, err
	}
	return f.list(), nil
}

// RewrapContacts implements store.Contacts.
func (s *Store) RewrapContacts(ctx context.Context, ws message.WorkspaceID, below int32, limit int) ([]*store.Person, error) {
	f, err := s.people(ctx, ws, `SELECT row_number() OVER (ORDER BY c.key_version), NULL::bytea, c.* FROM (SELECT `+personColumns+` FROM contacts c
		WHERE c.workspace = $1 AND c.key_version < $2 AND c.key IS NOT NULL ORDER BY c.key_version LIMIT $3) c`, ws[:], below, limit)
	if err != nil {
		return nil, err
	}
	return f.list(), nil
}
