package sqlite

import (
	"bytes"
	"cmp"
	"slices"
)

// A generation is what is written together, and the last row of moves in it.
type generation struct {
	moves   []*move
	carried int // of moves, how many came from the generation before
	refs    []*lateRef
	last    int64
}

func (g *generation) empty() bool { return len(g.moves) == 0 && len(g.refs) == 0 && g.last == 0 }

// flushMoves writes rows of the old generation, and what this transaction staged
// to moves. Should the transaction fail, all is loaded anew.
func (w *writer) flushMoves() error {
	l := &w.moves
	written, err := w.writeOld(max(oldPace, 2*len(l.staged)))
	if err != nil {
		return err
	}
	if len(l.run) > 0 {
		l.n++
		w.buf = append(append(w.buf[:0], movesForm), l.run...)
		if err := w.c.q(`INSERT INTO moves (n, run) VALUES (?, ?)`).int(l.n).blob(w.buf).exec(); err != nil {
			return err
		}
	}
	if written == 0 {
		return nil
	}
	return w.c.q(`DELETE FROM moves WHERE n <= ?`).int(written).exec()
}

// writeOld writes some of the old generation, and gives the row of moves up to
// which all is written, once it is.
func (w *writer) writeOld(most int) (written int64, err error) {
	l := &w.moves
	if l.old.empty() {
		return 0, nil
	}
	for ; most > 0 && len(l.old.moves) > 0; l.old.moves = l.old.moves[1:] {
		m := l.old.moves[0]
		if m.written || w.latest(m.key) != m {
			continue // a later one is to be written
		}
		most--
		if m.underWay() && m.carried < carries && len(l.of) < 3*w.s.options.late {
			m.carried++
			l.young.take(m, nil)
			l.run = m.append(l.run)
			continue
		}
		if err := w.writeRow(m); err != nil {
			return 0, err
		}
	}
	for ; most > 0 && len(l.old.refs) > 0; l.old.refs = l.old.refs[1:] {
		r := l.old.refs[0]
		if r.gone {
			continue
		}
		most--
		if m := w.latest(moveKey{r.workspace, r.Message}); m != nil && !m.written {
			l.young.refs = append(l.young.refs, r)
			l.run = r.append(l.run)
			continue
		}
		l.dropRef(refKey{r.connector, r.Key}, func(other *lateRef) bool { return other == r })
		r.gone = false
		if err := w.writeRef(r); err != nil {
			return 0, err
		}
	}
	if len(l.old.moves) > 0 || len(l.old.refs) > 0 {
		return 0, nil
	}
	written = l.old.last
	l.old = generation{}
	return written, nil
}

// take puts a move into the generation, in place of the one before it.
func (g *generation) take(m, before *move) {
	if before != nil && before.slot < len(g.moves) && g.moves[before.slot] == before {
		m.slot = before.slot
		g.moves[m.slot] = m
		return
	}
	m.slot = len(g.moves)
	g.moves = append(g.moves, m)
	if m.carried > 0 {
		g.carried++
	}
}

// grow makes the young generation the old one.
func (l *moves) grow() {
	l.old, l.young = l.young, generation{}
	sortMoves(l.old.moves)
}

func sortMoves(list []*move) {
	slices.SortFunc(list, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.key.workspace, b.key.workspace), bytes.Compare(a.key.id[:], b.key.id[:]))
	})
}

// rest writes what is late while nothing else is to be written, in pieces, so that
// who comes next need not wait long. It reports whether all is written.
func (w *writer) rest() bool {
	for w.behind() {
		if len(w.s.queue) > 0 || len(w.s.intake) > 0 {
			return false
		}
		o := &op{run: (*writer).catchUpSome, done: make(chan error, 1)}
		w.commit([]*op{o})
		if err := <-o.done; err != nil {
			w.s.options.Log.Warn("what is to be written late could not be written", "error", err)
			return false
		}
	}
	return true
}

func (w *writer) behind() bool { return w.moves.behind.Load() || w.entries.behind.Load() }

// restPiece is how many entries are written between two looks at the queues.
const restPiece = 2048

func (w *writer) catchUpSome() error {
	if w.moves.behind.Load() {
		return w.catchUpAll()
	}
	return w.catchUpEntries(restPiece)
}
