package whatsapp

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
)

const maxRequest = 1 << 20

// readBody reads a whole request body of at most limit octets.
func readBody(r *http.Request, limit int64) (string, *refusal) {
	if r.ContentLength > limit {
		return "", refuse(100, "The body is too large.")
	}
	if n := r.ContentLength; n > 0 {
		b := make([]byte, n)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return "", refuse(100, "The body could not be read.")
		}
		return string(b), nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1)) // chunked
	switch {
	case err != nil:
		return "", refuse(100, "The body could not be read.")
	case int64(len(b)) > limit:
		return "", refuse(100, "The body is too large.")
	}
	return string(b), nil
}

// messages answers POST P/messages and P/marketing_messages.
func (s *Server) messages(w http.ResponseWriter, r *http.Request, n *number, version int, marketing bool) {
	doc, bad := readBody(r, maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	v, err := parse(doc)
	if err != nil || v.kind != isObject {
		s.fail(w, refuse(100, "Invalid JSON in the request body."))
		return
	}
	if v.text("messaging_product") != "whatsapp" {
		s.fail(w, refuse(100, "The parameter messaging_product is required and must be whatsapp."))
		return
	}
	if v.has("status") {
		s.markRead(w, r, &v)
		return
	}
	s.count.requests.Add(1)
	m := &message{s: s, n: n, version: version}
	if bad := m.address(&v); bad != nil {
		s.refused(w, m, &v, bad)
		return
	}
	m.fault = s.parts.Faults.Take(fault.WhatsApp, m.to)
	if s.misbehaveBefore(w, r, m, &v) {
		return
	}
	if bad := s.limited(n, m.to); bad != nil {
		s.refused(w, m, &v, bad)
		return
	}
	c, bad := s.readContent(n, &v)
	if bad == nil && marketing && (c.template == nil || c.template.Category != "MARKETING") {
		bad = refuse(131055, "Only marketing templates may be sent here.")
	}
	if bad != nil {
		s.refused(w, m, &v, bad)
		return
	}
	m.prepare(&c, &v, marketing)
	s.count.accepted.Add(1)
	s.answer(w, r, m)
}

// address reads whom the message is for.
func (m *message) address(v *value) *refusal {
	m.ref = v.text("biz_opaque_callback_data")
	if err := atMost("biz_opaque_callback_data", m.ref, maxOpaque); err != nil {
		return err
	}
	if kind := v.text("recipient_type"); kind != "" && kind != "individual" {
		return refuse(131009, "recipient_type must be individual: groups are not played by this sandbox.")
	}
	to := v.get("to")
	if to.kind == absent || to.str == "" {
		user := v.text("recipient")
		number, ok := numberOf(user)
		switch {
		case user == "":
			return refuse(100, "The parameter to is required.")
		case !ok:
			return refuse(131009, "The recipient is not a user id of this business.")
		}
		m.input, m.to, m.byUser = user, number, true
	} else {
		number, ok := digitsOf(to.str)
		m.input, m.to = to.str, number
		if !ok {
			return refuse(131009, "The parameter to is not a valid phone number.")
		}
	}
	if m.to == m.n.Display {
		return refuse(131021, "Recipient phone number cannot be the sender phone number.")
	}
	m.wa = waID(m.to)
	return nil
}

// refused answers with an error and journals it.
func (s *Server) refused(w http.ResponseWriter, m *message, v *value, e *refusal) {
	s.count.refused.Add(1)
	s.journal(m, v, "refused:"+itoa(e.code))
	s.fail(w, e)
}

func (s *Server) journal(m *message, v *value, fate string) {
	m.seq = s.parts.Journal.Add(journal.Entry{
		Time: s.parts.Clock.Now(), Channel: string(fault.WhatsApp), Direction: "mt",
		ID: m.d.Item.ID, Ref: m.ref, From: m.n.ID, To: m.to, Type: v.text("type"), Text: m.d.Item.Text,
		Fault: string(m.fault.Kind), Fate: fate,
	})
}

// misbehaveBefore plays the faults that come before accepting.
func (s *Server) misbehaveBefore(w http.ResponseWriter, r *http.Request, m *message, v *value) bool {
	switch m.fault.Kind {
	case fault.Reject:
		s.refused(w, m, v, refuse(m.fault.Code, failureDetails[m.fault.Code]))
	case fault.ErrorBefore:
		code := m.fault.Code
		if code == 0 {
			code = 131000
		}
		s.refused(w, m, v, refuse(code, ""))
	case fault.Silent:
		s.journal(m, v, "dropped")
		s.hold(r)
		cut(w)
	case fault.Drop:
		s.journal(m, v, "dropped")
		cut(w)
	default:
		return false
	}
	return true
}

// answer tells the client what the fault of m says, and lets m go its way.
// Settle waits for the part between the two.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, m *message) {
	s.busy.RLock()
	switch m.fault.Kind {
	case fault.ReceiptFirst:
		m.posted = newGate()
		m.start()
		s.busy.RUnlock()
		m.posted.done()
		s.await(r, m.posted)
		reply(w, http.StatusOK, m.appendAnswer(nil))
		return
	case fault.Hang:
		m.start()
		s.busy.RUnlock()
		s.hold(r)
		cut(w)
		return
	case fault.ErrorAfter:
		s.fail(w, refuse(131000, ""))
	case fault.Cut:
		cut(w)
	case fault.Garbage:
		w.Header()["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusOK)
	default:
		var buf [512]byte
		reply(w, http.StatusOK, m.appendAnswer(buf[:0]))
	}
	m.start()
	s.busy.RUnlock()
}

// Settle returns when every message whose answer is out is on its way. Call it
// before the clock is advanced: what was accepted before must not start after.
func (s *Server) Settle() {
	s.busy.Lock()
	defer s.busy.Unlock()
}

// await waits until the first receipts were posted, the client leaves or the
// server stops.
func (s *Server) await(r *http.Request, posted *gate) {
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-posted.opened:
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.quit:
	}
}

