package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

// A writer is one connection that commits groups.
type writer struct {
	s     *Store
	conn  *pgx.Conn
	stale atomic.Bool // nothing was sent for a while: the server may be another
	rest  *time.Timer // sets stale
	help  *time.Timer // calls slow
	late  bool        // it does not count as busy; guarded by the queue's mutex
}

func (w *writer) run() {
	w.rest = time.AfterFunc(time.Second, func() { w.stale.Store(true) })
	defer w.drop()
	defer w.rest.Stop()
	w.late = true
	w.help = time.AfterFunc(time.Hour, func() { w.s.queue.slow(w) })
	defer w.help.Stop()
	for {
		ops := w.s.queue.take(w, w.s.opt.Group)
		if len(ops) == 0 {
			return
		}
		w.commit(ops)
		w.s.queue.done(w)
	}
}

// commit writes ops in one transaction and tells their callers.
func (w *writer) commit(ops []*op) {
	err := w.persist(ops)
	if err == nil {
		return
	}
	if refused(err) && !errors.Is(unavailable(err), store.ErrUnavailable) || again(err) {
		if len(ops) > 1 {
			// Something in one of them is bad: find it, write the others.
			w.commit(ops[:len(ops)/2])
			w.commit(ops[len(ops)/2:])
			return
		}
	}
	err = unavailable(err)
	if errors.Is(err, store.ErrUnavailable) {
		w.s.trouble.Store(&trouble{at: w.s.now(), err: err})
	}
	for _, o := range ops {
		w.s.queue.finish(o, err)
	}
}

// A trouble is why a group could not be stored, and when.
type trouble struct {
	at  time.Time
	err error
}

// fresh is how long a trouble speaks for the present: a full disk takes small
// writes, such as Ping's, long after it refuses messages.
const fresh = time.Second

// persist runs the group until it is committed or has failed for good.
func (w *writer) persist(ops []*op) error {
	for try := 1; ; try++ {
		err := w.ready()
		if err != nil {
			return unavailable(err)
		}
		g := newGroup(w.s, ops, try > 1)
		ctx, cancel := w.s.limit(context.Background())
		err = g.run(ctx, w.conn)
		cancel()
		w.used()
		switch {
		case err == nil:
			if try == 1 && g.wary {
				w.s.wary.Add(-1)
			}
			g.answer()
			w.s.hub.committed(g.logged)
			return nil
		case w.conn.IsClosed():
			w.drop()
			if errors.Is(err, store.ErrUncertain) || try > 1 {
				return err
			}
		case try >= 3 || !again(err):
			return err
		case taken(err):
			w.s.wary.Store(waryFor)
		case moved(err):
			ctx, cancel := w.s.limit(context.Background())
			err = w.s.noticeRestore(ctx, w.conn)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// alive asks the server for a sign of life.
func (w *writer) alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opt.Wait)
	defer cancel()
	return w.conn.Ping(ctx) == nil
}

// ready connects where there is no living connection.
func (w *writer) ready() error {
	// A server that restarted while we were idle must not cost a caller the
	// certainty of its commit.
	if w.conn != nil && w.stale.Load() && !w.alive() {
		w.drop()
	}
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.s.opt.Wait)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, w.s.writer.Copy())
	if err != nil {
		return err
	}
	if err = durable(ctx, conn); err == nil {
		err = w.s.connected(ctx, conn)
	}
	if err != nil {
		_ = conn.Close(ctx)
		return err
	}
	quickly(conn.TypeMap())
	w.conn = conn
	w.used()
	return nil
}

func (w *writer) used() {
	w.stale.Store(false)
	w.rest.Reset(time.Second)
}

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx)
	w.conn = nil
}

// pipeline sends b in one round trip.
func pipeline(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	return conn.SendBatch(ctx, b).Close()
}

// abandon rolls back what a refused statement left open.
func abandon(conn *pgx.Conn, s *Store) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := s.limit(context.Background())
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		_ = conn.Close(ctx)
	}
}
