// Package clock is the sandbox's one deadline scheduler: everything a pretend
// provider or a pretend person does later goes through it.
//
// It runs on real timers, and it can be advanced: Advance runs what falls due
// on the way, in order, each at its own time, so that a day passes in a
// moment. It is not a source of time: the reading comes from the function
// given to New. Start with Clock.
package clock

import (
	"sync"
	"time"
)

// A Clock reads a time that can be pushed forward and runs functions when it
// reaches their deadlines. Its methods may be called from many goroutines.
type Clock struct {
	now func() time.Time

	run sync.Mutex // held while due functions run, so that they run in order

	mu      sync.Mutex
	offset  time.Duration
	items   []item
	seq     uint64
	stopped bool

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

type item struct {
	at  int64 // unix nanoseconds
	seq uint64
	f   func(at time.Time)
}

// New returns a running Clock that reads now. Stop ends it.
func New(now func() time.Time) *Clock {
	c := &Clock{now: now, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go c.loop()
	return c
}

// Now returns the current time: the reading of the underlying function plus
// everything Advance added.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(c.offset)
}

// At runs f once the clock reaches t, and at once when it already has. f gets
// the deadline it was given, runs on the clock's goroutine (or on that of
// Advance), must be short and must not call Advance, Wake or Stop.
func (c *Clock) At(t time.Time, f func(at time.Time)) {
	c.mu.Lock()
	c.seq++
	first := c.push(item{at: t.UnixNano(), seq: c.seq, f: f})
	c.mu.Unlock()
	if first {
		c.poke()
	}
}

// After runs f when d has passed; see At.
func (c *Clock) After(d time.Duration, f func(at time.Time)) {
	c.At(c.Now().Add(d), f)
}

// Advance pushes the clock forward by d and returns when everything that fell
// due on the way has run, each function at its own deadline. It returns the
// new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	target := c.Now().Add(d)
	c.drain(target, true)
	c.mu.Lock()
	if behind := target.Sub(c.now().Add(c.offset)); behind > 0 {
		c.offset += behind
	}
	c.mu.Unlock()
	c.poke()
	return c.Now()
}

// Wake makes the clock read its function again and run what is due. Call it
// after the function given to New has jumped.
func (c *Clock) Wake() { c.drain(c.Now(), false) }

// Pending returns how many functions wait for their deadline.
func (c *Clock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.items)
}

// Next gives the earliest deadline a function waits for; false when none does.
func (c *Clock) Next() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, c.items[0].at).UTC(), true
}

// Clear forgets every function that waits for its deadline.
func (c *Clock) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = nil
}

// Stop ends the clock and returns when no function runs any more. What still
// waits is never run. It is harmless twice.
func (c *Clock) Stop() {
	c.once.Do(func() {
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
		close(c.quit)
	})
	<-c.done
}

func (c *Clock) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Clock) loop() {
	defer close(c.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.drain(c.Now(), false)
		wait := time.Hour
		c.mu.Lock()
		if len(c.items) > 0 {
			wait = max(0, time.Unix(0, c.items[0].at).Sub(c.now().Add(c.offset)))
		}
		c.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.quit:
			return
		}
	}
}

// drain runs what is due by limit. With step the clock itself moves along.
func (c *Clock) drain(limit time.Time, step bool) {
	c.run.Lock()
	defer c.run.Unlock()
	for {
		c.mu.Lock()
		if c.stopped || len(c.items) == 0 || c.items[0].at > limit.UnixNano() {
			c.mu.Unlock()
			return
		}
		it := c.pop()
		at := time.Unix(0, it.at).UTC()
		if step {
			if behind := at.Sub(c.now().Add(c.offset)); behind > 0 {
				c.offset += behind
			}
		}
		c.mu.Unlock()
		it.f(at)
	}
}

func (c *Clock) less(i, j int) bool {
	a, b := &c.items[i], &c.items[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// push adds it to the heap and says whether it became the first.
func (c *Clock) push(it item) bool {
	c.items = append(c.items, it)
	i := len(c.items) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !c.less(i, parent) {
			break
		}
		c.items[i], c.items[parent] = c.items[parent], c.items[i]
		i = parent
	}
	return i == 0
}

func (c *Clock) pop() item {
	top := c.items[0]
	last := len(c.items) - 1
	c.items[0] = c.items[last]
	c.items[last] = item{}
	c.items = c.items[:last]
	for i := 0; ; {
		kid := 2*i + 1
		if kid >= last {
			break
		}
		if kid+1 < last && c.less(kid+1, kid) {
			kid++
		}
		if !c.less(kid, i) {
			break
		}
		c.items[i], c.items[kid] = c.items[kid], c.items[i]
		i = kid
	}
	return top
}
