package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const readerName = store.LedgerReader

const (
	readLimit = 1000
	few       = 100
	gather    = 20 * time.Millisecond // a charge is in no hurry
	idle      = time.Second
	// saveEvery is how often a cursor is saved that passed no charge: after a
	// crash those events are read again.
	saveEvery  = time.Second
	leaseTTL   = 15 * time.Second
	leaseRenew = 5 * time.Second
)

// A Store is the rows a Ledger works on; store.Store is one.
type Store interface {
	store.Log
	store.Leases
	Charge(ctx context.Context, reader string, c store.Cursor, charges []*store.Charge) error
}

// Options are what a Ledger stands on; all are needed.
type Options struct {
	Store Store
	Log   *slog.Logger
	// Node names this process among those that share the store: one of them
	// reads.
	Node string
}

// A Ledger follows the log while it is started. It is safe for concurrent use.
type Ledger struct {
	o             Options
	ctx           context.Context
	end           context.CancelFunc
	started, once sync.Once
	wait          sync.WaitGroup

	mu     sync.Mutex
	counts map[count]int64
}

type count struct {
	kind    string
	channel message.Channel
}

// A Count is how many events of a type were read since Start on this node, by
// the channel they are about ("" = none). Another node's are there.
type Count struct {
	Type    string
	Channel message.Channel
	Events  int64
}

// New makes a Ledger. It fails when an option is missing.
func New(o Options) (*Ledger, error) {
	if o.Store == nil || o.Log == nil || o.Node == "" {
		return nil, errors.New("ledger: Store, Log and Node are needed")
	}
	l := &Ledger{o: o, counts: make(map[count]int64)}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l, nil
}

// Start begins to follow the log. A second call does nothing.
func (l *Ledger) Start(context.Context) error {
	l.started.Do(func() { l.wait.Go(l.run) })
	return nil
}

// Stop saves the place and returns once nothing runs any more. A second call
// waits like the first.
func (l *Ledger) Stop(context.Context) error {
	l.once.Do(l.end)
	l.wait.Wait()
	return nil
}

// Counts gives the counts in the order of type and channel. They only grow.
func (l *Ledger) Counts() []Count {
	l.mu.Lock()
	out := make([]Count, 0, len(l.counts))
	for k, n := range l.counts {
		out = append(out, Count{k.kind, k.channel, n})
	}
	l.mu.Unlock()
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Channel, b.Channel)) })
	return out
}

// readerLease is the id under which nodes agree who reads. It is no
// connector's.
func readerLease() []message.ConnectorID {
	sum := sha256.Sum256([]byte("parley/reader/" + readerName))
	return []message.ConnectorID{message.ConnectorID(sum[:16])}
}

// A reader is the state of following; one goroutine has it.
type reader struct {
	l     *Ledger
	ours  bool
	known bool // place is what it should be
	due   bool // place moved since it was saved
	place store.Cursor
}

func (l *Ledger) run() {
	r := &reader{l: l}
	renew, save := time.NewTicker(leaseRenew), time.NewTicker(saveEvery)
	defer renew.Stop()
	defer save.Stop()
	r.lease()
	for l.ctx.Err() == nil {
		wait := idle
		changed := l.o.Store.Changed()
		if r.ours {
			n, err := r.step()
			switch {
			case err != nil:
				if l.ctx.Err() == nil {
					l.o.Log.Warn("ledger stumbled", "error", err)
				}
				r.known, changed = false, nil
			case n >= few:
				wait = 0
			case n > 0:
				wait, changed = gather, nil
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		case <-renew.C:
			r.lease()
		case <-save.C:
			r.save(l.ctx)
		case <-l.ctx.Done():
		}
		t.Stop()
	}
	if r.ours {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), 5*time.Second)
		defer cancel()
		r.save(ctx)
		if err := l.o.Store.Release(ctx, l.o.Node, readerLease()); err != nil {
			l.o.Log.Warn("ledger's lease not given back", "error", err)
		}
	}
}

// lease takes or keeps the right to read. Should two nodes think they have it,
// they write the same rows.
func (r *reader) lease() {
	held, err := r.l.o.Store.Lease(r.l.ctx, r.l.o.Node, readerLease(), leaseTTL)
	if err != nil {
		if r.l.ctx.Err() == nil {
			r.l.o.Log.Warn("ledger's lease not renewed", "error", err)
		}
		return
	}
	ours := len(held) == 1
	if ours && !r.ours {
		r.known = false
	}
	r.ours = ours
}

func (r *reader) save(ctx context.Context) {
	if !r.ours || !r.known || !r.due {
		return
	}
	if err := r.l.o.Store.SaveCursor(ctx, readerName, r.place); err != nil {
		if r.l.ctx.Err() == nil {
			r.l.o.Log.Warn("ledger's place not saved", "error", err)
		}
		return
	}
	r.due = false
}

// step books one batch of events and gives how many there were.
func (r *reader) step() (int, error) {
	l := r.l
	if !r.known {
		place, err := l.o.Store.Cursor(l.ctx, readerName)
		if err != nil {
			return 0, err
		}
		r.place, r.known, r.due = place, true, false
	}
	events, next, err := l.o.Store.Read(l.ctx, message.WorkspaceID{}, r.place, readLimit)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	charges := l.charges(events)
	if len(charges) > 0 {
		crashpoint.At(crashpoint.Charging)
		if err := l.o.Store.Charge(l.ctx, readerName, next, charges); err != nil {
			return 0, err
		}
		crashpoint.At(crashpoint.Charged)
		r.due = false
	} else {
		r.due = true
	}
	r.place = next
	l.count(events)
	return len(events), nil
}

func (l *Ledger) charges(events []*store.LogEvent) []*store.Charge {
	var out []*store.Charge
	for _, e := range events {
		c, err := chargeOf(e)
		switch {
		case err != nil:
			// Stopping here would stop the books for ever: told, and passed by.
			l.o.Log.Error("a charge cannot be booked", "event", e.ID, "message", e.Message, "error", err)
		case c != nil:
			out = append(out, c)
		}
	}
	return out
}

func (l *Ledger) count(events []*store.LogEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.counts[count{e.Type, message.Channel(channelOf(e.Data))}]++
	}
}
