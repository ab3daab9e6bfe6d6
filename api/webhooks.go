package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// SecretsPurpose is what an endpoint's signing secrets are sealed for, with
// workspace.Registry.SealWorkspace and the endpoint's id. The sealed value is
// a JSON array of [Secret], the one in force first.
const SecretsPurpose = "endpoints.secrets"

// A Secret is one signing secret of an endpoint as it is sealed. One with an
// Until is the one before, still signing beside the new one until then.
type Secret struct {
	Secret string    `json:"secret"` // whsec_…
	Until  time.Time `json:"until,omitzero"`
}

const (
	graceDefault = 24 * time.Hour
	graceMost    = 7 * 24 * time.Hour
	maxEndpoints = 50
)

// Endpoint is a webhook address of yours.
type Endpoint struct {
	ID        message.EndpointID `json:"id"`
	URL       string             `json:"url"`
	Types     []string           `json:"types" doc:"Event types wanted; empty: all."`
	Batch     int                `json:"batch,omitempty" doc:"Events in one request at most."`
	Disabled  string             `json:"disabled,omitempty" doc:"Why nothing is sent; left out: enabled."`
	FailingAt *time.Time         `json:"failing_since,omitempty" doc:"Since when every try fails."`
	Secret    string             `json:"secret,omitempty" doc:"Signing secret (Standard Webhooks); only in answers that make one."`
	CreatedAt time.Time          `json:"created_at"`
}

// EndpointRequest is an endpoint as a client writes it.
type EndpointRequest struct {
	URL      string   `json:"url" minLength:"1" maxLength:"2048" doc:"https address that answers 2xx within 15 seconds."`
	Types    []string `json:"types,omitempty" maxItems:"50" doc:"Event types wanted; left out: all."`
	Batch    int      `json:"batch,omitempty" minimum:"0" maximum:"100" doc:"Events in one request at most; left out: one."`
	Disabled bool     `json:"disabled,omitempty" doc:"Stop sending; events are still collected."`
}

// Endpoints are all endpoints of the workspace.
type Endpoints struct {
	Data []*Endpoint `json:"data"`
}

// WebhookDelivery is one event on its way to one endpoint.
type WebhookDelivery struct {
	ID        message.DeliveryID `json:"id"`
	Event     message.EventID    `json:"event"`
	Type      string             `json:"type"`
	Message   message.MessageID  `json:"message,omitzero"`
	State     string             `json:"state" doc:"pending, delivered or dead."`
	Tries     int                `json:"tries"`
	Status    int                `json:"status,omitempty" doc:"Your last HTTP status."`
	Error     string             `json:"error,omitempty" doc:"The last failure."`
	NextAt    *time.Time         `json:"next_at,omitempty" doc:"When it is tried again."`
	LastAt    *time.Time         `json:"last_at,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
}

// ReplayRequest says what to deliver again: these deliveries, or all events of
// a span.
type ReplayRequest struct {
	IDs  []string `json:"ids,omitempty" maxItems:"1000" doc:"Deliveries to send again."`
	From string   `json:"from,omitempty" doc:"Without ids: events from this time on, RFC 3339."`
	To   string   `json:"to,omitempty" doc:"Without ids: events before this time; left out: now."`
}

// Replayed tells how many deliveries wait again.
type Replayed struct {
	Count int `json:"count"`
}

// RotateRequest says how long the old secret goes on signing.
type RotateRequest struct {
	Grace string `json:"grace,omitempty" maxLength:"32" doc:"How long requests are signed with the old secret too; left out: 1d, at most 7d."`
}

type oneEndpoint struct {
	ID string `path:"id" doc:"The endpoint's id."`
}

type createEndpoint struct{ Body EndpointRequest }

type changeEndpoint struct {
	ID   string `path:"id" doc:"The endpoint's id."`
	Body EndpointRequest
}

type rotateSecret struct {
	ID   string `path:"id" doc:"The endpoint's id."`
	Body *RotateRequest
}

type replayDeliveries struct {
	ID   string `path:"id" doc:"The endpoint's id."`
	Body ReplayRequest
}

type listDeliveries struct {
	ID    string `path:"id" doc:"The endpoint's id."`
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many at most."`
	After string `query:"after" doc:"The next of the page before."`
	State string `query:"state" enum:"pending,delivered,dead" doc:"Only in this state."`
}

