package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/parley-messaging/parley/app"
)

// serverFlags say which server to talk to, and as whom.
type serverFlags struct {
	URL    string     `name:"url" help:"Base URL of the server." default:"http://127.0.0.1:8080" env:"PARLEY_URL"`
	APIKey app.Secret `name:"api-key" help:"API key; better given in the environment than here." env:"PARLEY_API_KEY"`
}

// client gives a client of the API. It fails when no key was given.
func (f *serverFlags) client() (*client, error) {
	if f.APIKey == "" {
		return nil, errors.New("an API key is needed: set PARLEY_API_KEY (parley demo and a first parley serve print one; parley keys api create makes one)")
	}
	return &client{base: strings.TrimSuffix(f.URL, "/"), key: string(f.APIKey), http: &http.Client{}}, nil
}

// A client talks JSON to a Parley server or to the sandbox.
type client struct {
	base string
	key  string // "" = none
	http *http.Client
}

// A problem is an error that a server explained.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Remedy string `json:"remedy"`
	Plain  string `json:"error"` // the sandbox's whole answer
}

// Error tells what is wrong, where, and what to do.
func (p *problem) Error() string {
	var b strings.Builder
	switch {
	case p.Plain != "":
		b.WriteString(p.Plain)
	case p.Title != "":
		b.WriteString(p.Title)
	default:
		fmt.Fprintf(&b, "the server answered %d %s", p.Status, http.StatusText(p.Status))
	}
	if p.Detail != "" {
		b.WriteString(": ")
		if p.Field != "" {
			b.WriteString(p.Field + " ")
		}
		b.WriteString(p.Detail)
	}
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	if p.Code != "" {
		b.WriteString(" (" + p.Code + ")")
	}
	return b.String()
}

// call sends in as JSON, when it is not nil, and reads the answer into out,
// when that is not nil. It fails with *problem when the server says no.
func (c *client) call(ctx context.Context, method, path string, in, out any, header ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	res, err := c.open(ctx, method, path, in, header...)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end or of no use
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("%s%s answers with something that is not what was expected (%w): is it a Parley?", c.base, path, err)
	}
	return nil
}

// open makes a request and gives its answer when that is good; the caller
// closes the body.
func (c *client) open(ctx context.Context, method, path string, in any, header ...string) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL: %w", c.base, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &unreachableError{c.base}
		}
		return nil, err
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }() // read to its end or of no use
	p := &problem{Status: res.StatusCode}
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(raw, p) != nil && res.StatusCode != http.StatusNotFound {
		p.Plain = strings.TrimSpace(string(raw))
	}
	p.Status = res.StatusCode
	return nil, p
}

// An unreachableError says that nobody listens at an address.
type unreachableError struct{ base string }

// Error says what may be meant.
func (e *unreachableError) Error() string {
	return "nothing listens at " + e.base + ": start it (parley demo, parley serve, parley sandbox) or give another address"
}
