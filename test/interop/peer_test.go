package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

const (
	person  = "33612345678"
	patient = 20 * time.Second
)

// A peer is a node program that takes orders and tells news, a JSON object a
// line.
type peer struct {
	t    *testing.T
	in   io.Writer
	news chan news
	kept []news // not asked for yet
}

type news struct {
	Is     string          `json:"is"`
	Of     string          `json:"of"`
	Error  string          `json:"error"`
	Result json.RawMessage `json:"result"`
	raw    []byte
}

// find gives the path of a program, or fails with the command that brings it.
func find(t *testing.T, program, command string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing. Run: %s", program, command)
	}
	return path
}

func node(t *testing.T, script string, args ...string) *peer {
	t.Helper()
	path := find(t, "node", "sudo apt-get install -y --no-install-recommends nodejs npm")
	if _, err := os.Stat(filepath.Join("npm", "node_modules", "jose")); err != nil {
		t.Fatal("the npm packages are missing. Run: npm ci --prefix test/interop/npm")
	}
	cmd := exec.Command(path, append([]string{filepath.Join("npm", script)}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, in: in, news: make(chan news, 1000)}
	go func() {
		defer close(p.news)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			n := news{raw: append([]byte(nil), lines.Bytes()...)}
			if json.Unmarshal(n.raw, &n) == nil {
				p.news <- n
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // it ends with its input
		for range p.news {
		}
		_ = cmd.Wait()
	})
	return p
}

// await gives the next news of a kind; others are kept. An error of the peer's
// own fails the test.
func (p *peer) await(is string, into any) {
	p.t.Helper()
	give := func(n news) {
		if into != nil {
			if err := json.Unmarshal(n.raw, into); err != nil {
				p.t.Fatalf("%s: %v", n.raw, err)
			}
		}
	}
	for i, n := range p.kept {
		if n.Is == is {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			give(n)
			return
		}
	}
	limit := time.After(patient)
	for {
		select {
		case n, ok := <-p.news:
			switch {
			case !ok:
				p.t.Fatalf("the peer ended before it told %q", is)
			case n.Is == is:
				give(n)
				return
			case n.Is == "error" || n.Is == "failed":
				p.t.Fatalf("the peer says: %s", n.raw)
			}
			p.kept = append(p.kept, n)
		case <-limit:
			p.t.Fatalf("no %q from the peer; kept: %d", is, len(p.kept))
		}
	}
}

// order gives an order without waiting for its end.
func (p *peer) order(do string, with map[string]any) {
	p.t.Helper()
	o := map[string]any{"do": do}
	for k, v := range with {
		o[k] = v
	}
	b, err := json.Marshal(o)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		p.t.Fatal(err)
	}
}

// do gives an order, waits for its end and reads its result.
func (p *peer) do(do string, with map[string]any, result any) {
	p.t.Helper()
	p.order(do, with)
	var n news
	p.await("done", &n)
	if n.Of != do {
		p.t.Fatalf("the end of %s where %s was ordered", n.Of, do)
	}
	if result != nil {
		if err := json.Unmarshal(n.Result, result); err != nil {
			p.t.Fatalf("%s: %v", n.Result, err)
		}
	}
}

// play starts our pretend providers.
func play(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{
		Seed: 1, Now: time.Now,
		WhatsApp: whatsapp.Options{IgnoreWindow: true, Webhooks: whatsapp.Webhooks{Batch: 1}},
		SMSC:     smsc.Options{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A run is a connector of ours at work; what happens is kept for the test.
type run struct {
	t      *testing.T
	events chan message.Event
	health chan channel.Health
}

func (r *run) Events(events []message.Event, done func(error)) {
	for _, e := range events {
		r.events <- e
	}
	done(nil)
}

func (r *run) Health(h channel.Health) {
	select {
	case r.health <- h:
	default:
	}
}

func link(t *testing.T, c channel.Linker) *run {
	t.Helper()
	r := &run{t: t, events: make(chan message.Event, 1000), health: make(chan channel.Health, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patient):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
