package engine_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A spyStore counts the writes that record an attempt, and spoils acceptances.
type spyStore struct {
	store.Store
	mu      sync.Mutex
	direct  int // attempts recorded with an acceptance
	refused int // changes that were not written
	verdict []store.Verdict
	err     error
}

func (s *spyStore) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.err; err != nil {
		s.err = nil
		return nil, err
	}
	if len(s.verdict) > 0 && items[0].Fence != nil {
		v := s.verdict[0]
		s.verdict = s.verdict[1:]
		out := make([]store.AcceptResult, len(items))
		for i := range out {
			out[i].Verdict = v
		}
		return out, nil
	}
	out, err := s.Store.Accept(ctx, items)
	for i, a := range items {
		if err == nil && out[i].Verdict == store.Done && a.Fence != nil {
			s.direct++
		}
	}
	return out, err
}

func (s *spyStore) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	out, err := s.Store.Apply(ctx, items)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range items {
		if err == nil && out[i].Verdict != store.Done {
			s.refused++
		}
	}
	return out, err
}

func (s *spyStore) spoil(err error, v ...store.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.verdict = err, v
}

func (s *spyStore) spoilt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.verdict) == 0
}

func (s *spyStore) counts() (direct, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.direct, s.refused
}

// TestDirectly: where nothing waits, one write accepts a message and records
// its attempt; whatever becomes of that write, the place in the lane is free
// again, and the order of texts to one person holds.
func TestDirectly(t *testing.T) {
	spy := new(spyStore)
	w := newWorldOn(t, func(s store.Store) engine.Store { spy.Store = s; return spy })
	const to = "33612345731"
	n := 0
	text := func() *engine.Request {
		r := smsTo("+"+to, message.Utility)
		n++
		r.Content.Text = strconv.Itoa(n)
		return r
	}
	delivered := func(a *engine.Answer) {
		t.Helper()
		if a.State != message.Queued {
			t.Errorf("answered %s", a.State)
		}
		w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	}
	// A lane that looks into the store just then takes one the ordinary way: the
	// next may go directly.
	directly := func() {
		t.Helper()
		before, _ := spy.counts()
		w.eventually("one goes directly", func() bool {
			delivered(w.send(text()))
			now, _ := spy.counts()
			return now > before
		})
	}
	directly()
	// A key that was used, and a request that a failure ended, leave no place
	// taken: else the next text to this person would wait for ever.
	idem := engine.Idempotency{Key: "again", Body: []byte("x")}
	r := text()
	for range 3 {
		a, err := w.engine.Accept(t.Context(), w.ws, r, idem)
		must(t, err)
		w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
	}
	spy.spoil(store.ErrUnavailable)
	if _, err := w.engine.Accept(t.Context(), w.ws, text(), engine.Idempotency{}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	n-- // the client asks again
	directly()
	for _, v := range []store.Verdict{store.Guarded, store.Fenced, store.StaleContact} {
		spy.spoil(nil, v)
		w.eventually("one is planned anew", func() bool {
			delivered(w.send(text()))
			return spy.spoilt()
		})
	}
	directly()
	if _, refused := spy.counts(); refused > 0 {
		t.Errorf("%d changes were refused", refused)
	}
	w.sandbox.Settle()
	var last *engine.Answer
	for range 30 {
		last = w.send(text())
	}
	delivered(last)
	w.sandbox.Settle()
	inbox := w.sandbox.Handsets.Inbox(to)
	if len(inbox) != n {
		t.Errorf("%d arrived, want %d", len(inbox), n)
	}
	for i, it := range inbox {
		if want := strconv.Itoa(i + 1); it.Text != want {
			t.Fatalf("text %d is %q", i+1, it.Text)
		}
	}
}
