package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// sealRef is what provider ids are sealed for.
const sealRef = "deliveries.ref"

// sendTimeout bounds one hand-over; connectors may end sooner.
const sendTimeout = 60 * time.Second

// country gives where the recipient's number belongs; "" when there is none.
func (e *Engine) country(t *turn) string {
	if t.r.d.Country != "" {
		return t.r.d.Country
	}
	p, err := t.who()
	if err != nil || p.Erased() {
		return ""
	}
	a, _, ok := p.Address([]message.Channel{message.Phone})
	if !ok {
		return ""
	}
	_, country, err := e.o.Phones.Normalize(a.ID, "")
	if err != nil {
		return ""
	}
	t.r.d.Country = country
	return country
}

// outbound makes what a connector is handed for the current step, and lists
// the files in it that stand as links.
func (e *Engine) outbound(t *turn, cfg *workspace.Config, sender *store.Sender, a *account, p *contact.Person) (*message.Outbound, []message.MediaID, error) {
	b, err := t.content()
	if err != nil {
		return nil, nil, err
	}
	d := t.r.d
	s := d.Step()
	to, _, ok := p.Address(a.typ.Addressed)
	if !ok {
		return nil, nil, store.ErrNotFound
	}
	content, use := b.step(d.Current)
	out := &message.Outbound{
		Message: d.ID, Workspace: d.Workspace, To: to,
		From:    message.Sender{ID: sender.ID, Channel: sender.Channel, Address: sender.Address},
		Purpose: d.Purpose, ValidFor: s.ValidFor, Priority: d.Purpose.Priority(),
	}
	if s.Mode == message.Template {
		name, language := cutTemplate(s.Template)
		out.Template = fill(cfg, sender.ID, name, language, use, content.Text)
		return out, nil, nil
	}
	rendered, err := a.typ.Render(e.linked(e.ctx, d.Workspace, d.ID, content), nil)
	if err != nil {
		return nil, nil, err
	}
	out.Content, s.Segments = rendered.Content, max(rendered.Segments, 1)
	if !a.typ.Window && !d.ExpiresAt.IsZero() {
		// The provider need not try longer than the message lives.
		out.ValidFor = min(s.ValidFor, max(d.ExpiresAt.Sub(t.now), time.Second))
	}
	if !b.ReplyTo.IsZero() {
		out.ReplyTo = e.providerID(t.r.ws, b.ReplyTo)
	}
	return out, links(content, &out.Content), nil
}

// A try is an attempt that is recorded: once that is durable, the message is
// handed to its connector.
type try struct {
	l      *lane
	j      *job
	out    *message.Outbound
	linked []message.MediaID
	at     flow.Which
	person *contact.Person
	fence  store.Fence
	guard  store.Guard

	parts []message.Part // what the provider answered
	fault *message.Fault // or why it did not
}

// send hands the message over once, off the shard, and tells the shard how it
// ended.
func (x *try) send() {
	x.l.e.sends.Add(1)
	go x.run()
}

func (x *try) run() {
	e := x.l.e
	defer e.sends.Done()
	x.l.wire <- struct{}{}
	crashpoint.At(crashpoint.Attempted)
	ctx := e.onWire.context()
	var acc message.Accepted
	f := e.attach(x.l.acc, x.person, x.out, x.linked)
	if f == nil {
		var err error
		acc, err = x.l.acc.conn.Send(ctx, x.out)
		f = fault(err)
	}
	<-x.l.wire
	crashpoint.At(crashpoint.Sent)
	e.traceAttempt(x.l, x.j, x.at, x.out, f)
	x.ended(acc, f)
}

// fault types any error of a connector: one it does not understand may or may
// not have sent.
func fault(err error) *message.Fault {
	if err == nil {
		return nil
	}
	var f *message.Fault
	if errors.As(err, &f) {
		return f
	}
	return &message.Fault{Kind: message.Transient, Title: "no answer", Cause: err}
}

// ended tells the shard how the hand-over ended.
func (x *try) ended(acc message.Accepted, f *message.Fault) {
	e, l, j := x.l.e, x.l, x.j
	if f != nil {
		e.log.Debug("attempt failed", "message", j.id, "connector", l.acc.id, "fault", f.Kind.String(), "code", f.Code, "certain", f.Certain)
		if f.Unmapped {
			e.log.Warn("unmapped provider code", "connector", l.acc.id, "code", f.Code)
		}
	}
	f = e.widened(l.acc, f)
	// The refs are known in memory before the receipt can be looked for: told
	// after this, it is joined in the same write.
	x.parts, x.fault = e.parts(l.acc, x.person, j.id, acc.Parts), f
	e.known(l.acc, j, x.at, x.parts)
	if f != nil && f.Certain && f.Kind == message.Misconfigured && f.Scope != message.ScopeSender && l.fail(f, e.now()) {
		e.spawn(func() { e.broke(l.acc, f) }) // before the next is picked, not when this outcome is stored
	}
	l.release(j, f == nil)
	x.out, x.linked, x.person = nil, nil, nil // an outcome may wait for its receipt
	e.tell(input{ws: j.ws, id: j.id, rec: j.rec, patient: true, act: x.outcome})
}

// outcome moves the delivery by how the hand-over ended.
func (x *try) outcome(t *turn) {
	e, f := t.e, x.fault
	var mv flow.Move
	if f != nil && f.Certain && f.Kind == message.Transient && errors.Is(f.Cause, context.Canceled) {
		mv = flow.NotSent(&e.policy, t.r.d, x.at, flow.ReasonRetry, t.now)
	} else {
		mv = flow.Answer(&e.policy, t.r.d, x.at, torn(x.parts, f, t.r.d.Steps[x.at.Step].Segments), f, t.now)
	}
	t.lost(x.at, mv)
	t.openRefs(x.l.acc, x.at)
	t.after(answered)
}

