package smpp

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// readLoop reads until the stream or the session ends and says why.
func (s *Session) readLoop() error {
	r := NewReader(s.conn, s.cfg.MaxPDU)
	held := false
	for {
		b, err := r.Next()
		if err != nil {
			var bad *FrameError
			if !errors.As(err, &bad) {
				return err
			}
			// Where the next PDU begins cannot be known any more.
			s.nack(StatusInvalidCommandLength, 0)
			s.hangUp(err)
			_, _ = io.Copy(io.Discard, s.conn)
			return err
		}
		s.lastRead.Store(s.tick.Load())
		more := r.more()
		if more && !held {
			held = true
			s.setHold(true)
		}
		s.take(b)
		if held && !more {
			held = false
			s.setHold(false)
		}
	}
}

// take handles one PDU.
func (s *Session) take(b []byte) {
	p := header(b)
	if s.cfg.Intercept != nil && s.cfg.Intercept(s, p.Command, b) {
		return
	}
	if p.Command.IsResponse() {
		s.takeResponse(p, b[HeaderSize:])
		return
	}
	switch p.Command {
	case EnquireLink:
		s.answer(&PDU{Command: EnquireLinkResp, Sequence: p.Sequence})
		return
	case UnbindCommand:
		s.answer(&PDU{Command: UnbindResp, Sequence: p.Sequence})
		s.hangUp(ErrUnbound)
		return
	}
	if !p.Command.Known() {
		s.nack(StatusInvalidCommandID, p.Sequence)
		return
	}
	if p.Command.IsBind() && s.server != nil && s.Mode() == 0 {
		s.server.bind(s, p, b)
		return
	}
	if status := s.allowed(p.Command); status != StatusOK {
		s.refuse(p, status)
		return
	}
	s.takeRequest(p, b)
}

// takeRequest gives a legal request to the handler.
func (s *Session) takeRequest(p PDU, b []byte) {
	owned := bytes.Clone(b[HeaderSize:])
	req := &Request{Session: s}
	body, err := decodeBody(p.Command, owned)
	if err != nil {
		s.refuse(p, err.Status)
		return
	}
	p.Body = body
	req.PDU = p
	if int(s.inbound.Add(1)) > s.cfg.InboundWindow || s.cfg.Handler == nil {
		status := StatusTemporaryAppError
		if s.server != nil {
			status = StatusThrottled
		}
		_ = req.Refuse(status)
		return
	}
	s.cfg.Handler(req)
}

// allowed applies table 2-1 of 3.4: which requests a peer may make in the state
// the session is in.
func (s *Session) allowed(c Command) Status {
	mode := s.Mode()
	transmit := mode == BindTransmitter || mode == BindTransceiver
	receive := mode == BindReceiver || mode == BindTransceiver
	ok := false
	switch c {
	case BindReceiver, BindTransmitter, BindTransceiver:
		if mode != 0 {
			return StatusAlreadyBound
		}
	case DeliverSMCommand, AlertNotification:
		ok = s.server == nil && receive
	case DataSMCommand:
		ok = s.server == nil && receive || s.server != nil && transmit
	case OutbindCommand:
		ok = s.server == nil && mode == 0
	default:
		ok = s.server != nil && transmit
	}
	if !ok {
		return StatusInvalidBindState
	}
	return StatusOK
}

// refuse answers a request that does not get to the handler.
func (s *Session) refuse(p PDU, status Status) {
	if !p.Command.Answered() {
		return
	}
	s.answer(&PDU{Command: p.Command.Response(), Status: status, Sequence: p.Sequence, Body: refusalBody(p.Command)})
}

// refusalBody is nil except where stacks in use fail on a bare header.
func refusalBody(c Command) Body {
	switch {
	case c.IsBind():
		return &BindResp{}
	case c == DeliverSMCommand:
		return &MessageResp{}
	}
	return nil
}

func (s *Session) nack(status Status, sequence uint32) {
	s.answer(&PDU{Command: GenericNack, Status: status, Sequence: sequence})
}

