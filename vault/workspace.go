package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
)

// A Workspace holds the opened keys of one workspace: it makes and opens
// contact and daily keys, seals what belongs to the workspace itself, and
// computes blind indexes. It comes from Keyring.Workspace and is safe for
// concurrent use.
type Workspace struct {
	hidden
	id   [16]byte
	keys atomic.Pointer[workspaceKeys]
	mu   sync.Mutex // held while keys is replaced
}

// kek is one version of the key-encryption key, split into two keys so that
// wrapping and sealing never share one.
type kek struct {
	version uint8
	staged  bool
	wrap    cipher.AEAD
	seal    cipher.AEAD
}

func newKEK(version uint8, staged bool, key *[keySize]byte) (*kek, error) {
	one := &kek{version: version, staged: staged}
	for label, to := range map[string]*cipher.AEAD{"parley/workspace-wrap/v1": &one.wrap, "parley/workspace-seal/v1": &one.seal} {
		sub, err := hkdf.Expand(sha256.New, key[:], label, keySize)
		if err != nil {
			return nil, err
		}
		*to, err = newAEAD(sub)
		clear(sub)
		if err != nil {
			return nil, err
		}
	}
	return one, nil
}

// ID is the workspace these keys belong to.
func (w *Workspace) ID() [16]byte { return w.id }

// Version gives the version of a KindKEK or KindIndex key that writes now;
// rows that name a lower one are due for rewrapping or re-indexing. Other
// kinds give zero.
func (w *Workspace) Version(kind Kind) uint8 {
	switch keys := w.keys.Load(); kind {
	case KindKEK:
		return keys.kek.version
	case KindIndex:
		return keys.index.version
	}
	return 0
}

func (w *Workspace) kekOf(version uint8, kind Kind) (*kek, error) {
	for _, one := range w.keys.Load().keks {
		if one.version == version {
			return one, nil
		}
	}
	return nil, &MissingKeyError{Workspace: w.id, Kind: kind, Version: version}
}

// Retire forgets an old version of a KindKEK or KindIndex key. Once its row is
// deleted too, everything that still needs it, also in old backups, is gone.
// The version in use is refused with ErrFormat.
func (w *Workspace) Retire(kind Kind, version uint8) error {
	return w.change(func(k *workspaceKeys) error {
		switch {
		case kind == KindKEK && version != k.kek.version:
			k.keks = slices.DeleteFunc(k.keks, func(one *kek) bool { return one.version == version })
		case kind == KindIndex && version != k.index.version:
			k.indexes = slices.DeleteFunc(k.indexes, func(one *indexer) bool { return one.version == version })
		default:
			return ErrFormat
		}
		return nil
	})
}

func (w *Workspace) change(edit func(*workspaceKeys) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := w.keys.Load().clone()
	if err := edit(keys); err != nil {
		return err
	}
	w.keys.Store(keys)
	return nil
}

// Seal appends to dst what belongs to the workspace rather than to a person:
// credentials of connectors, webhook secrets. aad comes from AppendAAD. After
// a rotation of the KEK these values are opened and sealed again.
//
// Format: 0x03, KEK version 1, nonce 12, ciphertext, tag 16: AES-256-GCM under
// HKDF-Expand(KEK, "parley/workspace-seal/v1").
func (w *Workspace) Seal(dst, aad, plaintext []byte) []byte {
	one := w.keys.Load().kek
	return one.seal.Seal(append(dst, formatWorkspace, one.version), nil, plaintext, aad)
}

// Open appends the plaintext of what Seal made to dst. It fails with
// ErrFormat, *MissingKeyError or ErrOpen.
func (w *Workspace) Open(dst, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < contactBytes || sealed[0] != formatWorkspace {
		return nil, ErrFormat
	}
	one, err := w.kekOf(sealed[1], KindKEK)
	if err != nil {
		return nil, err
	}
	return openWith(one.seal, dst, aad, sealed[2:])
}

// wrapUnder and unwrapUnder carry contact and daily keys: format, KEK version,
// then the box, bound to label, workspace, what and KEK version.
func (w *Workspace) wrapUnder(format byte, label string, what []byte, key *[keySize]byte) []byte {
	one := w.keys.Load().kek
	aad := append(placeAAD(label, w.id, what), one.version)
	return one.wrap.Seal([]byte{format, one.version}, nil, key[:], aad)
}

func (w *Workspace) unwrapUnder(format byte, label string, kind Kind, what, wrapped []byte) (*[keySize]byte, error) {
	if len(wrapped) < 2 || wrapped[0] != format {
		return nil, ErrFormat
	}
	one, err := w.kekOf(wrapped[1], kind)
	if err != nil {
		return nil, err
	}
	aad := append(placeAAD(label, w.id, what), one.version)
	return openKey(one.wrap, aad, wrapped[2:])
}
