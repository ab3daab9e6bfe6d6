package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// dedupFor is how long a provider may repeat an inbound event (law 1).
const dedupFor = 7 * 24 * time.Hour

// receive stores one message a person sent: identity, contact, window, consent
// words, conversation. It returns nil when it is durable, also when it was
// before.
func (e *Engine) receive(a *account, in *message.Inbound) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), sendTimeout)
	defer cancel()
	for try := 0; ; try++ {
		again, err := e.receiveOnce(ctx, a, in)
		if err != nil || !again {
			return err
		}
		if try == 5 {
			return store.ErrUnavailable
		}
	}
}

func (e *Engine) receiveOnce(ctx context.Context, a *account, in *message.Inbound) (again bool, err error) {
	room, err := e.o.Workspaces.Get(ctx, a.ws)
	if err != nil {
		return false, err
	}
	cfg, err := e.o.Workspaces.Config(ctx, a.ws)
	if err != nil {
		return false, err
	}
	now := e.now()
	sender := e.endOf(cfg, a, in.To)
	person, err := e.writer(ctx, a.ws, in)
	if err != nil {
		return false, err
	}
	id := e.o.IDs.Message(now)
	_, index, ok := person.Address(a.typ.Addressed)
	if !ok {
		index = person.Index(in.From)
	}
	at := in.At
	if at.IsZero() || at.After(now) {
		at = now // never later than its arrival
	}
	e.choose(ctx, a, sender, person, in, now)
	rec := &store.Reception{
		Dedup: room.Keys.Ref(a.id, "in\x00"+in.ID), Forget: now.Add(dedupFor),
		Message: &store.Message{
			ID: id, Workspace: a.ws, Contact: person.ID, Direction: store.MO, Channel: a.typ.Channel,
			Identity: index, CreatedAt: now, ProviderAt: at,
		},
		NewContact: person.New,
	}
	if err := e.expect(rec, a, person, in); err != nil {
		return false, err
	}
	b := body{To: in.From, Content: in.Content, Inbound: in}
	if rec.Message.Sealed, err = b.seal(person, id); err != nil {
		return false, err
	}
	if sender != nil {
		rec.Message.Sender = sender.ID
	}
	if person.New == nil {
		for _, also := range in.Also {
			if identity, err := person.SealIdentity(also, now); err == nil {
				rec.Identities = append(rec.Identities, identity)
			}
		}
	} else {
		rec.Events = append(rec.Events, e.about(a.ws, event.ContactCreated, person.ID, now, []byte("{}")))
	}
	window := e.window(rec, a, sender, in, index, at, now)
	word := e.words(rec, cfg, a, sender, person, in, index, now)
	e.receivedEvents(rec, person, a, sender, in, window, word, now)
	verdicts, err := e.store.Receive(ctx, []*store.Reception{rec})
	if err != nil {
		return false, err
	}
	crashpoint.At(crashpoint.Received)
	switch verdicts[0] {
	case store.Done:
		if person.New != nil {
			e.o.People.Stored(person)
		}
		e.o.People.Forget(a.ws, person.ID) // windows and suppressions changed
		if len(rec.Media) > 0 {
			e.wakeFetch()
		}
		e.replied(ctx, a.ws, person.ID, now)
		return false, nil
	case store.Duplicate:
		return false, nil
	case store.StaleContact, store.IdentityTaken:
		e.o.People.Forget(a.ws, person.ID)
		return true, nil
	}
	return false, errors.New("engine: the store gave no verdict on a reception")
}

// endOf finds the sender a message came to; nil when none of ours has the
// address and the account carries several.
func (e *Engine) endOf(cfg *workspace.Config, a *account, to string) *store.Sender {
	if s := cfg.SenderByAddress(a.typ.Channel, to); s != nil {
		return s
	}
	var only *store.Sender
	for _, s := range cfg.SendersOf(a.typ.Channel) {
		for _, c := range s.Connectors {
			if c != a.id {
				continue
			}
			if d := digits(to); d != "" && d == digits(s.Address) {
				return s
			}
			if only != nil {
				return nil
			}
			only = s
		}
	}
	return only
}

// writer finds or drafts who wrote, by any of their addresses.
func (e *Engine) writer(ctx context.Context, ws message.WorkspaceID, in *message.Inbound) (*contact.Person, error) {
	all := append([]message.Address{in.From}, in.Also...)
	for _, addr := range all {
		p, err := e.o.People.Resolve(ctx, ws, addr)
		if err != nil {
			return nil, err
		}
		if p != nil {
			return p, nil
		}
	}
	return e.o.People.Draft(ctx, ws, all...)
}

