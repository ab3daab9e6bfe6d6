package rules

import "fmt"

// Charging says whether a kind of message costs anything.
type Charging uint8

// The ways of charging.
const (
	Charged   Charging = iota + 1
	Free               // by the provider's rule, whatever the card says
	Allowance          // free up to Regime.Allowance a sender and month, then charged
	Forbidden          // may not be sent at all
)

// A Regime is how a channel charges from one day on.
type Regime struct {
	Channel     string
	Unit        string   // message or segment
	ChargedOn   string   // send or delivery
	Templates   bool     // free-form and template categories differ (WhatsApp)
	AccountZone bool     // days begin at midnight of the provider account's time zone
	Entry       Charging // inside an open entry point; 0: makes no difference
	Allowance   int      // messages a sender and month
	Origin

	closed, open [Marketing + 1]Charging
	aliases      map[string]Category
}

// Charging gives the rule for a category with the customer service window open
// or closed. Channels without windows charge alike in both.
func (r *Regime) Charging(c Category, windowOpen bool) Charging {
	if c == AuthenticationInternational {
		c = Authentication
	}
	if c > Marketing {
		return 0
	}
	if windowOpen {
		return r.open[c]
	}
	return r.closed[c]
}

// Category reads the provider's word for what it charged, including words that
// stand for another category's price ("marketing_lite", "group_utility").
func (r *Regime) Category(word string) (Category, bool) {
	if c, ok := ParseCategory(word); ok {
		return c, true
	}
	c, ok := r.aliases[word]
	return c, ok
}

type regimeRow struct {
	Channel        string            `yaml:"channel"`
	Unit           string            `yaml:"unit"`
	ChargedOn      string            `yaml:"charged_on"`
	Zone           string            `yaml:"zone"`
	All            string            `yaml:"all"`
	Service        string            `yaml:"service"`
	Utility        string            `yaml:"utility"`
	Authentication string            `yaml:"authentication"`
	Marketing      string            `yaml:"marketing"`
	Closed         map[string]string `yaml:"closed"`
	Open           map[string]string `yaml:"open"`
	Entry          string            `yaml:"entry"`
	Allowance      int               `yaml:"allowance"`
	Categories     map[string]string `yaml:"categories"`
	Origin         `yaml:",inline"`
}

func (s *Set) loadBilling() error {
	var file struct {
		Regimes []regimeRow `yaml:"regimes"`
	}
	if err := decode("billing.yaml", &file); err != nil {
		return err
	}
	var all []*Regime
	for _, row := range file.Regimes {
		r, err := row.regime()
		if err != nil {
			return fmt.Errorf("rules: billing of %s: %w", row.Channel, err)
		}
		all = append(all, r)
	}
	s.regimes = group(all, func(r *Regime) string { return r.Channel })
	return nil
}

func (row regimeRow) regime() (*Regime, error) {
	if err := row.check("the regime"); err != nil {
		return nil, err
	}
	r := &Regime{
		Channel: row.Channel, Unit: row.Unit, ChargedOn: row.ChargedOn, Templates: row.Closed != nil,
		AccountZone: row.Zone == "account", Allowance: row.Allowance, Origin: row.Origin, aliases: map[string]Category{},
	}
	if row.Unit != "message" && row.Unit != "segment" || row.ChargedOn != "send" && row.ChargedOn != "delivery" {
		return nil, fmt.Errorf("unit %q, charged on %q", row.Unit, row.ChargedOn)
	}
	if row.Entry != "" {
		entry, err := charging(row.Entry)
		if err != nil {
			return nil, err
		}
		r.Entry = entry
	}
	flat := map[string]string{
		"service": row.Service, "utility": row.Utility, "authentication": row.Authentication, "marketing": row.Marketing,
	}
	for c := Service; c <= Marketing; c++ {
		closed, open := row.Closed[c.String()], row.Open[c.String()]
		if !r.Templates {
			closed = flat[c.String()]
			if row.All != "" {
				closed = row.All
			}
			open = closed
		}
		var err error
		if r.closed[c], err = charging(closed); err != nil {
			return nil, err
		}
		if r.open[c], err = charging(open); err != nil {
			return nil, err
		}
	}
	for word, means := range row.Categories {
		c, ok := ParseCategory(means)
		if !ok {
			return nil, fmt.Errorf("category %q", means)
		}
		r.aliases[word] = c
	}
	return r, nil
}

func charging(word string) (Charging, error) {
	switch word {
	case "charged":
		return Charged, nil
	case "free":
		return Free, nil
	case "allowance":
		return Allowance, nil
	case "forbidden":
		return Forbidden, nil
	}
	return 0, fmt.Errorf("charging %q", word)
}

// Channels lists the channels whose charging is known, in no order.
func (s *Set) Channels() []string {
	out := make([]string, 0, len(s.regimes))
	for c := range s.regimes {
		out = append(out, c)
	}
	return out
}

// Regimes lists all regimes of a channel, oldest first.
func (s *Set) Regimes(channel string) []*Regime { return s.regimes[channel] }

// Regime gives how a channel charges now, false if it is unknown.
func (v View) Regime(channel string) (*Regime, bool) {
	if v.set == nil {
		return nil, false
	}
	return latest(v.set.regimes[channel], v.at)
}
