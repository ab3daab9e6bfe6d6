package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// The limits of a request. Those of a channel are tighter and the engine's to
// judge.
const (
	maxText       = 65_536 // characters
	maxTitle      = 1_024
	maxLabel      = 256
	maxPayload    = 1_024
	maxURL        = 2_048
	maxMedia      = 10
	maxActions    = 25
	maxRows       = 100
	maxCards      = 50
	maxRoute      = 10
	maxParameters = 100
	maxValue      = 4_096 // characters of a template parameter
	maxMetadata   = 50
	maxMetaKey    = 40
	maxMetaValue  = 500
	maxAddress    = 512
	maxBatch      = 10_000
	longest       = 30 * 24 * time.Hour // of expires_in and every wait
)

// A check walks a request and keeps the first fault it meets.
type check struct{ fault *engine.Refusal }

func (c *check) bad(code string, field path, detail, remedy string) {
	if c.fault == nil {
		c.fault = &engine.Refusal{Code: code, Field: field.String(), Detail: detail, Remedy: remedy}
	}
}

func (c *check) invalid(field path, detail, remedy string) {
	c.bad(engine.CodeInvalid, field, detail, remedy)
}

// length refuses texts of more than n characters.
func (c *check) length(field path, s string, n int) {
	if len(s) > n && utf8.RuneCountInString(s) > n {
		c.bad(engine.CodeTooLong, field, "is longer than "+strconv.Itoa(n)+" characters", "shorten it")
	}
}

func (c *check) count(field path, got, most int) {
	if got > most {
		c.bad(engine.CodeTooLong, field, "has more than "+strconv.Itoa(most)+" entries", "leave some out")
	}
}

// request turns the wire form into the engine's, checking every limit. prefix
// stands before field names ("messages[3]." in a batch).
func (r *SendRequest) request(prefix path) (*engine.Request, *engine.Refusal) {
	var c check
	out := &engine.Request{
		To: c.recipient(prefix.dot("to"), &r.To), Purpose: r.Purpose, Metadata: r.Metadata, ReplyTo: r.ReplyTo,
		Template: c.template(prefix.dot("template"), r.Template),
	}
	c.purpose(r.Purpose)
	if r.Content != nil {
		c.content(prefix.dot("content"), r.Content)
		out.Content = *r.Content
	}
	said := r.Template != nil || !out.Content.IsZero()
	out.Auto, out.Route = r.Route.Auto != "", c.route(prefix.dot("route"), r.Route.Steps)
	for i := range out.Route {
		said = said || out.Route[i].Content != nil || out.Route[i].Template != nil
	}
	if !said {
		c.bad(engine.CodeEmpty, prefix.dot("content"), "there is nothing to say", "give content, a template or both")
	}
	if r.SendAt != nil {
		out.SendAt = r.SendAt.UTC()
	}
	out.Expires = c.span(prefix.dot("expires_in"), r.Expires)
	if out.Expires > 0 && out.Expires < time.Second {
		c.invalid(prefix.dot("expires_in"), "is shorter than a second", `write "60s" or longer`)
	}
	if r.MaxPrice != nil {
		m, field, ok := r.MaxPrice.money()
		if !ok {
			c.invalid(prefix.dot("max_price").dot(field), "is not an amount of money", `write {"amount": "0.15", "currency": "EUR"}, at most six decimals`)
		}
		out.MaxPrice = &m
	}
	c.metadata(prefix.dot("metadata"), r.Metadata)
	return out, c.fault
}

func (c *check) purpose(p message.Purpose) {
	const remedy = "give one of authentication, utility, service, marketing"
	switch {
	case p == "":
		c.bad(engine.CodePurpose, root("purpose"), "is missing", remedy)
	case !p.Valid():
		c.bad(engine.CodePurpose, root("purpose"), "is not a purpose", remedy)
	}
}

func (c *check) recipient(field path, r *Recipient) engine.Recipient {
	o := &r.recipientObject
	out := engine.Recipient{Phone: r.Phone, Contact: o.Contact, Channel: o.Channel, Sender: o.Sender, ID: o.ID}
	if o.Phone != "" {
		out.Phone = o.Phone
	}
	forms := 0
	for _, given := range [...]bool{out.Phone != "", !out.Contact.IsZero(), out.ID != "" || out.Channel != ""} {
		if given {
			forms++
		}
	}
	const remedy = `give a phone number, {"contact": "ct_…"} or {"channel": "…", "id": "…"}`
	switch {
	case forms == 0:
		c.bad(engine.CodeBadRecipient, field, "is missing", remedy)
	case forms > 1:
		c.bad(engine.CodeBadRecipient, field, "names more than one recipient", remedy)
	case out.ID == "" && out.Channel != "" || out.ID != "" && out.Channel == "":
		c.bad(engine.CodeBadRecipient, field, "needs both channel and id", remedy)
	case !out.Sender.IsZero() && out.ID == "":
		c.bad(engine.CodeBadRecipient, field.dot("sender"), "goes with a channel and an id only", "name the sender in the route")
	}
	c.length(field, out.Phone, 64)
	c.length(field.dot("id"), out.ID, maxAddress)
	return out
}

