package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestInstallation(t *testing.T) {
	m := masters(t, masterA)
	stored, err := NewInstallation(m)
	if err != nil {
		t.Fatal(err)
	}
	in, err := OpenInstallation(m, stored)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenInstallation(m, stored)
	if err != nil || !again.PublicKey().Equal(in.PublicKey()) {
		t.Errorf("opened twice: %v", err)
	}
	hash := in.HashAPIKey("pk_1")
	if !again.MatchAPIKey(hash, "pk_1") || in.MatchAPIKey(hash, "pk_2") {
		t.Error("API key hashes do not tell keys apart")
	}
	for i := range stored {
		rest := append(append([]WrappedKey{}, stored[:i]...), stored[i+1:]...)
		if _, err := OpenInstallation(m, rest); !isMissing(err) {
			t.Errorf("without %s: %v", stored[i].Kind, err)
		}
	}
	if _, err := OpenInstallation(masters(t, masterB), stored); !isMissing(err) {
		t.Errorf("wrong master: %v", err)
	}
	if err := NewKeyring(m).Add(stored...); !errors.Is(err, ErrFormat) {
		t.Errorf("installation keys in a keyring: %v", err)
	}
}

func TestReceiptRefusesEveryChange(t *testing.T) {
	v, m, _, in := vectorKeys(t)
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(v.Receipt), "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyReceipt(in.PublicKey(), indented.Bytes()); err != nil {
		t.Errorf("indented: %v", err)
	}
	for i := range len(v.Receipt) {
		bad := []byte(v.Receipt)
		bad[i] ^= 1
		if _, err := VerifyReceipt(in.PublicKey(), bad); !errors.Is(err, ErrReceipt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for name, bad := range map[string]string{
		"repeated member": strings.Replace(v.Receipt, `{"receipt":`, `{"receipt":{},"receipt":`, 1),
		"unknown member":  strings.Replace(v.Receipt, `{"receipt":`, `{"note":"","receipt":`, 1),
		"other case":      strings.Replace(v.Receipt, `"suppressed"`, `"Suppressed"`, 1),
		"trailing":        v.Receipt + "{}",
		"empty":           "",
	} {
		if _, err := VerifyReceipt(in.PublicKey(), []byte(bad)); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stored, err := NewInstallation(m)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenInstallation(m, stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyReceipt(other.PublicKey(), []byte(v.Receipt)); !errors.Is(err, ErrReceipt) {
		t.Errorf("another installation: %v", err)
	}
	if _, err := VerifyReceipt(nil, []byte(v.Receipt)); !errors.Is(err, ErrReceipt) {
		t.Errorf("no key: %v", err)
	}
	if signed, err := other.SignReceipt(ErasureReceipt{ID: "<é>\u2028"}); err != nil {
		t.Error(err)
	} else if _, err := VerifyReceipt(other.PublicKey(), signed); err != nil {
		t.Errorf("odd text: %v: %s", err, signed)
	}
	if _, err := other.SignReceipt(ErasureReceipt{ID: "\xff"}); !errors.Is(err, ErrReceipt) {
		t.Errorf("text that JSON cannot carry was signed: %v", err)
	}
}

func TestWebhookSecret(t *testing.T) {
	secret := NewWebhookSecret()
	if key, err := WebhookKey(secret); err != nil || len(key) != 32 || secret == NewWebhookSecret() {
		t.Errorf("%d bytes, %v", len(key), err)
	}
	encode := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, bad := range []string{"", "whsec_", encode(32), "whsec_" + encode(23), "whsec_" + encode(65), "whsec_!!"} {
		if _, err := WebhookKey(bad); !errors.Is(err, ErrWebhookSecret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, n := range []int{24, 64} {
		if _, err := WebhookKey("whsec_" + encode(n)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
