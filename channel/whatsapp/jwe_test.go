package whatsapp

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestJWE(t *testing.T) {
	current, previous, stranger := newKey(t, 2048), newKey(t, 2048), newKey(t, 2048)
	ring := []*rsa.PrivateKey{current, previous}
	body := []byte(`{"text":{"body":"ça 👩‍👩‍👧"}}`)
	for _, key := range ring {
		token, err := seal(&key.PublicKey, body)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := unseal(ring, string(token)); err != nil || !bytes.Equal(plain, body) {
			t.Errorf("%q %v", plain, err)
		}
	}
	token, err := seal(&stranger.PublicKey, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unseal(ring, string(token)); !errors.Is(err, errJWEKey) {
		t.Error(err)
	}
	good, err := seal(&current.PublicKey, body)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(good), ".")
	head := func(h string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + strings.Join(parts[1:], ".")
	}
	for name, bad := range map[string]string{
		"empty":          "",
		"four parts":     strings.Join(parts[:4], "."),
		"six parts":      string(good) + ".x",
		"padded":         string(good) + "==",
		"other header":   head(`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"1"}`),
		"none":           head(`{"alg":"none","enc":"A256GCM"}`),
		"RSA1_5":         head(`{"alg":"RSA1_5","enc":"A256GCM"}`),
		"compressed":     head(`{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`),
		"shorter key":    head(`{"alg":"RSA-OAEP","enc":"A128GCM"}`),
		"header no JSON": head(`[]`),
		"no tag":         strings.Join(parts[:4], ".") + ".",
		"too large":      strings.Repeat("a", maxJWE+1) + "." + strings.Join(parts[1:], "."),
	} {
		if plain, err := unseal(ring, bad); err == nil {
			t.Errorf("%s: opened to %q", name, plain)
		}
	}
}

func TestCloudKeyForms(t *testing.T) {
	k := &newKey(t, 2048).PublicKey
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	p := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	j := `{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(k.N.Bytes()) + `"}`
	for name, form := range map[string]string{
		"PEM": p, "PEM in base64": base64.StdEncoding.EncodeToString([]byte(p)), "DER in base64": base64.StdEncoding.EncodeToString(der),
		"JWK": j, "JWK in base64url": base64.RawURLEncoding.EncodeToString([]byte(j)),
	} {
		if got, err := publicKey(form); err != nil || !got.Equal(k) {
			t.Errorf("%s: %v", name, err)
		}
	}
	small := base64.RawURLEncoding.EncodeToString(k.N.Bytes()[:128])
	for _, bad := range []string{"", "eyJhbGc...", "{}", `{"kty":"EC"}`, `{"kty":"RSA","e":"AQAB","n":"` + small + `"}`, `{"kty":"RSA","e":"AQ","n":"` + j[30:60] + `"}`} {
		if _, err := publicKey(bad); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	key := newKey(f, 2048)
	token, err := seal(&key.PublicKey, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(token))
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = unseal([]*rsa.PrivateKey{key}, s)
		_, _ = publicKey(s)
	})
}

// BenchmarkJWE seals the body of a text for the cloud: one core.
func BenchmarkJWE(b *testing.B) {
	key := newKey(b, 2048)
	m := outbounds()["text"]
	body, err := encode(nil, &m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal(&key.PublicKey, body); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	})
	answer := []byte(`{"messaging_product":"whatsapp","contacts":[{"input":"33612345678","wa_id":"33612345678"}],"messages":[{"id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3N0I4QTAwMDAwMDAwMDAwMDAA"}]}`)
	token, err := seal(&key.PublicKey, answer)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("seal and open the answer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal(&key.PublicKey, body); err != nil {
				b.Fatal(err)
			}
			if _, err := unseal([]*rsa.PrivateKey{key}, string(token)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	})
}
