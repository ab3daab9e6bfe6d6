package whatsapp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// callback is where webhooks go.
type callback struct{ url string }

// update is one thing to tell: a status, or a whole change that was encoded
// when it happened.
type update struct {
	m      *message // of a status
	n      *number  // nil for what concerns the account
	w      *waba    // when n is nil
	status status
	at     int64 // unix seconds
	code   int
	raw    []byte // {"value":{..},"field":".."}
	posted *gate
}

func (u *update) account() *waba {
	if u.n != nil {
		return u.n.waba
	}
	return u.w
}

// lane posts the webhooks of the people that fall on it, one post at a time.
// New posts stop while too many failed ones wait, so that an unreachable
// callback costs one small queue and not a flood.
type lane struct {
	s    *Server
	wake chan struct{}

	mu      sync.Mutex
	pending []update
	parked  []*post
}

// gate opens when everything it counts is done; what is added later does not
// close it again.
type gate struct {
	count  atomic.Int64
	once   sync.Once
	opened chan struct{}
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	g.add()
	return g
}

func (g *gate) add() { g.count.Add(1) }
func (g *gate) done() {
	if g.count.Add(-1) == 0 {
		g.once.Do(func() { close(g.opened) })
	}
}

// post is one webhook body; a retry sends the same bytes.
type post struct {
	to     *callback
	body   []byte
	count  int
	posted []*gate
	first  time.Time
	at     time.Time // of the next try
	gap    time.Duration
}

const maxParked = 4

func newLane(s *Server) *lane {
	l := &lane{s: s, wake: make(chan struct{}, 1)}
	s.work.Go(l.loop)
	return l
}

// lane returns the lane of a person.
func (s *Server) lane(number string) *lane {
	h := uint32(2166136261)
	for i := range len(number) {
		h = (h ^ uint32(number[i])) * 16777619
	}
	return s.lanes[h%uint32(len(s.lanes))]
}

func (l *lane) add(u update) {
	if u.account().silent.Load() {
		u.settle()
		return
	}
	l.mu.Lock()
	if limit := max(1, l.s.opts.Webhooks.Queue/len(l.s.lanes)); len(l.pending) >= limit {
		l.pending[0].settle()
		l.pending = l.pending[1:]
		l.s.count.lost.Add(1)
		l.s.count.waiting.Add(-1)
	}
	l.pending = append(l.pending, u)
	l.mu.Unlock()
	l.s.count.waiting.Add(1)
	l.poke()
}

func (u *update) settle() {
	if u.posted != nil {
		u.posted.done()
	}
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.pending {
		l.pending[i].settle()
	}
	for _, p := range l.parked {
		p.settle()
	}
	l.pending, l.parked = nil, nil
}

func (l *lane) loop() {
	pace := time.NewTicker(l.s.opts.Webhooks.Pace)
	defer pace.Stop()
	for {
		p := l.next()
		if p == nil {
			select {
			case <-l.wake:
				continue
			case <-l.s.quit:
				return
			}
		}
		pace.Reset(l.s.opts.Webhooks.Pace)
		l.settle(p, l.s.send(p))
		select {
		case <-pace.C: // under load posts grow instead of multiplying
		case <-l.s.quit:
			return
		}
	}
}

// next returns a failed post that is due, else a new one, else nil.
func (l *lane) next() *post {
	now := l.s.parts.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.parked {
		if !p.at.After(now) {
			l.parked = append(l.parked[:i], l.parked[i+1:]...)
			return p
		}
	}
	if len(l.pending) == 0 || len(l.parked) >= maxParked {
		return nil
	}
	to := l.s.callbackOf(&l.pending[0])
	if to == nil {
		return nil
	}
	n := 1
	for n < len(l.pending) && n < l.s.opts.Webhooks.Batch && l.s.callbackOf(&l.pending[n]) == to {
		n++
	}
	p := &post{to: to, count: n, first: now, gap: l.s.opts.Webhooks.First}
	p.body = appendPost(make([]byte, 0, 256+n*420), l.pending[:n])
	for i := range l.pending[:n] {
		if w := l.pending[i].posted; w != nil {
			p.posted = append(p.posted, w)
		}
	}
	clear(l.pending[:n])
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil
	}
	return p
}

func (p *post) settle() {
	for _, w := range p.posted {
		w.done()
	}
	p.posted = nil
}

