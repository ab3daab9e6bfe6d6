package app

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// followEvery bounds how late a node learns what another did to a person.
const followEvery = time.Second

// A follower forgets the people that any node changed, so that an erasure
// reaches the memory of all. What it has not read yet is safe all the same:
// guards make a write conditional on the person's version (law 7).
//
// It keeps its place in memory: a node begins with an empty memory, and one
// that died must not hold up the purge of the log.
type follower struct {
	store  store.Log
	forget func(message.WorkspaceID, message.ContactID)
	log    *slog.Logger

	life    context.Context
	cancel  context.CancelFunc
	stopped sync.WaitGroup
	start   sync.Once
}

func newFollower(s store.Log, forget func(message.WorkspaceID, message.ContactID), log *slog.Logger) *follower {
	f := &follower{store: s, forget: forget, log: log}
	f.life, f.cancel = context.WithCancel(context.Background())
	return f
}

// Start follows from the end of the log on; everything that is changed after
// it returned is seen.
func (f *follower) Start(ctx context.Context) (err error) {
	f.start.Do(func() {
		var place store.Cursor
		if place, err = f.store.Head(ctx); err == nil {
			f.stopped.Go(func() { f.run(place) })
		}
	})
	return err
}

// Stop is harmless twice and before Start.
func (f *follower) Stop(context.Context) error {
	f.cancel()
	f.stopped.Wait()
	return nil
}

func (f *follower) run(place store.Cursor) {
	poll := time.NewTicker(followEvery)
	defer poll.Stop()
	for f.life.Err() == nil {
		changed := f.store.Changed()
		const many = 1000
		events, next, err := f.store.Read(f.life, message.WorkspaceID{}, place, many)
		if err != nil {
			if f.life.Err() == nil {
				f.log.Warn("changes of people not readable", "error", err)
			}
			changed, events = nil, nil
		} else {
			place = next
		}
		for _, e := range events {
			// Nobody holds an older state of a person who was made just now; to
			// forget them would cost a reading before their first message.
			if strings.HasPrefix(e.Type, "contact.") && e.Type != event.ContactCreated && !e.Contact.IsZero() {
				f.forget(e.Workspace, e.Contact)
			}
		}
		if len(events) == many {
			continue
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-f.life.Done():
		}
	}
}
