package smpp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A FrameError is a command_length no PDU can have. The stream is lost: the
// next PDU cannot be found.
type FrameError struct {
	Length uint32 // as claimed
	Max    int    // as allowed
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("smpp: command_length %d is not within %d and %d", e.Length, HeaderSize, e.Max)
}

// A Reader cuts a stream into PDUs. It is not for concurrent use.
type Reader struct {
	r    *bufio.Reader
	max  int
	skip int    // octets of the last frame still in r
	big  []byte // for frames longer than the buffer of r
}

// readBuffer holds a good number of short messages for one read call.
const readBuffer = 16 << 10

// NewReader reads PDUs of at most max octets from r; 0 means [DefaultMaxPDU].
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = DefaultMaxPDU
	}
	return &Reader{r: bufio.NewReaderSize(r, readBuffer), max: max}
}

// Next returns one whole PDU, valid until the next call. The length is checked
// before anything is allocated for it: a [*FrameError] is not followed by more.
// [io.EOF] means that the stream ended between PDUs, [io.ErrUnexpectedEOF]
// within one.
func (r *Reader) Next() ([]byte, error) {
	if r.skip > 0 {
		if _, err := r.r.Discard(r.skip); err != nil {
			return nil, err
		}
		r.skip = 0
	}
	head, err := r.r.Peek(4)
	if err != nil {
		return nil, cutShort(err, len(head))
	}
	length := binary.BigEndian.Uint32(head)
	if length < HeaderSize || uint64(length) > uint64(r.max) {
		return nil, &FrameError{Length: length, Max: r.max}
	}
	n := int(length)
	if n <= readBuffer {
		b, err := r.r.Peek(n)
		if err != nil {
			return nil, cutShort(err, len(b))
		}
		r.skip = n
		return b, nil
	}
	if cap(r.big) < n {
		r.big = make([]byte, n)
	}
	b := r.big[:n]
	if got, err := io.ReadFull(r.r, b); err != nil {
		return nil, cutShort(err, got)
	}
	return b, nil
}

// more reports whether another whole PDU can be had without the network.
func (r *Reader) more() bool {
	rest := r.r.Buffered() - r.skip
	if rest < HeaderSize {
		return false
	}
	head, err := r.r.Peek(r.skip + 4)
	return err == nil && uint64(binary.BigEndian.Uint32(head[r.skip:])) <= uint64(rest)
}

func cutShort(err error, got int) error {
	if errors.Is(err, io.EOF) && got > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