// window opens or renews what the message opens.
func (e *Engine) window(rec *store.Reception, a *account, sender *store.Sender, in *message.Inbound, index [16]byte, at, now time.Time) *store.Window {
	if !a.typ.Window || sender == nil || in.Type == message.InRevoke {
		return nil
	}
	w, ok := e.o.Rules.As(at).Window(string(a.typ.Channel), "customer_service")
	if !ok {
		return nil
	}
	closes := w.ClosesAt(at)
	if !closes.After(now) {
		return nil // so late that it opens nothing
	}
	rec.Window = &store.Window{
		Identity: index, Sender: sender.ID, Kind: "service", OpenedBy: rec.Message.ID, OpenedAt: at, ClosesAt: closes,
	}
	return rec.Window
}

// words acts on STOP and its relatives, and on START.
func (e *Engine) words(rec *store.Reception, cfg *workspace.Config, a *account, sender *store.Sender, p *contact.Person, in *message.Inbound, index [16]byte, now time.Time) rules.Keyword {
	if in.Type != message.InText && in.Type != message.InReply {
		return rules.Keyword{}
	}
	text := in.Content.Text
	if in.Type == message.InReply {
		text = in.Choice
	}
	country := cfg.Settings.DefaultRegion
	if in.From.Channel == message.Phone {
		if _, c, err := e.o.Phones.Normalize(in.From.ID, ""); err == nil {
			country = c
		}
	}
	word := e.o.Rules.As(now).Match(text, "", country)
	scope := contact.ChannelScope(a.typ.Channel)
	if sender != nil {
		scope = contact.SenderScope(sender.ID)
	}
	s := store.Suppression{Workspace: rec.Message.Workspace, Index: index, Scope: scope, Reason: "keyword:" + word.Word, At: now}
	data, _ := json.Marshal(map[string]any{"scope": scope, "reason": s.Reason, "channel": a.typ.Channel})
	switch word.Action {
	case rules.Stop:
		rec.Suppress = append(rec.Suppress, s)
		rec.Events = append(rec.Events, e.about(rec.Message.Workspace, event.ContactOptedOut, p.ID, now, data))
	case rules.Start:
		if word.Pending {
			return rules.Keyword{} // YES counts only when we asked
		}
		rec.Allow = append(rec.Allow, s)
		for _, was := range p.Suppressed { // also what they said from another address
			if was.Scope == scope || was.Scope == contact.ChannelScope(a.typ.Channel) {
				was.At = now
				rec.Allow = append(rec.Allow, was)
			}
		}
		rec.Events = append(rec.Events, e.about(rec.Message.Workspace, event.ContactOptedIn, p.ID, now, data))
	}
	return word
}

// receivedEvents logs the message and its window.
func (e *Engine) receivedEvents(rec *store.Reception, p *contact.Person, a *account, sender *store.Sender, in *message.Inbound, w *store.Window, word rules.Keyword, now time.Time) {
	type received struct {
		Channel message.Channel     `json:"channel"`
		Sender  string              `json:"sender,omitempty"`
		Type    message.InboundType `json:"type"`
		Keyword string              `json:"keyword,omitempty"`
		Window  *time.Time          `json:"window_closes_at,omitempty"`
	}
	data := received{Channel: a.typ.Channel, Type: in.Type}
	if sender != nil {
		data.Sender = sender.ID.String()
	}
	if word.Action != "" {
		data.Keyword = string(word.Action)
	}
	if w != nil {
		data.Window = &w.ClosesAt
	}
	raw, _ := json.Marshal(&data)
	ev := e.about(rec.Message.Workspace, event.MessageReceived, p.ID, now, raw)
	ev.Message = rec.Message.ID
	personal := map[string]any{"from": in.From.ID, "content": in.Content}
	if in.Payload != "" {
		personal["payload"] = in.Payload
	}
	if in.Choice != "" {
		personal["choice"] = in.Choice
	}
	if in.Name != "" {
		personal["name"] = in.Name
	}
	if plain, err := json.Marshal(personal); err == nil {
		if ev.Sealed, err = p.SealEvent(ev.ID, plain); err != nil {
			ev.Sealed = nil
		}
	}
	rec.Events = append(rec.Events, ev)
	if w != nil {
		raw, _ := json.Marshal(map[string]any{"channel": a.typ.Channel, "sender": w.Sender, "kind": w.Kind, "closes_at": w.ClosesAt})
		rec.Events = append(rec.Events, e.about(rec.Message.Workspace, event.WindowOpened, p.ID, now, raw))
	}
}

