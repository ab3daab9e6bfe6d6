package sms

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A governor keeps an account to a pace that its SMSC bears: the configured
// throughput, half of what it was after each "too fast", and a tenth (at least
// one part) more for each second in which that was not said again. Where no throughput is
// configured, what went out in the last second is the pace to halve, and the
// limit is lifted once four times of what was too fast went well.
type governor struct {
	ceiling rate.Limit // configured; rate.Inf = none
	limiter *rate.Limiter

	mu     sync.Mutex
	slowed bool
	fast   rate.Limit // the pace that was too fast
	cut    time.Time  // when it was last halved
	raised time.Time
	second time.Time // begin of the second that is counted
	sent   int       // parts in it
	before int       // parts in the second before
}

// What the governor goes by.
const (
	cutOnce   = time.Second // refusals of one burst are one
	raiseBy   = 1.1         // each second
	slowest   = 5           // parts a second: an account that bears less is configured so
	liftAbove = 4
	congested = 90 // of SMPP 5.0's congestion_state: 80 to 89 is best, 100 full
)

func newGovernor(throughput float64) *governor {
	g := &governor{ceiling: rate.Inf}
	if throughput > 0 {
		g.ceiling = rate.Limit(throughput)
	}
	g.limiter = rate.NewLimiter(g.ceiling, burst(g.ceiling))
	return g
}

// burst is how many parts may go at once: those of a tenth of a second.
func burst(pace rate.Limit) int {
	if pace == rate.Inf {
		return 1 // without meaning
	}
	return max(1, int(pace/10))
}

// wait waits for the turn of parts. It fails with ctx's error, or because ctx
// would end before.
func (g *governor) wait(ctx context.Context, parts int, now time.Time) error {
	g.count(parts, now)
	if g.limiter.Limit() == rate.Inf {
		return nil
	}
	for range parts {
		if err := g.limiter.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// count notes parts that are about to leave, and raises the pace again.
func (g *governor) count(parts int, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch past := now.Sub(g.second); {
	case past >= 2*time.Second:
		g.second, g.before, g.sent = now, 0, 0
	case past >= time.Second:
		g.second, g.before, g.sent = now, g.sent, 0
	}
	g.sent += parts
	if !g.slowed {
		return
	}
	pace := g.limiter.Limit()
	for now.Sub(g.raised) >= time.Second && g.slowed {
		pace = max(pace*raiseBy, pace+1)
		g.raised = g.raised.Add(time.Second)
		if pace >= g.ceiling || g.ceiling == rate.Inf && pace >= liftAbove*g.fast {
			pace, g.slowed = g.ceiling, false
		}
	}
	g.set(pace)
}

// slow halves the pace. It gives the new one, 0 when nothing changed.
func (g *governor) slow(now time.Time) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cut.IsZero() && now.Sub(g.cut) < cutOnce {
		return 0
	}
	pace := g.limiter.Limit()
	if pace == rate.Inf {
		pace = rate.Limit(max(g.sent, g.before))
	}
	pace = max(pace, min(slowest, g.ceiling))
	g.fast, g.cut, g.raised, g.slowed = pace, now, now, true
	g.set(min(max(pace/2, slowest), pace))
	return float64(g.limiter.Limit())
}

func (g *governor) set(pace rate.Limit) {
	if pace != g.limiter.Limit() {
		g.limiter.SetLimit(pace)
		g.limiter.SetBurst(burst(pace))
	}
}

// slowedTo gives the pace while it is below what is configured; 0 = it is not.
func (g *governor) slowedTo() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.slowed {
		return 0
	}
	return float64(g.limiter.Limit())
}
