package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// SealPurpose is the purpose under which the secrets of an endpoint are sealed
// with the workspace's key (store.Endpoint.Sealed); the row is its id.
const SealPurpose = "endpoints.secrets"

// A Secret signs deliveries. During a rotation the new one comes first and the
// one before signs beside it until its Until, so that a receiver can change
// over at leisure. It prints as "***"; only its JSON, which is to be sealed,
// shows it.
type Secret struct {
	Value string    `json:"secret"`         // "whsec_" and base64
	Until time.Time `json:"until,omitzero"` // zero: until it is replaced
}

// Format prints "***" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// LogValue gives "***".
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// SealSecrets gives what store.Endpoint.Sealed holds: a JSON array, the secret
// in force first.
func SealSecrets(ctx context.Context, r *workspace.Registry, ws message.WorkspaceID, id message.EndpointID, secrets []Secret) ([]byte, error) {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return r.SealWorkspace(ctx, ws, SealPurpose, id, plain)
}

// errSecrets says nothing of what was read: a decoder's complaint might.
var errSecrets = errors.New("the sealed secrets of the endpoint cannot be read")

// OpenSecrets opens what SealSecrets sealed.
func OpenSecrets(ctx context.Context, r *workspace.Registry, ws message.WorkspaceID, id message.EndpointID, sealed []byte) ([]Secret, error) {
	plain, err := r.OpenWorkspace(ctx, ws, SealPurpose, id, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	var secrets []Secret
	if json.Unmarshal(plain, &secrets) != nil || len(secrets) == 0 {
		return nil, errSecrets
	}
	return secrets, nil
}

// A signingKey is a secret made ready.
type signingKey struct {
	key   []byte
	until time.Time
}

func signingKeys(secrets []Secret) ([]signingKey, error) {
	out := make([]signingKey, 0, len(secrets))
	for _, s := range secrets {
		key, err := vault.WebhookKey(s.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, signingKey{key, s.Until})
	}
	return out, nil
}

// live gives the keys that still sign; the first always signs.
func live(keys []signingKey, now time.Time) [][]byte {
	out := make([][]byte, 0, len(keys))
	for i, k := range keys {
		if i == 0 || k.until.IsZero() || k.until.After(now) {
			out = append(out, k.key)
		}
	}
	return slices.Clip(out)
}
