package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func load(t testing.TB) *Set {
	t.Helper()
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func TestEveryRowHasAnOrigin(t *testing.T) {
	s := load(t)
	n := 0
	see := func(what string, o Origin) {
		n++
		if err := o.check(what); err != nil {
			t.Error(err)
		}
	}
	for _, list := range s.windows {
		for _, r := range list {
			see("window", r.Origin)
		}
	}
	for _, list := range s.ttls {
		for _, r := range list {
			see("ttl", r.Origin)
		}
	}
	for _, list := range s.receipts {
		for _, r := range list {
			see("receipt", r.Origin)
		}
	}
	for _, list := range s.waits {
		for _, r := range list {
			see("wait", r.Origin)
		}
	}
	for _, list := range s.limits {
		for _, r := range list {
			see("limit", r.Origin)
		}
	}
	for _, list := range s.keywords {
		for _, r := range list {
			see("keyword", r.Origin)
		}
	}
	for _, list := range s.countries {
		for _, r := range list {
			see("country", r.Origin)
		}
	}
	for _, list := range s.regimes {
		for _, r := range list {
			see("regime", r.Origin)
		}
	}
	for _, list := range s.cards {
		for _, r := range list {
			see("card", r.Origin)
			for market, o := range r.Origins() {
				see("rate "+market, o)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d rows", n)
	}
}

func TestAsOf(t *testing.T) {
	s := load(t)
	tests := []struct {
		at        time.Time
		card      string
		allowance int
		known     bool
	}{
		{day(2025, 6, 30), "", 0, false},
		{day(2026, 6, 30), "", 0, true},
		{day(2026, 9, 30), "meta-usd@2026-07-01", 0, true},
		{day(2026, 10, 1).Add(-1), "meta-usd@2026-07-01", 0, true},
		{day(2026, 10, 1), "meta-usd@2026-10-01", 1000, true},
	}
	for _, tt := range tests {
		v := s.As(tt.at)
		card, _ := v.Card("whatsapp")
		label := ""
		if card != nil {
			label = card.Label
		}
		r, ok := v.Regime("whatsapp")
		if label != tt.card || ok != tt.known || (ok && r.Allowance != tt.allowance) {
			t.Errorf("%s: card %q, regime %v", tt.at, label, r)
		}
	}
}

func TestWindows(t *testing.T) {
	v := load(t).As(day(2026, 11, 22))
	w, ok := v.Window("whatsapp", "customer_service")
	if !ok || w.Duration() != 24*time.Hour || !w.Renewed || !w.OpenedBy("message") || w.OpenedBy("ad_click") {
		t.Errorf("%+v", w)
	}
	if w.ClosesAt(day(2026, 1, 1)) != day(2026, 1, 2) {
		t.Error("closes late")
	}
	if w, _ := v.Window("whatsapp", "entry_point"); w.Duration() != 72*time.Hour || w.AnswerWithin() != 24*time.Hour {
		t.Errorf("%+v", w)
	}
	if w, _ := v.Window("messenger", "human_agent"); w.Duration() != 7*24*time.Hour {
		t.Errorf("%+v", w)
	}
	if w, ok := v.Window("telegram", "started"); !ok || !w.ClosesAt(v.at).IsZero() {
		t.Errorf("%+v", w)
	}
	for channel, n := range map[string]int{"sms": 0, "rcs": 0, "whatsapp": 2, "instagram": 3, "viber": 1} {
		if got := v.Windows(channel); len(got) != n {
			t.Errorf("%s has %d windows", channel, len(got))
		}
	}
	if v.FreeFormMargin() != time.Minute {
		t.Error(v.FreeFormMargin())
	}
}

func TestWaitsAndLimits(t *testing.T) {
	v := load(t).As(day(2026, 11, 22))
	auth, _ := v.TTL("whatsapp", "authentication")
	if auth.DefaultTTL() != 10*time.Minute || auth.Clamp(time.Second) != 30*time.Second || auth.Clamp(time.Hour) != 15*time.Minute {
		t.Errorf("%+v", auth)
	}
	if m, _ := v.TTL("whatsapp", "marketing"); m.Clamp(time.Minute) != 12*time.Hour || m.Only != "marketing_messages" {
		t.Errorf("%+v", m)
	}
	if s, _ := v.TTL("whatsapp", "service"); s.Settable() {
		t.Error("free-form content has no settable time to live")
	}
	if h, _ := v.ReceiptHorizon("sms"); h.For(time.Hour) != 72*time.Hour {
		t.Errorf("%+v", h)
	}
	if h, _ := v.ReceiptHorizon("whatsapp"); h.For(time.Hour) != time.Hour || h.For(0) != 30*24*time.Hour {
		t.Errorf("%+v", h)
	}
	waits := map[[2]string]time.Duration{
		{"authentication", "FR"}: 30 * time.Second, {"authentication", "NG"}: time.Minute, {"authentication", ""}: 30 * time.Second,
		{"utility_urgent", "FR"}: 5 * time.Minute, {"utility", "FR"}: time.Hour, {"marketing", "FR"}: 0,
	}
	for k, want := range waits {
		if w, ok := v.Wait(k[0], "whatsapp", k[1]); !ok || w.Patience() != want {
			t.Errorf("%v: %+v", k, w)
		}
	}
	if l, _ := v.Limit("whatsapp", "pair"); l.Every() != 6*time.Second || l.Burst != 45 {
		t.Errorf("%+v", l)
	}
	if l, _ := v.Limit("whatsapp", "throughput"); l.Count != 80 || l.Code != "130429" {
		t.Errorf("%+v", l)
	}
}

func TestCountry(t *testing.T) {
	v := load(t).As(day(2026, 11, 22))
	fr, ok := v.Country("FR")
	if !ok || fr.Alpha != "yes" || fr.TwoWay != "short_code" || fr.Hours[time.Saturday] != (Span{480, 1200}) ||
		fr.Hours[time.Sunday] != (Span{}) || !has(fr.Forbid, "holiday") || !has(fr.Must, "stop_36xxx") {
		t.Errorf("%+v", fr)
	}
	br, _ := v.Country("BR")
	if br.Hours[time.Friday] != (Span{540, 1080}) || br.Hours[time.Saturday] != (Span{540, 780}) {
		t.Errorf("%+v", br)
	}
	if no, ok := v.Country("NO"); !ok || no.Alpha != "yes" {
		t.Errorf("Norway is not a boolean: %+v", no)
	}
	if _, ok := v.Country("AQ"); ok {
		t.Error("nothing is known of Antarctica")
	}
}

func TestRates(t *testing.T) {
	s := load(t)
	tests := []struct {
		at       time.Time
		channel  string
		country  string
		category Category
		micro    int64
		market   string
		ok       bool
	}{
		{day(2026, 11, 1), "whatsapp", "FR", Marketing, 85_900, "FR", true},
		{day(2026, 11, 1), "whatsapp", "FR", Utility, 30_000, "FR", true},
		{day(2026, 11, 1), "whatsapp", "FR", Service, 30_000, "FR", true},
		{day(2026, 11, 1), "whatsapp", "FR", AuthenticationInternational, 30_000, "FR", true},
		{day(2026, 11, 1), "whatsapp", "IN", AuthenticationInternational, 30_400, "IN", true},
		{day(2026, 11, 1), "whatsapp", "MA", AuthenticationInternational, 0, "", false},
		{day(2026, 11, 1), "whatsapp", "US", Utility, 3_400, "North America", true},
		{day(2026, 11, 1), "whatsapp", "BE", Marketing, 59_200, "Rest of Western Europe", true},
		{day(2026, 11, 1), "whatsapp", "NO", Marketing, 59_200, "Rest of Western Europe", true},
		{day(2026, 11, 1), "whatsapp", "KE", Utility, 4_000, "Rest of Africa", true},
		{day(2026, 11, 1), "whatsapp", "FJ", Utility, 7_700, "Other", true},
		{day(2026, 11, 1), "whatsapp", "ZZ", Utility, 7_700, "Other", true},
		{day(2026, 11, 1), "whatsapp", "", Utility, 7_700, "Other", true},
		{day(2026, 8, 1), "whatsapp", "PK", Utility, 0, "", false}, // changed on 1 Oct; the older price is not known
		{day(2026, 8, 1), "whatsapp", "FR", Service, 0, "", false},
		{day(2026, 8, 1), "whatsapp", "MA", Utility, 4_000, "Rest of Africa", true},
		{day(2026, 11, 1), "sms", "FR", Utility, 79_800, "FR", true},
		{day(2026, 11, 1), "sms", "NL", Marketing, 104_500, "NL", true},
		{day(2026, 11, 1), "sms", "US", Marketing, 12_500, "US", true},
		{day(2026, 11, 1), "sms", "KE", Marketing, 0, "", false},
		{day(2026, 11, 1), "email", "KE", Marketing, 160, "Other", true},
	}
	for _, tt := range tests {
		card, ok := s.As(tt.at).Card(tt.channel)
		if !ok {
			t.Fatal(tt.channel)
		}
		got, ok := card.Rate(tt.country, tt.category)
		if got.Micro != tt.micro || got.Market != tt.market || ok != tt.ok {
			t.Errorf("%v: %+v %v", tt, got, ok)
		}
	}
	if _, ok := s.As(day(2026, 11, 1)).Card("rcs"); ok {
		t.Error("an RCS price appeared from nowhere")
	}
}

func TestMicroCell(t *testing.T) {
	for _, bad := range []string{"x", "-1", "0.0000001", "99999999999999999999"} {
		if n, err := microCell(Service, bad); err == nil {
			t.Errorf("%s became %d", bad, n)
		}
	}
}

func TestMatch(t *testing.T) {
	v := load(t).As(day(2026, 11, 22))
	tests := []struct {
		text, language, country string
		want                    Keyword
	}{
		{"STOP", "", "", Keyword{Stop, "STOP", "core", false}},
		{" stop. ", "fr", "FR", Keyword{Stop, "STOP", "core", false}},
		{"«Stop!» 🛑", "", "US", Keyword{Stop, "STOP", "core", false}},
		{"ＳＴＯＰ", "", "JP", Keyword{Stop, "STOP", "core", false}},
		{"Stop  all", "", "", Keyword{Stop, "STOP ALL", "core", false}},
		{"opt-out", "", "", Keyword{Stop, "OPTOUT", "core", false}},
		{"Opt out", "", "", Keyword{Stop, "OPT OUT", "core", false}},
		{"Arrêt", "fr-FR", "", Keyword{Stop, "ARRET", "fr", false}},
		{"arre\u0302t", "", "CA", Keyword{Stop, "ARRET", "fr", false}},
		{"Désabonner", "", "BE", Keyword{Stop, "DESABONNER", "fr", false}},
		{"aide ?", "", "FR", Keyword{Help, "AIDE", "fr", false}},
		{"baja", "", "MX", Keyword{Stop, "BAJA", "es", false}},
		{"sair", "pt_BR", "", Keyword{Stop, "SAIR", "pt", false}},
		{"iptal", "tr", "", Keyword{Stop, "IPTAL", "tr", false}},
		{"İptal", "tr", "", Keyword{Stop, "IPTAL", "tr", false}},
		{"ıptal", "", "TR", Keyword{Stop, "IPTAL", "tr", false}},
		{"إِلْغَاء", "ar", "", Keyword{Stop, FoldKeyword("إلغاء"), "ar", false}},
		{"الغاء", "", "SA", Keyword{Stop, FoldKeyword("إلغاء"), "ar", false}},
		{"hilfe", "", "", Keyword{Help, "HILFE", "de", false}},
		{"HELP", "", "", Keyword{Help, "HELP", "core", false}},
		{"start", "de", "", Keyword{Start, "START", "core", false}},
		{"yes", "", "", Keyword{Start, "YES", "core", true}},
		{"basta", "fr", "FR", Keyword{}}, // Italian, and nobody there is known to speak it
		{"please stop", "", "", Keyword{}},
		{"stop it now", "", "", Keyword{}},
		{"", "", "", Keyword{}},
		{"👍", "", "", Keyword{}},
		{strings.Repeat("stop ", 40), "", "", Keyword{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, v.Match(tt.text, tt.language, tt.country)); diff != "" {
			t.Errorf("%q %s %s: %s", tt.text, tt.language, tt.country, diff)
		}
	}
	if n := testing.AllocsPerRun(100, func() { v.Match("Bonjour, où est mon colis ?", "fr", "FR") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryWordIsFound(t *testing.T) {
	v := load(t).As(day(2026, 11, 22))
	for language, lists := range v.set.keywords {
		for _, list := range lists {
			for word, want := range list.words {
				if got := v.Match(strings.ToLower(word)+"!", language, ""); got.Action != want.Action {
					t.Errorf("%s in %s: %+v, want %+v", word, language, got, want)
				}
			}
		}
	}
}

func TestFoldKeywordTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := FoldKeyword(rapid.String().Draw(t, "text"))
		if twice := FoldKeyword(once); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

func FuzzKeyword(f *testing.F) {
	for _, s := range []string{"STOP", "Arrêt !", "İptal", "إِلْغَاء", "\xff\xfe", "ß"} {
		f.Add(s)
	}
	s, err := Load()
	if err != nil {
		f.Fatal(err)
	}
	v := s.As(day(2026, 11, 22))
	f.Fuzz(func(t *testing.T, text string) {
		once := FoldKeyword(text)
		if len(once) > maxKeyword || FoldKeyword(once) != once {
			t.Fatalf("%q folds to %q", text, once)
		}
		if v.Match(text, "", "") != v.Match(once, "", "") && len(text) <= maxKeyword*4 {
			t.Fatalf("%q and its folded form differ", text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	v := load(b).As(day(2026, 11, 22))
	b.ReportAllocs()
	for b.Loop() {
		v.Match("Bonjour, où est mon colis ?", "fr", "FR")
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b)
	}
}
