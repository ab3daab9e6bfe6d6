package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	zs "zombiezen.com/go/sqlite"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// An op is one caller's write. run executes inside the group's transaction and
// may run more than once (a group is repeated without an op that breaks it),
// so it sets its results anew each time. It returns only errors of SQLite:
// verdicts are results.
type op struct {
	items int
	run   func(*writer) error
	done  chan error
	state atomic.Int32 // 0 waiting, 1 taken by the writer, 2 given up by the caller
}

// writer owns the one writing connection. Everything in it is touched by its
// goroutine alone, but names, which locks.
type writer struct {
	s     *Store
	c     *conn
	names *names
	buf   []byte   // for tracks, refs and runs
	lists [][]told // for webhook runs

	// What only the writer changes, so that it need not be read again. All of
	// it is loaded anew after a rollback.
	loaded   bool
	seq      int64    // last event number given
	epoch    int64    // of the log
	answers  int64    // last number given
	clean    keyEntry // neighbours of this key are not in the table of keys
	config   map[int64]int64
	leases   map[int64]lease
	parked   int64
	reach    map[int64]int64 // last event that an endpoint has a delivery of, as far as it was asked for
	gone     map[int64]bool  // endpoints deleted in this life
	contacts map[message.ContactID]keptContact

	fresh   []*store.LogEvent // logged in this transaction
	flushed int               // how many of them are written
	copier  copier
	stale   bool // this transaction changes events the tail may hold
	since   int  // groups since the last look at the write-ahead log
	shred   bool // the log holds pages of an erased contact

	moves   moves
	entries entries
}

// A contact is what writes need to know of a person.
type contact struct {
	n       int64
	version int64
	erased  bool
}

// A keptContact is a living contact in memory, in 16 bytes beside its id.
type keptContact struct {
	n         int64
	workspace int32
	version   int32
}

const contactsKept = 100_000 // 4 to 8 MB

// write queues an op and waits for its commit.
func (s *Store) write(ctx context.Context, items int, run func(*writer) error) error {
	return s.queued(ctx, s.queue, items, run)
}

// queued is write through a queue: s.queue, or s.intake for what is new.
func (s *Store) queued(ctx context.Context, queue chan *op, items int, run func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	items = max(items, 1)
	o := &op{items: items, run: run, done: make(chan error, 1)}
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	}
	if before := s.waiting.Add(int64(items)) - int64(items); before > 0 && before+int64(items) > int64(s.options.Queue) {
		s.waiting.Add(-int64(items))
		s.gate.RUnlock()
		return fmt.Errorf("%w: %d writes wait for a commit", store.ErrUnavailable, before)
	}
	select {
	case queue <- o:
		s.gate.RUnlock()
	default:
		s.waiting.Add(-int64(items))
		s.gate.RUnlock()
		return fmt.Errorf("%w: the queue of writes is full", store.ErrUnavailable)
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(0, 2) {
			return ctx.Err()
		}
		return <-o.done
	}
}

func (w *writer) answer(o *op, err error) {
	w.s.waiting.Add(-int64(o.items))
	o.done <- err
}

// commit runs a group in one transaction. An op that SQLite refuses for its
// own sake is answered and the rest runs again without it.
func (w *writer) commit(group []*op) {
	for len(group) > 0 {
		bad, err := w.try(group)
		if err == nil {
			for _, o := range group {
				w.answer(o, nil)
			}
			return
		}
		if bad >= 0 && ownFault(err) {
			w.s.options.Log.Error("a write was refused by the database", "error", err)
			w.answer(group[bad], fmt.Errorf("store: %w", err))
			group = append(group[:bad], group[bad+1:]...)
			continue
		}
		if !errors.Is(err, store.ErrUncertain) {
			err = fmt.Errorf("%w: %v", store.ErrUnavailable, err)
		}
		for _, o := range group {
			w.answer(o, err)
		}
		return
	}
}

// try gives the index of the op that failed, -1 when it was the transaction.
func (w *writer) try(group []*op) (int, error) {
	if !w.c.c.AutocommitEnabled() { // a rollback failed before
		if err := w.c.q(`ROLLBACK`).exec(); err != nil {
			return -1, err
		}
	}
	if err := w.c.q(`BEGIN IMMEDIATE`).exec(); err != nil {
		return -1, err
	}
	w.fresh, w.flushed, w.stale = w.fresh[:0], 0, false
	if !w.loaded {
		if err := w.load(); err != nil {
			return -1, w.undo(err)
		}
	}
	for i, o := range group {
		if err := o.run(w); err != nil {
			return i, w.undo(err)
		}
	}
	if err := inTurn(w.flush, w.flushMoves, w.flushEntries); err != nil {
		return -1, w.undo(err)
	}
	w.moves.leave()
	if err := w.c.q(`COMMIT`).exec(); err != nil {
		// The frames may have reached the disk although the flush failed.
		if zs.ErrCode(err).ToPrimary() == zs.ResultIOErr {
			err = fmt.Errorf("%w: %v", store.ErrUncertain, err)
		}
		return -1, w.undo(err)
	}
	w.names.keep()
	w.moves.moved(w.s.options.late)
	w.entries.moved()
	w.told()
	return -1, nil
}

