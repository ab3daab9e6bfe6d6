package vault

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"time"
)

// An ErasureReceipt is what the controller is given after a person was erased,
// and can show to that person or an authority years later. It holds no
// personal data: ids are opaque, and the person's key is gone.
type ErasureReceipt struct {
	V           int          `json:"v"` // 1; SignReceipt sets it
	ID          string       `json:"id"`
	Workspace   string       `json:"workspace"`
	Contact     string       `json:"contact"`
	RequestedAt time.Time    `json:"requested_at"`
	ErasedAt    time.Time    `json:"erased_at"`
	Erased      []ErasedItem `json:"erased"`
	// Suppressed tells that a keyed suppression record was left, so that the
	// person is not written to again.
	Suppressed bool `json:"suppressed"`
	// CompleteAt is when the last daily key that may cover the person's raw
	// data is purged: at most 7 days after ErasedAt.
	CompleteAt time.Time `json:"complete_at"`
	// Journal is the line of the erasure journal that repeats the erasure after
	// a restore.
	Journal uint64 `json:"journal"`
}

// An ErasedItem counts rows of one sort of personal data that became
// unreadable or were deleted.
type ErasedItem struct {
	What  string `json:"what"`
	Count int64  `json:"count"`
}

// ErrReceipt is returned for a document that is no erasure receipt signed by
// the given key.
var ErrReceipt = errors.New("vault: not an erasure receipt signed by this key")

type signedReceipt struct {
	Receipt   ErasureReceipt `json:"receipt"`
	Key       string         `json:"key"` // first 8 bytes of SHA-256 of the public key, hex
	Signature []byte         `json:"signature"`
}

// receiptDomain stands before the signed bytes, so that no other text signed
// by the key can pass for a receipt.
const receiptDomain = "parley/erasure-receipt/v1\n"

// SignReceipt gives the receipt as a signed JSON document:
//
//	{"receipt":{…},"key":"…","signature":"base64"}
//
// The signature is Ed25519 over "parley/erasure-receipt/v1\n" and the compact
// JSON of receipt, members in the order of ErasureReceipt. Times are kept in
// UTC to the millisecond. It fails when a time or text cannot be written in
// JSON as it is (invalid UTF-8).
func (in *Installation) SignReceipt(r ErasureReceipt) ([]byte, error) {
	r.V = 1
	for _, t := range []*time.Time{&r.RequestedAt, &r.ErasedAt, &r.CompleteAt} {
		*t = t.UTC().Truncate(time.Millisecond)
	}
	if r.Erased == nil {
		r.Erased = []ErasedItem{}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(signedReceipt{
		Receipt:   r,
		Key:       signingID(in.PublicKey()),
		Signature: ed25519.Sign(in.signing(), append([]byte(receiptDomain), body...)),
	})
	if err != nil {
		return nil, err
	}
	// What nobody could verify later is not given out.
	_, err = VerifyReceipt(in.PublicKey(), document)
	return document, err
}

// VerifyReceipt checks a document made by SignReceipt, compact or indented,
// and gives the receipt. Documents with unknown, repeated or reordered members
// are refused, so that no two readers see two receipts. It fails with
// ErrReceipt.
func VerifyReceipt(pub ed25519.PublicKey, document []byte) (ErasureReceipt, error) {
	var doc signedReceipt
	if len(pub) != ed25519.PublicKeySize || json.Unmarshal(document, &doc) != nil {
		return ErasureReceipt{}, ErrReceipt
	}
	var given bytes.Buffer
	again, err := json.Marshal(doc)
	if err != nil || json.Compact(&given, document) != nil || !bytes.Equal(again, given.Bytes()) {
		return ErasureReceipt{}, ErrReceipt
	}
	body, err := json.Marshal(doc.Receipt)
	if err != nil || doc.Receipt.V != 1 || doc.Key != signingID(pub) ||
		!ed25519.Verify(pub, append([]byte(receiptDomain), body...), doc.Signature) {
		return ErasureReceipt{}, ErrReceipt
	}
	return doc.Receipt, nil
}
