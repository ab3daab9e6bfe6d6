package engine

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

// errBare is returned when content is asked for of a record that came out of the
// cold: its turn is taken again with what is stored.
var errBare = errors.New("the content is not in memory")

// A cold store holds records that wait for a receipt and did not fit in a shard's
// cache, packed and without what only sending needs: some 300 bytes each. When
// it is full, those that came first leave.
type cold struct {
	most    int
	records map[message.MessageID]packedRecord
	ring    []message.MessageID
	next    int
}

type packedRecord struct {
	data []byte
	slot int // in the ring
}

func newCold(most int) cold {
	return cold{most: most, records: make(map[message.MessageID]packedRecord)}
}

// put packs a record. One that waits in a lane is held there.
func (c *cold) put(r *record) {
	if flow.Ready(r.d) || c.most <= 0 {
		return
	}
	slot := len(c.ring)
	if slot < c.most {
		c.ring = append(c.ring, r.d.ID)
	} else {
		slot = c.next
		c.next = (c.next + 1) % c.most
		if old := c.ring[slot]; c.records[old].slot == slot {
			delete(c.records, old)
		}
		c.ring[slot] = r.d.ID
	}
	c.records[r.d.ID] = packedRecord{r.pack(), slot}
}

// take gives a record back, or nil.
func (c *cold) take(id message.MessageID) *record {
	p, ok := c.records[id]
	if !ok {
		return nil
	}
	delete(c.records, id)
	return unpackRecord(id, p.data)
}

func (c *cold) drop(id message.MessageID) { delete(c.records, id) }

// pack gives a record as bytes: workspace, contact and identity of 16, stored
// version, state, due in Unix microseconds, length of the track, track and, where
// events carry metadata, the sealed content.
func (r *record) pack() []byte {
	b := make([]byte, 0, 512)
	b = append(b, r.ws[:]...)
	b = append(b, r.d.Contact[:]...)
	b = append(b, r.identity[:]...)
	b = binary.AppendVarint(b, int64(r.base))
	b = append(b, byte(r.d.State))
	var due int64
	if !r.d.Due.IsZero() {
		due = r.d.Due.UnixMicro()
	}
	b = binary.AppendVarint(b, due)
	track := r.d.AppendTrack(make([]byte, 0, 400))
	b = binary.AppendVarint(b, int64(len(track)))
	b = append(b, track...)
	if r.d.Labelled {
		b = append(b, r.sealed...)
	}
	return append(make([]byte, 0, len(b)), b...)
}

// unpackRecord gives what pack has packed; nil is for bytes that it has not.
func unpackRecord(id message.MessageID, b []byte) *record {
	r := &record{d: &message.Delivery{ID: id}}
	for _, to := range [...]*[16]byte{(*[16]byte)(&r.ws), (*[16]byte)(&r.d.Contact), &r.identity} {
		b = b[copy(to[:], b):]
	}
	number := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	r.d.Workspace, r.base = r.ws, int32(number())
	r.d.Version = r.base
	r.d.State, b = message.State(b[0]), b[1:]
	if due := number(); due != 0 {
		r.d.Due = time.UnixMicro(due).UTC()
	}
	n := number()
	if r.d.ReadTrack(b[:n]) != nil {
		return nil // it is read from the store
	}
	if b = b[n:]; r.d.Labelled {
		r.sealed = b
	} else {
		r.bare = true
	}
	return r
}
