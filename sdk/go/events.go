package parley

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Events reads the log of what happened.
type Events struct{ c *Client }

// An Event is one thing that happened. Data depends on Type; Decode reads it.
type Event struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Workspace string          `json:"workspace"`
	Data      json.RawMessage `json:"data"`

	// Cursor is the place in the log after this event; set by Stream alone.
	Cursor string `json:"-"`
}

// Message gives the id of the message an event is about; "" = none.
func (e *Event) Message() string {
	var d struct{ Message string }
	if json.Unmarshal(e.Data, &d) != nil {
		return ""
	}
	return d.Message
}

// Decode reads Data into v.
func (e *Event) Decode(v any) error { return json.Unmarshal(e.Data, v) }

// An EventPage is a page of the log, oldest first.
type EventPage struct {
	Data []*Event `json:"data"`
	Next string   `json:"next"` // always given: read on from here
	More bool     `json:"more"` // there is more to read at once
}

// EventOptions say where to begin and what to leave out.
type EventOptions struct {
	After string   // Next of a page or Cursor of an event; "now"; "" = List: from the start, Stream: from now
	Types []string // nil = all
	Limit int      // of List; 0 = the server's default
}

func (o EventOptions) values() url.Values {
	q := ListOptions{Limit: o.Limit, After: o.After}.values()
	set(q, "types", strings.Join(o.Types, ","))
	return q
}

// List gives a page of the log.
func (s *Events) List(ctx context.Context, o EventOptions) (*EventPage, error) {
	out := &EventPage{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: o.values()}, out))
}

// Stream follows the log live until ctx ends or the loop is left. A connection
// that breaks is resumed where it was, without loss; only errors that will not
// pass end the stream, with the error.
func (s *Events) Stream(ctx context.Context, o EventOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		last := o.After
		o.Limit = 0
		if last == "" || last == "now" {
			// Where "now" is must not move when the first connection breaks
			// before its first event.
			page, err := s.List(ctx, EventOptions{After: "now", Limit: 1})
			if err != nil {
				yield(nil, err)
				return
			}
			last = page.Next
		}
		for failures := 0; ctx.Err() == nil; {
			seen, more, err := s.connect(ctx, o, &last, yield)
			if !more {
				return
			}
			var e *Error
			if errors.As(err, &e) && !e.Temporary() {
				yield(nil, err)
				return
			}
			if failures++; seen {
				failures = 1
			}
			backoff := min(250*time.Millisecond<<min(failures, 6), 10*time.Second)
			if s.c.wait(ctx, backoff/2+mathrand.N(backoff)) != nil {
				return
			}
		}
	}
}

// connect reads one connection. seen says that something came; more that the
// loop still wants events.
func (s *Events) connect(ctx context.Context, o EventOptions, last *string, yield func(*Event, error) bool) (seen, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.After = ""
	req, err := s.c.request(ctx, call{method: http.MethodGet, path: "/v1/events/stream", query: o.values()}, nil)
	if err != nil {
		return false, true, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	client := *s.c.http
	client.Timeout = 0
	resp, err := client.Do(req)
	if err != nil {
		return false, true, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, true, problem(resp)
	}
	// A server that says nothing for a minute, not even its heartbeat, is gone.
	watch := time.AfterFunc(time.Minute, cancel)
	defer watch.Stop()
	r := bufio.NewReader(resp.Body)
	var id string
	var data []byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return seen, true, err
		}
		watch.Reset(time.Minute)
		seen = true
		line = strings.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			e := &Event{}
			if err := json.Unmarshal(data, e); err != nil {
				return seen, true, err
			}
			e.Cursor = id
			if !yield(e, nil) {
				return seen, false, nil
			}
			*last, data = id, nil
		case name == "id":
			id = value
		case name == "data":
			data = append(data, value...)
		}
	}
}
