package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/channel"
)

// maxAnswer bounds what we read of an API answer: a page of templates is the
// largest and stays far below.
const maxAnswer = 8 << 20

// A Client makes authorised calls to one Graph host.
type Client struct {
	HTTP  *http.Client
	Base  string // https://graph.facebook.com/v24.0, without a slash at the end
	Token channel.Secret
}

// NewHTTP gives the HTTP client for a Graph host. A house client is used as it
// is, only without redirects; without one we make our own, tuned for one busy
// host: many kept connections, idle ones dropped before the provider does.
func NewHTTP(house *http.Client, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if house != nil {
		own := *house
		own.CheckRedirect = stay
		return &own
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Client{
		CheckRedirect: stay,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dial,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          512,
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       50 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 60 * time.Second,
			DisableCompression:    true,
		},
	}
}

// A Reply is what came back from one call.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// A CallError is a call without a whole answer.
type CallError struct {
	Written bool // bytes of the request may have reached the provider
	Status  int  // of an answer whose body was cut; 0 = no answer
	Err     error
}

// Error implements error. The URL is left out.
func (e *CallError) Error() string {
	if e.Written {
		return fmt.Sprintf("call broken off after the request was written: %v", e.Err)
	}
	return fmt.Sprintf("call failed before the request was written: %v", e.Err)
}

// Unwrap gives the cause.
func (e *CallError) Unwrap() error { return e.Err }

// A claim says who owns the question whether a body was sent: the transport by
// reading it, or the caller by sealing it. One of them is first, and only one,
// so that a transport still at work after the call has failed can send nothing.
type claim struct{ state atomic.Int32 }

const (
	unread int32 = iota
	begun
	sealed
)

var errSealed = errors.New("the call has ended")

// begin is called by the transport; false once the caller gave up.
func (c *claim) begin() bool { return c.state.CompareAndSwap(unread, begun) || c.state.Load() == begun }

// seal is called when the call failed; true when nothing was or will be sent.
func (c *claim) seal() bool { return c.state.CompareAndSwap(unread, sealed) }

// payload is a request body that knows whether the transport began to read it.
// The transport reads it only once it has a connection, so an unread payload
// is the proof that nothing left. (httptrace tells less: its hooks may run
// after the call has returned.)
type payload struct {
	data  []byte
	pos   int
	claim *claim
}

func (p *payload) Read(b []byte) (int, error) {
	if !p.claim.begin() {
		return 0, errSealed
	}
	if p.pos >= len(p.data) {
		return 0, io.EOF
	}
	n := copy(b, p.data[p.pos:])
	p.pos += n
	return n, nil
}

func (p *payload) Close() error { return nil }

// URL parses a path below the base.
func (c *Client) URL(path string) (*url.URL, error) { return url.Parse(c.Base + path) }

// Do makes one call and reads the whole answer. The body must not be changed
// afterwards: the transport may still read it. It fails with *CallError.
func (c *Client) Do(ctx context.Context, method string, u *url.URL, contentType string, body []byte) (Reply, error) {
	var sent claim
	req := c.request(ctx, method, u, contentType)
	if body == nil {
		sent.begin() // a call without a body is told by its headers alone
	} else {
		req.ContentLength = int64(len(body))
		req.Body = &payload{data: body, claim: &sent}
		req.GetBody = func() (io.ReadCloser, error) { return &payload{data: body, claim: &sent}, nil }
	}
	return c.do(req, &sent)
}

// Stream is Do with a body that is read as it goes out; size is in bytes, -1
// when it is not known. The body is read once: a call that finds its connection
// gone is not made again.
func (c *Client) Stream(ctx context.Context, method string, u *url.URL, contentType string, body io.Reader, size int64) (Reply, error) {
	var sent claim
	req := c.request(ctx, method, u, contentType)
	req.ContentLength, req.Body = size, &stream{Reader: body, claim: &sent}
	return c.do(req, &sent)
}

// stream is a payload that comes from elsewhere.
type stream struct {
	io.Reader
	claim *claim
}

func (s *stream) Read(b []byte) (int, error) {
	if !s.claim.begin() {
		return 0, errSealed
	}
	return s.Reader.Read(b)
}

func (s *stream) Close() error { return nil }

func (c *Client) do(req *http.Request, sent *claim) (Reply, error) {
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Reply{}, &CallError{Written: !sent.seal(), Err: plainError(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	reply := Reply{Status: resp.StatusCode, Header: resp.Header}
	reply.Body, err = readAll(resp)
	if err != nil {
		return reply, &CallError{Written: true, Status: resp.StatusCode, Err: err}
	}
	return reply, nil
}

// Open makes a GET and leaves the body to the caller, who closes it. u may lie
// outside the base; it must be a trusted host, since the token goes with it.
func (c *Client) Open(ctx context.Context, u *url.URL) (*http.Response, error) {
	resp, err := c.HTTP.Do(c.request(ctx, http.MethodGet, u, ""))
	if err != nil {
		return nil, &CallError{Err: plainError(err)}
	}
	return resp, nil
}

// request gives a request with everything but a body.
func (c *Client) request(ctx context.Context, method string, u *url.URL, contentType string) *http.Request {
	req := (&http.Request{
		Method: method, URL: u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 3),
	}).WithContext(ctx)
	req.Header["Authorization"] = []string{"Bearer " + c.Token.Reveal()}
	req.Header["User-Agent"] = []string{"parley"}
	if contentType != "" {
		req.Header["Content-Type"] = []string{contentType}
	}
	return req
}

func readAll(resp *http.Response) ([]byte, error) {
	size := 512
	if n := resp.ContentLength; n >= 0 && n < 64<<10 {
		size = int(n) + 1
	}
	b := make([]byte, 0, size)
	for {
		n, err := resp.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, plainError(err)
		}
		if len(b) > maxAnswer {
			return b, errors.New("the answer is too large")
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

// plainError drops the URL, whose query may hold ids.
func plainError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
