package channeltest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// crashesOut ends a send at each of its steps and holds law 3: what surely did
// not leave is said to be certain, and nothing that may have left is.
func (h *Harness) crashesOut(t *testing.T) {
	t.Run("before the write", h.cancelled)
	t.Run("after the write, lost", func(t *testing.T) { h.uncertain(t, Drop, 0, nil) })
	t.Run("after the write, taken", func(t *testing.T) { h.uncertain(t, Cut, 1, nil) })
	t.Run("before the answer, given up", func(t *testing.T) {
		h.uncertain(t, Hang, 1, func(_ *session, cancel context.CancelFunc) { cancel() })
	})
	t.Run("before the answer, links stopped", func(t *testing.T) {
		h.uncertain(t, Hang, 1, func(s *session, cancel context.CancelFunc) {
			if _, links := s.c.(channel.Linker); links {
				s.stop()
				return
			}
			cancel() // without links of its own, there is nothing else to stop
		})
	})
	t.Run("at any moment", h.anyMoment)
}

// uncertain wants a send that ends as crash says to be uncertain, with so many
// messages taken by the twin.
func (h *Harness) uncertain(t *testing.T, o Order, taken int, crash func(*session, context.CancelFunc)) {
	s := h.start(t)
	if !s.order(o) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.send(ctx, h.message(0))
		ended <- err
	}()
	if crash != nil {
		s.eventually("the twin takes the message", func() bool { return s.twin.Taken() == taken })
		crash(s, cancel)
	}
	var err error
	select {
	case err = <-ended:
	case <-time.After(patience):
		t.Fatal("the send does not end")
	}
	if err == nil {
		t.Fatal("accepted, yet nobody answered")
	}
	if f := s.fault(err); f.Certain || f.Kind != message.Transient {
		t.Errorf("got %v, certain %v; want transient and not certain", f.Kind, f.Certain)
	}
	if n := s.twin.Taken(); n != taken {
		t.Errorf("the twin took %d, want %d", n, taken)
	}
}

// anyMoment gives sends up after longer and longer: wherever it hits, what is
// certain is true.
func (h *Harness) anyMoment(t *testing.T) {
	const tries = 60
	s := h.start(t)
	marks, open := 0, 0 // sent without an end, and what may have left besides
	mark := func() {
		if _, err := s.send(t.Context(), h.message(255)); err != nil {
			t.Fatalf("a whole send: %v", err)
		}
		marks++
	}
	for i := range tries {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i)*time.Microsecond)
		_, err := s.send(ctx, h.message(byte(i)))
		cancel()
		var f *message.Fault
		switch {
		case err == nil:
			marks++
		case !errors.As(err, &f):
			t.Fatalf("not a *message.Fault: %v", err)
		case !f.Certain:
			open++
		}
	}
	mark()
	if n := s.twin.Taken(); n < marks || n > marks+open {
		t.Errorf("the twin took %d: %d were accepted, %d may have been", n, marks, open)
	}
}

// crashesIn ends the taking of a message at each of its steps: until it is
// stored the provider is not told that it was taken, and given again it is the
// same message.
func (h *Harness) crashesIn(t *testing.T) {
	s := h.start(t)
	if _, links := s.c.(channel.Linker); !links {
		// Nothing is held between a callback and its events: another life reads
		// the same out of it.
		said := s.twin.Say("hello")
		first := s.take(said, 1)
		if again := h.open(t, s.twin, s.twin.Config).take(said, 1); !reflect.DeepEqual(first, again) {
			t.Error("the next life reads something else from the same callback")
		}
		return
	}
	if s.twin.Acknowledged == nil {
		t.Fatal("the twin does not tell what was acknowledged")
	}
	hold := func(on *session) (message.Event, func(error)) {
		on.hold(true)
		on.twin.Say("hello")
		e := on.take(nil, 1)[0]
		on.hold(false)
		select {
		case done := <-on.held:
			return e, done
		case <-time.After(patience):
			t.Fatal("no event is held")
		}
		return nil, nil
	}
	// Not stored: the provider is refused and tries again.
	first, done := hold(s)
	if n := s.twin.Acknowledged(); n != 0 {
		t.Errorf("%d acknowledged before they were stored", n)
	}
	done(errors.New("not stored"))
	// The connector dies before it is stored; the answer of the store comes late.
	_, late := hold(s)
	s.stop()
	late(nil)
	next := h.open(t, s.twin, s.twin.Config)
	if n := next.twin.Acknowledged(); n != 0 {
		t.Errorf("%d acknowledged by a connector that is gone, or without being stored", n)
	}
	next.twin.Say("hello")
	again := next.take(nil, 1)[0]
	next.eventually("the stored message is acknowledged", func() bool { return next.twin.Acknowledged() == 1 })
	one, ok := first.(*message.Inbound)
	two, same := again.(*message.Inbound)
	if !ok || !same || one.From != two.From || one.To != two.To || !reflect.DeepEqual(one.Content, two.Content) {
		t.Errorf("the next life reads something else: %T, %T", first, again)
	}
}
