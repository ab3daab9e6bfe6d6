package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// What the house keeps where a workspace says nothing; docs/operating.md tells
// it. Messages and their content are kept until somebody says how long.
const (
	keepEvents   = 90 * 24 * time.Hour
	keepWebhooks = 30 * 24 * time.Hour
	// keepSealed is what is sealed under daily keys: law 8.
	keepSealed = 7 * 24 * time.Hour
	// keepRefs is how long a receipt may come after its horizon.
	keepRefs = 24 * time.Hour
)

const (
	janitorEvery = time.Minute
	janitorLease = 3 * time.Minute
	// Small batches with pauses leave the disk to the traffic; one workspace
	// gets no more than its share of a round.
	janitorBatch = 200
	janitorPause = 50 * time.Millisecond
	janitorShare = 100
	// Expired keys and refs hurt nobody and are found by long looks.
	housekeepEvery = 15 * time.Minute
)

// janitorID is the id under which nodes agree who cleans. It is no connector's.
func janitorID() message.ConnectorID {
	sum := sha256.Sum256([]byte("parley/janitor"))
	return message.ConnectorID(sum[:16])
}

// A janitor deletes what nobody may or wants to keep: on one node at a time.
type janitor struct {
	store interface {
		store.Upkeep
		store.Leases
	}
	workspaces *workspace.Registry
	now        func() time.Time
	log        *slog.Logger
	node       string
	pause      time.Duration

	kept    time.Time // when housekeeping was done last, by now
	life    context.Context
	cancel  context.CancelFunc
	stopped sync.WaitGroup
	start   sync.Once
}

func newJanitor(a *App) *janitor {
	j := &janitor{store: a.Store, workspaces: a.Workspaces, now: a.Now, log: a.log, node: a.Options.Node, pause: janitorPause}
	j.life, j.cancel = context.WithCancel(context.Background())
	return j
}

// Start cleans at once and then every minute.
func (j *janitor) Start() {
	j.start.Do(func() { j.stopped.Go(j.run) })
}

// Stop ends after the batch at hand. It is harmless twice and before Start.
func (j *janitor) Stop(ctx context.Context) error {
	j.cancel()
	done := make(chan struct{})
	go func() { j.stopped.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *janitor) run() {
	tick := time.NewTicker(janitorEvery)
	defer tick.Stop()
	for {
		n, err := j.round(j.life)
		switch {
		case j.life.Err() != nil:
			return
		case err != nil:
			j.log.Warn("not everything that is too old was deleted", "rows", n, "error", err)
		case n > 0:
			j.log.Info("what was too old was deleted", "rows", n)
		}
		select {
		case <-tick.C:
		case <-j.life.Done():
			return
		}
	}
}

// round deletes what is too old now, if it is this node's turn, and gives how
// many rows went. What is left over waits for the next round.
func (j *janitor) round(ctx context.Context) (int, error) {
	held, err := j.store.Lease(ctx, j.node, []message.ConnectorID{janitorID()}, janitorLease)
	if err != nil || len(held) == 0 {
		return 0, err
	}
	ends := time.Now().Add(janitorLease / 2)
	now := j.now()
	var errs []error
	total := 0
	// Keys first: what is sealed under them can be read no more from here on.
	n, err := j.workspaces.PurgeDays(ctx, now)
	total += n
	errs = append(errs, err)
	list, err := j.workspaces.List(ctx)
	errs = append(errs, err)
	for _, w := range list {
		cfg, err := j.workspaces.Config(ctx, w.ID)
		if err != nil {
			errs = append(errs, fmt.Errorf("workspace %s: %w", w.ID, err))
			continue
		}
		n, err := j.purge(ctx, ends, byRetention(w.ID, cfg.Settings.Retention, now))
		total += n
		errs = append(errs, err)
	}
	if since := now.Sub(j.kept); since >= housekeepEvery || since < 0 {
		n, err := j.purge(ctx, ends, store.Purge{
			Callbacks: now.Add(-keepSealed), Idempotency: now, Dedup: now, Refs: now.Add(-keepRefs), Media: now, Batch: janitorBatch,
		})
		total += n
		if errs = append(errs, err); err == nil && n < janitorBatch*janitorShare {
			j.kept = now
		}
	}
	return total, errors.Join(errs...)
}

// byRetention says what of a workspace may go.
func byRetention(ws message.WorkspaceID, r workspace.Retention, now time.Time) store.Purge {
	before := func(keep workspace.Duration, house time.Duration) time.Time {
		switch {
		case keep > 0:
			return now.Add(-time.Duration(keep))
		case house > 0:
			return now.Add(-house)
		}
		return time.Time{}
	}
	return store.Purge{
		Workspace: ws, Messages: before(r.Messages, 0), Content: before(r.Content, 0),
		Events: before(r.Events, keepEvents), Webhooks: before(r.Webhooks, keepWebhooks), Batch: janitorBatch,
	}
}

// purge goes on in small batches until nothing is left, its share is used up or
// the lease may end.
func (j *janitor) purge(ctx context.Context, ends time.Time, p store.Purge) (total int, err error) {
	for range janitorShare {
		n, err := j.store.Purge(ctx, p)
		total += n
		if err != nil || n == 0 || time.Now().After(ends) {
			return total, err
		}
		t := time.NewTimer(j.pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return total, ctx.Err()
		}
	}
	return total, nil
}
