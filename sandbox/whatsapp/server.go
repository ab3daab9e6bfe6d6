// Package whatsapp plays Meta's WhatsApp Cloud API: the Graph calls under
// /vNN.N, and the webhooks Meta sends, over real HTTP and in Meta's own
// escaping, signed.
//
// It is written from Meta's documentation (wire facts, sections 1 and 2, and
// the repaired v23 schema) and shares no code with an adapter. It does not
// fetch linked media and does not play groups, calls or flows beyond their
// send bodies. Start with Server; send.go is the way of a message, dispatch.go
// the way of a webhook.
package whatsapp

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
)

// Account is one WhatsApp Business Account with its numbers.
type Account struct {
	ID      string   `json:"id"`
	Numbers []Number `json:"numbers"`
}

// Number is one business phone number.
type Number struct {
	ID      string `json:"id"`      // phone_number_id, the P of the paths
	Display string `json:"display"` // digits with country code
	Name    string `json:"name"`    // verified_name
}

// Options configures a Server. Accounts may be left empty: DefaultAccounts is
// used then.
type Options struct {
	Accounts    []Account
	Token       string // the access token; empty means "sandbox-token"
	AppSecret   string // signs the webhooks; empty means "sandbox-secret"
	VerifyToken string // for the hub.challenge handshake; empty means "sandbox-verify"
	Templates   []Template
	Review      time.Duration // how long a new template stays PENDING

	// IgnoreWindow lets free-form messages through at any time, for load tests.
	IgnoreWindow bool
	// PairLimit switches the limit per person on: one message each 6 s, bursts
	// of 45 (131056).
	PairLimit bool
	// Throughput is the limit per number in messages a second (130429); 0 means
	// none.
	Throughput int

	Webhooks Webhooks
	Hang     time.Duration // how long a hanging answer is held; 0 means 5 min
	Client   *http.Client  // posts the webhooks; nil means one with a 30 s timeout
}

// Webhooks tunes how webhooks are sent. The zero value is what Meta does,
// faster where a test would not want to wait.
type Webhooks struct {
	Lanes    int           // posts in flight at once; a person always uses the same lane; 0 means 4
	Batch    int           // most updates in one post; 0 means 1,000
	Queue    int           // most updates waiting; beyond it the oldest of a lane are dropped; 0 means 500,000
	Pace     time.Duration // least time between two posts of a lane; 0 means 2 ms
	First    time.Duration // gap before the first retry, doubling; 0 means 1 s
	Longest  time.Duration // longest gap; 0 means 10 min
	GiveUpIn time.Duration // after this an update is lost; 0 means 7 days
}

// The defaults of Options.
const (
	DefaultToken       = "sandbox-token"
	DefaultAppSecret   = "sandbox-secret"
	DefaultVerifyToken = "sandbox-verify"
	DefaultWABA        = "102290129340398"
	DefaultNumber      = "106540352242922"
	DefaultDisplay     = "15550783881"
)

// DefaultAccounts returns the account a Server has when Options names none.
func DefaultAccounts() []Account {
	return []Account{{ID: DefaultWABA, Numbers: []Number{{ID: DefaultNumber, Display: DefaultDisplay, Name: "Parley Sandbox"}}}}
}

// Parts are what a Server shares with the other pretend providers.
type Parts struct {
	Clock   *clock.Clock
	Fleet   *handset.Fleet
	Faults  *fault.Book
	Journal *journal.Journal
	Log     *slog.Logger
	Seed    uint64
}

// Stats counts what happened since the start or the last reset.
type Stats struct {
	Requests  int64 `json:"requests"` // send calls received
	Accepted  int64 `json:"accepted"`
	Refused   int64 `json:"refused"`
	Delivered int64 `json:"delivered"`
	Read      int64 `json:"read"`
	Failed    int64 `json:"failed"`
	Expired   int64 `json:"expired"`
	Inbound   int64 `json:"inbound"`
	Posts     int64 `json:"webhook_posts"`   // successful
	Updates   int64 `json:"webhook_updates"` // in successful posts
	Retries   int64 `json:"webhook_retries"` // posts that failed
	Lost      int64 `json:"webhook_lost"`    // updates given up or dropped
	Waiting   int64 `json:"webhook_waiting"` // updates not yet posted
}

type counters struct {
	requests, accepted, refused, delivered, read, failed, expired, inbound atomic.Int64
	posts, updates, retries, lost, waiting                                 atomic.Int64
}

// waba is an account at work.
type waba struct {
	ID       string
	numbers  []*number
	callback atomic.Pointer[callback] // override of the account
	silent   atomic.Bool              // unsubscribed
}

// number is a business number at work.
type number struct {
	Number
	waba     *waba
	callback atomic.Pointer[callback] // override of the number
	pace     bucket
	client   atomic.Pointer[rsa.PublicKey] // the business's key, while payloads are encrypted
	cloud    func() (*rsa.PrivateKey, error)
	standing atomic.Pointer[Standing]
}

// Server is the pretend Cloud API. It is an http.Handler; Close ends its
// webhooks.
type Server struct {
	opts      Options
	parts     Parts
	numbers   map[string]*number
	wabas     map[string]*waba
	first     *waba
	templates templateTable
	media     mediaStore
	pairs     pairs
	ids       idSource
	lanes     []*lane
	callback  atomic.Pointer[callback]
	token     atomic.Pointer[string]
	count     counters
	busy      sync.RWMutex // read-held from an answer until its message has started

	life context.Context // ends with Close; it carries the posts of the lanes
	end  context.CancelFunc
	quit <-chan struct{} // life's
	work sync.WaitGroup
}

