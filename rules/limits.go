package rules

import "time"

// A Limit is how many of something a provider allows.
type Limit struct {
	Channel string `yaml:"channel"`
	Name    string `yaml:"name"`
	Per     string `yaml:"per"`     // recipient, sender, portfolio, account, session, group
	Count   int    `yaml:"count"`   // this many
	Seconds int    `yaml:"seconds"` // in this span; 0: in all
	Burst   int    `yaml:"burst"`   // this many at once, paid back later; 0: none known
	Code    string `yaml:"code"`    // the provider's answer to more
	Origin  `yaml:",inline"`
}

// Every is the even spacing of the limit, 0 for totals.
func (l Limit) Every() time.Duration {
	if l.Seconds == 0 || l.Count == 0 {
		return 0
	}
	return time.Duration(l.Seconds) * time.Second / time.Duration(l.Count)
}

func (s *Set) loadLimits() error {
	var file struct {
		Limits []Limit `yaml:"limits"`
	}
	if err := decode("limits.yaml", &file); err != nil {
		return err
	}
	for _, l := range file.Limits {
		if err := l.check("limit " + l.Channel + " " + l.Name); err != nil {
			return err
		}
	}
	s.limits = group(file.Limits, func(l Limit) string { return l.Channel + " " + l.Name })
	return nil
}

// Limit gives a channel's limit by name: on whatsapp pair, throughput,
// throughput_high, throughput_coexistence, tier_250 … tier_100k, management.
func (v View) Limit(channel, name string) (Limit, bool) {
	if v.set == nil {
		return Limit{}, false
	}
	return latest(v.set.limits[channel+" "+name], v.at)
}
