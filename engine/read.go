package engine

import (
	"context"
	"errors"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// readIn bounds the one call of MarkRead.
const readIn = 10 * time.Second

// MarkRead shows a person that their message, and all they wrote before, was
// read; with typing also that an answer is coming. It is one call to the
// provider and changes nothing here, so it may be repeated. It fails with
// store.ErrNotFound or a *Refusal.
func (e *Engine) MarkRead(ctx context.Context, ws message.WorkspaceID, id message.MessageID, typing bool) error {
	list, err := e.store.Messages(ctx, ws, []message.MessageID{id})
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0] == nil {
		return store.ErrNotFound
	}
	m := list[0]
	if m.Direction != store.MO {
		return &Refusal{Code: CodeInvalid, Field: "id", Detail: "this message was sent by you", Remedy: "give a message a person sent: GET /v1/messages?direction=inbound lists them"}
	}
	p, err := e.o.People.ByID(ctx, ws, m.Contact)
	if err != nil {
		return err
	}
	if p.Erased() {
		return &Refusal{Code: CodeErased, Detail: "nothing of the contact is left"}
	}
	if len(m.Sealed) == 0 {
		return &Refusal{Code: CodeInvalid, Field: "id", Detail: "what the provider called this message is not kept any more", Remedy: "mark a newer message: it covers the older ones"}
	}
	b, err := openBody(p, m.ID, m.Sealed)
	if err != nil {
		return err
	}
	cfg, err := e.o.Workspaces.Config(ctx, ws)
	if err != nil {
		return err
	}
	sender := cfg.Sender(m.Sender)
	reader := e.reader(sender)
	if reader == nil || b.Inbound == nil || b.Inbound.ID == "" {
		return &Refusal{Code: CodeNoRead, Detail: string(m.Channel) + " cannot show that a message was read", Remedy: "leave the call out for this channel"}
	}
	ctx, cancel := context.WithTimeout(ctx, readIn)
	defer cancel()
	err = reader.MarkRead(ctx, message.Sender{ID: sender.ID, Channel: sender.Channel, Address: sender.Address}, b.Inbound.ID, typing)
	if err == nil {
		return nil
	}
	refusal := &Refusal{Code: CodeProvider, Detail: "the provider did not answer as it should", Remedy: "try again, or leave it: nothing else waits for it"}
	var f *message.Fault
	if errors.As(err, &f) {
		e.log.Debug("not marked as read", "message", id, "fault", f.Kind.String(), "code", f.Code)
		refusal.Detail = "the provider answered: " + f.Kind.String() + ", code " + f.Code
		if f.Kind == message.Refused {
			refusal.Remedy = "mark a newer message: providers forget old ones"
		}
	}
	return refusal
}

// reader gives the account of a sender that can mark messages as read; nil
// when there is none.
func (e *Engine) reader(s *store.Sender) channel.Reader {
	if s == nil {
		return nil
	}
	for _, id := range s.Connectors {
		if a := e.owner.account(id); a != nil {
			if r, ok := a.conn.(channel.Reader); ok {
				return r
			}
		}
	}
	return nil
}
