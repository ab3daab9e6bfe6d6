package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

// TestCutCommit: the server commits, but its answer never arrives. The outcome
// is uncertain, never a failure, and the next write goes on.
func TestCutCommit(t *testing.T) {
	proxy := newProxy(t, server.Address())
	url := server.Database(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	s := openAt(t, fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", proxy.address, config.Database), func(o *Options) { o.Writers = 1 })
	callback := func() *store.Callback {
		return &store.Callback{ID: newID(time.Now()), At: time.Now(), Sealed: []byte("body")}
	}
	first, second, third := callback(), callback(), callback()
	if err := s.Keep(t.Context(), []*store.Callback{first}); err != nil {
		t.Fatal(err)
	}
	proxy.cut.Store(true)
	if err := s.Keep(t.Context(), []*store.Callback{second}); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("a cut commit: %v", err)
	}
	proxy.cut.Store(false)
	if err := s.Keep(t.Context(), []*store.Callback{third}); err != nil {
		t.Errorf("after it: %v", err)
	}
	kept, err := s.Kept(t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || len(kept) != 3 {
		t.Errorf("%d callbacks are kept, want 3: the cut commit was committed; %v", len(kept), err)
	}
}

// A proxy stands between client and server. While cut is set it passes
// requests on and, when the answer comes, hangs up instead.
type proxy struct {
	address string
	cut     atomic.Bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &proxy{address: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(up, client); _ = up.Close() }()
			go func() {
				defer client.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := up.Read(buffer)
					if err != nil || p.cut.Load() {
						return
					}
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return p
}
