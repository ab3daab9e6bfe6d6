// Package pace says, purely, how fast one connector account and one pair of
// sender and person may go ([Bucket]), and whose turn it is where several share
// one ([Turns]). Time is an argument; nothing waits here.
package pace

import "time"

// A Bucket is a token bucket on given time. The zero Bucket has no limit. It
// is not safe for concurrent use: its lane owns it.
type Bucket struct {
	every time.Duration // one token comes back in this span; 0 = no limit
	burst int
	// full is the instant the bucket would be full again: the whole state.
	full time.Time
	// until is when a throttled account may go on.
	until time.Time
}

// New gives a bucket of burst tokens, one of which comes back every span.
func New(every time.Duration, burst int) Bucket {
	return Bucket{every: every, burst: max(burst, 1)}
}

// PerSecond gives a bucket for a rate; zero means no limit.
func PerSecond(rate float64, burst int) Bucket {
	if rate <= 0 {
		return Bucket{}
	}
	if burst <= 0 {
		burst = max(1, int(rate/10))
	}
	return New(time.Duration(float64(time.Second)/rate), burst)
}

// Take takes one token, or tells when the next one comes.
func (b *Bucket) Take(now time.Time) (ok bool, at time.Time) {
	if now.Before(b.until) {
		return false, b.until
	}
	if b.every == 0 {
		return true, now
	}
	if b.full.Before(now) {
		b.full = now
	}
	// The bucket holds burst tokens; each missing one pushes full away by every.
	missing := b.full.Add(b.every).Sub(now)
	if limit := b.every * time.Duration(b.burst); missing > limit {
		return false, now.Add(missing - limit)
	}
	b.full = b.full.Add(b.every)
	return true, now
}

// Give puts back a token that was taken for nothing.
func (b *Bucket) Give() {
	if b.every > 0 {
		b.full = b.full.Add(-b.every)
	}
}

// Owe takes n tokens that were spent without asking: what follows waits for
// them.
func (b *Bucket) Owe(n int, now time.Time) {
	if b.every == 0 {
		return
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(time.Duration(n) * b.every)
}

// Pause stops the bucket until an instant: the provider said "too fast".
func (b *Bucket) Pause(until time.Time) {
	if until.After(b.until) {
		b.until = until
	}
}

// Idle reports whether the bucket is full: nothing is remembered of it.
func (b *Bucket) Idle(now time.Time) bool {
	return !b.full.After(now) && !b.until.After(now)
}
