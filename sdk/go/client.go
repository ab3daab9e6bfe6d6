package parley

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Client talks to one Parley server with one API key. It is safe for
// concurrent use.
type Client struct {
	base    string
	key     string
	http    *http.Client
	retries int
	agent   string
	wait    func(context.Context, time.Duration) error

	Messages      *Messages
	Contacts      *Contacts
	Conversations *Conversations
	Senders       *Senders
	Connectors    *Connectors
	Templates     *Templates
	Webhooks      *Webhooks
	Events        *Events
	Files         *Files
	Workspace     *Workspace
}

// An Option changes how a Client works.
type Option func(*Client)

// WithHTTPClient makes the client use h instead of one with a timeout of 30
// seconds. Streams need a client without a timeout; a copy of h without it is
// used for them.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithRetries sets how often a call is repeated after a failure that may pass;
// 4 if not set, 0 for never.
func WithRetries(n int) Option { return func(c *Client) { c.retries = n } }

// WithUserAgent sets the User-Agent header.
func WithUserAgent(s string) Option { return func(c *Client) { c.agent = s } }

// New makes a client of the server at base, such as
// "https://parley.example.com", with an API key.
func New(base, key string, options ...Option) *Client {
	c := &Client{
		base: strings.TrimSuffix(base, "/"), key: key, retries: 4, agent: "parley-go/1",
		http: &http.Client{Timeout: 30 * time.Second}, wait: sleep,
	}
	for _, o := range options {
		o(c)
	}
	c.Messages = &Messages{c}
	c.Contacts = &Contacts{c}
	c.Conversations = &Conversations{c}
	c.Senders = &Senders{c}
	c.Connectors = &Connectors{c}
	c.Templates = &Templates{c}
	c.Webhooks = &Webhooks{c}
	c.Events = &Events{c}
	c.Files = &Files{c}
	c.Workspace = &Workspace{c}
	return c
}

// An Error is what the server answered instead of what was asked for. Act on
// Code, which is stable; Detail and Remedy are for people.
type Error struct {
	Status     int           `json:"status"`
	Code       string        `json:"code"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	Field      string        `json:"field"`
	Remedy     string        `json:"remedy"`
	RequestID  string        `json:"request_id"`
	Type       string        `json:"type"`
	Errors     []FieldFault  `json:"errors"`
	RetryAfter time.Duration `json:"-"` // 0 = the server named no time
}

// A FieldFault is one of several faults of a request.
type FieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error implements error.
func (e *Error) Error() string {
	s := "parley: " + e.Code
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Temporary reports whether the same call may work later.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500 || e.Status == http.StatusRequestTimeout
}

// IsCode reports whether err is an [Error] with this code.
func IsCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

type call struct {
	method, path string
	query        url.Values
	body         any
	key          string // idempotency key
	safe         bool   // may be repeated after a failure that left the outcome open
}

// do makes a call, repeating it where that is safe, and decodes the answer
// into out unless that is nil.
func (c *Client) do(ctx context.Context, in call, out any) error {
	var body []byte
	if in.body != nil {
		var err error
		if body, err = json.Marshal(in.body); err != nil {
			return fmt.Errorf("parley: encoding the request: %w", err)
		}
	}
	in.safe = in.safe || in.key != "" || in.method != http.MethodPost
	for try := 0; ; try++ {
		err := c.once(ctx, in, body, out)
		if err == nil || try >= c.retries || ctx.Err() != nil {
			return err
		}
		pause, again := in.pause(err, try)
		if !again {
			return err
		}
		if c.wait(ctx, pause) != nil {
			return err
		}
	}
}

// pause says how long to wait before the call is repeated, if it may be.
func (in call) pause(err error, try int) (time.Duration, bool) {
	backoff := min(200*time.Millisecond<<try, 10*time.Second)
	pause := backoff/2 + mathrand.N(backoff)
	var e *Error
	if !errors.As(err, &e) {
		return pause, in.safe // the connection broke: nobody knows
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
	case e.Temporary() && in.safe:
	default:
		return 0, false
	}
	if e.RetryAfter > time.Minute {
		return 0, false
	}
	return max(pause, e.RetryAfter+mathrand.N(200*time.Millisecond)), true
}

func (c *Client) once(ctx context.Context, in call, body []byte, out any) error {
	req, err := c.request(ctx, in, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return problem(resp)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	if raw, ok := out.(*[]byte); ok {
		*raw, err = io.ReadAll(resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("parley: reading the answer: %w", err)
	}
	if r, ok := out.(*Accepted); ok {
		r.Replayed = resp.Header.Get("Idempotent-Replayed") == "true"
	}
	return nil
}

func (c *Client) request(ctx context.Context, in call, body []byte) (*http.Request, error) {
	target := c.base + in.path
	if len(in.query) > 0 {
		target += "?" + in.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, in.method, target, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", c.agent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if in.key != "" {
		req.Header.Set("Idempotency-Key", in.key)
	}
	return req, nil
}

// problem reads an error answer, also one that is not Parley's own.
func problem(resp *http.Response) error {
	e := &Error{}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(b, e) != nil || e.Code == "" {
		e = &Error{Code: "http_" + strconv.Itoa(resp.StatusCode), Title: http.StatusText(resp.StatusCode)}
	}
	e.Status = resp.StatusCode
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Request-Id")
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// newKey makes an idempotency key.
func newKey(given string) string {
	if given != "" {
		return given
	}
	return rand.Text()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// A Page is one page of a list.
type Page[T any] struct {
	Data []*T   `json:"data"`
	Next string `json:"next"` // give it as After to get the next page; "" on the last
}

// ListOptions say which page to get.
type ListOptions struct {
	Limit int    // 0 = the server's default
	After string // Next of the page before
}

func (o ListOptions) values() url.Values {
	q := url.Values{}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	set(q, "after", o.After)
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
