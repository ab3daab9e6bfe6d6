package postgres

import (
	"context"

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

const personColumns = `c.id, c.version, c.key, c.key_version, c.created_at, c.erased_at, c.profile`

func scanPerson(r pgx.Rows, ws message.WorkspaceID, more ...any) (*store.Person, error) {
	p := &store.Person{Workspace: ws}
	var created, erased int64
	err := r.Scan(append([]any{(*id16)(&p.ID), &p.Version, &p.Key, &p.KeyVersion, &created, &erased, &p.Profile}, more...)...)
	p.CreatedAt, p.ErasedAt = instant(created), instant(erased)
	return p, err
}

// people reads contacts of one workspace and all that hangs on them.
func (s *Store) people(ctx context.Context, ws message.WorkspaceID, sql string, args ...any) (list []*store.Person, err error) {
	err = s.reading(ctx, func(tx pgx.Tx) error {
		list = nil
		err := find(ctx, tx, func(r pgx.Rows) error {
			p, err := scanPerson(r, ws)
			list = append(list, p)
			return err
		}, sql, args...)
		if err != nil {
			return err
		}
		return fill(ctx, tx, ws, list, nil)
	})
	return list, err
}

// fill reads what hangs on people, and the suppressions and reach of loose,
// people without a contact by index.
func fill(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, list []*store.Person, loose map[[16]byte]*store.Person) error {
	of := make(map[message.ContactID][]*store.Person)
	var contacts [][]byte
	for _, p := range list {
		if of[p.ID] == nil {
			contacts = append(contacts, p.ID[:])
		}
		of[p.ID] = append(of[p.ID], p)
	}
	behind := make(map[[16]byte][]*store.Person)
	for index, p := range loose {
		behind[index] = []*store.Person{p}
	}
	if len(contacts) > 0 {
		err := find(ctx, tx, func(r pgx.Rows) error {
			var x store.Identity
			var id message.ContactID
			var created int64
			err := r.Scan((*id16)(&id), (*id16)(&x.Index), &x.Channel, &x.Sealed, &created)
			x.CreatedAt = instant(created)
			for _, p := range of[id] {
				p.Identities = append(p.Identities, x)
			}
			behind[x.Index] = of[id]
			return err
		}, `SELECT x.contact, x.idx, x.channel, x.sealed, x.created_at FROM unnest($2::bytea[]) i(id)
			CROSS JOIN LATERAL (SELECT * FROM identities x WHERE x.workspace = $1 AND x.contact = i.id OFFSET 0) x ORDER BY x.created_at, x.idx`, ws[:], contacts)
		if err != nil {
			return err
		}
		err = find(ctx, tx, func(r pgx.Rows) error {
			var w store.Window
			var id message.ContactID
			var opened, closes int64
			err := r.Scan((*id16)(&id), (*id16)(&w.Identity), (*id16)(&w.Sender), &w.Kind, (*id16)(&w.OpenedBy), &opened, &closes)
			w.OpenedAt, w.ClosesAt = instant(opened), instant(closes)
			for _, p := range of[id] {
				p.Windows = append(p.Windows, w)
			}
			return err
		}, `SELECT w.contact, w.identity, w.sender, w.kind, w.opened_by, w.opened_at, w.closes_at FROM unnest($2::bytea[]) i(id)
			CROSS JOIN LATERAL (SELECT * FROM windows w WHERE w.workspace = $1 AND w.contact = i.id OFFSET 0) w ORDER BY w.contact, w.identity, w.sender, w.kind`, ws[:], contacts)
		if err != nil {
			return err
		}
	}
	return limits(ctx, tx, ws, behind)
}

// limits reads the suppressions and the reach of indexes.
func limits(ctx context.Context, tx pgx.Tx, ws message.WorkspaceID, behind map[[16]byte][]*store.Person) error {
	if len(behind) == 0 {
		return nil
	}
	indexes := singles(behind)
	err := find(ctx, tx, func(r pgx.Rows) error {
		x := store.Suppression{Workspace: ws}
		var at int64
		err := r.Scan((*id16)(&x.Index), &x.Scope, &x.Reason, &at)
		x.At = instant(at)
		for _, p := range behind[x.Index] {
			p.Suppressed = append(p.Suppressed, x)
		}
		return err
	}, `SELECT x.idx, x.scope, x.reason, x.at FROM unnest($2::bytea[]) i(idx)
		CROSS JOIN LATERAL (SELECT * FROM suppressions x WHERE x.workspace = $1 AND x.idx = i.idx OFFSET 0) x ORDER BY x.idx, x.scope`, ws[:], indexes)
	if err != nil {
		return err
	}
	return find(ctx, tx, func(r pgx.Rows) error {
		var x store.Reach
		var until int64
		err := r.Scan((*id16)(&x.Index), &x.Channel, &x.Code, &until)
		x.Until = instant(until)
		for _, p := range behind[x.Index] {
			p.Reach = append(p.Reach, x)
		}
		return err
	}, `SELECT x.idx, x.channel, x.code, x.until FROM unnest($2::bytea[]) i(idx)
		CROSS JOIN LATERAL (SELECT * FROM reaches x WHERE x.workspace = $1 AND x.idx = i.idx OFFSET 0) x ORDER BY x.idx, x.channel`, ws[:], indexes)
}

// Resolve implements store.Contacts. An index without a contact that is
// suppressed gives a Person without id.
func (s *Store) Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*store.Person, error) {
	out := make([]*store.Person, len(indexes))
	if len(indexes) == 0 {
		return out, nil
	}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		clear(out)
		var list []*store.Person
		err := find(ctx, tx, func(r pgx.Rows) error {
			var n int
			p, err := scanPerson(r, ws, &n)
			if err == nil {
				out[n-1] = p
				list = append(list, p)
			}
			return err
		}, `SELECT `+personColumns+`, i.n FROM unnest($2::bytea[]) WITH ORDINALITY i(idx, n)
			CROSS JOIN LATERAL (SELECT x.contact FROM identities x WHERE x.workspace = $1 AND x.idx = i.idx OFFSET 0) x
			CROSS JOIN LATERAL (SELECT * FROM contacts c WHERE c.workspace = $1 AND c.id = x.contact OFFSET 0) c`, ws[:], ids(indexes))
		if err != nil {
			return err
		}
		loose := make(map[[16]byte]*store.Person)
		for i, p := range out {
			if p == nil {
				if loose[indexes[i]] == nil {
					loose[indexes[i]] = &store.Person{Workspace: ws}
				}
				out[i] = loose[indexes[i]]
			}
		}
		return fill(ctx, tx, ws, list, loose)
	})
	if err != nil {
		return nil, err
	}
	for i, p := range out {
		if p.ID.IsZero() && len(p.Suppressed) == 0 {
			out[i] = nil
		}
	}
	return out, nil
}

