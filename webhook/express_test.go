package webhook_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/webhook"
)

// warm lets an endpoint take one event, after which it has earned the express
// way.
func (r *rig) warm(c *receiver, e *store.Endpoint) {
	r.t.Helper()
	r.events(event.MessageSent, r.message())
	c.take(200)
	r.until("settled", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 1 })
}

func TestExpressWritesWhatWasTaken(t *testing.T) {
	for _, batch := range []int{0, 10} {
		r := start(t)
		c := r.receiver()
		e, secret := r.endpoint(c.url, func(e *store.Endpoint) { e.Batch = batch })
		r.dispatcher()
		r.warm(c, e)
		sent := r.events(event.MessageReceived, r.message())
		got := c.take(http.StatusAccepted)
		check(t, webhook.Verify(secret, got.header, got.body, noon, time.Minute))
		r.until("written", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 2 })
		row := r.rows(e, "")[0]
		if row.Event.ID != sent[0].ID || row.Tries != 1 || row.Status != http.StatusAccepted || !row.LastAt.Equal(noon) {
			t.Errorf("got %+v", row)
		}
		r.events(event.MessageSent, r.message())
		c.take(500)
		r.until("written", func() bool { return len(r.rows(e, "")) == 3 })
		if row := r.rows(e, "")[0]; row.Tries != 1 || row.Error != "server_error" || row.State != store.WebhookPending || row.NextAt.Sub(noon) != 5*time.Second {
			t.Errorf("got %+v", row)
		}
	}
}

// claims counts how often rows are asked for, and how many are written that
// wait.
type claims struct {
	webhook.Store
	n, waiting atomic.Int64
}

func (c *claims) Enqueue(ctx context.Context, reader string, at store.Cursor, rows []*store.WebhookDelivery) error {
	for _, r := range rows {
		if r.State == store.WebhookPending {
			c.waiting.Add(1)
		}
	}
	return c.Store.Enqueue(ctx, reader, at, rows)
}

func (c *claims) Claim(ctx context.Context, endpoint message.EndpointID, owner string, now, until time.Time, limit int) ([]*store.WebhookDelivery, error) {
	c.n.Add(1)
	return c.Store.Claim(ctx, endpoint, owner, now, until, limit)
}

// What goes the express way does not wait, and nobody asks for it but the poll.
// On a machine that is too busy to answer in time some does wait.
func TestExpressWakesNobody(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, _ := r.endpoint(c.url)
	spy := &claims{Store: r.store}
	r.dispatcher(func(o *webhook.Options) { o.Store = spy })
	r.warm(c, e)
	const n = 20
	before, waited := spy.n.Load(), spy.waiting.Load()
	for i := range n {
		r.events(event.MessageSent, r.message())
		c.take(200)
		r.until("written", func() bool { return len(r.rows(e, store.WebhookDelivered)) == i+2 })
	}
	waited = spy.waiting.Load() - waited
	if asked := spy.n.Load() - before; asked > n/2+3*waited {
		t.Errorf("rows were asked for %d times beside %d events of which %d waited", asked, n, waited)
	}
}

func TestExpressCutIsSentAgain(t *testing.T) {
	r := start(t)
	c := r.receiver()
	e, _ := r.endpoint(c.url)
	d := r.dispatcher()
	r.warm(c, e)
	r.events(event.MessageSent, r.message())
	first := c.next() // taken, and never answered
	check(t, crash(d))
	r.dispatcher(func(o *webhook.Options) { o.Node = "node-2" })
	if again := c.take(200); again.id() != first.id() {
		t.Errorf("got %s, then %s", first.id(), again.id())
	}
	r.until("delivered", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 2 })
}

func TestExpressWaitsForNobody(t *testing.T) {
	r := start(t)
	slow, quick := r.receiver(), r.receiver()
	a, _ := r.endpoint(slow.url)
	d := r.dispatcher()
	r.warm(slow, a)
	b, _ := r.endpoint(quick.url)
	d.EndpointChanged(r.ws, b.ID)
	for seen := make(map[string]bool); len(seen) < 40; { // slow takes no more
		if len(seen)%10 == 0 {
			r.events(event.MessageSent, r.messages(10)...)
		}
		for n := len(seen); len(seen) < n+10; {
			seen[quick.take(200).id()] = true
		}
	}
	r.until("settled", func() bool { return len(r.rows(b, store.WebhookDelivered)) == 40 })
	if n := len(r.rows(a, store.WebhookDelivered)); n != 1 {
		t.Errorf("slow took %d", n)
	}
}
