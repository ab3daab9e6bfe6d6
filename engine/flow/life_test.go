package flow_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// A life drives one delivery through random facts and holds every law after
// every move.
type life struct {
	p     flow.Policy
	d     *message.Delivery
	now   time.Time
	wire  []flow.Which // attempts whose send has not come back
	told  []told       // every receipt so far, to be repeated
	types map[string]int
	costs map[string]bool
	shut  bool // a marketing message whose person, or their provider, said no
	log   []string
}

type told struct {
	w    flow.Which
	part int
	r    message.Receipt
}

// An op says what kind of fact a move was given, as far as the laws care.
type op struct {
	name     string
	evidence bool // a receipt of delivery or reading
	failure  bool // a certain failure, or surely not sent
	tick     bool
	no       bool // opted out or capped
}

func anyLife(t *rapid.T) *life {
	l := &life{p: flow.Default(), now: start, types: make(map[string]int), costs: make(map[string]bool)}
	l.p.ChargeOn = func(c message.Channel) message.Fact {
		if c == message.SMS {
			return message.FactAccepted
		}
		return message.FactDelivered
	}
	d := &message.Delivery{
		ID: message.MessageID{1}, Purpose: rapid.SampledFrom(message.Purposes[:]).Draw(t, "purpose"), CreatedAt: start,
		ExpiresAt: start.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 30 * time.Hour, 30 * 24 * time.Hour}).Draw(t, "expires")),
	}
	if rapid.IntRange(0, 4).Draw(t, "scheduled") == 0 {
		d.SendAt = start.Add(30 * time.Second)
	}
	n := rapid.IntRange(1, 4).Draw(t, "steps")
	waits := rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Second, 20 * time.Minute})
	for i := range n {
		s := message.Step{
			Channel: rapid.SampledFrom([]message.Channel{message.WhatsApp, message.SMS}).Draw(t, "channel"), Connector: message.ConnectorID{byte(i + 1)},
			Mode: message.FreeForm, Estimate: message.Money{Micros: 50_000, Currency: "EUR"},
			Expect:   rapid.SampledFrom([]time.Duration{0, time.Hour, 72 * time.Hour}).Draw(t, "expect"),
			ValidFor: rapid.SampledFrom([]time.Duration{0, 30 * time.Second, 24 * time.Hour}).Draw(t, "valid"),
		}
		if rapid.Bool().Draw(t, "template") {
			s.Template = "hello/en"
		}
		if i < n-1 {
			s.Next = message.Trigger{NotDelivered: waits.Draw(t, "not_delivered_in"), NotRead: waits.Draw(t, "not_read_in"), NotReplied: waits.Draw(t, "not_replied_in")}
		}
		if rapid.IntRange(0, 5).Draw(t, "skipped") == 0 {
			s.State, s.Reason = message.StepSkipped, "no_address"
		}
		d.Steps = append(d.Steps, s)
	}
	l.d = d
	l.do(t, op{name: "begin"}, func() flow.Move { return flow.Begin(&l.p, d, l.now) })
	return l
}

func clone(d *message.Delivery) *message.Delivery {
	c := *d
	if err := c.ReadTrack(d.AppendTrack(nil)); err != nil {
		panic(err)
	}
	return &c
}