func answered() { crashpoint.At(crashpoint.Answered) }

// torn adds the parts of which nothing is known to those that were taken beside
// a fault: what arrives of the others is not the message. It gives a copy, which
// receipts change, while an outcome may have to be acted on again.
func torn(parts []message.Part, f *message.Fault, segments int) []message.Part {
	parts = slices.Clone(parts)
	if f == nil || len(parts) == 0 {
		return parts
	}
	return append(parts, make([]message.Part, max(segments-len(parts), 1))...)
}

// parts seals and keys the provider's ids.
func (e *Engine) parts(a *account, p *contact.Person, id message.MessageID, ids []string) []message.Part {
	if len(ids) == 0 {
		return nil
	}
	room, err := e.o.Workspaces.Get(e.ctx, a.ws)
	if err != nil {
		return nil
	}
	parts := make([]message.Part, len(ids))
	for i, ref := range ids {
		parts[i].Key = room.Keys.Ref(a.id, ref)
		if sealed, err := p.Seal(sealRef, id, []byte(ref)); err == nil {
			parts[i].Ref = sealed // an erased person's ids are kept by hash alone
		}
	}
	return parts
}

// known puts an attempt's refs where receipts look first.
func (e *Engine) known(a *account, j *job, w flow.Which, parts []message.Part) {
	if a.receipts().Echo {
		return
	}
	for i, part := range parts {
		e.refs.put(store.OpenRef{
			RefName: store.RefName{Connector: a.id, Key: part.Key}, Workspace: j.ws, Message: j.id,
			Step: uint8(w.Step), Attempt: uint16(w.Attempt), Part: uint8(i),
		})
	}
}

// openRefs makes the parts of an attempt findable by the provider's ids, where
// receipts do not echo ours.
func (t *turn) openRefs(a *account, w flow.Which) {
	if a.receipts().Echo || !a.receipts().Delivered {
		return
	}
	s := &t.r.d.Steps[w.Step]
	at := &s.Attempts[w.Attempt]
	expires := at.StartedAt.Add(s.Expect)
	for i, part := range at.Parts {
		if part.State == 0 && part.Key != (message.RefKey{}) {
			t.open = append(t.open, store.OpenRef{
				RefName: store.RefName{Connector: a.id, Key: part.Key}, Workspace: t.r.ws, Message: t.r.d.ID,
				Step: uint8(w.Step), Attempt: uint16(w.Attempt), Part: uint8(i), At: at.StartedAt, Expires: expires,
			})
		}
	}
}

// lost takes over a move; where it made an attempt unknown, the attempt becomes
// findable by its addresses, so that a receipt that fits no other can settle it.
func (t *turn) lost(w flow.Which, mv flow.Move) {
	t.moved(mv)
	s := &t.r.d.Steps[w.Step]
	a := t.e.owner.account(s.Attempts[w.Attempt].Connector)
	if !mv.Changed || s.State != message.StepUnknown || a == nil || a.receipts().Echo {
		return
	}
	cfg, err := t.e.o.Workspaces.Config(t.e.ctx, t.r.ws)
	if err != nil {
		return
	}
	p, err := t.who()
	if err != nil {
		return
	}
	to, _, ok := p.Address(a.typ.Addressed)
	sender := cfg.Sender(s.Sender)
	if !ok || sender == nil {
		return
	}
	key, err := t.e.inferKey(a, to.ID, sender.Address)
	if err != nil {
		return
	}
	at := s.Attempts[w.Attempt].StartedAt
	t.open = append(t.open, store.OpenRef{
		RefName: store.RefName{Connector: a.id, Key: key}, Workspace: t.r.ws, Message: t.r.d.ID,
		Step: uint8(w.Step), Attempt: uint16(w.Attempt), Inferred: true, At: at, Expires: at.Add(t.e.policy.UnknownEnd),
	})
}

// inferKey is the key of an unknown attempt: its two addresses.
func (e *Engine) inferKey(a *account, to, from string) (message.RefKey, error) {
	room, err := e.o.Workspaces.Get(e.ctx, a.ws)
	if err != nil {
		return message.RefKey{}, err
	}
	return room.Keys.Ref(a.id, "\x00"+digits(to)+"\x00"+from), nil
}

// digits keeps what two spellings of a number share.
func digits(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// reach acts on a fault beyond its message: the person, the window, the pace
// and the health of the account.
func (e *Engine) reach(r *record, m flow.Move) {
	s := &r.d.Steps[m.At.Step]
	a := e.owner.account(s.Connector)
	if a != nil {
		l := a.lane()
		if l != nil && m.Slow != nil {
			l.slow(m.Slow, r.identity, e.now())
		}
		// Of an attempt of ours this was known when it was answered: what is stored
		// of it later does not put off the next try.
		if l != nil && m.Pause != nil && !l.ailing() && l.fail(m.Pause, e.now()) {
			e.spawn(func() { e.broke(a, m.Pause) })
		}
	}
	if m.Remember == nil && m.Suppress == nil && !m.CloseWindow {
		return
	}
	ws, who, sender, channel, identity := r.ws, r.d.Contact, s.Sender, s.Channel, r.identity
	e.spawn(func() { e.remember(ws, who, identity, sender, channel, m) })
}
