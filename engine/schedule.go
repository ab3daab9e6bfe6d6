package engine

import (
	"sync"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A scheduler is the one place where the engine waits for time to pass (law
// 14). It holds only the next instant; the store holds all of them.
type scheduler struct {
	e    *Engine
	mu   sync.Mutex
	next time.Time // zero: nothing known to wait for
	wake chan struct{}
}

func (s *scheduler) init(e *Engine) { s.e, s.wake = e, make(chan struct{}, 1) }

// kick tells of an instant to look at; the zero time means at once.
func (s *scheduler) kick(t time.Time) {
	s.mu.Lock()
	sooner := t.IsZero() || s.next.IsZero() || t.Before(s.next)
	if sooner {
		s.next = t
	}
	s.mu.Unlock()
	if sooner {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// poll bounds how late another node's deadlines, or an advanced clock, are seen.
const poll = time.Second

func (s *scheduler) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	looked := time.Time{}
	for {
		select {
		case <-s.e.quit:
			return
		case <-s.wake:
		case <-timer.C:
		}
		now := s.e.now()
		s.mu.Lock()
		next := s.next
		s.mu.Unlock()
		if next.IsZero() || !next.After(now) || now.Sub(looked) >= poll || now.Before(looked) {
			next = s.look(now)
			looked = now
		}
		wait := poll
		if !next.IsZero() {
			wait = min(max(next.Sub(s.e.now()), time.Millisecond), poll)
		}
		timer.Reset(wait)
	}
}

// look lets everything that is due happen and gives the next instant.
func (s *scheduler) look(now time.Time) time.Time {
	e := s.e
	const many = 500
	var last message.MessageID
	for {
		owned := e.owner.owned()
		s.mu.Lock()
		s.next = time.Time{}
		s.mu.Unlock()
		due, err := e.store.Due(e.ctx, owned, now, many)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Warn("deadlines not readable", "error", err)
			}
			return now.Add(poll)
		}
		s.tick(due)
		if len(due) == many && due[0].Delivery.ID != last && e.ctx.Err() == nil {
			last = due[0].Delivery.ID
			continue
		}
		next, err := e.store.NextDue(e.ctx, owned)
		if err != nil {
			return now.Add(poll)
		}
		if !next.IsZero() && !next.After(now) {
			// Due already and not moved: another is at it, or it is to be looked
			// at again. Never spin on it.
			next = now.Add(100 * time.Millisecond)
		}
		s.mu.Lock()
		if s.next.IsZero() || !next.IsZero() && next.Before(s.next) {
			s.next = next
		}
		next = s.next
		s.mu.Unlock()
		return next
	}
}

// tick gives each due delivery its turn and waits until all are stored.
func (s *scheduler) tick(due []*store.Record) {
	var wg sync.WaitGroup
	for _, r := range due {
		wg.Add(1)
		s.e.tell(input{
			ws: r.Delivery.Workspace, id: r.Delivery.ID, rec: newRecord(r),
			act: func(t *turn) {
				before := make([]message.StepState, len(t.r.d.Steps))
				for i := range before {
					before[i] = t.r.d.Steps[i].State
				}
				mv := flow.Tick(&s.e.policy, t.r.d, t.now)
				t.moved(mv)
				for i := range before {
					if st := &t.r.d.Steps[i]; before[i] == message.StepSending && st.State == message.StepUnknown {
						t.lost(flow.Which{Step: i, Attempt: len(st.Attempts) - 1}, flow.Move{Changed: true})
					}
				}
				t.after(wg.Done)
			},
			gone: wg.Done,
		})
	}
	wg.Wait()
}