// do makes one move and checks it against every law of one move.
func (l *life) do(t *rapid.T, o op, f func() flow.Move) flow.Move {
	b := clone(l.d)
	m := f()
	d := l.d
	l.log = append(l.log, fmt.Sprintf("%s %s: %s", l.now.Sub(start), o.name, describe(d)))
	fail := func(format string, args ...any) {
		t.Helper()
		for _, line := range l.log {
			t.Log(line)
		}
		t.Fatalf(o.name+": "+format, args...)
	}
	if !m.Changed {
		if diff := cmp.Diff(b, clone(d)); diff != "" {
			fail("a move that changed nothing changed\n%s", diff)
		}
		if len(m.Events) > 0 {
			fail("events without a change: %v", m.Events)
		}
		return m
	}
	if d.Version != b.Version+1 {
		fail("version went from %d to %d", b.Version, d.Version)
	}
	if o.name != "begin" && d.State != b.State && message.Rise(b.State, d.State) != d.State {
		fail("the message went from %s to %s", b.State, d.State)
	}
	if reached(d.State) && !reached(b.State) && !o.evidence {
		fail("%s without a receipt", d.State)
	}
	if d.State.Ended() == d.EndedAt.IsZero() {
		fail("%s since %v", d.State, d.EndedAt)
	}
	if !b.EndedAt.IsZero() && !b.EndedAt.Equal(d.EndedAt) {
		fail("ended twice")
	}
	if b.Satisfied != 0 && d.Satisfied != b.Satisfied {
		fail("satisfied by %d and then by %d", b.Satisfied, d.Satisfied)
	}
	for i := range d.Steps {
		l.step(b, i, o, fail)
	}
	for _, e := range m.Events {
		if e.Type != flow.EventStep {
			if l.types[e.Type]++; l.types[e.Type] > 1 {
				fail("%s was told twice", e.Type)
			}
		}
		if e.Charge {
			a := &d.Steps[e.Step].Attempts[e.Attempt]
			key := fmt.Sprint(e.Step, e.Attempt, a.Price, a.PriceBy, a.PriceRule)
			if l.costs[key] {
				fail("booked twice: %s", key)
			}
			l.costs[key] = true
		}
	}
	l.rest(o, fail)
	if d.Purpose == message.Marketing && b.Current < len(b.Steps) && b.Current >= 0 && d.Current != b.Current && d.Current < len(d.Steps) {
		if was, is := b.Steps[b.Current].State, d.Steps[b.Current].State; (was == message.StepUnknown || is == message.StepUnknown || is == message.StepUnconfirmed) && !o.failure {
			fail("marketing went on after an unknown outcome (%s, %s)", was, is)
		}
	}
	if o.no && d.Purpose == message.Marketing && d.Current >= len(d.Steps) {
		l.shut = true
	}
	return m
}

func reached(s message.State) bool { return s == message.Delivered || s == message.Read }

// step holds the laws of one step over one move.
func (l *life) step(b *message.Delivery, i int, o op, fail func(string, ...any)) {
	was, is := b.Steps[i].State, l.d.Steps[i].State
	if len(l.d.Steps[i].Attempts) < len(b.Steps[i].Attempts) {
		fail("step %d forgot an attempt", i)
	}
	if was == is {
		return
	}
	switch {
	case was.Success():
		if was != message.StepDelivered || is != message.StepRead {
			fail("step %d: %s became %s", i, was, is)
		}
	case is.Success():
		if !o.evidence {
			fail("step %d: %s without a receipt", i, is)
		}
		if (is == message.StepSuperseded) != (b.Satisfied != 0 && b.Satisfied != i+1) {
			fail("step %d is %s, satisfied by %d", i, is, b.Satisfied)
		}
	case was.Open() && is.Waiting():
		if !o.failure {
			fail("step %d: %s went back to %s without a failure", i, was, is)
		}
	case was == message.StepSent && (is == message.StepSending || is == message.StepUnknown):
		fail("step %d: %s went back to %s", i, was, is)
	case was == message.StepUnconfirmed:
		if is != message.StepFailed && is != message.StepExpired && is != message.StepRevoked {
			fail("step %d: %s became %s", i, was, is)
		}
	case !was.Waiting() && !was.Open():
		fail("step %d: the end %s became %s", i, was, is)
	}
}

