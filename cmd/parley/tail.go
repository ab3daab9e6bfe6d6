package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/vault"
)

type tailCmd struct {
	serverFlags
	JSON          bool       `name:"json" help:"One event a line, as webhooks tell it."`
	Types         []string   `help:"Only these types, such as message.delivered,message.failed; message.* is all of message."`
	Since         string     `help:"Where to begin: now, start, a span ago such as 10m or 1d, a time (RFC 3339), or a cursor." default:"now"`
	Message       string     `help:"Only about this message."`
	Forward       string     `help:"Post each event to this address too, as webhooks are: try a receiver on your own machine."`
	ForwardSecret app.Secret `help:"Sign what is forwarded with this secret (whsec_…)." env:"PARLEY_FORWARD_SECRET"`
	Limit         int        `help:"Stop after so many events; 0 = never."`
}

// Run follows the log.
func (c *tailCmd) Run(ctx context.Context) error {
	types, err := wantedTypes(c.Types)
	if err != nil {
		return err
	}
	var key []byte
	if c.ForwardSecret != "" {
		if key, err = vault.WebhookKey(string(c.ForwardSecret)); err != nil {
			return err
		}
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	from, after, err := c.from(time.Now())
	if err != nil {
		return err
	}
	p := colours()
	seen := 0
	show := func(e *logEvent) error {
		if c.Message != "" && e.Data.Message != c.Message || e.Timestamp.Before(from) {
			return nil
		}
		line := e.raw
		if !c.JSON {
			line = []byte(e.line(p))
		}
		if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
			return err
		}
		if c.Forward != "" {
			if err := forward(ctx, c.Forward, key, e); err != nil {
				fmt.Fprintln(os.Stderr, p.warn("not forwarded: "+err.Error()))
			}
		}
		if seen++; seen == c.Limit {
			return errEnough
		}
		return nil
	}
	switch {
	case after == "now":
		after, err = head(ctx, cl)
	case after == "":
		after, err = past(ctx, cl, types, show)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return err
	}
	return stream(ctx, cl, after, types, show)
}

// from gives the time events must have and the cursor to begin after; "" is
// the start of the log.
func (c *tailCmd) from(now time.Time) (from time.Time, after string, err error) {
	switch c.Since {
	case "", "now":
		return from, "now", nil
	case "start":
		return from, "", nil
	}
	if from, err = time.Parse(time.RFC3339, c.Since); err == nil {
		return from, "", nil
	}
	var ago span
	if ago.UnmarshalText([]byte(c.Since)) == nil {
		return now.Add(-time.Duration(ago)), "", nil
	}
	return time.Time{}, c.Since, nil
}

// wantedTypes checks names of types and spreads patterns such as message.*.
func wantedTypes(given []string) ([]string, error) {
	var out []string
	for _, name := range given {
		before := len(out)
		for _, t := range event.Types {
			prefix, pattern := strings.CutSuffix(name, "*")
			if t == name || pattern && strings.HasPrefix(t, prefix) {
				out = append(out, t)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("%q is no type of event; there are %s", name, strings.Join(event.Types[:], ", "))
		}
	}
	return out, nil
}

// line tells an event on one line: when, what, about whom, where, why, cost.
func (e *logEvent) line(p palette) string {
	d := &e.Data
	subject, verb, _ := strings.Cut(e.Type, ".")
	name := p.bold(e.Type)
	switch {
	case subject == "message" && verb == "step":
		name = "message.step"
	case subject == "message":
		name = "message." + p.state(verb)
	case e.Type == event.ConnectorPaused, e.Type == event.WebhookDisabled, e.Type == event.ContactOptedOut:
		name = p.bad(e.Type)
	}
	pad := strings.Repeat(" ", max(0, 20-len(e.Type)))
	parts := []string{p.dim(e.Timestamp.Local().Format("15:04:05.000")), name + pad}
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	add(p.dim(or(d.Message, d.Contact)))
	where := d.Channel
	if d.Step != nil {
		where = strconv.Itoa(*d.Step+1) + " " + d.Channel
	}
	if verb == "step" {
		where += " " + p.state(d.StepState)
	}
	add(strings.TrimSpace(where))
	add(d.Reason)
	if d.Detail != "" {
		add(p.dim("(" + d.Detail + ")"))
	}
	if d.Error != nil {
		add(p.bad(strings.TrimSpace(d.Error.Kind + " " + d.Error.Code + " " + d.Error.Title)))
	}
	if d.Charge != nil {
		add(p.warn(money(d.Charge.Micros, d.Charge.Currency)) + p.dim(" "+d.Charge.By))
	}
	if e.Type == event.MessageReceived && d.Type != "text" {
		add(p.warn(strings.TrimSpace(d.Type + " " + d.Raw.Kind)))
	}
	if len(d.Raw.Missing) > 0 {
		add(p.warn(plural(int64(len(d.Raw.Missing)), "part") + " missing"))
	}
	if d.Content.Text != "" {
		add("“" + shorten(d.Content.Text, 60) + "”")
	}
	for _, t := range []*time.Time{d.ClosesAt, d.WindowClosesAt} {
		if t != nil {
			add("window until " + t.Local().Format(time.DateTime))
		}
	}
	return strings.Join(parts, "  ")
}

// forward posts an event as webhooks are posted (Standard Webhooks 1.0).
func forward(ctx context.Context, to string, key []byte, e *logEvent) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(e.raw))
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header = http.Header{"Content-Type": {"application/json"}, "Webhook-Id": {e.ID}, "Webhook-Timestamp": {stamp}}
	if key != nil {
		m := hmac.New(sha256.New, key)
		fmt.Fprintf(m, "%s.%s.", e.ID, stamp)
		m.Write(e.raw)
		req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("the receiver answered %s", res.Status)
	}
	return nil
}
