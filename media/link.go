package media

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Path is where links begin, on the public base URL.
const Path = "/m/"

// tokenSize is the length of a token: 128 bits in letters and digits, so that
// no phone takes its last sign for the end of a sentence.
const tokenSize = 22

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Link gives the address under which a message's recipient opens a file: a
// keyed hash of both, so the same each time and not to be guessed. It opens
// nothing before [Keeper.Mint]. It is "" where there is no public base URL. It
// fails when the workspace's keys are not to be had.
func (k *Keeper) Link(ctx context.Context, ws message.WorkspaceID, msg message.MessageID, id message.MediaID) (string, error) {
	if k.o.Public == "" {
		return "", nil
	}
	token, err := k.token(ctx, ws, msg, id)
	if err != nil {
		return "", err
	}
	return k.o.Public + Path + token, nil
}

func (k *Keeper) token(ctx context.Context, ws message.WorkspaceID, msg message.MessageID, id message.MediaID) (string, error) {
	room, err := k.o.Workspaces.Get(ctx, ws)
	if err != nil {
		return "", err
	}
	sum := room.Keys.Fingerprint("media.link", append(msg[:], id[:]...))
	return spell(sum), nil
}

// Mint makes the link of a message to a file open it, until it or the file
// expires. Minting again renews it.
func (k *Keeper) Mint(ctx context.Context, ws message.WorkspaceID, who message.ContactID, msg message.MessageID, id message.MediaID) error {
	f, err := k.Known(ctx, ws, id)
	if err != nil {
		return err
	}
	token, err := k.token(ctx, ws, msg, id)
	if err != nil {
		return err
	}
	now := k.o.Now()
	until := now.Add(k.o.LinkFor)
	if !f.ExpiresAt.IsZero() && f.ExpiresAt.Before(until) {
		until = f.ExpiresAt
	}
	return k.o.Store.PutLink(ctx, &store.Link{
		Key: keyOf(token), Workspace: ws, Contact: who, Message: msg, Media: id, CreatedAt: now, ExpiresAt: until.Truncate(time.Microsecond),
	})
}

// keyOf gives what is stored of a token: whoever reads the database cannot
// open its links.
func keyOf(token string) [16]byte {
	sum := sha256.Sum256([]byte("parley/link/v1" + token))
	return [16]byte(sum[:16])
}

// spell writes 128 bits with letters and digits.
func spell(id [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var out [tokenSize]byte
	for i := tokenSize - 1; i >= 0; i-- {
		var r uint64
		hi, r = hi/62, hi%62
		lo, r = bits.Div64(r, lo, 62)
		out[i] = digits[r]
	}
	return string(out[:])
}

// isToken reports whether s could be one.
func isToken(s string) bool {
	if len(s) != tokenSize {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
