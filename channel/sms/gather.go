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
// gaps marked. What comes within a minute after that is put together with what
// was there and goes to the sink again, whole in the end. Nothing is lost either
// way.
//
// An SMSC that sends one message at a time never sends the second part before
// the first is answered: it makes of a long text several that grow, each after a
// wait. For it there is "answer": parts are answered at once and wait for
// minutes, at the price that a crash loses the parts in hand. That an SMSC is
// such a one is told in the log and to doctor.
type gatherer struct {
	c    *Connector
	sink channel.Sink

	mu      sync.Mutex
	stopped bool
	held    map[gsm.PartKey]*held
	parts   int // in held
	// What was handed on with gaps, for late parts; in the order of their times.
	torn      map[gsm.PartKey]*held
	tornOrder []*held
	slow      bool // late parts came right after the others were answered
	// Parts whose text is stored: an SMSC that missed one of our answers sends
	// that part again, alone.
	young, old map[[16]byte]struct{}
	turned     time.Time
}

// What may wait of incomplete texts; beyond it the SMSC keeps new parts and
// offers them again.
const (
	heldAtMost  = 10_000 // texts
	partsAtMost = 50_000 // parts of all of them: some 25 MB
	tornAtMost  = 1_000  // texts with gaps that late parts may still join
	tornFor     = time.Minute
)

// held is one incomplete text.
type held struct {
	key      gsm.PartKey
	d        *smpp.DeliverSM // of any part: all have the same addresses
	pieces   []piece         // as they came, each number once
	marks    [][16]byte
	requests []*smpp.Request // to answer; none in "answer"
	timer    *time.Timer
	given    time.Time // when it was handed on with gaps
	late     bool      // some of it was, before
}

// part gives the piece of a number, nil when it is not here.
func (h *held) part(number uint8) *piece {
	for i := range h.pieces {
		if h.pieces[i].number == number {
			return &h.pieces[i]
		}
	}
	return nil
}

// whole gives the pieces by number from 0; one that is missing has number 0.
func (h *held) whole() []piece {
	all := make([]piece, h.key.Total)
	for _, p := range h.pieces {
		all[p.number-1] = p
	}
	return all
}

func newGatherer(c *Connector) *gatherer {
	return &gatherer{c: c, stopped: true, held: map[gsm.PartKey]*held{}, torn: map[gsm.PartKey]*held{}, young: map[[16]byte]struct{}{}, old: map[[16]byte]struct{}{}, turned: c.now()}
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
	g.held, g.parts = map[gsm.PartKey]*held{}, 0
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
	fate, complete, torn := g.sort(r, d, p)
	switch {
	case fate == partRefused:
		_ = r.Refuse(smpp.StatusTemporaryAppError)
	case fate == partKnown, g.c.s.InboundParts == "answer":
		_ = r.Accept("")
	}
	for _, h := range [...]*held{complete, torn} {
		if h != nil {
			g.deliver(h)
		}
	}
}

// A fate is what becomes of a part.
type fate uint8

const (
	partKept    fate = iota
	partKnown        // its text is stored already
	partRefused      // there is no room, or the end has come
)

// sort finds the text that a part belongs to. It gives the text that is thereby
// whole, and the one that is given up because another uses its reference.
func (g *gatherer) sort(r *smpp.Request, d *smpp.DeliverSM, p piece) (what fate, complete, torn *held) {
	key := gsm.PartKey{Source: d.Source.Addr, Destination: d.Destination.Addr, Reference: p.ref, Total: p.total}
	mark := partMark(key, p)
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[key]
	var before *piece
	if h != nil {
		before = h.part(p.number)
	}
	if before != nil && !bytes.Equal(before.octets, p.octets) {
		torn, h, before = h, nil, nil
		g.drop(torn)
	}
	_, stored := g.young[mark]
	if !stored {
		_, stored = g.old[mark]
	}
	switch {
	case g.stopped:
		return partRefused, nil, torn
	case h == nil && stored:
		return partKnown, nil, torn
	case h == nil && len(g.held) >= heldAtMost, before == nil && g.parts >= partsAtMost:
		return partRefused, nil, torn
	}
	return partKept, g.put(key, h, r, d, p, mark), torn
}

