package vault

import (
	"fmt"
	"io"
	"log/slog"
)

const stars = "***"

// hidden is embedded by every type that holds a secret, so that no verb, log
// handler or encoder ever shows one. It does not help when the value is an
// unexported field of a caller's struct: fmt then goes by reflection and calls
// no method. Therefore see secret.
type hidden struct{}

// A secret holds a key in a closure, whose insides fmt cannot reach: it prints
// an address. (A pointer is not enough: %s of a pointer to an array is a bad
// verb, and the complaint shows the array.)
type secret func() *[keySize]byte

func hide(key *[keySize]byte) secret { return func() *[keySize]byte { return key } }

// Format prints "***" for every verb.
func (hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) }

// String gives "***".
func (hidden) String() string { return stars }

// GoString gives "***".
func (hidden) GoString() string { return stars }

// LogValue gives "***".
func (hidden) LogValue() slog.Value { return slog.StringValue(stars) }

// MarshalJSON gives "***" as a JSON string.
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + stars + `"`), nil }

// MarshalText gives "***".
func (hidden) MarshalText() ([]byte, error) { return []byte(stars), nil }