func (c *check) route(field path, steps []RouteStep) []engine.RouteStep {
	c.count(field, len(steps), maxRoute)
	if len(steps) == 0 || c.fault != nil {
		return nil
	}
	out := make([]engine.RouteStep, len(steps))
	for i := range steps {
		s := &steps[i]
		at := field.in(i)
		if s.Channel == "" {
			c.invalid(at.dot("channel"), "is missing", "name a channel, such as whatsapp or sms")
		}
		c.length(at.dot("channel"), string(s.Channel), 40)
		out[i] = engine.RouteStep{Channel: s.Channel, Sender: s.Sender, Content: s.Content, Template: c.template(at.dot("template"), s.Template)}
		if s.Content != nil {
			c.content(at.dot("content"), s.Content)
		}
		if n := s.Next; n != nil {
			if n.Failed != nil && !*n.Failed {
				c.invalid(at.dot("next_if").dot("failed"), "cannot be false: a failure always moves the route on", "leave it out")
			}
			out[i].Next = message.Trigger{
				NotDelivered: c.span(at.dot("next_if").dot("not_delivered_in"), n.NotDelivered),
				NotRead:      c.span(at.dot("next_if").dot("not_read_in"), n.NotRead),
				NotReplied:   c.span(at.dot("next_if").dot("not_replied_in"), n.NotReplied),
			}
		}
	}
	return out
}

func (c *check) span(field path, d Duration) time.Duration {
	if time.Duration(d) > longest {
		c.invalid(field, "is longer than 30 days", "shorten it")
	}
	return time.Duration(d)
}

func (c *check) metadata(field path, m map[string]string) {
	c.count(field, len(m), maxMetadata)
	for k, v := range m {
		if k == "" || utf8.RuneCountInString(k) > maxMetaKey {
			c.bad(engine.CodeTooLong, field, "has a key that is empty or longer than "+strconv.Itoa(maxMetaKey)+" characters", "rename it")
		}
		if len(v) > maxMetaValue && utf8.RuneCountInString(v) > maxMetaValue {
			c.bad(engine.CodeTooLong, field, "has a value longer than "+strconv.Itoa(maxMetaValue)+" characters", "shorten it")
		}
	}
}

func (c *check) template(field path, t *TemplateUse) *message.TemplateUse {
	if t == nil {
		return nil
	}
	if t.Name == "" || t.Language == "" {
		c.invalid(field, "needs a name and a language", `write {"name": "…", "language": "fr"}`)
	}
	c.length(field.dot("name"), t.Name, 512)
	c.length(field.dot("language"), t.Language, 35)
	c.length(field.dot("header_text"), t.HeaderText, maxTitle)
	c.header(field, t.Header, t.Product)
	if t.Place != nil {
		c.location(field.dot("header_location"), t.Place)
	}
	c.buttons(field.dot("buttons"), t.Buttons)
	out := &message.TemplateUse{
		Name: t.Name, Language: t.Language, Parameters: c.parameters(field.dot("parameters"), t.Parameters),
		Header: t.Header, HeaderText: t.HeaderText, Place: t.Place, Product: t.Product, Buttons: t.Buttons,
	}
	if t.Offer != nil {
		out.Offer = t.Offer.UTC()
	}
	c.count(field.dot("cards"), len(t.Cards), maxActions)
	if c.fault != nil {
		return nil
	}
	for i := range t.Cards {
		card, at := &t.Cards[i], field.dot("cards").in(i)
		c.header(at, card.Header, card.Product)
		c.buttons(at.dot("buttons"), card.Buttons)
		out.Cards = append(out.Cards, message.TemplateCard{
			Parameters: c.parameters(at.dot("parameters"), card.Parameters), Header: card.Header, Product: card.Product, Buttons: card.Buttons,
		})
	}
	return out
}

// header checks the file or the product above a template or a card.
func (c *check) header(field path, m *message.Media, p *message.Product) {
	if m != nil {
		c.media(field.dot("header_media"), m)
	}
	if p != nil {
		at := field.dot("header_product")
		c.length(at.dot("id"), p.ID, maxLabel)
		c.length(at.dot("catalog"), p.Catalog, maxLabel)
	}
}

