package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
)

// What an idempotency key was answered is kept for a day, of every message, so
// that its form is small. Before its first byte was answerForm it was JSON.
//
// Form: contact 16, state, plan, warnings; both lists with their length before
// them, texts too. Numbers are varints.
const answerForm = 1

var errAnswer = errors.New("what was answered cannot be read")

const (
	answerSkipped = 1 << iota
	answerLate
	answerFree
)

// pack gives an answer without the id of its message, which is stored beside it.
func (a *Answer) pack() []byte {
	w := answerWriter{make([]byte, 0, 32+192*len(a.Plan))} // a step takes some 110 bytes
	w.byte(answerForm)
	w.b = append(w.b, a.Contact[:]...)
	w.byte(byte(a.State))
	w.int(int64(len(a.Plan)))
	for i := range a.Plan {
		s := &a.Plan[i]
		w.int(int64(s.Step))
		w.text(string(s.Channel))
		w.b = append(w.b, s.Sender[:]...)
		w.text(string(s.Mode))
		w.text(s.Template)
		w.byte(flag(answerSkipped, s.Skipped) | flag(answerLate, s.LateRisk) | flag(answerFree, s.Free))
		w.text(s.Reason)
		w.text(s.Detail)
		w.int(int64(s.Wait))
		w.text(s.Trigger)
		w.int(int64(s.ValidFor))
		w.int(int64(s.Segments))
		w.text(s.Encoding)
		w.int(s.Estimate.Micros)
		w.text(s.Estimate.Currency)
		w.text(s.Rule)
	}
	w.int(int64(len(a.Warnings)))
	for i := range a.Warnings {
		w.text(a.Warnings[i].Code)
		w.int(int64(a.Warnings[i].Step))
		w.text(a.Warnings[i].Detail)
	}
	return w.b
}

// unpackAnswer reads what pack gave, or JSON.
func unpackAnswer(id message.MessageID, b []byte) (*Answer, error) {
	a := new(Answer)
	if len(b) > 0 && b[0] == '{' {
		return a, json.Unmarshal(b, a)
	}
	r := answerReader{b: b}
	if r.byte() != answerForm {
		return nil, errAnswer
	}
	a.ID = id
	copy(a.Contact[:], r.take(16))
	a.State = message.State(r.byte())
	if n := r.count(); n > 0 {
		a.Plan = make([]PlanStep, n)
	}
	for i := range a.Plan {
		s := &a.Plan[i]
		s.Step, s.Channel = int(r.int()), message.Channel(r.text())
		copy(s.Sender[:], r.take(16))
		s.Mode, s.Template = message.Mode(r.text()), r.text()
		flags := r.byte()
		s.Skipped, s.LateRisk, s.Free = flags&answerSkipped != 0, flags&answerLate != 0, flags&answerFree != 0
		s.Reason, s.Detail = r.text(), r.text()
		s.Wait, s.Trigger, s.ValidFor = time.Duration(r.int()), r.text(), time.Duration(r.int())
		s.Segments, s.Encoding = int(r.int()), r.text()
		s.Estimate, s.Rule = message.Money{Micros: r.int(), Currency: r.text()}, r.text()
	}
	if n := r.count(); n > 0 {
		a.Warnings = make([]Warning, n)
	}
	for i := range a.Warnings {
		a.Warnings[i] = Warning{Code: r.text(), Step: int(r.int()), Detail: r.text()}
	}
	if r.bad || len(r.b) > 0 {
		return nil, errAnswer
	}
	return a, nil
}

func flag(bit byte, set bool) byte {
	if set {
		return bit
	}
	return 0
}

type answerWriter struct{ b []byte }

func (w *answerWriter) byte(v byte)   { w.b = append(w.b, v) }
func (w *answerWriter) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *answerWriter) text(s string) { w.int(int64(len(s))); w.b = append(w.b, s...) }

// An answerReader never reads past its bytes; bad sticks.
type answerReader struct {
	b   []byte
	bad bool
}

func (r *answerReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *answerReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *answerReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *answerReader) text() string { return string(r.take(r.int())) }

// count reads the length of a list, of things of one byte at least.
func (r *answerReader) count() int64 {
	n := r.int()
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}
