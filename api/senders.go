package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Sender is your own end on a channel.
type Sender struct {
	ID         message.SenderID      `json:"id"`
	Channel    message.Channel       `json:"channel"`
	Address    string                `json:"address" doc:"Phone number id, short code, alphanumeric id …"`
	Display    string                `json:"display,omitempty" doc:"What people see."`
	Connectors []message.ConnectorID `json:"connectors" doc:"Accounts that carry it, tried in order."`
	Settings   json.RawMessage       `json:"settings,omitempty"`
	CreatedAt  time.Time             `json:"created_at"`
}

// SenderRequest is a sender as a client writes it.
type SenderRequest struct {
	Channel    string          `json:"channel" minLength:"1" maxLength:"40" example:"sms"`
	Address    string          `json:"address" minLength:"1" maxLength:"200" doc:"Phone number id, short code, alphanumeric id …"`
	Display    string          `json:"display,omitempty" maxLength:"200" doc:"What people see."`
	Connectors []string        `json:"connectors,omitempty" maxItems:"10" doc:"Accounts that carry it, tried in order."`
	Settings   json.RawMessage `json:"settings,omitempty" doc:"Settings of the channel, such as {\"portfolio\": \"…\"}."`
}

// Senders are all senders of the workspace.
type Senders struct {
	Data []*Sender `json:"data"`
}

type oneSender struct {
	ID string `path:"id" doc:"The sender's id."`
}

type createSender struct{ Body SenderRequest }

type changeSender struct {
	ID   string `path:"id" doc:"The sender's id."`
	Body SenderRequest
}

func (s *Server) senders() {
	handle(s, op{
		method: http.MethodGet, path: "/v1/senders", id: "listSenders", tag: "Channels", summary: "List senders", scope: auth.ConfigRead,
		doc: "Oldest first: the first of a channel is its default.",
	},
		func(ctx context.Context, who caller, _ *none) (*Senders, error) {
			c, err := s.o.Workspaces.Config(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			out := &Senders{Data: make([]*Sender, len(c.Senders))}
			for i, one := range c.Senders {
				out.Data[i] = sender(one)
			}
			return out, nil
		})
	handle(s, op{method: http.MethodGet, path: "/v1/senders/{id}", id: "getSender", tag: "Channels", summary: "Read a sender", scope: auth.ConfigRead},
		func(ctx context.Context, who caller, in *oneSender) (*Sender, error) {
			id, err := pathID[message.SenderID](in.ID)
			if err != nil {
				return nil, err
			}
			c, err := s.o.Workspaces.Config(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			if one := c.Sender(id); one != nil {
				return sender(one), nil
			}
			return nil, store.ErrNotFound
		})
	handle(s, op{method: http.MethodPost, path: "/v1/senders", id: "createSender", tag: "Channels", summary: "Make a sender", scope: auth.ConfigWrite, status: 201},
		func(ctx context.Context, who caller, in *createSender) (*Sender, error) {
			return s.putSender(ctx, who, message.SenderID{}, in.Body)
		})
	handle(s, op{method: http.MethodPut, path: "/v1/senders/{id}", id: "updateSender", tag: "Channels", summary: "Replace a sender", scope: auth.ConfigWrite},
		func(ctx context.Context, who caller, in *changeSender) (*Sender, error) {
			id, err := pathID[message.SenderID](in.ID)
			if err != nil {
				return nil, err
			}
			return s.putSender(ctx, who, id, in.Body)
		})
	handleNone(s, op{
		method: http.MethodDelete, path: "/v1/senders/{id}", id: "deleteSender", tag: "Channels", summary: "Delete a sender", scope: auth.ConfigWrite,
		doc: "Messages in flight through it fail; its templates and history stay.",
	},
		func(ctx context.Context, who caller, in *oneSender) error {
			id, err := pathID[message.SenderID](in.ID)
			if err != nil {
				return err
			}
			return s.o.Workspaces.DeleteSender(ctx, who.Workspace, id)
		})
}

func (s *Server) putSender(ctx context.Context, who caller, id message.SenderID, in SenderRequest) (*Sender, error) {
	known := false
	for _, t := range s.o.Engine.Types() {
		if string(t.Channel) != in.Channel {
			continue
		}
		known = true
		if t.CheckSender == nil || in.Address == "" {
			continue
		}
		if wrong, remedy := t.CheckSender(in.Address); wrong != "" {
			return nil, problem(engine.CodeInvalid, "address", wrong, remedy)
		}
	}
	if !known {
		return nil, problem(engine.CodeNoChannel, "channel", "is not a channel of this installation", "GET /v1/channels lists them")
	}
	row := &store.Sender{
		ID: id, Workspace: who.Workspace, Channel: message.Channel(in.Channel), Address: in.Address, Display: in.Display, Settings: in.Settings,
		Connectors: make([]message.ConnectorID, len(in.Connectors)),
	}
	for i, text := range in.Connectors {
		var err error
		if row.Connectors[i], err = queryID[message.ConnectorID]("connectors["+strconv.Itoa(i)+"]", text); err != nil {
			return nil, err
		}
	}
	out, err := s.o.Workspaces.PutSender(ctx, row)
	if err != nil {
		return nil, err
	}
	return sender(out), nil
}

func sender(r *store.Sender) *Sender {
	out := &Sender{
		ID: r.ID, Channel: r.Channel, Address: r.Address, Display: r.Display, Connectors: r.Connectors,
		Settings: r.Settings, CreatedAt: r.CreatedAt.UTC(),
	}
	if out.Connectors == nil {
		out.Connectors = []message.ConnectorID{}
	}
	return out
}