// inTurn runs steps of a transaction up to the first that fails. Nothing may
// follow a failure: SQLite may have taken the transaction back by itself, and
// what comes then is committed alone.
func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// told lets readers see what was committed.
func (w *writer) told() {
	switch {
	case w.stale:
		w.s.tail.reset(w.epoch, w.seq)
	case len(w.fresh) > 0:
		w.s.tail.add(w.fresh, w.seq)
	}
	if len(w.fresh) > 0 {
		clear(w.fresh)
		w.s.announce()
	}
}

func (w *writer) undo(cause error) error {
	if !w.c.c.AutocommitEnabled() {
		if err := w.c.q(`ROLLBACK`).exec(); err != nil {
			cause = errors.Join(cause, err)
		}
	}
	w.names.forget()
	w.loaded = false
	return cause
}

// load reads what the writer keeps in memory.
func (w *writer) load() error {
	w.contacts = make(map[message.ContactID]keptContact)
	w.config = make(map[int64]int64)
	w.reach, w.gone = make(map[int64]int64), make(map[int64]bool)
	s := w.c.q(`SELECT workspace, version FROM settings`)
	for {
		more, err := s.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		w.config[s.i(0)] = s.i(1)
	}
	w.leases = make(map[int64]lease)
	s = w.c.q(`SELECT connector, owner, token, expires_at FROM leases`)
	for {
		more, err := s.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		w.leases[s.i(0)] = lease{owner: s.str(1), token: s.i(2), expires: s.i(3)}
	}
	var err error
	if w.parked, err = w.c.count(`SELECT count(*) FROM parked`); err != nil {
		return err
	}
	if w.seq, err = w.c.count(headSQL); err != nil {
		return err
	}
	if w.epoch, err = w.c.count(`SELECT max(epoch) FROM epochs`); err != nil {
		return err
	}
	if w.answers, err = w.c.count(`SELECT coalesce(max(n), 0) FROM answers`); err != nil {
		return err
	}
	if err := errors.Join(w.loadMoves(), w.loadEntries()); err != nil {
		return err
	}
	w.loaded = true
	// Nothing is in the tail that is not in the file: a transaction that failed
	// was not told. One whose outcome is unknown may be in the file only.
	w.s.tail.reset(w.epoch, w.seq)
	return nil
}

// ownFault reports whether an error is about the op and not the database.
func ownFault(err error) bool {
	switch zs.ErrCode(err).ToPrimary() {
	case zs.ResultConstraint, zs.ResultMismatch, zs.ResultTooBig, zs.ResultRange, zs.ResultMisuse, zs.ResultError:
		return true
	default:
		return false
	}
}

// contact finds a contact, from memory where it can.
func (w *writer) contact(workspace int64, id message.ContactID) (contact, bool, error) {
	if c, ok := w.contacts[id]; ok && int64(c.workspace) == workspace {
		return contact{n: c.n, version: int64(c.version)}, true, nil
	}
	s := w.c.q(`SELECT n, version, erased_at FROM contacts WHERE workspace = ? AND id = ?`).int(workspace).key(id)
	more, err := s.row()
	if err != nil || !more {
		return contact{}, false, err
	}
	c := contact{n: s.i(0), version: s.i(1), erased: s.b(2)}
	s.done()
	w.remember(workspace, id, c)
	return c, true, nil
}

// remember keeps a contact; one that is erased is read again when it is asked for.
func (w *writer) remember(workspace int64, id message.ContactID, c contact) {
	if c.erased || c.version > math.MaxInt32 || workspace > math.MaxInt32 {
		delete(w.contacts, id)
		return
	}
	if _, ok := w.contacts[id]; !ok && len(w.contacts) >= contactsKept {
		left := max(len(w.contacts)/16, 1)
		for other := range w.contacts { // whichever come first: a map begins anywhere
			delete(w.contacts, other)
			if left--; left == 0 {
				break
			}
		}
	}
	w.contacts[id] = keptContact{n: c.n, workspace: int32(workspace), version: int32(c.version)}
}

// raise adds one to a contact's version.
func (w *writer) raise(workspace int64, id message.ContactID, c contact) error {
	c.version++
	w.remember(workspace, id, c)
	return w.c.q(`UPDATE contacts SET version = ? WHERE n = ?`).int(c.version).int(c.n).exec()
}
