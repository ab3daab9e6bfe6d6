package pace

import (
	"maps"
	"time"
)

// pairsFew is how many keys may be idle in memory.
const pairsFew = 4096

// Pairs are buckets of one pace, one for each key: a pair of sender and person.
// A key of which there is nothing to remember takes no memory for long. The zero
// Pairs has no pace and pauses nothing. It is not safe for concurrent use.
type Pairs struct {
	each  Bucket // full
	from  time.Time
	marks map[[16]byte]mark
	most  int // keys held before idle ones are forgotten
}

// A mark is what a bucket remembers, without pointers: spans since from, so that
// a clock that is set does not matter; 0 for the zero time.
type mark struct{ full, until time.Duration }

// NewPairs gives buckets as [New] does.
func NewPairs(every time.Duration, burst int) Pairs {
	if every <= 0 {
		return Pairs{}
	}
	return Pairs{each: New(every, burst)}
}

// Len is how many keys are held.
func (p *Pairs) Len() int { return len(p.marks) }

// Take takes one token of the key, or tells when the next one comes.
func (p *Pairs) Take(key [16]byte, now time.Time) (ok bool, at time.Time) {
	if p.each.every == 0 {
		return true, now
	}
	b := p.bucket(key)
	ok, at = b.Take(now)
	p.set(key, b, now)
	return ok, at
}

// Give puts back a token that was taken for nothing.
func (p *Pairs) Give(key [16]byte) {
	if m, held := p.marks[key]; held {
		b := p.of(m)
		b.Give()
		p.marks[key] = p.mark(b)
	}
}

// Owe takes n tokens that were spent without asking.
func (p *Pairs) Owe(key [16]byte, n int, now time.Time) {
	b := p.bucket(key)
	b.Owe(n, now)
	p.set(key, b, now)
}

// Pause stops the key until an instant.
func (p *Pairs) Pause(key [16]byte, until, now time.Time) {
	if p.each.every == 0 {
		return
	}
	b := p.bucket(key)
	b.Pause(until)
	p.set(key, b, now)
}

func (p *Pairs) bucket(key [16]byte) Bucket { return p.of(p.marks[key]) }

// set remembers a bucket. When there are twice as many as were needed when it
// was last looked, those that hold nothing back are forgotten.
func (p *Pairs) set(key [16]byte, b Bucket, now time.Time) {
	if _, held := p.marks[key]; !held {
		if b.Idle(now) {
			return
		}
		if p.marks == nil {
			p.marks, p.from = make(map[[16]byte]mark), now
		}
		if len(p.marks) >= max(p.most, pairsFew) {
			maps.DeleteFunc(p.marks, func(_ [16]byte, m mark) bool { b := p.of(m); return b.Idle(now) })
			p.most = 2 * len(p.marks)
		}
	}
	p.marks[key] = p.mark(b)
}

func (p *Pairs) of(m mark) Bucket {
	b := p.each
	if m.full != 0 {
		b.full = p.from.Add(m.full)
	}
	if m.until != 0 {
		b.until = p.from.Add(m.until)
	}
	return b
}

func (p *Pairs) mark(b Bucket) (m mark) {
	if !b.full.IsZero() {
		m.full = b.full.Sub(p.from)
	}
	if !b.until.IsZero() {
		m.until = b.until.Sub(p.from)
	}
	return m
}
