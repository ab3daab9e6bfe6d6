package rules

import (
	"bytes"
	"embed"
	"fmt"
	"sort"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed data/*.yaml
var files embed.FS

// Confidence says how far a row can be trusted.
type Confidence string

// The confidences, as in the sources: primary or several agreeing; one good
// secondary; weak, conflicting or recalled; and our own choice.
const (
	Certain Confidence = "certain"
	Likely  Confidence = "likely"
	Unsure  Confidence = "unsure"
	Design  Confidence = "design"
)

// An Origin says where a row comes from and since when it holds.
type Origin struct {
	From       time.Time  `yaml:"from"`       // first day in force, midnight UTC
	Source     string     `yaml:"source"`     // page, list or law
	Dated      time.Time  `yaml:"dated"`      // the date the source bears or was read
	Confidence Confidence `yaml:"confidence"` // how far to trust it
}

func (o Origin) check(what string) error {
	if o.From.IsZero() || o.Dated.IsZero() || o.Source == "" {
		return fmt.Errorf("rules: %s lacks a source or a date", what)
	}
	switch o.Confidence {
	case Certain, Likely, Unsure, Design:
		return nil
	}
	return fmt.Errorf("rules: %s has confidence %q", what, o.Confidence)
}

func (o Origin) from() time.Time { return o.From }

type dated interface{ from() time.Time }

// A Set is everything the rules say at all times. It never changes once
// loaded and may be shared.
type Set struct {
	windows   map[string][]Window // by channel
	margins   []margin
	ttls      map[[2]string][]TTL // by channel, category
	receipts  map[string][]ReceiptHorizon
	waits     map[string][]Wait // by use
	limits    map[string][]Limit
	keywords  map[string][]keywordSet // by language
	speaks    map[string][]string     // country to languages
	countries map[string][]Country
	cards     map[string][]*RateCard // by channel
	regimes   map[string][]*Regime   // by channel
}

// A View is a Set as of one time. The zero View knows nothing.
type View struct {
	set *Set
	at  time.Time
}

// As gives the rules in force at t: of each row the latest that began by then.
func (s *Set) As(t time.Time) View { return View{set: s, at: t} }

// Load reads the embedded data. It fails only if the data is broken, which the
// tests of this package rule out for a release.
func Load() (*Set, error) {
	s := &Set{}
	for _, load := range []func() error{
		s.loadWindows, s.loadWaits, s.loadLimits, s.loadKeywords, s.loadCountries, s.loadRates, s.loadBilling,
	} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func decode(name string, into any) error {
	raw, err := files.ReadFile("data/" + name)
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("rules: %s: %w", name, err)
	}
	return nil
}

// group sorts rows into lists by key, oldest first.
func group[K comparable, T dated](rows []T, key func(T) K) map[K][]T {
	out := map[K][]T{}
	for _, r := range rows {
		out[key(r)] = append(out[key(r)], r)
	}
	for _, list := range out {
		sort.SliceStable(list, func(i, j int) bool { return list[i].from().Before(list[j].from()) })
	}
	return out
}

// latest gives the last of an ordered list that began by t.
func latest[T dated](list []T, t time.Time) (T, bool) {
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].from().After(t) {
			return list[i], true
		}
	}
	var none T
	return none, false
}
