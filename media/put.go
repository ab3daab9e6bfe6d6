package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const (
	chunkSize = 64 << 10
	atOnce    = 16 // chunks in one write or read
)

// An Upload is a file a brand gives us.
type Upload struct {
	Contact message.ContactID // whose it is: sealed under their key, erased with them; zero = the brand's own
	Type    message.MediaType // what it is to be shown as; "" = document
	MIME    string            // as it is said to be; "" = look at its first bytes
	Name    string
	Keep    time.Duration // 0 = 30 days; at most 366 days
	Body    io.Reader
}

// The reasons of a RefusedError.
const (
	ReasonTooLarge = "too_large"
	ReasonType     = "type"     // no channel shows this type as this kind
	ReasonMismatch = "mismatch" // it is not what it is said to be
	ReasonEmpty    = "empty"
	ReasonKeep     = "keep" // it is to be kept longer than may be
)

// A RefusedError says why a file is not taken.
type RefusedError struct {
	Reason string // one of the Reason constants
	Limit  int64  // bytes, for ReasonTooLarge
	MIME   string // the type found, for ReasonType
}

// Error implements error.
func (e *RefusedError) Error() string {
	switch e.Reason {
	case ReasonTooLarge:
		return "media: the file has more than " + strconv.FormatInt(e.Limit, 10) + " bytes"
	case ReasonType:
		return "media: no channel shows " + e.MIME + " as this kind of media"
	case ReasonMismatch:
		return "media: the file is not of the type it is said to be"
	case ReasonKeep:
		return "media: a file is kept 366 days at most"
	}
	return "media: the file is empty"
}

// Put takes a file in, reading its body once and holding a few chunks of it. It
// fails with *RefusedError, store.ErrNotFound when the contact is not there or
// was erased, the body's error and the store's. What was stored of a file that
// failed is deleted, at the latest an hour after.
func (k *Keeper) Put(ctx context.Context, ws message.WorkspaceID, u *Upload) (*File, error) {
	switch {
	case u.Keep < 0 || u.Keep > longestKeep:
		return nil, &RefusedError{Reason: ReasonKeep}
	case u.Keep == 0:
		u.Keep = defaultKeep
	}
	now := k.o.Now()
	head := make([]byte, chunkSize)
	n, _, err := readChunk(u.Body, head)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, &RefusedError{Reason: ReasonEmpty}
	}
	m := &store.MediaFile{
		ID: message.MediaID(k.o.IDs.Next(now)), Workspace: ws, Contact: u.Contact, Type: u.Type,
		State: store.MediaOpen, CreatedAt: now, ExpiresAt: now.Add(openFor),
	}
	if m.Type == "" {
		m.Type = message.Document
	}
	var ok bool
	if m.MIME, ok = agree(u.MIME, head[:n]); !ok {
		return nil, &RefusedError{Reason: ReasonMismatch}
	}
	most, ok := k.limit(m.Type, m.MIME)
	if !ok {
		return nil, &RefusedError{Reason: ReasonType, MIME: m.MIME}
	}
	if !u.Contact.IsZero() {
		p, err := k.o.People.ByID(ctx, ws, u.Contact)
		if err == nil && p.Erased() {
			err = store.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
	}
	f := facts{Name: fileName(u.Name)}
	if err := k.setFacts(ctx, m, &f); err != nil {
		return nil, gone(err)
	}
	if err := k.o.Store.PutMedia(ctx, m); err != nil {
		return nil, err
	}
	err = k.fill(ctx, m, &f, io.MultiReader(&fixed{b: head[:n]}, u.Body), most)
	if err == nil {
		m.State, m.ExpiresAt = store.MediaReady, now.Add(u.Keep)
		err = k.o.Store.SetMedia(ctx, m, nil)
	}
	if err != nil {
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if derr := k.o.Store.DeleteMedia(again, ws, m.ID); derr != nil && !errors.Is(derr, store.ErrNotFound) {
			k.o.Log.Warn("a file cut off is left to the purge", "media", m.ID, "error", derr)
		}
		return nil, gone(err)
	}
	return &File{
		ID: m.ID, Workspace: ws, Contact: m.Contact, Type: m.Type, MIME: m.MIME, Name: f.Name, Size: m.Size, SHA256: f.SHA256,
		State: m.State, CreatedAt: m.CreatedAt, ExpiresAt: m.ExpiresAt,
	}, nil
}

// gone tells of an erased person as of one that is not there.
func gone(err error) error {
	if errors.Is(err, contact.ErrErased) {
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return err
}

// readChunk fills buf or reaches the end. Unlike io.ReadFull it tells a body
// that ended from one that was cut off (io.ErrUnexpectedEOF).
func readChunk(r io.Reader, buf []byte) (n int, end bool, err error) {
	for n < len(buf) && !end {
		var read int
		read, err = r.Read(buf[n:])
		n += read
		if end = errors.Is(err, io.EOF); err != nil && !end {
			return n, false, err
		}
	}
	return n, end, nil
}

// fixed reads bytes once; unlike bytes.Reader it writes nothing elsewhere.
type fixed struct{ b []byte }

func (f *fixed) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

// fill reads a body to its end into sealed chunks and completes the file's
// facts and size.
func (k *Keeper) fill(ctx context.Context, m *store.MediaFile, f *facts, body io.Reader, most int64) error {
	hash := sha256.New()
	buf := make([]byte, chunkSize)
	var batch [][]byte
	first, size := 0, int64(0)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := k.o.Store.PutChunks(ctx, m.Workspace, m.ID, first, batch); err != nil {
			return err
		}
		first += len(batch)
		batch = nil
		return nil
	}
	for {
		n, end, err := readChunk(body, buf)
		if err != nil {
			return err
		}
		if n > 0 {
			if size += int64(n); size > most {
				return &RefusedError{Reason: ReasonTooLarge, Limit: most}
			}
			hash.Write(buf[:n])
			sealed, err := k.seal(ctx, m, sealChunk+strconv.Itoa(first+len(batch)), buf[:n])
			if err != nil {
				return err
			}
			if batch = append(batch, sealed); len(batch) == atOnce {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if end {
			break
		}
	}
	if err := flush(); err != nil {
		return err
	}
	f.SHA256, f.Size = hex.EncodeToString(hash.Sum(nil)), size
	m.Size = size
	return k.setFacts(ctx, m, f)
}
