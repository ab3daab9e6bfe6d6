package engine

import (
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// begin asks the message's shard to record an attempt; the send follows its
// commit.
func (l *lane) begin(j *job) {
	rec := j.rec
	j.rec = nil // the shard's from here on
	l.e.tell(input{
		ws: j.ws, id: j.id, rec: rec,
		act:  func(t *turn) { l.attempt(t, j) },
		gone: func() { l.release(j, false) },
		job:  j,
	})
}

// attempt runs on the shard: the gates again, then the attempt (law 7).
func (l *lane) attempt(t *turn, j *job) {
	d := t.r.d
	if s := d.Step(); s != nil && s.State == message.StepSending && !j.begun.IsZero() {
		if last := s.Last(); last.Outcome == message.Started && last.Fence == l.token && last.StartedAt.Equal(j.begun) {
			// Our own attempt, whose commit turned out to have happened although
			// its answer was lost: nothing has left yet, so it goes again.
			t.moved(flow.NotSent(&l.e.policy, d, flow.Which{Step: d.Current, Attempt: len(s.Attempts) - 1}, flow.ReasonRetry, t.now))
			t.releases(l, j)
			return
		}
	}
	if !flow.Ready(d) || flow.Connector(d) != l.acc.id || t.try != nil || !l.may() {
		t.releases(l, j)
		return
	}
	cfg, err := l.e.o.Workspaces.Config(l.e.ctx, t.r.ws)
	if err != nil {
		t.releases(l, j)
		return
	}
	person, err := t.who()
	if err != nil {
		t.releases(l, j)
		return
	}
	l.judge(t, j, cfg, person)
}

// judge asks the gates and moves a delivery that is ready: to an attempt, which
// leaves after the commit, or where they say.
func (l *lane) judge(t *turn, j *job, cfg *workspace.Config, person *contact.Person) {
	d := t.r.d
	s := d.Step()
	sender := cfg.Sender(s.Sender)
	if sender == nil {
		t.moved(flow.Skip(&l.e.policy, d, "sender_deleted", "", t.now))
		t.releases(l, j)
		return
	}
	if person.Erased() {
		t.moved(flow.Refuse(&l.e.policy, d, "contact_erased", "", t.now))
		t.releases(l, j)
		return
	}
	f := l.e.facts(person, l.acc.typ, sender, d.Purpose, t.now)
	f.Expires, f.Mode, f.Limit, f.Estimate = d.ExpiresAt, s.Mode, d.Limit, s.Estimate
	f.Template = templateState(cfg, s)
	f.Fallback = f.Template == message.TemplateApproved
	decision := gate.Check(&f)
	switch decision.Word {
	case gate.Hold:
		t.moved(flow.Hold(&l.e.policy, d, decision.Until, decision.Reason, decision.Detail, t.now))
		t.releases(l, j)
		return
	case gate.Skip:
		t.moved(flow.Skip(&l.e.policy, d, decision.Reason, decision.Detail, t.now))
		t.releases(l, j)
		return
	case gate.Refuse:
		t.moved(flow.Refuse(&l.e.policy, d, decision.Reason, decision.Detail, t.now))
		t.releases(l, j)
		return
	case gate.UseTemplate:
		s.Mode, s.Reason = message.Template, flow.ReasonWindowTemplate
	}
	if s.Mode == message.Template {
		// The step may have been planned as free-form, or the template's own
		// time-to-live may have changed since: what is told is what goes out.
		l.e.requote(t, cfg, sender, l.acc.typ, s, &f)
		if gate.Over(&f) {
			t.moved(flow.Skip(&l.e.policy, d, gate.PriceAboveLimit, "", t.now))
			t.releases(l, j)
			return
		}
	}
	out, linked, err := l.e.outbound(t, cfg, sender, l.acc, person)
	if err != nil {
		t.moved(flow.Skip(&l.e.policy, d, "content_not_readable", "", t.now))
		t.releases(l, j)
		return
	}
	l.owe(j, s.Segments-1, t.now)
	w, mv := flow.Attempt(&l.e.policy, d, l.token, t.now)
	j.begun = time.UnixMicro(t.now.UnixMicro()) // as the store gives it back
	t.moved(mv)
	out.Echo = message.Echo{Message: d.ID, Step: w.Step, Attempt: w.Attempt}.String()
	t.try = &try{
		l: l, j: j, out: out, linked: linked, at: w, person: person,
		fence: store.Fence{Connector: l.acc.id, Token: l.token},
		guard: store.Guard{Contact: person.Version, Config: cfg.Version},
	}
}

// releases lets a job leave its lane once the turn is durable.
func (t *turn) releases(l *lane, j *job) { t.after(func() { l.release(j, false) }) }

// may reports whether an attempt may begin under the lease.
func (l *lane) may() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.stopped && time.Now().Before(l.goodFor)
}

// release ends a message's stay in the lane and lets the next one of its
// identity go.
func (l *lane) release(j *job, worked bool) {
	l.mu.Lock()
	delete(l.present, j.id)
	l.inflight--
	l.trial = false
	if worked && l.broken != nil {
		l.broken = nil
		l.e.spawn(func() { l.e.healed(l.acc) })
	}
	chain := l.chains[j.identity]
	delete(l.chains, j.identity)
	l.again(chain)
	l.mu.Unlock()
	l.signal()
}
