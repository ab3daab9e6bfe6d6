package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// A turnstile is an account that carries one text at a time and writes down in
// which order they came. It gives no receipts.
type turnstile struct {
	pairEvery time.Duration

	mu     sync.Mutex
	came   []string // texts
	broken *message.Fault
}

func (c *turnstile) Send(_ context.Context, m *message.Outbound) (message.Accepted, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came = append(c.came, m.Content.Text)
	if c.broken != nil {
		return message.Accepted{}, c.broken
	}
	return message.Accepted{Parts: []string{strconv.Itoa(len(c.came))}}, nil
}

func (c *turnstile) Close() error { return nil }

func (c *turnstile) order() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.came...)
}

// through waits until n have gone, as long as they go.
func (c *turnstile) through(w *world, n int) {
	w.t.Helper()
	for had := 0; had < n; {
		w.eventually("more go through", func() bool { return len(c.order()) > had })
		had = len(c.order())
	}
}

// open makes an account of it: a channel type of its own beside the real ones.
func (c *turnstile) open(o *engine.Options) {
	typ := sms.Type
	typ.Kind, typ.Receipts, typ.Limits = "turnstile", channel.Receipts{}, channel.Limits{Concurrent: 1, PairEvery: c.pairEvery, PairBurst: 1}
	typ.Check = func(json.RawMessage) error { return nil }
	typ.Open = func(json.RawMessage, channel.Env) (channel.Connector, error) { return c, nil }
	o.Types = append(o.Types, typ)
}

// account adds the account, paused, with senders that share it.
func (c *turnstile) account(w *world, senders ...string) (message.ConnectorID, []message.SenderID) {
	w.t.Helper()
	cn, err := w.rooms.PutConnector(w.ctx, w.ws, workspace.ConnectorInput{Kind: "turnstile", Name: "shared", Config: json.RawMessage(`{}`)})
	must(w.t, err)
	must(w.t, w.engine.PauseConnector(w.ctx, w.ws, cn.ID))
	var ids []message.SenderID
	for _, address := range senders {
		s, err := w.rooms.PutSender(w.ctx, &store.Sender{Workspace: w.ws, Channel: message.SMS, Address: address, Display: address, Connectors: []message.ConnectorID{cn.ID}, CreatedAt: time.Now()})
		must(w.t, err)
		ids = append(ids, s.ID)
	}
	w.eventually("the account is taken, and paused", func() bool {
		for _, l := range w.engine.Lanes() {
			if l.Connector == cn.ID {
				return l.Paused
			}
		}
		return false
	})
	return cn.ID, ids
}

func from(sender message.SenderID, person int, purpose message.Purpose, text string) *engine.Request {
	return &engine.Request{
		To: engine.Recipient{Phone: "+336123" + fmt.Sprintf("%05d", person)}, Purpose: purpose,
		Content: message.Content{Text: text}, Route: []engine.RouteStep{{Channel: message.SMS, Sender: sender}},
	}
}

// TestSendersShareAnAccount (law 11): one sender has far more waiting than the
// lane keeps in memory, and comes first. The few texts of another go out among
// its first, one-time codes before all, and each sender's texts to one person
// keep their order, also when they come by way of the store.
func TestSendersShareAnAccount(t *testing.T) {
	c := new(turnstile)
	w := newWorldOn(t, nil, c.open, func(o *engine.Options) { o.Queue = 2000 })
	account, senders := c.account(w, "LOUD", "QUIET")
	const many, more, few, begun = 2800, 200, 20, 8
	shout := func(from0, to int) {
		var batch []*engine.Request
		for i := from0; i < to; i++ {
			batch = append(batch, from(senders[0], i%700, message.Marketing, fmt.Sprintf("loud %d", i)))
		}
		results, err := w.engine.AcceptBatch(w.ctx, w.ws, batch, engine.Idempotency{})
		must(t, err)
		for _, r := range results {
			must(t, r.Err)
		}
	}
	shout(0, many)
	for i := range few {
		w.send(from(senders[1], i, message.Marketing, fmt.Sprintf("quiet %d", i)))
	}
	w.send(from(senders[0], 1990, message.Authentication, "code"))

	must(t, w.engine.ResumeConnector(w.ctx, w.ws, account))
	c.through(w, 500)      // memory has room again
	shout(many, many+more) // their persons' earlier texts are still in the store
	c.through(w, many+more+few+1)
	order := c.order()
	last := make(map[int]int) // of loud, by person
	quiet := 0
	for place, text := range order {
		var n int
		switch {
		case text == "code":
			if place >= begun {
				t.Errorf("the one-time code went out as number %d", place)
			}
		case scan(text, "loud %d", &n):
			if before, ok := last[n%700]; ok && before > n {
				t.Fatalf("loud %d went out after %d to the same person", n, before)
			}
			last[n%700] = n
		case scan(text, "quiet %d", &n):
			if place > 2*quiet+begun {
				t.Errorf("the text number %d of the quiet sender went out as number %d", quiet, place)
			}
			quiet++
		}
	}
	if len(order) != many+more+few+1 || quiet != few {
		t.Errorf("%d texts went out, %d of the quiet sender", len(order), quiet)
	}
}

