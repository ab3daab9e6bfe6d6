package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// Connector is an account at a provider. Its configuration is written, never
// read back: it holds credentials.
type Connector struct {
	ID        message.ConnectorID `json:"id"`
	Kind      string              `json:"kind" doc:"Of GET /v1/channels."`
	Name      string              `json:"name"`
	Paused    bool                `json:"paused" doc:"By an operator."`
	Health    ConnectorHealth     `json:"health"`
	Callback  string              `json:"callback,omitempty" doc:"The address to give to the provider for its callbacks."`
	CreatedAt time.Time           `json:"created_at"`
}

// ConnectorHealth is how an account fares.
type ConnectorHealth struct {
	State  string     `json:"state" doc:"ok or misconfigured."`
	Code   string     `json:"code,omitempty"`
	Reason string     `json:"reason,omitempty"`
	At     *time.Time `json:"at,omitempty"`
}

// NewConnector is a connector account to make.
type NewConnector struct {
	Kind   string          `json:"kind" minLength:"1" maxLength:"60" doc:"Of GET /v1/channels." example:"smpp"`
	Name   string          `json:"name" minLength:"1" maxLength:"200"`
	Config json.RawMessage `json:"config" doc:"With credentials. GET /v1/channels shows an example of each kind."`
}

// ConnectorChange changes a connector account.
type ConnectorChange struct {
	Name   string          `json:"name,omitempty" maxLength:"200"`
	Config json.RawMessage `json:"config,omitempty" doc:"All of it, with credentials; left out: unchanged."`
}

// Connectors are all accounts of the workspace.
type Connectors struct {
	Data []*Connector `json:"data"`
}

// ChannelKind is a kind of connector this installation can open.
type ChannelKind struct {
	Channel   message.Channel   `json:"channel"`
	Kind      string            `json:"kind"`
	Title     string            `json:"title"`
	Addressed []message.Channel `json:"addressed" doc:"Sorts of identity it can reach."`
	Window    bool              `json:"window" doc:"Free-form content needs an open window."`
	Receipts  ReceiptsGiven     `json:"receipts"`
	Example   json.RawMessage   `json:"example,omitempty" doc:"A configuration to start from."`
}

// ReceiptsGiven says what a connector tells after taking a message.
type ReceiptsGiven struct {
	Delivered bool     `json:"delivered"`
	Read      bool     `json:"read"`
	Failed    bool     `json:"failed"`
	Horizon   Duration `json:"horizon,omitempty" doc:"After this long nothing more is expected."`
}

// ChannelKinds are all kinds of connector.
type ChannelKinds struct {
	Data []ChannelKind `json:"data"`
}

type oneConnector struct {
	ID string `path:"id" doc:"The connector's id."`
}

type createConnector struct{ Body NewConnector }

type changeConnector struct {
	ID   string `path:"id" doc:"The connector's id."`
	Body ConnectorChange
}

