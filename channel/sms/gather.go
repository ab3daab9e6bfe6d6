package sms

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// A gatherer puts the parts of long inbound texts together, across all links.
//
// Parts wait in memory, so they are not answered while they wait ("hold"): what
// a crash takes away the SMSC still has and sends again. Once all parts are
// here the whole goes to the sink, and all parts are answered when it is
// stored. Parts wait for the others for parts_wait_seconds, which must be less
// than the SMSC waits for an answer; then what there is goes to the sink with
// gaps marked, and a part that comes later does so on its own. Nothing is lost
// either way.
//
// An SMSC that sends one message at a time never sends the second part before
// the first is answered. For it there is "answer": parts are answered at once
// and wait for minutes, at the price that a crash loses the parts in hand.
type gatherer struct {
	c    *Connector
	sink channel.Sink

	mu      sync.Mutex
	stopped bool
	held    map[gsm.PartKey]*held
	// Parts whose text is stored: an SMSC that missed one of our answers sends
	// that part again, alone.
	young, old map[[16]byte]struct{}
	turned     time.Time
}

// heldAtMost bounds how many incomplete texts wait.
const heldAtMost = 10_000

// held is one incomplete text.
type held struct {
	key      gsm.PartKey
	d        *smpp.DeliverSM // of any part: all have the same addresses
	pieces   []piece         // by number from 0
	marks    [][16]byte
	requests []*smpp.Request // to answer; none in "answer"
	have     int
	timer    *time.Timer
}

func newGatherer(c *Connector) *gatherer {
	return &gatherer{c: c, stopped: true, held: map[gsm.PartKey]*held{}, young: map[[16]byte]struct{}{}, old: map[[16]byte]struct{}{}, turned: c.now()}
}

func (g *gatherer) start(sink channel.Sink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sink, g.stopped = sink, false
}

// stop gives unanswered parts back to the SMSC, and hands on parts that were
// answered already as they are.
func (g *gatherer) stop() {
	g.mu.Lock()
	g.stopped = true
	left := g.held
	g.held = map[gsm.PartKey]*held{}
	g.mu.Unlock()
	for _, h := range left {
		h.timer.Stop()
		if len(h.requests) == 0 {
			g.deliver(h)
		}
		for _, r := range h.requests {
			_ = r.Refuse(smpp.StatusTemporaryAppError)
		}
	}
}

// add takes one part. It does not wait.
func (g *gatherer) add(r *smpp.Request, d *smpp.DeliverSM, p piece) {
	key := gsm.PartKey{Source: d.Source.Addr, Destination: d.Destination.Addr, Reference: p.ref, Total: p.total}
	mark := partMark(key, p)
	g.mu.Lock()
	h := g.held[key]
	var torn *held
	if h != nil && h.pieces[p.number-1].number != 0 && !bytes.Equal(h.pieces[p.number-1].octets, p.octets) {
		// Another text under the same reference: the older one is given up.
		torn, h = h, nil
		delete(g.held, key)
		torn.timer.Stop()
	}
	_, stored := g.young[mark]
	if !stored {
		_, stored = g.old[mark]
	}
	switch {
	case g.stopped, h == nil && !stored && len(g.held) >= heldAtMost:
		g.mu.Unlock()
		_ = r.Refuse(smpp.StatusTemporaryAppError)
	case h == nil && stored:
		g.mu.Unlock()
		_ = r.Accept("")
	default:
		complete := g.put(key, h, r, d, p, mark)
		g.mu.Unlock()
		if g.c.s.InboundParts == "answer" {
			_ = r.Accept("")
		}
		if complete != nil {
			g.deliver(complete)
		}
	}
	if torn != nil {
		g.deliver(torn)
	}
}

// put keeps one part and gives the text when it was the last. It wants g.mu.
func (g *gatherer) put(key gsm.PartKey, h *held, r *smpp.Request, d *smpp.DeliverSM, p piece, mark [16]byte) *held {
	if h == nil {
		h = &held{key: key, d: d, pieces: make([]piece, p.total)}
		h.timer = time.AfterFunc(g.c.s.partsWait, func() { g.expire(h) })
		g.held[key] = h
	}
	if g.c.s.InboundParts == "hold" {
		h.requests = append(h.requests, r)
	}
	if h.pieces[p.number-1].number == 0 {
		h.pieces[p.number-1] = p
		h.marks = append(h.marks, mark)
		h.have++
	}
	if h.have < len(h.pieces) {
		return nil
	}
	h.timer.Stop()
	delete(g.held, key)
	return h
}

// expire hands on what there is of a text whose parts did not all come.
func (g *gatherer) expire(h *held) {
	g.mu.Lock()
	waiting := g.held[h.key] == h
	if waiting {
		delete(g.held, h.key)
	}
	g.mu.Unlock()
	if waiting {
		g.c.log.Warn("parts of an inbound text are missing", "connector", g.c.id, "have", h.have, "of", len(h.pieces))
		g.deliver(h)
	}
}

// deliver hands a text to the sink and answers its parts when it is stored.
func (g *gatherer) deliver(h *held) {
	in := g.c.inbound(h.d, partsID(h), h.pieces)
	g.sink.Events([]message.Event{in}, func(err error) {
		if err == nil {
			g.remember(h.marks)
		} else if len(h.requests) == 0 {
			g.again(h)
		}
		for _, r := range h.requests {
			respond(r, err)
		}
	})
}

// again tries later to hand on a text whose parts are already answered.
func (g *gatherer) again(h *held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		g.c.log.Error("an inbound text could not be stored before the end", "connector", g.c.id)
		return
	}
	if g.held[h.key] == nil {
		g.held[h.key] = h
		h.timer = time.AfterFunc(g.c.s.partsWait, func() { g.expire(h) })
		return
	}
	h.timer = time.AfterFunc(g.c.s.partsWait, func() { g.deliver(h) })
}

func (g *gatherer) remember(marks [][16]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.c.now(); now.Sub(g.turned) >= twinAge || len(g.young) >= twinsAtMost {
		g.old, g.young, g.turned = g.young, map[[16]byte]struct{}{}, now
	}
	for _, m := range marks {
		g.young[m] = struct{}{}
	}
}

// partMark sums up one part.
func partMark(key gsm.PartKey, p piece) [16]byte {
	h := sha256.New()
	writeKey(h.Write, key)
	h.Write([]byte{p.number, p.coding})
	h.Write(p.octets)
	return [16]byte(h.Sum(nil))
}

// partsID is the same whenever the same parts come again.
func partsID(h *held) string {
	sum := sha256.New()
	writeKey(sum.Write, h.key)
	for i := range h.pieces {
		p := &h.pieces[i]
		sum.Write([]byte{p.number, p.coding})
		sum.Write(binary.AppendUvarint(nil, uint64(len(p.octets))))
		sum.Write(p.octets)
	}
	return "mo-" + hex.EncodeToString(sum.Sum(nil)[:16]) + "-" + hex.EncodeToString([]byte{byte(h.key.Reference >> 8), byte(h.key.Reference)})
}

func writeKey(write func([]byte) (int, error), key gsm.PartKey) {
	for _, field := range [...]string{key.Source, key.Destination} {
		_, _ = write(binary.AppendUvarint(nil, uint64(len(field))))
		_, _ = write([]byte(field))
	}
	_, _ = write([]byte{byte(key.Reference >> 8), byte(key.Reference), key.Total})
}
