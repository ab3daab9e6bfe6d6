package sqlite

import (
	"encoding/binary"
	"maps"

	"github.com/parley-messaging/parley/store"
)

// An ownerEntry says whose a blind index is.
type ownerEntry struct {
	keyEntry // the index in place of a key
	contact  int64
}

// addOwner takes whose an index is into this transaction.
func (e *entries) addOwner(o *ownerEntry) {
	e.run = append(e.run, kindOwner)
	e.run = binary.AppendVarint(e.run, o.workspace)
	e.run = append(e.run, o.key[:]...)
	e.run = binary.AppendVarint(e.run, o.contact)
	e.count++
	e.mu.Lock()
	e.keepOwner(o)
	e.mu.Unlock()
}

func (e *entries) keepOwner(o *ownerEntry) {
	e.owners[o.keyEntry] = o
	e.young.owners = append(e.young.owners, o)
}

// ownersOf gives the contacts of indexes whose rows may not be written yet, 0 for
// the others. A reader that asks before its snapshot begins misses nobody; who it
// finds may be of a transaction that fails.
func (e *entries) ownersOf(workspace int64, indexes [][16]byte) []int64 {
	list := make([]int64, len(indexes))
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i, index := range indexes {
		if o := e.owners[keyEntry{workspace, index}]; o != nil {
			list[i] = o.contact
		}
	}
	return list
}

func (w *writer) writeOwner(o *ownerEntry) error {
	return w.c.q(`INSERT INTO owners (workspace, identity, contact) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET contact = excluded.contact`).
		int(o.workspace).key(o.key).int(o.contact).exec()
}

// owner gives the number of the contact an identity belongs to, 0 for none.
func (w *writer) owner(workspace int64, index [16]byte) (int64, error) {
	if o := w.entries.owners[keyEntry{workspace, index}]; o != nil { // only this goroutine changes it
		return o.contact, nil
	}
	q := w.c.q(`SELECT contact FROM owners WHERE workspace = ? AND identity = ?`).int(workspace).key(index)
	more, err := q.row()
	if err != nil || !more {
		return 0, err
	}
	defer q.done()
	return q.i(0), nil
}

// insertIdentity gives a contact an identity that is nobody else's.
func (w *writer) insertIdentity(workspace, contact int64, id *store.Identity) error {
	fresh, err := w.wrote(w.c.q(`INSERT INTO identities (contact, identity, workspace, channel, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`).
		int(contact).key(id.Index).int(workspace).text(string(id.Channel)).blob(id.Sealed).time(id.CreatedAt))
	if fresh {
		w.entries.addOwner(&ownerEntry{keyEntry{workspace, id.Index}, contact})
	}
	return err
}

// disown takes an identity from a contact, nil: all of them; it reports whether
// there was one. Nothing late is left that could bring it back.
func (w *writer) disown(contact int64, index *[16]byte) (bool, error) {
	if err := w.catchUpAllEntries(); err != nil {
		return false, err
	}
	e := &w.entries
	e.mu.Lock()
	maps.DeleteFunc(e.owners, func(_ keyEntry, o *ownerEntry) bool { return o.contact == contact && (index == nil || o.key == *index) })
	e.mu.Unlock()
	const theirs = `FROM identities WHERE contact = ?1 AND (?2 IS NULL OR identity = ?2)`
	var only []byte
	if index != nil {
		only = index[:]
	}
	err := w.c.q(`DELETE FROM owners WHERE (workspace, identity) IN (SELECT workspace, identity ` + theirs + `)`).int(contact).blob(only).exec()
	if err != nil {
		return false, err
	}
	return w.wrote(w.c.q(`DELETE ` + theirs).int(contact).blob(only))
}
