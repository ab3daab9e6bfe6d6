package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrBadID is returned when a text is not an id of the wanted kind.
var ErrBadID = errors.New("not a valid id")

// A Kind names what an ID identifies; Prefix is the part before the
// underscore of its text form and is a promise to clients.
type Kind interface{ Prefix() string }

// An ID is 128 bits: 48 bits of Unix milliseconds, then random bits, so that
// ids sort by the time they were made. Its text form is the kind's prefix, an
// underscore and 26 characters of Crockford base 32. The zero ID means "none".
type ID[K Kind] [16]byte

// The kinds of id. Their names are the words of docs/words.md.
type (
	workspaceKind    struct{}
	messageKind      struct{}
	contactKind      struct{}
	conversationKind struct{}
	senderKind       struct{}
	connectorKind    struct{}
	templateKind     struct{}
	endpointKind     struct{}
	deliveryKind     struct{}
	apiKeyKind       struct{}
	eventKind        struct{}
	mediaKind        struct{}
)

func (workspaceKind) Prefix() string    { return "ws" }
func (messageKind) Prefix() string      { return "msg" }
func (contactKind) Prefix() string      { return "ct" }
func (conversationKind) Prefix() string { return "cv" }
func (senderKind) Prefix() string       { return "sd" }
func (connectorKind) Prefix() string    { return "cn" }
func (templateKind) Prefix() string     { return "tp" }
func (endpointKind) Prefix() string     { return "we" }
func (deliveryKind) Prefix() string     { return "wd" }
func (apiKeyKind) Prefix() string       { return "key" }
func (eventKind) Prefix() string        { return "evt" }
func (mediaKind) Prefix() string        { return "md" }

// One id type per noun, so that the compiler keeps them apart.
type (
	WorkspaceID    = ID[workspaceKind]
	MessageID      = ID[messageKind]
	ContactID      = ID[contactKind]
	ConversationID = ID[conversationKind]
	SenderID       = ID[senderKind]
	ConnectorID    = ID[connectorKind]
	TemplateID     = ID[templateKind]
	EndpointID     = ID[endpointKind]
	DeliveryID     = ID[deliveryKind]
	APIKeyID       = ID[apiKeyKind]
	EventID        = ID[eventKind]
	MediaID        = ID[mediaKind]
)

const base32 = "0123456789abcdefghjkmnpqrstvwxyz"

// IsZero reports whether the id means "none".
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String gives the text form, or "" for the zero id.
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	return string(id.Append(make([]byte, 0, 32)))
}

// Append appends the text form to b.
func (id ID[K]) Append(b []byte) []byte {
	if id.IsZero() {
		return b
	}
	var k K
	b = append(b, k.Prefix()...)
	b = append(b, '_')
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	// 128 bits in 26 digits of 5 bits: the first digit carries 3 bits.
	for shift := 125; shift >= 0; shift -= 5 {
		var digit uint64
		switch {
		case shift >= 64:
			digit = hi >> (shift - 64)
		case shift > 59:
			digit = hi<<(64-shift) | lo>>shift
		default:
			digit = lo >> shift
		}
		b = append(b, base32[digit&31])
	}
	return b
}

// MarshalText implements encoding.TextMarshaler.
func (id ID[K]) MarshalText() ([]byte, error) { return id.Append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler; the empty text is the
// zero id.
func (id *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID[K]{}
		return nil
	}
	parsed, err := ParseID[K](string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// ParseID reads the text form. It fails with ErrBadID, naming the wanted
// prefix and never repeating s.
func ParseID[K Kind](s string) (ID[K], error) {
	var k K
	rest, ok := strings.CutPrefix(s, k.Prefix()+"_")
	if !ok || len(rest) != 26 || rest[0] > '7' {
		return ID[K]{}, fmt.Errorf("%w: want %s_ and 26 characters", ErrBadID, k.Prefix())
	}
	var hi, lo uint64
	for i := range len(rest) {
		digit := strings.IndexByte(base32, rest[i])
		if digit < 0 {
			return ID[K]{}, fmt.Errorf("%w: want %s_ and 26 characters", ErrBadID, k.Prefix())
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(digit)
	}
	var id ID[K]
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	if id.IsZero() {
		return ID[K]{}, fmt.Errorf("%w: the zero id", ErrBadID)
	}
	return id, nil
}