func (s *Server) connectors() {
	handle(s, op{method: http.MethodGet, path: "/v1/channels", id: "listChannels", tag: "Channels", summary: "What this installation can carry", scope: auth.Any},
		func(context.Context, caller, *none) (*ChannelKinds, error) {
			out := &ChannelKinds{Data: []ChannelKind{}}
			for _, t := range s.o.Engine.Types() {
				out.Data = append(out.Data, kind(t))
			}
			return out, nil
		})
	handle(s, op{method: http.MethodGet, path: "/v1/connectors", id: "listConnectors", tag: "Channels", summary: "List connector accounts", scope: auth.ConfigRead},
		func(ctx context.Context, who caller, _ *none) (*Connectors, error) {
			c, err := s.o.Workspaces.Config(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			out := &Connectors{Data: make([]*Connector, len(c.Connectors))}
			for i, one := range c.Connectors {
				out.Data[i] = s.connector(one)
			}
			return out, nil
		})
	handle(s, op{method: http.MethodGet, path: "/v1/connectors/{id}", id: "getConnector", tag: "Channels", summary: "Read a connector account", scope: auth.ConfigRead},
		func(ctx context.Context, who caller, in *oneConnector) (*Connector, error) {
			return s.readConnector(ctx, who, in.ID)
		})
	handle(s, op{
		method: http.MethodPost, path: "/v1/connectors", id: "createConnector", tag: "Channels", summary: "Make a connector account", scope: auth.ConfigWrite, status: 201,
		doc: "Credentials are sealed and never shown again.",
	},
		func(ctx context.Context, who caller, in *createConnector) (*Connector, error) {
			if !s.knownKind(in.Body.Kind) {
				return nil, problem(engine.CodeInvalid, "kind", "is not a kind of connector of this installation", "GET /v1/channels lists them")
			}
			row, err := s.o.Workspaces.PutConnector(ctx, who.Workspace, workspace.ConnectorInput{Kind: in.Body.Kind, Name: in.Body.Name, Config: in.Body.Config})
			if err != nil {
				return nil, err
			}
			return s.connector(row), nil
		})
	handle(s, op{method: http.MethodPut, path: "/v1/connectors/{id}", id: "updateConnector", tag: "Channels", summary: "Change a connector account", scope: auth.ConfigWrite},
		func(ctx context.Context, who caller, in *changeConnector) (*Connector, error) {
			id, err := pathID[message.ConnectorID](in.ID)
			if err != nil {
				return nil, err
			}
			row, err := s.o.Workspaces.PutConnector(ctx, who.Workspace, workspace.ConnectorInput{ID: id, Name: in.Body.Name, Config: in.Body.Config})
			if err != nil {
				return nil, err
			}
			return s.connector(row), nil
		})
	handleNone(s, op{
		method: http.MethodDelete, path: "/v1/connectors/{id}", id: "deleteConnector", tag: "Channels", summary: "Delete a connector account", scope: auth.ConfigWrite,
		doc: "Refused while a sender uses it.",
	},
		func(ctx context.Context, who caller, in *oneConnector) error {
			id, err := pathID[message.ConnectorID](in.ID)
			if err != nil {
				return err
			}
			return s.o.Workspaces.DeleteConnector(ctx, who.Workspace, id)
		})
	s.brake("pause", "pauseConnector", "Stop a connector account", "Its queue is kept; nothing is sent until it is resumed.", s.o.Engine.PauseConnector)
	s.brake("resume", "resumeConnector", "Start a connector account again", "Also after it was stopped as misconfigured.", s.o.Engine.ResumeConnector)
	s.syncTemplates()
}

// SyncedTemplates is what a reading of templates found.
type SyncedTemplates struct {
	Templates int `json:"templates" doc:"How many the provider has, over all senders of the connector."`
}

func (s *Server) syncTemplates() {
	handle(s, op{
		method: http.MethodPost, path: "/v1/connectors/{id}/sync-templates", id: "syncTemplates", tag: "Channels", summary: "Read the templates of an account", scope: auth.ConfigWrite,
		doc: "Brings in all templates the provider keeps, for each sender of the connector; those it has no more are noted as deleted. Afterwards the provider's news keeps them up to date.",
	}, func(ctx context.Context, who caller, in *oneConnector) (*SyncedTemplates, error) {
		id, err := pathID[message.ConnectorID](in.ID)
		if err != nil {
			return nil, err
		}
		n, err := s.o.Engine.SyncTemplates(ctx, who.Workspace, id)
		if errors.Is(err, store.ErrNotFound) {
			if _, err := s.readConnector(ctx, who, in.ID); err != nil {
				return nil, err
			}
			p := problem(codeUnavailable, "id", "the account is being opened", "try again after the time in Retry-After")
			p.retryAfter = 1
			return nil, p
		}
		if err != nil {
			return nil, err
		}
		return &SyncedTemplates{Templates: n}, nil
	})
}

func (s *Server) brake(verb, id, summary, doc string, do func(context.Context, message.WorkspaceID, message.ConnectorID) error) {
	handle(s, op{method: http.MethodPost, path: "/v1/connectors/{id}/" + verb, id: id, tag: "Channels", summary: summary, scope: auth.ConfigWrite, doc: doc},
		func(ctx context.Context, who caller, in *oneConnector) (*Connector, error) {
			id, err := pathID[message.ConnectorID](in.ID)
			if err != nil {
				return nil, err
			}
			if err := do(ctx, who.Workspace, id); err != nil {
				return nil, err
			}
			return s.readConnector(ctx, who, in.ID)
		})
}

func (s *Server) readConnector(ctx context.Context, who caller, text string) (*Connector, error) {
	id, err := pathID[message.ConnectorID](text)
	if err != nil {
		return nil, err
	}
	c, err := s.o.Workspaces.Config(ctx, who.Workspace)
	if err != nil {
		return nil, err
	}
	if one := c.Connector(id); one != nil {
		return s.connector(one), nil
	}
	return nil, store.ErrNotFound
}

func (s *Server) knownKind(kind string) bool {
	for _, t := range s.o.Engine.Types() {
		if t.Kind == kind {
			return true
		}
	}
	return false
}

func (s *Server) connector(r *store.Connector) *Connector {
	out := &Connector{
		ID: r.ID, Kind: r.Kind, Name: r.Name, Paused: r.Paused, CreatedAt: r.CreatedAt.UTC(),
		Health: ConnectorHealth{State: r.Health.State, Code: r.Health.Code, Reason: r.Health.Reason, At: when(r.Health.At)},
	}
	if s.o.Public != "" {
		out.Callback = s.o.Public + "/callbacks/" + r.ID.String()
	}
	return out
}

func kind(t channel.Type) ChannelKind {
	out := ChannelKind{
		Channel: t.Channel, Kind: t.Kind, Title: t.Title, Addressed: t.Addressed, Window: t.Window, Example: t.Example,
		Receipts: ReceiptsGiven{Delivered: t.Receipts.Delivered, Read: t.Receipts.Read, Failed: t.Receipts.Failed, Horizon: Duration(t.Receipts.Horizon)},
	}
	if out.Addressed == nil {
		out.Addressed = []message.Channel{}
	}
	return out
}
