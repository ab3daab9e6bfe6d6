package store

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Workspaces keeps tenants, their wrapped keys and their API keys.
type Workspaces interface {
	CreateWorkspace(ctx context.Context, w *Workspace, keys []WrappedKey) error
	WorkspaceList(ctx context.Context) ([]*Workspace, error)

	// Keys reads all wrapped keys of a workspace, or of the installation for
	// the zero id. PutKeys adds or replaces by (workspace, kind, version).
	Keys(ctx context.Context, ws message.WorkspaceID) ([]WrappedKey, error)
	PutKeys(ctx context.Context, keys []WrappedKey) error
	// DeleteDays destroys the daily keys of days before the given one.
	DeleteDays(ctx context.Context, before int32) (int, error)

	CreateAPIKey(ctx context.Context, k *APIKey) error
	// APIKeyByHash finds a key not revoked. ErrNotFound.
	APIKeyByHash(ctx context.Context, hash [32]byte) (*APIKey, error)
	APIKeys(ctx context.Context, ws message.WorkspaceID) ([]*APIKey, error)
	RevokeAPIKey(ctx context.Context, ws message.WorkspaceID, id message.APIKeyID, at time.Time) error
}

// A Workspace is one brand's account: the tenant.
type Workspace struct {
	ID        message.WorkspaceID
	Name      string
	CreatedAt time.Time
}

// A WrappedKey is a key nobody can use without the master key.
type WrappedKey struct {
	Workspace message.WorkspaceID // zero: of the installation
	Kind      string              // vault's word
	Version   int32               // of a daily key: the day
	Master    string              // id of the master key it is wrapped under
	Bytes     []byte
	CreatedAt time.Time
}

// An APIKey is a client's key, kept by hash.
type APIKey struct {
	ID        message.APIKeyID
	Workspace message.WorkspaceID
	Name      string
	Hash      [32]byte
	Hint      string // last four characters
	Scopes    []string
	CreatedAt time.Time
	RevokedAt time.Time
}
