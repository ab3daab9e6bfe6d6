package smpp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEnquireLink(t *testing.T) {
	asked := make(chan struct{}, 100)
	var silent atomic.Bool
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Intercept: func(_ *Session, c Command, _ []byte) bool {
		if c == EnquireLink {
			asked <- struct{}{}
			return silent.Load()
		}
		return false
	}}})
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{
		ResponseTimeout: 20 * time.Millisecond, EnquireInterval: 10 * time.Millisecond,
	}})
	for range 3 {
		await(t, asked)
	}
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	silent.Store(true)
	await(t, c.Done())
	if !errors.Is(c.Err(), ErrLinkDead) {
		t.Error(c.Err())
	}
}

func TestCloseWaitsForAnswers(t *testing.T) {
	reqs := make(chan *Request, 1)
	ended := make(chan error, 1)
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{
		Handler: func(r *Request) { reqs <- r },
		Ended:   func(_ *Session, err error) { ended <- err },
	}})
	c := dial(t, addr, ClientConfig{})
	answers := make(chan result, 1)
	if err := c.Submit(t.Context(), hello(), into(answers)); err != nil {
		t.Fatal(err)
	}
	req := await(t, reqs)
	closed := make(chan error, 1)
	go func() { closed <- c.Close(context.Background()) }()
	await(t, c.closing)
	req.Accept("1")
	if err := await(t, closed); err != nil {
		t.Error(err)
	}
	if a := await(t, answers); a.err != nil || a.r.MessageID != "1" {
		t.Errorf("%+v", a)
	}
	if err := await(t, ended); !errors.Is(err, ErrUnbound) {
		t.Errorf("server session ended: %v", err)
	}
	if !errors.Is(c.Err(), ErrClosed) {
		t.Error(c.Err())
	}
}

func TestServerUnbinds(t *testing.T) {
	srv, addr := smsc(t, ServerConfig{})
	c := dial(t, addr, ClientConfig{})
	answers := make(chan result, 1)
	if err := srv.Sessions()[0].Unbind(into(answers)); err != nil {
		t.Fatal(err)
	}
	if a := await(t, answers); a.err != nil || a.r.Command != UnbindResp {
		t.Errorf("%+v", a)
	}
	await(t, c.Done())
	if !errors.Is(c.Err(), ErrUnbound) {
		t.Error(c.Err())
	}
}

func TestBindRefused(t *testing.T) {
	_, addr := smsc(t, ServerConfig{
		MaxPerSystem: 1,
		Authenticate: func(_ *Session, mode Command, b *Bind) Status {
			if b.Password != "secret" {
				return StatusInvalidPassword
			}
			return StatusOK
		},
	})
	_, err := Dial(t.Context(), ClientConfig{Addr: addr, Bind: Bind{SystemID: "a", Password: "no"}})
	var refused *StatusError
	if !errors.As(err, &refused) || refused.Status != StatusInvalidPassword {
		t.Fatal(err)
	}
	first := dial(t, addr, ClientConfig{})
	_, err = Dial(t.Context(), ClientConfig{Addr: addr, Bind: Bind{SystemID: "esme01", Password: "secret"}})
	if !errors.As(err, &refused) || refused.Status != StatusBindFailed {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestBindDeadlines(t *testing.T) {
	ended := make(chan error, 1)
	_, addr := smsc(t, ServerConfig{
		BindTimeout:   20 * time.Millisecond,
		SessionConfig: SessionConfig{Ended: func(_ *Session, err error) { ended <- err }},
	})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := await(t, ended); !errors.Is(err, ErrBindTimeout) {
		t.Error(err)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Dial(t.Context(), ClientConfig{Addr: ln.Addr().String(), BindTimeout: 20 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestInactivityAndCaps(t *testing.T) {
	ended := make(chan error, 2)
	_, addr := smsc(t, ServerConfig{
		MaxSessions: 1,
		SessionConfig: SessionConfig{
			EnquireInterval: -1, InactivityTimeout: 40 * time.Millisecond,
			Ended: func(_ *Session, err error) { ended <- err },
		},
	})
	c := dial(t, addr, ClientConfig{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("second connection: %v", err)
	}
	if err := await(t, ended); !errors.Is(err, ErrInactive) {
		t.Error(err)
	}
	await(t, c.Done())
}

func TestManySubmittersUnderLoad(t *testing.T) {
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) {
		if r.Sequence%7 == 0 {
			go r.Refuse(StatusThrottled)
			return
		}
		r.Accept("id")
	}}})
	c := dial(t, addr, ClientConfig{SessionConfig: SessionConfig{Window: 50}})
	const submitters, each = 8, 500
	var ok, throttled atomic.Int64
	var wg sync.WaitGroup
	wg.Add(submitters * each)
	for range submitters {
		go func() {
			for range each {
				err := c.Submit(context.Background(), hello(), func(r Response, err error) {
					switch {
					case err != nil:
						t.Error(err)
					case r.Status == StatusThrottled:
						throttled.Add(1)
					case r.MessageID == "id":
						ok.Add(1)
					}
					wg.Done()
				})
				if err != nil {
					t.Error(err)
					wg.Done()
				}
			}
		}()
	}
	wg.Wait()
	if ok.Load()+throttled.Load() != submitters*each || throttled.Load() == 0 {
		t.Errorf("%d accepted, %d throttled", ok.Load(), throttled.Load())
	}
	if n := c.Outstanding(); n > 1 { // an enquire_link may be on its way
		t.Errorf("%d outstanding", n)
	}
}
