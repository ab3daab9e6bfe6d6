package smpp

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Tag names a TLV (3.4 section 5.3.2).
type Tag uint16

// The tags a gateway meets. Others, and the vendor range 0x1400-0x3FFF, pass
// through untouched.
const (
	TagDestAddrSubunit        Tag = 0x0005
	TagDestNetworkType        Tag = 0x0006
	TagDestBearerType         Tag = 0x0007
	TagDestTelematicsID       Tag = 0x0008
	TagSourceAddrSubunit      Tag = 0x000D
	TagSourceNetworkType      Tag = 0x000E
	TagSourceBearerType       Tag = 0x000F
	TagSourceTelematicsID     Tag = 0x0010
	TagQOSTimeToLive          Tag = 0x0017
	TagPayloadType            Tag = 0x0019
	TagAdditionalStatusInfo   Tag = 0x001D
	TagReceiptedMessageID     Tag = 0x001E
	TagMSMsgWaitFacilities    Tag = 0x0030
	TagPrivacyIndicator       Tag = 0x0201
	TagSourceSubaddress       Tag = 0x0202
	TagDestSubaddress         Tag = 0x0203
	TagUserMessageReference   Tag = 0x0204
	TagUserResponseCode       Tag = 0x0205
	TagSourcePort             Tag = 0x020A
	TagDestinationPort        Tag = 0x020B
	TagSARMsgRefNum           Tag = 0x020C
	TagLanguageIndicator      Tag = 0x020D
	TagSARTotalSegments       Tag = 0x020E
	TagSARSegmentSeqnum       Tag = 0x020F
	TagSCInterfaceVersion     Tag = 0x0210
	TagCallbackNumPresInd     Tag = 0x0302
	TagCallbackNumAtag        Tag = 0x0303
	TagNumberOfMessages       Tag = 0x0304
	TagCallbackNum            Tag = 0x0381
	TagDPFResult              Tag = 0x0420
	TagSetDPF                 Tag = 0x0421
	TagMSAvailabilityStatus   Tag = 0x0422
	TagNetworkErrorCode       Tag = 0x0423
	TagMessagePayload         Tag = 0x0424
	TagDeliveryFailureReason  Tag = 0x0425
	TagMoreMessagesToSend     Tag = 0x0426
	TagMessageState           Tag = 0x0427
	TagCongestionState        Tag = 0x0428 // 5.0: 0 idle, 80-89 best, 100 congested
	TagUSSDServiceOp          Tag = 0x0501
	TagDisplayTime            Tag = 0x1201
	TagSMSSignal              Tag = 0x1203
	TagMSValidity             Tag = 0x1204
	TagAlertOnMessageDelivery Tag = 0x130C
	TagITSReplyType           Tag = 0x1380
	TagITSSessionInfo         Tag = 0x1383
)

// size returns the only legal number of octets of a value, or -1 if it varies.
func (t Tag) size() int {
	switch t {
	case TagDestAddrSubunit, TagDestNetworkType, TagDestBearerType, TagSourceAddrSubunit,
		TagSourceNetworkType, TagSourceBearerType, TagSourceTelematicsID, TagPayloadType,
		TagMSMsgWaitFacilities, TagPrivacyIndicator, TagUserResponseCode, TagLanguageIndicator,
		TagSARTotalSegments, TagSARSegmentSeqnum, TagSCInterfaceVersion, TagCallbackNumPresInd,
		TagNumberOfMessages, TagDPFResult, TagSetDPF, TagMSAvailabilityStatus,
		TagDeliveryFailureReason, TagMoreMessagesToSend, TagMessageState, TagCongestionState,
		TagUSSDServiceOp, TagDisplayTime, TagITSReplyType:
		return 1
	case TagDestTelematicsID, TagUserMessageReference, TagSourcePort, TagDestinationPort,
		TagSARMsgRefNum, TagSMSSignal, TagITSSessionInfo:
		return 2
	case TagNetworkErrorCode:
		return 3
	case TagQOSTimeToLive:
		return 4
	}
	return -1
}

