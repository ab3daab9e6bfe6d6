package safedial_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/safedial"
)

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func reason(err error) string {
	var e *safedial.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestCheckURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.com/hook?x=1":  "",
		"http://example.com:8080/":      "",
		"https://xn--bcher-kva.example": "",
		"https://8.8.8.8/":              "",
		"https://[2606:4700::1111]/":    "",
		"https://example.com.":          "",
		"https://1e100.net":             "",

		"ftp://example.com":                   "scheme",
		"gopher://example.com":                "scheme",
		"file:///etc/passwd":                  "scheme",
		"javascript:alert(1)":                 "scheme",
		"//example.com":                       "scheme",
		"example.com":                         "scheme",
		"":                                    "scheme",
		"https:example.com":                   "host",
		"https://":                            "host",
		"https:///path":                       "host",
		"https://u:p@example.com":             "userinfo",
		"https://example.com@127.0.0.1":       "userinfo",
		"https://example.com#x":               "fragment",
		"https://example.com#":                "fragment",
		"https://example.com:0":               "port",
		"https://example.com:":                "port",
		"https://example.com:99999":           "port",
		"https://exa mple.com":                "url",
		"https://example.com/\x00":            "url",
		"https://" + strings.Repeat("a", 3e3): "url",

		"http://127.0.0.1":          "loopback",
		"http://127.255.255.254":    "loopback",
		"http://10.0.0.1":           "private",
		"http://172.31.255.255":     "private",
		"http://192.168.1.1":        "private",
		"http://169.254.169.254":    "link_local",
		"http://100.64.0.1":         "shared",
		"http://100.100.100.200":    "shared",
		"http://168.63.129.16":      "metadata",
		"http://0.0.0.0":            "unspecified",
		"http://0.1.2.3":            "unspecified",
		"http://192.0.0.192":        "reserved",
		"http://198.18.0.1":         "benchmark",
		"http://203.0.113.9":        "documentation",
		"http://224.0.0.1":          "multicast",
		"http://255.255.255.255":    "reserved",
		"http://[::1]":              "loopback",
		"http://[::]":               "unspecified",
		"http://[fe80::1]":          "link_local",
		"http://[fe80::1%25eth0]":   "zone",
		"http://[2606:4700::1%25x]": "zone",
		"http://[fc00::1]":          "private",
		"http://[fd00:ec2::254]":    "private",
		"http://[ff02::1]":          "multicast",
		"http://[::ffff:127.0.0.1]": "mapped",
		"http://[::ffff:8.8.8.8]":   "mapped",
		"http://[::127.0.0.1]":      "reserved",
		"http://[64:ff9b::7f00:1]":  "nat64",
		"http://[64:ff9b:1::1]":     "nat64",
		"http://[2002:7f00:1::]":    "tunnel",
		"http://[2001::1]":          "reserved",
		"http://[2001:db8::1]":      "documentation",
		"http://[fec0::1]":          "reserved",
		"http://[100::1]":           "reserved",

		"http://2130706433":               "host",
		"http://0x7f000001":               "host",
		"http://0x7F.0.0.1":               "host",
		"http://0177.0.0.1":               "host",
		"http://127.1":                    "host",
		"http://127.0.0.1.":               "loopback",
		"http://127.0.0.01":               "host",
		"http://0x":                       "host",
		"http://１２７.0.0.1":                "host",
		"http://127。0。0。1":                "host",
		"http://%31%32%37.0.0.1":          "url",
		"http://a..b":                     "host",
		"http://localhost":                "loopback",
		"http://LOCALHOST.:80":            "loopback",
		"http://a.localhost":              "loopback",
		"http://localhost.localdomain":    "loopback",
		"http://ip6-loopback":             "loopback",
		"http://metadata.google.internal": "private",
		"http://printer.local":            "private",
		"http://intranet":                 "private",
		"http://nas.home.arpa":            "private",
	} {
		var g safedial.Guard
		if got := reason(g.CheckURL(raw)); got != want {
			t.Errorf("%.60s: got %q, want %q", raw, got, want)
		}
	}
}

func TestOperatorsAllow(t *testing.T) {
	g := safedial.Guard{
		Allow: append(loopback(), netip.MustParsePrefix("10.1.0.0/16")),
		Hosts: []string{"crm.internal", ".corp.local"},
		Ports: []uint16{80, 443, 8443}, HTTPS: true,
	}
	for raw, want := range map[string]string{
		"https://127.0.0.1":            "",
		"https://localhost:8443":       "",
		"https://[::1]":                "",
		"https://[::ffff:127.0.0.1]":   "",
		"https://10.1.2.3":             "",
		"https://10.2.0.1":             "private",
		"https://crm.internal":         "",
		"https://a.corp.local":         "",
		"https://service":              "", // dialling judges
		"https://example.com:25":       "port",
		"http://example.com":           "scheme",
		"https://192.168.0.1":          "private",
		"https://169.254.169.254":      "link_local",
		"https://evil-crm.internal.eu": "",
	} {
		if got := reason(g.CheckURL(raw)); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

func TestAddressIsJudgedWhenDialling(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}))
	defer s.Close()
	var closed safedial.Guard
	if _, err := closed.Client(1, time.Second).Get(s.URL); reason(err) != "loopback" {
		t.Errorf("got %v", err)
	}
	open := safedial.Guard{Allow: loopback()}
	res, err := open.Client(1, time.Second).Get(s.URL + "/away")
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusFound {
		t.Errorf("a redirect was followed: %d", res.StatusCode)
	}
	res.Body.Close()
	trusted := safedial.Guard{Hosts: []string{"127.0.0.1"}}
	if res, err = trusted.Client(1, time.Second).Get(s.URL); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

// A name server that answers a public address once, then this machine: the
// check of the first answer must not be trusted for the second.
func TestRebindingGainsNothing(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	var asked atomic.Int32
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			asked.Add(1)
			if _, err := pc.WriteTo(answer(b[:n]), from); err != nil {
				return
			}
		}
	}()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := safedial.Guard{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", pc.LocalAddr().String())
	}}}
	target := "http://rebind.example:" + u.Port()
	if err := g.CheckURL(target); err != nil {
		t.Fatalf("its text is innocent: %v", err)
	}
	if _, err := g.Client(1, time.Second).Get(target); reason(err) != "loopback" {
		t.Errorf("got %v", err)
	}
	if asked.Load() == 0 {
		t.Error("nobody was asked")
	}
}

// answer makes a reply to one question: A is 127.0.0.1, all else is empty.
func answer(q []byte) []byte {
	out := append([]byte(nil), q[:12]...)
	out[2], out[3] = 0x84, 0
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	out = append(out, q[12:end]...)
	binary.BigEndian.PutUint16(out[8:], 0)
	binary.BigEndian.PutUint16(out[10:], 0)
	binary.BigEndian.PutUint16(out[6:], 0)
	if binary.BigEndian.Uint16(q[end-4:]) == 1 {
		binary.BigEndian.PutUint16(out[6:], 1)
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return out
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com", "http://[::ffff:1.2.3.4]:80", "http://0x7f.1", "https://a@b#c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var g safedial.Guard
		if g.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.Hostname() == "" {
			t.Fatalf("%q was let through", raw)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.IsPrivate() || a.IsLoopback() || a.Zone() != "") {
			t.Fatalf("%q was let through", raw)
		}
	})
}
