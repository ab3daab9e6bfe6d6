package message_test

import (
	"encoding/hex"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/message"
)

func anyTime(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "never") {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(1, 4e15).Draw(t, "µs")).UTC()
}

func anyMoney(t *rapid.T) message.Money {
	if rapid.Bool().Draw(t, "unpriced") {
		return message.Money{}
	}
	return message.Money{Micros: rapid.Int64().Draw(t, "micros"), Currency: "EUR"}
}

func anyWord(t *rapid.T) string { return rapid.StringN(0, 20, 40).Draw(t, "word") }

func anySpan(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "span"))
}

func anyAttempt(t *rapid.T) message.Attempt {
	a := message.Attempt{
		Connector: message.ConnectorID(anyID(t)), Fence: rapid.Int64().Draw(t, "fence"),
		Outcome:   message.Outcome(rapid.IntRange(0, int(message.NotSent)).Draw(t, "outcome")),
		StartedAt: anyTime(t), AnsweredAt: anyTime(t), SentAt: anyTime(t), DeliveredAt: anyTime(t), ReadAt: anyTime(t), FailedAt: anyTime(t),
		Fault: message.FaultKind(rapid.IntRange(0, int(message.Misconfigured)).Draw(t, "fault")),
		Code:  anyWord(t), Title: anyWord(t), Inferred: rapid.Bool().Draw(t, "inferred"),
		Price: anyMoney(t), PriceBy: anyWord(t), PriceRule: anyWord(t),
	}
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		p := message.Part{Ref: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "ref"), State: message.ReceiptStatus(rapid.IntRange(0, int(message.ReceiptUnknown)).Draw(t, "state"))}
		copy(p.Key[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
		a.Parts = append(a.Parts, p)
	}
	return a
}

func anyDelivery(t *rapid.T) *message.Delivery {
	d := &message.Delivery{
		Country: rapid.SampledFrom([]string{"", "FR"}).Draw(t, "country"), Labelled: rapid.Bool().Draw(t, "labelled"),
		Purpose: rapid.SampledFrom(message.Purposes[:]).Draw(t, "purpose"), CreatedAt: anyTime(t), SendAt: anyTime(t), ExpiresAt: anyTime(t), EndedAt: anyTime(t),
		Reason: anyWord(t), Limit: anyMoney(t),
	}
	n := rapid.IntRange(0, 4).Draw(t, "steps")
	d.Current, d.Satisfied = rapid.IntRange(-1, n).Draw(t, "current"), rapid.IntRange(0, n).Draw(t, "satisfied")
	for range n {
		s := message.Step{
			Channel: message.Channel(anyWord(t)), Sender: message.SenderID(anyID(t)), Connector: message.ConnectorID(anyID(t)),
			Mode: message.Mode(anyWord(t)), Template: anyWord(t),
			Next:  message.Trigger{NotDelivered: anySpan(t), NotRead: anySpan(t), NotReplied: anySpan(t)},
			State: rapid.SampledFrom(message.StepStates[:]).Draw(t, "state"), Reason: anyWord(t), Detail: anyWord(t),
			ValidFor: anySpan(t), HeldUntil: anyTime(t), Started: anyTime(t), Deadline: anyTime(t), Horizon: anyTime(t),
			Retries: rapid.IntRange(0, 9).Draw(t, "retries"), Replied: rapid.Bool().Draw(t, "replied"), Estimate: anyMoney(t),
			Segments: rapid.IntRange(0, 10).Draw(t, "segments"), Expect: anySpan(t),
		}
		for range rapid.IntRange(0, 3).Draw(t, "attempts") {
			s.Attempts = append(s.Attempts, anyAttempt(t))
			if rapid.Bool().Draw(t, "same") {
				s.Attempts[len(s.Attempts)-1].Connector = s.Connector
			}
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}

func TestTrackRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDelivery(t)
		raw := d.AppendTrack([]byte("before"))[6:]
		back := &message.Delivery{Steps: make([]message.Step, 2)}
		if err := back.ReadTrack(raw); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, back); diff != "" {
			t.Fatal(diff)
		}
		cut := rapid.IntRange(0, len(raw)-1).Draw(t, "cut")
		if err := back.ReadTrack(raw[:cut]); !errors.Is(err, message.ErrBadTrack) {
			t.Fatalf("the first %d of %d bytes: %v", cut, len(raw), err)
		}
		if err := back.ReadTrack(append(raw[:len(raw):len(raw)], 0)); !errors.Is(err, message.ErrBadTrack) {
			t.Fatalf("a byte too many: %v", err)
		}
	})
}

