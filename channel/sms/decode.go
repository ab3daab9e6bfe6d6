package sms

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// A piece is one deliver_sm taken apart. Its octets are part of the PDU.
type piece struct {
	coding   uint8
	octets   []byte // behind the user data header
	alphabet gsm.Alphabet
	header   []byte // as it came, with its length
	broken   bool   // the header is longer than the message: it may be part of the text
	ports    bool   // for a program on the phone or ours: never text
	port     uint16 // of ports: the destination

	ref           uint16
	total, number uint8 // total ≤ 1: not a part
}

// dissect finds the text of a deliver_sm and whether it is part of another.
func dissect(d *smpp.DeliverSM) piece {
	p := piece{coding: d.DataCoding, octets: d.Text()}
	if d.ESMClass&smpp.ESMUDHI != 0 {
		header, rest, err := gsm.ParseHeader(p.octets)
		if p.broken = err != nil; !p.broken {
			p.header = p.octets[:len(p.octets)-len(rest)]
			p.octets, p.alphabet = rest, header.Alphabet()
			p.port, _, p.ports = header.Ports()
			if part, ok := header.Concat(); ok {
				p.ref, p.total, p.number = part.Reference, part.Total, part.Number
				return p
			}
		}
	}
	if port, ok := d.TLVs.Uint(smpp.TagDestinationPort); ok && !p.ports {
		p.port, p.ports = uint16(port), true
	}
	total, _ := d.TLVs.Uint(smpp.TagSARTotalSegments)
	number, _ := d.TLVs.Uint(smpp.TagSARSegmentSeqnum)
	ref, ok := d.TLVs.Uint(smpp.TagSARMsgRefNum)
	if ok && total > 1 && total < 256 && number > 0 && number <= total {
		p.ref, p.total, p.number = uint16(ref), uint8(total), uint8(number)
	}
	return p
}

// decode reads octets by their coding; ok is false for what is no text. NULs,
// which some phones send, are left out: stores do not take them.
func (s *settings) decode(p *piece) (text string, ok bool) {
	if p.ports || p.broken && !readable(p.octets) {
		return "", false
	}
	coding := p.coding
	if coding == 0 && s.Alphabet == "latin1" {
		coding = 3
	}
	text, err := gsm.DecodeText(coding, p.octets, p.alphabet)
	return strings.ReplaceAll(text, "\x00", ""), err == nil
}

// readable reports whether octets behind a header that is none are plainly a
// text whose header flag is wrong: a header begins with control octets.
func readable(octets []byte) bool {
	for _, o := range octets {
		if o < ' ' && o != '\n' && o != '\r' {
			return false
		}
	}
	return true
}

// messageClass gives the class that a message asks for, by data_coding (3GPP
// 23.038 section 4) or the display as its place (SMPP 3.4 section 5.3.2.1): 0 is
// a flash text, which a phone shows and does not keep.
func messageClass(d *smpp.DeliverSM) (class uint8, ok bool) {
	if c := d.DataCoding; c&0xD0 == 0x10 || c&0xF0 == 0xF0 {
		return c & 3, true
	}
	unit, ok := d.TLVs.Uint(smpp.TagDestAddrSubunit)
	return 0, ok && unit == 1
}

// The WAP port for pushes (WAP-235), and how a multimedia message is announced
// in one: content type application/vnd.wap.mms-message, short 0x3E or in
// letters (OMA-TS-MMS_ENC).
const (
	portPush = 2948
	typeMMS  = 0xBE
	nameMMS  = "application/vnd.wap.mms-message"
)

// whatFor says what a message for a program is, as far as its port tells.
func whatFor(p *piece) string {
	switch {
	case !p.ports:
		return ""
	case p.port != portPush:
		return "application"
	}
	// A push: transaction id, kind, length of the headers, content type.
	if o := p.octets; len(o) > 3 && (o[3] == typeMMS || bytes.Contains(o, []byte(nameMMS))) {
		return "mms_notification"
	}
	return "wap_push"
}

// raw is Inbound.Raw of what has no place in a text.
type raw struct {
	Coding  *uint8 `json:"data_coding,omitempty"`
	Octets  string `json:"octets,omitempty"`        // hex, of all parts, without headers
	Header  string `json:"header,omitempty"`        // hex, of the first part
	Kind    string `json:"kind,omitempty"`          // of what is no text: see [whatFor]; binary
	Port    uint16 `json:"port,omitempty"`          // it is for
	Class   *uint8 `json:"message_class,omitempty"` // 0 = flash
	Parts   int    `json:"parts,omitempty"`         // of the whole
	Missing []int  `json:"missing_parts,omitempty"` // that never came
	Late    bool   `json:"late_parts,omitempty"`    // some of it was told before, with gaps
}

// gap stands where a part never came.
const gap = " […] "

// inbound makes the event of one text from its pieces in order; a piece without
// number marks one that is missing.
func (c *Connector) inbound(d *smpp.DeliverSM, id string, pieces []piece, late bool) *message.Inbound {
	in := &message.Inbound{
		ID: id, From: c.s.person(d.Source), To: c.s.own(d.Destination),
		At: c.now(), Type: message.InText,
	}
	var note raw
	if len(pieces) > 1 {
		for i := range pieces {
			if pieces[i].number == 0 {
				note.Missing = append(note.Missing, i+1)
				note.Parts = len(pieces)
			}
		}
	}
	if late {
		note.Late, note.Parts = true, len(pieces)
	}
	text, ok := c.s.join(pieces, len(note.Missing) == 0)
	if !ok {
		in.Type = message.InUnsupported
		note.Coding = &d.DataCoding
		var all []byte
		for i := range pieces {
			p := &pieces[i]
			all = append(all, p.octets...)
			if note.Kind == "" {
				note.Kind, note.Port, note.Header = whatFor(p), p.port, hex.EncodeToString(p.header)
			}
		}
		if note.Kind == "" {
			note.Kind = "binary"
		}
		note.Octets = hex.EncodeToString(all)
	}
	if class, ok := messageClass(d); ok {
		note.Class = &class
	}
	in.Content.Text = text
	if note.Coding != nil || note.Class != nil || note.Parts > 0 {
		in.Raw, _ = json.Marshal(&note)
	}
	return in
}

// join reads pieces as one text. When all are there and alike their octets are
// joined first: phones do tear characters between parts.
func (s *settings) join(pieces []piece, whole bool) (string, bool) {
	alike := whole
	for i := range pieces {
		alike = alike && pieces[i].coding == pieces[0].coding && pieces[i].alphabet == pieces[0].alphabet && pieces[i].ports == pieces[0].ports
	}
	if alike {
		one := pieces[0]
		if len(pieces) > 1 {
			one.octets = nil
			for i := range pieces {
				one.octets = append(one.octets, pieces[i].octets...)
			}
		}
		return s.decode(&one)
	}
	var b strings.Builder
	for i := range pieces {
		if len(pieces) > 1 && pieces[i].number == 0 {
			b.WriteString(gap)
			continue
		}
		text, ok := s.decode(&pieces[i])
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}
