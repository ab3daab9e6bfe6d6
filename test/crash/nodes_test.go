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

// A cluster is nodes on one database, whose clocks differ by a minute, and a
// balancer in front of their callbacks.
type cluster struct {
	w      *rig.World
	nodes  []*rig.Node
	turn   atomic.Int64
	asleep atomic.Pointer[rig.Node] // frozen: a balancer stops asking it
	brand  *rig.Brand
	hooks  *listener
}

func newCluster(t *testing.T, nodes int) *cluster {
	w := rig.NewWorld(t, program, database(t))
	c := &cluster{w: w}
	for i := range nodes {
		name := string(rune('a' + i))
		c.nodes = append(c.nodes, w.Node(name, "--journal", w.Dir+"/"+name+".journal", "--clock-skew", fmt.Sprint(i%2*60, "s")))
	}
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
	c.hooks = listen(t)
	c.hooks.enlist(t, c.nodes[0].API)
	c.brand = c.nodes[0].Seed(key, balancer.URL, map[string]any{"binds": bindsAgreed})
	for _, n := range c.nodes[1:] {
		rig.Eventually(t, "the other node knows the configuration", 5*time.Second, func() bool {
			var list struct{ Data []struct{ ID string } }
			_, err := n.API.Call(context.Background(), "GET", "/v1/templates", nil, &list)
			return err == nil && len(list.Data) == 2
		})
	}
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

// owner gives the number of the node that drives the SMPP account.
func (c *cluster) owner() int { return c.drives(c.brand.SMPP) }

// drives gives the number of the node that drives a connector's account: its
// metrics show the account's lane. -1 = nobody.
func (c *cluster) drives(connector string) int {
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
				if strings.Contains(string(raw), `parley_lane_messages{connector="`+connector) {
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
	return c.probeFrom(t, l, n, c.brand.SMSSender)
}

// probeFrom is probe from one of the brand's senders.
func (c *cluster) probeFrom(t *testing.T, l *load, n *rig.Node, sender string) time.Duration {
	t.Helper()
	began := time.Now()
	to := l.fresh()
	var a struct{ ID string }
	body := map[string]any{"to": "+" + to, "purpose": "authentication", "content": map[string]any{"text": "probe " + to}, "route": []any{map[string]any{"channel": "sms", "sender": sender}}}
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
	c := newCluster(t, 2)
	l := newLoad(t, c.w, c.brand, c.any)
	l.begin(2, 50*time.Millisecond)
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

	v := c.finish(t, l)
	t.Logf("taken over after: %s; %+v", strings.Join(told, ", "), v)
}

// finish stops the load and every node, gives one of them what only time can
// settle, and compares the journals.
func (c *cluster) finish(t *testing.T, l *load) verdict {
	t.Helper()
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
	return compare(t, l, last.API, c.hooks)
}

// TestThreeNodes: three nodes share four accounts. One is killed, then two at
// once, in turn; then all are restarted one after another, cleanly. Whoever is
// left carries every account, none has more links than agreed, nothing is lost.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	agreed := map[string]any{"binds": bindsAgreed}
	accounts := append([]string{c.brand.SMPP, c.brand.WhatsApp}, c.nodes[0].More(c.brand, agreed)...)
	for _, n := range c.nodes {
		for _, sender := range c.brand.SMS {
			rig.Eventually(t, "each node knows the senders", 5*time.Second, func() bool {
				_, err := n.API.Call(context.Background(), "POST", "/v1/messages/preview", map[string]any{
					"to": "+33612345678", "purpose": "utility", "content": map[string]any{"text": "x"}, "route": []any{map[string]any{"channel": "sms", "sender": sender}},
				}, nil)
				return err == nil
			})
		}
	}
	// A new account's callbacks are known on every node from the first moment.
	for i, made := range c.nodes {
		var account struct{ ID string }
		made.API.Must(t, "POST", "/v1/connectors", map[string]any{"kind": "whatsapp_cloud", "name": "brand new", "config": map[string]any{
			"phone_number_id": "1234567890", "waba_id": "1234567891", "token": "t", "app_secret": "s", "verify_token": "v",
		}}, &account)
		asked := c.nodes[(i+1)%len(c.nodes)]
		path := "/callbacks/" + account.ID + "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=v"
		if _, err := asked.API.Call(context.Background(), "GET", path, nil, nil); err != nil {
			t.Errorf("a callback of a new account, on another node: %v", err)
		}
		made.API.Must(t, "DELETE", "/v1/connectors/"+account.ID, nil, nil)
	}
	l := newLoad(t, c.w, c.brand, c.any)
	everywhere := func(n *rig.Node) (slowest time.Duration) {
		for _, sender := range c.brand.SMS {
			slowest = max(slowest, c.probeFrom(t, l, n, sender))
		}
		return slowest
	}
	spread := func() string {
		var at strings.Builder
		for _, id := range accounts {
			i := -1
			rig.Eventually(t, "somebody drives each account", takeOver, func() bool { i = c.drives(id); return i >= 0 })
			at.WriteString(c.nodes[i].Name)
		}
		return at.String()
	}
	l.begin(2, 50*time.Millisecond)
	watch := watchBinds(c.w)
	told := []string{"begin: " + spread()}
	for round, dead := range [][]int{{0}, {1, 2}, {0, 1}, {2}} {
		for _, i := range dead {
			c.nodes[i].Kill()
		}
		left := c.nodes[(dead[len(dead)-1]+1)%3]
		took := everywhere(left)
		told = append(told, fmt.Sprintf("round %d, %d killed: %s, %s", round, len(dead), took.Round(time.Millisecond), spread()))
		for _, i := range dead {
			c.nodes[i].Start()
			if !c.nodes[i].Up(30 * time.Second) {
				t.Fatal("a node does not start again")
			}
		}
	}
	for i, n := range c.nodes {
		n.Terminate(t, 30*time.Second)
		took := everywhere(c.nodes[(i+1)%3])
		told = append(told, fmt.Sprintf("%s restarted: %s, %s", n.Name, took.Round(time.Millisecond), spread()))
		if took > 2*time.Second {
			t.Errorf("after a clean stop of %s the others took %s", n.Name, took)
		}
		n.Start()
		if !n.Up(30 * time.Second) {
			t.Fatal("a node does not start again")
		}
	}
	if most := watch(); most > bindsAgreed {
		t.Errorf("%d links of one account were bound at a time, %d are agreed", most, bindsAgreed)
	}
	v := c.finish(t, l)
	t.Logf("%s; %+v", strings.Join(told, "; "), v)
}

// watchBinds counts the SMPP links of each account that the sandbox sees until
// the function it gives is called, which gives the most there were at a time.
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
				SMS struct{ Bound map[string]int } `json:"sms"`
			}
			if _, err := w.Control.Call(context.Background(), "GET", "/stats", nil, &s); err == nil {
				for _, n := range s.SMS.Bound {
					high = max(high, n)
				}
			}
		}
	}()
	return func() int { close(stop); return <-done }
}
