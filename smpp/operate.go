package smpp

// MessageState is the state of a message at the SMSC (3.4 section 5.2.28).
type MessageState uint8

// The states. Scheduled and Skipped exist in 5.0 only; StateUnset is ours and
// means that nothing was said.
const (
	StateScheduled     MessageState = 0
	StateEnroute       MessageState = 1
	StateDelivered     MessageState = 2
	StateExpired       MessageState = 3
	StateDeleted       MessageState = 4
	StateUndeliverable MessageState = 5
	StateAccepted      MessageState = 6
	StateUnknown       MessageState = 7
	StateRejected      MessageState = 8
	StateSkipped       MessageState = 9
	StateUnset         MessageState = 0xFF
)

// Final reports whether no other state can follow. UNKNOWN counts as final:
// the SMSC has stopped looking.
func (s MessageState) Final() bool {
	switch s {
	case StateScheduled, StateEnroute, StateAccepted, StateUnset:
		return false
	}
	return true
}

// QuerySM is the body of query_sm (3.4 section 4.8). Source must be the one of
// the submit.
type QuerySM struct {
	MessageID string
	Source    Address
}

func (m *QuerySM) fits(c Command) bool { return c == QuerySMCommand }

func (m *QuerySM) read(c *cursor) {
	m.MessageID = c.str("message_id", maxMessageID, StatusInvalidMessageID)
	m.Source.read(c, "source_addr", maxAddress, StatusInvalidSource)
}

func (m *QuerySM) appendTo(a *appender) {
	a.str("message_id", m.MessageID, maxMessageID)
	m.Source.appendTo(a, "source_addr", maxAddress)
}

// QueryResp is the body of query_sm_resp.
type QueryResp struct {
	MessageID string
	FinalDate string // empty until the state is final
	State     MessageState
	ErrorCode uint8 // as the network defines it
}

func (m *QueryResp) fits(c Command) bool { return c == QuerySMResp }

func (m *QueryResp) read(c *cursor) {
	m.MessageID = c.str("message_id", maxAnswerID, StatusInvalidMessageID)
	if c.err == nil && c.i == len(c.b) {
		return // a failed query answered with an empty id
	}
	m.FinalDate = c.str("final_date", maxTime, StatusInvalidCommandLength)
	m.State = MessageState(c.byte("message_state"))
	m.ErrorCode = c.byte("error_code")
}

func (m *QueryResp) appendTo(a *appender) {
	a.str("message_id", m.MessageID, maxAnswerID)
	a.str("final_date", m.FinalDate, maxTime)
	a.bytes(byte(m.State), m.ErrorCode)
}

// CancelSM is the body of cancel_sm (3.4 section 4.9). With an empty MessageID
// the SMSC cancels by addresses and service type.
type CancelSM struct {
	ServiceType string
	MessageID   string
	Source      Address // of the submit
	Destination Address
}

func (m *CancelSM) fits(c Command) bool { return c == CancelSMCommand }

func (m *CancelSM) read(c *cursor) {
	m.ServiceType = c.str("service_type", maxServiceType, StatusInvalidServiceType)
	m.MessageID = c.str("message_id", maxMessageID, StatusInvalidMessageID)
	m.Source.read(c, "source_addr", maxAddress, StatusInvalidSource)
	m.Destination.read(c, "destination_addr", maxAddress, StatusInvalidDestination)
}

func (m *CancelSM) appendTo(a *appender) {
	a.str("service_type", m.ServiceType, maxServiceType)
	a.str("message_id", m.MessageID, maxMessageID)
	m.Source.appendTo(a, "source_addr", maxAddress)
	m.Destination.appendTo(a, "destination_addr", maxAddress)
}

// ReplaceSM is the body of replace_sm (3.4 section 4.10).
type ReplaceSM struct {
	MessageID          string
	Source             Address // of the submit
	ScheduleTime       string
	ValidityPeriod     string
	RegisteredDelivery uint8
	DefaultMessageID   uint8
	ShortMessage       []byte
	TLVs               TLVs // 5.0 allows message_payload
}

func (m *ReplaceSM) fits(c Command) bool { return c == ReplaceSMCommand }

func (m *ReplaceSM) read(c *cursor) {
	m.MessageID = c.str("message_id", maxMessageID, StatusInvalidMessageID)
	m.Source.read(c, "source_addr", maxAddress, StatusInvalidSource)
	m.ScheduleTime = c.str("schedule_delivery_time", maxTime, StatusInvalidSchedule)
	m.ValidityPeriod = c.str("validity_period", maxTime, StatusInvalidValidity)
	m.RegisteredDelivery = c.byte("registered_delivery")
	m.DefaultMessageID = c.byte("sm_default_msg_id")
	n := int(c.byte("sm_length"))
	m.ShortMessage = c.octets("short_message", n, StatusInvalidMessageLength)
	m.TLVs = c.tlvs(false)
}

func (m *ReplaceSM) appendTo(a *appender) {
	a.str("message_id", m.MessageID, maxMessageID)
	m.Source.appendTo(a, "source_addr", maxAddress)
	a.str("schedule_delivery_time", m.ScheduleTime, maxTime)
	a.str("validity_period", m.ValidityPeriod, maxTime)
	a.bytes(m.RegisteredDelivery, m.DefaultMessageID)
	a.message(m.ShortMessage)
	a.tlvs(m.TLVs)
}

// Alert is the body of alert_notification (3.4 section 4.12): a phone that was
// away is back. It is not answered.
type Alert struct {
	Source Address // the phone
	ESME   Address // who had asked
	TLVs   TLVs
}

func (m *Alert) fits(c Command) bool { return c == AlertNotification }

func (m *Alert) read(c *cursor) {
	m.Source.read(c, "source_addr", maxLongAddress, StatusInvalidSource)
	m.ESME.read(c, "esme_addr", maxLongAddress, StatusInvalidDestination)
	m.TLVs = c.tlvs(true)
}

func (m *Alert) appendTo(a *appender) {
	m.Source.appendTo(a, "source_addr", maxLongAddress)
	m.ESME.appendTo(a, "esme_addr", maxLongAddress)
	a.tlvs(m.TLVs)
}
