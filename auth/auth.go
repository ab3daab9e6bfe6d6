// Package auth says who calls the API and what they may do: it turns an API
// key into a [Principal] and judges scopes by a pure function.
//
// It keeps no keys and answers no requests; keys are kept, hashed, by package
// workspace. People, roles and single sign-on are not here.
//
// Start with [Bearer], then [May].
package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// ErrNoKey is returned for a request without an Authorization header of the
// form "Bearer pk_…".
var ErrNoKey = errors.New("no API key given")

// ErrBadKey is returned for a key that is malformed, unknown or revoked. It
// never says which.
var ErrBadKey = errors.New("the API key is not in force")

// A Scope is one thing a key may be allowed to do. Scopes are words clients
// see: a promise.
type Scope string

// The scopes. A key's scope may also be "room:*", which allows both reading
// and writing in that room, and "admin", which allows everything.
const (
	MessagesWrite Scope = "messages:write"
	MessagesRead  Scope = "messages:read"
	ContactsWrite Scope = "contacts:write"
	ContactsRead  Scope = "contacts:read"
	WebhooksWrite Scope = "webhooks:write"
	WebhooksRead  Scope = "webhooks:read"
	ConfigWrite   Scope = "config:write"
	ConfigRead    Scope = "config:read"
	EventsRead    Scope = "events:read"
	UsageRead     Scope = "usage:read"
	Admin         Scope = "admin"
	Any           Scope = "" // every key in force may
)

// Scopes lists what a key may be given, wildcards included.
var Scopes = [...]Scope{
	MessagesWrite, MessagesRead, "messages:*", ContactsWrite, ContactsRead, "contacts:*",
	WebhooksWrite, WebhooksRead, "webhooks:*", ConfigWrite, ConfigRead, "config:*",
	EventsRead, UsageRead, Admin,
}

// Known reports whether s may be given to a key.
func Known(s string) bool { return slices.Contains(Scopes[:], Scope(s)) }

// May reports whether a key with these scopes may do what.
func May(scopes []string, what Scope) bool {
	if what == Any {
		return true
	}
	for _, s := range scopes {
		if s == string(what) || s == string(Admin) {
			return true
		}
		if room, ok := strings.CutSuffix(s, "*"); ok && strings.HasSuffix(room, ":") && strings.HasPrefix(string(what), room) {
			return true
		}
	}
	return false
}

// Covers reports whether a key with scopes may hand out wanted: nobody gives
// what they do not have.
func Covers(scopes, wanted []string) bool {
	for _, w := range wanted {
		if !slices.Contains(scopes, w) && !May(scopes, Scope(w)) {
			return false
		}
	}
	return true
}

// A Principal is who calls: a key of one workspace.
type Principal struct {
	Workspace message.WorkspaceID
	Key       message.APIKeyID
	Name      string
	Scopes    []string
}

// May reports whether the principal may do what.
func (p Principal) May(what Scope) bool { return May(p.Scopes, what) }

// Keys finds API keys; *workspace.Registry is one.
type Keys interface {
	// Authenticate gives the key of a secret, or workspace.ErrBadKey.
	Authenticate(ctx context.Context, secret string) (*store.APIKey, error)
}

// Bearer gives the principal of a request's Authorization header. It fails
// with ErrNoKey, ErrBadKey, or as the store does (try again later).
func Bearer(ctx context.Context, keys Keys, h http.Header) (Principal, error) {
	given := h["Authorization"]
	if len(given) != 1 {
		return Principal{}, ErrNoKey
	}
	scheme, secret, ok := strings.Cut(given[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return Principal{}, ErrNoKey
	}
	key, err := keys.Authenticate(ctx, strings.TrimSpace(secret))
	if errors.Is(err, workspace.ErrBadKey) {
		return Principal{}, ErrBadKey
	}
	if err != nil {
		return Principal{}, err
	}
	return Principal{Workspace: key.Workspace, Key: key.ID, Name: key.Name, Scopes: key.Scopes}, nil
}
