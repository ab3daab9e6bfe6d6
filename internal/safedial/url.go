package safedial

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL bounds what is stored and logged by servers on the way.
const maxURL = 2048

// CheckURL fails with an [*Error] for a URL that no delivery may go to, as far
// as its text can tell. It asks no name server.
func (g *Guard) CheckURL(raw string) error {
	if len(raw) > maxURL {
		return refuse("url", "the URL is longer than 2048 bytes")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return refuse("url", "not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse("scheme", "the URL must begin with https:// or http://")
	case g.HTTPS && u.Scheme != "https":
		return refuse("scheme", "the URL must begin with https://")
	case u.User != nil:
		return refuse("userinfo", "the URL must not hold a user or password: check the signature instead")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return refuse("fragment", "the URL must not have a fragment")
	case u.Opaque != "" || u.Hostname() == "":
		return refuse("host", "the URL names no host")
	}
	if err := g.checkPort(u.Port(), strings.HasSuffix(u.Host, ":")); err != nil {
		return err
	}
	return g.checkHost(u.Hostname())
}

func (g *Guard) checkPort(port string, colon bool) error {
	if port == "" && !colon {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return refuse("port", "the port is not a number from 1 to 65535")
	}
	return g.allowPort(uint16(n))
}

func (g *Guard) allowPort(n uint16) error {
	if len(g.Ports) > 0 && !slices.Contains(g.Ports, n) {
		return refuse("port", "the port is not among those the operator allows")
	}
	return nil
}

func (g *Guard) checkHost(host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if g.trusts(host) {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return g.CheckAddr(a)
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			// Full-width digits and the like become an address on the way down.
			return refuse("host", "the host may hold letters, digits, dots and hyphens: write other letters as punycode (xn--…)")
		}
	}
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	if slices.Contains(labels, "") || len(host) > 253 {
		return refuse("host", "the host is not a name")
	}
	if number(last) {
		// Some resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1.
		return refuse("host", "write the address as four plain decimal numbers")
	}
	if last == "localhost" || last == "localdomain" || host == "ip6-localhost" || host == "ip6-loopback" {
		if g.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || g.allows(netip.IPv6Loopback()) {
			return nil
		}
		return refuse("loopback", "the host is this machine")
	}
	if len(g.Allow) > 0 {
		return nil // the operator has networks of his own: dialling judges
	}
	if len(labels) == 1 || last == "internal" || last == "local" || strings.HasSuffix(host, ".home.arpa") {
		return refuse("private", "the host is a name of a private network: an operator may allow it")
	}
	return nil
}

// number reports whether a last label makes a host an IPv4 address in the eyes
// of a lenient parser (WHATWG URL, "ends in a number").
func number(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// trusts reports whether the operator named the host himself.
func (g *Guard) trusts(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range g.Hosts {
		if host == h || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h) {
			return true
		}
	}
	return false
}

func splitHost(address string) (string, uint16, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, refuse("address", "not a host and a port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, refuse("port", "the port is not a number from 1 to 65535")
	}
	return host, uint16(n), nil
}
