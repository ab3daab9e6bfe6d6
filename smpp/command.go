package smpp

import "fmt"

// Command is a command_id (3.4 section 5.1.2.1).
type Command uint32

// The commands. A response is its request with the top bit set; those of the
// broadcast family exist in 5.0 only and are carried as [Raw].
const (
	BindReceiver          Command = 0x00000001
	BindTransmitter       Command = 0x00000002
	QuerySMCommand        Command = 0x00000003
	SubmitSMCommand       Command = 0x00000004
	DeliverSMCommand      Command = 0x00000005
	UnbindCommand         Command = 0x00000006
	ReplaceSMCommand      Command = 0x00000007
	CancelSMCommand       Command = 0x00000008
	BindTransceiver       Command = 0x00000009
	OutbindCommand        Command = 0x0000000B
	EnquireLink           Command = 0x00000015
	SubmitMulti           Command = 0x00000021
	AlertNotification     Command = 0x00000102
	DataSMCommand         Command = 0x00000103
	BroadcastSM           Command = 0x00000111
	QueryBroadcastSM      Command = 0x00000112
	CancelBroadcastSM     Command = 0x00000113
	GenericNack           Command = 0x80000000
	responseBit           Command = 0x80000000
	BindReceiverResp              = BindReceiver | responseBit
	BindTransmitterResp           = BindTransmitter | responseBit
	QuerySMResp                   = QuerySMCommand | responseBit
	SubmitSMResp                  = SubmitSMCommand | responseBit
	DeliverSMResp                 = DeliverSMCommand | responseBit
	UnbindResp                    = UnbindCommand | responseBit
	ReplaceSMResp                 = ReplaceSMCommand | responseBit
	CancelSMResp                  = CancelSMCommand | responseBit
	BindTransceiverResp           = BindTransceiver | responseBit
	EnquireLinkResp               = EnquireLink | responseBit
	SubmitMultiResp               = SubmitMulti | responseBit
	DataSMResp                    = DataSMCommand | responseBit
	BroadcastSMResp               = BroadcastSM | responseBit
	QueryBroadcastSMResp          = QueryBroadcastSM | responseBit
	CancelBroadcastSMResp         = CancelBroadcastSM | responseBit
)

// IsResponse reports whether c answers a request. [GenericNack] does.
func (c Command) IsResponse() bool { return c&responseBit != 0 }

// Response returns the command that answers c. Nothing answers outbind and
// alert_notification: ask [Command.Answered] first.
func (c Command) Response() Command { return c | responseBit }

// Answered reports whether the peer owes a response to c.
func (c Command) Answered() bool {
	return !c.IsResponse() && c != OutbindCommand && c != AlertNotification
}

// Known reports whether c is a command of 3.4 or 5.0.
func (c Command) Known() bool { return c.name() != "" }

// IsBind reports whether c is one of the three bind requests.
func (c Command) IsBind() bool {
	return c == BindReceiver || c == BindTransmitter || c == BindTransceiver
}

// String returns the name of the specification in lower case, or the value.
func (c Command) String() string {
	if n := c.name(); n != "" {
		return n
	}
	return fmt.Sprintf("command 0x%08X", uint32(c))
}

func (c Command) name() string {
	switch c {
	case GenericNack:
		return "generic_nack"
	case OutbindCommand:
		return "outbind"
	case AlertNotification:
		return "alert_notification"
	}
	request := ""
	switch c &^ responseBit {
	case BindReceiver:
		request = "bind_receiver"
	case BindTransmitter:
		request = "bind_transmitter"
	case BindTransceiver:
		request = "bind_transceiver"
	case QuerySMCommand:
		request = "query_sm"
	case SubmitSMCommand:
		request = "submit_sm"
	case DeliverSMCommand:
		request = "deliver_sm"
	case UnbindCommand:
		request = "unbind"
	case ReplaceSMCommand:
		request = "replace_sm"
	case CancelSMCommand:
		request = "cancel_sm"
	case EnquireLink:
		request = "enquire_link"
	case SubmitMulti:
		request = "submit_multi"
	case DataSMCommand:
		request = "data_sm"
	case BroadcastSM:
		request = "broadcast_sm"
	case QueryBroadcastSM:
		request = "query_broadcast_sm"
	case CancelBroadcastSM:
		request = "cancel_broadcast_sm"
	}
	if request != "" && c.IsResponse() {
		return request + "_resp"
	}
	return request
}
