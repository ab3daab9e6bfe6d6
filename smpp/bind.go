package smpp

// Values of interface_version.
const (
	Version33 uint8 = 0x33 // knows no TLVs
	Version34 uint8 = 0x34
	Version50 uint8 = 0x50
)

// Bind is the body of bind_receiver, bind_transmitter and bind_transceiver
// (3.4 section 4.1).
type Bind struct {
	SystemID         string // at most 15 octets
	Password         string // at most 8 octets, in the clear
	SystemType       string // at most 12 octets
	InterfaceVersion uint8
	AddrTON          uint8
	AddrNPI          uint8
	AddressRange     string // at most 40 octets, read by the SMSC as it likes
}

func (m *Bind) fits(c Command) bool { return c.IsBind() }

func (m *Bind) read(c *cursor) {
	m.SystemID = c.str("system_id", maxSystemID, StatusInvalidSystemID)
	m.Password = c.str("password", maxPassword, StatusInvalidPassword)
	m.SystemType = c.str("system_type", maxSystemType, StatusInvalidSystemType)
	m.InterfaceVersion = c.byte("interface_version")
	m.AddrTON = c.byte("addr_ton")
	m.AddrNPI = c.byte("addr_npi")
	m.AddressRange = c.str("address_range", maxAddressRange, StatusBindFailed)
}

func (m *Bind) appendTo(a *appender) {
	a.str("system_id", m.SystemID, maxSystemID)
	a.str("password", m.Password, maxPassword)
	a.str("system_type", m.SystemType, maxSystemType)
	a.bytes(m.InterfaceVersion, m.AddrTON, m.AddrNPI)
	a.str("address_range", m.AddressRange, maxAddressRange)
}

// BindResp is the body of a response to a bind. Without the TLV
// sc_interface_version the SMSC speaks 3.3 and wants no TLVs.
type BindResp struct {
	SystemID string
	TLVs     TLVs
}

func (m *BindResp) fits(c Command) bool { return c.IsResponse() && (c &^ responseBit).IsBind() }

func (m *BindResp) read(c *cursor) {
	m.SystemID = c.answerID()
	m.TLVs = c.tlvs(true)
}

func (m *BindResp) appendTo(a *appender) {
	a.str("system_id", m.SystemID, maxAnswerID)
	a.tlvs(m.TLVs)
}

// Outbind is the body of outbind, by which an SMSC asks to be bound to.
type Outbind struct {
	SystemID string // at most 15 octets
	Password string // at most 8 octets
}

func (m *Outbind) fits(c Command) bool { return c == OutbindCommand }

func (m *Outbind) read(c *cursor) {
	m.SystemID = c.str("system_id", maxSystemID, StatusInvalidSystemID)
	m.Password = c.str("password", maxPassword, StatusInvalidPassword)
}

func (m *Outbind) appendTo(a *appender) {
	a.str("system_id", m.SystemID, maxSystemID)
	a.str("password", m.Password, maxPassword)
}
