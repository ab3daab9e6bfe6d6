package whatsapp

import (
	"strconv"
	"sync"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
)

const (
	window     = 24 * time.Hour // free-form text after a message of the person
	entryPoint = 72 * time.Hour // free after a click on an ad
	adSuffix   = "#ad"          // marks the fleet's note of an ad click
)

// message is one accepted message until its last status. It is the Sink of
// its delivery.
type message struct {
	s         *Server
	n         *number
	d         handset.Delivery
	ref       string // biz_opaque_callback_data
	input     string // the recipient as sent
	to        string // digits
	wa        string // wa_id
	byUser    bool   // addressed by business-scoped user id
	hidden    bool   // the person hides the number
	version   int    // of the Graph path
	category  string
	priceType string
	billable  bool
	template  bool
	freeForm  bool
	open      bool // the window was open
	entry     bool // inside a free entry point
	mediaLost bool
	fault     fault.Fault
	seq       uint64 // in the journal

	posted *gate // counts the receipts of ReceiptFirst

	mu          sync.Mutex
	deliveredAt time.Time // kept back by Reorder
}

type status byte

const (
	statusSent status = iota
	statusDelivered
	statusRead
	statusFailed
)

var statusNames = [...]string{"sent", "delivered", "read", "failed"}

// start sends m to its handset, or makes it fail.
func (m *message) start() {
	s := m.s
	set := s.parts.Fleet.Get(m.to)
	m.hidden = set.HideNumber
	now := s.parts.Clock.Now()
	code := m.outcome(&set)
	if code == 0 {
		if m.fault.Kind != fault.Reorder {
			m.emit(statusSent, now, 0)
		}
		s.parts.Fleet.Deliver(&m.d)
		return
	}
	if m.fault.Kind == fault.SentThenFail {
		m.emit(statusSent, now, 0)
	}
	if set.Latency != handset.Instant {
		// The refusal of a person not on WhatsApp takes 0.5 to 3 s (project
		// rules, section 5.5), drawn from the id so that it follows the seed.
		delay := 500*time.Millisecond + time.Duration(mix(m.seq)%2500)*time.Millisecond
		s.parts.Clock.At(now.Add(delay), func(at time.Time) { m.fail(code, at) })
		return
	}
	m.fail(code, now)
}

// outcome returns the code with which an accepted message fails, or 0.
func (m *message) outcome(set *handset.Settings) int {
	switch {
	case m.fault.Kind == fault.Fail || m.fault.Kind == fault.SentThenFail:
		return m.fault.Code
	case !set.WhatsApp:
		return 131026
	case m.template && set.OptedOut && (m.category == "marketing" || m.category == "marketing_lite"):
		return 131050
	case m.freeForm && !m.open:
		return 131047
	case m.mediaLost:
		return 131053
	}
	return 0
}

func (m *message) fail(code int, at time.Time) {
	m.s.count.failed.Add(1)
	m.s.parts.Journal.Fate(m.seq, "failed:"+itoa(code), at)
	m.emit(statusFailed, at, code)
}

// Delivered hears from the handset.
func (m *message) Delivered(_ *handset.Delivery, at time.Time) {
	m.s.count.delivered.Add(1)
	m.s.parts.Journal.Fate(m.seq, "delivered", at)
	if m.fault.Kind != fault.Reorder {
		m.emit(statusDelivered, at, 0)
		return
	}
	if m.s.parts.Fleet.Get(m.to).AutoRead {
		m.mu.Lock()
		m.deliveredAt = at
		m.mu.Unlock()
		return
	}
	m.emit(statusDelivered, at, 0)
	m.emit(statusSent, at, 0)
}

// Read hears from the handset.
func (m *message) Read(_ *handset.Delivery, at time.Time) {
	m.s.count.read.Add(1)
	m.s.parts.Journal.Fate(m.seq, "read", at)
	m.emit(statusRead, at, 0)
	m.mu.Lock()
	held := m.deliveredAt
	m.deliveredAt = time.Time{}
	m.mu.Unlock()
	if !held.IsZero() {
		m.emit(statusDelivered, held, 0)
		m.emit(statusSent, held, 0)
	}
}

// Expired hears from the handset: Meta drops the message silently.
func (m *message) Expired(_ *handset.Delivery, at time.Time) {
	m.s.count.expired.Add(1)
	m.s.parts.Journal.Fate(m.seq, "expired", at)
}

// emit queues one status webhook as the fault of m says.
func (m *message) emit(st status, at time.Time, code int) {
	times := 1
	switch m.fault.Kind {
	case fault.NoReceipt:
		return
	case fault.Duplicate:
		times = 2
	}
	for range times {
		u := update{m: m, n: m.n, status: st, at: at.Unix(), code: code}
		if m.posted != nil {
			m.posted.add()
			u.posted = m.posted
		}
		m.s.lane(m.to).add(u)
	}
}

// appendStatus appends one element of statuses.
func (u *update) appendStatus(b []byte) []byte {
	m := u.m
	b = append(b, '{')
	b = appendMember(b, "id", m.d.Item.ID)
	b = appendMember(b, "status", statusNames[u.status])
	b = append(b, `,"timestamp":"`...)
	b = strconv.AppendInt(b, u.at, 10)
	b = append(b, '"')
	if !m.hidden {
		b = appendMember(b, "recipient_id", m.wa)
	}
	if m.byUser || m.hidden {
		b = appendMember(b, "recipient_user_id", userID(m.to))
	}
	if m.ref != "" {
		b = appendMember(b, "biz_opaque_callback_data", m.ref)
	}
	if u.status == statusSent || u.status == statusDelivered {
		b = m.appendConversation(b, u)
		b = append(b, `,"pricing":{"billable":`...)
		b = strconv.AppendBool(b, m.billable)
		b = append(b, `,"pricing_model":"PMP","category":"`...)
		b = append(b, m.category...)
		b = append(b, `","type":"`...)
		b = append(b, m.priceType...)
		b = append(b, `"}`...)
	}
	if u.status == statusFailed {
		b = append(b, `,"errors":[`...)
		b = refuse(u.code, failureDetails[u.code]).appendStatus(b)
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendConversation appends the conversation object: up to v23 always, since
// then only inside a free entry point (wire facts, section 2.6).
func (m *message) appendConversation(b []byte, u *update) []byte {
	if !m.entry && (m.version == 0 || m.version > 23) {
		return b
	}
	b = append(b, `,"conversation":{"id":"`...)
	for _, word := range [2]uint64{mix(m.seq), mix(m.seq + 1<<40)} {
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, hexDigits[word>>shift&15])
		}
	}
	b = append(b, '"')
	if u.status == statusSent {
		b = append(b, `,"expiration_timestamp":"`...)
		b = strconv.AppendInt(b, u.at+int64(window/time.Second), 10)
		b = append(b, '"')
	}
	origin := m.category
	if m.entry {
		origin = "referral_conversion"
	}
	b = append(b, `,"origin":{"type":"`...)
	b = append(b, origin...)
	return append(b, `"}}`...)
}
