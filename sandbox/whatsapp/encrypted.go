package whatsapp

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"strings"
)

// Payload encryption as facebook/openapi tells (v23.0, 21 November 2025, tag
// Encrypted Messages): a body is a compact JWE around what /messages takes, a
// success is answered with a JWE, an error in the clear. Of the algorithms
// listed there the twin plays RSA-OAEP with A128GCM and A256GCM. It still takes
// plain sends while encryption is on: the reference does not say they are
// refused.

func newCloudKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// settings answers GET P/settings.
func (s *Server) settings(w http.ResponseWriter, n *number) {
	b := []byte(`{"calling":{"status":"disabled"},"payload_encryption":{`)
	key := n.client.Load()
	if key == nil {
		b = appendMember(b, "status", "disabled")
	} else {
		cloud, err := n.cloud()
		if err != nil {
			s.fail(w, refuse(131000, ""))
			return
		}
		print := sha256.Sum256(publicPEM(key))
		b = appendMember(b, "status", "enabled")
		b = appendMember(b, "client_encryption_key_fingerprint", "SHA256:"+base64.RawStdEncoding.EncodeToString(print[:]))
		b = appendMember(b, "cloud_encryption_key", base64.StdEncoding.EncodeToString(publicPEM(&cloud.PublicKey)))
	}
	reply(w, http.StatusOK, append(b, `},"storage_configuration":{"status":"default"}}`...))
}

func publicPEM(k *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// setSettings answers POST P/settings, of which it keeps payload_encryption.
func (s *Server) setSettings(w http.ResponseWriter, r *http.Request, n *number) {
	doc, bad := readBody(r, maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	v, err := parse(doc)
	if err != nil || v.kind != isObject {
		s.fail(w, refuse(100, "Invalid JSON in the request body."))
		return
	}
	if p := v.get("payload_encryption"); p.kind != absent {
		switch p.text("status") {
		case "disabled":
			n.client.Store(nil)
		case "enabled":
			key := clientKey(p.text("client_encryption_key"))
			if key == nil {
				s.fail(w, refuse(100, "client_encryption_key must be a base64 encoded 2048-bit RSA public key."))
				return
			}
			n.client.Store(key)
		default:
			s.fail(w, refuse(100, "payload_encryption['status'] must be enabled or disabled."))
			return
		}
	}
	reply(w, http.StatusOK, success)
}

func clientKey(text string) *rsa.PublicKey {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != 2048 {
		return nil
	}
	return key
}

// encrypted answers POST P/messages_encrypted: it opens the body, lets
// messages do the work and seals a success.
func (s *Server) encrypted(w http.ResponseWriter, r *http.Request, n *number, version int) {
	client := n.client.Load()
	if client == nil {
		s.fail(w, refuse(100, "Payload encryption is not enabled for this phone number."))
		return
	}
	doc, bad := readBody(r, 2*maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	v, err := parse(doc)
	if err != nil || v.kind != isObject || v.text("messaging_product") != "whatsapp" {
		s.fail(w, refuse(100, "Missing required field messaging_product"))
		return
	}
	cloud, err := n.cloud()
	if err != nil {
		s.fail(w, refuse(131000, ""))
		return
	}
	plain, ok := openJWE(cloud, v.text("encrypted_contents"))
	if !ok {
		s.fail(w, refuse(100, "Invalid JWE token format"))
		return
	}
	inner := r.Clone(r.Context())
	inner.Body = io.NopCloser(strings.NewReader(string(plain)))
	inner.ContentLength = int64(len(plain))
	s.messages(&sealer{to: w, key: client, fail: func() { s.fail(w, refuse(131000, "")) }}, inner, n, version, false)
}

// sealer encrypts the body of a success on its way out.
type sealer struct {
	to     http.ResponseWriter
	key    *rsa.PublicKey
	fail   func()
	header http.Header
	status int
}

func (w *sealer) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *sealer) WriteHeader(status int) { w.status = status }

func (w *sealer) Write(b []byte) (int, error) {
	if w.status != http.StatusOK {
		reply(w.to, w.status, b)
		return len(b), nil
	}
	token, err := sealJWE(w.key, b)
	if err != nil {
		w.fail()
		return len(b), nil
	}
	reply(w.to, http.StatusOK, append(appendMember([]byte{'{'}, "encrypted_contents", token), '}'))
	return len(b), nil
}

// Hijack lets a fault cut the connection.
func (w *sealer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.to).Hijack()
}

var b64 = base64.RawURLEncoding

// sealJWE makes a compact JWE in what Meta calls its standard: A256GCM and
// RSA-OAEP.
func sealJWE(key *rsa.PublicKey, plain []byte) (string, error) {
	content, nonce := make([]byte, 32), make([]byte, 12)
	for _, b := range [][]byte{content, nonce} {
		if _, err := rand.Read(b); err != nil {
			return "", err
		}
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, content, nil)
	if err != nil {
		return "", err
	}
	aead := gcmOf(content)
	if aead == nil {
		return "", io.ErrUnexpectedEOF
	}
	head := b64.EncodeToString([]byte(`{"enc":"A256GCM","alg":"RSA-OAEP"}`))
	sealed := aead.Seal(nil, nonce, plain, []byte(head))
	tag := len(sealed) - aead.Overhead()
	return strings.Join([]string{head, b64.EncodeToString(wrapped), b64.EncodeToString(nonce), b64.EncodeToString(sealed[:tag]), b64.EncodeToString(sealed[tag:])}, "."), nil
}

// openJWE opens a compact JWE.
func openJWE(key *rsa.PrivateKey, token string) ([]byte, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 5 {
		return nil, false
	}
	var raw [5]string
	for i, p := range parts {
		b, err := b64.DecodeString(p)
		if err != nil {
			return nil, false
		}
		raw[i] = string(b)
	}
	head, err := parse(raw[0])
	if err != nil || head.text("alg") != "RSA-OAEP" || head.has("zip") {
		return nil, false
	}
	content, err := rsa.DecryptOAEP(sha1.New(), nil, key, []byte(raw[1]), nil)
	size := map[string]int{"A128GCM": 16, "A256GCM": 32}[head.text("enc")]
	if err != nil || size == 0 || len(content) != size || len(raw[2]) != 12 || len(raw[4]) != 16 {
		return nil, false
	}
	aead := gcmOf(content)
	if aead == nil {
		return nil, false
	}
	plain, err := aead.Open(nil, []byte(raw[2]), []byte(raw[3]+raw[4]), []byte(parts[0]))
	return plain, err == nil
}

func gcmOf(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	return aead
}
