package workspace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Settings are a workspace's own choices. They are stored as JSON; a field not
// set takes the house's default, which its reader applies.
type Settings struct {
	// DefaultRoute is taken for messages that name none.
	DefaultRoute []RouteStep `json:"default_route,omitempty"`
	// DefaultRegion reads phone numbers written without a country code: ISO
	// 3166-1 alpha-2, upper case.
	DefaultRegion string `json:"default_region,omitempty"`
	// Timezone of the brand, an IANA name; "" = UTC.
	Timezone string `json:"timezone,omitempty"`
	// Retention says how long things are kept.
	Retention Retention `json:"retention,omitzero"`
	// TemplateMap gives the template, as name or name/language, that stands in
	// for free-form content of a purpose when the window is closed.
	TemplateMap map[message.Purpose]string `json:"template_map,omitempty"`
	// TemplateVariants groups templates that say the same with another
	// time-to-live under a base name.
	TemplateVariants map[string][]string `json:"template_variants,omitempty"`
	// PriceOverrides are the brand's negotiated prices; the first that fits
	// wins over the rate card.
	PriceOverrides []PriceOverride `json:"price_overrides,omitempty"`
	// MaxPrice is the limit for messages that name none; zero = no limit.
	MaxPrice Amount `json:"max_price,omitzero"`
}

// A Retention says how long things are kept; zero = the house's default.
type Retention struct {
	Messages Duration `json:"messages,omitempty"` // rows, with deliveries and charges
	Content  Duration `json:"content,omitempty"`  // what was said
	Events   Duration `json:"events,omitempty"`
	Webhooks Duration `json:"webhooks,omitempty"` // delivered or dead deliveries
}

// A RouteStep is one channel of a default route.
type RouteStep struct {
	Channel message.Channel
	Sender  message.SenderID // zero: the workspace's first sender of the channel
	Next    message.Trigger
}

type routeStepJSON struct {
	Channel message.Channel  `json:"channel"`
	Sender  message.SenderID `json:"sender,omitzero"`
	Next    *nextJSON        `json:"next_if,omitempty"`
}

type nextJSON struct {
	Failed       *bool    `json:"failed,omitempty"` // always so; accepted when true
	NotDelivered Duration `json:"not_delivered_in,omitempty"`
	NotRead      Duration `json:"not_read_in,omitempty"`
	NotReplied   Duration `json:"not_replied_in,omitempty"`
}

