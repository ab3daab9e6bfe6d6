// Package sqlite is the store for one machine: one SQLite file, one process.
//
// One goroutine owns the one writing connection and puts the writes of many
// callers into one commit (writer.go); a few reading connections see what is
// committed. There is no artificial delay: while one commit is on its way to
// the disk the next group gathers. What only the writer changes (contacts'
// versions, leases, versions of configuration) it keeps in memory.
//
// It is not a place for policy, and it shares nothing with its twin
// store/postgres but the seam. Start with [Open], then outbox.go.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Options tune a store. The zero value of each field but Now means its
// default.
type Options struct {
	Now     func() time.Time // the database's clock: leases live on it; required
	Log     *slog.Logger     // nil = silent
	Migrate bool             // make the file or bring its schema forward; else Open fails with store.ErrSchema
	Readers int              // reading connections; 0 = 4
	Queue   int              // items that may wait for a commit before ErrUnavailable; 0 = 50,000
	Group   int              // items after which a group is closed; 0 = 1,000
	Cache   int              // page cache of the writer in KiB; 0 = 8,192

	late     int   // deliveries that gather before their rows are written; 0 = youngMoves
	tail     int   // events of the log's end kept in memory; 0 = tailEvents
	copyAt   int64 // pages in the write-ahead log after which it is copied; 0 = checkpointPages
	pages    int64 // largest size of the file in pages, for tests of a full disk
	readOnly bool  // let every write fail, for tests
	weak     bool  // weaken durability after setting it, for tests
}

// Store implements store.Store on one SQLite file.
type Store struct {
	path    string
	options Options
	lock    *fileLock
	names   *names
	readers chan *conn
	opened  int // of readers
	writer  *writer
	keeper  *keeper
	tail    tail

	questions questions

	gate    sync.RWMutex // closed and sends on queue
	closed  bool
	queue   chan *op
	intake  chan *op // new messages: they go after all other writes
	waiting atomic.Int64
	stopped chan struct{}

	mu      sync.Mutex
	changed chan struct{}
	floors  map[int64]message.MessageID // below it content is purged, by workspace

	waker *waker
}

var _ store.Store = (*Store)(nil)

// Open opens the store at a path, checks its schema and reads its durability
// settings back. It fails with store.ErrSchema when the schema is newer, or
// older without Options.Migrate; with store.ErrWeak when the database does not
// keep the settings; with ErrLocked when another process has it.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Now == nil {
		return nil, errors.New("sqlite: Options.Now is missing")
	}
	lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path: path, options: o, lock: lock,
		names:   &names{},
		queue:   make(chan *op, o.Queue),
		intake:  make(chan *op, o.Queue),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		floors:  make(map[int64]message.MessageID),
		tail:    tail{most: o.tail},
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.release())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.Queue <= 0 {
		o.Queue = 50_000
	}
	if o.Group <= 0 {
		o.Group = 1_000
	}
	if o.Cache <= 0 {
		o.Cache = 8_192
	}
	if o.tail <= 0 {
		o.tail = tailEvents
	}
	if o.late <= 0 {
		o.late = youngMoves
	}
	if o.copyAt <= 0 {
		o.copyAt = checkpointPages
	}
	return o
}

func (s *Store) start(ctx context.Context) error {
	c, err := openWriter(ctx, s.path, s.options)
	if err != nil {
		return err
	}
	s.writer = &writer{s: s, c: c, names: s.names}
	if err := s.names.load(c); err != nil {
		return err
	}
	// No other process has the file, so whoever held a lease is gone.
	if !s.options.readOnly {
		if err := c.q(`UPDATE leases SET expires_at = 0`).exec(); err != nil {
			return err
		}
	}
	if err := s.writer.load(); err != nil {
		return err
	}
	s.readers = make(chan *conn, s.options.Readers)
	for range s.options.Readers {
		r, err := openReader(s.path)
		if err != nil {
			return err
		}
		s.readers <- r
		s.opened++
	}
	if s.keeper, err = newKeeper(s); err != nil {
		return err
	}
	s.waker = newWaker()
	go s.writer.serve()
	return nil
}

// release closes what start opened; the writer's goroutine is not running.
func (s *Store) release() error {
	var errs []error
	if s.waker != nil {
		s.waker.stop()
	}
	if s.keeper != nil {
		errs = append(errs, s.keeper.stop())
	}
	for range s.opened {
		errs = append(errs, (<-s.readers).close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.c.close())
	}
	return errors.Join(append(errs, s.lock.release())...)
}

// Close takes no more writes, commits those that wait and lets go of the file.
// Closing twice is harmless.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	close(s.intake)
	s.gate.Unlock()
	<-s.stopped
	return s.release()
}

// Now reads the clock leases live on.
func (s *Store) Now(context.Context) (time.Time, error) { return s.options.Now().UTC(), nil }

// Ping commits a small write.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, 1, func(w *writer) error {
		return w.c.q(`UPDATE meta SET value = value + 1 WHERE name = 'ping'`).exec()
	})
}

// Backlog tells how many items wait for a commit and how many may.
func (s *Store) Backlog() (waiting, limit int) {
	return int(s.waiting.Load()), s.options.Queue
}

// read lends a reading connection.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-s.stopped:
		return fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- c }()
	if err := f(c); err != nil {
		return readError(err)
	}
	return nil
}

// readError lets the errors of the seam through; any other is the database's.
func readError(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) {
		return err
	}
	return fmt.Errorf("%w: %v", store.ErrUnavailable, err)
}

// snapshot is read with all of f seeing one instant.
func (s *Store) snapshot(ctx context.Context, f func(*conn) error) error {
	return s.read(ctx, func(c *conn) error {
		if err := c.q(`BEGIN`).exec(); err != nil {
			return err
		}
		err := f(c)
		if !c.c.AutocommitEnabled() {
			for _, open := range c.stmts {
				open.done()
			}
			if rerr := c.q(`ROLLBACK`).exec(); err == nil {
				err = rerr
			}
		}
		return err
	})
}

func (s *Store) announce() {
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// Changed gives a channel that is closed at the next commit of events.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