func (e *Engine) about(ws message.WorkspaceID, typ string, who message.ContactID, now time.Time, data []byte) store.Event {
	ev := e.event(ws, typ, now, data)
	ev.Contact = who
	return ev
}

// replied tells the messages that wait for an answer of this person.
func (e *Engine) replied(ctx context.Context, ws message.WorkspaceID, who message.ContactID, now time.Time) {
	list, err := e.store.List(ctx, ws, store.Filter{Contact: who, Direction: store.MT, Since: now.Add(-30 * 24 * time.Hour), Limit: 50})
	if err != nil {
		e.log.Warn("messages awaiting an answer not readable", "error", err)
		return
	}
	for _, m := range list {
		if m.Delivery == nil || m.Delivery.Satisfied > 0 {
			continue
		}
		waits := false
		for i := range m.Delivery.Steps {
			waits = waits || m.Delivery.Steps[i].Next.NotReplied > 0 || m.Delivery.Steps[i].Next.NotRead > 0
		}
		if waits {
			e.tell(input{ws: ws, id: m.ID, act: func(t *turn) { t.moved(flow.Replied(&e.policy, t.r.d, t.now)) }})
		}
	}
}

// remember acts on a fault that says something about a person.
func (e *Engine) remember(ws message.WorkspaceID, who message.ContactID, identity [16]byte, sender message.SenderID, ch message.Channel, m flow.Move) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), sendTimeout)
	defer cancel()
	p, err := e.o.People.ByID(ctx, ws, who)
	if err != nil || p.Erased() {
		return
	}
	now := e.now()
	if m.Remember != nil {
		err = e.o.People.Remember(ctx, p, store.Reach{Index: identity, Channel: ch, Code: m.Remember.Code, Until: now.Add(unreachableFor)})
	}
	if m.Suppress != nil && err == nil {
		scope := contact.SenderScope(sender)
		if m.Suppress.Scope == message.ScopeMarketing {
			scope = contact.ScopeMarketing
		}
		reason := "provider:" + m.Suppress.Code
		data, _ := json.Marshal(map[string]any{"scope": scope, "reason": reason, "channel": ch})
		err = e.o.People.Suppress(ctx, p, identity, scope, reason, e.about(ws, event.ContactOptedOut, who, now, data))
	}
	if m.CloseWindow && err == nil {
		data, _ := json.Marshal(map[string]any{"channel": ch, "sender": sender, "reason": "provider"})
		err = e.o.People.CloseWindow(ctx, p, identity, sender, now, e.about(ws, event.WindowClosed, who, now, data))
	}
	if err != nil {
		e.log.Warn("what a fault says of a person was not stored", "contact", who, "error", err)
	}
}

// unreachableFor is how long a channel that did not reach a person is passed
// over: "mark unreachable for days" (facts, WhatsApp 131026).
const unreachableFor = 3 * 24 * time.Hour

// preference acts on a wish told by the provider.
func (e *Engine) preference(ctx context.Context, a *account, v *message.Preference) error {
	p, err := e.o.People.Resolve(ctx, a.ws, v.From)
	if err != nil || p == nil {
		return err
	}
	cfg, err := e.o.Workspaces.Config(ctx, a.ws)
	if err != nil {
		return err
	}
	scope := contact.ScopeMarketing
	if v.Scope == message.ScopeSender {
		scope = contact.ChannelScope(a.typ.Channel)
		if s := e.endOf(cfg, a, v.To); s != nil {
			scope = contact.SenderScope(s.ID)
		}
	}
	now := e.now()
	data, _ := json.Marshal(map[string]any{"scope": scope, "reason": "provider:preference", "channel": a.typ.Channel})
	if v.Allow {
		return e.o.People.Allow(ctx, p, scope, "provider:preference", e.about(a.ws, event.ContactOptedIn, p.ID, now, data))
	}
	return e.o.People.Suppress(ctx, p, p.Index(v.From), scope, "provider:preference", e.about(a.ws, event.ContactOptedOut, p.ID, now, data))
}

