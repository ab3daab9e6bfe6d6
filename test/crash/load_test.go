package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/test/internal/rig"
)

// A promise is what a client was told about one message: the first journal.
type promise struct {
	id      string
	to      string // a number no other message goes to
	kind    string
	purpose string
	steps   int
}

// A wrote is what the sandbox said about a message a person wrote.
type wrote struct{ id, channel string }

// A load is clients that send until they are stopped, each request with an
// idempotency key and as often as it takes to be told.
type load struct {
	t     *testing.T
	node  func() *rig.Client // whom to ask next
	world *rig.World
	brand *rig.Brand

	mu      sync.Mutex
	told    []promise
	written map[string]wrote // by text
	retries atomic.Int64
	number  atomic.Int64
	stop    chan struct{}
	ended   sync.Once
	all     sync.WaitGroup
}

// newLoad makes clients that do not send yet.
func newLoad(t *testing.T, w *rig.World, b *rig.Brand, node func() *rig.Client) *load {
	l := &load{t: t, node: node, world: w, brand: b, written: map[string]wrote{}, stop: make(chan struct{})}
	t.Cleanup(func() { l.ended.Do(func() { close(l.stop) }) })
	return l
}

// begin starts clients, and people who write to the brand.
func (l *load) begin(clients int, pause time.Duration) {
	for i := range clients {
		l.all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for n := i; !l.stopped(); n++ {
				l.one(kinds[n%len(kinds)])
				l.rest(time.Duration(r.Int64N(int64(2*pause) + 1)))
			}
		})
	}
	l.all.Go(func() {
		for n := 0; !l.stopped(); n++ {
			l.write(n)
			l.rest(8 * pause)
		}
	})
}

// end stops the clients once each has been told about all it asked for.
func (l *load) end() {
	l.ended.Do(func() { close(l.stop) })
	l.all.Wait()
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.stop:
	}
}

// A kind is one sort of request.
type kind struct {
	name    string
	purpose string
	steps   int
	body    func(text string) map[string]any
}

func sms(purpose string) kind {
	return kind{"sms", purpose, 1, func(text string) map[string]any {
		return map[string]any{"purpose": purpose, "content": map[string]any{"text": text}, "route": []any{map[string]any{"channel": "sms"}}}
	}}
}

func whatsapp(purpose, name, language string, parameters map[string]any) kind {
	return kind{"whatsapp", purpose, 1, func(string) map[string]any {
		tpl := map[string]any{"name": name, "language": language}
		if parameters != nil {
			tpl["parameters"] = parameters
		}
		return map[string]any{"purpose": purpose, "template": tpl, "route": []any{map[string]any{"channel": "whatsapp"}}}
	}}
}

var boarding = map[string]any{"flight": "AF1234"}

var kinds = []kind{
	sms("utility"),
	sms("marketing"),
	whatsapp("utility", "boarding_pass", "en", boarding),
	whatsapp("marketing", "paused_offer", "en_US", nil),
	sms("authentication"),
	{"both", "utility", 2, func(text string) map[string]any {
		return map[string]any{
			"purpose": "utility", "content": map[string]any{"text": text}, "template": map[string]any{"name": "boarding_pass", "language": "en", "parameters": boarding},
			"route": []any{map[string]any{"channel": "whatsapp", "next_if": map[string]any{"not_delivered_in": "3s"}}, map[string]any{"channel": "sms"}},
		}
	}},
	{"batch", "marketing", 1, nil},
}

// fresh gives a French mobile number nobody had before.
func (l *load) fresh() string { return fmt.Sprintf("336%08d", 10_000_000+l.number.Add(1)) }

// one sends one request until it is answered.
func (l *load) one(k kind) {
	if k.name == "batch" {
		l.batch(k)
		return
	}
	to := l.fresh()
	body := k.body("message for " + to)
	body["to"] = "+" + to
	if k.name == "sms" {
		// Every sender carries some of it.
		body["route"].([]any)[0].(map[string]any)["sender"] = l.brand.SMS[l.number.Load()%int64(len(l.brand.SMS))]
	}
	var a struct{ ID string }
	if l.insist("/v1/messages", l.key(), body, &a) {
		l.keep(promise{a.ID, to, k.name, k.purpose, k.steps})
	}
}

func (l *load) batch(k kind) {
	var items []any
	var to []string
	for range 5 {
		n := l.fresh()
		to = append(to, n)
		items = append(items, map[string]any{"to": "+" + n})
	}
	body := map[string]any{"purpose": k.purpose, "content": map[string]any{"text": "offer " + to[0]}, "route": []any{map[string]any{"channel": "sms"}}, "messages": items}
	type verdicts struct {
		Data []struct {
			ID    string
			Error *struct{ Status int }
		}
	}
	var a verdicts
	key := l.key()
	for again := true; again; {
		a = verdicts{}
		if !l.insist("/v1/messages/batch", key, body, &a) {
			return
		}
		// An item may be told to come again: the same key repeats no other.
		again = false
		for _, d := range a.Data {
			again = again || d.Error != nil && d.Error.Status == http.StatusServiceUnavailable
		}
	}
	if len(a.Data) != len(to) {
		l.t.Errorf("a batch of %d was answered with %d verdicts", len(to), len(a.Data))
		return
	}
	for i, d := range a.Data {
		if d.ID == "" {
			l.t.Errorf("an item of a batch was refused: %+v", d.Error)
			continue
		}
		l.keep(promise{d.ID, to[i], k.name, k.purpose, k.steps})
	}
}

// key makes an idempotency key.
func (l *load) key() string { return fmt.Sprintf("key-%d-%d", l.number.Add(1), time.Now().UnixNano()) }

func (l *load) keep(p promise) {
	l.mu.Lock()
	l.told = append(l.told, p)
	l.mu.Unlock()
}

// insist sends a request under one key until it is taken: what a good client
// does when the connection breaks or the answer is 503.
func (l *load) insist(path, key string, body map[string]any, out any) bool {
	raw, err := json.Marshal(body)
	if err != nil {
		l.t.Error(err)
		return false
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		status, err := l.node().Call(ctx, "POST", path, raw, out, "Idempotency-Key", key)
		cancel()
		switch {
		case err == nil && status == http.StatusAccepted:
			return true
		case err == nil:
			l.t.Errorf("%s answered %d", path, status)
			return false
		case rig.Status(err) >= 400 && rig.Status(err) < 500 && rig.Status(err) != http.StatusTooManyRequests:
			l.t.Errorf("%s: %v", path, err)
			return false
		case time.Now().After(deadline):
			l.t.Errorf("%s: nobody took it: %v", path, err)
			return false
		}
		l.retries.Add(1)
		<-time.After(10 * time.Millisecond) // a client's own pause before it tries again
	}
}

// write lets a person write to the brand.
func (l *load) write(n int) {
	from := fmt.Sprintf("337%08d", 10_000_000+n%50)
	text := fmt.Sprintf("a person's message %d", n)
	body := map[string]any{"channel": "sms", "to": rig.ShortCode, "text": text}
	if n%2 == 0 {
		body = map[string]any{"channel": "whatsapp", "text": text}
	}
	var a struct{ ID string }
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := l.world.Control.Call(ctx, "POST", "/handsets/"+from+"/reply", body, &a); err != nil {
		l.t.Errorf("a person cannot write: %v", err)
		return
	}
	l.mu.Lock()
	l.written[text] = wrote{a.ID, body["channel"].(string)}
	l.mu.Unlock()
}
