package vault

import "encoding/binary"

// A Kind says what a key is for. Its text is stored and bound into the wrap:
// it never changes.
type Kind string

// The kinds of key. The first two belong to a workspace, the next three to the
// installation; contact and daily keys are wrapped by a workspace's KEK.
const (
	KindKEK     Kind = "kek"     // wraps contact and daily keys, seals workspace settings
	KindIndex   Kind = "index"   // blind indexes, fingerprints, provider references
	KindSigning Kind = "signing" // Ed25519 seed: erasure receipts
	KindPepper  Kind = "pepper"  // hashes of API keys
	KindJournal Kind = "journal" // the chain of the erasure journal
	KindContact Kind = "contact"
	KindDay     Kind = "day"
)

// A WrappedKey is a key as the store keeps it: harmless without the master
// key. (Workspace, Kind, Version) is its primary key; inserting must fail on a
// duplicate, which is how two nodes that renew a key at once are kept apart.
//
// Format of Bytes (61): 0x11, nonce 12, key 32, tag 16: AES-256-GCM under
// HKDF-Expand(master, "parley/master-wrap/v1"), with workspace, kind and
// version as additional data.
type WrappedKey struct {
	Workspace [16]byte // zero for the installation's own keys
	Kind      Kind
	Version   uint8  // from 1
	MasterID  string // the master key that wraps it: 16 hex digits
	// Staged keys open and look up but are not yet used for writing: a new
	// version is stored staged, and goes live by storing false once every node
	// holds it. It is the store's word and not bound into the wrap.
	Staged bool
	Bytes  []byte
}

func (w WrappedKey) aad() []byte {
	aad := placeAAD("parley/wrapped-key/v1", w.Workspace, []byte(w.Kind))
	return append(aad, w.Version)
}

// placeAAD is label, workspace and what, each unambiguous; a version byte may
// follow because what has a length.
func placeAAD(label string, workspace [16]byte, what []byte) []byte {
	aad := make([]byte, 0, 80)
	aad = binary.AppendUvarint(aad, uint64(len(label)))
	aad = append(aad, label...)
	aad = append(aad, workspace[:]...)
	aad = binary.AppendUvarint(aad, uint64(len(what)))
	return append(aad, what...)
}
