package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

// A Category is what a message is charged as.
type Category uint8

// The categories. Service is free-form content inside a window.
const (
	Service Category = iota
	Utility
	Authentication
	Marketing
	AuthenticationInternational // WhatsApp only, for businesses that Meta told so
	categories
)

// String is the provider's word for the category.
func (c Category) String() string {
	words := [...]string{"service", "utility", "authentication", "marketing", "authentication-international"}
	if int(c) >= len(words) {
		return "unknown"
	}
	return words[c]
}

// ParseCategory reads a category's word, in either spelling and case; false if
// it is none.
func ParseCategory(s string) (Category, bool) {
	switch s { // the spellings of the hot path first
	case "service":
		return Service, true
	case "utility":
		return Utility, true
	case "authentication":
		return Authentication, true
	case "marketing":
		return Marketing, true
	case "authentication-international", "authentication_international":
		return AuthenticationInternational, true
	}
	if l := strings.ToLower(s); l != s {
		return ParseCategory(l)
	}
	return 0, false
}

const (
	rateUnknown = -1 // a price exists and we do not know it
	rateAbsent  = -2 // the market has no such category
)

// A Rate is the price of one unit.
type Rate struct {
	Micro      int64      // millionths of the card's currency
	Market     string     // the row it came from: "FR", "Rest of Africa", "Other"
	Confidence Confidence // of that row
}

// A RateCard is one provider's price list from one day on.
type RateCard struct {
	ID       string // the list: "meta-usd"
	Label    string // the list and its day: "meta-usd@2026-10-01"; stored with each charge
	Channel  string
	Currency string // ISO 4217
	Unit     string // message or segment
	Origin
	rows  []rateRow
	index [26 * 26]uint8 // row by country, plus one; 0: other
	other uint8
}

type rateRow struct {
	market string
	micro  [categories]int64
	Origin
}

// Rate gives the price for a country (ISO 3166 alpha-2, upper case) and
// category; false where the card has none or leaves it open. It allocates
// nothing.
func (c *RateCard) Rate(country string, category Category) (Rate, bool) {
	at := c.other
	if i := isoIndex(country); i >= 0 && c.index[i] != 0 {
		at = c.index[i]
	}
	if at == 0 || category >= categories {
		return Rate{}, false
	}
	row := &c.rows[at-1]
	micro := row.micro[category]
	if micro == rateAbsent && category == AuthenticationInternational {
		micro = row.micro[Authentication]
	}
	if micro < 0 {
		return Rate{}, false
	}
	return Rate{Micro: micro, Market: row.market, Confidence: row.Confidence}, true
}

// Origins lists where each row's price comes from, by market.
func (c *RateCard) Origins() map[string]Origin {
	out := map[string]Origin{}
	for _, r := range c.rows {
		out[r.market] = r.Origin
	}
	return out
}

func isoIndex(iso string) int {
	if len(iso) != 2 || iso[0]-'A' > 25 || iso[1]-'A' > 25 {
		return -1
	}
	return int(iso[0]-'A')*26 + int(iso[1]-'A')
}

type cardFile struct {
	Cards []struct {
		ID       string              `yaml:"id"`
		Channel  string              `yaml:"channel"`
		Currency string              `yaml:"currency"`
		Unit     string              `yaml:"unit"`
		Rows     []cardRow           `yaml:"rows"`
		Markets  map[string][]string `yaml:"markets"`
		Origin   `yaml:",inline"`
	} `yaml:"cards"`
}

type cardRow struct {
	Market         string     `yaml:"market"`
	Any            string     `yaml:"any"`
	Service        string     `yaml:"service"`
	Utility        string     `yaml:"utility"`
	Authentication string     `yaml:"authentication"`
	Marketing      string     `yaml:"marketing"`
	International  string     `yaml:"authentication_international"`
	Source         string     `yaml:"source"`
	Dated          time.Time  `yaml:"dated"`
	Confidence     Confidence `yaml:"confidence"`
}

func (s *Set) loadRates() error {
	var all []*RateCard
	for _, name := range []string{"rates-whatsapp.yaml", "rates-sms.yaml"} {
		var file cardFile
		if err := decode(name, &file); err != nil {
			return err
		}
		for _, in := range file.Cards {
			card := &RateCard{
				ID: in.ID, Label: in.ID + "@" + in.From.Format(time.DateOnly),
				Channel: in.Channel, Currency: in.Currency, Unit: in.Unit, Origin: in.Origin,
			}
			if err := card.fill(in.Rows, in.Markets); err != nil {
				return fmt.Errorf("rules: %s: %s: %w", name, card.Label, err)
			}
			all = append(all, card)
		}
	}
	s.cards = group(all, func(c *RateCard) string { return c.Channel })
	return nil
}

func (c *RateCard) fill(rows []cardRow, markets map[string][]string) error {
	if err := c.check("the card"); err != nil {
		return err
	}
	byMarket := map[string]uint8{}
	for i, in := range rows {
		if i > 254 || byMarket[in.Market] != 0 {
			return fmt.Errorf("row %q is one too many", in.Market)
		}
		row := rateRow{market: in.Market, Origin: c.Origin}
		if in.Source != "" {
			row.Source, row.Dated, row.Confidence = in.Source, in.Dated, in.Confidence
		}
		if err := row.check("row " + in.Market); err != nil {
			return err
		}
		cells := [categories]string{in.Service, in.Utility, in.Authentication, in.Marketing, in.International}
		for k, cell := range cells {
			if in.Any != "" {
				cell = in.Any
			}
			micro, err := microCell(Category(k), cell)
			if err != nil {
				return fmt.Errorf("row %q: %w", in.Market, err)
			}
			row.micro[k] = micro
		}
		c.rows = append(c.rows, row)
		at := uint8(i + 1)
		byMarket[in.Market] = at
		if n := isoIndex(in.Market); n >= 0 {
			c.index[n] = at
		}
	}
	c.other = byMarket["Other"]
	for market, countries := range markets {
		for _, iso := range countries {
			n := isoIndex(iso)
			if n < 0 || byMarket[market] == 0 || c.index[n] != 0 {
				return fmt.Errorf("country %q of market %q is unknown or in two markets", iso, market)
			}
			c.index[n] = byMarket[market]
		}
	}
	return nil
}

func microCell(k Category, cell string) (int64, error) {
	switch {
	case cell == "" && k == AuthenticationInternational:
		return rateAbsent, nil
	case cell == "" || cell == "unknown":
		return rateUnknown, nil
	}
	d, err := decimal.Parse(cell)
	if err != nil || d.IsNeg() {
		return 0, fmt.Errorf("price %q is not a decimal of 0 or more", cell)
	}
	million, err := decimal.New(1_000_000, 0)
	if err != nil {
		return 0, err
	}
	micro, err := d.Mul(million)
	if err != nil {
		return 0, err
	}
	whole, frac, ok := micro.Int64(0)
	if !ok || frac != 0 || !micro.IsInt() {
		return 0, fmt.Errorf("price %q has more than six decimals", cell)
	}
	return whole, nil
}

// Cards lists all price lists of a channel, oldest first.
func (s *Set) Cards(channel string) []*RateCard { return s.cards[channel] }

// Card gives a channel's price list in force, false where no price is
// published (RCS, Viber) or none was known then.
func (v View) Card(channel string) (*RateCard, bool) {
	if v.set == nil {
		return nil, false
	}
	return latest(v.set.cards[channel], v.at)
}
