package smsc

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/smpp"
)

// defaultValidity is how long a message without validity_period is tried.
const defaultValidity = 72 * time.Hour

// message is one accepted submit_sm until its final receipt. It is the Sink of
// its delivery.
type message struct {
	s         *Server
	a         *account
	d         handset.Delivery
	id        uint64
	submit    *smpp.SubmitSM
	submitted time.Time
	head      header
	octets    []byte // behind the user data header
	text      string
	ref       string // user_message_reference in decimal
	to        string
	fault     fault.Fault
	seq       uint64 // in the journal
	once      sync.Once
	answer    func() // of ReceiptFirst: called after the first receipt
}

// handle gets every request of a bound customer, in the reading goroutine.
func (s *Server) handle(r *smpp.Request) {
	m, ok := r.PDU.Body.(*smpp.SubmitSM)
	if r.Command != smpp.SubmitSMCommand || !ok {
		s.respond(r.Refuse(refusalOf(r.Command)))
		return
	}
	s.count.submits.Add(1)
	a := s.accounts[r.Session.SystemID()]
	if a == nil {
		s.respond(r.Refuse(smpp.StatusSystemError))
		return
	}
	msg := s.read(a, m)
	msg.fault = s.parts.Faults.Take(fault.SMS, msg.to)
	if s.misbehaveBefore(r, msg) {
		return
	}
	if status := s.judge(a, msg); status != smpp.StatusOK {
		s.refuse(r, msg, status)
		return
	}
	s.accept(msg)
	s.busy.RLock()
	defer s.busy.RUnlock()
	s.reply(r, msg)
}

// refusalOf is what an SMSC that does not offer an operation answers.
func refusalOf(c smpp.Command) smpp.Status {
	switch c {
	case smpp.CancelSMCommand:
		return smpp.StatusCancelFailed
	case smpp.ReplaceSMCommand:
		return smpp.StatusReplaceFailed
	case smpp.QuerySMCommand:
		return smpp.StatusQueryFailed
	}
	return smpp.StatusSubmitFailed
}

// respond notes an answer that could not be given: the bind is gone.
func (s *Server) respond(err error) {
	if err != nil {
		s.parts.Log.Debug("no answer given", "error", err)
	}
}

// read takes a submit_sm apart.
func (s *Server) read(a *account, m *smpp.SubmitSM) *message {
	msg := &message{s: s, a: a, submit: m, to: strings.TrimPrefix(m.Destination.Addr, "+"), submitted: s.parts.Clock.Now()}
	octets := m.Text()
	if m.ESMClass&smpp.ESMUDHI != 0 {
		msg.head, octets = splitHeader(octets)
	} else if ref, ok := m.TLVs.Uint(smpp.TagSARMsgRefNum); ok {
		total, _ := m.TLVs.Uint(smpp.TagSARTotalSegments)
		number, _ := m.TLVs.Uint(smpp.TagSARSegmentSeqnum)
		if number >= 1 && number <= total {
			msg.head = header{int(ref), int(total), int(number)}
		}
	}
	msg.octets, msg.text = octets, decodeText(m.DataCoding, octets)
	if v, ok := m.TLVs.Get(smpp.TagUserMessageReference); ok && len(v) == 2 {
		msg.ref = strconv.Itoa(int(binary.BigEndian.Uint16(v)))
	}
	return msg
}

// judge says whether the operator takes a message.
func (s *Server) judge(a *account, m *message) smpp.Status {
	if !a.pace.take(m.submitted, s.opts.Throughput) {
		return smpp.StatusThrottled
	}
	if len(m.to) < 3 || len(m.to) > 15 || strings.Trim(m.to, "0123456789") != "" {
		return smpp.StatusInvalidDestination
	}
	source := m.submit.Source.Addr
	if source == "" {
		return smpp.StatusInvalidSource
	}
	if len(a.Senders) > 0 {
		for _, known := range a.Senders {
			if known == source {
				return smpp.StatusOK
			}
		}
		return smpp.StatusInvalidSource
	}
	return smpp.StatusOK
}