// put keeps one part and gives the text when it was the last. It wants g.mu.
func (g *gatherer) put(key gsm.PartKey, h *held, r *smpp.Request, d *smpp.DeliverSM, p piece, mark [16]byte) *held {
	if h == nil {
		h = &held{key: key, d: d}
		g.rejoin(h, p)
		h.timer = time.AfterFunc(g.c.s.partsWait, func() { g.expire(h) })
		g.held[key] = h
	}
	if g.c.s.InboundParts == "hold" {
		h.requests = append(h.requests, r)
	}
	if h.part(p.number) == nil {
		h.pieces = append(h.pieces, p)
		h.marks = append(h.marks, mark)
		g.parts++
	}
	if len(h.pieces) < int(key.Total) {
		return nil
	}
	g.drop(h)
	return h
}

// drop takes a text out of those that wait. It wants g.mu.
func (g *gatherer) drop(h *held) {
	h.timer.Stop()
	delete(g.held, h.key)
	g.parts -= len(h.pieces)
}

// rejoin gives a text the parts that were handed on with gaps a moment ago. It
// wants g.mu.
func (g *gatherer) rejoin(h *held, p piece) {
	before := g.torn[h.key]
	if before == nil || g.c.now().Sub(before.given) > tornFor {
		return
	}
	delete(g.torn, h.key)
	if before.part(p.number) != nil {
		return // another text under the same reference
	}
	h.pieces, h.marks, h.late = before.pieces, before.marks, true
	g.parts += len(h.pieces)
	if !g.slow {
		g.slow = true
		g.c.log.Warn("parts of inbound texts come only after the others are answered: set inbound_parts to answer", "connector", g.c.id)
	}
}

// remain keeps a text that was handed on with gaps, for late parts. It wants
// g.mu.
func (g *gatherer) remain(h *held) {
	now := g.c.now()
	for len(g.tornOrder) > 0 && (len(g.tornOrder) >= tornAtMost || now.Sub(g.tornOrder[0].given) > tornFor) {
		if first := g.tornOrder[0]; g.torn[first.key] == first {
			delete(g.torn, first.key)
		}
		g.tornOrder = g.tornOrder[1:]
	}
	kept := &held{key: h.key, pieces: h.pieces, marks: h.marks, given: now}
	g.torn[h.key] = kept
	g.tornOrder = append(g.tornOrder, kept)
}

// sluggish reports whether the SMSC was seen to send one part at a time.
func (g *gatherer) sluggish() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slow
}

// expire hands on what there is of a text whose parts did not all come.
func (g *gatherer) expire(h *held) {
	g.mu.Lock()
	waiting := g.held[h.key] == h
	if waiting {
		g.drop(h)
		if g.c.s.InboundParts == "hold" {
			g.remain(h)
		}
	}
	g.mu.Unlock()
	if waiting {
		g.c.log.Warn("parts of an inbound text are missing", "connector", g.c.id, "have", len(h.pieces), "of", h.key.Total)
		g.deliver(h)
	}
}

// deliver hands a text to the sink and answers its parts when it is stored.
func (g *gatherer) deliver(h *held) {
	pieces := h.whole()
	in := g.c.inbound(h.d, partsID(h.key, pieces), pieces, h.late)
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
		g.parts += len(h.pieces)
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
func partsID(key gsm.PartKey, pieces []piece) string {
	sum := sha256.New()
	writeKey(sum.Write, key)
	for i := range pieces {
		p := &pieces[i]
		sum.Write([]byte{p.number, p.coding})
		sum.Write(binary.AppendUvarint(nil, uint64(len(p.octets))))
		sum.Write(p.octets)
	}
	return "mo-" + hex.EncodeToString(sum.Sum(nil)[:16]) + "-" + hex.EncodeToString([]byte{byte(key.Reference >> 8), byte(key.Reference)})
}

func writeKey(write func([]byte) (int, error), key gsm.PartKey) {
	for _, field := range [...]string{key.Source, key.Destination} {
		_, _ = write(binary.AppendUvarint(nil, uint64(len(field))))
		_, _ = write([]byte(field))
	}
	_, _ = write([]byte{byte(key.Reference >> 8), byte(key.Reference), key.Total})
}
