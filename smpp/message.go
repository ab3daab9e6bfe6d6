package smpp

// Address is a number, short code or name with its kind.
type Address struct {
	TON  uint8 // 0 unknown 1 international 2 national 3 network 4 subscriber 5 alphanumeric 6 abbreviated
	NPI  uint8 // 0 unknown 1 E.164 3 data 6 land mobile 8 national 9 private 14 internet
	Addr string
}

// Bits of esm_class (3.4 section 5.2.12).
const (
	ESMUDHI         uint8 = 0x40 // short_message begins with a user data header
	ESMReplyPath    uint8 = 0x80
	ESMTypeMask     uint8 = 0x3C // of deliver_sm and data_sm
	ESMReceipt      uint8 = 0x04
	ESMSMEAck       uint8 = 0x08
	ESMManualAck    uint8 = 0x10
	ESMAbort        uint8 = 0x18
	ESMIntermediate uint8 = 0x20
)

// Values of registered_delivery (3.4 section 5.2.17).
const (
	ReceiptNever        uint8 = 0x00
	ReceiptFinal        uint8 = 0x01
	ReceiptFailure      uint8 = 0x02
	ReceiptSuccess      uint8 = 0x03 // 5.0
	ReceiptIntermediate uint8 = 0x10 // may be added to the others
)

// SubmitSM is the body of submit_sm (3.4 section 4.4). The text is either in
// ShortMessage or in the TLV message_payload, never in both.
type SubmitSM struct {
	ServiceType        string // at most 5 octets
	Source             Address
	Destination        Address
	ESMClass           uint8
	ProtocolID         uint8
	Priority           uint8
	ScheduleTime       string // empty or 16 octets, see [ParseTime]
	ValidityPeriod     string // empty or 16 octets
	RegisteredDelivery uint8
	ReplaceIfPresent   uint8
	DataCoding         uint8
	DefaultMessageID   uint8
	ShortMessage       []byte // at most 255 octets; 3.4 SMSCs take 254
	TLVs               TLVs
}

// DeliverSM is the body of deliver_sm (3.4 section 4.6): a message from a
// phone, or a receipt (see [DeliverSM.Receipt]). The layout is submit_sm's.
type DeliverSM SubmitSM

func (m *SubmitSM) fits(c Command) bool { return c == SubmitSMCommand }

func (m *SubmitSM) read(c *cursor) {
	m.layout(c, maxAddress)
	m.TLVs = c.tlvs(false)
	if c.err == nil && m.doubleText() {
		c.fail("short_message", StatusInvalidMessageLength, "given together with message_payload")
	}
}

func (m *SubmitSM) doubleText() bool {
	if len(m.ShortMessage) == 0 {
		return false
	}
	_, ok := m.TLVs.Get(TagMessagePayload)
	return ok
}

func (m *SubmitSM) layout(c *cursor, address int) {
	m.ServiceType = c.str("service_type", maxServiceType, StatusInvalidServiceType)
	m.Source.read(c, "source_addr", address, StatusInvalidSource)
	m.Destination.read(c, "destination_addr", address, StatusInvalidDestination)
	m.ESMClass = c.byte("esm_class")
	m.ProtocolID = c.byte("protocol_id")
	m.Priority = c.byte("priority_flag")
	m.ScheduleTime = c.str("schedule_delivery_time", maxTime, StatusInvalidSchedule)
	m.ValidityPeriod = c.str("validity_period", maxTime, StatusInvalidValidity)
	m.RegisteredDelivery = c.byte("registered_delivery")
	m.ReplaceIfPresent = c.byte("replace_if_present_flag")
	m.DataCoding = c.byte("data_coding")
	m.DefaultMessageID = c.byte("sm_default_msg_id")
	n := int(c.byte("sm_length"))
	m.ShortMessage = c.octets("short_message", n, StatusInvalidMessageLength)
}

func (m *SubmitSM) appendTo(a *appender) {
	if m.doubleText() {
		a.err = &EncodeError{"short_message", "given together with message_payload"}
		return
	}
	m.layoutTo(a, maxAddress)
}

