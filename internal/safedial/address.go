package safedial

import "net/netip"

// A network is a range of addresses no stranger may send us to.
type network struct {
	prefix netip.Prefix
	reason string
}

func net4(a, b, c, d byte, bits int, reason string) network {
	return network{netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits), reason}
}

// refused4 holds what IANA's IPv4 Special-Purpose Address Registry (RFC 6890
// and after) does not call globally reachable, multicast (RFC 5771), and one
// public address on which a cloud answers its guests only.
func refused4(a netip.Addr) string {
	for _, n := range [...]network{
		net4(127, 0, 0, 0, 8, "loopback"),
		net4(10, 0, 0, 0, 8, "private"),
		net4(172, 16, 0, 0, 12, "private"),
		net4(192, 168, 0, 0, 16, "private"),
		net4(169, 254, 0, 0, 16, "link_local"), // 169.254.169.254: metadata of most clouds
		net4(100, 64, 0, 0, 10, "shared"),      // carrier-grade NAT; 100.100.100.200: metadata of Alibaba
		net4(168, 63, 129, 16, 32, "metadata"), // Azure's own service, a public address
		net4(0, 0, 0, 0, 8, "unspecified"),
		net4(192, 0, 0, 0, 24, "reserved"), // 192.0.0.192: metadata of Oracle
		net4(192, 0, 2, 0, 24, "documentation"),
		net4(198, 51, 100, 0, 24, "documentation"),
		net4(203, 0, 113, 0, 24, "documentation"),
		net4(192, 88, 99, 0, 24, "reserved"), // 6to4 relays
		net4(198, 18, 0, 0, 15, "benchmark"),
		net4(224, 0, 0, 0, 4, "multicast"),
		net4(240, 0, 0, 0, 4, "reserved"), // and broadcast
	} {
		if n.prefix.Contains(a) {
			return n.reason
		}
	}
	return ""
}

func net6(a, b, c, d byte, bits int, reason string) network {
	return network{netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b, c, d}), bits), reason}
}

// refused6 allows global unicast alone (2000::/3, RFC 4291), less what carries
// an IPv4 address inside or is special by IANA's IPv6 registry. Loopback,
// unique local, link local, multicast and both NAT64 prefixes lie outside.
func refused6(a netip.Addr) string {
	switch {
	case a.Is4In6():
		return "mapped"
	case a.IsLoopback():
		return "loopback"
	case a.IsUnspecified():
		return "unspecified"
	case a.IsMulticast():
		return "multicast"
	case a.IsLinkLocalUnicast():
		return "link_local"
	case a.IsPrivate(): // fd00:ec2::254: metadata of Amazon
		return "private"
	}
	for _, n := range [...]network{
		net6(0x00, 0x64, 0xff, 0x9b, 32, "nat64"), // 64:ff9b::/96 and 64:ff9b:1::/48
		net6(0x20, 0x02, 0, 0, 16, "tunnel"),      // 6to4
		net6(0x20, 0x01, 0, 0, 23, "reserved"),    // protocol assignments, Teredo, ORCHID
		net6(0x20, 0x01, 0x0d, 0xb8, 32, "documentation"),
		net6(0x3f, 0xff, 0, 0, 20, "documentation"),
	} {
		if n.prefix.Contains(a) {
			return n.reason
		}
	}
	if a.As16()[0]>>5 != 1 {
		return "reserved"
	}
	return ""
}

// CheckAddr fails with an [*Error] for an address that must not be connected
// to. An IPv4 address written as IPv6 is judged as what it is, and refused even
// then unless allowed: nothing public is reached that way. A zone is refused.
func (g *Guard) CheckAddr(a netip.Addr) error {
	if a.Zone() != "" {
		return refuse("zone", "the address has a zone: only this machine could know it")
	}
	if !a.IsValid() {
		return refuse("address", "not an IP address")
	}
	if g.allows(a.Unmap()) {
		return nil
	}
	var reason string
	if a.Is4() {
		reason = refused4(a)
	} else {
		reason = refused6(a)
	}
	if reason == "" {
		return nil
	}
	return refuse(reason, "the address is not public ("+reason+"): an operator may allow it")
}

func (g *Guard) allows(a netip.Addr) bool {
	for _, p := range g.Allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