// rest holds the laws of a delivery at rest.
func (l *life) rest(o op, fail func(string, ...any)) {
	d := l.d
	if d.InFlight() && !flow.Ready(d) && d.Due.IsZero() {
		fail("lost: in flight and waiting for nothing")
	}
	alive := false
	for i := range d.Steps {
		alive = alive || d.Steps[i].State.Waiting() || d.Steps[i].State.Open()
	}
	if d.InFlight() && !alive && d.State != message.Scheduled {
		fail("in flight with nothing left to do or to await")
	}
	if flow.Ready(d) && (d.Satisfied != 0 || d.State.Ended() && !reached(d.State)) {
		fail("ready after the end")
	}
	if d.Satisfied != 0 && !reached(d.State) {
		fail("satisfied but %s", d.State)
	}
	if o.tick && !d.Due.IsZero() && !d.Due.After(l.now) {
		fail("due at %s, which has passed", d.Due.Sub(start))
	}
	if l.shut && flow.Ready(d) {
		fail("marketing goes on after a no")
	}
	if flow.Ready(d) && d.Steps[d.Current].State != message.StepQueued {
		fail("ready but %s", d.Steps[d.Current].State)
	}
}

func describe(d *message.Delivery) string {
	s := fmt.Sprintf("v%d %s current=%d satisfied=%d", d.Version, d.State, d.Current, d.Satisfied)
	for i := range d.Steps {
		s += " " + d.Steps[i].State.String() + "(" + d.Steps[i].Reason + ")"
	}
	if !d.Due.IsZero() {
		s += " due " + d.Due.Sub(start).String()
	}
	return s
}

func TestLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLife(t)
		t.Repeat(l.actions())
		// From here on nobody says anything: time alone ends every message, in
		// few looks, and then leaves it alone.
		for looks := 0; !l.d.Due.IsZero(); looks++ {
			if looks > 6*len(l.d.Steps)+6 {
				for _, line := range l.log {
					t.Log(line)
				}
				t.Fatalf("still due after %d looks", looks)
			}
			if l.d.Due.After(l.now) {
				l.now = l.d.Due
			}
			l.tick(t)
		}
		if l.d.InFlight() && flow.Ready(l.d) {
			t.Fatal("a message in a lane that nobody empties has no deadline")
		}
		if l.d.InFlight() {
			t.Fatalf("never ended: %s", describe(l.d))
		}
	})
}

// Whatever order the receipts of one attempt come in, and however often, the
// step ends where they say.
func TestReceiptsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfN(rapid.SampledFrom([]message.ReceiptStatus{
			message.ReceiptSent, message.ReceiptDelivered, message.ReceiptRead, message.ReceiptFailed,
		}), 1, 6).Draw(t, "receipts")
		run := func(order []message.ReceiptStatus, answer int) *message.Delivery {
			p := flow.Default()
			d := &message.Delivery{Purpose: message.Utility, ExpiresAt: start.Add(time.Hour), Steps: []message.Step{{Channel: message.WhatsApp, Expect: 72 * time.Hour}}}
			flow.Begin(&p, d, start)
			w, _ := flow.Attempt(&p, d, 1, start)
			for i, s := range order {
				if i == answer {
					flow.Answer(&p, d, w, []message.Part{{Key: message.RefKey{1}}}, nil, start)
				}
				r := &message.Receipt{Status: s, At: start.Add(time.Duration(s) * time.Second)}
				if s == message.ReceiptFailed {
					r.Fault = &message.Fault{Kind: message.Transient, Certain: true}
				}
				flow.Receipt(&p, d, w, 0, r, start.Add(time.Minute))
			}
			return d
		}
		a := run(set, rapid.IntRange(0, len(set)).Draw(t, "answered"))
		b := run(rapid.Permutation(set).Draw(t, "shuffled"), rapid.IntRange(0, len(set)).Draw(t, "answered"))
		if a.Steps[0].State != b.Steps[0].State || a.State.Ended() != b.State.Ended() || reached(a.State) && a.State != b.State {
			t.Fatalf("%s\n%s", describe(a), describe(b))
		}
		x, y := a.Steps[0].Attempts[0], b.Steps[0].Attempts[0]
		if !x.DeliveredAt.Equal(y.DeliveredAt) && x.ReadAt.IsZero() || !x.ReadAt.Equal(y.ReadAt) {
			t.Fatalf("times differ by order:\n%+v\n%+v", x, y)
		}
	})
}
