package message

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrBadTrack is returned when stored bytes are not a delivery's track.
var ErrBadTrack = errors.New("not a delivery track")

// trackVersion is the form that is written. In form 1, still read, times were
// absolute, ids were given in full and it did not say whether there is metadata.
const trackVersion = 2

// AppendTrack appends everything of d that has no column of its own (all but
// ID, Workspace, Contact, State, Version and Due) in a compact binary form.
// The form is stored: a change of it is a new version byte. Times count from
// CreatedAt, in microseconds.
func (d *Delivery) AppendTrack(b []byte) []byte {
	e := encoder{b: append(b, trackVersion)}
	e.text(string(d.Purpose))
	e.time(d.CreatedAt)
	e.since = micros(d.CreatedAt)
	e.text(d.Country)
	e.bool(d.Labelled)
	e.time(d.SendAt)
	e.time(d.ExpiresAt)
	e.time(d.EndedAt)
	e.int(int64(d.Current))
	e.int(int64(d.Satisfied))
	e.text(d.Reason)
	e.money(d.Limit)
	e.int(int64(len(d.Steps)))
	for i := range d.Steps {
		e.step(&d.Steps[i])
	}
	return e.b
}

// ReadTrack fills d from what AppendTrack wrote. It fails with ErrBadTrack on
// anything else, words that no code knows included, and never reads past b. Its
// memory is bounded by a small multiple of len(b).
func (d *Delivery) ReadTrack(b []byte) error {
	if len(b) == 0 || b[0] < 1 || b[0] > trackVersion {
		return ErrBadTrack
	}
	r := decoder{b: b[1:], form: b[0]}
	d.Purpose = Purpose(r.text())
	d.CreatedAt = r.time()
	d.Country, d.Labelled = "", true // not said by form 1: whoever needs it looks
	if r.form > 1 {
		r.since = micros(d.CreatedAt)
		d.Country = r.text()
		d.Labelled = r.bool()
	}
	d.SendAt = r.time()
	d.ExpiresAt = r.time()
	d.EndedAt = r.time()
	d.Current = int(r.int())
	d.Satisfied = int(r.int())
	d.Reason = r.text()
	d.Limit = r.money()
	d.Steps = nil
	if n := r.count(minStep); n > 0 {
		d.Steps = make([]Step, n)
		for i := range d.Steps {
			r.step(&d.Steps[i])
		}
	}
	if r.bad || len(r.b) != 0 || d.Current < -1 || d.Current > len(d.Steps) || d.Satisfied < 0 || d.Satisfied > len(d.Steps) {
		return ErrBadTrack
	}
	return nil
}

// The fewest bytes a step, an attempt and a part can take: what bounds the
// memory that damaged bytes can ask for.
const (
	minStep    = 22
	minAttempt = 17
	minPart    = 18
)

type encoder struct {
	b     []byte
	since int64 // times count from here
}

func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) byte(v byte)   { e.b = append(e.b, v) }
func (e *encoder) text(s string) { e.int(int64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) blob(s []byte) { e.int(int64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) id(v [16]byte) {
	if v == [16]byte{} {
		e.byte(0)
		return
	}
	e.byte(1)
	e.b = append(e.b, v[:]...)
}

// like is id for one that mostly is another: that takes one byte.
func (e *encoder) like(v, other [16]byte) {
	if v == other && v != [16]byte{} {
		e.byte(2)
		return
	}
	e.id(v)
}

func (e *encoder) bool(v bool) {
	if v {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

// time writes the zero time as 0, so that what is told apart from it is one
// further from 0 on its side.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	v := micros(t) - e.since
	if v >= 0 {
		v++
	}
	e.int(v)
}

// micros gives Unix microseconds, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func (e *encoder) money(m Money) {
	e.text(m.Currency)
	if m.Currency != "" {
		e.int(m.Micros)
	}
}

func (e *encoder) step(s *Step) {
	e.text(string(s.Channel))
	e.id(s.Sender)
	e.id(s.Connector)
	e.text(string(s.Mode))
	e.text(s.Template)
	e.int(int64(s.Next.NotDelivered))
	e.int(int64(s.Next.NotRead))
	e.int(int64(s.Next.NotReplied))
	e.byte(byte(s.State))
	e.text(s.Reason)
	e.text(s.Detail)
	e.int(int64(s.ValidFor))
	e.time(s.HeldUntil)
	e.time(s.Started)
	e.time(s.Deadline)
	e.time(s.Horizon)
	e.int(int64(s.Retries))
	e.bool(s.Replied)
	e.money(s.Estimate)
	e.int(int64(s.Segments))
	e.int(int64(s.Expect))
	e.int(int64(len(s.Attempts)))
	for i := range s.Attempts {
		a := &s.Attempts[i]
		e.like(a.Connector, s.Connector)
		e.int(a.Fence)
		e.byte(byte(a.Outcome))
		for _, t := range [...]time.Time{a.StartedAt, a.AnsweredAt, a.SentAt, a.DeliveredAt, a.ReadAt, a.FailedAt} {
			e.time(t)
		}
		e.byte(byte(a.Fault))
		e.text(a.Code)
		e.text(a.Title)
		e.bool(a.Inferred)
		e.int(int64(len(a.Parts)))
		for _, p := range a.Parts {
			e.blob(p.Ref)
			e.b = append(e.b, p.Key[:]...)
			e.byte(byte(p.State))
		}
		e.money(a.Price)
		e.text(a.PriceBy)
		e.text(a.PriceRule)
	}
}

type decoder struct {
	b     []byte
	bad   bool
	form  byte
	since int64 // times count from here
}

func (r *decoder) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *decoder) fail() { r.bad, r.b = true, nil }

func (r *decoder) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *decoder) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}
func (r *decoder) bool() bool   { return r.word(1) == 1 }
func (r *decoder) blob() []byte { return append([]byte(nil), r.take(r.size())...) }
func (r *decoder) text() string { return string(r.take(r.size())) }