func (s *Server) journal(m *message, fate string) {
	e := journal.Entry{
		Time: m.submitted, Channel: string(fault.SMS), Direction: "mt", Ref: m.ref, From: m.submit.Source.Addr, To: m.to,
		Type: "text", Text: m.text, Part: m.head.number, Parts: m.head.total, Fault: string(m.fault.Kind), Fate: fate,
	}
	if m.id != 0 {
		e.ID = s.spell(m.id, false)
	}
	m.seq = s.parts.Journal.Add(e)
}

func (s *Server) refuse(r *smpp.Request, m *message, status smpp.Status) {
	s.count.refused.Add(1)
	s.journal(m, "refused:0x"+strconv.FormatUint(uint64(status), 16))
	s.respond(r.Refuse(status))
}

// misbehaveBefore plays the faults that come before accepting.
func (s *Server) misbehaveBefore(r *smpp.Request, m *message) bool {
	switch m.fault.Kind {
	case fault.Reject:
		s.refuse(r, m, smpp.Status(m.fault.Code))
	case fault.ErrorBefore:
		s.refuse(r, m, smpp.StatusSystemError)
	case fault.Silent:
		s.journal(m, "dropped")
		r.Drop()
	case fault.Drop:
		s.journal(m, "dropped")
		r.Drop()
		r.Session.Cut()
	default:
		return false
	}
	return true
}

// accept gives a message its id and prepares its way to the handset.
func (s *Server) accept(m *message) {
	s.count.accepted.Add(1)
	m.id = s.nextID.Add(1)
	now := m.submitted
	m.d = handset.Delivery{
		To: m.to, Until: now.Add(defaultValidity), Sink: m, Quiet: m.head.total > 1,
		Item: handset.Item{ID: s.spell(m.id, false), Channel: fault.SMS, From: m.submit.Source.Addr, Type: "text", Text: m.text},
	}
	if until, ok := parseTime(m.submit.ValidityPeriod, now); ok {
		m.d.Until = until
	}
	if at, ok := parseTime(m.submit.ScheduleTime, now); ok && at.After(now) {
		m.d.Extra = at.Sub(now)
	}
	if m.fault.Kind == fault.Late {
		m.d.Extra += m.fault.After
	}
	s.journal(m, "accepted")
}

// reply answers the customer as the fault of m says, and lets m go its way.
func (s *Server) reply(r *smpp.Request, m *message) {
	switch m.fault.Kind {
	case fault.ReceiptFirst:
		accept := func() { m.once.Do(func() { s.respond(r.Accept(s.spell(m.id, false))) }) }
		m.answer = accept
		if m.submit.RegisteredDelivery&3 == smpp.ReceiptNever {
			accept()
		}
		s.parts.Clock.After(5*time.Second, func(time.Time) { accept() })
	case fault.ErrorAfter:
		s.respond(r.Refuse(smpp.StatusSystemError))
	case fault.Hang:
		r.Drop()
	case fault.Cut:
		r.Drop()
		r.Session.Cut()
	case fault.Garbage:
		nack := binary.BigEndian.AppendUint32(make([]byte, 0, smpp.HeaderSize), smpp.HeaderSize)
		nack = binary.BigEndian.AppendUint32(nack, uint32(smpp.GenericNack))
		nack = binary.BigEndian.AppendUint32(nack, uint32(smpp.StatusSystemError))
		s.respond(r.Session.WriteRaw(binary.BigEndian.AppendUint32(nack, r.Sequence)))
		r.Drop()
	default:
		s.respond(r.Accept(s.spell(m.id, false)))
	}
	m.start()
}

// spell writes a message id as answers or receipts carry it.
func (s *Server) spell(id uint64, receipt bool) string {
	switch {
	case s.opts.IDs == Decimal || s.opts.IDs == HexDecimal && receipt:
		return strconv.FormatUint(id, 10)
	case s.opts.IDs == UpperHex && receipt:
		return strings.ToUpper("000000" + strconv.FormatUint(id, 16))
	}
	return strconv.FormatUint(id, 16)
}
