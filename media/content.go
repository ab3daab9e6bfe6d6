package media

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// errCut is returned for a file whose chunks are not all there: somebody else
// had a hand in the store.
var errCut = errors.New("media: a file is shorter than it was")

// Open gives a file that is here whole, with its content, which is read and
// opened chunk by chunk as it is asked for. It fails with store.ErrNotFound.
// The Content is for one goroutine and ends with ctx.
func (k *Keeper) Open(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*File, *Content, error) {
	m, f, err := k.file(ctx, ws, id)
	if err != nil {
		return nil, nil, gone(err)
	}
	if f.State != store.MediaReady {
		return nil, nil, store.ErrNotFound
	}
	known, err := k.facts(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	return f, &Content{k: k, ctx: ctx, m: m, size: known.Size, first: -1}, nil
}

// A Content is the content of a file: an io.ReadSeeker.
type Content struct {
	k     *Keeper
	ctx   context.Context
	m     *store.MediaFile
	size  int64
	at    int64
	first int      // number of the first chunk held
	held  [][]byte // sealed
	n     int      // number of the chunk in plain
	plain []byte
}

var _ io.ReadSeeker = (*Content)(nil)

// Read implements io.Reader.
func (c *Content) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	n := int(c.at / chunkSize)
	if c.plain == nil || c.n != n {
		if err := c.load(n); err != nil {
			return 0, err
		}
	}
	from := int(c.at % chunkSize)
	if from >= len(c.plain) {
		return 0, errCut
	}
	read := copy(p, c.plain[from:])
	c.at += int64(read)
	return read, nil
}

// load opens one chunk, reading it with those after it where it is not held.
func (c *Content) load(n int) error {
	if c.first < 0 || n < c.first || n >= c.first+len(c.held) {
		held, err := c.k.o.Store.Chunks(c.ctx, c.m.Workspace, c.m.ID, n, atOnce)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return errCut
		}
		c.first, c.held = n, held
	}
	plain, err := c.k.open(c.ctx, c.m, sealChunk+strconv.Itoa(n), c.held[n-c.first])
	if err != nil {
		return err
	}
	c.n, c.plain = n, plain
	return nil
}

// Seek implements io.Seeker.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("media: a place before the begin of the file")
	}
	c.at = offset
	return offset, nil
}
