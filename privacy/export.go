package privacy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A Document is everything held on one person: the answer to a request for
// access or portability (GDPR, articles 15 and 20). Times are UTC.
type Document struct {
	ExportedAt   time.Time             `json:"exported_at"`
	Workspace    message.WorkspaceID   `json:"workspace"`
	Contact      message.ContactID     `json:"contact"`
	CreatedAt    time.Time             `json:"created_at"`
	Profile      contact.Profile       `json:"profile"`
	Identities   []DocumentIdentity    `json:"identities"`
	Windows      []DocumentWindow      `json:"windows"`
	Suppressions []DocumentSuppression `json:"suppressions"`
	Unreachable  []DocumentReach       `json:"unreachable"`
	Messages     []DocumentMessage     `json:"messages"` // oldest first
	Events       []json.RawMessage     `json:"events"`   // as webhooks tell them, oldest first
}

// A DocumentIdentity is an address of the person.
type DocumentIdentity struct {
	Channel   message.Channel `json:"channel"`
	Scope     string          `json:"scope,omitempty"`
	ID        string          `json:"id"`
	CreatedAt time.Time       `json:"created_at"`
}

// A DocumentWindow is a span in which the brand may write freely.
type DocumentWindow struct {
	Kind     string           `json:"kind"`
	Sender   message.SenderID `json:"sender"`
	OpenedAt time.Time        `json:"opened_at"`
	ClosesAt time.Time        `json:"closes_at"`
}

// A DocumentSuppression is a wish not to be written to.
type DocumentSuppression struct {
	Scope  string    `json:"scope"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// A DocumentReach notes that a channel did not reach the person.
type DocumentReach struct {
	Channel message.Channel `json:"channel"`
	Code    string          `json:"code"`
	Until   time.Time       `json:"until"`
}

// A DocumentMessage is one message to or from the person, with its story.
type DocumentMessage struct {
	ID        message.MessageID `json:"id"`
	Direction string            `json:"direction"` // "to_person" or "from_person"
	Purpose   message.Purpose   `json:"purpose,omitempty"`
	Channel   message.Channel   `json:"channel,omitempty"`
	Sender    message.SenderID  `json:"sender,omitzero"`
	Address   string            `json:"address,omitempty"`
	At        time.Time         `json:"at"`
	Content   json.RawMessage   `json:"content"` // null when it was purged
	State     string            `json:"state,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	EndedAt   time.Time         `json:"ended_at,omitzero"`
	Steps     []DocumentStep    `json:"steps,omitempty"`
}

// A DocumentStep is one channel that was considered or tried.
type DocumentStep struct {
	Channel  message.Channel   `json:"channel"`
	Sender   message.SenderID  `json:"sender,omitzero"`
	State    string            `json:"state"`
	Reason   string            `json:"reason,omitempty"`
	Template string            `json:"template,omitempty"`
	Attempts []DocumentAttempt `json:"attempts,omitempty"`
}

// A DocumentAttempt is one hand-over to a provider.
type DocumentAttempt struct {
	StartedAt   time.Time `json:"started_at"`
	SentAt      time.Time `json:"sent_at,omitzero"`
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	ReadAt      time.Time `json:"read_at,omitzero"`
	FailedAt    time.Time `json:"failed_at,omitzero"`
	Outcome     string    `json:"outcome"`
	Code        string    `json:"code,omitempty"`
}

