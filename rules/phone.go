package rules

import (
	"errors"
	"strings"
	"sync"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// PhoneReason says in one word why a phone number was refused. It never
// contains any part of the number.
type PhoneReason string

// The reasons a number is refused for.
const (
	PhoneEmpty         PhoneReason = "empty"           // nothing but spaces
	PhoneLetters       PhoneReason = "letters"         // letters, as in vanity numbers or extensions
	PhoneNotNumber     PhoneReason = "not_a_number"    // signs that no phone number has, or a plus in the middle
	PhoneNoCountry     PhoneReason = "no_country_code" // national form and no default region to read it in
	PhoneUnknownRegion PhoneReason = "unknown_region"  // the default region is no ISO 3166 code with telephones
	PhoneUnknownCode   PhoneReason = "no_such_country_code"
	PhoneTooShort      PhoneReason = "too_short"
	PhoneTooLong       PhoneReason = "too_long"
	PhoneWrongLength   PhoneReason = "wrong_length" // between the shortest and the longest, yet used by no number there
	PhoneUnassigned    PhoneReason = "unassigned"   // right length, but in no range the country has opened
)

// A PhoneError is the only error Phones returns. Its text names the reason and
// never the number, so that it may be logged and shown.
type PhoneError struct{ Reason PhoneReason }

// Error says the reason in words.
func (e *PhoneError) Error() string { return "phone number refused: " + string(e.Reason) }

// PhoneKind is what a number's range is used for in its country's plan.
type PhoneKind uint8

// The kinds of numbers, as the numbering plans tell them apart.
const (
	PhoneUnknown PhoneKind = iota // no range known (only with AcceptUnassigned)
	PhoneMobile
	PhoneFixedOrMobile // plans such as North America's do not tell
	PhoneLandline
	PhoneTollFree
	PhonePremium
	PhoneSharedCost
	PhoneVoIP
	PhonePersonal
	PhonePager
	PhoneCompany // universal access numbers
	PhoneVoicemail
	PhoneSandbox // +999…, only with Sandbox
)

// String is the kind's word, as written in logs and answers.
func (k PhoneKind) String() string {
	words := [...]string{
		"unknown", "mobile", "fixed_or_mobile", "landline", "toll_free", "premium", "shared_cost",
		"voip", "personal", "pager", "company", "voicemail", "sandbox",
	}
	if int(k) >= len(words) {
		return "unknown"
	}
	return words[k]
}

// Premium reports whether the person pays extra when the number is used, or
// the sender does: such numbers are a known route of toll fraud.
func (k PhoneKind) Premium() bool { return k == PhonePremium || k == PhoneSharedCost }

// Landline reports whether the range is certainly not mobile, so that an SMS
// will most likely not arrive.
func (k PhoneKind) Landline() bool { return k == PhoneLandline }

// A Number is a phone number in the one form the platform stores.
type Number struct {
	E164    string    // "+" and at most 15 digits (ITU-T E.164)
	Country string    // ISO 3166 alpha-2; "001" for numbers of no country (+800, +870 …); "ZZ" in the sandbox
	Kind    PhoneKind // what the range is used for
}

// PhoneOptions says which numbers are taken beyond those the plans know.
// The zero value takes only numbers in assigned ranges.
type PhoneOptions struct {
	// Sandbox takes +999 followed by 1 to 12 digits. ITU-T assigns +999 to
	// nobody, so such a number can reach no real person.
	Sandbox bool
	// AcceptUnassigned takes numbers of a right length in ranges that our
	// numbering data does not know: use it for numbers a provider tells us,
	// since plans grow faster than data.
	AcceptUnassigned bool
}

// Phones reads phone numbers. It is safe for concurrent use. The numbering
// plans are compiled when the first number of each calling code is met.
type Phones struct {
	options PhoneOptions
	load    sync.Once
	meta    map[string]*phonenumbers.PhoneMetadata // by region
	world   map[int]*phonenumbers.PhoneMetadata    // by calling code, for codes of no country
	plans   [1000]planSlot                         // by calling code
}

type planSlot struct {
	once sync.Once
	plan *plan
}

// NewPhones makes a reader of phone numbers; it does no work before the first.
func NewPhones(o PhoneOptions) *Phones { return &Phones{options: o} }

// Normalize gives the E.164 form of input and its country. defaultRegion (ISO
// 3166 alpha-2, may be empty) is used only for numbers without a leading plus.
// Errors are *PhoneError.
func (p *Phones) Normalize(input, defaultRegion string) (e164, country string, err error) {
	n, err := p.Parse(input, defaultRegion)
	return n.E164, n.Country, err
}

// Parse is Normalize that also tells the kind of number.
func (p *Phones) Parse(input, defaultRegion string) (Number, error) {
	if plainE164(input) {
		n, reason, sure := p.plain(input)
		if reason == "" {
			return n, nil
		}
		if sure {
			return Number{}, &PhoneError{reason}
		}
	}
	return p.spelled(input, defaultRegion)
}

// plainE164 reports whether s is a plus and 2 to 15 ASCII digits.
func plainE164(s string) bool {
	if len(s) < 3 || len(s) > 16 || s[0] != '+' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// plain judges a number of E.164's shape without regular expressions. sure is
// false where the digits may still hold a national prefix to take away.
func (p *Phones) plain(s string) (n Number, reason PhoneReason, sure bool) {
	if len(s) > 4 && s[:4] == "+999" {
		if !p.options.Sandbox {
			return n, PhoneUnknownCode, true
		}
		return Number{E164: s, Country: "ZZ", Kind: PhoneSandbox}, "", true
	}
	plan, digits := p.planOf(s[1:])
	if plan == nil {
		return n, PhoneUnknownCode, true
	}
	at, ok := plan.walk(digits)
	switch {
	case ok && plan.prefixed(digits):
		return n, PhoneUnassigned, false
	case ok:
		return Number{E164: s, Country: plan.regions[at.region], Kind: at.kind}, "", true
	}
	return n, plan.lengthReason(len(digits)), false
}

// planOf finds the plan of the calling code that starts digits. Calling codes
// are prefix-free, so the first that fits is the only one.
func (p *Phones) planOf(digits string) (*plan, string) {
	code := 0
	for i := 0; i < 3 && i < len(digits); i++ {
		code = code*10 + int(digits[i]-'0')
		if code == 0 {
			return nil, ""
		}
		if plan := p.planFor(code); plan != nil {
			return plan, digits[i+1:]
		}
	}
	return nil, ""
}

func (p *Phones) planFor(code int) *plan {
	slot := &p.plans[code]
	slot.once.Do(func() {
		p.load.Do(p.loadMeta)
		slot.plan = p.compile(code)
	})
	return slot.plan
}

func (p *Phones) loadMeta() {
	p.meta, p.world = map[string]*phonenumbers.PhoneMetadata{}, map[int]*phonenumbers.PhoneMetadata{}
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return // the library embeds its data and panics by itself when it cannot be read
	}
	for _, m := range all.GetMetadata() {
		if m.GetId() == "001" {
			p.world[int(m.GetCountryCode())] = m
		} else {
			p.meta[m.GetId()] = m
		}
	}
}

// spelled reads what a person typed: spaces, brackets, national forms.
func (p *Phones) spelled(input, region string) (Number, error) {
	if reason := shape(input); reason != "" {
		return Number{}, &PhoneError{reason}
	}
	if strings.ContainsAny(input, "+＋") {
		if s := "+" + phonenumbers.NormalizeDigitsOnly(input); strings.HasPrefix(s, "+999") && plainE164(s) {
			n, reason, _ := p.plain(s)
			if reason != "" {
				return n, &PhoneError{reason}
			}
			return n, nil
		}
	}
	var parsed phonenumbers.PhoneNumber
	region = upperASCII(region)
	if err := phonenumbers.ParseToNumber(input, region, &parsed); err != nil {
		return Number{}, &PhoneError{p.parseReason(input, region, err)}
	}
	e164 := phonenumbers.Format(&parsed, phonenumbers.E164)
	if !plainE164(e164) {
		if len(e164) > 16 {
			return Number{}, &PhoneError{PhoneTooLong}
		}
		return Number{}, &PhoneError{PhoneNotNumber}
	}
	plan, digits := p.planOf(e164[1:])
	if plan == nil {
		return Number{}, &PhoneError{PhoneUnknownCode}
	}
	if at, ok := plan.walk(digits); ok {
		return Number{E164: e164, Country: plan.regions[at.region], Kind: at.kind}, nil
	}
	reason := plan.lengthReason(len(digits))
	if reason == PhoneUnassigned && p.options.AcceptUnassigned && settled(e164) {
		return Number{E164: e164, Country: plan.regions[0], Kind: PhoneUnknown}, nil
	}
	return Number{}, &PhoneError{reason}
}

// settled reports whether a number read again is itself: of one that nobody was
// assigned, a national prefix may be taken away each time it is read.
func settled(e164 string) bool {
	var again phonenumbers.PhoneNumber
	err := phonenumbers.ParseToNumber(e164, "", &again)
	return err == nil && phonenumbers.Format(&again, phonenumbers.E164) == e164
}

// shape refuses what no phone number looks like before any of it is parsed.
func shape(input string) PhoneReason {
	digits, marks := 0, 0
	for _, r := range input {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			return PhoneLetters
		case r == '+' || r == '＋':
			if digits > 0 || marks > 0 {
				return PhoneNotNumber
			}
			marks++
		case unicode.IsSpace(r) || unicode.In(r, unicode.Cf), unicode.In(r, unicode.Pd):
		case r == '(' || r == ')' || r == '.' || r == '/' || r == '·' || r == '−':
		default:
			return PhoneNotNumber
		}
	}
	switch {
	case digits == 0 && marks == 0:
		return PhoneEmpty
	case digits < 3:
		return PhoneTooShort
	case digits > 20: // international prefix of up to 5 before 15
		return PhoneTooLong
	}
	return ""
}

func (p *Phones) parseReason(input, region string, err error) PhoneReason {
	international := false
	for _, r := range input {
		if r == '+' || r == '＋' {
			international = true
		}
	}
	switch {
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return PhoneTooLong
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return PhoneTooShort
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && international:
		return PhoneUnknownCode
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && region == "":
		return PhoneNoCountry
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		p.load.Do(p.loadMeta)
		if p.meta[region] == nil {
			return PhoneUnknownRegion
		}
		return PhoneUnknownCode
	}
	return PhoneNotNumber
}

func upperASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'a' <= b[j] && b[j] <= 'z' {
					b[j] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