func scan(s, format string, n *int) bool { _, err := fmt.Sscanf(s, format, n); return err == nil }

// TestPairPace: a provider's limit for one person holds up that person alone,
// and in order, also when later ones wait in the same lane. Texts to others still
// go directly.
func TestPairPace(t *testing.T) {
	c, spy := &turnstile{pairEvery: time.Hour}, new(spyStore)
	w := newWorldOn(t, func(s store.Store) engine.Store { spy.Store = s; return spy }, c.open)
	account, senders := c.account(w, "BRAND")
	for i, text := range []string{"a1", "a2", "a3", "b1"} {
		w.send(from(senders[0], i/3, message.Service, text))
	}
	must(t, w.engine.ResumeConnector(w.ctx, w.ws, account))
	for hour, want := range []string{"a1 b1", "a1 b1 a2", "a1 b1 a2 a3"} {
		if hour > 0 {
			w.sandbox.Advance(time.Hour)
		}
		w.eventually(want, func() bool { return len(c.order()) >= hour+2 })
		w.send(from(senders[0], 10+hour, message.Marketing, "after")) // when it has gone, all that may go has gone
		w.eventually("the lane is idle", func() bool { return slices.Contains(c.order(), "after") })
		other := 100 * (hour + 1)
		w.eventually("one to somebody else goes directly", func() bool { // a lane that looks into the store just then takes one the ordinary way
			before, _ := spy.counts()
			other++
			w.send(from(senders[0], other, message.Marketing, "after"))
			now, _ := spy.counts()
			return now > before
		})
		came := slices.DeleteFunc(c.order(), func(s string) bool { return s == "after" })
		if i := slices.Index(came, "b1"); i == 0 && len(came) > 1 {
			came[0], came[1] = came[1], came[0] // two people's texts go in parallel
		}
		if got := strings.Join(came, " "); got != want {
			t.Fatalf("after %d hours %s went out, want %s", hour, got, want)
		}
		c.mu.Lock()
		c.came = slices.DeleteFunc(c.came, func(s string) bool { return s == "after" })
		c.mu.Unlock()
	}
}

// A readingStore does something while a lane's queue is being read.
type readingStore struct {
	store.Store
	after atomic.Pointer[func(records []*store.Record)]
}

func (s *readingStore) Ready(ctx context.Context, c message.ConnectorID, after store.Place, limit int) ([]*store.Record, error) {
	records, err := s.Store.Ready(ctx, c, after, limit)
	if f := s.after.Load(); f != nil {
		(*f)(records)
	}
	return records, err
}

// TestOrderWhileFetching: a text accepted while an older one to the same person
// is being fetched from the store goes out after it.
func TestOrderWhileFetching(t *testing.T) {
	c := new(turnstile)
	under := new(readingStore)
	w := newWorldOn(t, func(s store.Store) engine.Store {
		under.Store = s
		return under
	}, c.open, func(o *engine.Options) { o.Queue = 1 })
	account, senders := c.account(w, "BRAND")
	const room = 1000 // what a sender may keep in memory at the least
	var old message.MessageID
	for i := range room + 1 {
		old = w.send(from(senders[0], i, message.Marketing, "old "+strconv.Itoa(i))).ID
	}
	var once sync.Once
	look := func(records []*store.Record) {
		for _, r := range records {
			if r.Delivery.ID == old {
				once.Do(func() { w.send(from(senders[0], room, message.Marketing, "new")) })
			}
		}
	}
	under.after.Store(&look)
	must(t, w.engine.ResumeConnector(w.ctx, w.ws, account))
	c.through(w, room+2)
	order := c.order()
	if a, b := slices.Index(order, "old "+strconv.Itoa(room)), slices.Index(order, "new"); b < a {
		t.Errorf("the older went out as number %d, the newer as number %d", a, b)
	}
}
