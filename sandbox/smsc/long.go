package smsc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/smpp"
)

// assembly puts the parts of long messages together, as a phone does.
type assembly struct {
	mu    sync.Mutex
	open  map[longKey][]piece
	order []longKey
}

// piece is one part that came.
type piece struct {
	here   bool
	coding uint8
	octets []byte
}

type longKey struct {
	from, to   string
	ref, total int
}

// maxOpen is how many unfinished long messages are remembered.
const maxOpen = 10_000

func (a *assembly) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.order = nil, nil
}

// add takes an arrived part and shows the whole text when it is complete.
func (a *assembly) add(m *message, at time.Time) {
	key := longKey{m.submit.Source.Addr, m.to, m.head.ref, m.head.total}
	a.mu.Lock()
	if a.open == nil {
		a.open = map[longKey][]piece{}
	}
	parts, ok := a.open[key]
	if !ok {
		if len(a.order) >= maxOpen {
			delete(a.open, a.order[0])
			a.order = a.order[1:]
		}
		parts = make([]piece, m.head.total)
		a.open[key] = parts
		a.order = append(a.order, key)
	}
	parts[m.head.number-1] = piece{true, m.submit.DataCoding, slices.Clone(m.octets)} // the rest of m may go
	complete := !slices.ContainsFunc(parts, func(p piece) bool { return !p.here })
	if complete {
		delete(a.open, key)
		a.order = slices.DeleteFunc(a.order, func(k longKey) bool { return k == key })
	}
	a.mu.Unlock()
	if complete {
		it := m.d.Item
		it.Text, it.At = joined(parts), at
		m.s.parts.Fleet.Show(m.to, it)
	}
}

// joined reads the parts of one text. Those of one coding are joined octet by
// octet, as phones do: some senders tear a character between two parts.
func joined(parts []piece) string {
	var text strings.Builder
	var octets []byte
	for i, p := range parts {
		octets = append(octets, p.octets...)
		if i+1 == len(parts) || parts[i+1].coding != p.coding {
			text.WriteString(decodeText(p.coding, octets))
			octets = octets[:0]
		}
	}
	return text.String()
}

// Inbound is a message a person writes.
type Inbound struct {
	From string // the person's number, digits
	To   string // the short code or number; empty means who wrote last
	Text string
	At   time.Time

	// Octets go as they are, in one part of this coding, instead of Text: what a
	// phone sends that is no text. Header says that they begin with a header.
	Octets []byte
	Coding uint8
	Header bool
}

var (
	// ErrOff says that the phone is switched off.
	ErrOff = errors.New("the phone is off")
	// ErrInbound says that an Inbound lacks something.
	ErrInbound = errors.New("unusable inbound message")
)

// Write makes a person write. The text goes to the customer that owns the
// address, in parts when it is long, and waits until a bind takes it.
func (s *Server) Write(in Inbound) (id string, err error) {
	from := strings.TrimPrefix(in.From, "+")
	if from == "" || strings.Trim(from, "0123456789") != "" {
		return "", fmt.Errorf("%w: from is not a number", ErrInbound)
	}
	if !s.parts.Fleet.Get(from).Phone {
		return "", ErrOff
	}
	if in.To == "" {
		for _, it := range s.parts.Fleet.Inbox(from) {
			if it.Channel == fault.SMS && !it.Outgoing {
				in.To = it.From
			}
		}
	}
	if in.To == "" {
		return "", fmt.Errorf("%w: nobody to write to", ErrInbound)
	}
	now := s.parts.Clock.Now()
	if in.At.IsZero() {
		in.At = now
	}
	number := s.nextID.Add(1)
	id = s.spell(number, false)
	coding, parts := encodeParts(in.Text, byte(number))
	if in.Octets != nil {
		coding, parts = in.Coding, [][]byte{in.Octets}
	}
	if len(parts) > 255 {
		return "", fmt.Errorf("%w: the text is too long", ErrInbound)
	}
	to := strings.TrimPrefix(in.To, "+")
	s.parts.Fleet.Wrote(from, to, handset.Item{ID: id, Channel: fault.SMS, From: to, Type: "text", Text: in.Text, At: in.At})
	s.parts.Journal.Add(journal.Entry{
		Time: now, Channel: string(fault.SMS), Direction: "mo", ID: id, From: from, To: to,
		Type: "text", Text: in.Text, Parts: len(parts), Fate: "sent",
	})
	box := s.owner(to).outbox
	for _, part := range parts {
		d := &smpp.DeliverSM{Source: smpp.Address{TON: 1, NPI: 1, Addr: from}, Destination: address(to), DataCoding: coding, ShortMessage: part}
		if len(parts) > 1 || in.Header {
			d.ESMClass = smpp.ESMUDHI
		}
		s.count.inbound.Add(1)
		box.add(&out{body: d}, false)
	}
	return id, nil
}

// address gives a business address its kind: a name, a short code or a number.
func address(to string) smpp.Address {
	switch {
	case strings.Trim(to, "0123456789") != "":
		return smpp.Address{TON: 5, Addr: to}
	case len(to) <= 6:
		return smpp.Address{TON: 3, Addr: to}
	}
	return smpp.Address{TON: 1, NPI: 1, Addr: to}
}
