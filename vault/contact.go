package vault

const contactLabel = "parley/contact-key/v1"

// contactKeyVersion is the version every contact key has today; the byte is in
// the format so that a person's key can be renewed without a new format.
const contactKeyVersion = 1

// A ContactKey is the data key of one person: message content, names,
// identities and media are sealed under it. Copies share the key. It costs 56
// bytes, so 100,000 of them can stay in memory; Sealer gives the quick form.
type ContactKey struct {
	hidden
	key secret
}

// NewContactKey makes the key of a new contact. The caller stores wrapped with
// the contact in the same transaction; there must be no other copy, because
// erasing the person is deleting it.
//
// Format of wrapped (62): 0x12, KEK version 1, nonce 12, key 32, tag 16:
// AES-256-GCM under HKDF-Expand(KEK, "parley/workspace-wrap/v1"), with
// workspace, contact and KEK version as additional data.
func (w *Workspace) NewContactKey(contact [16]byte) (key ContactKey, wrapped []byte) {
	fresh := newKey()
	return ContactKey{key: hide(fresh)}, w.wrapUnder(formatWrappedPerson, contactLabel, contact[:], fresh)
}

// OpenContactKey opens a stored contact key. It fails with ErrFormat,
// *MissingKeyError when it is wrapped by a KEK version not held, and ErrOpen,
// also when it is another contact's or workspace's.
func (w *Workspace) OpenContactKey(contact [16]byte, wrapped []byte) (ContactKey, error) {
	key, err := w.unwrapUnder(formatWrappedPerson, contactLabel, KindContact, contact[:], wrapped)
	if err != nil {
		return ContactKey{}, err
	}
	return ContactKey{key: hide(key)}, nil
}

// Rewrap wraps a stored contact key anew under the KEK version in use. It
// reports false and gives wrapped back when it is under that version already.
// The write must be conditional on the old bytes, or it could bring back the
// key of a person erased meanwhile.
func (w *Workspace) Rewrap(contact [16]byte, wrapped []byte) ([]byte, bool, error) {
	if len(wrapped) > 1 && wrapped[0] == formatWrappedPerson && wrapped[1] == w.Version(KindKEK) {
		return wrapped, false, nil
	}
	key, err := w.OpenContactKey(contact, wrapped)
	if err != nil {
		return nil, false, err
	}
	defer key.Close()
	return w.wrapUnder(formatWrappedPerson, contactLabel, contact[:], key.key()), true, nil
}

// WrappedVersion tells which KEK version wraps a stored contact or daily key,
// or zero when the bytes are neither.
func WrappedVersion(wrapped []byte) uint8 {
	if len(wrapped) > 1 && (wrapped[0] == formatWrappedPerson || wrapped[0] == formatWrappedDay) {
		return wrapped[1]
	}
	return 0
}

// Sealer expands the key for repeated use: half a microsecond and 800 bytes.
// It fails with ErrClosed on a zero or closed key.
//
// Format of what it seals: 0x01, contact key version 1, nonce 12, ciphertext,
// tag 16.
func (k ContactKey) Sealer() (*Sealer, error) {
	if k.key == nil || *k.key() == [keySize]byte{} {
		return nil, ErrClosed
	}
	return newSealer(k.key(), formatContact, contactKeyVersion)
}

// Seal seals one value; see Sealer.Seal. For several values take a Sealer.
func (k ContactKey) Seal(dst, aad, plaintext []byte) ([]byte, error) {
	s, err := k.Sealer()
	if err != nil {
		return nil, err
	}
	return s.Seal(dst, aad, plaintext), nil
}

// Open opens one value; see Sealer.Open. For several values take a Sealer.
func (k ContactKey) Open(dst, aad, sealed []byte) ([]byte, error) {
	s, err := k.Sealer()
	if err != nil {
		return nil, err
	}
	return s.Open(dst, aad, sealed)
}

// Close zeroes the key for all copies; Sealers made before stay usable until
// let go. It must not run at the same time as other methods.
func (k ContactKey) Close() {
	if k.key != nil {
		clear(k.key()[:])
	}
}
