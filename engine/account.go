package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Health states of a connector account.
const (
	Healthy       = "ok"
	Misconfigured = "misconfigured"
)

// An account is a connector opened on this node: every node opens every
// account to read its callbacks; only the owner of its lease has a lane.
type account struct {
	id     message.ConnectorID
	ws     message.WorkspaceID
	typ    *channel.Type
	conn   channel.Connector
	sealed []byte // the configuration it was opened with
	paused bool
	stale  atomic.Int32         // news since its templates were read
	drives atomic.Pointer[lane] // nil while another node owns it
	cancel context.CancelFunc
	linked chan struct{} // closed when its link loop ended; nil without
}

// lane gives the lane of the account, nil while another node owns it.
func (a *account) lane() *lane { return a.drives.Load() }

func (a *account) limits() channel.Limits {
	if l, ok := a.conn.(channel.Limiter); ok {
		return l.Limits()
	}
	return a.typ.Limits
}

// receipts says what the account tells after taking a message.
func (a *account) receipts() channel.Receipts {
	if r, ok := a.conn.(channel.Receipter); ok {
		return r.Receipts()
	}
	return a.typ.Receipts
}

// receipts is the same of an account by its id; one that is not open here is
// taken to be as its type.
func (e *Engine) receipts(id message.ConnectorID, typ *channel.Type) channel.Receipts {
	if a := e.owner.account(id); a != nil {
		return a.receipts()
	}
	return typ.Receipts
}

// owner opens accounts, keeps their leases and runs their lanes.
type owner struct {
	e        *Engine
	mu       sync.RWMutex
	accounts map[message.ConnectorID]*account
	failed   map[message.ConnectorID][]byte // configurations that would not open
	wake     chan struct{}
	began    time.Time
	ran      atomic.Bool   // run was started
	ended    chan struct{} // closed when run returned

	asked  chan struct{} // capacity 1: somebody looks for an account that is not here
	looked chan struct{} // closed after the next look for it; guarded by mu
	blind  error         // why the last look failed; guarded by mu
}

func (o *owner) init(e *Engine) {
	o.e = e
	o.accounts = make(map[message.ConnectorID]*account)
	o.failed = make(map[message.ConnectorID][]byte)
	o.wake = make(chan struct{}, 1)
	o.asked, o.looked = make(chan struct{}, 1), make(chan struct{})
	o.ended = make(chan struct{})
}

func (o *owner) start(ctx context.Context) error {
	o.began = o.e.now()
	return o.turn(ctx)
}

// run renews leases three times in their life and follows the configuration.
func (o *owner) run() {
	defer close(o.ended)
	every := time.NewTicker(o.e.o.LeaseFor / 3)
	defer every.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	<-rest.C
	asked := o.asked // nil while strangers have to wait
	for {
		select {
		case <-o.e.quit:
			return
		case <-every.C:
		case <-o.wake:
		case <-rest.C:
			asked = o.asked
			continue
		case <-asked:
			o.search()
			asked = nil
			rest.Reset(lookPause)
			continue
		case h := <-o.e.store.Woken():
			if a := o.account(h.Connector); a != nil {
				if l := a.lane(); l != nil {
					l.hint(h.From)
				}
			}
			continue
		}
		if err := o.turn(o.e.ctx); err != nil && o.e.ctx.Err() == nil {
			o.e.log.Warn("leases not renewed", "error", err)
		}
	}
}

