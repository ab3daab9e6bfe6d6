package rules

import (
	"fmt"
	"strings"
	"time"
)

// A Span is a part of a day in minutes after local midnight; the zero Span is
// no time at all. Start is inside, End is not.
type Span struct{ Start, End int }

// A Country is what SMS senders must know of one country. Hours and attitudes
// are for marketing; transactional and one-time-code traffic is exempt.
type Country struct {
	ISO              string
	Alpha            string     // alphanumeric senders: yes, registered, no, unknown
	TwoWay           string     // replies: yes, no, short_code, unknown
	Hours            [7]Span    // by time.Weekday: our safe default, local time
	Avoid            []string   // allowed but unwise: sun, fri, holiday …
	Forbid           []string   // never: sun, holiday …
	Must             []string   // obligations, as words: stop_36xxx, dlt_template …
	Note             string     // what an operator should read
	SenderConfidence Confidence // of Alpha and TwoWay; Origin.Confidence is that of the hours
	Origin
}

type countryRow struct {
	ISO              []string          `yaml:"iso"`
	Alpha            string            `yaml:"alpha"`
	TwoWay           string            `yaml:"two_way"`
	Hours            map[string]string `yaml:"hours"`
	Avoid            []string          `yaml:"avoid"`
	Forbid           []string          `yaml:"forbid"`
	Must             []string          `yaml:"must"`
	Note             string            `yaml:"note"`
	SenderConfidence Confidence        `yaml:"sender_confidence"`
	Origin           `yaml:",inline"`
}

func (s *Set) loadCountries() error {
	var file struct {
		Countries []countryRow `yaml:"countries"`
	}
	if err := decode("countries.yaml", &file); err != nil {
		return err
	}
	var all []Country
	for _, row := range file.Countries {
		if err := row.check("country " + strings.Join(row.ISO, " ")); err != nil {
			return err
		}
		hours, err := week(row.Hours)
		if err != nil {
			return fmt.Errorf("rules: country %v: %w", row.ISO, err)
		}
		for _, iso := range row.ISO {
			all = append(all, Country{
				ISO: iso, Alpha: row.Alpha, TwoWay: row.TwoWay, Hours: hours, Avoid: row.Avoid, Forbid: row.Forbid,
				Must: row.Must, Note: row.Note, SenderConfidence: row.SenderConfidence, Origin: row.Origin,
			})
		}
	}
	s.countries = group(all, func(c Country) string { return c.ISO })
	return nil
}

// week reads {"mon-fri": "08:00-20:00", "sat": …}.
func week(in map[string]string) (out [7]Span, err error) {
	for days, hours := range in {
		var h1, m1, h2, m2 int
		if _, err := fmt.Sscanf(hours, "%d:%d-%d:%d", &h1, &m1, &h2, &m2); err != nil {
			return out, fmt.Errorf("hours %q", hours)
		}
		first, last, ranged := strings.Cut(days, "-")
		if !ranged {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return out, fmt.Errorf("days %q", days)
		}
		for d := from; ; d = (d + 1) % 7 {
			out[d] = Span{h1*60 + m1, h2*60 + m2}
			if d == to {
				break
			}
		}
	}
	return out, nil
}

func weekday(s string) int {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.ToLower(d.String()[:3]) == s {
			return int(d)
		}
	}
	return -1
}

// Country gives the sender law and hours of a country (ISO 3166 alpha-2, upper
// case), false where nothing is known.
func (v View) Country(iso string) (Country, bool) {
	if v.set == nil {
		return Country{}, false
	}
	return latest(v.set.countries[iso], v.at)
}
