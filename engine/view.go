package engine

import (
	"context"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// View tells the whole story of a message. It fails with store.ErrNotFound.
func (e *Engine) View(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (*View, error) {
	list, err := e.store.Messages(ctx, ws, []message.MessageID{id})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0] == nil {
		return nil, store.ErrNotFound
	}
	v, err := e.view(ctx, list[0])
	if err != nil {
		return nil, err
	}
	v.Charges, err = e.store.Charges(ctx, ws, id)
	return v, err
}

// List tells of many messages, newest first.
func (e *Engine) List(ctx context.Context, ws message.WorkspaceID, f store.Filter) ([]*View, error) {
	list, err := e.store.List(ctx, ws, f)
	if err != nil {
		return nil, err
	}
	out := make([]*View, len(list))
	for i, m := range list {
		if out[i], err = e.view(ctx, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *Engine) view(ctx context.Context, m *store.Stored) (*View, error) {
	v := &View{Message: m.Message, Delivery: m.Delivery}
	p, err := e.o.People.ByID(ctx, m.Workspace, m.Contact)
	if err != nil {
		return nil, err
	}
	if p.Erased() {
		v.Erased = true
		return v, nil
	}
	if len(m.Sealed) == 0 {
		return v, nil // its content was purged
	}
	b, err := openBody(p, m.ID, m.Sealed)
	if err != nil {
		return nil, err
	}
	v.To, v.Content, v.Template, v.Metadata, v.Inbound, v.ReplyTo = b.To.ID, &b.Content, b.Template, b.Metadata, b.Inbound, b.ReplyTo
	if m.Delivery == nil {
		return v, nil
	}
	v.Refs = make([][][]string, len(m.Delivery.Steps))
	for i := range m.Delivery.Steps {
		s := &m.Delivery.Steps[i]
		v.Refs[i] = make([][]string, len(s.Attempts))
		for j := range s.Attempts {
			for _, part := range s.Attempts[j].Parts {
				raw, err := p.Open(sealRef, m.ID, part.Ref)
				if err != nil {
					raw = nil
				}
				v.Refs[i][j] = append(v.Refs[i][j], string(raw))
			}
		}
	}
	return v, nil
}
