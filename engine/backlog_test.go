package engine

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// A message that comes back, such as a retry, is older than what was read of
// the store. When the lane has no room for it, the next reading begins before
// it.
func TestWhatComesBackIsFoundAgain(t *testing.T) {
	id := func(n int) message.MessageID { return message.MessageID{14: byte(n >> 8), 15: byte(n)} }
	job := func(n int) *job {
		return &job{id: id(n), sender: message.SenderID{1}, priority: message.Utility.Priority(), identity: [16]byte{byte(n), byte(n >> 8)}}
	}
	e := &Engine{}
	e.o.Queue = senderShare
	l := newLane(e, &account{typ: &channel.Type{}})
	q := l.queue(job(0))
	q.spilled, q.all = false, false
	for n := 100; n < 100+senderShare; n++ {
		l.push(job(n))
	}
	q.fetched = id(99 + senderShare)
	for name, come := range map[string]func(){
		"while nothing is read": func() { l.push(job(5)) },
		"while it is read": func() {
			q.fetching = true
			l.push(job(5))
			q.fetching = false
			q.fetched = id(2000)
			q.reached()
		},
	} {
		q.fetched, q.spilled = id(99+senderShare), false
		come()
		if l.present[id(5)] || !q.spilled || q.fetched.String() >= id(5).String() {
			t.Errorf("%s: in memory %t, more in the store %t, read up to %x", name, l.present[id(5)], q.spilled, q.fetched)
		}
	}
	for n, want := range map[message.MessageID]message.MessageID{id(256): id(255), id(1): id(0)} {
		if got := before(n); got != want {
			t.Errorf("before %x: %x", n, got)
		}
	}
}

// Another node's hint makes the lane read from what that node accepted on, and
// not what it has in memory already; what is unread below stays to be read.
func TestHintSaysWhereToRead(t *testing.T) {
	id := func(n int) message.MessageID { return message.MessageID{14: byte(n >> 8), 15: byte(n)} }
	waits := func(q *backlog, n int) bool { return q.waits(&job{id: id(n)}) }
	for _, c := range []struct {
		name  string
		q     backlog
		hint  int
		start message.MessageID // after which the next reading begins
	}{
		{"all else is in memory", backlog{fetched: id(100)}, 500, id(499)},
		{"all else is in memory, older than the last read", backlog{fetched: id(100)}, 50, id(49)},
		{"something unread below", backlog{fetched: id(100), spilled: true}, 500, id(100)},
		{"something unread above", backlog{fetched: id(100), spilled: true}, 50, id(49)},
	} {
		c.q.hinted = id(c.hint)
		c.q.heed()
		if c.q.fetched != c.start || !waits(&c.q, c.hint+1) || waits(&c.q, 40) || !c.q.hinted.IsZero() {
			t.Errorf("%s: begins after %x, want %x; a later one waits %t, an older one %t", c.name, c.q.fetched, c.start, waits(&c.q, c.hint+1), waits(&c.q, 40))
		}
	}
	// While the store is being read the hint counts for the reading after it.
	q := backlog{fetched: id(100), fetching: true, hinted: id(200)}
	q.heed()
	q.fetched, q.fetching = id(900), false
	q.reached()
	if q.fetched != id(199) || !q.spilled {
		t.Errorf("after a reading: begins after %x, more in the store %t", q.fetched, q.spilled)
	}
}

// A hint may be lost: at most once a second the next one is taken for those
// before it too.
func TestHintsLookBack(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	e := &Engine{}
	e.now = func() time.Time { return now }
	e.o.Queue = senderShare
	l := newLane(e, &account{typ: &channel.Type{}})
	q := &l.queues[message.Utility.Priority()]
	at := func(ms int64) message.MessageID {
		id := message.MessageID{15: 7}
		binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli()+ms)<<16)
		return id
	}
	read := func() message.MessageID {
		from := q.fetched
		q.spilled, q.fetched = false, at(1)
		return from
	}
	read() // what there was at the start
	q.turns.Push(message.SenderID{1}, &job{})
	l.hint(at(0))
	if first := read(); first.String() >= at(-9000).String() || first.IsZero() {
		t.Errorf("the first hint reads after %x", first)
	}
	l.hint(at(0))
	if second := read(); second != before(at(0)) {
		t.Errorf("a second hint at once reads after %x", second)
	}
	now = now.Add(lookBackEvery)
	q.turns.Take(1)
	l.hint(at(0))
	if third := read(); !third.IsZero() {
		t.Errorf("a hint for an empty lane a second later reads after %x", third)
	}
}
