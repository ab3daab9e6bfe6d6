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
	appendTo(a *appender)
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
			return dst, &EncodeError{"body", fmt.Sprintf("%T does not belong to %s", p.Body, p.Command)}
		}
		p.Body.appendTo(&a)
	} else if p.needsBody() {
		a.err = &EncodeError{"body", p.Command.String() + " needs one"}
	}
	if a.err != nil {
		return a.b[:start], a.err
	}
	binary.BigEndian.PutUint32(a.b[start:], uint32(len(a.b)-start))
	return a.b, nil
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
	switch cmd {
	case SubmitSMCommand:
		return finish(new(SubmitSM), b)
	case DeliverSMCommand:
		return finish(new(DeliverSM), b)
	case DataSMCommand:
		return finish(new(DataSM), b)
	case SubmitSMResp, DeliverSMResp, DataSMResp:
		return finish(new(MessageResp), b)
	case BindReceiver, BindTransmitter, BindTransceiver:
		return finish(new(Bind), b)
	case BindReceiverResp, BindTransmitterResp, BindTransceiverResp:
		return finish(new(BindResp), b)
	case OutbindCommand:
		return finish(new(Outbind), b)
	case QuerySMCommand:
		return finish(new(QuerySM), b)
	case QuerySMResp:
		return finish(new(QueryResp), b)
	case CancelSMCommand:
		return finish(new(CancelSM), b)
	case ReplaceSMCommand:
		return finish(new(ReplaceSM), b)
	case AlertNotification:
		return finish(new(Alert), b)
	case EnquireLink, UnbindCommand:
		// Octets after the header of a request without a body carry nothing
		// that could be lost; some stacks pad.
		return nil, nil
	case EnquireLinkResp, UnbindResp, GenericNack, CancelSMResp, ReplaceSMResp:
		return nil, nil
	}
	return &Raw{b}, nil
}

func finish[B interface {
	Body
	read(c *cursor)
}](body B, b []byte) (Body, *DecodeError) {
	c := newCursor(b)
	body.read(&c)
	if c.err != nil {
		return nil, c.err
	}
	return body, nil
}
