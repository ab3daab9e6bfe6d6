package engine

import (
	"encoding/binary"
	"testing"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func keyOf(n int) (k message.RefKey) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// The cache knows at least the last half of what it may hold, never more than
// all of it, the latest word on a key, and nothing that was dropped.
func TestRefCache(t *testing.T) {
	const most = 100
	a := &account{id: message.ConnectorID{1}, ws: message.WorkspaceID{2}}
	var c refCache
	c.init(most)
	put := func(n int, attempt uint16) {
		c.put(store.OpenRef{RefName: store.RefName{Connector: a.id, Key: keyOf(n)}, Message: message.MessageID{byte(n)}, Step: 1, Attempt: attempt, Part: 3})
	}
	knows := func(n int) bool {
		r, ok := c.any(a, []message.RefKey{keyOf(-1), keyOf(n)})
		if ok && (r.Connector != a.id || r.Workspace != a.ws || r.Key != keyOf(n) || r.Message != message.MessageID{byte(n)} || r.Step != 1 || r.Part != 3) {
			t.Errorf("%d is %+v", n, r)
		}
		return ok
	}
	for n := range 1000 {
		put(n, 1)
		if held := len(c.young) + len(c.old); held > most {
			t.Fatalf("%d are held after %d", held, n+1)
		}
		for back := range min(n+1, most/2) {
			if !knows(n - back) {
				t.Fatalf("after %d, %d is not known", n, n-back)
			}
		}
	}
	if knows(1000 - most - 1) {
		t.Error("what came first is still known")
	}
	first := 1000 - most/2
	put(first, 2) // of the older half
	if r, _ := c.any(a, []message.RefKey{keyOf(first)}); r.Attempt != 2 {
		t.Errorf("attempt %d, want the later", r.Attempt)
	}
	for _, n := range []int{first, first + 1, 999} {
		c.drop(store.RefName{Connector: a.id, Key: keyOf(n)})
		if knows(n) {
			t.Errorf("%d is known after it was dropped", n)
		}
	}
	c.put(store.OpenRef{RefName: store.RefName{Key: keyOf(5000)}, Inferred: true})
	if _, ok := c.any(a, []message.RefKey{keyOf(5000)}); ok {
		t.Error("a ref made of addresses is known by its key")
	}
}