// hold keeps a request without an answer until the client leaves.
func (s *Server) hold(r *http.Request) {
	timer := time.NewTimer(s.opts.Hang)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.quit:
	}
}

// cut closes the connection without an answer.
func cut(w http.ResponseWriter) {
	h, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := h.Hijack()
	if err != nil && !errors.Is(err, http.ErrHijacked) {
		return
	}
	if conn != nil {
		conn.Close()
	}
}

// appendAnswer appends the 200 answer.
func (m *message) appendAnswer(b []byte) []byte {
	b = append(b, `{"messaging_product":"whatsapp","contacts":[{`...)
	b = appendMember(b, "input", m.input)
	if m.byUser {
		b = appendMember(b, "user_id", m.input)
	} else {
		b = appendMember(b, "wa_id", m.wa)
	}
	b = append(b, `}],"messages":[{`...)
	b = appendMember(b, "id", m.d.Item.ID)
	if m.template {
		b = append(b, `,"message_status":"accepted"`...)
	}
	return append(b, `}]}`...)
}

// prepare fills m from its content, journals it and gives it an id.
func (m *message) prepare(c *content, v *value, marketing bool) {
	s := m.s
	now := s.parts.Clock.Now()
	m.template, m.freeForm = c.template != nil, c.freeForm
	window := now.Sub(s.parts.Fleet.Last(m.to, fault.WhatsApp, m.n.ID)) < window
	m.entry = now.Sub(s.parts.Fleet.Last(m.to, fault.WhatsApp, m.n.ID+adSuffix)) < entryPoint
	m.open = window || s.opts.IgnoreWindow
	m.category, m.billable, m.priceType = "service", false, "free_customer_service"
	until := now.Add(monthSeconds * time.Second)
	if t := c.template; t != nil {
		m.category = strings.ToLower(t.Category)
		if m.category != "utility" || !window {
			m.billable, m.priceType = true, "regular"
		}
		until = now.Add(t.ttl())
		if marketing {
			m.category = "marketing_lite"
		}
	}
	if m.entry {
		m.billable, m.priceType = false, "free_entry_point"
	}
	if c.mediaID != "" && !s.media.has(c.mediaID) {
		m.mediaLost = true
	}
	m.d = handset.Delivery{To: m.to, Until: until, Sink: m, Item: handset.Item{
		ID:      s.ids.wamid(m.wa, false),
		Channel: fault.WhatsApp, From: m.n.ID, Type: c.kind, Text: c.text, Content: handset.Raw(v.raw),
	}}
	if m.fault.Kind == fault.Late {
		m.d.Extra = m.fault.After
	}
	s.journal(m, v, "accepted")
}

func unixText(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
