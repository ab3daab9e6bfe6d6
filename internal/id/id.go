// Package id makes the ids of package message: 48 bits of Unix milliseconds
// and random bits, strictly increasing within one Maker, so that the order of
// ids is the order of acceptance on a node.
//
// It holds no clock: the time is an argument.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
)

// A Maker makes increasing ids. It is safe for concurrent use.
type Maker struct {
	mu     sync.Mutex
	ms     int64
	hi     uint16 // the 16 bits after the milliseconds
	lo     uint64
	read   func([]byte) (int, error)
	buffer [640]byte
	unused []byte
}

// NewMaker returns a Maker fed by the system's random source.
func NewMaker() *Maker { return &Maker{read: rand.Read} }

// NewSeeded returns a Maker fed by read, for simulations that must repeat.
func NewSeeded(read func([]byte) (int, error)) *Maker { return &Maker{read: read} }

func (m *Maker) next(now time.Time) [16]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	ms := now.UnixMilli()
	if ms > m.ms {
		if len(m.unused) < 10 {
			// crypto/rand never fails on the platforms Go supports.
			_, _ = m.read(m.buffer[:])
			m.unused = m.buffer[:]
		}
		m.ms = ms
		m.hi = binary.BigEndian.Uint16(m.unused)
		m.lo = binary.BigEndian.Uint64(m.unused[2:])
		m.unused = m.unused[10:]
	} else {
		// Same millisecond, or a clock that went back: stay in order. The step
		// is random so that the next id cannot be guessed from this one.
		if len(m.unused) < 4 {
			_, _ = m.read(m.buffer[:])
			m.unused = m.buffer[:]
		}
		step := uint64(binary.BigEndian.Uint32(m.unused)) + 1
		m.unused = m.unused[4:]
		before := m.lo
		m.lo += step
		if m.lo < before {
			if m.hi++; m.hi == 0 {
				m.ms++
			}
		}
	}
	var out [16]byte
	binary.BigEndian.PutUint64(out[:8], uint64(m.ms)<<16|uint64(m.hi))
	binary.BigEndian.PutUint64(out[8:], m.lo)
	return out
}

// New makes the next id of kind K.
func New[K message.Kind](m *Maker, now time.Time) message.ID[K] {
	return message.ID[K](m.next(now))
}

// Message makes the next message id.
func (m *Maker) Message(now time.Time) message.MessageID { return m.next(now) }

// Contact makes the next contact id.
func (m *Maker) Contact(now time.Time) message.ContactID { return m.next(now) }

// Next makes 16 bytes for an id of any kind: message.SenderID(m.Next(now)).
func (m *Maker) Next(now time.Time) [16]byte { return m.next(now) }

// Time gives the instant an id was made, to the millisecond.
func Time[K message.Kind](v message.ID[K]) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(v[:8]) >> 16)).UTC()
}
