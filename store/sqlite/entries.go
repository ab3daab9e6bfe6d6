package sqlite

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-messaging/parley/message"
)

const (
	// entriesOfMoves is how many entries gather for each delivery that does, before
	// they are written: 32,768. With a million messages stored two or three of them
	// then share a page.
	entriesOfMoves = 8
	// entriesPace is how many of them a commit writes at least.
	entriesPace = 256
)

// entries are rows of tables whose order is not that of time. They are durable in
// the table of the same name and in memory before they are where they belong.
type entries struct {
	mu      sync.RWMutex
	answers map[keyEntry]int64       // by idempotency key; those of a commit on its way too
	owners  map[keyEntry]*ownerEntry // by blind index; likewise
	behind  atomic.Bool              // the tables do not hold all

	// The writer's alone; loaded anew after a rollback.
	n     int64         // number of the last row of entries
	run   []byte        // what this transaction writes to entries
	count int           // of what it added
	gone  []keyAnswer   // written to their table by this transaction
	moot  []*ownerEntry // likewise
	young entryGeneration
	old   entryGeneration // what is left of the one being written
}

type entryGeneration struct {
	keys   []keyAnswer
	people []personEntry
	owners []*ownerEntry
	last   int64
}

func (g *entryGeneration) size() int { return len(g.keys) + len(g.people) + len(g.owners) }

func (g *entryGeneration) empty() bool { return g.size() == 0 && g.last == 0 }

// A keyEntry is an idempotency key.
type keyEntry struct {
	workspace int64
	key       [16]byte
}

type keyAnswer struct {
	keyEntry
	answer int64
}

// A personEntry says that a message is a contact's.
type personEntry struct {
	contact int64
	message message.MessageID
}

// answerOf gives the answer of a key that its table may not hold yet.
func (e *entries) answerOf(k keyEntry) (int64, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	n, ok := e.answers[k]
	return n, ok
}

// addKey takes an idempotency key into this transaction.
func (e *entries) addKey(k keyEntry, answer int64) {
	e.run = append(e.run, kindKey)
	e.run = binary.AppendVarint(e.run, k.workspace)
	e.run = append(e.run, k.key[:]...)
	e.run = binary.AppendVarint(e.run, answer)
	e.count++
	e.mu.Lock()
	e.keepKey(keyAnswer{k, answer})
	e.mu.Unlock()
}

func (e *entries) keepKey(k keyAnswer) {
	e.answers[k.keyEntry] = k.answer
	e.young.keys = append(e.young.keys, k)
}

// addPerson takes a contact's message into this transaction.
func (e *entries) addPerson(p personEntry) {
	e.run = append(e.run, kindPerson)
	e.run = binary.AppendVarint(e.run, p.contact)
	e.run = append(e.run, p.message[:]...)
	e.count++
	e.young.people = append(e.young.people, p)
}

const (
	entriesForm = 1
	kindKey     = 'k' // workspace, key, number of the answer
	kindPerson  = 'm' // contact, message
	kindOwner   = 'o' // workspace, blind index, contact
)

var errEntries = errors.New("a row of entries cannot be read")

func (e *entries) replay(b []byte) error {
	r := runReader{b: b}
	if r.byte() != entriesForm {
		return errEntries
	}
	for len(r.b) > 0 && !r.bad {
		switch r.byte() {
		case kindKey:
			k := keyAnswer{keyEntry{r.varint(), r.id()}, r.varint()}
			if !r.bad {
				e.keepKey(k)
			}
		case kindPerson:
			p := personEntry{r.varint(), r.id()}
			if !r.bad {
				e.young.people = append(e.young.people, p)
			}
		case kindOwner:
			o := &ownerEntry{keyEntry{r.varint(), r.id()}, r.varint()}
			if !r.bad {
				e.keepOwner(o)
			}
		default:
			return errEntries
		}
	}
	if r.bad {
		return errEntries
	}
	return nil
}

// flushEntries writes what this transaction added to entries, and some of the old
// generation to where it belongs.
func (w *writer) flushEntries() error {
	e := &w.entries
	if len(e.run) > 0 {
		e.n++
		w.buf = append(append(w.buf[:0], entriesForm), e.run...)
		if err := w.c.q(`INSERT INTO entries (n, run) VALUES (?, ?)`).int(e.n).blob(w.buf).exec(); err != nil {
			return err
		}
		e.young.last = e.n
	}
	if e.old.empty() && e.young.size() >= entriesOfMoves*w.s.options.late {
		e.grow()
	}
	return w.writeEntries(max(entriesPace, 2*e.count))
}

