package webhook

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxParcel is the largest body kept for another request.
const maxParcel = 256 << 10

var parcels = sync.Pool{New: func() any { return new(parcel) }}

// A parcel is the memory of request bodies. The transport may still read one
// when its request has ended, so it is used again only when whoever filled it and
// every reader has given it up.
type parcel struct {
	body  []byte
	users atomic.Int32
}

// newParcel gives an empty parcel with one user.
func newParcel() *parcel {
	p := parcels.Get().(*parcel)
	p.body = p.body[:0]
	p.users.Store(1)
	return p
}

// release gives up one use.
func (p *parcel) release() {
	if p.users.Add(-1) == 0 && cap(p.body) <= maxParcel {
		parcels.Put(p)
	}
}

// attach makes the parcel the body of a request. The caller is one of its users.
func (p *parcel) attach(r *http.Request) {
	r.ContentLength = int64(len(p.body))
	r.GetBody = func() (io.ReadCloser, error) { return p.open(), nil }
	r.Body = p.open()
}

func (p *parcel) open() io.ReadCloser {
	p.users.Add(1)
	return &parcelReader{p: p, r: bytes.NewReader(p.body)}
}

// A parcelReader reads one request's body.
type parcelReader struct {
	mu sync.Mutex // it may be closed while it is read
	p  *parcel    // nil = closed
	r  *bytes.Reader
}

func (r *parcelReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return r.r.Read(b)
}

func (r *parcelReader) Close() error {
	r.mu.Lock()
	p := r.p
	r.p = nil
	r.mu.Unlock()
	if p != nil {
		p.release()
	}
	return nil
}
