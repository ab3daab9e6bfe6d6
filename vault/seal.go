package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// The first byte of every sealed or wrapped value says what it is. The bytes
// after it, up to the nonce, name the key.
const (
	formatContact       = 0x01 // | contact key version | nonce 12 | ciphertext | tag 16
	formatDay           = 0x02 // | day, 2 bytes big endian | nonce 12 | ciphertext | tag 16
	formatWorkspace     = 0x03 // | KEK version | nonce 12 | ciphertext | tag 16
	formatByMaster      = 0x11 // | nonce 12 | 32 bytes | tag 16
	formatWrappedPerson = 0x12 // | KEK version | nonce 12 | 32 bytes | tag 16
	formatWrappedDay    = 0x13 // | KEK version | nonce 12 | 32 bytes | tag 16
)

const (
	keySize      = 32
	gcmOverhead  = 12 + 16 // nonce and tag
	contactBytes = 2 + gcmOverhead
	dayBytes     = 3 + gcmOverhead
)

// Overhead is the most bytes by which a sealed value is longer than its
// plaintext.
const Overhead = dayBytes

// AppendAAD appends to dst the additional data that ties a sealed value to its
// place, so that nobody with write access to the database can move a value to
// another row or column. purpose names table and column ("messages.content"),
// row is the primary key inside the workspace. Both become part of the stored
// format: renaming a column does not rename its purpose.
func AppendAAD(dst []byte, purpose string, row []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(purpose)))
	dst = append(dst, purpose...)
	return append(dst, row...)
}

// A Sealer is an opened contact or daily key with its AES key schedule:
// AES-256-GCM with a random 96-bit nonce for each value. It is safe for
// concurrent use. It holds about 800 bytes; keep a few thousand hot ones and
// ContactKeys (56 bytes) for the rest. One key seals at most 2^32 values
// (NIST SP 800-38D, 8.3), which is 49,000 a second for a whole day.
type Sealer struct {
	hidden
	aead cipher.AEAD
	head [3]byte // format and key name, as they stand before the nonce
	n    uint8   // how many bytes of head are used
}

func newSealer(key *[keySize]byte, head ...byte) (*Sealer, error) {
	aead, err := newAEAD(key[:])
	if err != nil {
		return nil, err
	}
	s := &Sealer{aead: aead, n: uint8(len(head))}
	copy(s.head[:], head)
	return s, nil
}

// newAEAD gives AES-256-GCM that draws its own nonces, so that no caller can
// ever repeat one by mistake.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal appends the sealed plaintext to dst and returns the longer slice. aad
// comes from AppendAAD and must be the same at Open. dst must not overlap
// plaintext. It keeps none of its arguments and cannot fail.
func (s *Sealer) Seal(dst, aad, plaintext []byte) []byte {
	if need := len(dst) + int(s.n) + gcmOverhead + len(plaintext); cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = append(dst, s.head[:s.n]...)
	return s.aead.Seal(dst, nil, plaintext, aad)
}

// Open appends the plaintext of sealed to dst. It fails with ErrFormat when
// sealed is of another kind, with *MissingKeyError when it names another
// version or day than this key, and with ErrOpen when it does not open.
func (s *Sealer) Open(dst, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < int(s.n)+gcmOverhead || sealed[0] != s.head[0] {
		return nil, ErrFormat
	}
	if string(sealed[1:s.n]) != string(s.head[1:s.n]) {
		if s.head[0] == formatDay {
			return nil, &MissingKeyError{Kind: KindDay, Day: dayAt(sealed[1:])}
		}
		return nil, &MissingKeyError{Kind: KindContact, Version: sealed[1]}
	}
	return openWith(s.aead, dst, aad, sealed[s.n:])
}

func openWith(aead cipher.AEAD, dst, aad, box []byte) ([]byte, error) {
	out, err := aead.Open(dst, nil, box, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// openKey opens a box that holds exactly one key.
func openKey(aead cipher.AEAD, aad, box []byte) (*[keySize]byte, error) {
	key := new([keySize]byte)
	if len(box) != keySize+gcmOverhead {
		return nil, ErrFormat
	}
	if _, err := openWith(aead, key[:0], aad, box); err != nil {
		return nil, err
	}
	return key, nil
}