// grow makes the young generation the old one.
func (e *entries) grow() {
	e.old, e.young = e.young, entryGeneration{}
	slices.SortFunc(e.old.keys, func(a, b keyAnswer) int {
		return cmp.Or(cmp.Compare(a.workspace, b.workspace), bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.answer, b.answer))
	})
	slices.SortFunc(e.old.owners, func(a, b *ownerEntry) int {
		return cmp.Or(cmp.Compare(a.workspace, b.workspace), bytes.Compare(a.key[:], b.key[:]))
	})
	slices.SortFunc(e.old.people, func(a, b personEntry) int {
		return cmp.Or(cmp.Compare(a.contact, b.contact), bytes.Compare(a.message[:], b.message[:]))
	})
}

// writeEntries writes some of the old generation.
func (w *writer) writeEntries(most int) error {
	o := &w.entries.old
	if o.empty() {
		return nil
	}
	w.clean = keyEntry{}
	for ; most > 0 && len(o.keys) > 0; o.keys = o.keys[1:] {
		k := &o.keys[0]
		err := w.c.q(`INSERT INTO idempotency (workspace, key, answer) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET answer = excluded.answer`).
			int(k.workspace).key(k.key).int(k.answer).exec()
		if err != nil {
			return err
		}
		w.entries.gone = append(w.entries.gone, *k)
		most--
	}
	for ; most > 0 && len(o.people) > 0; o.people = o.people[1:] {
		if err := w.writePerson(o.people[0]); err != nil {
			return err
		}
		most--
	}
	for ; most > 0 && len(o.owners) > 0; o.owners = o.owners[1:] {
		if err := w.writeOwner(o.owners[0]); err != nil {
			return err
		}
		w.entries.moot = append(w.entries.moot, o.owners[0])
		most--
	}
	if o.size() > 0 {
		return nil
	}
	last := o.last
	*o = entryGeneration{}
	return w.c.q(`DELETE FROM entries WHERE n <= ?`).int(last).exec()
}

func (w *writer) writePerson(p personEntry) error {
	return w.c.q(`INSERT INTO contact_messages (contact, message) VALUES (?, ?) ON CONFLICT DO NOTHING`).int(p.contact).key(p.message).exec()
}

// catchUpPerson writes what is missing of a contact's messages.
func (w *writer) catchUpPerson(contact int64) error {
	for _, list := range [][]personEntry{w.entries.old.people, w.entries.young.people} {
		for _, p := range list {
			if p.contact != contact {
				continue
			}
			if err := w.writePerson(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchUpEntries writes up to some entries.
func (w *writer) catchUpEntries(most int) error {
	if w.entries.old.empty() {
		w.entries.grow()
	}
	return w.writeEntries(most)
}

// catchUpAllEntries writes all of them, this transaction's too.
func (w *writer) catchUpAllEntries() error {
	e := &w.entries
	for !e.old.empty() || e.young.size() > 0 {
		if err := w.catchUpEntries(math.MaxInt); err != nil {
			return err
		}
	}
	e.run, e.count = e.run[:0], 0
	return nil
}

// moved ends a transaction that was committed.
func (e *entries) moved() {
	if len(e.gone)+len(e.moot) > 0 {
		e.mu.Lock()
		for _, o := range e.moot {
			if e.owners[o.keyEntry] == o { // it may have been taken away and given again
				delete(e.owners, o.keyEntry)
			}
		}
		for _, k := range e.gone {
			if e.answers[k.keyEntry] == k.answer { // an expired key may have been given again
				delete(e.answers, k.keyEntry)
			}
		}
		e.mu.Unlock()
	}
	e.run, e.gone, e.moot, e.count = e.run[:0], e.gone[:0], e.moot[:0], 0
	e.behind.Store(!e.young.empty() || !e.old.empty())
}

// loadEntries is loadMoves for entries.
func (w *writer) loadEntries() error {
	e := &w.entries
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers, e.owners = make(map[keyEntry]int64), make(map[keyEntry]*ownerEntry)
	e.young, e.old, e.n = entryGeneration{}, entryGeneration{}, 0
	e.run, e.gone, e.moot, e.count = e.run[:0], e.gone[:0], e.moot[:0], 0
	q := w.c.q(`SELECT n, run FROM entries ORDER BY n`)
	for {
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			e.behind.Store(!e.young.empty())
			return nil
		}
		e.n = q.i(0)
		e.young.last = e.n
		if err := e.replay(q.bytes(1)); err != nil {
			q.done()
			return err
		}
	}
}
