package smpp

import (
	"context"
	"errors"
	"runtime"
)

// maxGathered is how much may wait for a peer that does not read.
const maxGathered = 4 << 20

// keepBuffer is the largest write buffer kept for reuse.
const keepBuffer = 256 << 10

// wakeAt is how much may gather while a batch of requests is being read.
const wakeAt = 32 << 10

// writeLoop hands the network all that has gathered, in one call each time.
func (s *Session) writeLoop() {
	s.mu.Lock()
	for {
		for len(s.out) == 0 && !s.finish && !s.ended {
			s.note(s.closed)
			s.idle = true
			s.wake.Wait()
			s.idle = false
		}
		if s.ended {
			break
		}
		if len(s.out) == 0 {
			if !s.halfClose() {
				cause := s.cause
				s.mu.Unlock()
				s.end(cause)
				return
			}
			break
		}
		if len(s.out) < wakeAt && !s.finish {
			// Whoever is about to add to it goes first: a call for each PDU of a
			// hundred that were just committed costs more than sending them.
			s.mu.Unlock()
			runtime.Gosched()
			s.mu.Lock()
		}
		b := s.out
		s.out, s.spare = s.spare[:0], nil
		s.writing, s.since = true, s.tick.Load()
		s.mu.Unlock()
		n, err := s.conn.Write(b)
		s.mu.Lock()
		s.writing = false
		s.written += uint64(n)
		if cap(b) <= keepBuffer {
			s.spare = b[:0]
		}
		if err != nil {
			s.mu.Unlock()
			s.end(err)
			return
		}
	}
	s.mu.Unlock()
}

// halfClose closes our direction only, so that the peer reads all before it
// sees the end: closing whole with unread octets would reset and lose them.
func (s *Session) halfClose() bool {
	half, ok := s.conn.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// gather puts one PDU behind the others. It wants s.mu.
func (s *Session) gather(p *PDU) error {
	if s.ended || s.finish {
		return s.cause
	}
	if len(s.out) > maxGathered {
		return ErrStalled
	}
	before := len(s.out)
	out, err := p.Append(s.out)
	s.out = out
	if err != nil {
		return err
	}
	s.queued += uint64(len(out) - before)
	s.poke()
	return nil
}

func (s *Session) poke() {
	if s.idle && (!s.hold || len(s.out) > wakeAt) {
		s.wake.Signal()
	}
}

// setHold stops or restarts the waking of the writer while PDUs that have
// already arrived are handled: their answers then leave together.
func (s *Session) setHold(hold bool) {
	s.mu.Lock()
	s.hold = hold
	if !hold && len(s.out) > 0 {
		s.poke()
	}
	s.mu.Unlock()
}

// WriteRaw sends octets as they are, between PDUs. It is for programs that play
// a misbehaving peer.
func (s *Session) WriteRaw(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.finish {
		return s.cause
	}
	s.out = append(s.out, b...)
	s.queued += uint64(len(b))
	s.poke()
	return nil
}

// A Response is what the peer says to one of our requests.
type Response struct {
	Command   Command // [GenericNack] if the peer did not understand
	Status    Status
	Sequence  uint32
	MessageID string // of submit_sm_resp and data_sm_resp
	TLVs      TLVs   // of the message responses
	Body      Body   // of other responses that have one
}

// Err returns a [*StatusError] unless the status is OK.
func (r Response) Err() error {
	if r.Status == StatusOK {
		return nil
	}
	return &StatusError{Command: r.Command, Status: r.Status}
}

// Send puts a request on the wire when the window has room, waiting for that
// until ctx is done, and returns. If err is nil, done is called exactly once:
// with the response, whatever its status, or with an [*UnansweredError]. If err
// is not nil, nothing was sent and done is not called; err is an
// [*UnansweredError] with Left false, or an [*EncodeError].
//
// done runs in a goroutine of the session and must not wait; in particular it
// must not call Send with a context that lets it wait for the window. It may be
// nil when nobody cares.
func (s *Session) Send(ctx context.Context, command Command, body Body, done func(Response, error)) error {
	if done == nil {
		done = func(Response, error) {}
	}
	select {
	case s.window <- struct{}{}:
	default:
		select {
		case s.window <- struct{}{}:
		case <-ctx.Done():
			return &UnansweredError{Cause: ctx.Err()}
		case <-s.closing:
			return &UnansweredError{Cause: s.Err()}
		}
	}
	if _, err := s.request(command, body, true, done); err != nil {
		<-s.window
		var bad *EncodeError
		if errors.As(err, &bad) {
			return err
		}
		return &UnansweredError{Cause: err}
	}
	return nil
}

// request gathers a request and remembers it.
func (s *Session) request(command Command, body Body, slot bool, done func(Response, error)) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot && s.closed {
		return 0, s.cause
	}
	for used := true; used; _, used = s.pending[s.sequence] {
		s.sequence = s.sequence%maxSequence + 1
	}
	start := s.queued
	if err := s.gather(&PDU{Command: command, Sequence: s.sequence, Body: body}); err != nil {
		return 0, err
	}
	s.pending[s.sequence] = pending{command: command, done: done, start: start, tick: s.tick.Load(), slot: slot}
	return s.sequence, nil
}

