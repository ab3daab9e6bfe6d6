package smpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons for which a session ends or a request stays unanswered, found with
// [errors.Is]. Anything else is the error of the network.
var (
	ErrClosed      = errors.New("smpp: session closed by this side")
	ErrUnbound     = errors.New("smpp: peer unbound")
	ErrTimeout     = errors.New("smpp: no response in time")
	ErrStalled     = errors.New("smpp: peer does not take our octets")
	ErrLinkDead    = errors.New("smpp: enquire_link not answered")
	ErrInactive    = errors.New("smpp: peer silent for too long")
	ErrBindTimeout = errors.New("smpp: peer did not bind in time")
	ErrRefused     = errors.New("smpp: bind refused")
	ErrAnswered    = errors.New("smpp: request already answered")
)

// An UnansweredError says that a request will get no response.
type UnansweredError struct {
	// Left is false when it is certain that no octet of the request was given
	// to the network. When true the peer may have acted on it: unknown.
	Left bool
	// Sequence of the request, 0 if it never got one. A late response
	// carries it to [SessionConfig.Stray].
	Sequence uint32
	Cause    error
}

func (e *UnansweredError) Error() string {
	if e.Left {
		return fmt.Sprintf("smpp: sent, fate unknown: %v", e.Cause)
	}
	return fmt.Sprintf("smpp: not sent: %v", e.Cause)
}

func (e *UnansweredError) Unwrap() error { return e.Cause }

// SessionConfig is what both ends of a link have to say about a session. The
// zero value of a number means its default.
type SessionConfig struct {
	// Window is how many of our requests may be outstanding. Default 10.
	Window int
	// InboundWindow is how many requests of the peer may wait for our answer
	// before further ones are refused: with 0x58 by an SMSC, 0x64 by an ESME.
	// Default 1000.
	InboundWindow int
	// ResponseTimeout is how long a response, or the peer's taking of our
	// octets, may take. Default 30 s; it is kept to within a tenth.
	ResponseTimeout time.Duration
	// EnquireInterval is the silence after which we send enquire_link. Default
	// 30 s; negative means never.
	EnquireInterval time.Duration
	// InactivityTimeout ends a session whose peer sends nothing. 0 means never.
	InactivityTimeout time.Duration
	// MaxPDU is the longest PDU taken. Default [DefaultMaxPDU].
	MaxPDU int

	// Handler gets every request of the peer that is legal in the state of the
	// session, except bind, unbind and enquire_link. It runs in the goroutine
	// that reads: it must not wait, but hand the request on; whoever has it
	// then calls [Request.Accept] or another answer, at any time and from any
	// goroutine. Without a Handler requests are refused with 0x64.
	Handler func(*Request)
	// Stray, if set, gets responses to no outstanding request: too late, or
	// never asked for. It must not wait.
	Stray func(*Session, Response)
	// Ended, if set, is called once when all callbacks of the session are done,
	// also for connections that never were bound.
	Ended func(s *Session, cause error)
	// Intercept, if set, sees every PDU of the peer first; when it returns true
	// nothing else happens to the PDU. raw is valid during the call. It is for
	// programs that play a misbehaving peer.
	Intercept func(s *Session, command Command, raw []byte) (taken bool)
	// Log gets one line per session that breaks. Default: none.
	Log *slog.Logger
}

