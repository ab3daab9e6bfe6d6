package api

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/message"
)

// A SendRequest is the body of POST /v1/messages.
type SendRequest struct {
	To       Recipient         `json:"to" doc:"Who it goes to."`
	Purpose  message.Purpose   `json:"purpose" doc:"Why you write. Law, price, priority and fallback depend on it."`
	Content  *message.Content  `json:"content,omitempty" doc:"What is to be said, independent of any channel. What a channel cannot show is adapted; the preview shows how."`
	Template *TemplateUse      `json:"template,omitempty" doc:"A registered template to fill, for channels that need one outside the conversation window."`
	Route    Route             `json:"route,omitzero" doc:"Channels in the order to try them. Left out: the workspace's default route."`
	SendAt   *time.Time        `json:"send_at,omitempty" doc:"When to send, RFC 3339. Left out or null: at once."`
	Expires  Duration          `json:"expires_in,omitempty" doc:"After this long it is not sent any more. Left out: the default of the purpose."`
	MaxPrice *Amount           `json:"max_price,omitempty" doc:"A step whose price is above this is skipped."`
	Metadata map[string]string `json:"metadata,omitempty" doc:"Your own notes, given back in webhooks and queries: at most 50 keys of 40 characters with 500 characters each." maxProperties:"50"`
	ReplyTo  message.MessageID `json:"reply_to,omitzero" doc:"The message of the thread this one answers." example:"msg_01jd8x0k3m5q7s9v1x3z5b7d9f"`
}

// A BatchRequest is the body of POST /v1/messages/batch: what is shared, and
// who gets it.
type BatchRequest struct {
	Purpose  message.Purpose   `json:"purpose" doc:"Why you write."`
	Content  *message.Content  `json:"content,omitempty" doc:"Shared content. {{name}} in its texts is replaced by the item's parameters."`
	Template *TemplateUse      `json:"template,omitempty" doc:"Shared template; the item's parameters are added to its own."`
	Route    Route             `json:"route,omitzero" doc:"Shared route."`
	SendAt   *time.Time        `json:"send_at,omitempty" doc:"When to send, RFC 3339."`
	Expires  Duration          `json:"expires_in,omitempty" doc:"After this long it is not sent any more."`
	MaxPrice *Amount           `json:"max_price,omitempty" doc:"A step whose price is above this is skipped."`
	Metadata map[string]string `json:"metadata,omitempty" doc:"Shared metadata; the item's own is added." maxProperties:"50"`
	Messages []BatchItem       `json:"messages" doc:"One item per recipient, 1 to 10,000." minItems:"1" maxItems:"10000"`
}

// A BatchItem is one recipient of a batch.
type BatchItem struct {
	To         Recipient         `json:"to" doc:"Who it goes to."`
	Parameters Parameters        `json:"parameters,omitzero" doc:"Values for {{name}} in the shared content and template."`
	Content    *message.Content  `json:"content,omitempty" doc:"Instead of the shared content."`
	Template   *TemplateUse      `json:"template,omitempty" doc:"Instead of the shared template."`
	Metadata   map[string]string `json:"metadata,omitempty" doc:"Added to the shared metadata." maxProperties:"50"`
}

// A Recipient is who a message goes to, in one of three forms: a phone number
// as text, a contact, or an id that a channel gave.
type Recipient struct {
	Phone string
	recipientObject
}

type recipientObject struct {
	Contact message.ContactID `json:"contact,omitzero" doc:"A contact of this workspace."`
	Phone   string            `json:"phone,omitempty" doc:"A phone number, the same as giving the text alone."`
	Channel message.Channel   `json:"channel,omitempty" doc:"With id: the channel that gave the id."`
	Sender  message.SenderID  `json:"sender,omitzero" doc:"With id: the sender whose page, portfolio or app the id belongs to."`
	ID      string            `json:"id,omitempty" doc:"The person's id on the channel."`
}

// Either implements strict.Either.
func (r *Recipient) Either(k strict.Kind) any {
	switch k {
	case strict.String:
		return &r.Phone
	case strict.Object:
		return &r.recipientObject
	}
	return nil
}

// Schema implements huma.SchemaProvider.
func (r *Recipient) Schema(reg huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "A phone number, {contact} or {channel, id, sender}.",
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Description: "A phone number in international form (E.164); usual spellings are normalised.", Examples: []any{"+33612345678"}},
			named[recipientObject](reg, "RecipientObject"),
		},
	}
}

// A Route is the channels to try, or "auto".
type Route struct {
	Auto  routeWord
	Steps []RouteStep
}

type routeWord string

