package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	parley "github.com/parley-messaging/parley/sdk/go"
)

type sendCmd struct {
	serverFlags
	To       string            `arg:"" optional:"" help:"A phone number such as +33612345678, or a contact (ct_…). Left out with --file."`
	Text     string            `arg:"" optional:"" help:"What to say, in free form; with --file, {{column}} stands for what a line holds."`
	Purpose  string            `help:"Why you write: authentication, utility, marketing or service." enum:"authentication,utility,marketing,service" required:""`
	Template string            `help:"Registered template, as name/language." placeholder:"NAME/LANG"`
	Param    map[string]string `help:"A parameter of the template; may be repeated." placeholder:"KEY=VALUE" mapsep:"none"`
	Route    []routeStep       `help:"Channels in order, each with how long to wait for its delivery: whatsapp:60s,sms. Left out: the workspace's default." placeholder:"CHANNEL:WAIT"`
	Plain    *bool             `name:"transliterate" negatable:"" help:"Replace characters outside the GSM alphabet by near ones where an SMS takes fewer parts so; left out: as the account is set."`
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
	JSON     bool              `name:"json" help:"Print JSON; with --file, one line for each line of it."`

	File     string `help:"Send to everybody in a file: CSV with a heading and a column to, or JSON lines. See docs/operating.md." placeholder:"FILE" type:"existingfile"`
	Results  string `help:"With --file: write a line for each of it here, and leave out what stands there as accepted." placeholder:"FILE"`
	Parallel int    `help:"With --file: how many requests at once." default:"8"`
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

// request gives what is asked of the server, for one person or for all of a
// file.
func (c *sendCmd) request() (*parley.SendRequest, error) {
	r := &parley.SendRequest{To: recipient(c.To), Purpose: parley.Purpose(c.Purpose), Expires: parley.Duration(c.Expires), Metadata: c.Metadata}
	content := parley.Content{Text: c.Text, Transliterate: c.Plain}
	for _, url := range c.Media {
		content.Media = append(content.Media, parley.Media{Type: mediaType(url), URL: url})
	}
	for _, button := range c.Reply {
		title, payload, given := strings.Cut(button, "=")
		if !given {
			payload = title
		}
		content.Actions = append(content.Actions, parley.Action{Type: "reply", Title: title, Payload: payload})
	}
	if content.Text != "" || len(content.Media) > 0 || len(content.Actions) > 0 {
		r.Content = &content
	}
	if c.Template != "" {
		name, language, ok := strings.Cut(c.Template, "/")
		if !ok {
			return nil, errors.New("--template is written NAME/LANGUAGE, such as boarding_pass/en")
		}
		r.Template = &parley.TemplateUse{Name: name, Language: language, Parameters: c.Param}
	} else if len(c.Param) > 0 {
		return nil, errors.New("--param fills a template: name it with --template")
	}
	if len(c.Route) == 1 && c.Route[0].channel == "auto" {
		r.Route = parley.AutoRoute()
	} else {
		for _, step := range c.Route {
			one := parley.RouteStep{Channel: parley.Channel(step.channel)}
			if step.wait > 0 {
				one.Next = &parley.NextIf{NotDelivered: parley.Duration(step.wait)}
			}
			r.Route = append(r.Route, one)
		}
	}
	if !c.At.IsZero() {
		r.SendAt = &c.At
	}
	if c.MaxPrice != "" {
		amount, currency, ok := strings.Cut(c.MaxPrice, ",")
		if !ok {
			return nil, errors.New("--max-price is written AMOUNT,CURRENCY, such as 0.15,EUR")
		}
		r.MaxPrice = &parley.Amount{Amount: amount, Currency: strings.ToUpper(currency)}
	}
	return r, nil
}

// recipient reads a phone number or a contact.
func recipient(to string) parley.Recipient {
	if strings.HasPrefix(to, "ct_") {
		return parley.ContactID(to)
	}
	return parley.Phone(to)
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
	if c.File != "" {
		return c.many(ctx)
	}
	r, err := c.request()
	switch {
	case err != nil:
		return err
	case c.To == "":
		return errors.New("to whom? give a phone number or a contact, or --file")
	case r.Content == nil && r.Template == nil:
		return errors.New("there is nothing to say: give a text or --template")
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	if c.Preview {
		return c.preview(ctx, cl, r)
	}
	var from string
	if c.Wait {
		if from, err = head(ctx, cl); err != nil {
			return err
		}
	}
	if r.IdempotencyKey = c.Key; c.Key == "" {
		r.IdempotencyKey = "cli-" + rand.Text()
	}
	out, err := cl.Messages.Send(ctx, r)
	if err != nil {
		return err
	}
	p := colours()
	if !c.JSON {
		fmt.Printf("%s %s\n", p.bold(out.ID), p.state(out.State))
		showPlan(out.Plan, out.Warnings, p)
	} else if !c.Wait {
		return printJSON(out)
	}
	if !c.Wait {
		return nil
	}
	return c.follow(ctx, cl, from, out.ID, p)
}

func (c *sendCmd) preview(ctx context.Context, cl *parley.Client, r *parley.SendRequest) error {
	out, err := cl.Messages.Preview(ctx, r)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	p := colours()
	showPlan(out.Plan, out.Warnings, p)
	fmt.Printf("  expected %s, at worst %s; nothing was sent\n", p.warn(price(out.Expected)), p.warn(price(out.WorstCase)))
	return nil
}

func price(a *parley.Amount) string {
	if a == nil {
		return "price unknown"
	}
	return a.String()
}

// showPlan prints a plan for people.
func showPlan(plan []parley.PlanStep, warnings []parley.Warning, p palette) {
	for i := range plan {
		s := &plan[i]
		fmt.Printf("  %d %s  %s\n", s.Step+1, p.bold(string(s.Channel)), strings.Join(stepWords(s, p), "  "))
		if s.Rendered == nil {
			continue
		}
		fmt.Printf("      %s\n", strings.ReplaceAll(s.Rendered.Text, "\n", "\n      "))
		for _, ch := range s.Rendered.Changes {
			fmt.Printf("      %s %s: %s\n", p.warn(ch.Level), ch.Field, ch.Detail)
		}
	}
	for _, w := range warnings {
		fmt.Printf("  %s %s: %s\n", p.warn("!"), w.Code, w.Detail)
	}
}

func stepWords(s *parley.PlanStep, p palette) []string {
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
		words = append(words, p.warn(price(s.Estimate)))
	}
	if s.Wait > 0 {
		words = append(words, "then wait "+time.Duration(s.Wait).String())
	}
	if s.ValidFor > 0 {
		words = append(words, p.dim("provider tries for "+time.Duration(s.ValidFor).String()))
	}
	if s.LateRisk {
		words = append(words, p.warn("may arrive late"))
	}
	return words
}
