package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/vault"
)

// The headers of Standard Webhooks 1.0, "Webhook Headers".
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// scheme is the symmetric signature of Standard Webhooks: HMAC-SHA256.
const scheme = "v1,"

// Errors of Verify.
var (
	// ErrSignature: none of the signatures is this secret's over this body.
	ErrSignature = errors.New("webhook: the signature does not fit")
	// ErrTimestamp: signed too long ago, or too far ahead: perhaps a replay.
	ErrTimestamp = errors.New("webhook: the timestamp is not of now")
	// ErrHeader: a header is missing or cannot be read.
	ErrHeader = errors.New("webhook: webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
)

// appendSignature appends "v1," and the signature of id.timestamp.body.
func appendSignature(dst, key []byte, id, timestamp string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	head := make([]byte, 0, 64)
	head = append(append(append(append(head, id...), '.'), timestamp...), '.')
	m.Write(head)
	m.Write(body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(append(dst, scheme...), m.Sum(sum[:0]))
}

// sign gives the value of webhook-signature: one signature per key, separated
// by spaces, so that receivers may hold the old or the new secret.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	out := make([]byte, 0, 48*len(keys))
	for i, key := range keys {
		if i > 0 {
			out = append(out, ' ')
		}
		out = appendSignature(out, key, id, timestamp, body)
	}
	return string(out)
}

// Verify tells whether a request came from who holds the secret ("whsec_…"),
// unchanged and lately: body is the bytes as received, tolerance the greatest
// difference between its timestamp and now (5 minutes is usual). It fails with
// ErrHeader, ErrTimestamp, ErrSignature or vault.ErrWebhookSecret. It compares
// in constant time. It is what receivers do; Parley itself does not call it.
func Verify(secret string, header http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	key, err := vault.WebhookKey(secret)
	if err != nil {
		return err
	}
	id, timestamp, given := header.Get(HeaderID), header.Get(HeaderTimestamp), header.Get(HeaderSignature)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || given == "" || err != nil {
		return ErrHeader
	}
	if off := now.Sub(time.Unix(seconds, 0)).Abs(); off > tolerance {
		return ErrTimestamp
	}
	want := appendSignature(nil, key, id, timestamp, body)
	for one := range strings.FieldsSeq(given) {
		if hmac.Equal([]byte(one), want) {
			return nil
		}
	}
	return ErrSignature
}
