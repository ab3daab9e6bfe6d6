package postgres

import (
	"maps"
	"sync"
	"sync/atomic"
)

// names gives one string for all equal texts of few different ones.
type names struct {
	known atomic.Pointer[map[string]string]
	mu    sync.Mutex
}

func newNames() *names {
	n := &names{}
	n.known.Store(&map[string]string{})
	return n
}

// manyNames is more than there are types of event: what comes after is not held.
const manyNames = 256

func (n *names) of(b []byte) string {
	known := *n.known.Load()
	if s, ok := known[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(known) >= manyNames {
		return s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	more := maps.Clone(*n.known.Load())
	more[s] = s
	n.known.Store(&more)
	return s
}
