package sqlite

import (
	"context"
	"slices"
	"sync"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const personColumns = `c.n, c.id, c.workspace, c.version, c.key, c.key_version, c.created_at, c.erased_at, c.profile`

func (s *Store) personRow(q *stmt) (int64, *store.Person) {
	return q.i(0), &store.Person{
		ID: q.key16(1), Workspace: s.names.id(q.i(2)), Version: q.i(3), Key: q.bytes(4), KeyVersion: int32(q.i(5)),
		CreatedAt: q.t(6), ErasedAt: q.t(7), Profile: q.bytes(8),
	}
}

// people reads contacts and all that hangs on them.
func (s *Store) people(c *conn, q *stmt) ([]*store.Person, error) {
	var list []*store.Person
	var numbers []int64
	for {
		more, err := q.row()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		n, p := s.personRow(q)
		list, numbers = append(list, p), append(numbers, n)
	}
	for i, p := range list {
		if err := s.fill(c, numbers[i], p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *Store) fill(c *conn, n int64, p *store.Person) error {
	q := c.q(`SELECT identity, channel, sealed, created_at FROM identities WHERE contact = ? ORDER BY created_at, identity`).int(n)
	for {
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		p.Identities = append(p.Identities, store.Identity{
			Index: q.key16(0), Channel: message.Channel(q.str(1)), Sealed: q.bytes(2), CreatedAt: q.t(3),
		})
	}
	q = c.q(`SELECT identity, sender, kind, opened_by, opened_at, closes_at FROM windows WHERE contact = ?`).int(n)
	for {
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		p.Windows = append(p.Windows, store.Window{
			Identity: q.key16(0), Sender: q.key16(1), Kind: q.str(2), OpenedBy: q.key16(3), OpenedAt: q.t(4), ClosesAt: q.t(5),
		})
	}
	for i := range p.Identities {
		if err := s.limits(c, s.names.find(p.Workspace), p.Identities[i].Index, p); err != nil {
			return err
		}
	}
	return nil
}

// limits adds the suppressions and the reach of one index.
func (s *Store) limits(c *conn, workspace int64, index [16]byte, p *store.Person) error {
	q := c.q(`SELECT scope, reason, at FROM suppressions WHERE workspace = ? AND identity = ?`).int(workspace).key(index)
	for {
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		p.Suppressed = append(p.Suppressed, store.Suppression{
			Workspace: p.Workspace, Index: index, Scope: q.str(0), Reason: q.str(1), At: q.t(2),
		})
	}
	q = c.q(`SELECT channel, code, until FROM reach WHERE workspace = ? AND identity = ?`).int(workspace).key(index)
	for {
		more, err := q.row()
		if err != nil || !more {
			return err
		}
		p.Reach = append(p.Reach, store.Reach{Index: index, Channel: message.Channel(q.str(0)), Code: q.str(1), Until: q.t(2)})
	}
}

// Resolve finds people by their addresses. Who asks while another's reading runs
// shares the next one: a commit between two readings empties the connection's
// page cache, so that beginning a reading costs more than what is read.
func (s *Store) Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*store.Person, error) {
	q := &question{ws: ws, indexes: indexes, done: make(chan struct{})}
	if s.questions.ask(q) {
		go func() {
			for list := s.questions.next(); len(list) > 0; list = s.questions.next() {
				s.answer(context.WithoutCancel(ctx), list)
			}
		}()
	}
	select {
	case <-q.done:
		return q.people, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A question asks for people; questions are answered many at once.
type question struct {
	ws      message.WorkspaceID
	indexes [][16]byte
	late    []int64 // contacts of those whose rows may not be written yet
	people  []*store.Person
	err     error
	done    chan struct{}
}

type questions struct {
	mu      sync.Mutex
	waiting []*question
	busy    bool
}

// ask reports whether the caller is to see to it that what waits is answered.
func (l *questions) ask(q *question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, q)
	if l.busy {
		return false
	}
	l.busy = true
	return true
}

// next gives what waits; where that is nothing, the next to ask sees to it.
func (l *questions) next() []*question {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.waiting
	l.waiting, l.busy = nil, len(list) > 0
	return list
}

// answer reads for all who asked.
func (s *Store) answer(ctx context.Context, list []*question) {
	for _, q := range list {
		q.late = s.writer.entries.ownersOf(s.names.find(q.ws), q.indexes)
	}
	err := s.snapshot(ctx, func(c *conn) error {
		for _, q := range list {
			if q.people, q.err = s.resolve(c, q); q.err != nil {
				q.err = readError(q.err)
			}
		}
		return nil
	})
	for _, q := range list {
		if err != nil {
			q.people, q.err = nil, err
		}
		close(q.done)
	}
}

func (s *Store) resolve(c *conn, q *question) ([]*store.Person, error) {
	list := make([]*store.Person, len(q.indexes))
	workspace := s.names.find(q.ws)
	for i, index := range q.indexes {
		p, err := s.personOf(c, workspace, index, q.late[i])
		if err != nil {
			return nil, err
		}
		if p != nil {
			list[i] = p
			continue
		}
		nobody := &store.Person{Workspace: q.ws}
		if err := s.limits(c, workspace, index, nobody); err != nil {
			return nil, err
		}
		if len(nobody.Suppressed) > 0 {
			list[i] = nobody
		}
	}
	return list, nil
}

// personOf reads whose an index is, or nil. late is the contact's number where
// that may not be written yet.
func (s *Store) personOf(c *conn, workspace int64, index [16]byte, late int64) (*store.Person, error) {
	if late != 0 {
		found, err := s.people(c, c.q(`SELECT `+personColumns+` FROM contacts c WHERE c.n = ?`).int(late))
		if err != nil {
			return nil, err
		}
		// A transaction that failed may have left the number to another contact.
		if len(found) > 0 && slices.ContainsFunc(found[0].Identities, func(one store.Identity) bool { return one.Index == index }) {
			return found[0], nil
		}
	}
	found, err := s.people(c, c.q(`SELECT `+personColumns+` FROM owners o CROSS JOIN contacts c ON c.n = o.contact
		WHERE o.workspace = ? AND o.identity = ?`).int(workspace).key(index))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// Contact reads one person.
func (s *Store) Contact(ctx context.Context, ws message.WorkspaceID, id message.ContactID) (p *store.Person, err error) {
	err = s.snapshot(ctx, func(c *conn) error {
		found, err := s.people(c, c.q(`SELECT `+personColumns+` FROM contacts c WHERE c.workspace = ? AND c.id = ?`).
			int(s.names.find(ws)).key(id))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		p = found[0]
		return nil
	})
	return p, err
}

// ContactList pages through the contacts not erased, newest first.
func (s *Store) ContactList(ctx context.Context, ws message.WorkspaceID, before message.ContactID, limit int) (list []*store.Person, err error) {
	if before.IsZero() {
		before = message.ContactID(lastID)
	}
	err = s.snapshot(ctx, func(c *conn) error {
		var err error
		list, err = s.people(c, c.q(`SELECT `+personColumns+` FROM contacts c WHERE c.workspace = ? AND c.id < ? AND c.erased_at = 0
			ORDER BY c.id DESC LIMIT ?`).int(s.names.find(ws)).key(before).int(int64(limit)))
		return err
	})
	return list, err
}

// RewrapContacts gives contacts whose key is wrapped under an older version.
func (s *Store) RewrapContacts(ctx context.Context, ws message.WorkspaceID, below int32, limit int) (list []*store.Person, err error) {
	err = s.snapshot(ctx, func(c *conn) error {
		var err error
		list, err = s.people(c, c.q(`SELECT `+personColumns+` FROM contacts c INDEXED BY contacts_key
			WHERE c.workspace = ? AND c.key_version < ? AND c.key IS NOT NULL LIMIT ?`).
			int(s.names.find(ws)).int(int64(below)).int(int64(limit)))
		return err
	})
	return list, err
}

// SetContactKeys stores keys wrapped anew; contacts erased meanwhile stay so.
func (s *Store) SetContactKeys(ctx context.Context, ws message.WorkspaceID, keys []store.ContactKey) error {
	return s.write(ctx, len(keys), func(w *writer) error {
		for i := range keys {
			err := w.c.q(`UPDATE contacts SET key = ?, key_version = ? WHERE workspace = ? AND id = ? AND key IS NOT NULL`).
				blob(keys[i].Key).int(int64(keys[i].Version)).int(w.names.find(ws)).key(keys[i].ID).exec()
			if err != nil {
				return err
			}
		}
		return nil
	})
}
