package sqlite

import (
	"errors"
	"sync/atomic"
	"time"

	zs "zombiezen.com/go/sqlite"
)

// A keeper copies the write-ahead log into the file on a connection of its
// own, while the writer goes on committing. What came in meanwhile the writer
// copies itself when it is little, since only a log that is copied to its end
// can begin anew.
type keeper struct {
	s      *Store
	c      *conn
	start  chan struct{}
	quit   chan struct{}
	ended  chan struct{}
	busy   atomic.Bool
	finish atomic.Bool // the writer is to copy the rest
}

const (
	lookEvery  = 32    // groups between two looks at the log's length
	littlePart = 1_500 // pages the writer copies without a stall worth telling

	readersWait = 20 * time.Millisecond // for a log that is twice as long as it should be
)

func newKeeper(s *Store) (*keeper, error) {
	c, err := newConn(s.path, zs.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.set("synchronous = FULL"), c.set("wal_autocheckpoint = 0")); err != nil {
		return nil, errors.Join(err, c.close())
	}
	k := &keeper{s: s, c: c, start: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	go k.serve()
	return k, nil
}

func (k *keeper) serve() {
	defer close(k.ended)
	for {
		select {
		case <-k.start:
		case <-k.quit:
			return
		}
		for range 4 {
			_, log, copied, err := k.c.checkpoint("PASSIVE")
			if err != nil {
				k.s.options.Log.Warn("the write-ahead log could not be copied", "error", err)
				break
			}
			if log-copied < littlePart {
				k.finish.Store(true)
				break
			}
		}
		k.busy.Store(false)
	}
}

func (k *keeper) stop() error {
	close(k.quit)
	<-k.ended
	return k.c.close()
}

// checkpoint gives the pages in the log and how many of them are copied; busy
// says that readers kept it from its end.
func (c *conn) checkpoint(mode string) (busy bool, log, copied int64, err error) {
	s := c.q(`PRAGMA wal_checkpoint(` + mode + `)`)
	if _, err := s.row(); err != nil {
		return false, 0, 0, err
	}
	defer s.done()
	return s.b(0), s.i(1), s.i(2), nil
}

// tidy runs between two groups.
func (w *writer) tidy() {
	k := w.s.keeper
	switch {
	case w.shred && !k.busy.Load():
		w.empty()
		return
	case k.finish.Swap(false):
		w.copyRest()
		return
	}
	if w.since++; w.since < lookEvery || k.busy.Load() {
		return
	}
	w.since = 0
	_, log, copied, err := w.c.checkpoint("NOOP")
	if err != nil || log-copied < w.s.options.copyAt {
		return
	}
	k.busy.Store(true)
	k.start <- struct{}{}
}

// copyRest copies what came into the log while the keeper copied, so that the
// next commit begins it anew. It does not while anybody reads from before: when
// that has kept it from it already, commits wait for the readers a little.
func (w *writer) copyRest() {
	_, log, _, err := w.c.checkpoint("PASSIVE")
	if err == nil && log > 2*w.s.options.copyAt {
		w.c.c.SetBusyTimeout(readersWait)
		_, _, _, err = w.c.checkpoint("RESTART")
		w.c.c.SetBusyTimeout(busyTimeout)
	}
	if err != nil && zs.ErrCode(err).ToPrimary() != zs.ResultBusy {
		w.s.options.Log.Warn("the write-ahead log could not be copied", "error", err)
	}
}

// empty cuts the write-ahead log to nothing, so that no old page of an erased
// contact stays in it. While readers need it the next tidy tries again: commits
// do not wait.
func (w *writer) empty() {
	w.c.c.SetBusyTimeout(0)
	busy, _, _, err := w.c.checkpoint("TRUNCATE")
	w.c.c.SetBusyTimeout(busyTimeout)
	if err != nil && zs.ErrCode(err).ToPrimary() != zs.ResultBusy {
		w.s.options.Log.Warn("the write-ahead log could not be emptied after an erasure", "error", err)
	}
	w.shred = busy || err != nil
}
