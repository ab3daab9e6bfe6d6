package port

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestBetween(t *testing.T) {
	for _, c := range []struct{ first, last, from, to int }{
		{1, 0, low, high},             // unknown
		{32768, 60999, low, high},     // Linux
		{49152, 65535, low, high},     // others
		{1024, 4999, low, high},       // Windows of old
		{30000, 60999, low, 30000},    // a little more
		{10000, 60999, 61000, 65536},  // only above
		{18000, 61000, 61001, 65536},  // too little below
		{1024, 65535, low, high},      // everything
		{15000, 65000, low, high},     // nearly everything
		{16384, 40000, 40001, 65536},  // the very range
		{20480, 65535, 16384, 20480},  // just enough
		{20479, 61439, 61440, 65536},  // just not
		{1024, low - 1, low, high},    // ends before
		{high, high + 1, low, high},   // begins after
		{1024, low, low + 1, 1 << 16}, // touches
	} {
		if from, to := between(c.first, c.last); from != c.from || to != c.to {
			t.Errorf("beside %d to %d: %d to %d, want %d to %d", c.first, c.last, from, to, c.from, c.to)
		}
	}
}

// Nobody is given a port twice, here or in another process, and one that was
// given can be listened on again and again, whatever connects meanwhile.
func TestTake(t *testing.T) {
	const many = 200
	if os.Getenv("PORT_TEST_HOLD") != "" {
		for range many {
			t.Log(" takes " + For(t))
		}
		return
	}
	seen := map[string]bool{}
	for range many {
		seen[For(t)] = true
	}
	child := exec.Command(os.Args[0], "-test.run=^TestTake$", "-test.v")
	child.Env = append(os.Environ(), "PORT_TEST_HOLD=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, address, ok := strings.Cut(strings.TrimSpace(line), " takes "); ok {
			seen[address] = true
		}
	}
	if len(seen) != 2*many {
		t.Errorf("%d addresses, want %d", len(seen), 2*many)
	}
	first, last := ephemeral()
	for address := range seen {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if p := ln.Addr().(*net.TCPAddr).Port; p >= first && p <= last {
			t.Errorf("%d is of the kernel's, %d to %d", p, first, last)
		}
		_ = ln.Close()
	}
}

// A port is taken once, not while something listens on it, and again after it
// was given back.
func TestRelease(t *testing.T) {
	address, release, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := take(address); ok {
		t.Errorf("%s is given twice", address)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := take(address); ok {
		t.Errorf("%s is given while something listens on it", address)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	release, ok := take(address)
	if !ok {
		t.Fatalf("%s is not free after its release", address)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}
