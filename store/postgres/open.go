package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-messaging/parley/store"
)

// A Store is a database shared by the nodes of an installation.
type Store struct {
	opt    Options
	now    func() time.Time
	pool   *pgxpool.Pool
	queue  *queue
	hub    *hub
	tail   *tail
	floors sync.Map     // of content, by workspace; see floor
	wary   atomic.Int32 // groups that read before they insert; see write.go
	stop   context.CancelFunc
	close  sync.Once
	wg     sync.WaitGroup
	writer *pgx.ConnConfig
	opened atomic.Bool  // the schema is known to be ours
	server atomic.Int64 // which server and timeline the last look found
	blind  atomic.Bool  // the server does not tell who it is

	trouble atomic.Pointer[trouble] // the last
}

var _ store.Store = (*Store)(nil)

// Open connects, checks what the database promises and starts the writers. It
// fails with store.ErrWeak when an acknowledged write could be lost, with
// store.ErrSchema when the schema is not this program's, and with
// store.ErrUnavailable when the server cannot be reached.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Node == "" {
		o.Node = rand.Text()
	}
	if o.Migrate {
		url := o.URL
		if o.ListenURL != "" {
			url = o.ListenURL
		}
		if _, _, err := Migrate(ctx, url); err != nil {
			return nil, err
		}
	}
	s := &Store{opt: o, now: o.Now, queue: newQueue(o.Backlog), tail: newTail()}
	var err error
	if s.writer, err = o.config(o.URL); err != nil {
		return nil, err
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if !o.Pooler {
		for _, name := range neverByWriters {
			s.writer.RuntimeParams[name] = "off"
		}
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.hub = newHub(s)
	for range o.Writers {
		w := &writer{s: s}
		s.wg.Go(w.run)
	}
	s.wg.Go(func() { s.hub.listen(background) })
	s.wg.Go(func() { s.hub.notify(background) })
	return s, nil
}

// idleLimit is how long a transaction may wait for its own node, whose
// statements follow each other at once.
const idleLimit = 2 * time.Second

// config reads a URL and adds what our sessions rely on.
func (o Options) config(url string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: the URL cannot be read: %w", err)
	}
	c.ConnectTimeout = o.Wait
	c.RuntimeParams["application_name"] = "parley"
	if o.Pooler {
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		return c, nil
	}
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	for name, value := range map[string]string{
		"statement_timeout": ms(o.Statement),
		"lock_timeout":      ms(o.Lock),
		// A node that hangs in the middle of a transaction must not hold its
		// locks: whoever takes over waits for its lease's row.
		"idle_in_transaction_session_timeout": ms(min(o.Statement, idleLimit)),
		// See the package comment, "Plans".
		"enable_seqscan":  "off",
		"plan_cache_mode": "force_generic_plan",
		"jit":             "off",
	} {
		c.RuntimeParams[name] = value
	}
	return c, nil
}

// neverByWriters are ways to join and to scan that groups have no use for: each
// of their statements goes from the elements of its arrays to one row by index.
var neverByWriters = []string{"enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_material"}

func (s *Store) connect(ctx context.Context) error {
	c, err := pgxpool.ParseConfig(s.opt.URL)
	if err != nil {
		return fmt.Errorf("postgres: the URL cannot be read: %w", err)
	}
	c.ConnConfig = s.writer.Copy()
	c.MaxConns = int32(s.opt.Readers)
	c.MinConns = 0
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		quickly(conn.TypeMap())
		return s.connected(ctx, conn)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return unavailable(err)
	}
	err = s.check(ctx)
	if err != nil {
		s.pool.Close()
	}
	return err
}

// check reads the settings back (law 1) and the schema.
func (s *Store) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Wait+s.opt.Statement)
	defer cancel()
	if err := durable(ctx, s.pool); err != nil {
		return err
	}
	if err := checkVersion(ctx, s.pool); err != nil {
		return err
	}
	if err := s.noticeRestore(ctx, s.pool); err != nil {
		return err
	}
	s.opened.Store(true)
	return nil
}

