package crash

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// A trial is one node under load on a database that is about to suffer.
type trial struct {
	t     *testing.T
	w     *rig.World
	n     *rig.Node
	l     *load
	hooks *listener
}

func newTrial(t *testing.T, url string, args ...string) *trial {
	return trialIn(t, rig.NewWorld(t, program, url), args...)
}

func trialIn(t *testing.T, w *rig.World, args ...string) *trial {
	y := &trial{t: t, w: w, n: w.Node("one", args...), hooks: listen(t)}
	key := y.n.FirstKey()
	y.n.Start()
	y.n.Up(30 * time.Second)
	y.n.API.Key = key
	y.hooks.enlist(t, y.n.API)
	brand := y.n.Seed(key, "", nil)
	y.l = newLoad(t, w, brand, func() *rig.Client { return y.n.API })
	y.l.begin(3, 20*time.Millisecond)
	return y
}

// ready asks whether a message could be made durable now.
func (y *trial) ready() (status int, retryAfter string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", y.n.API.Base+"/readyz", nil)
	if err != nil {
		y.t.Fatal(err)
	}
	res, err := y.n.API.HTTP.Do(req)
	if err != nil {
		return 0, ""
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Retry-After")
}

// refuses waits until the node says clearly that it cannot take anything.
func (y *trial) refuses() {
	y.t.Helper()
	rig.Eventually(y.t, "the node says 503 with Retry-After", 20*time.Second, func() bool {
		status, after := y.ready()
		return status == http.StatusServiceUnavailable && after != ""
	})
}

// recovers waits until the node takes messages again, with the same process.
func (y *trial) recovers(within time.Duration) time.Duration {
	y.t.Helper()
	took := rig.Eventually(y.t, "the node takes messages again", within, func() bool {
		status, _ := y.ready()
		return status == http.StatusOK
	})
	if !y.n.Alive() {
		y.t.Fatal("the node died with its database")
	}
	return took
}

// logged reports whether the node has said something.
func (y *trial) logged(text string) bool {
	y.t.Helper()
	raw, err := os.ReadFile(filepath.Join(y.w.Dir, "nodeone.log"))
	if err != nil {
		y.t.Fatal(err)
	}
	return strings.Contains(string(raw), text)
}

// flows waits until clients were told about many more messages.
func (y *trial) flows() {
	y.t.Helper()
	count := func() int {
		y.l.mu.Lock()
		defer y.l.mu.Unlock()
		return len(y.l.told)
	}
	before := count()
	rig.Eventually(y.t, "messages flow", 60*time.Second, func() bool { return count() >= before+100 })
}

// finish lets everything come to an end and compares the journals: recovery
// needed no hands.
func (y *trial) finish() {
	y.flows()
	y.l.end()
	drain(y.t, y.n, y.w)
	y.n.Terminate(y.t, 30*time.Second)
	y.n.Args = append(y.n.Args, "--clock-skew", "25h")
	y.n.Start()
	y.n.Up(30 * time.Second)
	settle(y.t, y.n)
	y.t.Logf("%+v", compare(y.t, y.l, y.n.API, y.hooks))
}

// TestDatabaseRestarts: PostgreSQL is killed under a node, which says so to
// clients, loses nothing it acknowledged and goes on when the server is back.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, migrate)
	y := newTrial(t, pg.Database(t))
	for range 3 {
		y.flows()
		pg.Stop(true)
		y.refuses()
		if err := pg.Launch(); err != nil {
			t.Fatal(err)
		}
		t.Logf("took messages again after %s", y.recovers(20*time.Second))
	}
	y.finish()
}

// TestDatabaseFailsOver: the primary dies and its synchronous replica is
// promoted. The node finds it by itself and nothing acknowledged is lost.
func TestDatabaseFailsOver(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, migrate)
	at, err := url.Parse(primary.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	replica := primary.Replica(t)
	y := newTrial(t, "postgres://postgres@"+primary.Address()+","+replica.Address()+at.Path+"?sslmode=disable&target_session_attrs=read-write")
	y.flows()
	primary.Stop(true)
	y.refuses()
	if err := replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("took messages again %s after the promotion", y.recovers(20*time.Second))
	y.finish()
	if !y.logged("the log begins a new epoch") {
		t.Error("the node did not notice the failover")
	}
}

// TestDatabaseBehindAPooler: a node lives on PgBouncer in transaction mode,
// which dies and comes back, and which then leads to a promoted replica while
// the node's sessions with it live on.
func TestDatabaseBehindAPooler(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, migrate)
	direct := primary.Database(t)
	at, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	replica := primary.Replica(t)
	bouncer := primary.Bouncer(t, "pgbouncer")
	y := newTrial(t, bouncer.URL(direct), "--pooler",
		"--listen-url", "postgres://postgres@"+primary.Address()+","+replica.Address()+at.Path+"?sslmode=disable&target_session_attrs=read-write")
	y.flows()
	bouncer.Kill()
	y.refuses()
	bouncer.Start()
	t.Logf("took messages again %s after the pooler was back", y.recovers(20*time.Second))
	y.flows()
	primary.Stop(true)
	y.refuses()
	if err := replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	bouncer.Point(replica)
	t.Logf("took messages again %s after the promotion", y.recovers(20*time.Second))
	y.finish()
	if !y.logged("the log begins a new epoch") {
		t.Error("the node did not notice the failover")
	}
}

// TestDatabaseBehindABadNetwork: connections are cut again and again, then
// every packet is late, then nothing comes through at all.
func TestDatabaseBehindABadNetwork(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, migrate)
	at, err := url.Parse(pg.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	p := between(t, pg.Address())
	y := newTrial(t, "postgres://postgres@"+p.Addr().String()+at.Path+"?sslmode=disable")
	y.flows()
	for range 15 {
		p.cut()
		<-time.After(200 * time.Millisecond) // as long as a connection lives
	}
	p.set(50*time.Millisecond, false)
	<-time.After(3 * time.Second) // as long as the network is slow
	p.set(0, true)
	<-time.After(4 * time.Second) // as long as it swallows everything
	p.set(0, false)
	p.cut()
	t.Logf("took messages again after %s", y.recovers(30*time.Second))
	y.finish()
}

// A proxy stands between a node and its database.
type proxy struct {
	net.Listener
	to string

	mu    sync.Mutex
	delay time.Duration
	hole  bool
	conns map[net.Conn]bool
}

func between(t *testing.T, to string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: ln, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = ln.Close()
		p.cut()
	})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns[c], p.conns[d] = true, true
			p.mu.Unlock()
			go p.pipe(c, d)
			go p.pipe(d, c)
		}
	}()
	return p
}

// set makes packets late or lost from now on.
func (p *proxy) set(delay time.Duration, hole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.hole = delay, hole
}

// cut breaks every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		delay, hole := p.delay, p.hole
		p.mu.Unlock()
		if hole {
			continue // a connection that lost bytes is of no use: cut ends it
		}
		<-time.After(delay)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
