package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

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
	if json.Valid(in.Raw) {
		personal["raw"] = json.RawMessage(in.Raw)
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
