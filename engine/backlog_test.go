package engine

import (
	"testing"

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
