package flow_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

func anyFault(t *rapid.T, certain bool) *message.Fault {
	return &message.Fault{
		Kind: rapid.SampledFrom(message.FaultKinds[:]).Draw(t, "fault"), Certain: certain, Code: "42",
		RetryAfter: rapid.SampledFrom([]time.Duration{0, 3 * time.Second, 5 * time.Minute}).Draw(t, "retry after"),
	}
}

func (l *life) attempt(t *rapid.T) {
	if !flow.Ready(l.d) {
		return
	}
	if !l.now.Before(l.d.ExpiresAt) {
		l.do(t, op{name: "refuse"}, func() flow.Move { return flow.Refuse(&l.p, l.d, "expired", "", l.now) })
		if l.d.InFlight() && flow.Ready(l.d) {
			t.Fatal("ready after a refusal")
		}
		return
	}
	l.do(t, op{name: "attempt"}, func() flow.Move {
		w, m := flow.Attempt(&l.p, l.d, 7, l.now)
		l.wire = append(l.wire, w)
		return m
	})
}

// answered takes one attempt off the wire.
func (l *life) answered(t *rapid.T) (flow.Which, bool) {
	if len(l.wire) == 0 {
		return flow.Which{}, false
	}
	i := rapid.IntRange(0, len(l.wire)-1).Draw(t, "attempt")
	w := l.wire[i]
	l.wire = append(l.wire[:i], l.wire[i+1:]...)
	return w, true
}

func (l *life) taken(t *rapid.T) {
	w, ok := l.answered(t)
	if !ok {
		return
	}
	var parts []message.Part
	for i := range rapid.IntRange(0, 3).Draw(t, "parts") {
		parts = append(parts, message.Part{Ref: []byte{1}, Key: message.RefKey{byte(i)}})
	}
	l.do(t, op{name: "taken"}, func() flow.Move { return flow.Answer(&l.p, l.d, w, parts, nil, l.now) })
}

func (l *life) fault(t *rapid.T) {
	w, ok := l.answered(t)
	if !ok {
		return
	}
	f := anyFault(t, rapid.IntRange(0, 3).Draw(t, "certain") > 0)
	no := f.Certain && (f.Kind == message.OptedOut || f.Kind == message.Capped)
	l.do(t, op{name: "fault " + f.Error(), failure: f.Certain, no: no}, func() flow.Move { return flow.Answer(&l.p, l.d, w, nil, f, l.now) })
}

func (l *life) receipt(t *rapid.T) {
	var all []flow.Which
	for i := range l.d.Steps {
		for j := range l.d.Steps[i].Attempts {
			all = append(all, flow.Which{Step: i, Attempt: j})
		}
	}
	if len(all) == 0 {
		return
	}
	x := told{w: rapid.SampledFrom(all).Draw(t, "about"), part: rapid.IntRange(-1, 2).Draw(t, "part")}
	x.r.Status = message.ReceiptStatus(rapid.IntRange(1, 6).Draw(t, "status"))
	x.r.At = l.now.Add(rapid.SampledFrom([]time.Duration{-time.Minute, 0, time.Minute}).Draw(t, "at"))
	if x.r.Status == message.ReceiptFailed && rapid.Bool().Draw(t, "why") {
		x.r.Fault = anyFault(t, true)
	}
	switch rapid.IntRange(0, 5).Draw(t, "price") {
	case 0:
		x.r.Price = &message.ProviderPrice{Billable: true, Category: "utility", Type: "regular"}
	case 1:
		x.r.Price = &message.ProviderPrice{Category: "service", Type: "free_customer_service"}
	case 2:
		x.r.Price = &message.ProviderPrice{Billable: true, Category: "utility", Amount: &message.Money{Micros: 40_000, Currency: "EUR"}}
	}
	l.told = append(l.told, x)
	l.tell(t, x)
}

