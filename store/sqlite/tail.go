package sqlite

import (
	"bytes"
	"sync"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A tail is the end of the log in memory, without a gap up to the last commit:
// readers that keep up find there what they would read from the file, and a
// commit need not empty their page caches for it. It holds copies, given out
// again and again: readers change nothing in them.
type tail struct {
	most   int // events held
	mu     sync.RWMutex
	epoch  int64
	after  int64 // the first event held follows this number
	events []*store.LogEvent
	size   int
}

// What a tail holds at most: events, and bytes of their data.
const (
	tailEvents = 8_192
	tailBytes  = 2 << 20
)

// reset empties the tail: what was held may have changed in the file.
func (t *tail) reset(epoch, head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch, t.after, t.events, t.size = epoch, head, nil, 0
}

// add appends what a commit logged; the last of it has the number head.
func (t *tail) add(events []*store.LogEvent, head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.after+int64(len(t.events)+len(events)) != head {
		t.after, t.events, t.size = head, nil, 0 // a gap: begin behind it
		return
	}
	for _, e := range events {
		e.Cursor = place{t.epoch, t.after + int64(len(t.events)) + 1}.cursor()
		t.events = append(t.events, e)
		t.size += weight(e)
	}
	drop := 0
	for len(t.events)-drop > t.most || t.size > tailBytes && drop < len(t.events) {
		t.size -= weight(t.events[drop])
		drop++
	}
	if drop > 0 {
		t.after += int64(drop)
		clear(t.events[:drop])
		t.events = t.events[drop:] // append moves what is left to new memory by and by
	}
}

func weight(e *store.LogEvent) int { return len(e.Data) + len(e.Sealed) }

// read gives up to limit events after a place, of one workspace or of all, and
// the place reached; ok is false when the tail does not reach back to it.
func (t *tail) read(ws message.WorkspaceID, p place, limit int) (list []*store.LogEvent, next place, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at := p.seq - t.after
	if p.epoch != t.epoch || at < 0 {
		return nil, p, false
	}
	if at >= int64(len(t.events)) {
		return nil, p, true
	}
	if ws.IsZero() {
		list = append(list, t.events[at:min(int(at)+limit, len(t.events))]...)
		return list, place{p.epoch, p.seq + int64(len(list))}, true
	}
	for i, e := range t.events[at:] {
		if len(list) == limit {
			break
		}
		if e.Workspace == ws {
			list = append(list, e)
			p.seq = t.after + at + int64(i) + 1
		}
	}
	return list, p, true
}

// numbers finds events by id; it gives how many of wanted are left.
func (t *tail) numbers(wanted map[message.EventID]int64) (left int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	left = len(wanted)
	for i := 0; i < len(t.events) && left > 0; i++ {
		id := t.events[i].ID
		if seq, ok := wanted[id]; ok && seq == 0 {
			wanted[id] = t.after + int64(i) + 1
			left--
		}
	}
	return left
}

// A copier copies events, many into one piece of memory, and what they say of
// their messages once while they say the same.
type copier struct {
	free []byte
	said [8][]byte
	next int // of said
}

func (c *copier) bytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > cap(c.free)-len(c.free) {
		c.free = make([]byte, 0, max(16<<10, len(b)))
	}
	from := len(c.free)
	c.free = append(c.free, b...)
	return c.free[from:len(c.free):len(c.free)]
}

func (c *copier) data(b []byte) []byte {
	if b == nil {
		return nil
	}
	for _, said := range c.said {
		if said != nil && bytes.Equal(said, b) {
			return said
		}
	}
	said := c.bytes(b)
	c.said[c.next] = said
	c.next = (c.next + 1) % len(c.said)
	return said
}

func (c *copier) event(e *store.Event) *store.LogEvent {
	out := &store.LogEvent{Event: *e}
	out.Data, out.Sealed = c.data(e.Data), c.bytes(e.Sealed)
	return out
}
