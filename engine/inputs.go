package engine

import "github.com/parley-messaging/parley/message"

// inputs are what a shard has been told and has not acted on: without a bound,
// because they are answers to bounded work.
//
// What was begun is ended first: answers, receipts and times go before new
// attempts, and one-time codes with them. Receipts come in through a window
// that the provider has set, so one that waits holds up those behind it, while
// an account that is free to send as fast as it can always has another attempt.
// Of one message nothing is told that must not overtake its attempt.
type inputs struct {
	first []input
	fresh []input // attempts to be recorded
}

const (
	batch    = 512 // inputs acted on with one commit
	attempts = 128 // attempts among them at most
	share    = 32  // and at least, whatever else is told
)

func (q *inputs) len() int { return len(q.first) + len(q.fresh) }

func (q *inputs) add(in input) {
	if in.job != nil && in.job.priority > message.Authentication.Priority() {
		q.fresh = append(q.fresh, in)
	} else {
		q.first = append(q.first, in)
	}
}

// take gives what to act on next.
func (q *inputs) take() []input {
	out := cut(nil, &q.first, batch-min(share, len(q.fresh)))
	return cut(out, &q.fresh, min(batch-len(out), attempts))
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