// UnmarshalText takes the one word there is.
func (w *routeWord) UnmarshalText(b []byte) error {
	if string(b) != "auto" {
		return errors.New("unknown word")
	}
	*w = "auto"
	return nil
}

// Hint implements strict.Hinter.
func (*routeWord) Hint() string { return `must be "auto" or an array of steps` }

// Either implements strict.Either.
func (r *Route) Either(k strict.Kind) any {
	switch k {
	case strict.String:
		return &r.Auto
	case strict.Array:
		return &r.Steps
	}
	return nil
}

// Schema implements huma.SchemaProvider.
func (*Route) Schema(reg huma.Registry) *huma.Schema {
	most := maxRoute
	return &huma.Schema{
		Description: "Steps in order, or \"auto\": the planner orders what can reach this person.",
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, Enum: []any{"auto"}},
			{Type: huma.TypeArray, MaxItems: &most, Items: named[RouteStep](reg, "RouteStep")},
		},
	}
}

// A RouteStep is one channel of a requested route.
type RouteStep struct {
	Channel  message.Channel  `json:"channel" doc:"The channel of this step."`
	Sender   message.SenderID `json:"sender,omitzero" doc:"Your end on the channel. Left out: the workspace's first sender of it."`
	Next     *NextIf          `json:"next_if,omitempty" doc:"When to go on to the next step, besides a failure, which always does."`
	Content  *message.Content `json:"content,omitempty" doc:"Instead of the message's content."`
	Template *TemplateUse     `json:"template,omitempty" doc:"Instead of the message's template."`
}

// A NextIf says when a route goes on.
type NextIf struct {
	Failed       *bool    `json:"failed,omitempty" doc:"Always so; may be given as true."`
	NotDelivered Duration `json:"not_delivered_in,omitempty" doc:"Go on when no delivery was reported in this time."`
	NotRead      Duration `json:"not_read_in,omitempty" doc:"Go on when it was not read in this time."`
	NotReplied   Duration `json:"not_replied_in,omitempty" doc:"Go on when the person has not answered in this time."`
}

// A TemplateUse fills a registered template.
type TemplateUse struct {
	Name       string                    `json:"name" doc:"The registered name." maxLength:"512"`
	Language   string                    `json:"language" doc:"The registered language." example:"fr" maxLength:"35"`
	Parameters Parameters                `json:"parameters,omitzero" doc:"Values by name, or in order."`
	Header     *message.Media            `json:"header_media,omitempty" doc:"The media of the header."`
	HeaderText string                    `json:"header_text,omitempty" doc:"The parameter of a text header."`
	Place      *message.Location         `json:"header_location,omitempty" doc:"The place of a location header."`
	Product    *message.Product          `json:"header_product,omitempty" doc:"The product of a product header."`
	Offer      *time.Time                `json:"offer_expires_at,omitempty" doc:"When a limited-time offer ends."`
	Buttons    []message.ButtonParameter `json:"buttons,omitempty" doc:"Parameters of buttons."`
	Cards      []TemplateCard            `json:"cards,omitempty" doc:"The cards of a carousel, in their order."`
}

// A TemplateCard fills one card of a carousel.
type TemplateCard struct {
	Parameters Parameters                `json:"parameters,omitzero" doc:"Values of the card's own text, by name or in order."`
	Header     *message.Media            `json:"header_media,omitempty" doc:"The image or video of the card."`
	Product    *message.Product          `json:"header_product,omitempty" doc:"The product of the card."`
	Buttons    []message.ButtonParameter `json:"buttons,omitempty" doc:"Parameters of the card's buttons, counted from 0 in each card."`
}

// Parameters are values of placeholders, by name or in order.
type Parameters struct {
	Named  map[string]string
	Placed []string
}

// Either implements strict.Either.
func (p *Parameters) Either(k strict.Kind) any {
	switch k {
	case strict.Object:
		return &p.Named
	case strict.Array:
		return &p.Placed
	}
	return nil
}

// Schema implements huma.SchemaProvider.
func (*Parameters) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{
		Description: "Values by name, or an array in the order of the placeholders.",
		OneOf: []*huma.Schema{
			{Type: huma.TypeObject, AdditionalProperties: text},
			{Type: huma.TypeArray, Items: text},
		},
	}
}

// Map gives the values by name, or by place from "1".
func (p Parameters) Map() map[string]string {
	if len(p.Placed) == 0 {
		return p.Named
	}
	m := make(map[string]string, len(p.Placed))
	for i, v := range p.Placed {
		m[strconv.Itoa(i+1)] = v
	}
	return m
}

