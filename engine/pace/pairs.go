package pace

import (
	"maps"
	"time"
)

// pairsFew is how many keys may be idle in memory.
const pairsFew = 4096

// Pairs are buckets of one pace, one for each key: a pair of sender and person.
// A key of which there is nothing to remember takes no memory for long. The zero
// Pairs has no pace, but may still pause a key. It is not safe for concurrent
// use.
type Pairs struct {
	each  Bucket // full
	marks map[[16]byte]mark
	most  int // keys held before idle ones are forgotten
}

// A mark is what a bucket remembers, without pointers: Unix nanoseconds, 0 for
// the zero time.
type mark struct{ full, until int64 }

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
	if p.each.every == 0 && len(p.marks) == 0 {
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
		p.marks[key] = markOf(b)
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
			p.marks = make(map[[16]byte]mark)
		}
		if len(p.marks) >= max(p.most, pairsFew) {
			maps.DeleteFunc(p.marks, func(_ [16]byte, m mark) bool { b := p.of(m); return b.Idle(now) })
			p.most = 2 * len(p.marks)
		}
	}
	p.marks[key] = markOf(b)
}

func (p *Pairs) of(m mark) Bucket {
	b := p.each
	b.full, b.until = fromNanos(m.full), fromNanos(m.until)
	return b
}

func markOf(b Bucket) mark { return mark{nanos(b.full), nanos(b.until)} }

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
