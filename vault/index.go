package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"
)

// The three uses of an index key, told apart by the first byte of the MAC's
// input.
const (
	useIndex       = 'i'
	useFingerprint = 'f'
	useRef         = 'r'
)

// indexer is one version of the index key.
type indexer struct {
	version uint8
	staged  bool
	pool    *sync.Pool // of *macState
}

type macState struct {
	mac hash.Hash
	in  []byte
	out [sha256.Size]byte
}

func newIndexer(version uint8, staged bool, key *[keySize]byte) *indexer {
	keep := *key
	return &indexer{version: version, staged: staged, pool: &sync.Pool{New: func() any {
		return &macState{mac: hmac.New(sha256.New, keep[:]), in: make([]byte, 0, 128)}
	}}}
}

func sum[V string | []byte](x *indexer, use byte, kind string, value V) [16]byte {
	s := x.pool.Get().(*macState)
	in := append(s.in[:0], use)
	in = binary.AppendUvarint(in, uint64(len(kind)))
	in = append(in, kind...)
	s.mac.Reset()
	if len(value) <= 1024 {
		in = append(in, value...)
		s.mac.Write(in)
	} else {
		s.mac.Write(in)
		s.mac.Write([]byte(value))
	}
	s.mac.Sum(s.out[:0])
	var out [16]byte
	out[0] = x.version
	copy(out[1:], s.out[:])
	// What was hashed is personal: it does not stay behind in the pool.
	clear(in)
	s.in = in
	x.pool.Put(s)
	return out
}

func all[V string | []byte](w *Workspace, dst [][16]byte, use byte, kind string, value V) [][16]byte {
	keys := w.keys.Load()
	dst = append(dst, sum(keys.index, use, kind, value))
	for _, x := range keys.indexes {
		if x.version != keys.index.version {
			dst = append(dst, sum(x, use, kind, value))
		}
	}
	return dst
}

// Index gives the blind index under which a value can be looked up without
// being stored: equal values give equal indexes within one workspace, kind and
// key version, and nothing else can be told without the key. The caller
// normalises first (a phone number to E.164, an address to lower case); kind
// names the namespace, such as "phone" or "whatsapp:bsuid".
//
// Format: byte 0 is the index key version; bytes 1 to 15 are the first 15 of
// HMAC-SHA256(index key, 'i' | uvarint len(kind) | kind | value).
func (w *Workspace) Index(kind, value string) [16]byte {
	return sum(w.keys.Load().index, useIndex, kind, value)
}

// Indexes appends the indexes of a value under every key version held, the one
// in use first. While a rotation runs, look-ups ask for all of them and writes
// use the first. Two versions of one value are different to a unique
// constraint: look up all, then insert, in one transaction.
func (w *Workspace) Indexes(dst [][16]byte, kind, value string) [][16]byte {
	return all(w, dst, useIndex, kind, value)
}

// Fingerprint gives a keyed hash of a value that is compared later but never
// looked at again: suppression records, bodies under an idempotency key. Same
// format as Index, with 'f' in place of 'i'.
func (w *Workspace) Fingerprint(purpose string, value []byte) [16]byte {
	return sum(w.keys.Load().index, useFingerprint, purpose, value)
}

// Fingerprints appends the fingerprints under every key version held, the one
// in use first: a suppression list is searched for all of them.
func (w *Workspace) Fingerprints(dst [][16]byte, purpose string, value []byte) [][16]byte {
	return all(w, dst, useFingerprint, purpose, value)
}

// MatchFingerprint reports in constant time whether a stored fingerprint is
// this value's, under the key version it was made with. A version that is not
// held matches nothing and gives a *MissingKeyError.
func (w *Workspace) MatchFingerprint(stored [16]byte, purpose string, value []byte) (bool, error) {
	for _, x := range w.keys.Load().indexes {
		if x.version == stored[0] {
			got := sum(x, useFingerprint, purpose, value)
			return subtle.ConstantTimeCompare(got[:], stored[:]) == 1, nil
		}
	}
	return false, &MissingKeyError{Workspace: w.id, Kind: KindIndex, Version: stored[0]}
}

// Ref gives the key under which a provider's message id is stored and found,
// scoped by connector: such ids can hold a phone number. Same format as Index,
// with 'r' in place of 'i' and the connector's 16 bytes as kind.
func (w *Workspace) Ref(connector [16]byte, providerID string) [16]byte {
	return sum(w.keys.Load().index, useRef, string(connector[:]), providerID)
}

// Refs appends the references under every key version held, the one in use
// first; receipts are matched against all of them.
func (w *Workspace) Refs(dst [][16]byte, connector [16]byte, providerID string) [][16]byte {
	return all(w, dst, useRef, string(connector[:]), providerID)
}