// MarshalJSON writes the form of the API: channel, sender, next_if.
func (s RouteStep) MarshalJSON() ([]byte, error) {
	out := routeStepJSON{Channel: s.Channel, Sender: s.Sender}
	if !s.Next.IsZero() {
		out.Next = &nextJSON{NotDelivered: Duration(s.Next.NotDelivered), NotRead: Duration(s.Next.NotRead), NotReplied: Duration(s.Next.NotReplied)}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses unknown fields.
func (s *RouteStep) UnmarshalJSON(b []byte) error {
	var in routeStepJSON
	if err := strict(b, &in); err != nil {
		return err
	}
	*s = RouteStep{Channel: in.Channel, Sender: in.Sender}
	if in.Next != nil {
		if in.Next.Failed != nil && !*in.Next.Failed {
			return &InvalidError{Field: "next_if.failed", Problem: "a failure always moves the route on", Remedy: "leave it out"}
		}
		s.Next = message.Trigger{NotDelivered: time.Duration(in.Next.NotDelivered), NotRead: time.Duration(in.Next.NotRead), NotReplied: time.Duration(in.Next.NotReplied)}
	}
	return nil
}

// A PriceOverride is a negotiated price of one attempt, or of one segment
// where the channel has segments. Empty fields fit everything.
type PriceOverride struct {
	Channel message.Channel `json:"channel"`
	Country string          `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Purpose message.Purpose `json:"purpose,omitempty"`
	Price   Amount          `json:"price"`
}

// An Amount is money in its JSON form: {"amount": "0.05", "currency": "EUR"}.
type Amount message.Money

// MarshalJSON writes the amount as a decimal with as many digits as it needs.
func (a Amount) MarshalJSON() ([]byte, error) {
	return json.Marshal(amountJSON{Amount: decimal(a.Micros), Currency: a.Currency})
}

type amountJSON struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// UnmarshalJSON reads a decimal of at most six places and a currency of three
// letters.
func (a *Amount) UnmarshalJSON(b []byte) error {
	var in amountJSON
	if err := strict(b, &in); err != nil {
		return err
	}
	micros, ok := micros(in.Amount)
	if !ok || !upper(in.Currency, 3) {
		return &InvalidError{Field: "price", Problem: "is no amount of money", Remedy: `write {"amount": "0.05", "currency": "EUR"}, at most six decimals`}
	}
	*a = Amount{Micros: micros, Currency: in.Currency}
	return nil
}

func decimal(micros int64) string {
	s := fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6)
	s = strings.TrimRight(s, "0")
	return strings.TrimSuffix(s, ".")
}

func micros(s string) (int64, bool) {
	whole, part, _ := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || len(part) > 6 || strings.HasSuffix(s, ".") {
		return 0, false
	}
	v, err := strconv.ParseUint(whole+part+"000000"[len(part):], 10, 63)
	return int64(v), err == nil
}

// A Duration is a span of time in its JSON form: what time.ParseDuration
// reads, or whole days as "30d".
type Duration time.Duration

// MarshalText writes whole days as days.
func (d Duration) MarshalText() ([]byte, error) {
	const day = Duration(24 * time.Hour)
	if d >= day && d%day == 0 {
		return append(strconv.AppendInt(nil, int64(d/day), 10), 'd'), nil
	}
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads a span not below zero.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*d = Duration(n) * Duration(24*time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return &InvalidError{Field: "duration", Problem: "is no span of time", Remedy: `write "90s", "1h30m" or "30d"`}
	}
	*d = Duration(v)
	return nil
}

// ParseSettings reads settings as a client gives them. It fails with
// *InvalidError, for unknown fields too.
func ParseSettings(b []byte) (Settings, error) {
	var s Settings
	if err := strict(b, &s); err != nil {
		return Settings{}, settingsError(err)
	}
	return s, s.validate()
}

// readSettings reads what is stored, and forgives what it does not know.
func readSettings(b []byte) (Settings, error) {
	var s Settings
	if len(b) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return Settings{}, settingsError(err)
	}
	return s, nil
}

func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return &InvalidError{Field: "settings", Problem: "more than one JSON value"}
	}
	return nil
}

func settingsError(err error) error {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return &InvalidError{Field: "settings", Problem: invalid.Error()}
	}
	return &InvalidError{Field: "settings", Problem: strings.TrimPrefix(err.Error(), "json: ")}
}

func (s *Settings) validate() error {
	bad := func(field, problem, remedy string) error {
		return &InvalidError{Field: "settings." + field, Problem: problem, Remedy: remedy}
	}
	if len(s.DefaultRoute) > 10 {
		return bad("default_route", "has more than 10 steps", "")
	}
	for i, step := range s.DefaultRoute {
		if step.Channel == "" {
			return bad(fmt.Sprintf("default_route[%d].channel", i), "is missing", "")
		}
	}
	if s.DefaultRegion != "" && !upper(s.DefaultRegion, 2) {
		return bad("default_region", "is no country", `write two capital letters, such as "FR"`)
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		return bad("timezone", "is not known", `write an IANA name, such as "Europe/Paris"`)
	}
	for _, purpose := range slices.Sorted(maps.Keys(s.TemplateMap)) {
		if !purpose.Valid() || s.TemplateMap[purpose] == "" {
			return bad("template_map", "has an unknown purpose or no template", "purposes are authentication, service, utility, marketing")
		}
	}
	for base, variants := range s.TemplateVariants {
		if base == "" || slices.Contains(variants, "") {
			return bad("template_variants", "has an empty name", "")
		}
	}
	for i, p := range s.PriceOverrides {
		if p.Channel == "" || p.Price.Currency == "" || p.Country != "" && !upper(p.Country, 2) || p.Purpose != "" && !p.Purpose.Valid() {
			return bad(fmt.Sprintf("price_overrides[%d]", i), "needs a channel and a price, and a country and purpose that exist", "")
		}
	}
	return nil
}

func upper(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}
