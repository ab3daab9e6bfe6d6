//go:build unix

package simulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// A network connects parts of this process by name. Its connections are the
// kernel's socket pairs: with buffers and deadlines, without ports.
type network struct {
	mu    sync.Mutex
	rooms map[string]*listener
}

type listener struct {
	name  string
	queue chan net.Conn
	quit  chan struct{}
	once  sync.Once
}

type name string

func (name) Network() string  { return "memory" }
func (n name) String() string { return string(n) }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.quit:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.quit) })
	return nil
}

func (l *listener) Addr() net.Addr { return name(l.name) }

// listen opens a place that dial reaches under the name host:port.
func (n *network) listen(at string) *listener {
	l := &listener{name: at, queue: make(chan net.Conn), quit: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rooms == nil {
		n.rooms = make(map[string]*listener)
	}
	n.rooms[at] = l
	return l
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.rooms[address]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	near, far, err := pair()
	if err != nil {
		return nil, err
	}
	select {
	case l.queue <- far:
		return near, nil
	case <-l.quit:
		err = syscall.ECONNREFUSED
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, near.Close(), far.Close())
}

// client makes an HTTP client over the network.
func (n *network) client(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: n.dial, MaxIdleConnsPerHost: 8}}
}

func pair() (net.Conn, net.Conn, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			return nil, nil, err
		}
		if err := f.Close(); err != nil {
			return nil, nil, err
		}
	}
	return ends[0], ends[1], nil
}
