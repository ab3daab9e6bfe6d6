package auth

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

func TestMay(t *testing.T) {
	tests := []struct {
		scopes []string
		what   Scope
		want   bool
	}{
		{nil, MessagesRead, false},
		{nil, Any, true},
		{[]string{"messages:write"}, MessagesWrite, true},
		{[]string{"messages:write"}, MessagesRead, false},
		{[]string{"contacts:*"}, ContactsWrite, true},
		{[]string{"contacts:*"}, ContactsRead, true},
		{[]string{"contacts:*"}, ConfigRead, false},
		{[]string{"admin"}, ConfigWrite, true},
		{[]string{"admin"}, Admin, true},
		{[]string{"*"}, Admin, false}, // only a room has a wildcard
		{[]string{"a*"}, Admin, false},
		{[]string{"config:*"}, Admin, false},
		{[]string{"messages:*"}, "messages:", true},
	}
	for _, tt := range tests {
		if got := May(tt.scopes, tt.what); got != tt.want {
			t.Errorf("May(%q, %q) = %v, want %v", tt.scopes, tt.what, got, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	if Covers([]string{"config:*"}, []string{"admin"}) {
		t.Error("a key without admin must not hand out admin")
	}
	if !Covers([]string{"contacts:*"}, []string{"contacts:*", "contacts:read"}) {
		t.Error("a key may hand out what it has")
	}
	if Covers([]string{"contacts:read"}, []string{"contacts:*"}) {
		t.Error("half a room must not hand out the room")
	}
}

type oneKey struct {
	secret string
	err    error
}

func (k oneKey) Authenticate(_ context.Context, secret string) (*store.APIKey, error) {
	if k.err != nil {
		return nil, k.err
	}
	if secret != k.secret {
		return nil, workspace.ErrBadKey
	}
	return &store.APIKey{Workspace: message.WorkspaceID{1}, Scopes: []string{"messages:read"}}, nil
}

func TestBearer(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		keys   oneKey
		want   error
	}{
		{"good", []string{"Bearer pk_good"}, oneKey{secret: "pk_good"}, nil},
		{"scheme in lower case", []string{"bearer pk_good"}, oneKey{secret: "pk_good"}, nil},
		{"none", nil, oneKey{secret: "pk_good"}, ErrNoKey},
		{"twice", []string{"Bearer pk_good", "Bearer pk_good"}, oneKey{secret: "pk_good"}, ErrNoKey},
		{"basic", []string{"Basic cGtfZ29vZA=="}, oneKey{secret: "pk_good"}, ErrNoKey},
		{"bad", []string{"Bearer pk_bad"}, oneKey{secret: "pk_good"}, ErrBadKey},
		{"store down", []string{"Bearer pk_good"}, oneKey{err: store.ErrUnavailable}, store.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Bearer(t.Context(), tt.keys, http.Header{"Authorization": tt.header})
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && (p.Workspace != message.WorkspaceID{1} || !p.May(MessagesRead) || p.May(MessagesWrite)) {
				t.Errorf("principal %+v", p)
			}
		})
	}
}