// size reads a length; one that cannot be an int is a fault, not a truncation.
func (r *decoder) size() int {
	v := r.int()
	if v < 0 || v > int64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(v)
}

// count reads the number of things that follow, each of least bytes or more.
func (r *decoder) count(least int) int {
	n := r.size()
	if n > len(r.b)/least {
		r.fail()
		return 0
	}
	return n
}

// word reads a word of a list that ends with last.
func (r *decoder) word(last byte) byte {
	b := r.byte()
	if b > last {
		r.fail()
		return 0
	}
	return b
}

func (r *decoder) id() (v [16]byte) {
	if r.bool() {
		copy(v[:], r.take(16))
	}
	return v
}

// like reads an id that may be told to be another.
func (r *decoder) like(other [16]byte) [16]byte {
	if r.form > 1 && len(r.b) > 0 && r.b[0] == 2 {
		r.b = r.b[1:]
		return other
	}
	return r.id()
}

func (r *decoder) time() time.Time {
	v := r.int()
	if v == 0 {
		return time.Time{}
	}
	if r.form > 1 {
		if v > 0 {
			v--
		}
		v += r.since
	}
	return time.UnixMicro(v).UTC()
}

func (r *decoder) money() (m Money) {
	m.Currency = r.text()
	if m.Currency != "" {
		m.Micros = r.int()
	}
	return m
}

func (r *decoder) step(s *Step) {
	s.Channel = Channel(r.text())
	s.Sender = r.id()
	s.Connector = r.id()
	s.Mode = Mode(r.text())
	s.Template = r.text()
	s.Next.NotDelivered = time.Duration(r.int())
	s.Next.NotRead = time.Duration(r.int())
	s.Next.NotReplied = time.Duration(r.int())
	s.State = StepState(r.word(byte(StepRevoked)))
	s.Reason = r.text()
	s.Detail = r.text()
	s.ValidFor = time.Duration(r.int())
	s.HeldUntil = r.time()
	s.Started = r.time()
	s.Deadline = r.time()
	s.Horizon = r.time()
	s.Retries = int(r.int())
	s.Replied = r.bool()
	s.Estimate = r.money()
	s.Segments = int(r.int())
	s.Expect = time.Duration(r.int())
	n := r.count(minAttempt)
	if n == 0 {
		return
	}
	s.Attempts = make([]Attempt, n)
	for i := range s.Attempts {
		a := &s.Attempts[i]
		a.Connector = r.like(s.Connector)
		a.Fence = r.int()
		a.Outcome = Outcome(r.word(byte(NotSent)))
		for _, t := range [...]*time.Time{&a.StartedAt, &a.AnsweredAt, &a.SentAt, &a.DeliveredAt, &a.ReadAt, &a.FailedAt} {
			*t = r.time()
		}
		a.Fault = FaultKind(r.word(byte(Misconfigured)))
		a.Code = r.text()
		a.Title = r.text()
		a.Inferred = r.bool()
		if p := r.count(minPart); p > 0 {
			a.Parts = make([]Part, p)
			for j := range a.Parts {
				a.Parts[j].Ref = r.blob()
				copy(a.Parts[j].Key[:], r.take(16))
				a.Parts[j].State = ReceiptStatus(r.word(byte(ReceiptUnknown)))
			}
		}
		a.Price = r.money()
		a.PriceBy = r.text()
		a.PriceRule = r.text()
	}
}
