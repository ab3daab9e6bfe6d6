package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

type sendCmd struct {
	serverFlags
	To       string            `arg:"" help:"A phone number such as +33612345678, or a contact (ct_…)."`
	Text     string            `arg:"" optional:"" help:"What to say, in free form."`
	Purpose  string            `help:"Why you write: authentication, utility, marketing or service." enum:"authentication,utility,marketing,service" required:""`
	Template string            `help:"Registered template, as name/language." placeholder:"NAME/LANG"`
	Param    map[string]string `help:"A parameter of the template; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	Route    []routeStep       `help:"Channels in order, each with how long to wait for its delivery: whatsapp:60s,sms. Left out: the workspace's default." placeholder:"CHANNEL:WAIT"`
	Media    []string          `help:"URL of a picture, film, sound or document to attach; may be repeated." sep:"none"`
	Reply    []string          `help:"A button to answer with, as TITLE or TITLE=PAYLOAD; may be repeated." sep:"none"`
	At       time.Time         `help:"When to send (RFC 3339)."`
	Expires  span              `help:"After this long it is not sent any more: 10m, 1d."`
	MaxPrice string            `help:"Skip steps that cost more." placeholder:"AMOUNT,CURRENCY"`
	Metadata map[string]string `help:"A note of yours that comes back in events; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	Key      string            `name:"idempotency-key" help:"The same key sends once, however often you ask. Left out: one is made for this call."`
	Preview  bool              `help:"Show what would happen and what it would cost; send nothing."`
	Wait     bool              `help:"Follow the message to its end; the exit status tells whether it arrived."`
	Until    string            `help:"With --wait: what counts as arrived." enum:"delivered,read" default:"delivered"`
	Within   span              `help:"With --wait: how long to follow; 0 = as long as it takes." default:"0s"`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// A routeStep is one channel of --route.
type routeStep struct {
	channel string
	wait    span
}

// UnmarshalText reads CHANNEL or CHANNEL:WAIT.
func (r *routeStep) UnmarshalText(b []byte) error {
	channel, wait, timed := strings.Cut(string(b), ":")
	if channel == "" {
		return fmt.Errorf("a step is written CHANNEL or CHANNEL:WAIT, such as whatsapp:60s")
	}
	r.channel = channel
	if timed {
		return r.wait.UnmarshalText([]byte(wait))
	}
	return nil
}

// request gives the body of POST /v1/messages.
func (c *sendCmd) request() (map[string]any, error) {
	body := map[string]any{"to": c.To, "purpose": c.Purpose}
	if strings.HasPrefix(c.To, "ct_") {
		body["to"] = map[string]string{"contact": c.To}
	}
	content := map[string]any{}
	if c.Text != "" {
		content["text"] = c.Text
	}
	if len(c.Media) > 0 {
		var list []map[string]string
		for _, url := range c.Media {
			list = append(list, map[string]string{"type": mediaType(url), "url": url})
		}
		content["media"] = list
	}
	if len(c.Reply) > 0 {
		var list []map[string]string
		for _, button := range c.Reply {
			title, payload, given := strings.Cut(button, "=")
			if !given {
				payload = title
			}
			list = append(list, map[string]string{"type": "reply", "title": title, "payload": payload})
		}
		content["actions"] = list
	}
	if len(content) > 0 {
		body["content"] = content
	}
	if c.Template != "" {
		name, language, ok := strings.Cut(c.Template, "/")
		if !ok {
			return nil, fmt.Errorf("--template is written NAME/LANGUAGE, such as boarding_pass/en")
		}
		t := map[string]any{"name": name, "language": language}
		if len(c.Param) > 0 {
			t["parameters"] = c.Param
		}
		body["template"] = t
	} else if len(c.Param) > 0 {
		return nil, fmt.Errorf("--param fills a template: name it with --template")
	}
	if len(content) == 0 && c.Template == "" {
		return nil, fmt.Errorf("there is nothing to say: give a text or --template")
	}
	if len(c.Route) == 1 && c.Route[0].channel == "auto" {
		body["route"] = "auto"
	} else if len(c.Route) > 0 {
		var steps []map[string]any
		for _, r := range c.Route {
			step := map[string]any{"channel": r.channel}
			if r.wait > 0 {
				step["next_if"] = map[string]string{"not_delivered_in": r.wait.String()}
			}
			steps = append(steps, step)
		}
		body["route"] = steps
	}
	if !c.At.IsZero() {
		body["send_at"] = c.At
	}
	if c.Expires > 0 {
		body["expires_in"] = c.Expires.String()
	}
	if c.MaxPrice != "" {
		amount, currency, ok := strings.Cut(c.MaxPrice, ",")
		if !ok {
			return nil, fmt.Errorf("--max-price is written AMOUNT,CURRENCY, such as 0.15,EUR")
		}
		body["max_price"] = map[string]string{"amount": amount, "currency": strings.ToUpper(currency)}
	}
	if len(c.Metadata) > 0 {
		body["metadata"] = c.Metadata
	}
	return body, nil
}

// mediaType guesses from the end of an address what a file is.
func mediaType(url string) string {
	path, _, _ := strings.Cut(strings.ToLower(url), "?")
	for ext, kind := range map[string]string{
		".jpg": "image", ".jpeg": "image", ".png": "image", ".webp": "sticker", ".mp4": "video", ".3gp": "video",
		".mp3": "audio", ".m4a": "audio", ".aac": "audio", ".amr": "audio", ".ogg": "voice",
	} {
		if strings.HasSuffix(path, ext) {
			return kind
		}
	}
	return "document"
}

// Run sends, or previews, and may follow.
func (c *sendCmd) Run(ctx context.Context) error {
	body, err := c.request()
	if err != nil {
		return err
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	if c.Preview {
		return c.preview(ctx, cl, body)
	}
	var from string
	if c.Wait {
		if from, err = cl.head(ctx); err != nil {
			return err
		}
	}
	key := c.Key
	if key == "" {
		key = "cli-" + rand.Text()
	}
	var raw json.RawMessage
	if err := cl.call(ctx, "POST", "/v1/messages", body, &raw, "Idempotency-Key", key); err != nil {
		return err
	}
	var out accepted
	if err := json.Unmarshal(raw, &out); err != nil {
		return err
	}
	p := colours()
	if !c.JSON {
		fmt.Printf("%s %s\n", p.bold(out.ID), p.state(out.State))
		out.show(p)
	} else if !c.Wait {
		return printJSON(raw)
	}
	if !c.Wait {
		return nil
	}
	return c.follow(ctx, cl, from, out.ID, p)
}

// accepted is what the server tells of a message taken in, or previewed.
type accepted struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	Plan     []planStep `json:"plan"`
	Warnings []struct {
		Code   string `json:"code"`
		Step   *int   `json:"step"`
		Detail string `json:"detail"`
	} `json:"warnings"`
	WorstCase *amount `json:"worst_case"`
	Expected  *amount `json:"expected"`
}

type amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

func (a *amount) String() string {
	if a == nil {
		return "price unknown"
	}
	return a.Amount + " " + a.Currency
}

type planStep struct {
	Step     int     `json:"step"`
	Channel  string  `json:"channel"`
	Mode     string  `json:"mode"`
	Template string  `json:"template"`
	Skipped  bool    `json:"skipped"`
	Reason   string  `json:"reason"`
	Detail   string  `json:"detail"`
	Wait     string  `json:"wait"`
	ValidFor string  `json:"valid_for"`
	LateRisk bool    `json:"late_risk"`
	Segments int     `json:"segments"`
	Encoding string  `json:"encoding"`
	Estimate *amount `json:"estimate"`
	Rendered *struct {
		Text    string `json:"text"`
		Changes []struct {
			Field  string `json:"field"`
			Level  string `json:"level"`
			Detail string `json:"detail"`
		} `json:"changes"`
	} `json:"rendered"`
}

// show prints a plan for people.
func (a *accepted) show(p palette) {
	for _, s := range a.Plan {
		words := []string{s.Mode}
		if s.Template != "" {
			words = append(words, s.Template)
		}
		if s.Skipped {
			words = append(words, p.warn("skipped"))
		}
		words = append(words, s.Reason)
		if s.Detail != "" {
			words = append(words, p.dim("("+s.Detail+")"))
		}
		if s.Segments > 1 {
			words = append(words, fmt.Sprintf("%d segments %s", s.Segments, s.Encoding))
		}
		if !s.Skipped {
			words = append(words, p.warn(s.Estimate.String()))
		}
		if s.Wait != "" {
			words = append(words, "then wait "+s.Wait)
		}
		if s.ValidFor != "" {
			words = append(words, p.dim("provider tries for "+s.ValidFor))
		}
		if s.LateRisk {
			words = append(words, p.warn("may arrive late"))
		}
		fmt.Printf("  %d %s  %s\n", s.Step+1, p.bold(s.Channel), strings.Join(words, "  "))
		if s.Rendered != nil {
			fmt.Printf("      %s\n", strings.ReplaceAll(s.Rendered.Text, "\n", "\n      "))
			for _, ch := range s.Rendered.Changes {
				fmt.Printf("      %s %s: %s\n", p.warn(ch.Level), ch.Field, ch.Detail)
			}
		}
	}
	for _, w := range a.Warnings {
		fmt.Printf("  %s %s: %s\n", p.warn("!"), w.Code, w.Detail)
	}
}

func (c *sendCmd) preview(ctx context.Context, cl *client, body map[string]any) error {
	var raw json.RawMessage
	if err := cl.call(ctx, "POST", "/v1/messages/preview", body, &raw); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(raw)
	}
	var out accepted
	if err := json.Unmarshal(raw, &out); err != nil {
		return err
	}
	p := colours()
	out.show(p)
	fmt.Printf("  expected %s, at worst %s; nothing was sent\n", p.warn(out.Expected.String()), p.warn(out.WorstCase.String()))
	return nil
}
