package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const readerName = store.WebhookReader

const (
	readLimit  = 1000
	writeLimit = 2000 // rows in one Enqueue
	rowsPiece  = 250  // rows whose memory is kept together
	// few is a batch so small that it pays to let events gather before the next.
	few    = 100
	gather = 5 * time.Millisecond
	idle   = time.Second
	// saveEvery is how often a cursor is saved that only passed events nobody
	// wants: a crash reads them again.
	saveEvery = time.Second

	leaseTTL   = 15 * time.Second
	leaseRenew = 5 * time.Second
)

// readerLease is the id under which nodes agree who reads the log. It is no
// connector's.
func readerLease() message.ConnectorID {
	sum := sha256.Sum256([]byte("parley/reader/" + readerName))
	return message.ConnectorID(sum[:16])
}

// A reader is the state of following the log; one goroutine has it.
type reader struct {
	d      *Dispatcher
	ours   bool
	room   []*[rowsPiece]store.WebhookDelivery // of rows that are being enqueued
	place  store.Cursor                        // up to here everything was done
	saved  store.Cursor
	unsafe bool // place is to be read from the store first
	due    bool // place moved since it was saved
	renew  *time.Ticker
	save   *time.Ticker
}

// read follows the log until the intake ends.
func (d *Dispatcher) read() {
	r := &reader{d: d, renew: time.NewTicker(leaseRenew), save: time.NewTicker(saveEvery)}
	defer r.renew.Stop()
	defer r.save.Stop()
	r.lease()
	for d.intake.Err() == nil {
		select {
		case <-r.renew.C:
			r.lease()
		default:
		}
		if !r.ours {
			select {
			case <-r.renew.C:
				r.lease()
			case <-d.intake.Done():
			}
			continue
		}
		if err := r.step(); err != nil && d.intake.Err() == nil {
			d.o.Log.Warn("webhook reader stumbled", "error", err)
			r.unsafe = true
			rest(d.intake, nil, idle)
		}
	}
	r.close()
}

// lease takes or keeps the right to read.
func (r *reader) lease() {
	held, err := r.d.o.Store.Lease(r.d.intake, r.d.o.Node, []message.ConnectorID{readerLease()}, leaseTTL)
	if err != nil {
		if r.d.intake.Err() == nil {
			r.d.o.Log.Warn("webhook reader's lease not renewed", "error", err)
		}
		return // rows and cursor may be written twice: harmless
	}
	ours := len(held) == 1
	if ours && !r.ours {
		r.unsafe = true
	}
	r.ours = ours
}

// close saves the place and hands the lease to the next node.
func (r *reader) close() {
	if !r.ours {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.d.intake), 5*time.Second)
	defer cancel()
	err := r.keep(ctx)
	err = errors.Join(err, r.d.o.Store.Release(ctx, r.d.o.Node, []message.ConnectorID{readerLease()}))
	if err != nil {
		r.d.o.Log.Warn("webhook reader not ended cleanly", "error", err)
	}
}

// step does one batch, or waits for one.
func (r *reader) step() error {
	ctx := r.d.intake
	if r.unsafe {
		c, err := r.d.o.Store.Cursor(ctx, readerName)
		if err != nil {
			return err
		}
		r.place, r.saved, r.unsafe, r.due = c, c, false, false
	}
	if r.d.dir.Load().enabled == 0 {
		return r.skip(ctx)
	}
	changed := r.d.o.Store.Changed()
	events, next, err := r.d.o.Store.Read(ctx, message.WorkspaceID{}, r.place, readLimit)
	if err != nil {
		return err
	}
	if err := r.enqueue(ctx, events, next); err != nil {
		return err
	}
	select {
	case <-r.save.C:
		if err := r.keep(ctx); err != nil {
			return err
		}
	default:
	}
	switch {
	case len(events) == 0:
		t := time.NewTimer(idle)
		defer t.Stop()
		select {
		case <-changed:
		case <-r.d.wake:
		case <-t.C:
		case <-ctx.Done():
		}
	case len(events) < few:
		rest(ctx, nil, gather)
	}
	return nil
}

// skip passes everything by while nobody wants anything: two small queries a
// second. The head is asked for before the endpoints, so that no event which
// is committed after an endpoint is passed by.
func (r *reader) skip(ctx context.Context) error {
	head, err := r.d.o.Store.Head(ctx)
	if err != nil {
		return err
	}
	if err := r.d.refresh(ctx); err != nil {
		return err
	}
	if r.d.dir.Load().enabled > 0 {
		return nil
	}
	if head != r.saved {
		r.place, r.due = head, true
		if err := r.keep(ctx); err != nil {
			return err
		}
	}
	rest(ctx, r.d.wake, idle)
	return nil
}

func (r *reader) keep(ctx context.Context) error {
	if !r.due || r.unsafe {
		return nil
	}
	if err := r.d.o.Store.SaveCursor(ctx, readerName, r.place); err != nil {
		return err
	}
	r.saved, r.due = r.place, false
	return nil
}

// enqueue writes one row per event and endpoint that wants it.
func (r *reader) enqueue(ctx context.Context, events []*store.LogEvent, next store.Cursor) error {
	if len(events) == 0 {
		return nil
	}
	dir := r.d.dir.Load()
	if dir.changes != r.d.changes.Load() {
		if err := r.d.refresh(ctx); err != nil {
			return err
		}
		dir = r.d.dir.Load()
	}
	now := r.d.o.Now()
	var rows []*store.WebhookDelivery
	flush := func(at store.Cursor) error {
		r.d.express(ctx, rows)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		if err := r.d.o.Store.Enqueue(ctx, readerName, at, rows); err != nil {
			r.room = nil // who knows who holds it
			return err
		}
		r.place, r.saved, r.due = at, at, false
		waiting := make(map[message.EndpointID]bool)
		for _, d := range rows {
			if d.State == store.WebhookPending { // not taken on the express way
				waiting[d.Endpoint] = true
			}
		}
		rows = rows[:0]
		r.d.nudge(waiting)
		return nil
	}
	for _, e := range events {
		for _, endpoint := range dir.of[e.Workspace] {
			if !wants(endpoint, e.Type) {
				continue
			}
			row := r.row(len(rows))
			*row = store.WebhookDelivery{
				ID: message.DeliveryID(r.d.o.IDs.Next(now)), Workspace: e.Workspace, Endpoint: endpoint.ID, Event: e.Event, Place: e.Cursor,
				State: store.WebhookPending, NextAt: now, CreatedAt: now,
			}
			rows = append(rows, row)
		}
		if len(rows) >= writeLimit {
			if err := flush(e.Cursor); err != nil {
				return err
			}
		}
	}
	if len(rows) > 0 {
		return flush(next)
	}
	if r.place != next {
		r.place, r.due = next, true
	}
	return nil
}

// row gives the place of the nth row of an Enqueue.
func (r *reader) row(n int) *store.WebhookDelivery {
	for n >= len(r.room)*rowsPiece {
		r.room = append(r.room, new([rowsPiece]store.WebhookDelivery))
	}
	return &r.room[n/rowsPiece][n%rowsPiece]
}
