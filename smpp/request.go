package smpp

import "sync/atomic"

// A Request is one request of the peer that wants an answer, in any order and
// from any goroutine. Its body belongs to the handler. Answer a deliver_sm only
// when what it says is stored: an unanswered one is sent again.
type Request struct {
	PDU
	Session *Session

	answered atomic.Bool
}

// Accept answers with status 0. messageID is for submit_sm and data_sm; give
// an empty one for the others. query_sm and submit_multi want [Request.Respond].
func (r *Request) Accept(messageID string) error {
	switch r.Command {
	case SubmitSMCommand, DataSMCommand, DeliverSMCommand:
		return r.Respond(StatusOK, &MessageResp{MessageID: messageID})
	}
	return r.Respond(StatusOK, nil)
}

// Refuse answers with a status other than 0, with the body that most stacks
// expect in that case.
func (r *Request) Refuse(status Status) error {
	return r.Respond(status, refusalBody(r.Command))
}

// Respond answers with any status and body; a nil body is a bare header. The
// error is [ErrAnswered] for a second answer, the cause of the end if the
// session is gone (the peer will ask again on another one), or an
// [*EncodeError]. A request that wants no answer is only taken off the books.
func (r *Request) Respond(status Status, body Body) error {
	if r.answered.Swap(true) {
		return ErrAnswered
	}
	var err error
	if r.Command.Answered() {
		err = r.Session.answer(&PDU{Command: r.Command.Response(), Status: status, Sequence: r.Sequence, Body: body})
	}
	r.Session.release()
	return err
}

// Drop leaves the request unanswered for good and frees its place. It is for
// programs that play a misbehaving peer.
func (r *Request) Drop() {
	if !r.answered.Swap(true) {
		r.Session.release()
	}
}

func (s *Session) release() {
	if s.inbound.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	s.note(s.closed)
	s.mu.Unlock()
}