func (s *Server) webhooks() {
	handle(s, op{method: http.MethodGet, path: "/v1/webhooks", id: "listWebhooks", tag: "Events", summary: "List webhook endpoints", scope: auth.WebhooksRead},
		func(ctx context.Context, who caller, _ *none) (*Endpoints, error) {
			rows, err := s.o.Store.Endpoints(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			out := &Endpoints{Data: make([]*Endpoint, len(rows))}
			for i, row := range rows {
				out.Data[i] = endpoint(row)
			}
			return out, nil
		})
	handle(s, op{
		method: http.MethodPost, path: "/v1/webhooks", id: "createWebhook", tag: "Events", summary: "Make a webhook endpoint", scope: auth.WebhooksWrite, status: 201,
		doc: "Requests are signed as Standard Webhooks says. The secret is in this answer and nowhere else.",
	}, s.createEndpoint)
	handle(s, op{method: http.MethodGet, path: "/v1/webhooks/{id}", id: "getWebhook", tag: "Events", summary: "Read a webhook endpoint", scope: auth.WebhooksRead},
		func(ctx context.Context, who caller, in *oneEndpoint) (*Endpoint, error) {
			row, err := s.endpoint(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			return endpoint(row), nil
		})
	handle(s, op{
		method: http.MethodPut, path: "/v1/webhooks/{id}", id: "updateWebhook", tag: "Events", summary: "Replace a webhook endpoint", scope: auth.WebhooksWrite,
		doc: "The secret stays. Writing it without disabled enables it again.",
	}, s.changeEndpoint)
	handleNone(s, op{method: http.MethodDelete, path: "/v1/webhooks/{id}", id: "deleteWebhook", tag: "Events", summary: "Delete a webhook endpoint", scope: auth.WebhooksWrite},
		func(ctx context.Context, who caller, in *oneEndpoint) error {
			id, err := pathID[message.EndpointID](in.ID)
			if err != nil {
				return err
			}
			if err := s.o.Store.DeleteEndpoint(ctx, who.Workspace, id); err != nil {
				return err
			}
			s.changed(who.Workspace, id)
			return nil
		})
	handle(s, op{
		method: http.MethodPost, path: "/v1/webhooks/{id}/rotate", id: "rotateWebhookSecret", tag: "Events", summary: "Change the signing secret", scope: auth.WebhooksWrite,
		doc: "For a while requests carry two signatures, by the new secret and the old, so that you can change over without loss.",
	}, s.rotate)
	handle(s, op{method: http.MethodGet, path: "/v1/webhooks/{id}/deliveries", id: "listWebhookDeliveries", tag: "Events", summary: "List deliveries of an endpoint", scope: auth.WebhooksRead, doc: "Newest first."},
		s.listDeliveries)
	handle(s, op{
		method: http.MethodPost, path: "/v1/webhooks/{id}/replay", id: "replayWebhook", tag: "Events", summary: "Deliver again", scope: auth.WebhooksWrite,
		doc: "By ids, or all events of a span. Your side must take a repeated webhook-id for what it is: the same event.",
	}, s.replay)
}

func (s *Server) createEndpoint(ctx context.Context, who caller, in *createEndpoint) (*Endpoint, error) {
	if err := s.checkEndpoint(in.Body); err != nil {
		return nil, err
	}
	rows, err := s.o.Store.Endpoints(ctx, who.Workspace)
	if err != nil {
		return nil, err
	}
	if len(rows) >= maxEndpoints {
		return nil, problem(engine.CodeInvalid, "", "the workspace has 50 endpoints already", "delete one first")
	}
	row := &store.Endpoint{ID: message.EndpointID(s.o.ID()), Workspace: who.Workspace, CreatedAt: s.o.Now()}
	row.URL, row.Types, row.Batch = in.Body.URL, in.Body.Types, in.Body.Batch
	if in.Body.Disabled {
		row.Disabled = disabledByClient
	}
	secret := vault.NewWebhookSecret()
	if err := s.sealSecrets(ctx, row, []Secret{{Secret: secret}}); err != nil {
		return nil, err
	}
	if err := s.o.Store.PutEndpoint(ctx, row); err != nil {
		return nil, err
	}
	s.changed(who.Workspace, row.ID)
	out := endpoint(row)
	out.Secret = secret
	return out, nil
}

const disabledByClient = "disabled by the API"

func (s *Server) changeEndpoint(ctx context.Context, who caller, in *changeEndpoint) (*Endpoint, error) {
	if err := s.checkEndpoint(in.Body); err != nil {
		return nil, err
	}
	old, err := s.endpoint(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	row := *old
	row.URL, row.Types, row.Batch, row.Disabled = in.Body.URL, in.Body.Types, in.Body.Batch, ""
	if in.Body.Disabled {
		row.Disabled = disabledByClient
	} else if old.Disabled != "" {
		row.FailingAt = time.Time{}
	}
	if err := s.o.Store.PutEndpoint(ctx, &row); err != nil {
		return nil, err
	}
	s.changed(who.Workspace, row.ID)
	return endpoint(&row), nil
}

func (s *Server) rotate(ctx context.Context, who caller, in *rotateSecret) (*Endpoint, error) {
	grace := graceDefault
	if in.Body != nil && in.Body.Grace != "" {
		var err error
		if grace, err = parseDuration(in.Body.Grace); err != nil || grace > graceMost {
			return nil, problem(engine.CodeInvalid, "grace", "is not a duration of at most 7 days", `write "0s", "12h" or "2d"`)
		}
	}
	old, err := s.endpoint(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	secrets, err := s.secrets(ctx, old)
	if err != nil {
		return nil, err
	}
	row := *old
	fresh := []Secret{{Secret: vault.NewWebhookSecret()}}
	if grace > 0 && len(secrets) > 0 {
		fresh = append(fresh, Secret{Secret: secrets[0].Secret, Until: s.o.Now().Add(grace).UTC()})
	}
	if err := s.sealSecrets(ctx, &row, fresh); err != nil {
		return nil, err
	}
	if err := s.o.Store.PutEndpoint(ctx, &row); err != nil {
		return nil, err
	}
	s.changed(who.Workspace, row.ID)
	out := endpoint(&row)
	out.Secret = fresh[0].Secret
	return out, nil
}

func (s *Server) listDeliveries(ctx context.Context, who caller, in *listDeliveries) (*Page[WebhookDelivery], error) {
	row, err := s.endpoint(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	before, err := queryID[message.DeliveryID]("after", in.After)
	if err != nil {
		return nil, err
	}
	rows, err := s.o.Store.DeliveryList(ctx, who.Workspace, row.ID, in.State, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return page(rows, in.Limit, delivery, func(d *WebhookDelivery) string { return d.ID.String() }), nil
}

func (s *Server) replay(ctx context.Context, who caller, in *replayDeliveries) (*Replayed, error) {
	row, err := s.endpoint(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	now := s.o.Now()
	ids := make([]message.DeliveryID, len(in.Body.IDs))
	for i, text := range in.Body.IDs {
		if ids[i], err = queryID[message.DeliveryID]("ids", text); err != nil {
			return nil, err
		}
	}
	from, err := queryTime("from", in.Body.From)
	if err != nil {
		return nil, err
	}
	to, err := queryTime("to", in.Body.To)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 && from.IsZero() {
		return nil, problem(engine.CodeInvalid, "from", "is missing, and so are ids", "say which deliveries, or from when on")
	}
	if to.IsZero() {
		to = now
	}
	n, err := s.o.Store.Replay(ctx, who.Workspace, row.ID, ids, from, to, now)
	if err != nil {
		return nil, err
	}
	s.changed(who.Workspace, row.ID)
	return &Replayed{n}, nil
}

func (s *Server) endpoint(ctx context.Context, who caller, text string) (*store.Endpoint, error) {
	id, err := pathID[message.EndpointID](text)
	if err != nil {
		return nil, err
	}
	return s.o.Store.Endpoint(ctx, who.Workspace, id)
}

func (s *Server) checkEndpoint(in EndpointRequest) error {
	u, err := url.Parse(in.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return problem(engine.CodeInvalid, "url", "is not a web address", "give an absolute https address without a user name")
	}
	if s.o.CheckURL != nil {
		if err := s.o.CheckURL(in.URL); err != nil {
			return problem(codeURL, "url", "points where webhooks may not be sent", "give a public https address; the operator can allow others")
		}
	}
	for _, t := range in.Types {
		if !event.Valid(t) {
			return problem(engine.CodeInvalid, "types", "holds a type of event that does not exist", "see /docs for the types")
		}
	}
	return nil
}

func (s *Server) sealSecrets(ctx context.Context, e *store.Endpoint, secrets []Secret) error {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	e.Sealed, err = s.o.Workspaces.SealWorkspace(ctx, e.Workspace, SecretsPurpose, e.ID, plain)
	return err
}

func (s *Server) secrets(ctx context.Context, e *store.Endpoint) ([]Secret, error) {
	plain, err := s.o.Workspaces.OpenWorkspace(ctx, e.Workspace, SecretsPurpose, e.ID, e.Sealed)
	if err != nil {
		return nil, err
	}
	var out []Secret
	return out, json.Unmarshal(plain, &out)
}

func (s *Server) changed(ws message.WorkspaceID, id message.EndpointID) {
	if s.o.Webhooks != nil {
		s.o.Webhooks.EndpointChanged(ws, id)
	}
}

func endpoint(e *store.Endpoint) *Endpoint {
	out := &Endpoint{
		ID: e.ID, URL: e.URL, Types: e.Types, Batch: e.Batch, Disabled: e.Disabled,
		FailingAt: when(e.FailingAt), CreatedAt: e.CreatedAt.UTC(),
	}
	if out.Types == nil {
		out.Types = []string{}
	}
	return out
}

func delivery(d *store.WebhookDelivery) *WebhookDelivery {
	out := &WebhookDelivery{
		ID: d.ID, Event: d.Event.ID, Type: d.Event.Type, Message: d.Event.Message, State: d.State, Tries: d.Tries,
		Status: d.Status, Error: d.Error, LastAt: when(d.LastAt), CreatedAt: d.CreatedAt.UTC(),
	}
	if d.State == store.WebhookPending {
		out.NextAt = when(d.NextAt)
	}
	return out
}
