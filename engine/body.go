package engine

import (
	"encoding/json"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
)

// A body is the personal part of a message: sealed at rest under the contact's
// key.
type body struct {
	To       message.Address      `json:"to,omitzero"`
	Content  message.Content      `json:"content,omitzero"`
	Template *message.TemplateUse `json:"template,omitempty"`
	Steps    []stepBody           `json:"steps,omitempty"` // by step of the route; empty: all use the above
	ReplyTo  message.MessageID    `json:"reply_to,omitzero"`
	Inbound  *message.Inbound     `json:"inbound,omitempty"` // MO
	Metadata map[string]string    `json:"metadata,omitempty"`
}

type stepBody struct {
	Content  *message.Content     `json:"content,omitempty"`
	Template *message.TemplateUse `json:"template,omitempty"`
}

// step gives the content and template of one step of the route.
func (b *body) step(i int) (*message.Content, *message.TemplateUse) {
	c, t := &b.Content, b.Template
	if i < len(b.Steps) {
		if b.Steps[i].Content != nil {
			c = b.Steps[i].Content
		}
		if b.Steps[i].Template != nil {
			t = b.Steps[i].Template
		}
	}
	return c, t
}

// seal gives what is stored of a body.
func (b *body) seal(p *contact.Person, id message.MessageID) ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return p.Seal(contact.PurposeContent, id, raw)
}

// openBody reads what seal gave.
func openBody(p *contact.Person, id message.MessageID, sealed []byte) (*body, error) {
	raw, err := p.Open(contact.PurposeContent, id, sealed)
	if err != nil {
		return nil, err
	}
	b := new(body)
	if err := json.Unmarshal(raw, b); err != nil {
		return nil, err
	}
	return b, nil
}

// content gives the opened body of the turn's message.
func (t *turn) content() (*body, error) {
	if t.r.body == nil {
		if t.r.bare {
			t.stale = true
			return nil, errBare
		}
		p, err := t.who()
		if err != nil {
			return nil, err
		}
		if t.r.body, err = openBody(p, t.r.d.ID, t.r.sealed); err != nil {
			return nil, err
		}
	}
	return t.r.body, nil
}

// personal seals what an event may carry beside its facts: the metadata the
// client gave. A contact that was erased leaves none.
func (t *turn) personal(ev message.EventID) []byte {
	if !t.r.d.Labelled {
		return nil
	}
	b, err := t.content()
	if err != nil || len(b.Metadata) == 0 {
		return nil
	}
	p, err := t.who()
	if err != nil {
		return nil
	}
	raw, err := json.Marshal(struct {
		Metadata map[string]string `json:"metadata"`
	}{b.Metadata})
	if err != nil {
		return nil
	}
	sealed, err := p.SealEvent(ev, raw)
	if err != nil {
		return nil
	}
	return sealed
}
