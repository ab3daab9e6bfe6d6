package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Conversation is the thread with a contact, by its latest message.
type Conversation struct {
	Contact message.ContactID `json:"contact"`
	Name    string            `json:"name,omitempty"`
	Last    *Message          `json:"last_message"`
	Windows []Window          `json:"windows" doc:"Windows that are open now."`
}

// Thread is a page of a conversation.
type Thread struct {
	Contact message.ContactID `json:"contact"`
	Name    string            `json:"name,omitempty"`
	Windows []Window          `json:"windows"`
	Data    []*Message        `json:"data" doc:"Newest first, both ways, across channels."`
	Next    string            `json:"next" doc:"Give it as after to get the next page; empty on the last."`
}

// Window is a span in which free-form content may be sent.
type Window struct {
	Sender   message.SenderID  `json:"sender" doc:"Your end it is open for."`
	Channel  message.Channel   `json:"channel,omitempty"`
	Identity string            `json:"identity" doc:"The contact's identity it is open for."`
	Kind     string            `json:"kind" doc:"service or entry_point."`
	OpenedBy message.MessageID `json:"opened_by,omitzero"`
	OpenedAt time.Time         `json:"opened_at"`
	ClosesAt time.Time         `json:"closes_at"`
	Open     bool              `json:"open"`
}

// Windows are all windows of a contact.
type Windows struct {
	Data []Window `json:"data"`
}

type listConversations struct {
	Limit int    `query:"limit" default:"25" minimum:"1" maximum:"100" doc:"How many at most."`
	After string `query:"after" doc:"The next of the page before."`
}

type readConversation struct {
	Contact string `path:"contact" doc:"The contact's id."`
	Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many messages at most."`
	After   string `query:"after" doc:"The next of the page before."`
}

type listWindows struct {
	Contact string `query:"contact" required:"true" doc:"Whose windows."`
}

// scanned bounds how many messages are looked at for one page of
// conversations: a page may be short, its next still leads on.
const scanned = 1000

func (s *Server) conversations() {
	handle(s, op{
		method: http.MethodGet, path: "/v1/conversations", id: "listConversations", tag: "Conversations", summary: "List conversations", scope: auth.MessagesRead,
		doc: "By their latest message, newest first. A page may be shorter than limit although next leads on.",
	}, s.listConversations)
	handle(s, op{method: http.MethodGet, path: "/v1/conversations/{contact}", id: "getConversation", tag: "Conversations", summary: "Read a conversation", scope: auth.MessagesRead},
		s.readConversation)
	handle(s, op{
		method: http.MethodGet, path: "/v1/windows", id: "listWindows", tag: "Conversations", summary: "Windows of a contact", scope: auth.MessagesRead,
		doc: "When free-form content may be sent to a person, from which of your senders, and until when.",
	},
		func(ctx context.Context, who caller, in *listWindows) (*Windows, error) {
			id, err := queryID[message.ContactID]("contact", in.Contact)
			if err != nil {
				return nil, err
			}
			p, err := s.o.People.ByID(ctx, who.Workspace, id)
			if err != nil {
				return nil, err
			}
			windows, err := s.windows(ctx, p)
			return &Windows{windows}, err
		})
}

func (s *Server) listConversations(ctx context.Context, who caller, in *listConversations) (*Page[Conversation], error) {
	before, err := queryID[message.MessageID]("after", in.After)
	if err != nil {
		return nil, err
	}
	out := &Page[Conversation]{Data: []*Conversation{}}
	seen := map[message.ContactID]bool{}
	for looked := 0; looked < scanned; {
		views, err := s.o.Engine.List(ctx, who.Workspace, store.Filter{Before: before, Limit: 100})
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			before = v.Message.ID
			if seen[v.Message.Contact] {
				continue
			}
			seen[v.Message.Contact] = true
			// A conversation stands where its latest message stands: if this is
			// an older one, it was on a page before.
			latest, err := s.o.Engine.List(ctx, who.Workspace, store.Filter{Contact: v.Message.Contact, Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(latest) == 0 || latest[0].Message.ID != v.Message.ID {
				continue
			}
			c := &Conversation{Contact: v.Message.Contact, Last: view(v), Windows: []Window{}}
			if err := s.describe(ctx, who, c); err != nil {
				return nil, err
			}
			out.Data = append(out.Data, c)
			if len(out.Data) == in.Limit {
				out.Next = before.String()
				return out, nil
			}
		}
		if len(views) < 100 {
			return out, nil
		}
		looked += len(views)
	}
	out.Next = before.String()
	return out, nil
}

func (s *Server) describe(ctx context.Context, who caller, c *Conversation) error {
	p, err := s.o.People.ByID(ctx, who.Workspace, c.Contact)
	if err != nil {
		return err
	}
	if p.Erased() {
		return nil
	}
	profile, err := s.o.People.Profile(p)
	if err != nil {
		return err
	}
	c.Name = profile.Name
	all, err := s.windows(ctx, p)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.Open {
			c.Windows = append(c.Windows, w)
		}
	}
	return nil
}

func (s *Server) readConversation(ctx context.Context, who caller, in *readConversation) (*Thread, error) {
	id, err := pathID[message.ContactID](in.Contact)
	if err != nil {
		return nil, err
	}
	before, err := queryID[message.MessageID]("after", in.After)
	if err != nil {
		return nil, err
	}
	p, err := s.o.People.ByID(ctx, who.Workspace, id)
	if err != nil {
		return nil, err
	}
	out := &Thread{Contact: id, Windows: []Window{}}
	if !p.Erased() {
		profile, err := s.o.People.Profile(p)
		if err != nil {
			return nil, err
		}
		out.Name = profile.Name
		if out.Windows, err = s.windows(ctx, p); err != nil {
			return nil, err
		}
	}
	views, err := s.o.Engine.List(ctx, who.Workspace, store.Filter{Contact: id, Before: before, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	messages := page(views, in.Limit, view, func(m *Message) string { return m.ID.String() })
	out.Data, out.Next = messages.Data, messages.Next
	return out, nil
}

func (s *Server) windows(ctx context.Context, p *contact.Person) ([]Window, error) {
	config, err := s.o.Workspaces.Config(ctx, p.Workspace)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	out := make([]Window, 0, len(p.Windows))
	for _, w := range p.Windows {
		one := Window{
			Sender: w.Sender, Identity: identityID(w.Identity), Kind: w.Kind, OpenedBy: w.OpenedBy,
			OpenedAt: w.OpenedAt.UTC(), ClosesAt: w.ClosesAt.UTC(), Open: now.Before(w.ClosesAt),
		}
		if sender := config.Sender(w.Sender); sender != nil {
			one.Channel = sender.Channel
		}
		out = append(out, one)
	}
	return out, nil
}
