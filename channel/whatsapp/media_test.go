package whatsapp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
)

// A paced file gives its next part only once the server has most of what was
// given before.
type paced struct {
	t        *testing.T
	left     int64
	given    int64
	received *atomic.Int64
}

func (p *paced) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	const slack = 8 << 20 // sockets and copies hold some
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for p.given-p.received.Load() > slack {
		select {
		case <-tick.C:
		case <-deadline.C:
			p.t.Errorf("%d bytes given, %d received: the file is held in memory", p.given, p.received.Load())
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := int(min(int64(len(b)), p.left))
	clear(b[:n])
	p.left -= int64(n)
	p.given += int64(n)
	return n, nil
}

// A large file goes out as it is read.
func TestUploadIsStreamed(t *testing.T) {
	const size = 90 << 20
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			received.Add(int64(n))
			if err != nil {
				break
			}
		}
		_, _ = io.WriteString(w, `{"id":"42"}`)
	}))
	t.Cleanup(server.Close)
	w := open(t, server.URL)
	id, err := w.Upload(t.Context(), "application/pdf", "a.pdf", &paced{t: t, left: size, received: &received})
	if err != nil || id != "42" || received.Load() < size {
		t.Errorf("%q, %v, %d bytes", id, err, received.Load())
	}
}

// Where the size can be asked for it is told, and a file too large never
// leaves; one of unknown size is cut off.
func TestUploadSize(t *testing.T) {
	var length, calls, got atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		length.Store(r.ContentLength)
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		_, _ = io.WriteString(w, `{"id":"42"}`)
	}))
	t.Cleanup(server.Close)
	w := open(t, server.URL)
	if _, err := w.Upload(t.Context(), "image/png", "", bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Fatal(err)
	}
	if length.Load() != got.Load() || got.Load() < 1000 {
		t.Errorf("told %d, sent %d", length.Load(), got.Load())
	}
	before := calls.Load()
	var f *message.Fault
	large := io.NewSectionReader(zeros{}, 0, 100<<20+1)
	if _, err := w.Upload(t.Context(), "application/pdf", "", large); !errors.As(err, &f) || f.Code != "131053" || !f.Certain || calls.Load() != before {
		t.Errorf("%v after %d calls", err, calls.Load()-before)
	}
	if _, err := w.Upload(t.Context(), "application/pdf", "", io.LimitReader(large, 100<<20+1)); err == nil {
		t.Error("a file without a size is taken however large")
	}
	f = nil
	if _, err := w.Upload(t.Context(), "application/pdf", "", io.LimitReader(zeroReader{}, 100<<20+1)); !errors.As(err, &f) || f.Code != "131053" {
		t.Error(err)
	}
	broken := errors.New("the store is gone")
	if _, err := w.Upload(t.Context(), "application/pdf", "", io.MultiReader(bytes.NewReader(make([]byte, 10)), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

type (
	zeros      struct{}
	zeroReader struct{}
	failing    struct{ err error }
)

func (zeros) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }
func (zeroReader) Read(b []byte) (int, error)       { clear(b); return len(b), nil }
func (f failing) Read([]byte) (int, error)          { return 0, f.err }

// A link lives for five minutes: one that is gone is asked for again, once.
func TestExpiredLink(t *testing.T) {
	for name, good := range map[string]int{"at once": 1, "the second time": 2, "never": 99} {
		t.Run(name, func(t *testing.T) {
			links := 0
			server := httptest.NewServer(nil)
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v24.0/77":
					links++
					_, _ = fmt.Fprintf(w, `{"url":"%s/file/%d","mime_type":"image/png","file_size":4}`, server.URL, links)
				case fmt.Sprintf("/file/%d", good):
					_, _ = io.WriteString(w, "good")
				default:
					http.Error(w, "gone", http.StatusNotFound)
				}
			})
			t.Cleanup(server.Close)
			file, err := open(t, server.URL).Fetch(t.Context(), "77")
			if good > 2 {
				var f *message.Fault
				if !errors.As(err, &f) || f.Kind != message.Refused || links != 2 {
					t.Errorf("%v after %d links", err, links)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(file.Body)
			if err != nil || string(b) != "good" || links != good {
				t.Errorf("%q, %v after %d links", b, err, links)
			}
			_ = file.Body.Close()
		})
	}
}
