package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// APIKey is a key of this workspace. Its secret is shown once, when it is made.
type APIKey struct {
	ID        message.APIKeyID `json:"id"`
	Name      string           `json:"name"`
	Hint      string           `json:"hint" doc:"The secret's last four characters."`
	Scopes    []string         `json:"scopes"`
	Secret    string           `json:"secret,omitempty" doc:"Only in the answer that makes the key."`
	CreatedAt time.Time        `json:"created_at"`
	RevokedAt *time.Time       `json:"revoked_at,omitempty"`
}

// APIKeyRequest is a key to make.
type APIKeyRequest struct {
	Name   string   `json:"name" minLength:"1" maxLength:"200"`
	Scopes []string `json:"scopes" minItems:"1" maxItems:"20" doc:"What it may do." example:"[\"messages:write\",\"messages:read\"]"`
}

// APIKeys are all keys of the workspace, revoked ones too.
type APIKeys struct {
	Data []*APIKey `json:"data"`
}

// Me is who the key says you are.
type Me struct {
	Workspace message.WorkspaceID `json:"workspace"`
	Name      string              `json:"name" doc:"The workspace's name."`
	Key       message.APIKeyID    `json:"key"`
	KeyName   string              `json:"key_name"`
	Scopes    []string            `json:"scopes"`
}

type createAPIKey struct{ Body APIKeyRequest }

type oneAPIKey struct {
	ID string `path:"id" doc:"The key's id."`
}

func (s *Server) apiKeys() {
	handle(s, op{method: http.MethodGet, path: "/v1/me", id: "getMe", tag: "Workspace", summary: "Who am I", scope: auth.Any},
		func(ctx context.Context, who caller, _ *none) (*Me, error) {
			w, err := s.o.Workspaces.Get(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			return &Me{Workspace: w.ID, Name: w.Name, Key: who.Key, KeyName: who.Name, Scopes: scopesOf(who.Scopes)}, nil
		})
	handle(s, op{method: http.MethodGet, path: "/v1/api-keys", id: "listAPIKeys", tag: "Workspace", summary: "List API keys", scope: auth.Admin},
		func(ctx context.Context, who caller, _ *none) (*APIKeys, error) {
			rows, err := s.o.Workspaces.APIKeys(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			out := &APIKeys{Data: make([]*APIKey, len(rows))}
			for i, row := range rows {
				out.Data[i] = apiKey(row)
			}
			return out, nil
		})
	handle(s, op{
		method: http.MethodPost, path: "/v1/api-keys", id: "createAPIKey", tag: "Workspace", summary: "Make an API key", scope: auth.Admin, status: 201,
		doc: "The secret is in this answer and nowhere else.",
	},
		func(ctx context.Context, who caller, in *createAPIKey) (*APIKey, error) {
			for _, scope := range in.Body.Scopes {
				if !auth.Known(scope) {
					return nil, problem(engine.CodeInvalid, "scopes", "holds a scope that does not exist", "see /docs for the scopes")
				}
			}
			if !auth.Covers(who.Scopes, in.Body.Scopes) {
				return nil, problem(codeScope, "scopes", "a key can hand out only what it has", "use a key with more scopes")
			}
			secret, row, err := s.o.Workspaces.CreateAPIKey(ctx, who.Workspace, in.Body.Name, in.Body.Scopes)
			if err != nil {
				return nil, err
			}
			out := apiKey(row)
			out.Secret = secret
			return out, nil
		})
	handleNone(s, op{
		method: http.MethodDelete, path: "/v1/api-keys/{id}", id: "revokeAPIKey", tag: "Workspace", summary: "Revoke an API key", scope: auth.Admin,
		doc: "At once on the node that answers, within five seconds on the others.",
	},
		func(ctx context.Context, who caller, in *oneAPIKey) error {
			id, err := pathID[message.APIKeyID](in.ID)
			if err != nil {
				return err
			}
			return s.o.Workspaces.RevokeAPIKey(ctx, who.Workspace, id)
		})
}

func apiKey(k *store.APIKey) *APIKey {
	return &APIKey{ID: k.ID, Name: k.Name, Hint: k.Hint, Scopes: scopesOf(k.Scopes), CreatedAt: k.CreatedAt.UTC(), RevokedAt: when(k.RevokedAt)}
}

func scopesOf(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}