// Call is [Session.Send] that waits for the response. A negative status is a
// [*StatusError] next to the response. When ctx ends the wait, the error is an
// [*UnansweredError] with Left true, and the response is not reported later.
func (s *Session) Call(ctx context.Context, command Command, body Body) (Response, error) {
	type answer struct {
		r   Response
		err error
	}
	ready := make(chan answer, 1)
	if err := s.Send(ctx, command, body, func(r Response, err error) { ready <- answer{r, err} }); err != nil {
		return Response{}, err
	}
	select {
	case a := <-ready:
		if a.err == nil {
			a.err = a.r.Err()
		}
		return a.r, a.err
	case <-ctx.Done():
		return Response{}, &UnansweredError{Left: true, Cause: ctx.Err()}
	}
}

// Submit sends submit_sm; see [Session.Send].
func (s *Session) Submit(ctx context.Context, m *SubmitSM, done func(Response, error)) error {
	return s.Send(ctx, SubmitSMCommand, m, done)
}

// SubmitWait sends submit_sm and waits for the response; see [Session.Call].
func (s *Session) SubmitWait(ctx context.Context, m *SubmitSM) (Response, error) {
	return s.Call(ctx, SubmitSMCommand, m)
}

// Deliver sends deliver_sm to an ESME; see [Session.Send].
func (s *Session) Deliver(ctx context.Context, m *DeliverSM, done func(Response, error)) error {
	return s.Send(ctx, DeliverSMCommand, m, done)
}

// Cancel sends cancel_sm and waits for the response; see [Session.Call].
func (s *Session) Cancel(ctx context.Context, m *CancelSM) error {
	_, err := s.Call(ctx, CancelSMCommand, m)
	return err
}

// Replace sends replace_sm and waits for the response; see [Session.Call].
func (s *Session) Replace(ctx context.Context, m *ReplaceSM) error {
	_, err := s.Call(ctx, ReplaceSMCommand, m)
	return err
}

// Query sends query_sm and waits for the state; see [Session.Call].
func (s *Session) Query(ctx context.Context, m *QuerySM) (*QueryResp, error) {
	r, err := s.Call(ctx, QuerySMCommand, m)
	if err != nil {
		return nil, err
	}
	q, ok := r.Body.(*QueryResp)
	if !ok {
		return nil, &DecodeError{Command: QuerySMResp, Field: "body", Status: StatusInvalidCommandLength, Reason: "missing"}
	}
	return q, nil
}

// Unbind sends unbind, as a peer may at any time, and does nothing else; use
// [Session.Close] to leave.
func (s *Session) Unbind(done func(Response, error)) error {
	_, err := s.request(UnbindCommand, nil, false, done)
	return err
}
