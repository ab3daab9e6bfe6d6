// Package smsc plays an operator's short message centre: it takes submit_sm
// over SMPP, brings messages to handsets, and sends receipts and the messages
// of people as deliver_sm.
//
// The wire is the package smpp; characters and parts are done here, by own
// tables, as an operator would. It does not do data_sm, query_sm, cancel_sm,
// replace_sm or national language tables. Start with Server; submit.go is the
// way of a message, outbox.go the way back.
package smsc

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/smpp"
)

// Account is one customer of the operator.
type Account struct {
	SystemID string `json:"system_id"`
	Password string `json:"password"`
	// Senders are the source addresses the customer may use; others are
	// refused with 0x0A. Empty means any. People's messages to one of them
	// come to this account.
	Senders  []string `json:"senders,omitempty"`
	MaxBinds int      `json:"max_binds,omitempty"` // further binds get 0x0D; 0 means no cap
}

// The account a Server has when Options names none.
const (
	DefaultSystemID = "parley"
	DefaultPassword = "sandbox"
)

// IDStyle is how message ids are spelt in answers and in receipts.
type IDStyle string

// The styles; operators differ (wire facts, section 5.4).
const (
	Hex        IDStyle = "hex"         // lower-case hex in both; the default
	Decimal    IDStyle = "decimal"     // decimal in both
	HexDecimal IDStyle = "hex_decimal" // hex in the answer, decimal in the receipt
	UpperHex   IDStyle = "upper_hex"   // lower-case in the answer, upper-case and zero-padded in the receipt
)

// ReceiptStyle is where a receipt says what it says.
type ReceiptStyle string

// The styles.
const (
	TextAndTLV ReceiptStyle = "both" // the default
	TextOnly   ReceiptStyle = "text"
	TLVOnly    ReceiptStyle = "tlv"
)

