package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

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

// recipient is who a request goes to, looked up.
type recipient struct {
	addr    message.Address
	country string
}

func (e *Engine) recipient(cfg *workspace.Config, r *Request) (recipient, error) {
	to := &r.To
	switch {
	case to.Phone != "" && to.Contact.IsZero() && to.ID == "":
		number, country, err := e.o.Phones.Normalize(to.Phone, cfg.Settings.DefaultRegion)
		if err != nil {
			return recipient{}, &Refusal{Code: CodeBadNumber, Field: "to", Detail: "the phone number is not usable: " + err.Error(), Remedy: "give it in E.164 form, a plus, the country code and the number"}
		}
		return recipient{message.Address{Channel: message.Phone, ID: number}, country}, nil
	case to.ID != "" && to.Phone == "" && to.Contact.IsZero():
		if to.Channel == "" {
			return recipient{}, &Refusal{Code: CodeBadRecipient, Field: "to.channel", Detail: "an id needs the channel it belongs to", Remedy: "add channel, such as \"whatsapp\""}
		}
		return recipient{addr: message.Address{Channel: to.Channel, ID: to.ID}}, nil
	case !to.Contact.IsZero() && to.Phone == "" && to.ID == "":
		return recipient{}, nil
	}
	return recipient{}, &Refusal{Code: CodeBadRecipient, Field: "to", Detail: "exactly one recipient is needed", Remedy: "give a phone number, {\"contact\": …} or {\"channel\": …, \"id\": …}"}
}

// mentioned refuses ids of a request that are not the workspace's.
func (e *Engine) mentioned(ctx context.Context, ws message.WorkspaceID, cfg *workspace.Config, r *Request) error {
	if !r.To.Sender.IsZero() {
		if s := cfg.Sender(r.To.Sender); s == nil || r.To.Channel != "" && s.Channel != r.To.Channel {
			return &Refusal{Code: CodeNoSender, Field: "to.sender", Detail: "the workspace has no such sender on this channel", Remedy: "use one that GET /v1/senders lists, or leave it out"}
		}
	}
	if r.ReplyTo.IsZero() {
		return nil
	}
	list, err := e.store.Messages(ctx, ws, []message.MessageID{r.ReplyTo})
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0] == nil {
		return &Refusal{Code: CodeInvalid, Field: "reply_to", Detail: "there is no such message to answer", Remedy: "give the id of a message of this conversation, or leave it out"}
	}
	return nil
}

// together finds or drafts everybody a batch writes to by address with one
// read. Who is missing from its answer is looked for alone.
func (e *Engine) together(ctx context.Context, ws message.WorkspaceID, rs []*Request, todo []int) map[int]*contact.Person {
	if len(todo) < 2 {
		return nil
	}
	cfg, err := e.o.Workspaces.Config(ctx, ws)
	if err != nil {
		return nil
	}
	which := make([]int, 0, len(todo))
	addrs := make([]message.Address, 0, len(todo))
	for _, i := range todo {
		if rc, err := e.recipient(cfg, rs[i]); err == nil && rc.addr.ID != "" {
			which, addrs = append(which, i), append(addrs, rc.addr)
		}
	}
	found, err := e.o.People.Find(ctx, ws, addrs)
	if err != nil {
		return nil
	}
	people := make(map[int]*contact.Person, len(found))
	for n, p := range found {
		people[which[n]] = p
	}
	return people
}

// person finds or drafts who a request goes to. known is that person, where it
// was found already.
func (e *Engine) person(ctx context.Context, ws message.WorkspaceID, cfg *workspace.Config, r *Request, known *contact.Person) (*contact.Person, recipient, error) {
	rc, err := e.recipient(cfg, r)
	if err != nil {
		return nil, rc, err
	}
	if !r.To.Contact.IsZero() {
		p, err := e.o.People.ByID(ctx, ws, r.To.Contact)
		if errors.Is(err, store.ErrNotFound) {
			return nil, rc, &Refusal{Code: CodeNoContact, Field: "to.contact", Detail: "there is no such contact", Remedy: "create it, or send to a phone number"}
		}
		if err != nil {
			return nil, rc, err
		}
		if p.Erased() {
			return nil, rc, &Refusal{Code: CodeErased, Field: "to.contact", Detail: "this contact was erased", Remedy: "nothing can be sent to an erased contact"}
		}
		if a, _, ok := p.Address([]message.Channel{message.Phone}); ok {
			rc.addr = a
			if _, country, err := e.o.Phones.Normalize(a.ID, ""); err == nil {
				rc.country = country
			}
		}
		return p, rc, nil
	}
	if known != nil {
		return known, rc, nil
	}
	found, err := e.o.People.Find(ctx, ws, []message.Address{rc.addr})
	if err != nil {
		return nil, rc, err
	}
	return found[0], rc, nil
}
