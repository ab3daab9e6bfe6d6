package rules

import "time"

// A TTL is how long a provider keeps trying to deliver.
type TTL struct {
	Channel  string `yaml:"channel"`
	Category string `yaml:"category"` // authentication, utility, marketing, service, or any
	Default  int    `yaml:"default"`  // seconds, when nothing is set
	Min      int    `yaml:"min"`      // seconds, shortest that may be set
	Max      int    `yaml:"max"`      // seconds, longest that may be set
	Only     string `yaml:"only"`     // the one API that lets it be set, if not all
	Origin   `yaml:",inline"`
}

// DefaultTTL is what holds when none is set.
func (t TTL) DefaultTTL() time.Duration { return time.Duration(t.Default) * time.Second }

// Settable reports whether a time to live may be chosen at all.
func (t TTL) Settable() bool { return t.Min < t.Max }

// Clamp gives the settable time nearest to d.
func (t TTL) Clamp(d time.Duration) time.Duration {
	return min(max(d, time.Duration(t.Min)*time.Second), time.Duration(t.Max)*time.Second)
}

// A ReceiptHorizon is the time after which no receipt is waited for.
type ReceiptHorizon struct {
	Channel string `yaml:"channel"`
	Seconds int    `yaml:"horizon"`
	WithTTL bool   `yaml:"ends_with_ttl"` // a shorter time to live ends the wait
	Origin  `yaml:",inline"`
}

// For is the horizon of a message with this time to live (0: none was set).
func (r ReceiptHorizon) For(ttl time.Duration) time.Duration {
	d := time.Duration(r.Seconds) * time.Second
	if r.WithTTL && ttl > 0 && ttl < d {
		return ttl
	}
	return d
}

// A Wait is our default patience with a channel before the next step.
type Wait struct {
	Use       string   `yaml:"use"` // authentication, utility_urgent, utility, marketing
	Channel   string   `yaml:"channel"`
	Countries []string `yaml:"countries"` // empty: everywhere else
	TTL       int      `yaml:"ttl"`       // seconds to ask of the provider
	Seconds   int      `yaml:"wait"`      // seconds until the next step; 0: no automatic fallback
	Origin    `yaml:",inline"`
}

// Patience is the wait before the next step; 0 means never go on by itself.
func (w Wait) Patience() time.Duration { return time.Duration(w.Seconds) * time.Second }

// AskTTL is the time to live to ask of the provider.
func (w Wait) AskTTL() time.Duration { return time.Duration(w.TTL) * time.Second }

func (s *Set) loadWaits() error {
	var file struct {
		TTL      []TTL            `yaml:"ttl"`
		Receipts []ReceiptHorizon `yaml:"receipts"`
		Waits    []Wait           `yaml:"waits"`
	}
	if err := decode("waits.yaml", &file); err != nil {
		return err
	}
	for _, r := range file.TTL {
		if err := r.check("ttl " + r.Channel + " " + r.Category); err != nil {
			return err
		}
	}
	for _, r := range file.Receipts {
		if err := r.check("receipts " + r.Channel); err != nil {
			return err
		}
	}
	for _, r := range file.Waits {
		if err := r.check("wait " + r.Use); err != nil {
			return err
		}
	}
	s.ttls = group(file.TTL, func(t TTL) [2]string { return [2]string{t.Channel, t.Category} })
	s.receipts = group(file.Receipts, func(r ReceiptHorizon) string { return r.Channel })
	s.waits = group(file.Waits, func(w Wait) string { return w.Use })
	return nil
}

// TTL gives the bounds for a channel and template category, false where the
// channel has no time to live. "service" stands for free-form content.
func (v View) TTL(channel, category string) (TTL, bool) {
	if v.set == nil {
		return TTL{}, false
	}
	if t, ok := latest(v.set.ttls[[2]string{channel, category}], v.at); ok {
		return t, true
	}
	return latest(v.set.ttls[[2]string{channel, "any"}], v.at)
}

// ReceiptHorizon gives how long a channel's receipts may come, false if we
// know nothing about it.
func (v View) ReceiptHorizon(channel string) (ReceiptHorizon, bool) {
	if v.set == nil {
		return ReceiptHorizon{}, false
	}
	return latest(v.set.receipts[channel], v.at)
}

// Wait gives the default patience for a use (authentication, utility_urgent,
// utility, marketing) on a channel in a country (may be empty).
func (v View) Wait(use, channel, country string) (Wait, bool) {
	if v.set == nil {
		return Wait{}, false
	}
	var best Wait
	found := false
	for _, w := range v.set.waits[use] { // oldest first, so the last fit is the newest
		if w.Channel != channel || w.From.After(v.at) {
			continue
		}
		special := has(w.Countries, country)
		if special || len(w.Countries) == 0 && (!found || len(best.Countries) == 0) {
			best, found = w, true
		}
	}
	return best, found
}
