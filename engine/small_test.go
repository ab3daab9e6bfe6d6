package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/handset"
)

// TestSmallMemory has messages fall back whose records left the cache between
// their two steps, packed without their content: the second step says what was
// asked for all the same.
func TestSmallMemory(t *testing.T) {
	w := newWorldOn(t, nil, func(o *engine.Options) { o.Cache, o.Shards = 1, 1 })
	off := false
	var ids []message.MessageID
	for i := range 12 {
		to := fmt.Sprintf("336123457%02d", i)
		_, err := w.sandbox.Handsets.Put(to, handset.Change{Internet: &off})
		must(t, err)
		r := boardingPass("+"+to, 2*time.Second)
		r.Content.Text = fmt.Sprintf("Your boarding pass %d: https://aeroparley.example/b/X7K2", i)
		if i%2 == 0 {
			r.Metadata = nil
		}
		ids = append(ids, w.send(r).ID)
	}
	for i, id := range ids {
		v := w.until(id, "delivered by SMS", func(d *message.Delivery) bool { return d.State == message.Delivered })
		if v.Delivery.Steps[1].State != message.StepDelivered {
			t.Errorf("message %d: the steps are %v and %v", i, v.Delivery.Steps[0].State, v.Delivery.Steps[1].State)
		}
		want, found := fmt.Sprintf("boarding pass %d:", i), false
		for _, item := range w.sandbox.Handsets.Inbox(fmt.Sprintf("336123457%02d", i)) {
			found = found || strings.Contains(item.Text, want)
		}
		if !found {
			t.Errorf("message %d: no text says %q", i, want)
		}
	}
}