func (c SessionConfig) withDefaults() SessionConfig {
	if c.Window <= 0 {
		c.Window = 10
	}
	if c.InboundWindow <= 0 {
		c.InboundWindow = 1000
	}
	if c.ResponseTimeout <= 0 {
		c.ResponseTimeout = 30 * time.Second
	}
	if c.EnquireInterval == 0 {
		c.EnquireInterval = 30 * time.Second
	}
	if c.MaxPDU <= 0 {
		c.MaxPDU = DefaultMaxPDU
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Session is one connection, seen from either end. All methods may be called
// from many goroutines.
//
// Three goroutines serve it: one reads and calls the callbacks, one writes
// whatever has gathered since its last write, one watches the time. [Session.Done]
// is closed when all three have stopped and every outstanding request has been
// told its fate.
type Session struct {
	conn   net.Conn
	cfg    SessionConfig
	server *server // nil on the ESME's side
	window chan struct{}

	closing chan struct{} // no new requests
	ending  chan struct{} // the connection is closed
	done    chan struct{}
	changed chan struct{} // something settled while closing
	threads sync.WaitGroup

	tick      atomic.Uint32 // counted by watch; all deadlines are in ticks
	lastRead  atomic.Uint32
	inbound   atomic.Int32 // requests of the peer we owe an answer
	enquiring atomic.Bool
	clock     clock

	mu       sync.Mutex
	wake     *sync.Cond
	out      []byte // gathered for the next write
	spare    []byte // the buffer of the last write
	queued   uint64 // octets ever put into out
	written  uint64 // octets the network has taken
	idle     bool   // the writer waits
	writing  bool
	since    uint32 // tick at which the write began
	hold     bool   // more requests are being read: do not wake the writer yet
	finish   bool   // flush, then close
	closed   bool   // closing is closed
	ended    bool   // ending is closed
	cause    error
	sequence uint32
	pending  map[uint32]pending
	mode     Command // the bind that succeeded, 0 before
	systemID string
	version  uint8
}

// pending is one of our requests that waits for its response.
type pending struct {
	command Command
	done    func(Response, error)
	start   uint64 // position in the stream of octets
	tick    uint32
	slot    bool // holds a place in the window
}

// clock is the configured durations in ticks.
type clock struct {
	every                         time.Duration
	response, enquire, inactivity uint32
}

func newClock(c SessionConfig) clock {
	every := min(c.ResponseTimeout/10, 500*time.Millisecond)
	if c.EnquireInterval > 0 {
		every = min(every, c.EnquireInterval/4)
	}
	if c.InactivityTimeout > 0 {
		every = min(every, c.InactivityTimeout/4)
	}
	k := clock{every: max(every, time.Millisecond)}
	k.response = k.ticks(c.ResponseTimeout)
	k.enquire = k.ticks(c.EnquireInterval)
	k.inactivity = k.ticks(c.InactivityTimeout)
	return k
}

func (k clock) ticks(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32((d + k.every - 1) / k.every)
}

func newSession(conn net.Conn, cfg SessionConfig) *Session {
	cfg = cfg.withDefaults()
	s := &Session{
		conn: conn, cfg: cfg, clock: newClock(cfg),
		window:  make(chan struct{}, cfg.Window),
		closing: make(chan struct{}), ending: make(chan struct{}),
		done: make(chan struct{}), changed: make(chan struct{}, 1),
		pending: make(map[uint32]pending, cfg.Window),
	}
	s.wake = sync.NewCond(&s.mu)
	return s
}

// run serves the session until it has ended.
func (s *Session) run() {
	s.threads.Go(s.writeLoop)
	s.threads.Go(s.watch)
	s.end(s.readLoop())
	s.threads.Wait()
	s.settle()
	cause := s.Err()
	if !errors.Is(cause, ErrClosed) && !errors.Is(cause, ErrUnbound) && !errors.Is(cause, io.EOF) {
		s.cfg.Log.Warn("smpp session broke", "system_id", s.SystemID(), "err", cause)
	}
	close(s.done)
	if s.cfg.Ended != nil {
		s.cfg.Ended(s, cause)
	}
}

// settle tells every outstanding request its fate. The writer has stopped.
func (s *Session) settle() {
	s.mu.Lock()
	left, cause, written := s.pending, s.cause, s.written
	s.pending = nil
	s.mu.Unlock()
	for seq, p := range left {
		p.done(Response{}, &UnansweredError{Left: p.start < written, Sequence: seq, Cause: cause})
	}
}

// end closes the connection; the first cause given is the one that is kept.
func (s *Session) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.refuseMore(cause)
	close(s.ending)
	s.wake.Broadcast()
	_ = s.conn.Close()
}

// refuseMore wants s.mu.
func (s *Session) refuseMore(cause error) {
	if s.cause == nil {
		s.cause = cause
	}
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
}

// lingerTime is how long a peer gets to read our last octets and hang up.
const lingerTime = 500 * time.Millisecond

// hangUp lets the writer flush what has gathered and then closes.
func (s *Session) hangUp(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseMore(cause)
	if s.ended || s.finish {
		return
	}
	s.finish = true
	s.wake.Broadcast()
	time.AfterFunc(lingerTime, func() { s.end(cause) })
}

// Close ends the session in good order: no new requests, wait for outstanding
// responses, unbind, wait until the handler's answers are out. When ctx is done
// it closes at once; outstanding requests then are told so. Each wait ends after
// the response timeout in any case. It returns when everything has stopped and
// may be called again.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	s.refuseMore(ErrClosed)
	bound := s.mode != 0
	s.mu.Unlock()
	if bound {
		s.waitUntil(ctx, func() bool { return len(s.pending) == 0 })
		answered := make(chan struct{})
		_, err := s.request(UnbindCommand, nil, false, func(Response, error) { close(answered) })
		if err == nil {
			select {
			case <-answered:
			case <-ctx.Done():
			}
			s.waitUntil(ctx, func() bool {
				return s.inbound.Load() <= 0 && len(s.out) == 0 && !s.writing
			})
		}
	}
	s.end(ErrClosed)
	<-s.done
	return ctx.Err()
}

// waitUntil waits for a condition on fields guarded by s.mu.
func (s *Session) waitUntil(ctx context.Context, ok func() bool) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ResponseTimeout+s.clock.every)
	defer cancel()
	for {
		s.mu.Lock()
		met := ok()
		s.mu.Unlock()
		if met {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		case <-s.ending:
			return
		}
	}
}

// note wakes a waiting Close. It wants s.mu only for the look at closed.
func (s *Session) note(closed bool) {
	if closed {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// Cut closes the connection without a word, on TCP with a reset.
func (s *Session) Cut() {
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	s.end(ErrClosed)
}

// Done is closed when the session has ended and every callback has run.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session ended or is about to; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// SystemID returns the name of the ESME on an SMSC's session, and of the SMSC
// on an ESME's; empty before the bind.
func (s *Session) SystemID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.systemID
}

// Mode returns the bind that succeeded, such as [BindTransceiver], or 0.
func (s *Session) Mode() Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// PeerVersion returns the interface_version the peer gave in the bind or its
// response, 0 if none. Peers below [Version34] want no TLVs.
func (s *Session) PeerVersion() uint8 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// RemoteAddr returns the peer's network address.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Outstanding returns how many of our requests wait for a response.
func (s *Session) Outstanding() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}
