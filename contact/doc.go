// Package contact knows people behind sealed identities. A [Book] keeps those
// written to lately in memory, sealed and with their keys wrapped as they are
// stored, so that a message to a known person reads nothing from the store.
//
// Names, numbers and ids are in the clear only in what its methods return. It
// decides nothing: whether a window or a suppression stops a message is the
// gate's to say; a [Person] only answers what is known.
//
// Start with [Book.Resolve], then [Person].
package contact

import (
	"errors"
)

// ErrErased is returned when something is sealed for, or opened of, a person
// who was erased: the key is gone.
var ErrErased = errors.New("the contact was erased")

// ErrProfile is returned for a profile that is too large to be one.
var ErrProfile = errors.New("the profile is larger than 16 KiB")

// ErrNoAddress is returned when a contact is made without any address, or with
// an address that lacks its channel or id.
var ErrNoAddress = errors.New("an address needs a channel and an id")