// settle records the outcome of a post and parks it when it failed.
func (l *lane) settle(p *post, err error) {
	c := &l.s.count
	now := l.s.parts.Clock.Now()
	if err == nil {
		c.posts.Add(1)
		c.updates.Add(int64(p.count))
		c.waiting.Add(-int64(p.count))
		p.settle()
		l.mu.Lock()
		for _, other := range l.parked {
			other.at = now // the callback works again
		}
		l.mu.Unlock()
		return
	}
	c.retries.Add(1)
	if now.Sub(p.first) >= l.s.opts.Webhooks.GiveUpIn {
		c.lost.Add(int64(p.count))
		c.waiting.Add(-int64(p.count))
		p.settle()
		return
	}
	l.s.parts.Log.Debug("webhook failed", "updates", p.count, "retry_in", p.gap, "error", err)
	p.at = now.Add(p.gap)
	l.s.parts.Clock.At(p.at, func(time.Time) { l.poke() })
	p.gap = min(2*p.gap, l.s.opts.Webhooks.Longest)
	l.mu.Lock()
	l.parked = append(l.parked, p)
	l.mu.Unlock()
}

// appendPost appends the envelope of several updates: statuses of one number
// share a change, everything of one account shares an entry.
func appendPost(b []byte, updates []update) []byte {
	b = append(b, `{"object":"whatsapp_business_account","entry":[`...)
	var entry *waba
	for i := 0; i < len(updates); {
		u := &updates[i]
		if w := u.account(); w != entry {
			if entry != nil {
				b = append(b, `]},`...)
			}
			entry = w
			b = append(b, `{"id":"`...)
			b = append(b, w.ID...)
			b = append(b, `","changes":[`...)
		} else {
			b = append(b, ',')
		}
		if u.raw != nil {
			b = append(b, u.raw...)
			i++
			continue
		}
		b = append(b, `{"value":{"messaging_product":"whatsapp",`...)
		b = u.n.appendMetadata(b)
		b = append(b, `,"statuses":[`...)
		for first := true; i < len(updates) && updates[i].raw == nil && updates[i].n == u.n; i++ {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = updates[i].appendStatus(b)
		}
		b = append(b, `]},"field":"messages"}`...)
	}
	return append(b, `]}]}`...)
}

func (n *number) appendMetadata(b []byte) []byte {
	b = append(b, `"metadata":{`...)
	b = appendMember(b, "display_phone_number", n.Display)
	b = appendMember(b, "phone_number_id", n.ID)
	return append(b, '}')
}

// callbackOf resolves where an update goes: the override of the number, then
// of the account, then the app's; what concerns the account goes to the app.
func (s *Server) callbackOf(u *update) *callback {
	if u.n != nil {
		if c := u.n.callback.Load(); c != nil {
			return c
		}
		if c := u.n.waba.callback.Load(); c != nil {
			return c
		}
	}
	return s.callback.Load()
}

var errNotOK = errors.New("the callback did not answer 2xx")

// send posts once.
func (s *Server) send(p *post) error {
	r, err := http.NewRequestWithContext(s.life, http.MethodPost, p.to.url, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "facebookexternalua")
	r.Header.Set("X-Hub-Signature-256", sign(s.opts.AppSecret, p.body))
	answer, err := s.opts.Client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%w: %d", errNotOK, answer.StatusCode)
	}
	return nil
}

// sign returns the X-Hub-Signature-256 of a body.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// ErrHandshake says that a callback did not return the challenge.
var ErrHandshake = errors.New("the callback did not return the challenge")

// SetCallback verifies a callback URL by the hub.challenge handshake and sends
// webhooks there from then on, those that wait included. An empty verifyToken
// means that of Options.
func (s *Server) SetCallback(ctx context.Context, to, verifyToken string) error {
	c, err := s.handshake(ctx, to, verifyToken)
	if err != nil {
		return err
	}
	s.callback.Store(c)
	s.pokeAll()
	return nil
}

func (s *Server) pokeAll() {
	for _, l := range s.lanes {
		l.poke()
	}
}

func (s *Server) handshake(ctx context.Context, to, verifyToken string) (*callback, error) {
	if verifyToken == "" {
		verifyToken = s.opts.VerifyToken
	}
	at, err := url.Parse(to)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("sandbox whatsapp: %q is no callback URL", to)
	}
	challenge := s.ids.object()
	q := at.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", challenge)
	q.Set("hub.verify_token", verifyToken)
	at.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.opts.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK || string(got) != challenge {
		return nil, fmt.Errorf("%w: status %d", ErrHandshake, answer.StatusCode)
	}
	return &callback{url: to}, nil
}
