package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Suppression is a person's wish not to be written to.
type Suppression struct {
	Scope  string    `json:"scope" doc:"all, marketing, channel:<name> or sender:<id>."`
	Reason string    `json:"reason" doc:"Where it comes from: keyword:STOP, provider:131050, api …"`
	At     time.Time `json:"at"`
}

// Suppressions are all wishes of a person.
type Suppressions struct {
	Data []Suppression `json:"data"`
}

// SuppressionRequest says what a person does not want.
type SuppressionRequest struct {
	Scope  string `json:"scope" doc:"all, marketing, channel:<name> or sender:<id>." minLength:"1" maxLength:"100" example:"marketing"`
	Reason string `json:"reason,omitempty" doc:"Why, for your records; nothing personal." maxLength:"100"`
}

type addSuppression struct {
	ID   string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Body SuppressionRequest
}

type oneSuppression struct {
	ID    string `path:"id" doc:"The contact's id." example:"ct_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Scope string `path:"scope" doc:"The scope of the wish." example:"marketing"`
}

func (s *Server) suppressions() {
	handle(s, op{method: http.MethodGet, path: "/v1/contacts/{id}/suppressions", id: "listSuppressions", tag: "Contacts", summary: "What a person does not want", scope: auth.ContactsRead},
		func(ctx context.Context, who caller, in *oneContact) (*Suppressions, error) {
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			return wishes(p), nil
		})
	handle(s, op{
		method: http.MethodPost, path: "/v1/contacts/{id}/suppressions", id: "addSuppression", tag: "Contacts", summary: "Note that a person does not want something", scope: auth.ContactsWrite, status: 201,
		doc: "Holds for every address of the person, and outlives an erasure as a keyed hash.",
	},
		func(ctx context.Context, who caller, in *addSuppression) (*Suppressions, error) {
			if err := checkScope(in.Body.Scope); err != nil {
				return nil, err
			}
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return nil, err
			}
			if p.Erased() {
				return nil, contact.ErrErased
			}
			if len(p.Identities) == 0 {
				return nil, problem(engine.CodeInvalid, "id", "the contact has no address to keep a wish by", "add an identity first")
			}
			reason := "api"
			if in.Body.Reason != "" {
				reason = "api:" + in.Body.Reason
			}
			events, err := s.wishEvents(p, event.ContactOptedOut, in.Body.Scope, reason)
			if err != nil {
				return nil, err
			}
			for i := range p.Identities {
				if err := s.o.People.Suppress(ctx, p, p.Identities[i].Index, in.Body.Scope, reason, events...); err != nil {
					return nil, err
				}
				events = nil // one event, whatever the number of addresses
			}
			if p, err = s.person(ctx, who, in.ID); err != nil {
				return nil, err
			}
			return wishes(p), nil
		})
	handleNone(s, op{
		method: http.MethodDelete, path: "/v1/contacts/{id}/suppressions/{scope}", id: "removeSuppression", tag: "Contacts", summary: "Take a wish back", scope: auth.ContactsWrite,
		doc: "Only with the person's own word: you are writing down that they came back.",
	},
		func(ctx context.Context, who caller, in *oneSuppression) error {
			p, err := s.person(ctx, who, in.ID)
			if err != nil {
				return err
			}
			found := false
			for _, w := range p.Suppressed {
				found = found || w.Scope == in.Scope
			}
			if !found {
				return store.ErrNotFound
			}
			events, err := s.wishEvents(p, event.ContactOptedIn, in.Scope, "api")
			if err != nil {
				return err
			}
			return s.o.People.Allow(ctx, p, in.Scope, "api", events...)
		})
}

func wishes(p *contact.Person) *Suppressions {
	out := &Suppressions{Data: []Suppression{}}
	seen := map[string]bool{}
	for _, w := range p.Suppressed {
		if !seen[w.Scope] {
			seen[w.Scope] = true
			out.Data = append(out.Data, Suppression{w.Scope, w.Reason, w.At.UTC()})
		}
	}
	return out
}

// checkScope refuses what would never match anything.
func checkScope(scope string) error {
	bad := problem(engine.CodeInvalid, "scope", "is not a scope", "give all, marketing, channel:<name> or sender:<id>")
	kind, name, ok := strings.Cut(scope, ":")
	switch {
	case scope == contact.ScopeAll, scope == contact.ScopeMarketing:
		return nil
	case ok && kind == "channel" && name != "":
		return nil
	case ok && kind == "sender":
		if _, err := readID[message.SenderID](name); err == nil && name != "" {
			return nil
		}
	}
	return bad
}

func (s *Server) wishEvents(p *contact.Person, kind, scope, reason string) ([]store.Event, error) {
	data, err := json.Marshal(map[string]string{"scope": scope, "reason": reason})
	if err != nil {
		return nil, err
	}
	return []store.Event{{ID: message.EventID(s.o.ID()), Workspace: p.Workspace, Type: kind, Contact: p.ID, At: s.o.Now(), Data: data}}, nil
}
