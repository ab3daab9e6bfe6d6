package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A lease is what the writer keeps of one connector; expires in microseconds.
type lease struct {
	owner   string
	token   int64
	expires int64
}

// Lease takes or renews leases for owner.
func (s *Store) Lease(ctx context.Context, owner string, connectors []message.ConnectorID, ttl time.Duration) ([]store.Lease, error) {
	var given []store.Lease
	err := s.write(ctx, len(connectors), func(w *writer) error {
		given = given[:0]
		now := s.options.Now()
		for _, id := range connectors {
			n, err := w.number(id)
			if err != nil {
				return err
			}
			held, ok := w.leases[n]
			live := ok && held.expires > now.UnixMicro()
			if live && held.owner != owner {
				continue
			}
			if !live {
				held.token++
			}
			held.owner, held.expires = owner, now.Add(ttl).UnixMicro()
			err = w.c.q(`INSERT INTO leases (connector, owner, token, expires_at) VALUES (?, ?, ?, ?)
				ON CONFLICT (connector) DO UPDATE SET owner = excluded.owner, token = excluded.token, expires_at = excluded.expires_at`).
				int(n).text(owner).int(held.token).int(held.expires).exec()
			if err != nil {
				return err
			}
			w.leases[n] = held
			given = append(given, store.Lease{Connector: id, Owner: owner, Token: held.token, ExpiresAt: fromMicros(held.expires), TTL: ttl})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return given, nil
}

// Release gives leases back at once.
func (s *Store) Release(ctx context.Context, owner string, connectors []message.ConnectorID) error {
	return s.write(ctx, len(connectors), func(w *writer) error {
		for _, id := range connectors {
			n, err := w.number(id)
			if err != nil {
				return err
			}
			held, ok := w.leases[n]
			if !ok || held.owner != owner {
				continue
			}
			held.expires = 0
			if err := w.c.q(`UPDATE leases SET expires_at = 0 WHERE connector = ?`).int(n).exec(); err != nil {
				return err
			}
			w.leases[n] = held
		}
		return nil
	})
}

// LeaseList shows who holds what; leases given back are not listed.
func (s *Store) LeaseList(ctx context.Context) ([]store.Lease, error) {
	var list []store.Lease
	now := s.options.Now()
	err := s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT connector, owner, token, expires_at FROM leases WHERE expires_at > 0 ORDER BY connector`)
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			l := store.Lease{Connector: s.names.id(q.i(0)), Owner: q.str(1), Token: q.i(2), ExpiresAt: q.t(3)}
			l.TTL = max(l.ExpiresAt.Sub(now), 0)
			list = append(list, l)
		}
	})
	return list, err
}

// fenced reports whether a fence does not hold.
func (w *writer) fenced(f *store.Fence) bool {
	held, ok := w.leases[w.names.find(f.Connector)]
	return !ok || held.token != f.Token || held.expires <= w.s.options.Now().UnixMicro()
}

// A waker hands hints from Wake to whoever reads Woken, each connector once
// however often it was hinted meanwhile.
type waker struct {
	mu    sync.Mutex
	set   store.Hints
	more  chan struct{}
	out   chan store.Hint
	quit  chan struct{}
	ended chan struct{}
}

func newWaker() *waker {
	w := &waker{
		set:  make(store.Hints),
		more: make(chan struct{}, 1), out: make(chan store.Hint),
		quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go w.serve()
	return w
}

func (w *waker) serve() {
	defer close(w.ended)
	for {
		select {
		case <-w.more:
		case <-w.quit:
			return
		}
		for {
			h, ok := w.any()
			if !ok {
				break
			}
			select {
			case w.out <- h:
			case <-w.quit:
				return
			}
		}
	}
}

// any takes one hint.
func (w *waker) any() (store.Hint, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set.Take()
}

func (w *waker) stop() {
	close(w.quit)
	<-w.ended
}

// Wake hints that work was committed for connectors.
func (s *Store) Wake(_ context.Context, hints store.Hints) error {
	s.waker.mu.Lock()
	s.waker.set.AddAll(hints)
	s.waker.mu.Unlock()
	select {
	case s.waker.more <- struct{}{}:
	default:
	}
	return nil
}

// Woken gives the hints.
func (s *Store) Woken() <-chan store.Hint { return s.waker.out }