// New returns a Server whose webhooks wait until SetCallback succeeds.
func New(o Options, p Parts) (*Server, error) {
	o.fill()
	s := &Server{opts: o, parts: p, numbers: map[string]*number{}, wabas: map[string]*waba{}}
	for _, a := range o.Accounts {
		w := &waba{ID: a.ID}
		if s.first == nil {
			s.first = w
		}
		s.wabas[a.ID] = w
		for _, n := range a.Numbers {
			if s.numbers[n.ID] != nil {
				return nil, fmt.Errorf("sandbox whatsapp: number %s is there twice", n.ID)
			}
			at := &number{Number: n, waba: w, cloud: sync.OnceValues(newCloudKey)}
			w.numbers = append(w.numbers, at)
			s.numbers[n.ID] = at
		}
	}
	if len(s.numbers) == 0 {
		return nil, errors.New("sandbox whatsapp: no number")
	}
	for _, t := range append(DefaultTemplates(), o.Templates...) {
		if t.WABA == "" {
			t.WABA = s.first.ID
		}
		if _, err := s.templates.put(t); err != nil {
			return nil, err
		}
	}
	s.ids.seed(p.Seed, p.Clock.Now())
	s.token.Store(&o.Token)
	s.life, s.end = context.WithCancel(context.Background())
	s.quit = s.life.Done()
	for range o.Webhooks.Lanes {
		s.lanes = append(s.lanes, newLane(s))
	}
	return s, nil
}

func (o *Options) fill() {
	if len(o.Accounts) == 0 {
		o.Accounts = DefaultAccounts()
	}
	orText(&o.Token, DefaultToken)
	orText(&o.AppSecret, DefaultAppSecret)
	orText(&o.VerifyToken, DefaultVerifyToken)
	w := &o.Webhooks
	or(&w.Lanes, 4)
	or(&w.Batch, 1000)
	or(&w.Queue, 500_000)
	or(&w.Pace, 2*time.Millisecond)
	or(&w.First, time.Second)
	or(&w.Longest, 10*time.Minute)
	or(&w.GiveUpIn, 7*24*time.Hour)
	or(&o.Hang, 5*time.Minute)
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * w.Lanes}}
	}
}

func or[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

func orText(v *string, otherwise string) {
	if *v == "" {
		*v = otherwise
	}
}

// Close ends the webhooks and every held answer, and returns when they have
// ended. What waits is not sent. It is harmless twice.
func (s *Server) Close() {
	s.end()
	s.work.Wait()
	s.opts.Client.CloseIdleConnections()
}

// SetToken replaces the access token: the old one is refused with 190 from now
// on.
func (s *Server) SetToken(token string) { s.token.Store(&token) }

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		c.requests.Load(), c.accepted.Load(), c.refused.Load(), c.delivered.Load(), c.read.Load(), c.failed.Load(),
		c.expired.Load(), c.inbound.Load(), c.posts.Load(), c.updates.Load(), c.retries.Load(), c.lost.Load(), max(0, c.waiting.Load()),
	}
}

// Reset forgets waiting webhooks, media, limits and counters. Templates and
// callbacks stay.
func (s *Server) Reset() {
	for _, l := range s.lanes {
		l.reset()
	}
	s.media.reset()
	s.pairs.reset()
	c := &s.count
	for _, n := range []*atomic.Int64{
		&c.requests, &c.accepted, &c.refused, &c.delivered, &c.read, &c.failed, &c.expired,
		&c.inbound, &c.posts, &c.updates, &c.retries, &c.lost, &c.waiting,
	} {
		n.Store(0)
	}
}

// ServeHTTP answers one Graph call. The token is judged before the path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		s.fail(w, refuse(190, ""))
		return
	}
	version, rest := splitVersion(r.URL.Path)
	node, edge, _ := strings.Cut(rest, "/")
	if n := s.numbers[node]; n != nil {
		s.serveNumber(w, r, n, edge, version)
		return
	}
	if b := s.wabas[node]; b != nil {
		s.serveWABA(w, r, b, edge)
		return
	}
	switch {
	case node == "sandbox-media":
		s.download(w, r, edge)
	case edge == "" && s.serveMedia(w, r, node):
	case edge == "" && s.serveTemplate(w, r, node):
	default:
		s.fail(w, &refusal{code: 100, subcode: 33, details: "Unsupported " + strings.ToLower(r.Method) +
			" request. Object with this id does not exist, cannot be loaded due to missing permissions, or does not support this operation."})
	}
}

func (s *Server) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok && r.URL.RawQuery != "" {
		token = r.URL.Query().Get("access_token")
	}
	return token == *s.token.Load()
}

// splitVersion takes /v23.0/ off a path; version is 23, or 0 when the path has
// none.
func splitVersion(path string) (version int, rest string) {
	path = strings.TrimPrefix(path, "/")
	head, tail, ok := strings.Cut(path, "/")
	if !ok || len(head) < 2 || head[0] != 'v' {
		return 0, path
	}
	for i := 1; i < len(head) && head[i] != '.'; i++ {
		if head[i] < '0' || head[i] > '9' || version > 999 {
			return 0, path
		}
		version = version*10 + int(head[i]-'0')
	}
	return version, tail
}

func (s *Server) fail(w http.ResponseWriter, e *refusal) {
	reply(w, textOf(e.code).status, e.appendBody(nil, s.ids.trace()))
}

var jsonType = []string{"application/json; charset=UTF-8"}

// reply writes a whole JSON answer and pushes it out, so that whatever is done
// next happens after it.
func reply(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{itoa(len(body))}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return // the caller is gone: it will ask again
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
