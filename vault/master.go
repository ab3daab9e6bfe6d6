package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Masters holds the master keys of the installation: the current one, which
// wraps, and previous ones, which only unwrap until everything was rewrapped.
// It is safe for concurrent use.
type Masters struct {
	hidden
	current *master
	byID    map[string]*master
}

type master struct {
	id   string
	wrap cipher.AEAD
}

// ParseMasters reads one or more keys separated by white space or commas, the
// current one first; each is 32 bytes in hex (64 digits) or base64 (standard
// or URL alphabet, padded or not). This is the form of PARLEY_MASTER_KEY. A
// refusal is a *MasterError.
func ParseMasters(text string) (*Masters, error) {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
	if len(words) == 0 {
		return nil, &MasterError{Problem: "empty", Remedy: "give 32 random bytes in base64 or hex, for example from `openssl rand -base64 32`"}
	}
	m := &Masters{byID: make(map[string]*master, len(words))}
	for _, word := range words {
		key, err := parseMaster(word)
		if err != nil {
			return nil, err
		}
		one, err := newMaster(key)
		clear(key[:])
		if err != nil {
			return nil, err
		}
		if m.byID[one.id] != nil {
			return nil, &MasterError{Problem: "the same key is given twice", Remedy: "give each key once, the current one first"}
		}
		m.byID[one.id] = one
		if m.current == nil {
			m.current = one
		}
	}
	return m, nil
}

func parseMaster(word string) (*[keySize]byte, error) {
	var raw []byte
	var err error
	if len(word) == hex.EncodedLen(keySize) {
		raw, err = hex.DecodeString(word)
	} else {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(word, "="))
		raw, err = base64.RawStdEncoding.DecodeString(plain)
	}
	if err != nil || len(raw) != keySize {
		return nil, &MasterError{Problem: "not 32 bytes in base64 or hex", Remedy: "make one with `openssl rand -base64 32`"}
	}
	key := [keySize]byte(raw)
	clear(raw)
	different := map[byte]bool{}
	for _, b := range key {
		different[b] = true
	}
	// 32 random bytes have fewer than 9 different values once in 10^30.
	if len(different) < 9 {
		return nil, &MasterError{Problem: "the key is not random", Remedy: "make one with `openssl rand -base64 32`"}
	}
	return &key, nil
}

func newMaster(key *[keySize]byte) (*master, error) {
	wrapKey, err := hkdf.Expand(sha256.New, key[:], "parley/master-wrap/v1", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(wrapKey)
	aead, err := newAEAD(wrapKey)
	if err != nil {
		return nil, err
	}
	return &master{id: fingerprintKey(key[:], "parley/master-id/v1"), wrap: aead}, nil
}

// fingerprintKey names a key without giving it away: 8 bytes of HMAC in hex.
func fingerprintKey(key []byte, label string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// CurrentID is the id of the key that wraps: 16 hex digits, safe to show and
// log. It is stored beside every wrapped key.
func (m *Masters) CurrentID() string {
	if m.current == nil {
		return ""
	}
	return m.current.id
}

// Holds reports whether the key with this id was given, current or previous.
// `parley doctor` asks it for every id found in the store.
func (m *Masters) Holds(id string) bool { return m.byID[id] != nil }

// Close forgets the keys; every later use fails. It must not run at the same
// time as other methods.
func (m *Masters) Close() {
	m.current = nil
	m.byID = nil
}

// Rewrap wraps a key anew under the current master key. It reports false and
// gives w back unchanged when that is what wraps it already. Rotating the
// master is: put the new key first, Rewrap every stored WrappedKey, then
// remove the old key once no row names its id. Nothing sealed is touched.
func (m *Masters) Rewrap(w WrappedKey) (WrappedKey, bool, error) {
	if w.MasterID != "" && w.MasterID == m.CurrentID() {
		return w, false, nil
	}
	key, err := m.unwrap(w)
	if err != nil {
		return WrappedKey{}, false, err
	}
	defer clear(key[:])
	out, err := m.wrapKey(w.Workspace, w.Kind, w.Version, key)
	out.Staged = w.Staged
	return out, err == nil, err
}

func (m *Masters) wrapKey(workspace [16]byte, kind Kind, version uint8, key *[keySize]byte) (WrappedKey, error) {
	if m.current == nil {
		return WrappedKey{}, ErrClosed
	}
	w := WrappedKey{Workspace: workspace, Kind: kind, Version: version, MasterID: m.current.id}
	w.Bytes = m.current.wrap.Seal([]byte{formatByMaster}, nil, key[:], w.aad())
	return w, nil
}

func (m *Masters) unwrap(w WrappedKey) (*[keySize]byte, error) {
	one := m.byID[w.MasterID]
	if one == nil {
		return nil, &MissingKeyError{Workspace: w.Workspace, Kind: w.Kind, Version: w.Version, MasterID: w.MasterID}
	}
	if len(w.Bytes) == 0 || w.Bytes[0] != formatByMaster {
		return nil, ErrFormat
	}
	return openKey(one.wrap, w.aad(), w.Bytes[1:])
}

// newKey makes a fresh key; crypto/rand.Read never fails, it ends the program
// if the system has no randomness.
func newKey() *[keySize]byte {
	key := new([keySize]byte)
	_, _ = rand.Read(key[:])
	return key
}
