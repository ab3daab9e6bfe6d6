package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	parley "github.com/parley-messaging/parley/sdk/go"
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

	raw []byte // as it is told
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

// stream calls f with each event after a cursor until ctx ends or f fails,
// through the SDK: a stream that breaks is taken up again where it broke, and
// misses nothing. It ends without an error when ctx did or f gave errEnough.
func (c *client) stream(ctx context.Context, after string, types []string, f func(*logEvent) error) error {
	sdk := parley.New(c.base, c.key, parley.WithUserAgent("parley-cli"))
	for e, err := range sdk.Events.Stream(ctx, parley.EventOptions{After: after, Types: types}) {
		if err != nil {
			return err
		}
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		one := &logEvent{raw: raw}
		if err := json.Unmarshal(raw, one); err != nil {
			return err
		}
		if err := f(one); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}
