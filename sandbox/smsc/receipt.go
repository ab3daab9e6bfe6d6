package smsc

import (
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/smpp"
)

// stats spells message_state in a receipt's text (3.4, appendix B).
var stats = map[smpp.MessageState]string{1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD", 7: "UNKNOWN", 8: "REJECTD"}

const (
	enroute   smpp.MessageState = 1
	delivered smpp.MessageState = 2
	expired   smpp.MessageState = 3
)

// start sends m to its handset, or makes it fail.
func (m *message) start() {
	s := m.s
	now := s.parts.Clock.Now()
	f := m.fault
	if f.Kind != fault.Fail && f.Kind != fault.SentThenFail {
		if m.submit.RegisteredDelivery&smpp.ReceiptIntermediate != 0 && f.Kind != fault.Reorder {
			m.report(enroute, now)
		}
		s.parts.Fleet.Deliver(&m.d)
		return
	}
	if f.Kind == fault.SentThenFail {
		m.report(enroute, now)
	}
	state := smpp.MessageState(f.Code)
	if s.parts.Fleet.Get(m.to).Latency == handset.Instant {
		m.fail(state, now)
		return
	}
	delay := 500*time.Millisecond + time.Duration(mix(m.seq)%2500)*time.Millisecond
	s.parts.Clock.At(now.Add(delay), func(at time.Time) { m.fail(state, at) })
}

func (m *message) fail(state smpp.MessageState, at time.Time) {
	m.s.count.failed.Add(1)
	m.s.parts.Journal.Fate(m.seq, "failed:"+stats[state], at)
	m.report(state, at)
}

// Delivered hears from the handset.
func (m *message) Delivered(_ *handset.Delivery, at time.Time) {
	m.s.count.delivered.Add(1)
	m.s.parts.Journal.Fate(m.seq, "delivered", at)
	if m.head.total > 1 {
		m.s.long.add(m, at)
	}
	m.report(delivered, at)
	if m.fault.Kind == fault.Reorder {
		m.report(enroute, at)
	}
}

// Read hears from the handset; SMS has no such receipt.
func (m *message) Read(*handset.Delivery, time.Time) {}

// Expired hears that the validity period ended first.
func (m *message) Expired(_ *handset.Delivery, at time.Time) {
	m.s.count.expired.Add(1)
	m.s.parts.Journal.Fate(m.seq, "expired", at)
	m.report(expired, at)
}

// wanted says whether the customer asked for a receipt of a state.
func (m *message) wanted(state smpp.MessageState) bool {
	switch m.submit.RegisteredDelivery & 3 {
	case smpp.ReceiptFinal:
		return true
	case smpp.ReceiptFailure:
		return state.Final() && state != delivered
	case smpp.ReceiptSuccess:
		return state == delivered
	}
	return state == enroute && m.submit.RegisteredDelivery&smpp.ReceiptIntermediate != 0
}

// report queues a receipt as the fault of m says.
func (m *message) report(state smpp.MessageState, at time.Time) {
	times := 1
	switch {
	case m.fault.Kind == fault.NoReceipt || !m.wanted(state):
		return
	case m.fault.Kind == fault.Duplicate:
		times = 2
	}
	for range times {
		m.a.outbox.add(&out{body: m.receipt(state, at), after: m.answer}, false)
	}
}

// receipt is the deliver_sm that says what became of m (3.4, appendix B; wire
// facts, section 5.4).
func (m *message) receipt(state smpp.MessageState, at time.Time) *smpp.DeliverSM {
	s := m.s
	id := s.spell(m.id, true)
	d := &smpp.DeliverSM{Source: m.submit.Destination, Destination: m.submit.Source, ESMClass: smpp.ESMReceipt}
	if state == enroute {
		d.ESMClass = smpp.ESMIntermediate
	}
	failed := state.Final() && state != delivered
	if s.opts.Receipts != TLVOnly {
		arrived, code := "000", "000"
		if state == delivered {
			arrived = "001"
		}
		if failed {
			code = "0" + strconv.Itoa(10+int(state))
		}
		d.ShortMessage = []byte("id:" + id + " sub:001 dlvrd:" + arrived + " submit date:" + m.submitted.UTC().Format("0601021504") +
			" done date:" + at.UTC().Format("0601021504") + " stat:" + stats[state] + " err:" + code + " text:" + m.excerpt())
	}
	if s.opts.Receipts != TextOnly {
		d.TLVs = smpp.TLVs{smpp.TagReceiptedMessageID.CString(id), smpp.TagMessageState.Uint8(uint8(state))}
		if failed {
			d.TLVs = append(d.TLVs, smpp.TagNetworkErrorCode.Octets([]byte{3, 0, 10 + byte(state)}))
		}
		if m.ref != "" {
			if v, ok := m.submit.TLVs.Get(smpp.TagUserMessageReference); ok {
				d.TLVs = append(d.TLVs, smpp.TagUserMessageReference.Octets(v))
			}
		}
	}
	return d
}

// excerpt is the first 20 characters of a text, if they are plain letters.
func (m *message) excerpt() string {
	text := m.text[:min(20, len(m.text))]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > 'z' {
			return -1
		}
		return r
	}, text)
}
