package webhook_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/webhook"
)

// tardy is a store whose next list of endpoints, once armed, waits until the
// log has given events.
type tardy struct {
	*sqlite.Store
	armed   atomic.Bool
	waiting chan struct{}
	events  chan struct{}
}

func (s *tardy) Endpoints(ctx context.Context, ws message.WorkspaceID) ([]*store.Endpoint, error) {
	if s.armed.CompareAndSwap(true, false) {
		close(s.waiting)
		select {
		case <-s.events:
		case <-ctx.Done():
		}
	}
	return s.Store.Endpoints(ctx, ws)
}

func (s *tardy) Read(ctx context.Context, ws message.WorkspaceID, after store.Cursor, limit int) ([]*store.LogEvent, store.Cursor, error) {
	list, next, err := s.Store.Read(ctx, ws, after, limit)
	select {
	case <-s.waiting:
		if len(list) > 0 {
			select {
			case s.events <- struct{}{}:
			default:
			}
		}
	default:
	}
	return list, next, err
}

// The endpoints may be in the middle of being read again when events come that
// were committed after one of them was made.
func TestNewEndpointMissesNothing(t *testing.T) {
	r := start(t)
	old, fresh := r.receiver(), r.receiver()
	a, _ := r.endpoint(old.url)
	s := &tardy{Store: r.store, waiting: make(chan struct{}), events: make(chan struct{}, 1)}
	d := r.dispatcher(func(o *webhook.Options) { o.Store = s })
	r.warm(old, a)
	s.armed.Store(true)
	b, _ := r.endpoint(fresh.url)
	told := make(chan struct{})
	go func() { // it waits for whoever is reading the endpoints
		d.EndpointChanged(r.ws, b.ID)
		close(told)
	}()
	<-s.waiting
	sent := r.events(event.MessageSent, r.message())
	if got := fresh.take(200); got.id() != sent[0].ID.String() {
		t.Errorf("got %s, not %s", got.id(), sent[0].ID)
	}
	old.take(200)
	<-told
}