// identityChange gives a person their new address.
func (e *Engine) identityChange(ctx context.Context, a *account, v *message.IdentityChange) error {
	p, err := e.o.People.Resolve(ctx, a.ws, v.Old)
	if err != nil || p == nil {
		return err
	}
	if _, err := e.o.People.AddIdentity(ctx, p, v.New); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

// providerID gives the provider's id of one of our messages, or of one we
// received, to answer in its thread; "" when it cannot be told.
func (e *Engine) providerID(ws message.WorkspaceID, id message.MessageID) string {
	list, err := e.store.Messages(e.ctx, ws, []message.MessageID{id})
	if err != nil || len(list) == 0 || list[0] == nil {
		return ""
	}
	m := list[0]
	p, err := e.o.People.ByID(e.ctx, ws, m.Contact)
	if err != nil || p.Erased() {
		return ""
	}
	if m.Direction == store.MO {
		b, err := openBody(p, m.ID, m.Sealed)
		if err != nil || b.Inbound == nil {
			return ""
		}
		return b.Inbound.ID
	}
	for i := len(m.Delivery.Steps) - 1; i >= 0; i-- {
		s := &m.Delivery.Steps[i]
		if a := s.Last(); a != nil && len(a.Parts) > 0 {
			if raw, err := p.Open(sealRef, m.ID, a.Parts[0].Ref); err == nil {
				return string(raw)
			}
		}
	}
	return ""
}

// Callback verifies one HTTP request of a provider, keeps it and says what to
// answer; its events are worked on after that (law 1). It fails with
// store.ErrNotFound for an unknown connector, a *message.Fault or the
// connector's error for a request that is not the provider's, and the store's
// errors when it could not be kept: the provider will try again.
func (e *Engine) Callback(ctx context.Context, id message.ConnectorID, c *channel.Callback) (channel.Answer, error) {
	if !e.intake.Load() {
		return channel.Answer{}, ErrStopped
	}
	a := e.owner.account(id)
	if a == nil {
		return channel.Answer{}, store.ErrNotFound
	}
	receiver, ok := a.conn.(channel.Receiver)
	if !ok {
		return channel.Answer{}, store.ErrNotFound
	}
	answer, err := receiver.Verify(c)
	if err != nil || !answer.Keep {
		return answer, err
	}
	now := e.now()
	cb := &store.Callback{ID: message.EventID(e.o.IDs.Next(now)), Workspace: a.ws, Connector: a.id, At: now}
	if cb.Day, cb.Sealed, err = e.o.Workspaces.SealDay(ctx, a.ws, now, sealCallback, cb.ID, c.Body); err != nil {
		return channel.Answer{}, err
	}
	if err := e.store.Keep(ctx, []*store.Callback{cb}); err != nil {
		return channel.Answer{}, err
	}
	crashpoint.At(crashpoint.CallbackKept)
	e.process(a, cb, c.Body)
	return answer, nil
}

const sealCallback = "callback"

// process reads a kept callback and works off its events.
func (e *Engine) process(a *account, cb *store.Callback, raw []byte) {
	evs, err := a.conn.(channel.Receiver).Decode(raw)
	if err != nil {
		e.log.Warn("callback not readable: set aside", "connector", a.id, "callback", cb.ID)
		e.spawn(func() {
			if err := e.store.Defer(e.ctx, cb.ID, "not readable", time.Time{}); err != nil && e.ctx.Err() == nil {
				e.log.Warn("callback not set aside", "callback", cb.ID, "error", err)
			}
		})
		return
	}
	e.events(a, evs, func(err error) {
		if err == nil {
			e.finish.add(cb.ID)
			return
		}
		e.log.Warn("callback not worked off: it will be tried again", "callback", cb.ID, "error", err)
	})
}

// sweepCallbacks works off what a node left undone.
func (e *Engine) sweepCallbacks() {
	now := e.now()
	kept, err := e.store.Kept(e.ctx, now.Add(-10*time.Second), 200)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("callbacks not readable", "error", err)
		}
		return
	}
	for _, cb := range kept {
		if e.finish.has(cb.ID) {
			continue
		}
		a := e.owner.account(cb.Connector)
		if a == nil {
			continue
		}
		raw, err := e.o.Workspaces.OpenDay(e.ctx, cb.Workspace, cb.Day, sealCallback, cb.ID, cb.Sealed)
		until := now.Add(30 * time.Second << min(cb.Tries, 6))
		if err != nil || strings.TrimSpace(string(raw)) == "" {
			until = time.Time{}
		}
		// Counted before it is tried, so that one that kills us is not tried for ever.
		if cb.Tries >= 8 {
			until = time.Time{}
		}
		if derr := e.store.Defer(e.ctx, cb.ID, "tried again", until); derr != nil || until.IsZero() {
			continue
		}
		e.process(a, cb, raw)
	}
}
