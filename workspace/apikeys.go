package workspace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const (
	apiKeyPrefix = "pk_"
	apiKeyLength = len(apiKeyPrefix) + 43 // 32 bytes in base64url
	// tokenLife bounds how long a key revoked on another node still works.
	tokenLife = 5 * time.Second
	maxTokens = 10_000
)

type token struct {
	key   *store.APIKey
	until time.Time
}

type tokens struct {
	mu    sync.RWMutex
	known map[[32]byte]token // by keyed hash
}

// CreateAPIKey makes a key for clients of a workspace. The secret is shown
// once: "pk_" and 43 characters of base64url; the store keeps a keyed hash.
func (r *Registry) CreateAPIKey(ctx context.Context, ws message.WorkspaceID, name string, scopes []string) (secret string, key *store.APIKey, err error) {
	key, err = r.CreateAPIKeyShown(ctx, ws, name, scopes, func(s string) error { secret = s; return nil })
	if err != nil {
		return "", nil, err
	}
	return secret, key, nil
}

// CreateAPIKeyShown is CreateAPIKey for a key that must not exist unseen: show
// gets the secret before it is stored, and nothing is stored when show fails.
// The key is good once this returns.
func (r *Registry) CreateAPIKeyShown(ctx context.Context, ws message.WorkspaceID, name string, scopes []string, show func(secret string) error) (*store.APIKey, error) {
	if _, err := r.Get(ctx, ws); err != nil {
		return nil, err
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
	secret := apiKeyPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	now := r.now()
	key := &store.APIKey{
		ID: message.APIKeyID(r.ids.Next(now)), Workspace: ws, Name: name,
		Hash: r.installation.HashAPIKey(secret), Hint: secret[len(secret)-4:],
		Scopes: scopes, CreatedAt: now,
	}
	if err := show(secret); err != nil {
		return nil, err
	}
	if err := r.store.CreateAPIKey(ctx, key); err != nil {
		return nil, err
	}
	return key, nil
}

// Authenticate gives the key of a secret, from memory for five seconds: a
// revocation on another node takes that long. It looks keys up by keyed hash,
// so that time tells nothing of the secret. It fails with ErrBadKey, or as the
// store does.
func (r *Registry) Authenticate(ctx context.Context, secret string) (*store.APIKey, error) {
	if len(secret) != apiKeyLength || !strings.HasPrefix(secret, apiKeyPrefix) {
		return nil, ErrBadKey
	}
	hash := r.installation.HashAPIKey(secret)
	now := r.now()
	r.tokens.mu.RLock()
	t, ok := r.tokens.known[hash]
	r.tokens.mu.RUnlock()
	if ok && now.Before(t.until) {
		return t.key, nil
	}
	key, err := r.store.APIKeyByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && !key.RevokedAt.IsZero() {
		r.tokens.mu.Lock()
		delete(r.tokens.known, hash)
		r.tokens.mu.Unlock()
		return nil, ErrBadKey
	}
	if err != nil {
		return nil, err
	}
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	for old := range r.tokens.known {
		if len(r.tokens.known) < maxTokens {
			break
		}
		delete(r.tokens.known, old)
	}
	r.tokens.known[hash] = token{key: key, until: now.Add(tokenLife)}
	return key, nil
}

// APIKeys lists the keys of a workspace, revoked ones too.
func (r *Registry) APIKeys(ctx context.Context, ws message.WorkspaceID) ([]*store.APIKey, error) {
	return r.store.APIKeys(ctx, ws)
}

// RevokeAPIKey ends a key: here at once, on other nodes within five seconds.
func (r *Registry) RevokeAPIKey(ctx context.Context, ws message.WorkspaceID, key message.APIKeyID) error {
	if err := r.store.RevokeAPIKey(ctx, ws, key, r.now()); err != nil {
		return err
	}
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	for hash, t := range r.tokens.known {
		if t.key.ID == key && t.key.Workspace == ws {
			delete(r.tokens.known, hash)
		}
	}
	return nil
}
