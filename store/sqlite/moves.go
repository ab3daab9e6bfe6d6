package sqlite

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const (
	// youngMoves is how many deliveries gather before their rows are written.
	youngMoves = 4096
	// oldPace is how many of those a commit writes at least.
	oldPace = 128
	// carries is how often those under way wait for another generation: the next
	// change is near.
	carries = 3
	// restAfter is how long nothing is written before all of them are.
	restAfter = time.Second
)

// A move is a delivery as a change left it. It is durable in the table moves and
// in memory before its row in deliveries says so: a message moves four times
// within a moment, each time in and out of indexes, and only the last of it is
// worth a row.
//
// It never changes once it is committed, but for row.
type move struct {
	key       moveKey
	state     int64
	version   int64
	connector int64
	priority  int64
	place     rowPlace
	track     []byte
	row       *rowPlace // what deliveries holds, nil = nothing; under moves.mu
	written   bool      // to deliveries, maybe not committed yet; the writer's
	slot      int       // in its generation
	carried   int       // from one generation to the next
}

type moveKey struct {
	workspace int64
	id        message.MessageID
}

// A rowPlace is where a row of deliveries stands in the indexes.
type rowPlace struct {
	connector      int64
	ready, sending bool
	due            int64
}

// A lateRef is an open ref that may not be in refs yet.
type lateRef struct {
	store.OpenRef
	connector, workspace int64
	gone                 bool // closed, or written to refs
	read                 bool // after a stop: it may be in refs already
}

type refKey struct {
	connector int64
	key       message.RefKey
}

// moves are all that tables do not hold yet. Readers see what is committed.
type moves struct {
	mu      sync.RWMutex
	of      map[moveKey]*move
	coming  []*move      // of a commit on its way
	commits atomic.Int64 // that were told to readers

	behind atomic.Bool // the tables do not hold all

	// The writer's alone; loaded anew after a rollback.
	n      int64 // number of the last row of moves
	staged []*move
	at     map[moveKey]*move // of staged
	run    []byte            // what this transaction writes to moves
	wrote  []*move           // to deliveries by this transaction
	refs   map[refKey][]*lateRef
	young  generation
	old    generation // what is left of the one being written, some with each commit
}

// latest gives what a delivery is by now, nil when only its row knows.
func (w *writer) latest(key moveKey) *move {
	if m := w.moves.at[key]; m != nil {
		return m
	}
	return w.moves.of[key] // only this goroutine changes it
}

// rowOf gives what deliveries holds within this transaction.
func (m *move) rowOf() *rowPlace {
	if m.written {
		return &m.place
	}
	return m.row
}

// underWay reports whether an attempt was begun whose end is near.
func (m *move) underWay() bool {
	return m.place.sending || message.State(m.state) == message.Sent
}

// version gives what is known of a delivery before it is changed; ok is false
// when there is none.
func (w *writer) version(key moveKey) (version int64, row *rowPlace, ok bool, err error) {
	if m := w.latest(key); m != nil {
		return m.version, m.rowOf(), true, nil
	}
	q := w.c.q(`SELECT version, connector, ready, sending, due_at FROM deliveries WHERE workspace = ? AND id = ?`).int(key.workspace).key(key.id)
	more, err := q.row()
	if err != nil || !more {
		return 0, nil, false, err
	}
	defer q.done()
	return q.i(0), &rowPlace{connector: q.i(1), ready: q.b(2), sending: q.b(3), due: q.i(4)}, true, nil
}

// stage takes a change of a delivery into this transaction.
func (w *writer) stage(workspace, connector int64, d *message.Delivery, ready bool, row *rowPlace) {
	w.buf = d.AppendTrack(w.buf[:0])
	m := &move{
		key: moveKey{workspace, d.ID}, state: int64(d.State), version: int64(d.Version), connector: connector, priority: int64(d.Purpose.Priority()),
		place: rowPlace{connector: connector, ready: ready, sending: sending(d), due: micros(d.Due)},
		track: bytes.Clone(w.buf), row: row,
	}
	l := &w.moves
	l.staged = append(l.staged, m)
	l.at[m.key] = m
	l.run = m.append(l.run)
}

// stageOpen takes a new ref into this transaction.
func (w *writer) stageOpen(r *store.OpenRef, connector, workspace int64) {
	ref := &lateRef{OpenRef: *r, connector: connector, workspace: workspace}
	w.moves.keepRef(ref)
	w.moves.run = ref.append(w.moves.run)
}

// keepRef holds a ref that is to be written, in place of an equal one.
func (l *moves) keepRef(ref *lateRef) {
	key := refKey{ref.connector, ref.Key}
	l.dropRef(key, func(r *lateRef) bool {
		return r.Message == ref.Message && r.Step == ref.Step && r.Attempt == ref.Attempt && r.Part == ref.Part
	})
	l.refs[key] = append(l.refs[key], ref)
	l.young.refs = append(l.young.refs, ref)
}

// stageClose closes what a message has open under a key; sure says that none of
// it is in refs.
func (w *writer) stageClose(connector int64, key message.RefKey, id message.MessageID) (sure bool) {
	w.moves.run = appendClose(w.moves.run, connector, key, id)
	return w.moves.dropRef(refKey{connector, key}, func(r *lateRef) bool { return r.Message == id })
}

// dropRef gives up refs; sure says that it found some and that none of them is
// in refs.
func (l *moves) dropRef(key refKey, which func(*lateRef) bool) (sure bool) {
	list := l.refs[key]
	found, read := false, false
	kept := list[:0]
	for _, r := range list {
		if which(r) {
			r.gone, found, read = true, true, read || r.read
		} else {
			kept = append(kept, r)
		}
	}
	switch {
	case len(kept) > 0:
		l.refs[key] = kept
	case found:
		delete(l.refs, key)
	}
	return found && !read
}

