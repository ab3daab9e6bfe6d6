package vault

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// An Installation holds the keys that belong to no workspace: the key that
// signs erasure receipts, the pepper of API keys and the key of the erasure
// journal. It is safe for concurrent use.
type Installation struct {
	hidden
	signing func() ed25519.PrivateKey // a closure for the same reason as secret
	pepper  secret
	journal secret
}

// NewInstallation makes the keys of a new installation, wrapped. They are
// committed before the first use and never made twice: a second set would
// orphan every API key, receipt and journal line.
func NewInstallation(m *Masters) ([]WrappedKey, error) {
	return newKeys(m, [16]byte{}, KindSigning, KindPepper, KindJournal)
}

// OpenInstallation opens the keys of the installation; keys of other kinds are
// ignored. It fails with *MissingKeyError, ErrFormat or ErrOpen.
func OpenInstallation(m *Masters, wrapped []WrappedKey) (*Installation, error) {
	var seed, pepper, journal *[keySize]byte
	for _, w := range wrapped {
		to := map[Kind]**[keySize]byte{KindSigning: &seed, KindPepper: &pepper, KindJournal: &journal}[w.Kind]
		if to == nil || w.Workspace != [16]byte{} {
			continue
		}
		key, err := m.unwrap(w)
		if err != nil {
			return nil, err
		}
		*to = key
	}
	switch {
	case seed == nil:
		return nil, &MissingKeyError{Kind: KindSigning}
	case pepper == nil:
		return nil, &MissingKeyError{Kind: KindPepper}
	case journal == nil:
		return nil, &MissingKeyError{Kind: KindJournal}
	}
	signing := ed25519.NewKeyFromSeed(seed[:])
	clear(seed[:])
	return &Installation{
		signing: func() ed25519.PrivateKey { return signing },
		pepper:  hide(pepper),
		journal: hide(journal),
	}, nil
}

// PublicKey is what others verify erasure receipts with. It is public: print
// it in the documentation of the installation.
func (in *Installation) PublicKey() ed25519.PublicKey {
	return in.signing().Public().(ed25519.PublicKey)
}

// Close zeroes the keys. It must not run at the same time as other methods,
// and none may be used after it.
func (in *Installation) Close() {
	clear(in.signing())
	clear(in.pepper()[:])
	clear(in.journal()[:])
}

// HashAPIKey gives what is stored of an API key: HMAC-SHA256(pepper,
// "parley/api-key/v1" | key). API keys are long and random, so a slow password
// hash would only slow down every request.
func (in *Installation) HashAPIKey(key string) [32]byte {
	h := hmac.New(sha256.New, in.pepper()[:])
	h.Write([]byte("parley/api-key/v1"))
	h.Write([]byte(key))
	return [32]byte(h.Sum(nil))
}

// MatchAPIKey reports in constant time whether key is the one hashed.
func (in *Installation) MatchAPIKey(stored [32]byte, key string) bool {
	got := in.HashAPIKey(key)
	return subtle.ConstantTimeCompare(got[:], stored[:]) == 1
}

func signingID(pub ed25519.PublicKey) string {
	h := sha256.Sum256(pub)
	return hex.EncodeToString(h[:8])
}

// webhookPrefix and the sizes are of Standard Webhooks, "Signature scheme":
// a secret is 24 to 64 random bytes, base64, behind this prefix.
const (
	webhookPrefix = "whsec_"
	minWebhookKey = 24
	maxWebhookKey = 64
)

// ErrWebhookSecret is returned for a text that is no Standard Webhooks secret.
// It never repeats the text.
var ErrWebhookSecret = errors.New("vault: not a webhook secret: want whsec_ and 24 to 64 bytes in base64")

// NewWebhookSecret makes a signing secret for a webhook endpoint in the form
// customers' Standard Webhooks libraries take: "whsec_" and 32 random bytes in
// base64. It is shown once and stored sealed (Workspace.Seal).
func NewWebhookSecret() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key)
	return webhookPrefix + base64.StdEncoding.EncodeToString(key)
}

// WebhookKey gives the HMAC key inside a secret, or ErrWebhookSecret.
func WebhookKey(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, webhookPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minWebhookKey || len(key) > maxWebhookKey {
		return nil, ErrWebhookSecret
	}
	return key, nil
}
