package engine_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A cutStore commits the first attempt and loses the answer of the commit.
type cutStore struct {
	store.Store
	direct bool // of an attempt recorded with its acceptance, else of one by itself
	cut    atomic.Bool
}

func (s *cutStore) lose(f *store.Fence, direct bool) bool {
	return f != nil && direct == s.direct && s.cut.CompareAndSwap(false, true)
}

func (s *cutStore) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	out, err := s.Store.Apply(ctx, items)
	for _, c := range items {
		if err == nil && s.lose(c.Fence, false) {
			return nil, store.ErrUncertain
		}
	}
	return out, err
}

func (s *cutStore) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	out, err := s.Store.Accept(ctx, items)
	for _, a := range items {
		if err == nil && s.lose(a.Fence, true) {
			return nil, store.ErrUncertain
		}
	}
	return out, err
}

// An attempt whose commit was cut has not left: it goes again at once, also
// for marketing, and the person gets the message once.
func TestAttemptWhoseCommitWasCut(t *testing.T) {
	for _, direct := range []bool{false, true} {
		cut := &cutStore{direct: direct}
		w := newWorldOn(t, func(s store.Store) engine.Store { cut.Store = s; return cut })
		delivered := func(a *engine.Answer) {
			t.Helper()
			w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
		}
		to := "33612345720"
		r := smsTo("+"+to, message.Marketing)
		if !direct {
			r.SendAt = w.sandbox.Clock.Now().Add(time.Minute)
			a := w.send(r)
			w.sandbox.Advance(2 * time.Minute)
			w.engine.Kick()
			delivered(a)
		}
		for n := 0; direct; n++ { // until one finds the lane read and free
			to = strconv.Itoa(33612345720 + n)
			r.To.Phone = "+" + to
			idem := engine.Idempotency{Key: to, Body: []byte("body")}
			a, err := w.engine.Accept(t.Context(), w.ws, r, idem)
			if errors.Is(err, store.ErrUncertain) {
				a, err = w.engine.Accept(t.Context(), w.ws, r, idem) // as a client does
				must(t, err)
				if !a.Replayed {
					t.Error("the key was not kept")
				}
				delivered(a)
				break
			}
			must(t, err)
			delivered(a)
			if n == 50 {
				t.Fatal("none went directly")
			}
		}
		if !cut.cut.Load() {
			t.Fatal("no commit was cut")
		}
		w.sandbox.Settle()
		if n := len(w.sandbox.Handsets.Inbox(to)); n != 1 {
			t.Errorf("direct %v: the person got it %d times", direct, n)
		}
	}
}

// A shakyStore fails the commits of one kind of change as a disk with errors
// does: nothing is written, and nobody knows that.
type shakyStore struct {
	store.Store
	left atomic.Int64
}

func (s *shakyStore) Apply(ctx context.Context, changes []*store.Change) ([]store.Applied, error) {
	for _, c := range changes {
		if c.Delivery.State >= message.Sent && s.left.Add(-1) >= 0 {
			return nil, store.ErrUncertain
		}
	}
	return s.Store.Apply(ctx, changes)
}

// TestAnswersOutliveABadDisk: the provider took a marketing message, its answer
// cannot be stored for a while, and nothing else will ever tell. It is not
// given up.
func TestAnswersOutliveABadDisk(t *testing.T) {
	shaky := new(shakyStore)
	shaky.left.Store(25)
	w := newWorldOn(t, func(s store.Store) engine.Store { shaky.Store = s; return shaky })
	a := w.send(smsTo(magic("18"), message.Marketing)) // no receipt will tell what the answer told
	w.until(a.ID, "sent", func(d *message.Delivery) bool { return d.State == message.Sent })
	if shaky.left.Load() > 0 {
		t.Fatal("the disk was good")
	}
}

// A closedStore takes no change that says delivered until it is opened.
type closedStore struct {
	store.Store
	err  error
	open atomic.Bool
}

func (s *closedStore) Apply(ctx context.Context, changes []*store.Change) ([]store.Applied, error) {
	for _, c := range changes {
		if c.Delivery.State >= message.Delivered && !s.open.Load() {
			return nil, s.err
		}
	}
	return s.Store.Apply(ctx, changes)
}

// TestReceiptsAreRefusedWhileNothingCanBeStored (law 1): the SMSC hears soon
// that its receipt was not kept, says it again, and it is joined when the store
// is well.
func TestReceiptsAreRefusedWhileNothingCanBeStored(t *testing.T) {
	for _, err := range []error{store.ErrUncertain, store.ErrUnavailable} {
		t.Run(err.Error(), func(t *testing.T) {
			closed := &closedStore{err: err}
			w := newWorldOn(t, func(s store.Store) engine.Store { closed.Store = s; return closed })
			a := w.send(smsTo("+33612345721", message.Utility))
			w.eventually("the SMSC is refused", func() bool { return w.sandbox.SMSC.Stats().Retries > 0 })
			closed.open.Store(true)
			w.eventually("the receipt comes again", func() bool { w.sandbox.Advance(time.Minute); return w.sandbox.SMSC.Stats().Reports > 0 })
			w.until(a.ID, "delivered", func(d *message.Delivery) bool { return d.State == message.Delivered })
		})
	}
}
