package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/parley-messaging/parley/store"
)

// A run is some events of one workspace that one commit logged, packed into
// one row: events come by the dozen and are read in order, so that a row and an
// index entry each would be most of their cost. The personal halves stand
// apart, where they can be erased.
type run struct {
	first  int64 // number the row stands under, at most that of the first event
	events []store.Event
	seqs   []int64 // their numbers, rising
	sealed []bool  // which have a personal half
}

// runMost is how many numbers a run spans at most: a reader steps back by it
// to find the run that its place lies in.
const runMost = 128

const (
	withMessage = 1 << iota
	withContact
	withSealed
	withData
	asBefore // message and contact are those of the event before
	dataOf   // data is that of an earlier event, whose place in the run follows
)

var errRun = errors.New("a run of events is not readable")

// A runWriter packs events. What the events of one commit say of their messages
// is mostly the same, word for word: it is written once.
type runWriter struct {
	b    []byte
	n    int
	last store.Event
	said [8]saying // the latest written in full
	next int       // of said
}

type saying struct {
	data []byte
	at   int // which event of the run said it
}

// add packs one event. kind is the number of its type, since the time that the
// row's times are counted from.
func (w *runWriter) add(e *store.Event, delta, kind, since int64) {
	flags, of := byte(0), 0
	switch {
	case w.n > 0 && e.Message == w.last.Message && e.Contact == w.last.Contact:
		flags |= asBefore
	default:
		if !e.Message.IsZero() {
			flags |= withMessage
		}
		if !e.Contact.IsZero() {
			flags |= withContact
		}
	}
	if e.Sealed != nil {
		flags |= withSealed
	}
	if e.Data != nil {
		flags |= withData
		if at, ok := w.saidBefore(e.Data); ok {
			flags, of = flags&^withData|dataOf, at
		}
	}
	b := append(binary.AppendUvarint(w.b, uint64(delta)), flags)
	b = append(b, e.ID[:]...)
	b = binary.AppendUvarint(b, uint64(kind))
	if flags&withMessage != 0 {
		b = append(b, e.Message[:]...)
	}
	if flags&withContact != 0 {
		b = append(b, e.Contact[:]...)
	}
	b = binary.AppendVarint(b, int64(e.Version))
	b = binary.AppendVarint(b, micros(e.At)-since)
	switch {
	case flags&withData != 0:
		b = append(binary.AppendUvarint(b, uint64(len(e.Data))), e.Data...)
	case flags&dataOf != 0:
		b = binary.AppendUvarint(b, uint64(of))
	}
	w.b, w.last = b, *e
	w.n++
}

// saidBefore gives the event that said the same; else it keeps what is said now.
func (w *runWriter) saidBefore(data []byte) (at int, ok bool) {
	for i := range w.said {
		if s := &w.said[i]; s.data != nil && bytes.Equal(s.data, data) {
			return s.at, true
		}
	}
	w.said[w.next] = saying{data, w.n}
	w.next = (w.next + 1) % len(w.said)
	return 0, false
}

// A runReader unpacks a run of anything; bad sticks.
type runReader struct {
	b   []byte
	bad bool
}

func (r *runReader) uvarint() int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *runReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take gives the next n bytes, of which the caller keeps nothing that the run
// does not keep.
func (r *runReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *runReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *runReader) id() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

// unpack reads a run. word gives the type behind a number. Data points into b.
func unpack(b []byte, first, since int64, word func(int64) string) (*run, error) {
	out := &run{first: first}
	r := runReader{b: b}
	for len(r.b) > 0 {
		var e store.Event
		seq := first + r.uvarint()
		flags := r.take(1)
		if r.bad {
			break
		}
		e.ID = r.id()
		e.Type = word(r.uvarint())
		if flags[0]&asBefore != 0 {
			if len(out.events) == 0 {
				return nil, errRun
			}
			before := &out.events[len(out.events)-1]
			e.Message, e.Contact = before.Message, before.Contact
		}
		if flags[0]&withMessage != 0 {
			e.Message = r.id()
		}
		if flags[0]&withContact != 0 {
			e.Contact = r.id()
		}
		e.Version = int32(r.varint())
		e.At = fromMicros(since + r.varint())
		if flags[0]&withData != 0 {
			e.Data = r.take(r.uvarint())
		}
		if flags[0]&dataOf != 0 {
			of := r.uvarint()
			if of < 0 || of >= int64(len(out.events)) {
				return nil, errRun
			}
			e.Data = out.events[of].Data
		}
		if r.bad {
			break
		}
		out.events, out.seqs, out.sealed = append(out.events, e), append(out.seqs, seq), append(out.sealed, flags[0]&withSealed != 0)
	}
	if r.bad {
		return nil, errRun
	}
	return out, nil
}
