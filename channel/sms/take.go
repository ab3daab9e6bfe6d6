package sms

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// take hands on a request of the SMSC. It runs in the session's reader and does
// not wait.
func (c *Connector) take(b *bind, r *smpp.Request) {
	var d *smpp.DeliverSM
	switch m := r.Body.(type) {
	case *smpp.DeliverSM:
		d = m
	case *smpp.DataSM:
		d = &smpp.DeliverSM{
			Source: m.Source, Destination: m.Destination, ESMClass: m.ESMClass,
			DataCoding: m.DataCoding, TLVs: m.TLVs,
		}
	case *smpp.Alert:
		_ = r.Accept("")
		return
	default:
		_ = r.Refuse(smpp.StatusInvalidCommandID)
		return
	}
	if receipt, ok := d.Receipt(); ok {
		c.hand(c.receipt(d, &receipt), func(err error) { respond(r, err) })
		return
	}
	kind := d.ESMClass & smpp.ESMTypeMask
	if receipt := kind == smpp.ESMReceipt || kind == smpp.ESMIntermediate; receipt || kind != 0 && len(d.Text()) == 0 {
		// A receipt that says nothing, or an acknowledgement without a word of
		// the person's: there is nothing to keep, and refusing would bring it
		// again for days.
		c.log.Warn("deliver_sm of no use", "connector", c.id, "esm_class", d.ESMClass)
		_ = r.Accept("")
		return
	}
	p := dissect(d)
	if p.total > 1 {
		c.gather.add(r, d, p)
		return
	}
	twin := c.twins.find(d, b)
	in := c.inbound(d, twin.id, []piece{p}, false)
	c.hand(in, func(err error) {
		c.twins.settle(twin, err)
		respond(r, err)
	})
}

// hand gives one event to the sink.
func (c *Connector) hand(e message.Event, done func(error)) {
	c.gather.sink.Events([]message.Event{e}, done)
}

// respond answers a deliver_sm: 0 once it is stored, else "try again later".
func respond(r *smpp.Request, err error) {
	if err != nil {
		_ = r.Refuse(smpp.StatusTemporaryAppError)
		return
	}
	_ = r.Accept("")
}

// twins gives ids to inbound texts. SMPP has none: the same words twice may be a
// person who says "1" twice, or the SMSC that repeats itself because our answer
// got lost. It is a repetition only when an equal text is not settled: still
// unanswered on a session that has ended or for long, refused by us, or
// answered just before its session ended.
type twins struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[[16]byte]*twin
	turned     time.Time
}

type twin struct {
	id       string
	b        *bind
	at       time.Time
	state    twinState
	answered time.Time
}

type twinState uint8

const (
	twinPending twinState = iota
	twinStored
	twinRefused
)

const (
	twinAge     = 10 * time.Minute // how long SMSCs may take to repeat
	twinRetry   = 5 * time.Second  // no SMSC repeats on a living session sooner
	twinLost    = 5 * time.Second  // an answer this close to the end may be lost
	twinsAtMost = 200_000
)

func newTwins(now func() time.Time) *twins {
	return &twins{now: now, young: map[[16]byte]*twin{}, old: map[[16]byte]*twin{}, turned: now()}
}

// find gives the twin that an arriving text is, or makes one.
func (t *twins) find(d *smpp.DeliverSM, b *bind) *twin {
	sum := fingerprint(d)
	key := [16]byte(sum[:])
	if mark := mark(d); mark != "" {
		// The SMSC itself tells equal texts apart.
		return &twin{id: "mo-" + hex.EncodeToString(sum[:16]) + "-" + mark, b: b}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.turn(now)
	before := t.young[key]
	if before == nil {
		before = t.old[key]
	}
	if before != nil && before.repeats(now) {
		before.b, before.at, before.state = b, now, twinPending
		t.young[key] = before
		return before
	}
	fresh := &twin{id: "mo-" + hex.EncodeToString(sum[:16]) + "-" + strconv.FormatInt(now.UnixNano(), 36), b: b, at: now}
	if before != nil && before.id == fresh.id {
		fresh.id += "b" // two within one tick of the clock
	}
	t.young[key] = fresh
	return fresh
}

// repeats reports whether an equal text that comes now is w itself.
func (w *twin) repeats(now time.Time) bool {
	ended := w.b.ended.Load()
	switch w.state {
	case twinRefused:
		return true
	case twinPending:
		return ended != 0 || now.Sub(w.at) >= twinRetry
	}
	return ended != 0 && time.Duration(ended-w.answered.UnixNano()) < twinLost
}

func (t *twins) settle(w *twin, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.state, w.answered = twinStored, t.now()
	if err != nil {
		w.state = twinRefused
	}
}

// turn forgets what is old. It wants t.mu.
func (t *twins) turn(now time.Time) {
	if now.Sub(t.turned) < twinAge && len(t.young) < twinsAtMost {
		return
	}
	t.old, t.young, t.turned = t.young, map[[16]byte]*twin{}, now
}

// fingerprint sums up everything of a text that a repetition must share.
func fingerprint(d *smpp.DeliverSM) [32]byte {
	h := sha256.New()
	text := d.Text()
	for _, field := range [...]string{d.Source.Addr, d.Destination.Addr, d.ServiceType} {
		h.Write(binary.AppendUvarint(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	h.Write([]byte{d.ESMClass, d.ProtocolID, d.DataCoding})
	h.Write(text)
	return [32]byte(h.Sum(nil))
}

// mark gives what an SMSC may add to tell equal texts apart: a time or a
// reference; "" when there is none.
func mark(d *smpp.DeliverSM) string {
	if d.ScheduleTime != "" {
		return hex.EncodeToString([]byte(d.ScheduleTime))
	}
	if id, ok := d.TLVs.Text(smpp.TagReceiptedMessageID); ok && id != "" {
		return hex.EncodeToString([]byte(id))
	}
	return ""
}
