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
)

// An inner talks JSON to what is no API of customers: the admin address of a
// server, and the sandbox.
type inner struct{ base string }

func innerOf(base string) *inner { return &inner{strings.TrimSuffix(base, "/")} }

// call sends in as JSON, when it is not nil, and reads the answer into out,
// when that is not nil.
func (c *inner) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%q is not a URL: %w", c.base, err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return &unreachableError{c.base}
	}
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end or of no use
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return refusal(res.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s%s answers with something that is not what was expected (%w): is it a Parley?", c.base, path, err)
	}
	return nil
}

// refusal reads what an address said instead.
func refusal(status int, raw []byte) error {
	var p struct {
		Plain  string `json:"error"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	text := strings.TrimSpace(string(raw))
	if json.Unmarshal(raw, &p) == nil {
		text = or(p.Plain, strings.TrimSuffix(p.Title+": "+p.Detail, ": "))
	}
	if text == "" || len(text) > 500 {
		text = http.StatusText(status)
	}
	return fmt.Errorf("%d %s", status, text)
}

// An unreachableError says that nobody listens at an address.
type unreachableError struct{ base string }

// Error says what may be meant.
func (e *unreachableError) Error() string {
	return "nothing listens at " + e.base + ": start it (parley demo, parley serve, parley sandbox) or give another address"
}
