package engine

import (
	"time"

	"github.com/parley-messaging/parley/message"
)

// inputs are what a shard has been told and has not acted on: without a bound,
// because they are answers to bounded work.
//
// What was begun is ended first: answers, receipts and times go before new
// attempts, and one-time codes with them. Receipts come in through a window
// that the provider has set, so one that waits holds up those behind it, while
// an account that is free to send as fast as it can always has another attempt.
// Of one message nothing is told that must not overtake its attempt.
//
// Nobody waits for an answer to be stored but a crash, which would make its
// outcome unknown: answers alone are left to gather for a moment, in which the
// receipt often comes and is stored with them.
type inputs struct {
	first  []input
	fresh  []input // attempts to be recorded
	urgent bool    // something is among them that is not an answer, or they have waited
}

const (
	batch    = 512 // inputs acted on with one commit
	attempts = 128 // attempts among them at most
	share    = 32  // and at least, whatever else is told

	gatherFor = 10 * time.Millisecond // how long answers may wait for company
	company   = 64                    // and how many of them at most
)

// ready reports whether anything is to be done now.
func (q *inputs) ready() bool {
	return q.len() > 0 && (q.urgent || q.len() >= company)
}

func (q *inputs) len() int { return len(q.first) + len(q.fresh) }

func (q *inputs) add(in input) {
	q.urgent = q.urgent || !in.patient
	if in.job != nil && in.job.priority > message.Authentication.Priority() {
		q.fresh = append(q.fresh, in)
	} else {
		q.first = append(q.first, in)
	}
}

// take gives what to act on next.
func (q *inputs) take() []input {
	out := cut(nil, &q.first, batch-min(share, len(q.fresh)))
	out = cut(out, &q.fresh, min(batch-len(out), attempts))
	q.urgent = q.len() > 0
	return out
}

// shed takes out what can be told again.
func (q *inputs) shed() (away []input) {
	kept := q.first[:0]
	for _, in := range q.first {
		if in.fail == nil {
			kept = append(kept, in)
		} else {
			away = append(away, in)
		}
	}
	clear(q.first[len(kept):])
	q.first = kept
	return away
}

// cut moves up to n from the front of a list.
func cut(to []input, from *[]input, n int) []input {
	n = min(n, len(*from))
	to = append(to, (*from)[:n]...)
	rest := copy(*from, (*from)[n:])
	clear((*from)[rest:])
	*from = (*from)[:rest]
	return to
}

// tell hands an input to the shard that owns its delivery.
func (e *Engine) tell(in input) {
	s := e.shard(in.id)
	s.mu.Lock()
	s.queue.add(in)
	ready := s.queue.ready()
	if !ready && s.queue.len() == 1 {
		s.rest.Reset(gatherFor)
	}
	s.mu.Unlock()
	if ready {
		s.cond.Signal()
	}
}

// hurry ends the waiting of answers for company. A timer of before it, which
// fires late, only makes it short.
func (s *shard) hurry() {
	s.mu.Lock()
	s.queue.urgent = true
	s.mu.Unlock()
	s.cond.Broadcast()
}
