// Package engine is the heart of Parley: it accepts messages, plans their
// route, sends them attempt by attempt, joins what providers say, and moves
// each to its one outcome (blueprint section 2, "the way of a message").
//
// It owns policy (retry, pace, fallback, waits) and no plumbing: providers are
// reached through package channel, data through package store. The decisions
// themselves are pure and live below: flow (the life of a delivery), route
// (which steps), gate (may it go now), pace (how fast).
//
// Who owns what: a [shard] owns the deliveries whose ids hash to it and is the
// only one to change them; a [lane] owns the queue, the pace and the links of
// one connector account while this node holds its lease; the scheduler owns the
// clock. They talk by messages, and every change is stored before its effect.
//
// Start with [Engine.Accept], then shard.go.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/price"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// ErrBusy is returned when too much of one workspace waits to be taken in: try
// again later. Nothing was stored.
var ErrBusy = errors.New("too much work is waiting")

// ErrStopped is returned after Stop began.
var ErrStopped = errors.New("the engine is stopping")

// A Store is the roles of a store the engine works with.
type Store interface {
	store.Outbox
	store.Inbox
	store.Contacts
	store.Senders
	store.Ledger
	store.Leases
	store.Log
	Now(ctx context.Context) (time.Time, error)
}

// Options are what an Engine stands on. All but the numbers are needed.
type Options struct {
	Store      Store
	Workspaces *workspace.Registry
	People     *contact.Book
	Rules      *rules.Set
	Phones     *rules.Phones
	Prices     *price.Book
	Types      []channel.Type
	IDs        *id.Maker
	Now        func() time.Time
	Log        *slog.Logger
	Node       string        // name of this node: owner of its leases
	Env        channel.Env   // for connectors; ID is filled in
	Media      *media.Keeper // nil: no files are kept
	Trace      Tracer        // nil: nobody traces

	Policy     flow.Policy
	Shards     int           // workers that own deliveries; 0 = 4
	Cache      int           // deliveries kept in memory by each shard, four times as many packed, and 24 times as many open refs; 0 = 1024
	Queue      int           // messages kept in memory by each lane; 0 = 8000
	Intake     int           // messages being taken in at once, of all tenants; 0 = 256
	LeaseFor   time.Duration // of a connector account; 0 = 6 s
	HealthWait time.Duration // before a misconfigured connector is tried again; 0 = 60 s
}

// An Engine moves messages. Make it with New; it is safe for concurrent use.
type Engine struct {
	o      Options
	store  Store
	now    func() time.Time
	log    *slog.Logger
	policy flow.Policy
	types  map[string]*channel.Type
	reads  map[message.Channel]bool // channels that tell of reading

	shards []*shard
	refs   refCache
	sched  scheduler
	match  matcher
	finish finisher
	owner  owner
	door   *door

	ctx     context.Context // ends when everything is stored and stopped
	cancel  context.CancelFunc
	wire    context.Context // of attempts on the wire: ends when Stop has waited long enough
	onWire  deadline
	cut     context.CancelFunc
	intake  atomic.Bool // true while work is taken in
	started atomic.Bool
	workers sync.WaitGroup
	sends   sync.WaitGroup // attempts on the wire
	quit    chan struct{}  // closed when Stop begins
	fetch   chan struct{}  // hints that there are files to fetch
	stop    sync.Once
}

// New makes an engine that does nothing before Start.
func New(o Options) (*Engine, error) {
	if o.Shards <= 0 {
		o.Shards = 4
	}
	if o.Cache <= 0 {
		o.Cache = 1024
	}
	if o.Queue <= 0 {
		o.Queue = 8000
	}
	if o.Intake <= 0 {
		o.Intake = 256
	}
	if o.LeaseFor <= 0 {
		o.LeaseFor = 6 * time.Second
	}
	if o.HealthWait <= 0 {
		o.HealthWait = time.Minute
	}
	if o.Policy.Backoff == nil {
		o.Policy = flow.Default()
	}
	e := &Engine{
		o: o, store: o.Store, now: o.Now, log: o.Log, policy: o.Policy,
		types: make(map[string]*channel.Type, len(o.Types)), reads: make(map[message.Channel]bool),
		door: newDoor(o.Intake), quit: make(chan struct{}),
		fetch: make(chan struct{}, 1),
	}
	for i := range o.Types {
		e.types[o.Types[i].Kind] = &o.Types[i]
		e.reads[o.Types[i].Channel] = e.reads[o.Types[i].Channel] || o.Types[i].Receipts.Read
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.wire, e.cut = context.WithCancel(e.ctx)
	e.onWire = deadline{parent: e.wire, after: sendTimeout}
	e.refs.init(refsOfCache * o.Shards * o.Cache)
	for range o.Shards {
		e.shards = append(e.shards, newShard(e))
	}
	e.sched.init(e)
	e.match.init(e)
	e.finish.init(e)
	e.owner.init(e)
	return e, nil
}

// Start takes leases, opens connectors, picks up what an earlier life left and
// returns once the engine runs.
func (e *Engine) Start(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return nil
	}
	for _, s := range e.shards {
		e.work(s.run)
	}
	e.work(e.match.run)
	e.work(e.finish.run)
	e.intake.Store(true)
	if err := e.owner.start(ctx); err != nil {
		return err
	}
	e.owner.ran.Store(true)
	e.work(e.owner.run)
	e.work(e.sched.run)
	e.work(e.sweep)
	e.work(e.fetchMedia)
	return nil
}

// Stop ends intake, lets attempts on the wire finish until ctx ends, stores
// their outcomes, gives the leases back and returns once everything stopped.
// What was queued stays queued: a shutdown is not a failure.
func (e *Engine) Stop(ctx context.Context) error {
	e.stop.Do(func() {
		e.intake.Store(false)
		close(e.quit)
	})
	if !e.started.Load() {
		e.cancel()
		return nil
	}
	if e.owner.ran.Load() {
		// Else it might take an account after its lane was to be stopped.
		select {
		case <-e.owner.ended:
		case <-ctx.Done():
		}
	}
	e.owner.stopLanes()
	waited := make(chan struct{})
	go func() { e.owner.calm(); e.sends.Wait(); close(waited) }()
	var err error
	select {
	case <-waited:
	case <-ctx.Done():
		// Their outcome is not known: it is stored as that.
		err = ctx.Err()
		e.cut()
		<-waited
	}
	e.owner.closeConnectors()
	for _, s := range e.shards {
		s.drain()
	}
	e.owner.release()
	e.cancel()
	e.workers.Wait()
	return err
}

// Kick makes the engine look at the clock again: the demo advanced it.
func (e *Engine) Kick() {
	e.sched.kick(time.Time{})
	e.owner.signalLanes()
}

// Types gives the channel types the engine knows.
func (e *Engine) Types() []channel.Type { return e.o.Types }

func (e *Engine) work(f func()) {
	e.workers.Add(1)
	go func() { defer e.workers.Done(); f() }()
}

// sweep looks for what fell between two chairs: callbacks kept but not done,
// parked receipts whose id came at the same moment.
func (e *Engine) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-e.quit:
			return
		case <-tick.C:
		}
		if err := e.o.Workspaces.Refresh(e.ctx); err != nil {
			e.log.Warn("configuration not refreshed", "error", err)
		}
		e.match.rematch()
		if n%5 == 4 {
			e.sweepCallbacks()
		}
	}
}
