package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/internal/safedial"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// A Store is the rows a Dispatcher works on; store.Store is one.
type Store interface {
	store.Log
	store.Webhooks
	store.Leases
}

// Options are what a Dispatcher stands on. Store, Workspaces, People, Now, IDs,
// Node and Log are needed.
type Options struct {
	Store      Store
	Workspaces *workspace.Registry // opens the endpoints' secrets
	People     event.Opener        // opens the personal half of events; *contact.Book is one
	Now        func() time.Time
	IDs        *id.Maker
	Log        *slog.Logger
	// Node names this process among those that share the store: leases are
	// taken in its name.
	Node string
	// Guard says which addresses may be called; nil = public ones only.
	Guard *safedial.Guard
	// Parallel is how many requests one endpoint may have on the wire at once;
	// 0 = 8.
	Parallel int
	// Append logs an event of no message (webhook.disabled). Nil: only a log
	// line tells of a disabled endpoint.
	Append func(ctx context.Context, events []store.Event) error
	// Random varies waits, in [0, 1); nil = the system's.
	Random func() float64
}

const (
	// poll is how often a sender looks for rows another node wrote.
	poll = 2 * time.Second
	// refresh is how often endpoints are read again: what another node changed
	// takes effect within it.
	refresh = time.Second
)

// A Dispatcher follows the log and delivers to all endpoints of an
// installation. Many nodes may run one over the same store: one of them reads
// the log, all deliver. It is safe for concurrent use.
type Dispatcher struct {
	o      Options
	client *http.Client

	intake context.Context // ends when nothing new may begin
	endIn  context.CancelFunc
	wire   context.Context // ends when requests on the wire are cut
	endOut context.CancelFunc

	started, stopped sync.Once
	wait             sync.WaitGroup

	mu      sync.Mutex // held while endpoints are read again
	senders map[message.EndpointID]*sender
	dir     atomic.Pointer[directory]
	changes atomic.Uint64 // told so far: a directory of before is not followed
	wake    chan struct{} // of the reader
	look    chan struct{} // of the watcher
}

// New makes a Dispatcher. It fails when an option that is needed is missing.
func New(o Options) (*Dispatcher, error) {
	if o.Store == nil || o.Workspaces == nil || o.People == nil || o.Now == nil || o.IDs == nil || o.Log == nil || o.Node == "" {
		return nil, errors.New("webhook: Store, Workspaces, People, Now, IDs, Node and Log are needed")
	}
	if o.Guard == nil {
		o.Guard = new(safedial.Guard)
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	d := &Dispatcher{
		o: o, client: o.Guard.Client(o.Parallel, answerTimeout),
		senders: make(map[message.EndpointID]*sender),
		wake:    make(chan struct{}, 1), look: make(chan struct{}, 1),
	}
	d.intake, d.endIn = context.WithCancel(context.Background())
	d.wire, d.endOut = context.WithCancel(context.Background())
	d.dir.Store(new(directory))
	d.changes.Store(1) // nothing was read yet
	return d, nil
}

// Start reads the endpoints and returns once deliveries run. A second call does
// nothing.
func (d *Dispatcher) Start(ctx context.Context) error {
	var err error
	d.started.Do(func() {
		if err = d.refresh(ctx); err != nil {
			return
		}
		d.wait.Go(d.watch)
		d.wait.Go(d.read)
	})
	return err
}

// Stop begins nothing new, lets requests on the wire end until ctx does, stores
// what became of them and returns once everything stopped. Requests that were
// cut are made again later. A second call waits like the first.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.stopped.Do(d.endIn)
	done := make(chan struct{})
	go func() {
		d.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		d.endOut()
		<-done
	}
	d.endOut()
	d.client.CloseIdleConnections()
	return nil
}

// CheckURL judges an address before it is stored; see safedial.Guard.CheckURL.
func (d *Dispatcher) CheckURL(url string) error { return d.o.Guard.CheckURL(url) }

// EndpointChanged is to be called after an endpoint was made, changed or
// deleted, and after deliveries were made pending again: events committed from
// then on follow the change. Unknown ids are harmless.
func (d *Dispatcher) EndpointChanged(_ message.WorkspaceID, id message.EndpointID) {
	d.changes.Add(1)
	kick(d.look)
	kick(d.wake)
	d.mu.Lock()
	s := d.senders[id]
	d.mu.Unlock()
	if s != nil {
		kick(s.wake)
	}
}

// Kick makes everything look at the clock and the store at once: for a demo
// that moved the clock, and for tests.
func (d *Dispatcher) Kick() {
	d.changes.Add(1)
	kick(d.look)
	kick(d.wake)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.senders {
		kick(s.wake)
	}
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rest waits for a kick, at most d, and reports whether ctx still runs.
func rest(ctx context.Context, c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}