// tell hands a receipt over twice: the second time is nothing new.
func (l *life) tell(t *rapid.T, x told) {
	o := op{name: fmt.Sprintf("receipt %s of %v part %d", x.r.Status, x.w, x.part)}
	o.evidence = x.r.Status == message.ReceiptDelivered || x.r.Status == message.ReceiptRead
	o.failure = x.r.Status == message.ReceiptFailed || x.r.Status == message.ReceiptExpired
	o.no = x.r.Fault != nil && (x.r.Fault.Kind == message.OptedOut || x.r.Fault.Kind == message.Capped)
	if x.r.Fault != nil {
		o.name += " " + x.r.Fault.Kind.String()
	}
	l.do(t, o, func() flow.Move { return flow.Receipt(&l.p, l.d, x.w, x.part, &x.r, l.now) })
	o.name += " again"
	if m := l.do(t, o, func() flow.Move { return flow.Receipt(&l.p, l.d, x.w, x.part, &x.r, l.now) }); m.Changed {
		for _, line := range l.log {
			t.Log(line)
		}
		t.Fatalf("%s: the second time changed something: %+v", o.name, m)
	}
}

func (l *life) tick(t *rapid.T) flow.Move {
	return l.do(t, op{name: "tick", tick: true}, func() flow.Move { return flow.Tick(&l.p, l.d, l.now) })
}

func (l *life) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"attempt": l.attempt, "attempt again": l.attempt, "taken": l.taken, "taken too": l.taken, "fault": l.fault, "receipt": l.receipt, "receipt too": l.receipt,
		"repeat": func(t *rapid.T) {
			if len(l.told) > 0 {
				l.tell(t, rapid.SampledFrom(l.told).Draw(t, "repeated"))
			}
		},
		"not sent": func(t *rapid.T) {
			if w, ok := l.answered(t); ok {
				l.do(t, op{name: "not sent", failure: true}, func() flow.Move { return flow.NotSent(&l.p, l.d, w, flow.ReasonRetry, l.now) })
			}
		},
		"lost": func(t *rapid.T) {
			if w, ok := l.answered(t); ok {
				l.do(t, op{name: "lost"}, func() flow.Move { return flow.Lost(&l.p, l.d, w, l.now) })
			}
		},
		"due": func(t *rapid.T) {
			if l.d.Due.After(l.now) {
				l.now = l.d.Due
			}
			l.tick(t)
		},
		"time": func(t *rapid.T) {
			l.now = l.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 15 * time.Second, 3 * time.Minute, 2 * time.Hour}).Draw(t, "span"))
			l.tick(t)
		},
		"no time": func(t *rapid.T) {
			l.tick(t)
			if m := l.tick(t); m.Changed {
				t.Fatalf("a second tick at the same instant did something: %+v", m)
			}
		},
		"hold": func(t *rapid.T) {
			if flow.Ready(l.d) {
				l.do(t, op{name: "hold"}, func() flow.Move {
					return flow.Hold(&l.p, l.d, l.now.Add(time.Minute), "hours", "", l.now)
				})
			}
		},
		"skip": func(t *rapid.T) {
			if flow.Ready(l.d) {
				l.do(t, op{name: "skip", failure: true}, func() flow.Move { return flow.Skip(&l.p, l.d, "unreachable", "", l.now) })
			}
		},
		"cancel": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
				return
			}
			tried := false
			for i := range l.d.Steps {
				tried = tried || len(l.d.Steps[i].Attempts) > 0
			}
			l.do(t, op{name: "cancel"}, func() flow.Move {
				ok, m := flow.Cancel(&l.p, l.d, l.now)
				if ok != m.Changed || ok && (tried || l.d.State != message.Cancelled) {
					t.Fatalf("cancelled = %v, tried = %v, %s", ok, tried, l.d.State)
				}
				return m
			})
		},
		"replied": func(t *rapid.T) {
			l.do(t, op{name: "replied"}, func() flow.Move { return flow.Replied(&l.p, l.d, l.now) })
		},
	}
}
