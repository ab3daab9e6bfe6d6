// Package fault says how a pretend provider misbehaves: the kinds of fault,
// the magic recipients that order one by their number, and the Book of orders
// placed by a test.
//
// It decides nothing about a wire format; each provider plays a Fault in its
// own way. Start with Kind and Magic.
package fault

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Kind is one way to misbehave, the same word on every channel.
type Kind string

// The kinds. "Accepted" means that the message goes to the handset.
const (
	// None: behave well.
	None Kind = ""
	// Reject: refuse in the answer, with Code (a WhatsApp error code or an
	// SMPP command_status).
	Reject Kind = "reject"
	// ErrorBefore: a server error instead of accepting (WhatsApp 500 code
	// 131000, SMPP 0x08).
	ErrorBefore Kind = "error_before"
	// ErrorAfter: accepted, yet answered with a server error.
	ErrorAfter Kind = "error_after"
	// Hang: accepted, never answered.
	Hang Kind = "hang"
	// Silent: not accepted, never answered.
	Silent Kind = "silent"
	// Cut: accepted, then the connection is cut without an answer.
	Cut Kind = "cut"
	// Drop: not accepted, the connection is cut without an answer.
	Drop Kind = "drop"
	// Garbage: accepted, answered 200 with an empty body (WhatsApp), or with a
	// generic_nack (SMPP).
	Garbage Kind = "garbage"
	// Duplicate: every receipt comes twice.
	Duplicate Kind = "duplicate"
	// Reorder: receipts come backwards: read, delivered, sent.
	Reorder Kind = "reorder"
	// ReceiptFirst: the receipts come before the answer.
	ReceiptFirst Kind = "receipt_first"
	// NoReceipt: delivered to the handset, no receipt ever.
	NoReceipt Kind = "no_receipt"
	// Late: delivered After later than otherwise.
	Late Kind = "late"
	// Fail: accepted, then a failure receipt with Code (a WhatsApp error code
	// or an SMPP message_state).
	Fail Kind = "fail"
	// SentThenFail: as Fail, after a "sent" receipt.
	SentThenFail Kind = "sent_then_fail"
)

// Kinds returns every kind but None.
func Kinds() []Kind {
	return []Kind{
		Reject, ErrorBefore, ErrorAfter, Hang, Silent, Cut, Drop, Garbage, Duplicate, Reorder,
		ReceiptFirst, NoReceipt, Late, Fail, SentThenFail,
	}
}

// A Fault is a kind with what it needs. The zero Fault is good behaviour.
type Fault struct {
	Kind  Kind
	Code  int           // for Reject, Fail and SentThenFail
	After time.Duration // for Late
}

// A Channel names the provider a fault belongs to.
type Channel string

// The channels of the sandbox.
const (
	WhatsApp Channel = "whatsapp"
	SMS      Channel = "sms"
	// WhatsAppRead are the read receipts a brand gives; they have the faults of
	// WhatsApp, counted by themselves.
	WhatsAppRead Channel = "whatsapp_read"
)

// An Order asks for a fault for the next messages to a number.
type Order struct {
	To      string  // digits, or "*" for anybody
	Channel Channel // empty for any
	Fault   Fault
	Times   int // how many messages; 0 means until the book is cleared
}

// A Book holds the orders a test placed and remembers which magic recipients
// have misbehaved already. The zero Book is ready; it may be used from many
// goroutines.
type Book struct {
	orders atomic.Int64 // lets Take stay without a lock when there are none

	mu    sync.Mutex
	list  []Order
	count map[string]uint64
}

// Place adds an order. Orders for one number are used up in turn.
func (b *Book) Place(o Order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, o)
	b.orders.Store(int64(len(b.list)))
}

// Orders returns the orders that are not used up.
func (b *Book) Orders() []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Order{}, b.list...)
}

// Clear forgets every order and every count of a magic recipient.
func (b *Book) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list, b.count = nil, nil
	b.orders.Store(0)
}

// Take returns the fault for one message to a number (digits only) on a
// channel, and uses it up: first by order, then by magic number.
func (b *Book) Take(ch Channel, to string) Fault {
	if b.orders.Load() > 0 {
		if f, ok := b.ordered(ch, to); ok {
			return f
		}
	}
	m, ok := Lookup(to)
	if !ok {
		return Fault{}
	}
	f := m.fault(ch)
	if f.Kind == Late && f.After == 0 {
		f.After = seconds(to)
	}
	if m.Once && f.Kind != None && !b.odd(ch, to) {
		return Fault{}
	}
	return f
}

func (b *Book) ordered(ch Channel, to string) (Fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.list {
		o := &b.list[i]
		if o.To != to && o.To != "*" || o.Channel != "" && o.Channel != ch {
			continue
		}
		f := o.Fault
		switch o.Times {
		case 0:
		case 1:
			b.list = append(b.list[:i], b.list[i+1:]...)
			b.orders.Store(int64(len(b.list)))
		default:
			o.Times--
		}
		return f, true
	}
	return Fault{}, false
}

// odd counts the messages to a number and says whether this is the first,
// third, fifth ...
func (b *Book) odd(ch Channel, to string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == nil {
		b.count = map[string]uint64{}
	}
	key := string(ch) + to
	b.count[key]++
	return b.count[key]%2 == 1
}
