package contact

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// asked is a store that notes what it is asked and takes a while to answer.
type asked struct {
	store.Contacts
	takes time.Duration
	fail  error
	mu    sync.Mutex
	sizes []int
}

func (a *asked) Resolve(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*store.Person, error) {
	a.mu.Lock()
	a.sizes = append(a.sizes, len(indexes))
	a.mu.Unlock()
	<-time.After(a.takes)
	if err := errors.Join(a.fail, ctx.Err()); err != nil {
		return nil, err
	}
	out := make([]*store.Person, len(indexes))
	for i, index := range indexes {
		out[i] = &store.Person{ID: index}
	}
	return out, nil
}

type asker struct {
	*asked
	book *Book
	home *home
}

func newAsker() *asker {
	a := &asker{asked: &asked{takes: time.Millisecond / 2}, home: &home{}}
	a.book = New(Options{Store: a.asked, Now: time.Now})
	return a
}

// ask asks for person n and reports how long it took.
func (a *asker) ask(ctx context.Context, t *testing.T, n byte) (time.Duration, error) {
	began := time.Now()
	index := [16]byte{n}
	f, err := a.book.look(ctx, a.home, message.WorkspaceID{}, index)
	if err == nil && (len(f.rows) != 1 || f.rows[0].ID != index) {
		t.Errorf("asked for %d, got %v", n, f.rows)
	}
	return time.Since(began), err
}

// crowd lets n ask at once, after one who makes them gather.
func (a *asker) crowd(t *testing.T, n int, each func(i int, took time.Duration, err error)) {
	if _, err := a.ask(t.Context(), t, 0); err != nil && a.fail == nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := 1; i <= n; i++ {
		all.Go(func() {
			took, err := a.ask(t.Context(), t, byte(i))
			each(i, took, err)
		})
	}
	all.Wait()
}

func (a *asker) want(t *testing.T, sizes ...int) {
	t.Helper()
	if !slices.Equal(a.sizes, sizes) {
		t.Errorf("the store was asked for %v at once, want %v", a.sizes, sizes)
	}
}

func TestQuestionsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		a.crowd(t, company-1, func(_ int, took time.Duration, err error) {
			if err != nil || took != gatherFor+a.takes {
				t.Errorf("answered after %v, %v", took, err)
			}
		})
		a.want(t, 1, company-1)
	})
}

func TestFullRoundDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		a.crowd(t, 2*company, func(_ int, took time.Duration, err error) {
			if err != nil || took != a.takes {
				t.Errorf("answered after %v, %v", took, err)
			}
		})
		a.want(t, 1, company, company)
	})
}

func TestWhoAsksAloneDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		waits := 0
		for n := range byte(100) {
			took, err := a.ask(t.Context(), t, n)
			if err != nil {
				t.Fatal(err)
			}
			if took > a.takes {
				waits++
			}
		}
		if waits != 1 {
			t.Errorf("%d of 100 questions one after the other waited for company, want 1 in %v", waits, aloneFor)
		}
	})
}

// The one who began a round goes away: the others are answered all the same.
func TestRoundOutlivesWhoBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		if _, err := a.ask(t.Context(), t, 0); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := a.ask(ctx, t, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("who went away got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := a.ask(t.Context(), t, 2); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		all.Wait()
		a.want(t, 1, 2)
	})
}

func TestFailureReachesTheWholeRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		a.fail = store.ErrUnavailable
		failed := 0
		var mu sync.Mutex
		a.crowd(t, 5, func(_ int, _ time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, store.ErrUnavailable) {
				failed++
			}
		})
		if failed != 5 {
			t.Errorf("%d of 5 were told of the failure", failed)
		}
	})
}
