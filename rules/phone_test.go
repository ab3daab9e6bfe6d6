package rules

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nyaruka/phonenumbers"
)

func TestNormalize(t *testing.T) {
	p := NewPhones(PhoneOptions{Sandbox: true})
	tests := []struct {
		input, region string
		want          Number
		reason        PhoneReason
	}{
		{"+33612345678", "", Number{"+33612345678", "FR", PhoneMobile}, ""},
		{"06 12 34 56 78", "FR", Number{"+33612345678", "FR", PhoneMobile}, ""},
		{"06 12 34 56 78", "fr", Number{"+33612345678", "FR", PhoneMobile}, ""},
		{"+33 (0)6 12-34.56 78", "", Number{"+33612345678", "FR", PhoneMobile}, ""},
		{"0033612345678", "FR", Number{"+33612345678", "FR", PhoneMobile}, ""},
		{"+4407912345678", "", Number{"+447912345678", "GB", PhoneMobile}, ""},
		{"＋４９ 1512 3456789", "", Number{"+4915123456789", "DE", PhoneMobile}, ""},
		{"+12125550123", "", Number{"+12125550123", "US", PhoneFixedOrMobile}, ""},
		{"+14165550123", "", Number{"+14165550123", "CA", PhoneFixedOrMobile}, ""},
		{"+18765550123", "", Number{"+18765550123", "JM", PhoneMobile}, ""},
		{"+77012345678", "", Number{"+77012345678", "KZ", PhoneMobile}, ""},
		{"+390612345678", "", Number{"+390612345678", "IT", PhoneLandline}, ""},
		{"+33140000000", "", Number{"+33140000000", "FR", PhoneLandline}, ""},
		{"+33899000000", "", Number{"+33899000000", "FR", PhonePremium}, ""},
		{"+80012345678", "", Number{"+80012345678", "001", PhoneTollFree}, ""},
		{"+999000001", "", Number{"+999000001", "ZZ", PhoneSandbox}, ""},
		{"+999 00 00-01", "", Number{"+999000001", "ZZ", PhoneSandbox}, ""},
		{"", "FR", Number{}, PhoneEmpty},
		{"  ", "FR", Number{}, PhoneEmpty},
		{"+", "FR", Number{}, PhoneTooShort},
		{"+1 800 FLOWERS", "", Number{}, PhoneLetters},
		{"tel:+33612345678", "", Number{}, PhoneLetters},
		{"+33612345678 x12", "", Number{}, PhoneLetters},
		{"06*12", "FR", Number{}, PhoneNotNumber},
		{"33+612345678", "FR", Number{}, PhoneNotNumber},
		{"0612345678", "", Number{}, PhoneNoCountry},
		{"0612345678", "XX", Number{}, PhoneUnknownRegion},
		{"+2101234567", "", Number{}, PhoneUnknownCode},
		{"+0612345678", "", Number{}, PhoneUnknownCode},
		{"+336123456", "", Number{}, PhoneTooShort},
		{"+336123456789", "", Number{}, PhoneTooLong},
		{"+3361234567890123", "", Number{}, PhoneTooLong},
		{"+33012345678", "", Number{}, PhoneUnassigned},
		{"+12005550123", "", Number{}, PhoneUnassigned},
	}
	for _, tt := range tests {
		t.Run(tt.input+"/"+tt.region, func(t *testing.T) {
			got, err := p.Parse(tt.input, tt.region)
			var refused *PhoneError
			if errors.As(err, &refused) != (tt.reason != "") || (refused != nil && refused.Reason != tt.reason) {
				t.Fatalf("error %v, want %q", err, tt.reason)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPhoneOptions(t *testing.T) {
	strict, lax := NewPhones(PhoneOptions{}), NewPhones(PhoneOptions{AcceptUnassigned: true})
	if _, err := strict.Parse("+999000001", ""); err == nil || err.Error() != "phone number refused: no_such_country_code" {
		t.Errorf("a sandbox number without the option: %v", err)
	}
	n, err := lax.Parse("+12005550123", "")
	if diff := cmp.Diff(Number{"+12005550123", "US", PhoneUnknown}, n); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := lax.Parse("+1200555", ""); err == nil {
		t.Error("a number of no possible length was taken")
	}
}

// judge is what the library says of the same input.
func judge(s string) (Number, bool) {
	var n phonenumbers.PhoneNumber
	if phonenumbers.ParseToNumber(s, "", &n) != nil || !phonenumbers.IsValidNumber(&n) {
		return Number{}, false
	}
	kinds := map[phonenumbers.PhoneNumberType]PhoneKind{
		phonenumbers.FIXED_LINE: PhoneLandline, phonenumbers.MOBILE: PhoneMobile,
		phonenumbers.FIXED_LINE_OR_MOBILE: PhoneFixedOrMobile, phonenumbers.TOLL_FREE: PhoneTollFree,
		phonenumbers.PREMIUM_RATE: PhonePremium, phonenumbers.SHARED_COST: PhoneSharedCost,
		phonenumbers.VOIP: PhoneVoIP, phonenumbers.PERSONAL_NUMBER: PhonePersonal, phonenumbers.PAGER: PhonePager,
		phonenumbers.UAN: PhoneCompany, phonenumbers.VOICEMAIL: PhoneVoicemail,
	}
	return Number{
		phonenumbers.Format(&n, phonenumbers.E164), phonenumbers.GetRegionCodeForNumber(&n),
		kinds[phonenumbers.GetNumberType(&n)],
	}, true
}

// TestPlansAgree holds the compiled plans of the whole world against the
// library: examples of each type, their neighbours, and random digits.
func TestPlansAgree(t *testing.T) {
	p := NewPhones(PhoneOptions{})
	random := rand.New(rand.NewPCG(1, 2))
	check := func(s string) {
		want, ok := judge(s)
		got, err := p.Parse(s, "")
		if ok != (err == nil) || got != want {
			t.Errorf("%s: got %v %v, want %v %v", s, got, err, want, ok)
		}
	}
	types := []phonenumbers.PhoneNumberType{
		phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE,
		phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER, phonenumbers.UAN,
	}
	for region := range phonenumbers.GetSupportedRegions() {
		for _, typ := range types {
			n := phonenumbers.GetExampleNumberForType(region, typ)
			if n == nil {
				continue
			}
			s := phonenumbers.Format(n, phonenumbers.E164)
			check(s)
			for range 6 {
				b := []byte(s)
				b[1+random.IntN(len(b)-1)] = '0' + byte(random.IntN(10))
				check(string(b))
			}
		}
		for range 6 {
			var b strings.Builder
			b.WriteString("+" + strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region)))
			for range 5 + random.IntN(8) {
				b.WriteByte('0' + byte(random.IntN(10)))
			}
			if b.Len() <= 16 {
				check(b.String())
			}
		}
	}
}

func TestPhonesConcurrently(t *testing.T) {
	p := NewPhones(PhoneOptions{})
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := p.Parse("+33612345678", "")
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestPlainNumbersAllocateNothing(t *testing.T) {
	p := NewPhones(PhoneOptions{})
	for _, s := range []string{"+33612345678", "+12125550123", "+447912345678", "+5511961234567"} {
		if _, err := p.Parse(s, ""); err != nil {
			t.Fatal(s, err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Parse(s, "") }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func FuzzPhone(f *testing.F) {
	for _, s := range []string{"+33612345678", "06 12", "+999123", "+44 (0)7912 345678", "＋４９ 1512", "x", "+٣٣٦١٢٣٤٥٦٧٨"} {
		f.Add(s, "FR")
	}
	p := NewPhones(PhoneOptions{Sandbox: true, AcceptUnassigned: true})
	f.Fuzz(func(t *testing.T, input, region string) {
		n, err := p.Parse(input, region)
		if err != nil {
			var refused *PhoneError
			if !errors.As(err, &refused) || refused.Reason == "" {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !plainE164(n.E164) || n.Country == "" {
			t.Fatalf("%q became %v", input, n)
		}
		again, err := p.Parse(n.E164, "")
		if err != nil || again != n {
			t.Fatalf("%v read again is %v, %v", n, again, err)
		}
	})
}

func BenchmarkPhone(b *testing.B) {
	p := NewPhones(PhoneOptions{})
	for _, s := range []string{"+33612345678", "+12125550123", "+5511961234567", "06 12 34 56 78"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Parse(s, "FR"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, code := range []int{1, 33, 44, 49} {
		b.Run(strconv.Itoa(code), func(b *testing.B) {
			p := NewPhones(PhoneOptions{})
			p.load.Do(p.loadMeta)
			for b.Loop() {
				plan := p.compile(code)
				b.ReportMetric(float64(len(plan.states)), "states")
			}
		})
	}
}