// durable fails with store.ErrWeak when the server would acknowledge a write
// that a power cut can take back.
func durable(ctx context.Context, q querier) error {
	var fsync, pages, commit string
	err := q.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')`).
		Scan(&fsync, &pages, &commit)
	if err != nil {
		return unavailable(err)
	}
	switch {
	case fsync != "on":
		return fmt.Errorf("%w: fsync is %s; set it to on", store.ErrWeak, fsync)
	case pages != "on":
		return fmt.Errorf("%w: full_page_writes is %s; set it to on", store.ErrWeak, pages)
	case commit != "on" && commit != "remote_apply":
		return fmt.Errorf("%w: synchronous_commit is %s; set it to on", store.ErrWeak, commit)
	}
	return nil
}

// Close ends the writers after the group they are at, and the connections.
// Writes that still waited fail with store.ErrUnavailable. It is harmless twice.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.queue.close()
		s.stop()
		s.wg.Wait()
		s.pool.Close()
	})
	return nil
}

// Backlog implements store.Store.
func (s *Store) Backlog() (waiting, limit int) { return s.queue.size() }

// Now implements store.Store.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var us int64
	err := s.row(ctx, []any{&us}, "SELECT "+clock)
	return instant(us), err
}

// clock is the database's clock in microseconds; it moves inside transactions.
const clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// Ping implements store.Store: it commits a write, and fails too where a group
// of writes was refused a moment ago.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.exec(ctx, "UPDATE probe SET at = "+clock+" WHERE id = 1"); err != nil {
		return err
	}
	if t := s.trouble.Load(); t != nil && s.now().Sub(t.at) < fresh {
		return t.err
	}
	return nil
}

// limit bounds what waits for the server, should the network swallow it.
func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opt.Statement+s.opt.Wait)
}

// conn gets a connection or says clearly that there is none.
func (s *Store) conn(ctx context.Context) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, s.opt.Wait)
	defer cancel()
	c, err := s.pool.Acquire(wait)
	if err == nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: no connection became free in %s (all %d are busy, or the server does not answer)", store.ErrUnavailable, s.opt.Wait, s.opt.Readers)
	}
	return nil, unavailable(err)
}

// query runs a reading statement and calls scan for each row.
func (s *Store) query(ctx context.Context, scan func(pgx.Rows) error, sql string, args ...any) error {
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	within, cancel := s.limit(ctx)
	defer cancel()
	rows, err := c.Query(within, sql, args...)
	if err != nil {
		return s.readFailed(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return s.readFailed(ctx, rows.Err())
}

func (s *Store) readFailed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(err)
}

// row reads one row. store.ErrNotFound when there is none.
func (s *Store) row(ctx context.Context, into []any, sql string, args ...any) error {
	found := false
	err := s.query(ctx, func(r pgx.Rows) error {
		found = true
		return r.Scan(into...)
	}, sql, args...)
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// exec runs one writing statement in its own transaction.
func (s *Store) exec(ctx context.Context, sql string, args ...any) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// tx runs a rare write in its own transaction, again when another transaction
// was in the way, and judges how it ended.
func (s *Store) tx(ctx context.Context, write func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := s.once(ctx, write)
		if err == nil || try == 3 || !again(err) {
			return err
		}
		if moved(err) {
			if err := s.noticeRestore(ctx, s.pool); err != nil {
				return err
			}
		}
	}
}

func (s *Store) once(ctx context.Context, write func(pgx.Tx) error) error {
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	within, cancel := s.limit(ctx)
	defer cancel()
	tx, err := c.Begin(within)
	if err != nil {
		return s.readFailed(ctx, err)
	}
	if err := write(tx); err != nil {
		_ = tx.Rollback(context.WithoutCancel(within))
		for _, known := range []error{store.ErrNotFound, store.ErrExists} {
			if errors.Is(err, known) {
				return err
			}
		}
		return s.readFailed(ctx, err)
	}
	// Once COMMIT is on its way only the answer tells the outcome.
	last, cancelLast := s.limit(context.WithoutCancel(ctx))
	defer cancelLast()
	if err := tx.Commit(last); err != nil {
		return commitFailed(err)
	}
	return nil
}

// micros is how times are stored: Unix microseconds, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