// A Duration is a span of time on the wire: "60s", "5m", "1h30m", "2d", or ISO
// 8601 as "PT60S" and "P2D". Never below zero.
type Duration time.Duration

var errDuration = errors.New("not a duration")

// Hint implements strict.Hinter.
func (*Duration) Hint() string {
	return `must be a duration such as "60s", "5m", "1h30m", "2d" or "PT60S"`
}

// Schema implements huma.SchemaProvider.
func (*Duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: `A duration: "60s", "5m", "1h30m", "2d" or ISO 8601 ("PT60S").`, Examples: []any{"60s"}}
}

// MarshalText writes whole days as days, else what time.Duration prints
// without empty units.
func (d Duration) MarshalText() ([]byte, error) { return appendDuration(nil, time.Duration(d)), nil }

// UnmarshalText reads either form.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := parseDuration(string(b))
	*d = Duration(v)
	return err
}

func appendDuration(b []byte, d time.Duration) []byte {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return append(strconv.AppendInt(b, int64(d/day), 10), 'd')
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return append(b, s...)
}

func parseDuration(s string) (time.Duration, error) {
	if len(s) == 0 || len(s) > 32 || s[0] == '-' || s[0] == '+' {
		return 0, errDuration
	}
	if iso, ok := strings.CutPrefix(s, "P"); ok {
		return parseISO(iso)
	}
	var days time.Duration
	if whole, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(whole, 10, 15)
		if err != nil {
			return 0, errDuration
		}
		days = time.Duration(n) * 24 * time.Hour
		if s = rest; s == "" {
			return days, nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || v > 1<<62-days {
		return 0, errDuration
	}
	return days + v, nil
}

// parseISO reads what stands after the P of an ISO 8601 duration: weeks, days,
// hours, minutes and seconds (the last with a fraction). Months and years have
// no fixed length and are refused.
func parseISO(s string) (time.Duration, error) {
	var total time.Duration
	clock, any := false, false
	order := -1
	for s != "" {
		if s[0] == 'T' && !clock {
			clock, s, any = true, s[1:], false
			continue
		}
		end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end <= 0 {
			return 0, errDuration
		}
		units := [...]struct {
			sign  byte
			clock bool
			span  time.Duration
		}{{'W', false, 7 * 24 * time.Hour}, {'D', false, 24 * time.Hour}, {'H', true, time.Hour}, {'M', true, time.Minute}, {'S', true, time.Second}}
		found := false
		for i, u := range units {
			if u.sign != s[end] || u.clock != clock || i <= order {
				continue
			}
			n, err := strconv.ParseFloat(s[:end], 64)
			if err != nil || strings.Contains(s[:end], ".") && u.sign != 'S' || n > 1e9 {
				return 0, errDuration
			}
			v := n * float64(u.span)
			if v > float64(1<<61) || total > 1<<61 {
				return 0, errDuration
			}
			total += time.Duration(v)
			order, found = i, true
		}
		if !found {
			return 0, errDuration
		}
		any, s = true, s[end+1:]
	}
	if !any {
		return 0, errDuration
	}
	return total, nil
}

// An Amount is money on the wire: a decimal as text, since floating point
// loses money, and a currency of ISO 4217.
type Amount struct {
	Amount   string `json:"amount" doc:"A decimal with at most six places." example:"0.15"`
	Currency string `json:"currency" doc:"ISO 4217." example:"EUR"`
}

// money reads an amount not below zero; ok is false for anything else.
func (a Amount) money() (m message.Money, field string, ok bool) {
	whole, part, point := strings.Cut(a.Amount, ".")
	if whole == "" || len(whole) > 9 || len(part) > 6 || point && part == "" {
		return m, "amount", false
	}
	micros, err := strconv.ParseUint(whole+part+"000000"[len(part):], 10, 63)
	if err != nil {
		return m, "amount", false
	}
	if len(a.Currency) != 3 || strings.Trim(a.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return m, "currency", false
	}
	return message.Money{Micros: int64(micros), Currency: a.Currency}, "", true
}

// amount shows money; nil where the currency is not known.
func amount(m message.Money) *Amount {
	if m.Currency == "" {
		return nil
	}
	return &Amount{string(appendMicros(nil, m.Micros)), m.Currency}
}

func appendMicros(b []byte, micros int64) []byte {
	if micros < 0 {
		b, micros = append(b, '-'), -micros
	}
	b = strconv.AppendInt(b, micros/1e6, 10)
	rest := micros % 1e6
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for scale := int64(100_000); rest > 0; scale /= 10 {
		b = append(b, byte('0'+rest/scale))
		rest %= scale
	}
	return b
}
