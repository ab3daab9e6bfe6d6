// Package port finds ports of this machine for programs that must be told their
// address before they start, and keep it over several lives.
//
// Asking the kernel for a free port and giving it back is not enough: until the
// program listens, any connection that any process opens may be given the same
// number. So a port is taken from outside the range of such connections, and
// what asks by this package gets no number that another process holds by it.
//
// It is for tests and measurements: a server that may listen where it likes
// listens on port 0. Start with [Take], in a test with [For].
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports below low are for known services (Kannel's and PostgreSQL's own among
// them); high ends where no system we know begins with the ports of outgoing
// connections, unless it says otherwise.
const (
	low  = 16384
	high = 32768
)

// ErrNone: every port that was tried is in use.
var ErrNone = errors.New("no port is free; stop programs that were left running")

// Take gives an address of 127.0.0.1 on which nothing listens, and nothing that
// asks by this package will until release is called, which its caller keeps as
// long, or the process ends. It fails with ErrNone.
func Take() (address string, release func() error, err error) {
	from, to := between(ephemeral())
	first := rand.IntN(to - from) // another process begins elsewhere
	for i := range to - from {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(from+(first+i)%(to-from)))
		if release, ok := take(address); ok {
			return address, release, nil
		}
	}
	return "", nil, fmt.Errorf("ports %d to %d: %w", from, to-1, ErrNone)
}

// take takes the port of one address, if it is free. The socket of UDP is the
// lock: the kernel takes it back however the process ends, and a program that
// listens by TCP never meets it.
func take(address string) (release func() error, ok bool) {
	lock, err := net.ListenPacket("udp4", address)
	if err != nil {
		return nil, false
	}
	ln, err := net.Listen("tcp4", address)
	if err == nil {
		err = ln.Close()
	}
	if err != nil {
		_ = lock.Close() // nobody was told of it
		return nil, false
	}
	return lock.Close, true
}

// between gives the range to take from, [from, to), beside the range of
// outgoing connections, [first, last]. Where these may have any port, the lock
// has to do.
func between(first, last int) (from, to int) {
	switch {
	case first > last || first >= high || last < low:
		return low, high
	case first-low >= 4096:
		return low, first
	case last < 61440:
		return last + 1, 65536
	}
	return low, high
}

// ephemeral is the range from which the kernel gives ports to connections; 1, 0
// where it does not say.
func ephemeral() (first, last int) {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 1, 0
	}
	if n, _ := fmt.Sscan(string(raw), &first, &last); n != 2 {
		return 1, 0
	}
	return first, last
}

// A T is the test that wants a port.
type T interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
}

// For gives a test an address of its own.
func For(t T) (address string) {
	t.Helper()
	address, release, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() }) // nothing was sent by it
	return address
}
