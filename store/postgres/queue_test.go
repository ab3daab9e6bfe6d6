package postgres

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestGroupsFavourWork: what was accepted goes first, and little that is new
// beside it, so that no burst of requests makes a receipt's commit long.
func TestGroupsFavourWork(t *testing.T) {
	fresh := func(n int, p message.Purpose) *op {
		o := &op{items: n, accepts: make([]*store.Acceptance, n)}
		o.accepts[0] = &store.Acceptance{Delivery: &message.Delivery{Purpose: p}}
		return o
	}
	work := func(n int) *op { return &op{items: n, changes: make([]*store.Change, n)} }
	for _, c := range []struct {
		name       string
		ops        []*op
		items, new int
	}{
		{"new messages alone", []*op{fresh(100, message.Service), fresh(100, message.Service), fresh(100, message.Service)}, 200, 200},
		{"beside work", []*op{fresh(60, message.Service), fresh(30, message.Service), work(1), fresh(30, message.Service), work(300)}, 391, 90},
		{"one request of many beside work", []*op{fresh(250, message.Service), work(1), fresh(1, message.Service)}, 251, 250},
		{"one-time codes are work", []*op{fresh(100, message.Service), fresh(150, message.Authentication)}, 250, 250},
		{"work as far as a group goes", []*op{work(900), work(200), fresh(1, message.Service), work(100)}, 1001, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(10_000)
			q.ops = c.ops
			for _, o := range c.ops {
				q.waiting += o.items
			}
			w := &writer{help: time.NewTimer(time.Hour)}
			defer w.help.Stop()
			items, brought := 0, 0
			for _, o := range q.take(w, 1000) {
				items += o.items
				brought += len(o.accepts)
			}
			if items != c.items || brought != c.new {
				t.Errorf("a group of %d, %d of them new; want %d and %d", items, brought, c.items, c.new)
			}
		})
	}
}
