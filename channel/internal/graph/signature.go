package graph

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"

	"github.com/parley-messaging/parley/channel"
)

// Why a callback is turned away.
var (
	ErrSignature = errors.New("the signature of the callback is missing or wrong")
	ErrHandshake = errors.New("the verify token of the handshake is wrong")
	ErrMethod    = errors.New("a callback is a GET or a POST")
)

// Signed reports whether header, the value of X-Hub-Signature-256, is the
// HMAC-SHA256 of the raw body under the app secret. The older SHA-1 header is
// not accepted. It compares in constant time.
func Signed(secret, header string, body []byte) bool {
	const prefix = "sha256="
	if secret == "" || len(header) != len(prefix)+2*sha256.Size || header[:len(prefix)] != prefix {
		return false
	}
	var given [sha256.Size]byte
	if _, err := hex.Decode(given[:], []byte(header[len(prefix):])); err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	var want [sha256.Size]byte
	return hmac.Equal(mac.Sum(want[:0]), given[:])
}

// Verify judges a callback of the Meta family: the GET handshake and the
// signature of a POST. The answer is filled beside an error too.
func Verify(c *channel.Callback, verifyToken, appSecret string) (channel.Answer, error) {
	switch c.Method {
	case http.MethodGet:
		return handshake(c.Query, verifyToken)
	case http.MethodPost:
		if !Signed(appSecret, c.Header.Get("X-Hub-Signature-256"), c.Body) {
			return channel.Answer{Status: http.StatusUnauthorized}, ErrSignature
		}
		return channel.Answer{Status: http.StatusOK, Keep: true}, nil
	}
	return channel.Answer{Status: http.StatusMethodNotAllowed}, ErrMethod
}

func handshake(q url.Values, token string) (channel.Answer, error) {
	given := sha256.Sum256([]byte(q.Get("hub.verify_token")))
	want := sha256.Sum256([]byte(token))
	challenge := q.Get("hub.challenge")
	if token == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 ||
		q.Get("hub.mode") != "subscribe" || !plain(challenge) {
		return channel.Answer{Status: http.StatusForbidden}, ErrHandshake
	}
	return channel.Answer{Status: http.StatusOK, Body: challenge}, nil
}

// plain keeps us from echoing anything a browser could run.
func plain(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