// Contact implements store.Contacts.
func (s *Store) Contact(ctx context.Context, ws message.WorkspaceID, id message.ContactID) (*store.Person, error) {
	list, err := s.people(ctx, ws, `SELECT `+personColumns+` FROM contacts c WHERE c.workspace = $1 AND c.id = $2`, ws[:], id[:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// ContactList implements store.Contacts.
func (s *Store) ContactList(ctx context.Context, ws message.WorkspaceID, before message.ContactID, limit int) ([]*store.Person, error) {
	q := &statement{}
	q.add(`SELECT `, personColumns, ` FROM contacts c WHERE c.workspace = `, q.arg(ws[:]), ` AND c.erased_at = 0`)
	if !before.IsZero() {
		q.add(` AND c.id < `, q.arg(before[:]))
	}
	q.add(` ORDER BY c.id DESC LIMIT `, q.arg(limit))
	return s.people(ctx, ws, q.text.String(), q.args...)
}

// RewrapContacts implements store.Contacts.
func (s *Store) RewrapContacts(ctx context.Context, ws message.WorkspaceID, below int32, limit int) ([]*store.Person, error) {
	return s.people(ctx, ws, `SELECT `+personColumns+` FROM contacts c
		WHERE c.workspace = $1 AND c.key_version < $2 AND c.key IS NOT NULL ORDER BY c.key_version LIMIT $3`, ws[:], below, limit)
}