// Options configures a Server.
type Options struct {
	Accounts   []Account // empty means one, parley with the password sandbox
	IDs        IDStyle
	Receipts   ReceiptStyle
	Throughput int // submits a second per account before 0x58; 0 means no limit
	Window     int // deliver_sm outstanding per bind; 0 means 100
	Queue      int // deliver_sm waiting per account; beyond it the oldest are dropped; 0 means 500,000
	// ResponseTimeout is how long a deliver_sm_resp may take; 0 means 30 s.
	ResponseTimeout time.Duration
	// EnquireInterval is the silence after which enquire_link is sent; 0 means
	// 30 s, negative never.
	EnquireInterval time.Duration
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
	Submits   int64 `json:"submits"` // submit_sm received, parts counted one by one
	Accepted  int64 `json:"accepted"`
	Refused   int64 `json:"refused"`
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`
	Expired   int64 `json:"expired"`
	Inbound   int64 `json:"inbound"`  // parts written by people
	Reports   int64 `json:"reports"`  // deliver_sm acknowledged
	Retries   int64 `json:"retries"`  // deliver_sm refused or unanswered, to be sent again
	Lost      int64 `json:"lost"`     // deliver_sm given up
	Waiting   int64 `json:"waiting"`  // deliver_sm not yet acknowledged
	Sessions  int   `json:"sessions"` // bound now
	// Bound is how many of them each system_id has.
	Bound map[string]int `json:"bound"`
}

type counters struct {
	submits, accepted, refused, delivered, failed, expired, inbound, reports, retries, lost, waiting atomic.Int64
}

// Server is the pretend SMSC.
type Server struct {
	opts     Options
	parts    Parts
	smpp     *smpp.Server
	accounts map[string]*account
	order    []*account
	nextID   atomic.Uint64
	long     assembly
	count    counters
	busy     sync.RWMutex // read-held from an answer until its message has started

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup
}

// account is a customer at work.
type account struct {
	Account
	outbox *outbox
	pace   bucket
}

// New returns a Server that serves nothing yet.
func New(o Options, p Parts) *Server {
	if len(o.Accounts) == 0 {
		o.Accounts = []Account{{SystemID: DefaultSystemID, Password: DefaultPassword}}
	}
	if o.Window == 0 {
		o.Window = 100
	}
	if o.Queue == 0 {
		o.Queue = 500_000
	}
	s := &Server{opts: o, parts: p, accounts: map[string]*account{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.nextID.Store(mix(p.Seed^uint64(p.Clock.Now().UnixNano())) >> 24)
	for _, a := range o.Accounts {
		at := &account{Account: a, outbox: newOutbox(s)}
		s.accounts[a.SystemID] = at
		s.order = append(s.order, at)
		s.work.Go(at.outbox.loop)
	}
	s.smpp = smpp.NewServer(smpp.ServerConfig{
		SessionConfig: smpp.SessionConfig{
			Window: o.Window, ResponseTimeout: o.ResponseTimeout, EnquireInterval: o.EnquireInterval,
			Handler: s.handle, Ended: s.left, Log: p.Log,
		},
		SystemID:     "sandbox",
		Authenticate: s.authenticate,
		Bound:        s.joined,
	})
	return s
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Serve accepts binds until the listener fails or Close is called.
func (s *Server) Serve(ln net.Listener) error { return s.smpp.Serve(ln) }

// Close unbinds every session and returns when all has ended. What waits is
// not sent. It is harmless twice.
func (s *Server) Close(ctx context.Context) error {
	s.end()
	err := s.smpp.Close(ctx)
	s.work.Wait()
	return err
}

// Settle returns when every message whose answer is out is on its way. Call it
// before the clock is advanced: what was accepted before must not start after.
func (s *Server) Settle() {
	s.busy.Lock()
	defer s.busy.Unlock()
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	sessions := s.smpp.Sessions()
	bound := make(map[string]int)
	for _, session := range sessions {
		bound[session.SystemID()]++
	}
	return Stats{
		c.submits.Load(), c.accepted.Load(), c.refused.Load(), c.delivered.Load(), c.failed.Load(), c.expired.Load(),
		c.inbound.Load(), c.reports.Load(), c.retries.Load(), c.lost.Load(), max(0, c.waiting.Load()), len(sessions), bound,
	}
}

// Reset forgets waiting deliver_sm, unfinished long messages and counters.
func (s *Server) Reset() {
	for _, a := range s.order {
		a.outbox.reset()
	}
	s.long.reset()
	c := &s.count
	for _, n := range []*atomic.Int64{
		&c.submits, &c.accepted, &c.refused, &c.delivered, &c.failed, &c.expired, &c.inbound,
		&c.reports, &c.retries, &c.lost, &c.waiting,
	} {
		n.Store(0)
	}
}

// DropLinks cuts every bind of a system_id (of all when it is empty) without a
// word, and returns how many there were.
func (s *Server) DropLinks(systemID string) int {
	n := 0
	for _, session := range s.smpp.Sessions() {
		if systemID == "" || session.SystemID() == systemID {
			session.Cut()
			n++
		}
	}
	return n
}

// Unbind makes the SMSC leave every bind of a system_id (of all when it is
// empty) in good order, and returns how many there were.
func (s *Server) Unbind(ctx context.Context, systemID string) int {
	n := 0
	for _, session := range s.smpp.Sessions() {
		if systemID == "" || session.SystemID() == systemID {
			if err := session.Close(ctx); err != nil {
				s.parts.Log.Debug("unbind", "error", err)
			}
			n++
		}
	}
	return n
}

func (s *Server) authenticate(_ *smpp.Session, _ smpp.Command, b *smpp.Bind) smpp.Status {
	a := s.accounts[b.SystemID]
	switch {
	case a == nil:
		return smpp.StatusInvalidSystemID
	case subtle.ConstantTimeCompare([]byte(a.Password), []byte(b.Password)) != 1:
		return smpp.StatusInvalidPassword
	case a.MaxBinds > 0 && a.outbox.binds.Load() >= int64(a.MaxBinds):
		return smpp.StatusBindFailed
	}
	return smpp.StatusOK
}

func (s *Server) joined(session *smpp.Session) {
	if a := s.accounts[session.SystemID()]; a != nil {
		a.outbox.join(session)
	}
}

func (s *Server) left(session *smpp.Session, _ error) {
	if a := s.accounts[session.SystemID()]; a != nil {
		a.outbox.leave(session)
	}
}

// owner returns the account that people's messages to an address belong to.
func (s *Server) owner(address string) *account {
	for _, a := range s.order {
		if slices.Contains(a.Senders, address) {
			return a
		}
	}
	return s.order[0]
}

// bucket is a token bucket of one second.
type bucket struct {
	mu   sync.Mutex
	full time.Time
}

func (b *bucket) take(now time.Time, rate int) bool {
	if rate <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now) {
		b.full = now
	}
	next := b.full.Add(time.Second / time.Duration(rate))
	if next.Sub(now) > time.Second {
		return false
	}
	b.full = next
	return true
}
