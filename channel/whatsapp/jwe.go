package whatsapp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
)

// Payload encryption seals bodies as compact JWE (RFC 7516) with RSA-OAEP and
// A256GCM, which Meta calls its standard (facebook/openapi,
// business-messaging-api_v23.0.yaml of 21 November 2025, tag Encrypted
// Messages). RSA-OAEP means SHA-1 inside, by RFC 7518, section 4.3.
const jweHeader = `{"alg":"RSA-OAEP","enc":"A256GCM"}`

// maxJWE bounds what is opened: far above any body of a send.
const maxJWE = 1 << 20

var (
	errJWE    = errors.New("not a compact JWE")
	errJWEAlg = errors.New("a JWE of another algorithm")
	errJWEKey = errors.New("no key opens the JWE")
	errRSAKey = errors.New("not a 2048 to 4096 bit RSA key")
)

// seal makes a compact JWE of plain that only the owner of key can open.
func seal(key *rsa.PublicKey, plain []byte) ([]byte, error) {
	var secret [32 + 12]byte // the content key and the nonce
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	content, nonce := secret[:32], secret[32:]
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, content, nil)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(content)
	if err != nil {
		return nil, err
	}
	e := base64.RawURLEncoding
	b := make([]byte, 0, e.EncodedLen(len(jweHeader))+e.EncodedLen(len(wrapped))+e.EncodedLen(len(plain))+64)
	b = e.AppendEncode(b, []byte(jweHeader))
	sealed := aead.Seal(make([]byte, 0, len(plain)+aead.Overhead()), nonce, plain, b)
	b = e.AppendEncode(append(b, '.'), wrapped)
	b = e.AppendEncode(append(b, '.'), nonce)
	b = e.AppendEncode(append(b, '.'), sealed[:len(plain)])
	return e.AppendEncode(append(b, '.'), sealed[len(plain):]), nil
}

// unseal opens a compact JWE with the first of keys that fits: the current one
// and, while keys are rotated, the one before.
func unseal(keys []*rsa.PrivateKey, token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 5 || len(token) > maxJWE {
		return nil, errJWE
	}
	var raw [5][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			return nil, errJWE
		}
	}
	var header struct{ Alg, Enc, Zip string }
	if err := json.Unmarshal(raw[0], &header); err != nil {
		return nil, errJWE
	}
	size := map[string]int{"A256GCM": 32, "A128GCM": 16}[header.Enc]
	if header.Alg != "RSA-OAEP" || size == 0 || header.Zip != "" {
		return nil, errJWEAlg
	}
	if len(raw[2]) != 12 || len(raw[4]) != 16 {
		return nil, errJWE
	}
	for _, key := range keys {
		content, err := rsa.DecryptOAEP(sha1.New(), nil, key, raw[1], nil)
		if err != nil || len(content) != size {
			continue
		}
		aead, err := gcm(content)
		if err != nil {
			return nil, err
		}
		if plain, err := aead.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0])); err == nil {
			return plain, nil
		}
	}
	return nil, errJWEKey
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// publicKey reads the cloud's key. Meta's reference shows only its first
// letters ("eyJhbGc..."), so PEM, PEM in base64 (as our key is sent), DER in
// base64 and a JWK, plain or in base64url, are all taken.
func publicKey(s string) (*rsa.PublicKey, error) {
	s = strings.TrimSpace(s)
	candidates := [][]byte{[]byte(s)}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(s); err == nil {
			candidates = append(candidates, b)
		}
	}
	for _, b := range candidates {
		if block, _ := pem.Decode(b); block != nil {
			b = block.Bytes
		}
		if k, err := x509.ParsePKIXPublicKey(b); err == nil {
			if key, ok := k.(*rsa.PublicKey); ok {
				return key, strong(key)
			}
		}
		if key := jwk(b); key != nil {
			return key, strong(key)
		}
	}
	return nil, errRSAKey
}

// jwk reads an RSA key of RFC 7517; nil when b is none.
func jwk(b []byte) *rsa.PublicKey {
	var k struct{ Kty, N, E string }
	if json.Unmarshal(b, &k) != nil || k.Kty != "RSA" {
		return nil
	}
	n, err := base64.RawURLEncoding.DecodeString(k.N)
	if err != nil {
		return nil
	}
	e, err := base64.RawURLEncoding.DecodeString(k.E)
	if err != nil || len(e) == 0 || len(e) > 4 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
}

// privateKey reads a PEM of PKCS #8 or PKCS #1.
func privateKey(s string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(s))
	if block == nil {
		return nil, errRSAKey
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errRSAKey
		}
		var ok bool
		if key, ok = k.(*rsa.PrivateKey); !ok {
			return nil, errRSAKey
		}
	}
	return key, strong(&key.PublicKey)
}

func strong(k *rsa.PublicKey) error {
	if n := k.N.BitLen(); n < 2048 || n > 4096 || k.E < 3 {
		return errRSAKey
	}
	return nil
}
