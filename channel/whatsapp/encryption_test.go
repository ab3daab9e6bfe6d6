package whatsapp_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/fault"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

func privatePEM(t testing.TB, bits int) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}

func encrypting(t testing.TB, base string, keys map[string]any) json.RawMessage {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(config(base), &c); err != nil {
		t.Fatal(err)
	}
	c["encryption"] = keys
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// With payload encryption no text crosses the wire in the clear, whatever the
// key's age, and a rotation loses nothing.
func TestPayloadEncryption(t *testing.T) {
	p := start(t, twin.Options{})
	target, err := url.Parse(p.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wire []string
	proxy := httputil.NewSingleHostReverseProxy(target)
	wiretap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		wire = append(wire, r.Method+" "+r.URL.Path+" "+string(body))
		mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(wiretap.Close)
	first, second := privatePEM(t, 2048), privatePEM(t, 2048)
	for _, keys := range []map[string]any{
		{"private_key": first},
		{"private_key": second, "previous_key": first},
		{"private_key": second},
	} {
		w, err := whatsapp.Open(encrypting(t, wiretap.URL, keys), channel.Env{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			m := &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: message.Content{Text: "un mot secret 🤫"}}
			a, err := w.Send(t.Context(), m)
			if err != nil || len(a.Parts) != 1 || !strings.HasPrefix(a.Parts[0], "wamid.") {
				t.Fatalf("%+v %v", a, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p.server.Settle()
	inbox := p.fleet.Inbox(person)
	if len(inbox) != 9 || inbox[8].Text != "un mot secret 🤫" {
		t.Errorf("the phone shows %+v", inbox)
	}
	settings := 0
	for _, call := range wire {
		if strings.Contains(call, "secret") || strings.Contains(call, person) || strings.Contains(call, "/messages ") {
			t.Errorf("in the clear: %.120s", call)
		}
		if strings.Contains(call, "/settings") {
			settings++
		}
	}
	if settings != 6 {
		t.Errorf("%d calls of settings for 3 connectors", settings)
	}
}

// Errors come in the clear and mean what they mean without encryption; an
// answer that is lost leaves the message uncertain.
func TestEncryptedFaults(t *testing.T) {
	p := start(t, twin.Options{})
	w, err := whatsapp.Open(encrypting(t, p.http.URL, map[string]any{"private_key": privatePEM(t, 2048)}), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for _, m := range fault.Magic() {
		if m.WhatsApp.Kind != fault.Reject && m.WhatsApp.Kind != fault.Garbage && m.WhatsApp.Kind != fault.Cut {
			continue
		}
		_, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + fault.Number(m.Code, 0)}, Content: message.Content{Text: "x"}})
		var f *message.Fault
		if !errors.As(err, &f) || f.Unmapped || f.Certain != (m.WhatsApp.Kind == fault.Reject) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	// A number that is not of this account: nothing of the message leaves.
	_, err = w.Send(t.Context(), &message.Outbound{From: message.Sender{Address: "999"}, To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: message.Content{Text: "x"}})
	var f *message.Fault
	if !errors.As(err, &f) || !f.Certain {
		t.Error(err)
	}
}

func TestEncryptionConfig(t *testing.T) {
	for name, keys := range map[string]map[string]any{
		"no key":        {},
		"not a key":     {"private_key": "x"},
		"a weak key":    {"private_key": privatePEM(t, 1024)},
		"unknown field": {"private_key": privatePEM(t, 2048), "public": "x"},
		"bad previous":  {"private_key": privatePEM(t, 2048), "previous_key": "x"},
	} {
		err := whatsapp.Type.Check(encrypting(t, "http://127.0.0.1:1", keys))
		var bad *channel.ConfigError
		if !errors.As(err, &bad) || !strings.HasPrefix(bad.Field, "encryption") || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
