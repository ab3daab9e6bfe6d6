package crash

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/test/internal/rig"
)

// takeOver is the promise: a dead node's connectors work elsewhere within it.
const takeOver = 10 * time.Second

// bindsAgreed is how many SMPP links the operator allows this account.
const bindsAgreed = 2

// A cluster is two nodes on one database, whose clocks differ by a minute, and
// a balancer in front of their callbacks.
type cluster struct {
	w      *rig.World
	nodes  [2]*rig.Node
	turn   atomic.Int64
	asleep atomic.Pointer[rig.Node] // frozen: a balancer stops asking it
	brand  *rig.Brand
}

func newCluster(t *testing.T) *cluster {
	w := rig.NewWorld(t, program, database(t))
	c := &cluster{w: w}
	c.nodes[0] = w.Node("a", "--journal", w.Dir+"/a.journal")
	c.nodes[1] = w.Node("b", "--journal", w.Dir+"/b.journal", "--clock-skew", "1m")
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := url.Parse(c.any().Base)
			r.SetURL(to)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(balancer.Close)
	key := c.nodes[0].FirstKey()
	for _, n := range c.nodes {
		n.API.Key = key
		n.Start()
		if !n.Up(30 * time.Second) {
			t.Fatal("a node does not start")
		}
	}
	c.brand = c.nodes[0].Seed(key, balancer.URL, map[string]any{"binds": bindsAgreed})
	rig.Eventually(t, "the other node knows the configuration", 5*time.Second, func() bool {
		var list struct{ Data []struct{ ID string } }
		_, err := c.nodes[1].API.Call(context.Background(), "GET", "/v1/templates", nil, &list)
		return err == nil && len(list.Data) == 2
	})
	return c
}

// any gives the API of a node that lives, each in turn.
func (c *cluster) any() *rig.Client {
	i := c.turn.Add(1)
	for range c.nodes {
		if n := c.nodes[i%int64(len(c.nodes))]; n.Running() && n != c.asleep.Load() {
			return n.API
		}
		i++
	}
	return c.nodes[0].API
}

// owner gives the number of the node that drives the SMPP account: its metrics
// show the account's lane. -1 = nobody.
func (c *cluster) owner() int {
	for i, n := range c.nodes {
		if !n.Alive() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req, err := http.NewRequestWithContext(ctx, "GET", n.Admin.Base+"/metrics", nil)
		if err == nil {
			var res *http.Response
			if res, err = n.Admin.HTTP.Do(req); err == nil {
				raw, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if strings.Contains(string(raw), `parley_lane_messages{connector="`+c.brand.SMPP) {
					cancel()
					return i
				}
			}
		}
		cancel()
	}
	return -1
}

// probe sends one SMS through a node and gives how long it took to be at the
// operator's.
func (c *cluster) probe(t *testing.T, l *load, n *rig.Node) time.Duration {
	t.Helper()
	began := time.Now()
	to := l.fresh()
	var a struct{ ID string }
	body := map[string]any{"to": "+" + to, "purpose": "authentication", "content": map[string]any{"text": "probe " + to}, "route": []any{map[string]any{"channel": "sms"}}}
	rig.Eventually(t, "a node takes a message", takeOver, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := n.API.Call(ctx, "POST", "/v1/messages", body, &a, "Idempotency-Key", "probe-"+to)
		return err == nil
	})
	l.keep(promise{a.ID, to, "probe", "authentication", 1})
	rig.Eventually(t, "the probe reaches the operator", takeOver, func() bool {
		var page struct{ Entries []rig.Entry }
		c.w.Control.Must(t, "GET", "/journal?to="+to, nil, &page)
		return len(page.Entries) > 0
	})
	return time.Since(began)
}

// TestTakeOver takes the node away that drives the SMPP account: killed,
// stopped, frozen. The other drives it soon, no more links are bound than
// agreed while nobody is frozen, and the journals agree although the clocks
// differ by a minute.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hooks := listen(t)
	c.nodes[0].API.Must(t, "POST", "/v1/webhooks", map[string]any{"url": hooks.URL}, nil)
	l := newLoad(t, c.w, c.brand, c.any)
	l.begin(3, 20*time.Millisecond)
	watch := watchBinds(c.w)
	var told []string
	for _, how := range []string{"kill", "kill", "stop", "stop"} {
		i := -1
		rig.Eventually(t, "somebody drives the account", takeOver, func() bool { i = c.owner(); return i >= 0 })
		gone, other := c.nodes[i], c.nodes[1-i]
		if how == "kill" {
			gone.Kill()
		} else {
			gone.Terminate(t, 30*time.Second)
		}
		took := c.probe(t, l, other)
		told = append(told, fmt.Sprintf("%s of %s: %s", how, gone.Name, took.Round(time.Millisecond)))
		if how == "stop" && took > 2*time.Second {
			t.Errorf("after a clean stop the other node took %s", took)
		}
		gone.Start()
		if !gone.Up(30 * time.Second) {
			t.Fatal("the node does not start again")
		}
	}
	if most := watch(); most > bindsAgreed {
		t.Errorf("%d links were bound at a time, %d are agreed", most, bindsAgreed)
	}

	// A frozen node neither knows that its lease ran out nor lets go of its
	// links. When it wakes, its fence is gone.
	// Three times, since it may freeze in the middle of a transaction or not.
	for range 3 {
		i := -1
		rig.Eventually(t, "somebody drives the account", takeOver, func() bool { i = c.owner(); return i >= 0 })
		frozen, other := c.nodes[i], c.nodes[1-i]
		c.asleep.Store(frozen)
		frozen.Freeze(t)
		took := c.probe(t, l, other)
		told = append(told, fmt.Sprintf("freeze of %s: %s", frozen.Name, took.Round(time.Millisecond)))
		frozen.Thaw(t)
		c.asleep.Store(nil)
		_ = c.probe(t, l, frozen)
	}

	l.end()
	for _, n := range c.nodes {
		n.API.Must(t, "GET", "/healthz", nil, nil)
	}
	drain(t, c.nodes[0], c.w)
	for _, n := range c.nodes {
		n.Terminate(t, 30*time.Second)
	}
	last := c.nodes[0]
	last.Args = append(last.Args, "--clock-skew", "25h")
	last.Start()
	last.Up(30 * time.Second)
	settle(t, last)
	v := compare(t, l, last.API, hooks)
	t.Logf("taken over after: %s; %+v", strings.Join(told, ", "), v)
}

// watchBinds counts the SMPP links the sandbox sees until the function it
// gives is called, which gives the most there were at a time.
func watchBinds(w *rig.World) (most func() int) {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		high := 0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- high
				return
			case <-tick.C:
			}
			var s struct {
				SMS struct{ Sessions int } `json:"sms"`
			}
			if _, err := w.Control.Call(context.Background(), "GET", "/stats", nil, &s); err == nil {
				high = max(high, s.SMS.Sessions)
			}
		}
	}()
	return func() int { close(stop); return <-done }
}
