package postgres

import (
	"encoding/binary"
	"errors"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Events and deliveries that are done are kept many to a row: a row of its own
// and its entries in the indexes cost ten times what they hold.

// packBytes is about how large a pack grows: two fit a page of the server, and
// none leaves its row for a side table (see toast_tuple_target in the schema).
const packBytes = 3800

// seqStep is how far the numbers of two packs of events lie apart: event i of a
// pack has the number of the pack plus i. The last one takes the highest number
// of the pack, so that a cursor after it stands after the whole pack.
const (
	seqStep = 1 << 16
	seqLast = seqStep - 1
)

// base gives the number of the pack that an event is in.
func base(seq int64) int64 { return seq &^ seqLast }

var errPack = errors.New("postgres: a pack of events or deliveries cannot be read")

// Parts of a packed event that may be missing.
const (
	hasMessage = 1 << iota
	hasContact
	hasData
)

// appendEvent packs all of an event but its workspace and its sealed half.
func appendEvent(b []byte, e *store.Event) []byte {
	flags := byte(0)
	if !e.Message.IsZero() {
		flags |= hasMessage
	}
	if !e.Contact.IsZero() {
		flags |= hasContact
	}
	if e.Data != nil {
		flags |= hasData
	}
	b = append(append(b, flags), e.ID[:]...)
	if flags&hasMessage != 0 {
		b = append(b, e.Message[:]...)
	}
	if flags&hasContact != 0 {
		b = append(b, e.Contact[:]...)
	}
	b = binary.AppendVarint(b, int64(e.Version))
	b = binary.AppendVarint(b, micros(e.At))
	b = appendText(b, e.Type)
	if flags&hasData != 0 {
		b = appendText(b, e.Data)
	}
	return b
}

func appendText[T ~string | ~[]byte](b []byte, t T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(t))), t...)
}

// A reading takes values off a pack; bad is set once it was cut or damaged.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reading) id(into *[16]byte) { copy(into[:], r.take(16)) }

func (r *reading) int() int64 {
	v, n := binary.Varint(r.b)
	r.take(uint64(max(n, 0)))
	r.bad = r.bad || n <= 0
	return v
}

func (r *reading) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.take(uint64(max(n, 0)))
	r.bad = r.bad || n <= 0
	return v
}

func (r *reading) text() []byte { return r.take(r.uint()) }

// kinds holds the names of events, so that each is one string in memory.
var kinds = newNames()

// readEvent is the reverse of appendEvent; Data shares the pack's memory.
func (r *reading) readEvent(e *store.Event) {
	flags := byte(0)
	if f := r.take(1); f != nil {
		flags = f[0]
	}
	r.id((*[16]byte)(&e.ID))
	if flags&hasMessage != 0 {
		r.id((*[16]byte)(&e.Message))
	}
	if flags&hasContact != 0 {
		r.id((*[16]byte)(&e.Contact))
	}
	e.Version, e.At = int32(r.int()), instant(r.int())
	e.Type = kinds.of(r.text())
	if flags&hasData != 0 {
		if e.Data = r.text(); e.Data == nil {
			e.Data = []byte{}
		}
	}
}

// unpack reads the events of one row of the log.
func unpack(at place, ws message.WorkspaceID, n int32, data, sealed []byte) ([]*store.LogEvent, error) {
	r := reading{b: data}
	out := make([]*store.LogEvent, n)
	all := make([]store.LogEvent, n)
	for i := range all {
		e := &all[i]
		e.Workspace = ws
		r.readEvent(&e.Event)
		p := place{at.epoch, at.xid, at.seq + int64(i)}
		if i == len(all)-1 {
			p.seq = at.seq + seqLast
		}
		e.Cursor = p.cursor()
		out[i] = e
	}
	if r.bad || len(r.b) > 0 || n < 1 {
		return nil, errPack
	}
	all[0].Sealed = sealed
	return out, nil
}

// A told is a delivery that is done, as packed.
type told struct {
	id               message.DeliveryID
	at               place // of its event
	eventAt          int64
	tries, status    int
	next, made, last int64
	problem          string
}

func (t *told) append(b []byte) []byte {
	b = append(b, t.id[:]...)
	b = binary.AppendUvarint(b, uint64(t.at.epoch))
	b = binary.AppendUvarint(b, t.at.xid)
	b = binary.AppendUvarint(b, uint64(t.at.seq))
	b = binary.AppendVarint(b, t.eventAt)
	b = binary.AppendUvarint(b, uint64(t.tries))
	b = binary.AppendUvarint(b, uint64(t.status))
	b = binary.AppendVarint(b, t.made)
	b = binary.AppendVarint(b, t.last-t.made)
	b = binary.AppendVarint(b, t.next-t.made)
	return appendText(b, t.problem)
}

// readTold unpacks deliveries.
func readTold(data []byte) ([]told, error) {
	r := reading{b: data}
	var out []told
	for len(r.b) > 0 {
		var t told
		r.id((*[16]byte)(&t.id))
		t.at = place{int64(r.uint()), r.uint(), int64(r.uint())}
		t.eventAt, t.tries, t.status = r.int(), int(r.uint()), int(r.uint())
		t.made = r.int()
		t.last = t.made + r.int()
		t.next = t.made + r.int()
		t.problem = string(r.text())
		if r.bad {
			return nil, errPack
		}
		out = append(out, t)
	}
	return out, nil
}
