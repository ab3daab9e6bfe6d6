package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
)

// A Rate limits the requests of one workspace on this node. A batch counts as
// many as it has items. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int // requests at once; 0 = those of a second
}

// A meter holds one token bucket per workspace.
type meter struct {
	rate   Rate
	policy string // RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10
	now    func() time.Time

	mu      sync.Mutex
	buckets map[message.WorkspaceID]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newMeter(rate Rate, now func() time.Time) *meter {
	if rate.PerSecond <= 0 {
		return nil
	}
	if rate.Burst <= 0 {
		rate.Burst = max(1, int(math.Ceil(rate.PerSecond)))
	}
	window := max(1, int(math.Ceil(float64(rate.Burst)/rate.PerSecond)))
	return &meter{
		rate: rate, now: now, buckets: make(map[message.WorkspaceID]*bucket),
		policy: `"workspace";q=` + strconv.Itoa(rate.Burst) + `;w=` + strconv.Itoa(window),
	}
}

// take takes one token if there is one, and tells what is left and in how many
// seconds the bucket is full again, or the next token comes.
func (m *meter) take(ws message.WorkspaceID) (ok bool, left, reset int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(ws)
	if b.tokens < 1 {
		return false, 0, max(1, int(math.Ceil((1-b.tokens)/m.rate.PerSecond)))
	}
	b.tokens--
	return true, int(b.tokens), int(math.Ceil((float64(m.rate.Burst) - b.tokens) / m.rate.PerSecond))
}

// charge takes n more tokens; the bucket may go into debt, so that a batch
// larger than the bucket is let in once and paid for afterwards.
func (m *meter) charge(ws message.WorkspaceID, n int) {
	if m == nil || n <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bucket(ws).tokens -= float64(n)
}

func (m *meter) bucket(ws message.WorkspaceID) *bucket {
	now := m.now()
	b := m.buckets[ws]
	if b == nil {
		b = &bucket{tokens: float64(m.rate.Burst), at: now}
		m.buckets[ws] = b
	}
	if gone := now.Sub(b.at); gone > 0 {
		b.tokens = min(float64(m.rate.Burst), b.tokens+gone.Seconds()*m.rate.PerSecond)
		b.at = now
	}
	return b
}

// admit writes the headers and says whether the request may pass.
func (m *meter) admit(ws message.WorkspaceID, h http.Header) *Problem {
	if m == nil {
		return nil
	}
	ok, left, reset := m.take(ws)
	h.Set("RateLimit-Policy", m.policy)
	h.Set("RateLimit", `"workspace";r=`+strconv.Itoa(left)+`;t=`+strconv.Itoa(reset))
	if ok {
		return nil
	}
	p := problem(codeLimited, "", "the workspace sends faster than its limit", "wait as long as Retry-After says")
	p.retryAfter = reset
	return p
}
