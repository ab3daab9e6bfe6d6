package whatsapp

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// Encryption switches payload encryption on: sends go to messages_encrypted,
// and Meta seals its answers with our key (facebook/openapi v23.0, tag
// Encrypted Messages, read November 2026). Errors and webhooks of statuses and
// inbound messages stay as they are; encrypted webhooks of message echoes,
// whose form Meta does not publish, are not read.
type Encryption struct {
	// PrivateKey is ours, RSA of 2048 bits in PEM. Its public half is given to
	// Meta before the first send.
	PrivateKey channel.Secret `json:"private_key"`
	// PreviousKey still opens answers while keys are rotated.
	PreviousKey channel.Secret `json:"previous_key"`
}

// keyLife is how long the cloud's key is believed; after it, and after an
// answer that refuses ours, it is asked for again.
const keyLife = time.Hour

// ring is the keys of a connector with payload encryption.
type ring struct {
	private []*rsa.PrivateKey
	public  string // base64 of the PEM of the first one's public half

	mu    sync.Mutex
	cloud map[string]cloudKey // by phone number id
}

type cloudKey struct {
	key   *rsa.PublicKey
	until time.Time
}

// ring reads the keys of a configuration; nil when encryption is off.
func (c *Config) ring() (*ring, error) {
	if len(c.Encryption) == 0 || string(c.Encryption) == "null" {
		return nil, nil
	}
	wrong := func(field, problem, remedy string) error {
		return &channel.ConfigError{Field: "encryption." + field, Problem: problem, Remedy: remedy}
	}
	var e Encryption
	if err := channel.DecodeConfig(c.Encryption, &e); err != nil {
		if bad, ok := err.(*channel.ConfigError); ok {
			bad.Field = "encryption." + bad.Field
		}
		return nil, err
	}
	if c.MarketingMessages {
		return nil, wrong("private_key", "cannot go with marketing_messages, which Meta does not encrypt", "take one of the two out")
	}
	r := &ring{cloud: map[string]cloudKey{}}
	key, err := privateKey(e.PrivateKey.Reveal())
	if err != nil {
		return nil, wrong("private_key", "is not an RSA key of 2048 bits in PEM", "make one with: openssl genrsa 2048")
	}
	r.private = append(r.private, key)
	if e.PreviousKey != "" {
		old, err := privateKey(e.PreviousKey.Reveal())
		if err != nil {
			return nil, wrong("previous_key", "is not an RSA key of 2048 bits in PEM", "give the key that private_key was before, or leave it out")
		}
		r.private = append(r.private, old)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, wrong("private_key", "has no public half", "make another with: openssl genrsa 2048")
	}
	r.public = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return r, nil
}

// cloudKey gives the key to seal with for a number; it registers ours and asks
// for theirs when it has none that is fresh. Failures are certain: nothing of
// the message has left.
func (w *Connector) cloudKey(ctx context.Context, number string) (*rsa.PublicKey, error) {
	r := w.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.cloud[number]; ok && w.now().Before(k.until) {
		return k.key, nil
	}
	body := append([]byte(`{"payload_encryption":{"status":"enabled","client_encryption_key":`), graph.AppendString(nil, r.public)...)
	if _, err := w.call(ctx, http.MethodPost, "/"+number+"/settings", "application/json", append(body, '}', '}')); err != nil {
		return nil, certain(err)
	}
	reply, err := w.call(ctx, http.MethodGet, "/"+number+"/settings", "", nil)
	if err != nil {
		return nil, certain(err)
	}
	var settings struct {
		Payload struct {
			Status string `json:"status"`
			Key    string `json:"cloud_encryption_key"`
		} `json:"payload_encryption"`
	}
	if err := json.Unmarshal(reply.Body, &settings); err != nil || settings.Payload.Status != "enabled" {
		return nil, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "encryption", Title: "the number does not encrypt payloads", Cause: err}
	}
	key, err := publicKey(settings.Payload.Key)
	if err != nil {
		return nil, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "encryption", Title: "the cloud's encryption key cannot be read", Cause: err}
	}
	r.cloud[number] = cloudKey{key, w.now().Add(keyLife)}
	return key, nil
}

// forget drops the cloud's key of a number, so that it is asked for again.
func (r *ring) forget(number string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.cloud, number)
}

// certain marks a fault of a call made before the message: it surely did not
// leave.
func certain(err error) error {
	if f, ok := err.(*message.Fault); ok {
		f.Certain = true
		return f
	}
	return &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Code: "encryption", Title: "the encryption keys could not be exchanged", Cause: err}
}

// sendSealed hands a body to messages_encrypted and opens the answer.
func (w *Connector) sendSealed(ctx context.Context, number string, body []byte) (graph.Reply, error) {
	key, err := w.cloudKey(ctx, number)
	if err != nil {
		return graph.Reply{}, err
	}
	sealed, err := seal(key, body)
	if err != nil {
		return graph.Reply{}, &message.Fault{Kind: message.Transient, Certain: true, Code: "encryption", Title: "the message could not be encrypted", Cause: err}
	}
	u, err := w.client.URL("/" + number + "/messages_encrypted")
	if err != nil {
		return graph.Reply{}, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "sender", Title: "the sender's address is not a phone number id"}
	}
	outer := append(make([]byte, 0, len(sealed)+64), `{"messaging_product":"whatsapp","encrypted_contents":"`...)
	outer = append(append(outer, sealed...), `"}`...)
	reply, err := w.client.Do(ctx, http.MethodPost, u, "application/json", outer)
	if err != nil {
		return reply, callFault(err)
	}
	if reply.Status != http.StatusOK {
		w.ring.forget(number) // perhaps the cloud's key has changed
		return reply, nil
	}
	var answer struct {
		Contents string `json:"encrypted_contents"`
	}
	if err := json.Unmarshal(reply.Body, &answer); err == nil && answer.Contents != "" {
		reply.Body, err = unseal(w.ring.private, answer.Contents)
		if err != nil {
			// Taken, but nobody knows under which id.
			return reply, &message.Fault{Kind: message.Transient, Scope: message.ScopeMessage, Code: "answer", Title: "the encrypted answer cannot be opened", Cause: err}
		}
	}
	return reply, nil
}
