package smpp

import (
	"encoding/binary"
	"fmt"
)

// HeaderSize is the number of octets every PDU begins with.
const HeaderSize = 16

// DefaultMaxPDU is the longest PDU a session takes unless told otherwise.
const DefaultMaxPDU = 64 << 10

// maxSequence is the highest sequence_number; the next one is 1.
const maxSequence = 0x7FFFFFFF

// A PDU is one request or response. Body is nil for commands without one and
// for responses that came as a bare header, which failed ones may.
type PDU struct {
	Command  Command
	Status   Status
	Sequence uint32
	Body     Body
}

// A Body is what follows the header. The types of this package are the only
// ones: [Bind], [BindResp], [Outbind], [SubmitSM], [DeliverSM], [DataSM],
// [MessageResp], [QuerySM], [QueryResp], [CancelSM], [ReplaceSM], [Alert] and
// [Raw], all as pointers.
type Body interface {
	fits(c Command) bool
}

// Raw is the body of a PDU whose fields this package does not take apart:
// submit_multi, the broadcasts of 5.0 and unknown commands.
type Raw struct{ Octets []byte }

func (r *Raw) appendTo(a *appender) { a.bytes(r.Octets...) }
func (r *Raw) fits(Command) bool    { return true }

// Append puts the PDU on the end of dst and returns the longer slice. On error
// dst comes back as it was.
func (p *PDU) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	a := appender{b: append(dst, 0, 0, 0, 0)}
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(p.Command))
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(p.Status))
	a.b = binary.BigEndian.AppendUint32(a.b, p.Sequence)
	if p.Body != nil {
		if !p.Body.fits(p.Command) {
			return dst, &EncodeError{"body", "does not belong to " + p.Command.String()}
		}
		appendBody(&a, p.Body)
	} else if p.needsBody() {
		a.err = &EncodeError{"body", p.Command.String() + " needs one"}
	}
	if a.err != nil {
		return a.b[:start], a.err
	}
	binary.BigEndian.PutUint32(a.b[start:], uint32(len(a.b)-start))
	return a.b, nil
}

// appendBody names every type instead of calling through the interface, which
// would move the appender to the heap for each PDU.
func appendBody(a *appender, body Body) {
	switch m := body.(type) {
	case *SubmitSM:
		m.appendTo(a)
	case *DeliverSM:
		m.appendTo(a)
	case *DataSM:
		m.appendTo(a)
	case *MessageResp:
		m.appendTo(a)
	case *Bind:
		m.appendTo(a)
	case *BindResp:
		m.appendTo(a)
	case *Outbind:
		m.appendTo(a)
	case *QuerySM:
		m.appendTo(a)
	case *QueryResp:
		m.appendTo(a)
	case *CancelSM:
		m.appendTo(a)
	case *ReplaceSM:
		m.appendTo(a)
	case *Alert:
		m.appendTo(a)
	case *Raw:
		m.appendTo(a)
	}
}

// needsBody reports whether a bare header would be illegal: it is for requests
// with mandatory fields and tolerated for every response.
func (p *PDU) needsBody() bool {
	switch p.Command {
	case EnquireLink, UnbindCommand:
		return false
	}
	return !p.Command.IsResponse() && p.Command.Known()
}

// Decode reads one whole PDU, no more and no less.
//
// Octet slices of the result ([SubmitSM.ShortMessage], TLV values, [Raw]) are
// parts of b; strings are copies. When the header could be read it is filled in
// even if err, a [*DecodeError], is not nil, so that the request can be refused
// with the status the error carries. Requests are held to the letter, except
// deliver_sm, and responses are read leniently: see [TLVs] and [MessageResp].
func Decode(b []byte) (PDU, error) {
	var p PDU
	if len(b) < HeaderSize {
		return p, &DecodeError{Command: GenericNack, Field: "command_length", Status: StatusInvalidCommandLength, Reason: "shorter than a header"}
	}
	p = header(b)
	if n := binary.BigEndian.Uint32(b); uint64(n) != uint64(len(b)) {
		return p, &DecodeError{Command: p.Command, Field: "command_length", Status: StatusInvalidCommandLength, Reason: fmt.Sprintf("says %d of %d octets", n, len(b))}
	}
	body, err := decodeBody(p.Command, b[HeaderSize:])
	if err != nil {
		err.Command = p.Command
		return p, err
	}
	p.Body = body
	return p, nil
}

// header reads the fields after command_length of at least 16 octets.
func header(b []byte) PDU {
	return PDU{
		Command:  Command(binary.BigEndian.Uint32(b[4:])),
		Status:   Status(binary.BigEndian.Uint32(b[8:])),
		Sequence: binary.BigEndian.Uint32(b[12:]),
	}
}

func decodeBody(cmd Command, b []byte) (Body, *DecodeError) {
	if cmd.IsResponse() && len(b) == 0 {
		return nil, nil
	}
	var body Body
	var c cursor
	switch cmd {
	case SubmitSMCommand:
		m := new(SubmitSM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case DeliverSMCommand:
		m := new(DeliverSM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case DataSMCommand:
		m := new(DataSM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case SubmitSMResp, DeliverSMResp, DataSMResp:
		m := new(MessageResp)
		c.b = b
		m.read(&c)
		body = m
	case BindReceiver, BindTransmitter, BindTransceiver:
		m := new(Bind)
		c = newCursor(b)
		m.read(&c)
		body = m
	case BindReceiverResp, BindTransmitterResp, BindTransceiverResp:
		m := new(BindResp)
		c.b = b
		m.read(&c)
		body = m
	case OutbindCommand:
		m := new(Outbind)
		c = newCursor(b)
		m.read(&c)
		body = m
	case QuerySMCommand:
		m := new(QuerySM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case QuerySMResp:
		m := new(QueryResp)
		c = newCursor(b)
		m.read(&c)
		body = m
	case CancelSMCommand:
		m := new(CancelSM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case ReplaceSMCommand:
		m := new(ReplaceSM)
		c = newCursor(b)
		m.read(&c)
		body = m
	case AlertNotification:
		m := new(Alert)
		c = newCursor(b)
		m.read(&c)
		body = m
	case EnquireLink, UnbindCommand, EnquireLinkResp, UnbindResp, GenericNack, CancelSMResp, ReplaceSMResp:
		// Octets after a header that has no body carry nothing that could be
		// lost; some stacks pad.
		return nil, nil
	default:
		return &Raw{b}, nil
	}
	if c.err != nil {
		return nil, c.err
	}
	return body, nil
}