// Export gives everything held on a person as one JSON document, a [Document].
// Raw callbacks and webhook bodies under daily keys, gone within seven days,
// are not in it: what they said is. It reads the whole log of the workspace.
// It fails with store.ErrNotFound, or contact.ErrErased: then nothing is held.
func (o *Office) Export(ctx context.Context, ws message.WorkspaceID, who message.ContactID) ([]byte, error) {
	o.o.People.Forget(ws, who)
	p, err := o.o.People.ByID(ctx, ws, who)
	if err != nil {
		return nil, err
	}
	if p.Erased() {
		return nil, contact.ErrErased
	}
	doc := Document{
		ExportedAt: o.o.Now().UTC(), Workspace: ws, Contact: who, CreatedAt: p.CreatedAt,
		Identities: []DocumentIdentity{}, Windows: []DocumentWindow{}, Suppressions: []DocumentSuppression{},
		Unreachable: []DocumentReach{}, Messages: []DocumentMessage{}, Events: []json.RawMessage{},
	}
	if doc.Profile, err = p.OpenProfile(); err != nil {
		return nil, err
	}
	identities, err := o.o.People.Identities(p)
	if err != nil {
		return nil, err
	}
	for _, i := range identities {
		doc.Identities = append(doc.Identities, DocumentIdentity{Channel: i.Channel, Scope: i.Scope, ID: i.ID, CreatedAt: i.CreatedAt})
	}
	for _, w := range p.Windows {
		doc.Windows = append(doc.Windows, DocumentWindow{Kind: w.Kind, Sender: w.Sender, OpenedAt: w.OpenedAt, ClosesAt: w.ClosesAt})
	}
	for _, s := range p.Suppressed {
		doc.Suppressions = append(doc.Suppressions, DocumentSuppression{Scope: s.Scope, Reason: s.Reason, At: s.At})
	}
	for _, r := range p.Reach {
		doc.Unreachable = append(doc.Unreachable, DocumentReach{Channel: r.Channel, Code: r.Code, Until: r.Until})
	}
	err = o.messages(ctx, p, func(m *store.Stored) error {
		one, err := o.message(p, m)
		doc.Messages = append(doc.Messages, one)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(doc.Messages)
	if doc.Events, err = o.events(ctx, p); err != nil {
		return nil, err
	}
	return json.MarshalIndent(doc, "", "  ")
}

func (o *Office) message(p *contact.Person, m *store.Stored) (DocumentMessage, error) {
	out := DocumentMessage{
		ID: m.ID, Direction: "to_person", Purpose: m.Purpose, Channel: m.Channel, Sender: m.Sender,
		At: m.CreatedAt, Content: json.RawMessage("null"),
	}
	if m.Direction == store.MO {
		out.Direction = "from_person"
	}
	if a, ok := p.AddressOf(m.Identity); ok {
		out.Address = a.ID
	}
	if len(m.Sealed) > 0 {
		content, err := o.content(p, &m.Message)
		if err != nil {
			return out, err
		}
		out.Content = content
	}
	if d := m.Delivery; d != nil {
		out.State, out.Reason, out.EndedAt = d.State.String(), d.Reason, d.EndedAt
		for i := range d.Steps {
			out.Steps = append(out.Steps, stepOf(&d.Steps[i]))
		}
	}
	return out, nil
}

func stepOf(s *message.Step) DocumentStep {
	out := DocumentStep{Channel: s.Channel, Sender: s.Sender, State: s.State.String(), Reason: s.Reason, Template: s.Template}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		out.Attempts = append(out.Attempts, DocumentAttempt{
			StartedAt: a.StartedAt, SentAt: a.SentAt, DeliveredAt: a.DeliveredAt, ReadAt: a.ReadAt, FailedAt: a.FailedAt,
			Outcome: a.Outcome.String(), Code: a.Code,
		})
	}
	return out
}

var errContent = errors.New("the content of a message is not JSON")

func (o *Office) content(p *contact.Person, m *store.Message) (json.RawMessage, error) {
	if o.o.Content != nil {
		return o.o.Content(p, m)
	}
	plain, err := p.Open(contact.PurposeContent, m.ID, m.Sealed)
	if err == nil && !json.Valid(plain) {
		err = errContent
	}
	return plain, err
}

// events reads the log for what concerns the person.
func (o *Office) events(ctx context.Context, p *contact.Person) ([]json.RawMessage, error) {
	const page = 1000
	out := []json.RawMessage{}
	var at store.Cursor
	for {
		list, next, err := o.o.Store.Read(ctx, p.Workspace, at, page)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if e.Contact != p.ID {
				continue
			}
			one, err := event.Render(ctx, o.o.People, e)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		if len(list) == 0 || next == at {
			return out, nil
		}
		at = next
	}
}
