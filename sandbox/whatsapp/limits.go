package whatsapp

import (
	"sync"
	"time"
)

// bucket is a token bucket.
type bucket struct {
	mu   sync.Mutex
	full time.Time // when it would be full again
}

// take says whether one more fits at now; gap is the time one token takes to
// come back, burst how many there are.
func (b *bucket) take(now time.Time, gap time.Duration, burst int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now) {
		b.full = now
	}
	next := b.full.Add(gap)
	if next.Sub(now) > gap*time.Duration(burst) {
		return false
	}
	b.full = next
	return true
}

// The pair rate limit: one message each 6 s to one person, a burst of 45 may
// borrow from the future (wire facts, section 2.11).
const (
	pairGap   = 6 * time.Second
	pairBurst = 45
	pairCap   = 100_000 // people remembered
)

type pairs struct {
	mu  sync.Mutex
	all map[string]*bucket
}

func (p *pairs) take(key string, now time.Time) bool {
	p.mu.Lock()
	b := p.all[key]
	if b == nil {
		if p.all == nil || len(p.all) >= pairCap {
			p.all = map[string]*bucket{}
		}
		b = &bucket{}
		p.all[key] = b
	}
	p.mu.Unlock()
	return b.take(now, pairGap, pairBurst)
}

func (p *pairs) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = nil
}

// limited judges the optional rate limits.
func (s *Server) limited(n *number, to string) *refusal {
	now := s.parts.Clock.Now()
	if rate := s.opts.Throughput; rate > 0 && !n.pace.take(now, time.Second/time.Duration(rate), rate) {
		return refuse(130429, "Message failed to send because there were too many messages sent from this phone number in a short period of time.")
	}
	if s.opts.PairLimit && !s.pairs.take(n.ID+to, now) {
		return refuse(131056, "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.")
	}
	return nil
}
