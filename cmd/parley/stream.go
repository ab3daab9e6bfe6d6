package main

import (
	"context"
	"encoding/json"
	"errors"
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
		Raw rawFacts `json:"raw"`
	} `json:"data"`

	raw []byte // as it is told
}

// rawFacts is what tail shows of data.raw, whose form is the provider's: what
// does not fit is left out.
type rawFacts struct {
	Kind    string
	Missing []int
}

// UnmarshalJSON never fails.
func (r *rawFacts) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil {
		return nil
	}
	_ = json.Unmarshal(fields["kind"], &r.Kind) // or it stays empty
	_ = json.Unmarshal(fields["missing_parts"], &r.Missing)
	return nil
}

// errEnough ends a stream from within.
var errEnough = errors.New("enough")

// head gives the cursor of now.
func head(ctx context.Context, cl *parley.Client) (string, error) {
	page, err := cl.Events.List(ctx, parley.EventOptions{After: "now", Limit: 1})
	if err != nil {
		return "", err
	}
	return page.Next, nil
}

// past calls f with each event from the start of the log on, and gives the
// cursor after the last one.
func past(ctx context.Context, cl *parley.Client, types []string, f func(*logEvent) error) (string, error) {
	o := parley.EventOptions{Types: types, Limit: 200}
	for {
		page, err := cl.Events.List(ctx, o)
		if err != nil {
			return "", err
		}
		for _, e := range page.Data {
			if err := tellEvent(e, f); err != nil {
				return "", err
			}
		}
		if o.After = page.Next; !page.More {
			return page.Next, nil
		}
	}
}

// stream calls f with each event after a cursor until ctx ends or f fails: a
// stream that breaks is taken up again where it broke, and misses nothing. It
// ends without an error when ctx did or f gave errEnough.
func stream(ctx context.Context, cl *parley.Client, after string, types []string, f func(*logEvent) error) error {
	for e, err := range cl.Events.Stream(ctx, parley.EventOptions{After: after, Types: types}) {
		if err != nil {
			return err
		}
		if err := tellEvent(e, f); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}

// tellEvent hands an event on with what it says taken out.
func tellEvent(e *parley.Event, f func(*logEvent) error) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	one := &logEvent{raw: raw}
	if err := json.Unmarshal(raw, one); err != nil {
		return err
	}
	return f(one)
}
