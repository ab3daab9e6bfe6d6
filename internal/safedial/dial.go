package safedial

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// A Guard says what may be called. The zero Guard allows public addresses on
// every port. It is safe for concurrent use as long as nobody changes it.
type Guard struct {
	// Allow are networks allowed though they are not public: 127.0.0.0/8 and
	// ::1/128 in a demo, the networks of an operator's own services.
	Allow []netip.Prefix
	// Hosts are names the operator vouches for, wherever they lead: exact in
	// lower case, or a suffix beginning with a dot.
	Hosts []string
	// Ports are the only ports allowed; empty allows all.
	Ports []uint16
	// HTTPS refuses plain http.
	HTTPS bool
	// Connect bounds one connection's making; 0 = 5 s.
	Connect time.Duration
	// Resolver asks name servers; nil = the system's.
	Resolver *net.Resolver
}

// defaultConnect is enough for three lost SYNs.
const defaultConnect = 5 * time.Second

// DialContext connects to address, a host and a port, unless it leads where no
// stranger may send us. The judgement is made on the address the system call is
// about to be given, so that a name which changes its mind between two look-ups
// gains nothing. It fails with an error that wraps an [*Error].
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := splitHost(address)
	if err != nil {
		return nil, err
	}
	if err := g.allowPort(port); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: g.connect(), Resolver: g.Resolver}
	if !g.trusts(host) {
		if err := g.checkHost(host); err != nil {
			return nil, err
		}
		d.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return g.control(network, address)
		}
	}
	return d.DialContext(ctx, network, address)
}

func (g *Guard) control(network, address string) error {
	if network != "tcp4" && network != "tcp6" {
		return refuse("network", "only TCP is allowed")
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return refuse("address", "not an address")
	}
	return g.CheckAddr(at.Addr())
}

func (g *Guard) connect() time.Duration {
	if g.Connect > 0 {
		return g.Connect
	}
	return defaultConnect
}

// Transport makes an HTTP transport that dials through the guard and through no
// proxy. Its answers' headers are bounded in size and by answer, the time from
// the last byte of a request to the headers of its answer.
func (g *Guard) Transport(idlePerHost int, answer time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            g.DialContext,
		TLSHandshakeTimeout:    g.connect(),
		ResponseHeaderTimeout:  answer,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // a small answer cannot become a large one
		ForceAttemptHTTP2:      true,
	}
}

// Client makes an HTTP client over Transport that follows no redirect: it gives
// the redirecting answer itself.
func (g *Guard) Client(idlePerHost int, answer time.Duration) *http.Client {
	return &http.Client{
		Transport:     g.Transport(idlePerHost, answer),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