// answer gathers a response. It reports failure only to those who ask: when the
// session is gone the peer will repeat its request elsewhere.
func (s *Session) answer(p *PDU) error {
	s.mu.Lock()
	err := s.gather(p)
	s.mu.Unlock()
	if errors.Is(err, ErrStalled) {
		s.end(err)
	}
	return err
}

// takeResponse finds the request and tells it.
func (s *Session) takeResponse(h PDU, b []byte) {
	r := Response{Command: h.Command, Status: h.Status, Sequence: h.Sequence}
	err := r.read(b)
	s.mu.Lock()
	p, ok := s.pending[h.Sequence]
	if ok && h.Command != GenericNack && h.Command != p.command.Response() {
		ok = false
	}
	if ok {
		delete(s.pending, h.Sequence)
		s.bound(p.command, &r)
	}
	s.note(s.closed)
	s.mu.Unlock()
	if !ok {
		if s.cfg.Stray != nil {
			s.cfg.Stray(s, r)
		}
		return
	}
	if p.slot {
		<-s.window
	}
	if err != nil {
		p.done(r, err)
		return
	}
	p.done(r, nil)
}

// bound notes a successful bind of ours before the next PDU is looked at. It
// wants s.mu.
func (s *Session) bound(asked Command, r *Response) {
	if !asked.IsBind() || r.Status != StatusOK || r.Command == GenericNack {
		return
	}
	s.mode = asked
	if m, ok := r.Body.(*BindResp); ok {
		s.systemID = m.SystemID
		v, _ := m.TLVs.Uint(TagSCInterfaceVersion)
		s.version = uint8(v)
	}
}

// read takes the body apart. Nothing of it stays in b, which is reused.
func (r *Response) read(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	switch r.Command {
	case SubmitSMResp, DeliverSMResp, DataSMResp:
		c := cursor{b: b}
		r.MessageID = c.answerID()
		if c.i < len(b) {
			c = cursor{b: bytes.Clone(b[c.i:])}
			r.TLVs = c.tlvs(true)
		}
		return nil
	}
	body, err := decodeBody(r.Command, bytes.Clone(b))
	if err != nil {
		err.Command = r.Command
		return err
	}
	r.Body = body
	return nil
}

// watch counts the ticks and acts on what has become too old.
func (s *Session) watch() {
	t := time.NewTicker(s.clock.every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.ending:
			return
		}
		now := s.tick.Add(1)
		if s.expire(now) {
			s.end(ErrStalled)
			return
		}
		quiet := now - s.lastRead.Load()
		if s.clock.inactivity > 0 && quiet > s.clock.inactivity {
			s.end(ErrInactive)
			return
		}
		if s.clock.enquire > 0 && quiet >= s.clock.enquire && s.Mode() != 0 && s.enquiring.CompareAndSwap(false, true) {
			s.enquire()
		}
	}
}

// expire ends the wait of requests that are too old. It reports true when the
// peer takes nothing any more: then only closing tells what left and what not.
func (s *Session) expire(now uint32) (stalled bool) {
	s.mu.Lock()
	if s.writing && now-s.since > s.clock.response {
		s.mu.Unlock()
		return true
	}
	var late map[uint32]pending
	for seq, p := range s.pending {
		if now-p.tick <= s.clock.response {
			continue
		}
		if p.start >= s.written {
			s.mu.Unlock()
			return true
		}
		if late == nil {
			late = map[uint32]pending{}
		}
		late[seq] = p
	}
	for seq := range late {
		delete(s.pending, seq)
	}
	s.note(s.closed)
	s.mu.Unlock()
	for seq, p := range late {
		if p.slot {
			<-s.window
		}
		p.done(Response{}, &UnansweredError{Left: true, Sequence: seq, Cause: ErrTimeout})
	}
	return false
}

// enquire asks for a sign of life. Any PDU counts as one.
func (s *Session) enquire() {
	asked := s.lastRead.Load()
	_, err := s.request(EnquireLink, nil, false, func(_ Response, err error) {
		s.enquiring.Store(false)
		if errors.Is(err, ErrTimeout) && s.lastRead.Load() == asked {
			s.end(ErrLinkDead)
		}
	})
	if err != nil {
		s.enquiring.Store(false)
	}
}