// What was stored in the first form is still read.
func TestTrackForm1(t *testing.T) {
	raw, err := hex.DecodeString("010e7574696c6974798080afa2dbffad06008090cc8bf6ffad060000020006455552e0c5080206736d7301010200000000000000000000000000000103040000000000000000000000000000000000000005000000008089a9a3dbffad0600000000000200" +
		"0201030400000000000000000000000000000e018089a9a3dbffad06000000000000000000020c7365616c65640900000000000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMicro(1_790_000_000_000_000).UTC()
	want := &message.Delivery{
		Purpose: message.Utility, CreatedAt: at, ExpiresAt: at.Add(time.Hour), Satisfied: 1, Limit: message.Money{Micros: 70000, Currency: "EUR"}, Labelled: true,
		Steps: []message.Step{{
			Channel: message.SMS, Sender: message.SenderID{1, 2}, Connector: message.ConnectorID{3, 4}, State: message.StepSent, Started: at.Add(time.Second), Segments: 1,
			Attempts: []message.Attempt{{
				Connector: message.ConnectorID{3, 4}, Fence: 7, Outcome: message.Taken, StartedAt: at.Add(time.Second),
				Parts: []message.Part{{Ref: []byte("sealed"), Key: message.RefKey{9}}},
			}},
		}},
	}
	got := new(message.Delivery)
	if err := got.ReadTrack(raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if now := got.AppendTrack(nil); len(now) > len(raw)-20 {
		t.Errorf("%d bytes in the form of today, %d in the first", len(now), len(raw))
	}
}

// Stored bytes that were damaged cost no more memory than they are long.
func TestTrackMemory(t *testing.T) {
	small := (&message.Delivery{}).AppendTrack(nil)
	hostile := append(small[:len(small)-1:len(small)-1], 0xFE, 0xFF, 0x7F) // over a million steps
	hostile = append(hostile, make([]byte, 1<<20+1<<19)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := new(message.Delivery)
	if err := d.ReadTrack(hostile); !errors.Is(err, message.ErrBadTrack) {
		t.Errorf("damaged bytes passed: %v", err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64*uint64(len(hostile)) {
		t.Errorf("%d bytes of damage allocated %d", len(hostile), used)
	}
}

// A state that no code knows is damage, not a value to carry on with.
func TestTrackUnknownWords(t *testing.T) {
	for name, spoil := range map[string]func(*message.Delivery){
		"step state":     func(d *message.Delivery) { d.Steps[0].State = 99 },
		"outcome":        func(d *message.Delivery) { d.Steps[0].Attempts[0].Outcome = 99 },
		"fault":          func(d *message.Delivery) { d.Steps[0].Attempts[0].Fault = 99 },
		"receipt status": func(d *message.Delivery) { d.Steps[0].Attempts[0].Parts[0].State = 99 },
		"current":        func(d *message.Delivery) { d.Current = 2 },
		"satisfied":      func(d *message.Delivery) { d.Satisfied = 2 },
		"negative":       func(d *message.Delivery) { d.Satisfied = -1 },
	} {
		d := &message.Delivery{Steps: []message.Step{{Attempts: []message.Attempt{{Parts: []message.Part{{}}}}}}}
		if err := new(message.Delivery).ReadTrack(d.AppendTrack(nil)); err != nil {
			t.Fatal(err)
		}
		spoil(d)
		if err := new(message.Delivery).ReadTrack(d.AppendTrack(nil)); !errors.Is(err, message.ErrBadTrack) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadTrack(f *testing.F) {
	f.Add([]byte{})
	f.Add((&message.Delivery{}).AppendTrack(nil))
	f.Add(append([]byte{1}, (&message.Delivery{}).AppendTrack(nil)[4:]...)) // nearly the first form
	f.Add((&message.Delivery{Purpose: message.Utility, Steps: []message.Step{{
		Channel: message.SMS, State: message.StepSent,
		Attempts: []message.Attempt{{Outcome: message.Taken, Parts: []message.Part{{Ref: []byte("x")}}}},
	}}}).AppendTrack(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := new(message.Delivery)
		if err := d.ReadTrack(raw); err != nil {
			if !errors.Is(err, message.ErrBadTrack) {
				t.Fatal(err)
			}
			return
		}
		// What was read once is stable, and safe to ask.
		again := new(message.Delivery)
		if err := again.ReadTrack(d.AppendTrack(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
		d.Step()
		for i := range d.Steps {
			d.Steps[i].Last()
		}
	})
}