func (m *SubmitSM) layoutTo(a *appender, address int) {
	a.str("service_type", m.ServiceType, maxServiceType)
	m.Source.appendTo(a, "source_addr", address)
	m.Destination.appendTo(a, "destination_addr", address)
	a.bytes(m.ESMClass, m.ProtocolID, m.Priority)
	a.str("schedule_delivery_time", m.ScheduleTime, maxTime)
	a.str("validity_period", m.ValidityPeriod, maxTime)
	a.bytes(m.RegisteredDelivery, m.ReplaceIfPresent, m.DataCoding, m.DefaultMessageID)
	a.message(m.ShortMessage)
	a.tlvs(m.TLVs)
}

// Text returns the octets of the message wherever they are: short_message,
// or message_payload when that is empty. A user data header is still on them.
func (m *SubmitSM) Text() []byte {
	if len(m.ShortMessage) == 0 {
		if v, ok := m.TLVs.Get(TagMessagePayload); ok {
			return v
		}
	}
	return m.ShortMessage
}

func (m *DeliverSM) fits(c Command) bool { return c == DeliverSMCommand }

// read is lenient about addresses and TLVs: refusing would lose a message.
func (m *DeliverSM) read(c *cursor) {
	(*SubmitSM)(m).layout(c, maxLongAddress)
	m.TLVs = c.tlvs(true)
}

func (m *DeliverSM) appendTo(a *appender) { (*SubmitSM)(m).layoutTo(a, maxLongAddress) }

// Text returns the octets of the message; see [SubmitSM.Text].
func (m *DeliverSM) Text() []byte { return (*SubmitSM)(m).Text() }

// DataSM is the body of data_sm (3.4 section 4.7), which carries its text in
// message_payload.
type DataSM struct {
	ServiceType        string
	Source             Address // at most 64 octets
	Destination        Address // at most 64 octets
	ESMClass           uint8
	RegisteredDelivery uint8
	DataCoding         uint8
	TLVs               TLVs
}

func (m *DataSM) fits(c Command) bool { return c == DataSMCommand }

func (m *DataSM) read(c *cursor) {
	m.ServiceType = c.str("service_type", maxServiceType, StatusInvalidServiceType)
	m.Source.read(c, "source_addr", maxLongAddress, StatusInvalidSource)
	m.Destination.read(c, "destination_addr", maxLongAddress, StatusInvalidDestination)
	m.ESMClass = c.byte("esm_class")
	m.RegisteredDelivery = c.byte("registered_delivery")
	m.DataCoding = c.byte("data_coding")
	m.TLVs = c.tlvs(false)
}

func (m *DataSM) appendTo(a *appender) {
	a.str("service_type", m.ServiceType, maxServiceType)
	m.Source.appendTo(a, "source_addr", maxLongAddress)
	m.Destination.appendTo(a, "destination_addr", maxLongAddress)
	a.bytes(m.ESMClass, m.RegisteredDelivery, m.DataCoding)
	a.tlvs(m.TLVs)
}

// MessageResp is the body of the responses to submit_sm, deliver_sm and
// data_sm. It is read leniently, because the message it answers has already
// been accepted: a missing NUL and a broken TLV at the end are overlooked.
type MessageResp struct {
	MessageID string // empty for deliver_sm
	TLVs      TLVs
}

func (m *MessageResp) fits(c Command) bool {
	return c == SubmitSMResp || c == DeliverSMResp || c == DataSMResp
}

func (m *MessageResp) read(c *cursor) {
	m.MessageID = c.answerID()
	m.TLVs = c.tlvs(true)
}

func (m *MessageResp) appendTo(a *appender) {
	a.str("message_id", m.MessageID, maxAnswerID)
	a.tlvs(m.TLVs)
}

func (m *Address) read(c *cursor, field string, limit int, bad Status) {
	m.TON = c.byte(field)
	m.NPI = c.byte(field)
	m.Addr = c.str(field, limit, bad)
}

func (m *Address) appendTo(a *appender, field string, limit int) {
	a.bytes(m.TON, m.NPI)
	a.str(field, m.Addr, limit)
}
