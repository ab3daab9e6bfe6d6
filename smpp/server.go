package smpp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// ServerConfig says what kind of SMSC to be.
type ServerConfig struct {
	// SessionConfig is for every session.
	SessionConfig
	// SystemID is our name in bind responses.
	SystemID string
	// BindTimeout is how long a connection may stay without a bind. Default 10 s.
	BindTimeout time.Duration
	// MaxSessions caps connections; further ones are closed. Default 1000.
	MaxSessions int
	// MaxPerSystem caps bound sessions of one system_id; further binds get
	// 0x0D. 0 means no cap.
	MaxPerSystem int
	// Authenticate decides on a bind; anything but [StatusOK] refuses it and
	// closes. It runs in the session's own goroutine and may wait.
	Authenticate func(s *Session, mode Command, b *Bind) Status
	// Bound, if set, is called when the response to a successful bind is on
	// its way: from then on the session may be used. It must not wait.
	Bound func(s *Session)
}

// A Server is the SMSC's end: it accepts connections and serves sessions.
type Server struct{ in server }

// server is the part that sessions know.
type server struct {
	cfg ServerConfig

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*Session]struct{}
	bound     map[string]int
	running   sync.WaitGroup
}

// NewServer returns a server that serves nothing yet.
func NewServer(cfg ServerConfig) *Server {
	if cfg.BindTimeout <= 0 {
		cfg.BindTimeout = 10 * time.Second
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = 1000
	}
	return &Server{server{
		cfg:       cfg,
		listeners: map[net.Listener]struct{}{},
		sessions:  map[*Session]struct{}{},
		bound:     map[string]int{},
	}}
}

// Serve accepts connections until the listener fails or [Server.Close] is
// called, which makes it return nil. Give it a TLS listener to speak TLS.
func (s *Server) Serve(ln net.Listener) error {
	v := &s.in
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return errors.Join(ErrClosed, ln.Close())
	}
	v.listeners[ln] = struct{}{}
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.listeners, ln)
		v.mu.Unlock()
	}()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if v.isClosed() {
				return nil
			}
			var temporary net.Error
			if errors.As(err, &temporary) && temporary.Timeout() {
				continue
			}
			return err
		}
		s.ServeConn(conn)
	}
}

// ServeConn serves one connection that came by another way, and returns its
// session at once; nil if there is no room or the server is closed.
func (s *Server) ServeConn(conn net.Conn) *Session {
	v := &s.in
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || len(v.sessions) >= v.cfg.MaxSessions {
		_ = conn.Close()
		return nil
	}
	c := newSession(conn, v.cfg.SessionConfig)
	c.server = v
	v.sessions[c] = struct{}{}
	v.running.Go(func() {
		timer := time.AfterFunc(v.cfg.BindTimeout, func() {
			if c.Mode() == 0 {
				c.end(ErrBindTimeout)
			}
		})
		defer timer.Stop()
		defer v.forget(c)
		c.run()
	})
	return c
}

func (v *server) isClosed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closed
}

func (v *server) forget(c *Session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.sessions, c)
	if c.Mode() != 0 {
		v.leave(c.SystemID())
	}
}

// Sessions returns the sessions that are bound now.
func (s *Server) Sessions() []*Session {
	v := &s.in
	v.mu.Lock()
	defer v.mu.Unlock()
	var bound []*Session
	for c := range v.sessions {
		if c.Mode() != 0 {
			bound = append(bound, c)
		}
	}
	return bound
}

// Close stops accepting and closes every session as [Session.Close] does. It
// returns when all have ended.
func (s *Server) Close(ctx context.Context) error {
	v := &s.in
	v.mu.Lock()
	v.closed = true
	var errs []error
	for ln := range v.listeners {
		errs = append(errs, ln.Close())
	}
	for c := range v.sessions {
		v.running.Go(func() { _ = c.Close(ctx) })
	}
	v.mu.Unlock()
	v.running.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// bind handles the first bind of a session, in its reading goroutine.
func (v *server) bind(c *Session, p PDU, b []byte) {
	status := StatusInvalidBindState
	body, err := Decode(b)
	var bad *DecodeError
	switch m, ok := body.Body.(*Bind); {
	case errors.As(err, &bad):
		status = bad.Status
	case ok:
		clone := *m
		status = v.admit(c, p.Command, &clone)
		if status == StatusOK {
			v.welcome(c, p, &clone)
			return
		}
	}
	c.refuse(p, status)
	c.hangUp(ErrRefused)
}

// admit asks the application and counts the session in.
func (v *server) admit(c *Session, mode Command, m *Bind) Status {
	if v.cfg.Authenticate == nil {
		return StatusBindFailed
	}
	if status := v.cfg.Authenticate(c, mode, m); status != StatusOK {
		return status
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cfg.MaxPerSystem > 0 && v.bound[m.SystemID] >= v.cfg.MaxPerSystem {
		return StatusBindFailed
	}
	v.bound[m.SystemID]++
	return StatusOK
}

// leave wants v.mu.
func (v *server) leave(systemID string) {
	if v.bound[systemID]--; v.bound[systemID] <= 0 {
		delete(v.bound, systemID)
	}
}

// welcome answers a bind and opens the session for traffic. The response is
// gathered first: nothing may overtake it.
func (v *server) welcome(c *Session, p PDU, m *Bind) {
	resp := &BindResp{SystemID: v.cfg.SystemID}
	if m.InterfaceVersion >= Version34 {
		resp.TLVs = TLVs{TagSCInterfaceVersion.Uint8(Version34)}
	}
	c.mu.Lock()
	_ = c.gather(&PDU{Command: p.Command.Response(), Sequence: p.Sequence, Body: resp})
	c.mode, c.systemID, c.version = p.Command, m.SystemID, m.InterfaceVersion
	c.mu.Unlock()
	if v.cfg.Bound != nil {
		v.cfg.Bound(c)
	}
}
