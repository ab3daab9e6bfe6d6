package engine

import (
	"bytes"
	"strconv"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/internal/plainjson"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// event makes the row of one logged event: what clients may know in the clear,
// the metadata they gave sealed.
func (t *turn) event(f *flow.Event) store.Event {
	d := t.r.d
	ev := message.EventID(t.e.o.IDs.Next(t.now))
	return store.Event{
		ID: ev, Workspace: d.Workspace, Type: f.Type,
		Message: d.ID, Contact: d.Contact, At: t.now, Data: t.facts(f), Sealed: t.personal(ev),
	}
}

// facts is the JSON of a logged event: state, purpose, reason, and of a step its
// number, channel, sender, state, detail, attempt, error and charge. Nothing of
// it is personal. It is written by hand because several are written for every
// message; package ledger reads charge.
func (t *turn) facts(f *flow.Event) []byte {
	var room [320]byte
	return bytes.Clone(t.appendFacts(room[:0], f))
}

func (t *turn) appendFacts(b []byte, f *flow.Event) []byte {
	d := t.r.d
	b = append(b, `{"state":"`...)
	b = append(b, d.State.String()...)
	b = append(b, '"')
	b = member(b, "purpose", string(d.Purpose))
	b = member(b, "reason", f.Reason)
	if f.Step < 0 {
		return append(b, '}')
	}
	s := &d.Steps[f.Step]
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, int64(f.Step), 10)
	b = member(b, "channel", string(s.Channel))
	b = append(b, `,"sender":"`...)
	b = s.Sender.Append(b)
	b = append(b, '"')
	b = member(b, "step_state", f.State.String())
	b = member(b, "detail", s.Detail)
	if f.Attempt < 0 || f.Attempt >= len(s.Attempts) {
		return append(b, '}')
	}
	a := &s.Attempts[f.Attempt]
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(f.Attempt), 10)
	if a.Fault != message.NoFault {
		b = append(b, `,"error":{"kind":"`...)
		b = append(b, a.Fault.String()...)
		b = append(b, '"')
		b = member(b, "code", a.Code)
		b = member(b, "title", a.Title)
		b = append(b, '}')
	}
	if f.Charge {
		b = append(b, `,"charge":{"micros":`...)
		b = strconv.AppendInt(b, a.Price.Micros, 10)
		b = member(b, "currency", a.Price.Currency)
		b = member(b, "by", a.PriceBy)
		b = member(b, "rule", a.PriceRule)
		b = member(b, "country", t.e.country(t))
		b = append(b, '}')
	}
	return append(b, '}')
}

// member appends ,"name":"value"; an empty value is left out.
func member(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return plainjson.AppendText(b, value)
}

// faultFacts is a fault as events tell it.
type faultFacts struct {
	Kind  string `json:"kind"`
	Code  string `json:"code,omitempty"`
	Title string `json:"title,omitempty"`
}