// A TLV is one optional parameter.
type TLV struct {
	Tag   Tag
	Value []byte
}

// TLVs keeps optional parameters in the order of the wire, with unknown,
// empty and repeated ones.
type TLVs []TLV

// Get returns the value of the first TLV with this tag; it is not nil when ok.
func (l TLVs) Get(t Tag) (value []byte, ok bool) {
	for i := range l {
		if l[i].Tag == t {
			if l[i].Value == nil {
				return []byte{}, true
			}
			return l[i].Value, true
		}
	}
	return nil, false
}

// Uint returns the value of a TLV of 1, 2 or 4 octets as a number. It is not
// ok when the TLV is absent or has another size.
func (l TLVs) Uint(t Tag) (n uint32, ok bool) {
	v, _ := l.Get(t)
	switch len(v) {
	case 1:
		return uint32(v[0]), true
	case 2:
		return uint32(binary.BigEndian.Uint16(v)), true
	case 4:
		return binary.BigEndian.Uint32(v), true
	}
	return 0, false
}

// Text returns the value of a TLV without the NUL that ends a C-octet string.
func (l TLVs) Text(t Tag) (text string, ok bool) {
	v, ok := l.Get(t)
	if i := bytes.IndexByte(v, 0); i >= 0 {
		v = v[:i]
	}
	return string(v), ok
}

// Uint8 makes a TLV of one octet.
func (t Tag) Uint8(v uint8) TLV { return TLV{t, []byte{v}} }

// Uint16 makes a TLV of two octets.
func (t Tag) Uint16(v uint16) TLV { return TLV{t, binary.BigEndian.AppendUint16(nil, v)} }

// Uint32 makes a TLV of four octets.
func (t Tag) Uint32(v uint32) TLV { return TLV{t, binary.BigEndian.AppendUint32(nil, v)} }

// CString makes a TLV of a text with its closing NUL.
func (t Tag) CString(v string) TLV { return TLV{t, append([]byte(v), 0)} }

// Octets makes a TLV that keeps v as its value.
func (t Tag) Octets(v []byte) TLV { return TLV{t, v} }

// String returns the tag in hex.
func (t Tag) String() string { return fmt.Sprintf("0x%04x", uint16(t)) }

func (l TLVs) append(dst []byte) ([]byte, error) {
	for i := range l {
		if len(l[i].Value) > 0xFFFF {
			return dst, &EncodeError{Field: "tlv " + l[i].Tag.String(), Reason: "longer than 65535 octets"}
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(l[i].Tag))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(l[i].Value)))
		dst = append(dst, l[i].Value...)
	}
	return dst, nil
}

// tlvs reads the rest of the PDU. A lenient reader keeps what came before a
// broken TLV and takes any value size: it is used where refusing would lose a
// message or a receipt that the peer will not offer in another form.
func (c *cursor) tlvs(lenient bool) TLVs {
	if c.err != nil {
		return nil
	}
	b := c.b[c.i:]
	count := 0
	for rest := b; len(rest) > 0; count++ {
		if len(rest) < 4 {
			if !lenient {
				c.fail("tlv", StatusInvalidTLVStream, "cut inside a tag or length")
			}
			break
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		tag := Tag(binary.BigEndian.Uint16(rest))
		if len(rest) < 4+n {
			if !lenient {
				c.fail("tlv "+tag.String(), StatusInvalidTLVStream, "longer than the PDU")
			}
			break
		}
		if want := tag.size(); !lenient && want >= 0 && want != n {
			c.fail("tlv "+tag.String(), StatusInvalidTLVLength, "value of the wrong size")
			break
		}
		rest = rest[4+n:]
	}
	if c.err != nil || count == 0 {
		return nil
	}
	l := make(TLVs, count)
	for i := range l {
		n := int(binary.BigEndian.Uint16(b[2:]))
		l[i] = TLV{Tag(binary.BigEndian.Uint16(b)), b[4 : 4+n : 4+n]}
		b = b[4+n:]
	}
	c.i = len(c.b)
	return l
}