// buttonTypes are the kinds of button a parameter can be for.
var buttonTypes = []string{"quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "order_details", "voice_call"}

func (c *check) buttons(field path, list []message.ButtonParameter) {
	c.count(field, len(list), maxActions)
	if c.fault != nil {
		return
	}
	for i := range list {
		b, at := &list[i], field.in(i)
		if !slices.Contains(buttonTypes, b.Type) {
			c.invalid(at.dot("type"), "is not a kind of button parameter", "give one of "+strings.Join(buttonTypes, ", "))
		}
		if b.Index < 0 || b.Index >= maxActions {
			c.invalid(at.dot("index"), "is not the place of a button", "count buttons from 0")
		}
		c.length(at.dot("value"), b.Value, maxURL)
		c.length(at.dot("payload"), b.Payload, maxValue)
		c.count(at.dot("sections"), len(b.Sections), maxActions)
		for j := range b.Sections {
			s, at := &b.Sections[j], at.dot("sections").in(j)
			c.length(at.dot("title"), s.Title, maxLabel)
			c.count(at.dot("products"), len(s.Products), maxRows)
			for k, id := range s.Products {
				c.length(at.dot("products").in(k), id, maxLabel)
			}
		}
	}
}

func (c *check) parameters(field path, p Parameters) map[string]string {
	m := p.Map()
	c.count(field, len(m), maxParameters)
	for k, v := range m {
		if k == "" || len(k) > 100 {
			c.bad(engine.CodeTooLong, field, "has a name that is empty or longer than 100 bytes", "use the names of the template")
		}
		if len(v) > maxValue && utf8.RuneCountInString(v) > maxValue {
			c.bad(engine.CodeTooLong, field, "has a value longer than "+strconv.Itoa(maxValue)+" characters", "shorten it")
		}
	}
	return m
}

func (c *check) link(field path, s string) {
	c.length(field, s, maxURL)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		c.invalid(field, "is not a web address", "give an absolute http or https address")
	}
}

// requests turns a batch into one request per item; faults[i] says why item i
// was not taken. A fault of what is shared is a fault of the whole batch.
func (b *BatchRequest) requests() (out []*engine.Request, faults []*engine.Refusal, all *engine.Refusal) {
	var c check
	c.purpose(b.Purpose)
	switch {
	case len(b.Messages) == 0:
		c.invalid(root("messages"), "is missing or empty", "give at least one item")
	case len(b.Messages) > maxBatch:
		c.bad(engine.CodeTooLong, root("messages"), "has more than 10,000 items", "send several batches")
	}
	if c.fault != nil {
		return nil, nil, c.fault
	}
	out = make([]*engine.Request, len(b.Messages))
	faults = make([]*engine.Refusal, len(b.Messages))
	for i := range b.Messages {
		item := &b.Messages[i]
		one := SendRequest{
			To: item.To, Purpose: b.Purpose, Content: b.Content, Template: b.Template, Route: b.Route,
			SendAt: b.SendAt, Expires: b.Expires, MaxPrice: b.MaxPrice, Metadata: b.Metadata,
		}
		if item.Content != nil {
			one.Content = item.Content
		}
		if item.Template != nil {
			one.Template = item.Template
		}
		if len(item.Metadata) > 0 {
			one.Metadata = merged(b.Metadata, item.Metadata)
		}
		prefix := root("messages").in(i)
		var own check
		given := own.parameters(prefix.dot("parameters"), item.Parameters)
		r, fault := one.request(prefix)
		if own.fault != nil {
			fault = own.fault
		}
		if fault != nil {
			faults[i] = fault
			continue
		}
		if len(given) > 0 {
			personalise(r, given)
		}
		out[i] = r
	}
	return out, faults, nil
}

func merged(a, b map[string]string) map[string]string {
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

// personalise puts an item's parameters into the shared texts and templates.
// What is shared is copied, never changed.
func personalise(r *engine.Request, given map[string]string) {
	fill(&r.Content, given)
	r.Template = filled(r.Template, given)
	for i := range r.Route {
		s := &r.Route[i]
		if s.Content != nil {
			own := *s.Content
			fill(&own, given)
			s.Content = &own
		}
		s.Template = filled(s.Template, given)
	}
}

func filled(t *message.TemplateUse, given map[string]string) *message.TemplateUse {
	if t == nil {
		return nil
	}
	own := *t
	own.Parameters = merged(t.Parameters, given)
	return &own
}

func fill(c *message.Content, given map[string]string) {
	for _, s := range [...]*string{&c.Text, &c.Header, &c.Footer} {
		*s, _ = channel.Fill(*s, given)
	}
	if len(c.Media) > 0 {
		c.Media = append([]message.Media(nil), c.Media...)
		for i := range c.Media {
			c.Media[i].Caption, _ = channel.Fill(c.Media[i].Caption, given)
		}
	}
	if len(c.Actions) > 0 {
		c.Actions = append([]message.Action(nil), c.Actions...)
		for i := range c.Actions {
			c.Actions[i].URL, _ = channel.Fill(c.Actions[i].URL, given)
			c.Actions[i].Payload, _ = channel.Fill(c.Actions[i].Payload, given)
		}
	}
}
