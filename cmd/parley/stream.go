package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A logEvent is one event of the log.
type logEvent struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Message   string `json:"message"`
		Contact   string `json:"contact"`
		State     string `json:"state"`
		Step      *int   `json:"step"`
		Attempt   *int   `json:"attempt"`
		Channel   string `json:"channel"`
		StepState string `json:"step_state"`
		Reason    string `json:"reason"`
		Detail    string `json:"detail"`
		Type      string `json:"type"`
		Name      string `json:"name"`
		Error     *struct {
			Kind  string `json:"kind"`
			Code  string `json:"code"`
			Title string `json:"title"`
		} `json:"error"`
		Charge *struct {
			Micros   int64  `json:"micros"`
			Currency string `json:"currency"`
			By       string `json:"by"`
		} `json:"charge"`
		ClosesAt       *time.Time `json:"closes_at"`
		WindowClosesAt *time.Time `json:"window_closes_at"`
		Content        struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"data"`

	cursor string // where to go on after it
	raw    []byte // as it came
}

// errEnough ends a stream from within.
var errEnough = errors.New("enough")

// head gives the cursor of now.
func (c *client) head(ctx context.Context) (string, error) {
	var page struct {
		Next string `json:"next"`
	}
	err := c.call(ctx, "GET", "/v1/events?after=now&limit=1", nil, &page)
	return page.Next, err
}

// past calls f with each event from the start of the log on, and gives the
// cursor after the last one.
func (c *client) past(ctx context.Context, types []string, f func(*logEvent) error) (string, error) {
	q := url.Values{"limit": {"200"}, "after": {""}}
	if len(types) > 0 {
		q.Set("types", strings.Join(types, ","))
	}
	for {
		var page struct {
			Data []json.RawMessage `json:"data"`
			Next string            `json:"next"`
			More bool              `json:"more"`
		}
		if err := c.call(ctx, "GET", "/v1/events?"+q.Encode(), nil, &page); err != nil {
			return "", err
		}
		for _, raw := range page.Data {
			e := &logEvent{raw: raw}
			if err := json.Unmarshal(raw, e); err != nil {
				return "", err
			}
			if err := f(e); err != nil {
				return "", err
			}
		}
		if !page.More {
			return page.Next, nil
		}
		q.Set("after", page.Next)
	}
}

// stream calls f with each event after a cursor until ctx ends or f fails. A
// stream that breaks is taken up again where it broke, and misses nothing;
// lost, when not nil, hears why. It ends without an error when ctx did or f
// gave errEnough.
func (c *client) stream(ctx context.Context, after string, types []string, lost func(error), f func(*logEvent) error) error {
	const least, most = 250 * time.Millisecond, 5 * time.Second
	wait := least
	for ctx.Err() == nil {
		err := c.streamOnce(ctx, after, types, func(e *logEvent) error {
			wait = least
			if err := f(e); err != nil {
				return err
			}
			after = e.cursor
			return nil
		})
		switch {
		case errors.Is(err, errEnough) || ctx.Err() != nil:
			return nil
		case status(err) >= 400 && status(err) < 500 && status(err) != http.StatusTooManyRequests, errors.As(err, new(*stopError)):
			return err
		case lost != nil && err != nil:
			lost(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
	return nil
}

// A stopError is a failure of the reader, not of the stream.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

func (c *client) streamOnce(ctx context.Context, after string, types []string, f func(*logEvent) error) error {
	q := url.Values{"after": {or(after, "now")}}
	if len(types) > 0 {
		q.Set("types", strings.Join(types, ","))
	}
	res, err := c.open(ctx, http.MethodGet, "/v1/events/stream?"+q.Encode(), nil, "Accept", "text/event-stream", "Last-Event-ID", after)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // nothing was written
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 64<<10), 4<<20)
	var id string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			id = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		case "":
			if len(line) > 0 || data == nil { // a comment, or nothing was told
				continue
			}
			e := &logEvent{cursor: id, raw: data}
			if err := json.Unmarshal(data, e); err != nil {
				return &stopError{err}
			}
			data = nil
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
