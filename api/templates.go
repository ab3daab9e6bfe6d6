package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Template is a registered template of a sender.
type Template struct {
	ID         message.TemplateID    `json:"id"`
	Sender     message.SenderID      `json:"sender"`
	Provider   string                `json:"provider_id,omitempty"`
	Name       string                `json:"name"`
	Language   string                `json:"language"`
	Category   message.Purpose       `json:"category"`
	State      message.TemplateState `json:"state" doc:"draft, pending, approved, rejected, paused, disabled or deleted; only approved ones are sent."`
	TTL        Duration              `json:"ttl,omitempty" doc:"How long the provider keeps trying; left out: its default."`
	Body       string                `json:"body,omitempty"`
	Named      bool                  `json:"named,omitempty" doc:"Its placeholders have names instead of places."`
	Components json.RawMessage       `json:"components,omitempty"`
	Reason     string                `json:"reason,omitempty" doc:"Why the provider rejected or paused it."`
	UpdatedAt  time.Time             `json:"updated_at"`
}

// TemplateRequest is a template as a client writes it.
type TemplateRequest struct {
	Sender     string          `json:"sender" doc:"The sender it belongs to."`
	Provider   string          `json:"provider_id,omitempty" maxLength:"200"`
	Name       string          `json:"name" minLength:"1" maxLength:"512"`
	Language   string          `json:"language" minLength:"1" maxLength:"35"`
	Category   string          `json:"category" enum:"authentication,utility,service,marketing"`
	State      string          `json:"state" enum:"draft,pending,approved,rejected,paused,disabled,deleted" doc:"As the provider has it."`
	TTL        string          `json:"ttl,omitempty" doc:"How long the provider keeps trying, such as \"10m\"; left out: its default." maxLength:"32"`
	Body       string          `json:"body,omitempty" maxLength:"4096" doc:"The registered text with its placeholders."`
	Named      bool            `json:"named,omitempty" doc:"Its placeholders have names instead of places."`
	Components json.RawMessage `json:"components,omitempty" doc:"As registered with the provider."`
	Reason     string          `json:"reason,omitempty" maxLength:"500"`
}

// Templates are all templates of the workspace.
type Templates struct {
	Data []*Template `json:"data"`
}

type listTemplates struct {
	Sender string `query:"sender" doc:"Only of this sender."`
}

type putTemplate struct{ Body TemplateRequest }

type oneTemplate struct {
	ID string `path:"id" doc:"The template's id."`
}

func (s *Server) templates() {
	handle(s, op{method: http.MethodGet, path: "/v1/templates", id: "listTemplates", tag: "Channels", summary: "List templates", scope: auth.ConfigRead},
		func(ctx context.Context, who caller, in *listTemplates) (*Templates, error) {
			only, err := queryID[message.SenderID]("sender", in.Sender)
			if err != nil {
				return nil, err
			}
			c, err := s.o.Workspaces.Config(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			out := &Templates{Data: []*Template{}}
			for _, t := range c.Configuration.Templates {
				if only.IsZero() || t.Sender == only {
					out.Data = append(out.Data, shownTemplate(t))
				}
			}
			return out, nil
		})
	handle(s, op{
		method: http.MethodPut, path: "/v1/templates", id: "putTemplate", tag: "Channels", summary: "Make or replace a template", scope: auth.ConfigWrite,
		doc: "By sender, name and language. This notes what the provider has; it does not submit it for review.",
	},
		func(ctx context.Context, who caller, in *putTemplate) (*Template, error) {
			b := in.Body
			id, err := queryID[message.SenderID]("sender", b.Sender)
			if err != nil {
				return nil, err
			}
			var ttl time.Duration
			if b.TTL != "" {
				if ttl, err = parseDuration(b.TTL); err != nil {
					return nil, problem(engine.CodeInvalid, "ttl", (*Duration)(nil).Hint(), "")
				}
			}
			row, err := s.o.Workspaces.PutTemplate(ctx, &store.Template{
				Workspace: who.Workspace, Sender: id, Provider: b.Provider, Name: b.Name, Language: b.Language,
				Category: message.Purpose(b.Category), State: message.TemplateState(b.State), TTL: ttl,
				Body: b.Body, Named: b.Named, Components: b.Components, Reason: b.Reason,
			})
			if err != nil {
				return nil, err
			}
			return shownTemplate(row), nil
		})
	handleNone(s, op{method: http.MethodDelete, path: "/v1/templates/{id}", id: "deleteTemplate", tag: "Channels", summary: "Delete a template", scope: auth.ConfigWrite},
		func(ctx context.Context, who caller, in *oneTemplate) error {
			id, err := pathID[message.TemplateID](in.ID)
			if err != nil {
				return err
			}
			return s.o.Workspaces.DeleteTemplate(ctx, who.Workspace, id)
		})
}

func shownTemplate(t *store.Template) *Template {
	return &Template{
		ID: t.ID, Sender: t.Sender, Provider: t.Provider, Name: t.Name, Language: t.Language, Category: t.Category, State: t.State,
		TTL: Duration(t.TTL), Body: t.Body, Named: t.Named, Components: t.Components, Reason: t.Reason, UpdatedAt: t.UpdatedAt.UTC(),
	}
}