// look makes the owner follow the configuration at once.
func (o *owner) look() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// turn follows the configuration and renews or takes leases.
func (o *owner) turn(ctx context.Context) error {
	ids, err := o.follow(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	return o.renew(ctx, ids)
}

// renew renews or takes the leases of open accounts.
func (o *owner) renew(ctx context.Context, ids []message.ConnectorID) error {
	asked := time.Now()
	leases, err := o.e.store.Lease(ctx, o.e.o.Node, ids, o.e.o.LeaseFor)
	if err != nil {
		return err
	}
	held := make(map[message.ConnectorID]bool, len(leases))
	for _, l := range leases {
		held[l.Connector] = true
		// The margin: an attempt that begins at the last moment must have left
		// before another node may begin one.
		o.own(l, asked.Add(l.TTL-o.e.o.LeaseFor/4))
	}
	for _, a := range o.all() {
		if !held[a.id] && a.lane() != nil {
			o.disown(a)
		}
	}
	return nil
}

func (o *owner) all() []*account {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := make([]*account, 0, len(o.accounts))
	for _, a := range o.accounts {
		out = append(out, a)
	}
	return out
}

func (o *owner) account(id message.ConnectorID) *account {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.accounts[id]
}

// owned lists the accounts this node drives.
func (o *owner) owned() []message.ConnectorID {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var ids []message.ConnectorID
	for id, a := range o.accounts {
		if a.lane() != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// open makes sure that an account is open with its present configuration.
func (o *owner) open(ctx context.Context, c *store.Connector) *account {
	a := o.account(c.ID)
	if a != nil && bytes.Equal(a.sealed, c.Sealed) {
		if a.paused != c.Paused {
			a.paused = c.Paused
			if l := a.lane(); l != nil {
				l.setPaused(c.Paused)
			}
		}
		return a
	}
	if a != nil {
		o.shut(a)
	}
	typ := o.e.types[c.Kind]
	if typ == nil {
		return nil
	}
	o.mu.RLock()
	same := bytes.Equal(o.failed[c.ID], c.Sealed)
	o.mu.RUnlock()
	if same {
		return nil
	}
	raw, err := o.e.o.Workspaces.OpenConfig(ctx, c)
	if err == nil {
		var conn channel.Connector
		env := o.e.o.Env
		env.ID = c.ID
		if conn, err = typ.Open(json.RawMessage(raw), env); err == nil {
			a = &account{id: c.ID, ws: c.Workspace, typ: typ, conn: conn, sealed: c.Sealed, paused: c.Paused}
			o.mu.Lock()
			o.accounts[c.ID] = a
			delete(o.failed, c.ID)
			o.mu.Unlock()
			return a
		}
	}
	o.mu.Lock()
	o.failed[c.ID] = c.Sealed
	o.mu.Unlock()
	o.e.log.Error("connector does not open", "connector", c.ID, "error", err)
	return nil
}

// own starts or renews an account's lane.
func (o *owner) own(l store.Lease, until time.Time) {
	a := o.account(l.Connector)
	if a == nil {
		return
	}
	if ln := a.lane(); ln != nil {
		if ln.renew(l.Token, until) {
			return
		}
		o.disown(a) // the lease was lost in between: begin anew
	}
	ln := newLane(o.e, a)
	ln.token, ln.goodFor, ln.paused = l.Token, until, a.paused
	_, links := a.conn.(channel.Linker)
	ln.down = links
	o.mu.Lock()
	a.drives.Store(ln)
	o.mu.Unlock()
	crashpoint.At(crashpoint.Lease)
	o.recover(a, l.Token)
	o.e.work(ln.run)
	if linker, ok := a.conn.(channel.Linker); ok {
		ctx, cancel := context.WithCancel(o.e.ctx)
		a.cancel, a.linked = cancel, make(chan struct{})
		done := a.linked
		o.e.work(func() {
			defer close(done)
			if err := linker.Run(ctx, sink{o.e, a}); err != nil {
				o.e.log.Error("links ended", "connector", a.id, "error", err)
			}
		})
	}
	o.e.log.Info("connector taken", "connector", a.id, "token", l.Token)
}

// disown stops an account's lane and links; attempts on the wire go on.
func (o *owner) disown(a *account) {
	o.mu.Lock()
	ln := a.drives.Swap(nil)
	o.mu.Unlock()
	if ln != nil {
		ln.halt()
	}
	if a.cancel != nil {
		a.cancel()
		a.cancel = nil
	}
	o.e.log.Info("connector given up", "connector", a.id)
}

func (o *owner) shut(a *account) {
	if a.lane() != nil {
		o.disown(a)
	}
	o.mu.Lock()
	delete(o.accounts, a.id)
	o.mu.Unlock()
	o.e.spawn(func() {
		if err := a.conn.Close(); err != nil {
			o.e.log.Warn("connector not closed cleanly", "connector", a.id, "error", err)
		}
	})
}

func (o *owner) stopLanes() {
	for _, a := range o.all() {
		if l := a.lane(); l != nil {
			l.halt()
		}
	}
}

// calm waits until no halted lane has an attempt at hand: one whose record was
// on its way to the store when the lane was halted still goes out. It gives up
// when attempts on the wire are cut.
func (o *owner) calm() {
	busy := func() (n int) {
		for _, a := range o.all() {
			if l := a.lane(); l != nil {
				l.mu.Lock()
				n += l.inflight
				l.mu.Unlock()
			}
		}
		return n
	}
	for busy() > 0 && o.e.wire.Err() == nil {
		o.e.pause(time.Millisecond)
	}
}

// signalLanes makes every lane look at the clock again.
func (o *owner) signalLanes() {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, a := range o.accounts {
		if l := a.lane(); l != nil {
			l.signal()
		}
	}
}

func (o *owner) closeConnectors() {
	for _, a := range o.all() {
		if a.cancel != nil {
			a.cancel()
		}
		if a.linked != nil {
			<-a.linked
		}
		if err := a.conn.Close(); err != nil {
			o.e.log.Warn("connector not closed cleanly", "connector", a.id, "error", err)
		}
	}
}

func (o *owner) release() {
	ids := o.owned()
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.e.ctx), 2*time.Second)
	defer cancel()
	if err := o.e.store.Release(ctx, o.e.o.Node, ids); err != nil {
		o.e.log.Warn("leases not given back", "error", err)
	}
}

var _ channel.Sink = sink{}

func (e *Engine) event(ws message.WorkspaceID, typ string, now time.Time, data []byte) store.Event {
	return store.Event{ID: message.EventID(e.o.IDs.Next(now)), Workspace: ws, Type: typ, At: now, Data: data}
}

// spawn runs f beside everything else and is waited for at Stop.
func (e *Engine) spawn(f func()) { e.work(f) }