// catchUpAll writes everything, so that the tables hold all.
func (w *writer) catchUpAll() error {
	l := &w.moves
	var list []*move
	for key, m := range l.of {
		if !m.written && l.at[key] == nil {
			list = append(list, m)
		}
	}
	for _, m := range l.staged {
		if !m.written && l.at[m.key] == m {
			list = append(list, m)
		}
	}
	sortMoves(list)
	for _, m := range list {
		if err := w.writeRow(m); err != nil {
			return err
		}
	}
	if err := w.catchUpRefs(); err != nil {
		return err
	}
	l.young, l.old, l.run = generation{}, generation{}, l.run[:0]
	return w.c.q(`DELETE FROM moves`).exec()
}

// catchUpRefs writes all refs.
func (w *writer) catchUpRefs() error {
	for _, list := range w.moves.refs {
		for _, r := range list {
			if err := w.writeRef(r); err != nil {
				return err
			}
		}
	}
	clear(w.moves.refs)
	return nil
}

// catchUpNamed writes the refs that a lookup names: there is hardly ever one, and
// the others may be closed before they need a row.
func (w *writer) catchUpNamed(l *store.Lookup) error {
	connector := w.names.find(l.Connector)
	for _, k := range l.Keys {
		key := refKey{connector, k}
		for _, r := range w.moves.refs[key] {
			if err := w.writeRef(r); err != nil {
				return err
			}
		}
		delete(w.moves.refs, key)
	}
	return nil
}

func (w *writer) writeRow(m *move) error {
	row := m.rowOf()
	m.written = true
	w.moves.wrote = append(w.moves.wrote, m)
	switch {
	case row == nil:
		return w.c.q(`INSERT INTO deliveries (workspace, id, state, version, connector, priority, ready, sending, due_at, track)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).
			int(m.key.workspace).key(m.key.id).int(m.state).int(m.version).int(m.connector).
			int(m.priority).bool(m.place.ready).bool(m.place.sending).int(m.place.due).blob(m.track).exec()
	case *row == m.place: // no index changes
		return w.c.q(`UPDATE deliveries SET state = ?, version = ?, track = ? WHERE workspace = ? AND id = ?`).
			int(m.state).int(m.version).blob(m.track).int(m.key.workspace).key(m.key.id).exec()
	default:
		return w.c.q(`UPDATE deliveries SET state = ?, version = ?, connector = ?, ready = ?, sending = ?, due_at = ?, track = ?
			WHERE workspace = ? AND id = ?`).
			int(m.state).int(m.version).int(m.connector).bool(m.place.ready).bool(m.place.sending).int(m.place.due).blob(m.track).
			int(m.key.workspace).key(m.key.id).exec()
	}
}

func (w *writer) writeRef(r *lateRef) error {
	if r.gone {
		return nil
	}
	r.gone = true
	return w.insertRef(&r.OpenRef, r.connector, r.workspace)
}

// leave is called before a commit.
func (l *moves) leave() {
	if len(l.staged) > 0 {
		l.mu.Lock()
		l.coming = slices.Clone(l.staged)
		l.mu.Unlock()
	}
}

// moved lets readers see what was committed.
func (l *moves) moved(most int) {
	if len(l.staged) > 0 || len(l.wrote) > 0 {
		l.mu.Lock()
		l.coming = nil
		l.commits.Add(1)
		for _, m := range l.staged {
			if !m.written {
				l.young.take(m, l.of[m.key])
			}
			l.of[m.key] = m
		}
		for _, m := range l.wrote {
			m.row = &m.place
			if l.of[m.key] == m {
				delete(l.of, m.key)
			}
		}
		l.mu.Unlock()
	}
	if len(l.run) > 0 {
		l.young.last = l.n
	}
	if len(l.young.moves)-l.young.carried >= most && l.old.empty() {
		l.grow()
	}
	l.forget()
}

// forget ends a transaction.
func (l *moves) forget() {
	clear(l.staged)
	clear(l.wrote)
	clear(l.at)
	l.staged, l.wrote, l.run = l.staged[:0], l.wrote[:0], l.run[:0]
	l.behind.Store(len(l.of) > 0 || len(l.refs) > 0 || !l.old.empty() || !l.young.empty())
}

// loadMoves reads what tables do not hold yet: after a rollback, and after a
// stop that gave no time to write it.
func (w *writer) loadMoves() error {
	l := &w.moves
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of, l.at, l.refs = make(map[moveKey]*move), make(map[moveKey]*move), make(map[refKey][]*lateRef)
	l.young, l.old, l.n, l.coming = generation{}, generation{}, 0, nil
	q := w.c.q(`SELECT n, run FROM moves ORDER BY n`)
	for {
		more, err := q.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		l.n = q.i(0)
		l.young.last = l.n
		if err := l.replay(q.bytes(1), w.s.names); err != nil {
			q.done()
			return err
		}
	}
	for key, m := range l.of {
		q := w.c.q(`SELECT version, connector, ready, sending, due_at FROM deliveries WHERE workspace = ? AND id = ?`).int(key.workspace).key(key.id)
		more, err := q.row()
		if err != nil {
			return err
		}
		switch {
		case !more:
		case q.i(0) >= m.version:
			delete(l.of, key)
		default:
			m.row = &rowPlace{connector: q.i(1), ready: q.b(2), sending: q.b(3), due: q.i(4)}
		}
		q.done()
	}
	for _, m := range l.of {
		l.young.take(m, nil)
	}
	l.forget()
	return nil
}
