package price

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-messaging/parley/rules"
	"pgregory.net/rapid"
)

func at(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 12, 0, 0, 0, time.UTC) }

func book(t testing.TB, own []Card, x []Exchange) *Book {
	t.Helper()
	set, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(set, own, x)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDecisionTable is the table of who pays what on WhatsApp, before and
// since 1 October 2026, to France.
func TestDecisionTable(t *testing.T) {
	b := book(t, nil, nil)
	type cell struct {
		state  State
		reason Reason
		micro  int64
	}
	rate := func(micro int64) cell { return cell{Priced, ByRate, micro} }
	free := func(r Reason) cell { return cell{Free, r, 0} }
	forbidden := cell{Forbidden, WindowClosed, 0}
	tests := []struct {
		name, category                        string
		count                                 int
		closed, open, entryOpen, entryOnly    cell // since 1 Oct 2026
		closedBefore, openBefore, entryBefore cell // before
	}{
		{"free-form within the allowance", "", 999, forbidden, free(FreeAllowance), free(FreeEntryPoint), forbidden, forbidden, free(FreeWindow), free(FreeEntryPoint)},
		{"free-form past the allowance", "", 1000, forbidden, rate(30_000), free(FreeEntryPoint), forbidden, forbidden, free(FreeWindow), free(FreeEntryPoint)},
		{"utility", "utility", 0, rate(30_000), rate(30_000), free(FreeEntryPoint), free(FreeEntryPoint), rate(30_000), free(FreeWindow), free(FreeEntryPoint)},
		{"authentication", "authentication", 0, rate(30_000), rate(30_000), free(FreeEntryPoint), free(FreeEntryPoint), rate(30_000), rate(30_000), free(FreeEntryPoint)},
		{"marketing", "marketing", 0, rate(85_900), rate(85_900), free(FreeEntryPoint), free(FreeEntryPoint), rate(85_900), rate(85_900), free(FreeEntryPoint)},
		{"marketing lite", "marketing_lite", 0, rate(85_900), rate(85_900), free(FreeEntryPoint), free(FreeEntryPoint), rate(85_900), rate(85_900), free(FreeEntryPoint)},
	}
	for _, tt := range tests {
		for _, c := range []struct {
			what        string
			when        time.Time
			open, entry bool
			want        cell
		}{
			{"closed", at(2026, 10, 1), false, false, tt.closed},
			{"open", at(2026, 10, 1), true, false, tt.open},
			{"entry and open", at(2026, 10, 1), true, true, tt.entryOpen},
			{"entry alone", at(2026, 10, 1), false, true, tt.entryOnly},
			{"closed before", at(2026, 9, 30), false, false, tt.closedBefore},
			{"open before", at(2026, 9, 30), true, false, tt.openBefore},
			{"entry before", at(2026, 9, 30), true, true, tt.entryBefore},
		} {
			q := b.Quote(Query{
				Channel: "whatsapp", Country: "FR", Category: tt.category, WindowOpen: c.open, EntryPointOpen: c.entry,
				ServiceCount: tt.count, At: c.when,
			})
			if got := (cell{q.State, q.Reason, q.Money.Micro}); got != c.want {
				t.Errorf("%s, %s: %v, want %v", tt.name, c.what, got, c.want)
			}
			if q.Billable != (q.State == Priced) {
				t.Errorf("%s, %s: billable %v", tt.name, c.what, q.Billable)
			}
		}
	}
}

func TestQuote(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	eve := time.Date(2026, 9, 30, 22, 30, 0, 0, time.UTC) // past midnight in Paris
	own := []Card{
		{ID: "all sms", Channel: "sms", Price: Money{50_000, "EUR"}, From: at(2026, 1, 1)},
		{ID: "sms fr", Channel: "sms", Country: "FR", Price: Money{40_000, "EUR"}, From: at(2026, 1, 1)},
		{ID: "sms fr 2027", Channel: "sms", Country: "FR", Price: Money{45_000, "EUR"}, From: at(2027, 1, 1)},
		{ID: "short code", Channel: "sms", Sender: "sd_1", Price: Money{30_000, "EUR"}, From: at(2026, 1, 1), Until: at(2026, 12, 1)},
		{ID: "wa marketing", Channel: "whatsapp", Category: "marketing", Price: Money{1, "XAF"}, From: at(2026, 1, 1)},
	}
	x := []Exchange{
		{From: "USD", To: "EUR", Rate: "0.9", Since: at(2026, 1, 1)},
		{From: "USD", To: "EUR", Rate: "0.85", Since: at(2026, 11, 1)},
	}
	plain, priced := book(t, nil, nil), book(t, own, x)
	nov := at(2026, 11, 22)
	tests := []struct {
		name   string
		b      *Book
		q      Query
		money  Money
		state  State
		reason Reason
		rate   string
	}{
		{"sms of three segments", plain, Query{Channel: "sms", Country: "FR", Purpose: "utility", Segments: 3, At: nov}, Money{239_400, "USD"}, Priced, ByRate, "sms-list-usd@2025-01-01"},
		{"sms without segments", plain, Query{Channel: "sms", Country: "FR", At: nov}, Money{}, Unknown, NoSegments, ""},
		{"sms to where no list goes", plain, Query{Channel: "sms", Country: "KE", Segments: 1, At: nov}, Money{}, Unknown, NoRate, "sms-list-usd@2025-01-01"},
		{"rcs", plain, Query{Channel: "rcs", Country: "FR", Purpose: "utility", At: nov}, Money{}, Unknown, NoRate, ""},
		{"messenger", plain, Query{Channel: "messenger", Purpose: "utility", At: nov}, Money{}, Free, FreeChannel, ""},
		{"messenger marketing", plain, Query{Channel: "messenger", Purpose: "marketing", At: nov}, Money{}, Unknown, NoRate, ""},
		{"web chat", plain, Query{Channel: "webchat", Purpose: "service", At: nov}, Money{}, Free, FreeChannel, ""},
		{"pigeon", plain, Query{Channel: "pigeon", At: nov}, Money{}, Unknown, UnknownChannel, ""},
		{"conversation age", plain, Query{Channel: "whatsapp", Country: "FR", Category: "utility", At: at(2025, 6, 1)}, Money{}, Unknown, UnknownChannel, ""},
		{"per message, before our cards", plain, Query{Channel: "whatsapp", Country: "FR", Category: "utility", At: at(2026, 1, 1)}, Money{}, Unknown, NoRate, ""},
		{"no word", plain, Query{Channel: "whatsapp", Category: "spam", At: nov}, Money{}, Unknown, UnknownCategory, ""},
		{"auth-international", plain, Query{Channel: "whatsapp", Country: "IN", Category: "authentication", International: true, At: nov}, Money{30_400, "USD"}, Priced, ByRate, "meta-usd@2026-10-01"},
		{"auth at home", plain, Query{Channel: "whatsapp", Country: "IN", Category: "authentication", At: nov}, Money{1_400, "USD"}, Priced, ByRate, "meta-usd@2026-10-01"},
		{"midnight in UTC", plain, Query{Channel: "whatsapp", Country: "FR", Category: "utility", WindowOpen: true, At: eve}, Money{}, Free, FreeWindow, ""},
		{"midnight in Paris", plain, Query{Channel: "whatsapp", Country: "FR", Category: "utility", WindowOpen: true, At: eve, Zone: paris}, Money{30_000, "USD"}, Priced, ByRate, "meta-usd@2026-10-01"},
		{"no exchange rate", plain, Query{Channel: "sms", Country: "FR", Segments: 1, Currency: "EUR", At: nov}, Money{}, Unknown, NoExchange, "sms-list-usd@2025-01-01"},
		{"the newest exchange rate", priced, Query{Channel: "whatsapp", Country: "FR", Category: "utility", Currency: "EUR", At: nov}, Money{25_500, "EUR"}, Priced, ByRate, "meta-usd@2026-10-01"},
		{"the rate of that day", priced, Query{Channel: "whatsapp", Country: "FR", Category: "utility", Currency: "EUR", At: at(2026, 10, 9)}, Money{27_000, "EUR"}, Priced, ByRate, "meta-usd@2026-10-01"},
		{"nothing is inverted", priced, Query{Channel: "sms", Country: "FR", Segments: 1, Currency: "USD", At: nov}, Money{}, Unknown, NoExchange, "sms fr"},
		{"own card, country", priced, Query{Channel: "sms", Country: "FR", Segments: 2, At: nov}, Money{80_000, "EUR"}, Priced, ByOperator, "sms fr"},
		{"own card, later", priced, Query{Channel: "sms", Country: "FR", Segments: 1, At: at(2027, 2, 1)}, Money{45_000, "EUR"}, Priced, ByOperator, "sms fr 2027"},
		{"own card, any", priced, Query{Channel: "sms", Country: "KE", Segments: 1, At: nov}, Money{50_000, "EUR"}, Priced, ByOperator, "all sms"},
		{"own card, sender before country", priced, Query{Channel: "sms", Country: "FR", Sender: "sd_1", Segments: 1, At: nov}, Money{30_000, "EUR"}, Priced, ByOperator, "short code"},
		{"own card, ended", priced, Query{Channel: "sms", Country: "FR", Sender: "sd_1", Segments: 1, At: at(2026, 12, 1)}, Money{40_000, "EUR"}, Priced, ByOperator, "sms fr"},
		{"own card, not yet", priced, Query{Channel: "sms", Country: "FR", Segments: 1, At: at(2025, 12, 1)}, Money{79_800, "USD"}, Priced, ByRate, "sms-list-usd@2025-01-01"},
		{"own card, category", priced, Query{Channel: "whatsapp", Country: "FR", Category: "marketing", At: nov}, Money{1, "XAF"}, Priced, ByOperator, "wa marketing"},
		{"own card, entry point", priced, Query{Channel: "whatsapp", Country: "FR", Category: "marketing", EntryPointOpen: true, At: nov}, Money{}, Free, FreeEntryPoint, ""},
		{"too many", plain, Query{Channel: "sms", Country: "FR", Segments: math.MaxInt64, At: nov}, Money{}, Unknown, TooLarge, "sms-list-usd@2025-01-01"},
	}
	for _, tt := range tests {
		q := tt.b.Quote(tt.q)
		if q.Money != tt.money || q.State != tt.state || q.Reason != tt.reason || q.Rate != tt.rate {
			t.Errorf("%s: %+v", tt.name, q)
		}
		if n := testing.AllocsPerRun(50, func() { tt.b.Quote(tt.q) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	set, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	ok := Money{1, "EUR"}
	for _, c := range []Card{
		{},
		{ID: "a", Channel: "pigeon", Price: ok},
		{ID: "a", Channel: "sms"},
		{Channel: "sms", Price: ok},
		{ID: "a", Channel: "sms", Price: Money{-1, "EUR"}},
		{ID: "a", Channel: "sms", Price: ok, Category: "spam"},
	} {
		if _, err := New(set, []Card{c}, nil); err == nil {
			t.Errorf("took %+v", c)
		}
	}
	for _, x := range []Exchange{{}, {From: "USD", To: "EUR"}, {From: "USD", To: "EUR", Rate: "0"}, {From: "usd", To: "EUR", Rate: "1"}, {From: "USD", To: "EUR", Rate: "-1"}} {
		if _, err := New(set, nil, []Exchange{x}); err == nil {
			t.Errorf("took %+v", x)
		}
	}
}

func TestReconcile(t *testing.T) {
	b := book(t, nil, []Exchange{{From: "USD", To: "EUR", Rate: "0.5", Since: at(2026, 1, 1)}})
	nov := at(2026, 11, 22)
	utility := Query{Channel: "whatsapp", Country: "FR", Category: "utility", WindowOpen: true, At: nov}
	reply := Query{Channel: "whatsapp", Country: "FR", WindowOpen: true, At: nov}
	sms := Query{Channel: "sms", Country: "FR", Segments: 1, At: nov}
	usd := func(n int64) Money { return Money{n, "USD"} }
	const card, list = "meta-usd@2026-10-01", "sms-list-usd@2025-01-01"
	tests := []struct {
		name string
		q    Query
		w    Word
		want Charge
	}{
		{"said nothing", utility, Word{}, Charge{Priced, ByRate, usd(30_000), true, card, rules.Utility, usd(30_000), Agreed, Money{}}},
		{"agrees", utility, Word{"yes", "regular", "utility", Money{}}, Charge{Priced, ByRate, usd(30_000), true, card, rules.Utility, usd(30_000), Agreed, Money{}}},
		{"free after all", utility, Word{"no", "free_customer_service", "utility", Money{}}, Charge{Free, FreeProvider, Money{}, false, "", rules.Utility, usd(30_000), DiffersBillable, usd(-30_000)}},
		{"recategorised", utility, Word{"yes", "regular", "marketing", Money{}}, Charge{Priced, ByRate, usd(85_900), true, card, rules.Marketing, usd(30_000), DiffersCategory, usd(55_900)}},
		{"past the allowance", reply, Word{"yes", "regular", "service", Money{}}, Charge{Priced, ByRate, usd(30_000), true, card, rules.Service, Money{}, DiffersBillable, usd(30_000)}},
		{"free reply", reply, Word{"no", "free_customer_service", "service", Money{}}, Charge{Free, FreeProvider, Money{}, false, "", rules.Service, Money{}, Agreed, Money{}}},
		{"new word", utility, Word{"yes", "regular", "teleportation", Money{}}, Charge{Unknown, UnknownCategory, Money{}, true, "", rules.Utility, usd(30_000), DiffersUnmatched, Money{}}},
		{"named amount", sms, Word{Amount: usd(70_000)}, Charge{Priced, ByProvider, usd(70_000), true, "", rules.Service, usd(79_800), DiffersAmount, usd(-9_800)}},
		{"same amount", sms, Word{Amount: usd(79_800)}, Charge{Priced, ByProvider, usd(79_800), true, "", rules.Service, usd(79_800), Agreed, Money{}}},
		{"other currency", sms, Word{Amount: Money{40_000, "EUR"}}, Charge{Priced, ByProvider, Money{40_000, "EUR"}, true, "", rules.Service, usd(79_800), DiffersAmount, Money{100, "EUR"}}},
		{"no exchange", sms, Word{Amount: Money{40_000, "GBP"}}, Charge{Priced, ByProvider, Money{40_000, "GBP"}, true, "", rules.Service, usd(79_800), DiffersCurrency, Money{}}},
		{"charged, no amount", sms, Word{Billable: "yes"}, Charge{Priced, ByRate, usd(79_800), true, list, rules.Service, usd(79_800), Agreed, Money{}}},
		{"unpriced until now", Query{Channel: "rcs", At: nov}, Word{Amount: usd(5_000)}, Charge{Priced, ByProvider, usd(5_000), true, "", rules.Service, Money{}, DiffersUnpriced, Money{}}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, b.Reconcile(tt.q, b.Quote(tt.q), tt.w)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestRouteExamples are the worked examples of the fallback economics: 12 in
// 100 not delivered in time, and the time to live no longer than the wait.
func TestRouteExamples(t *testing.T) {
	b := book(t, nil, nil)
	for country, want := range map[string]struct{ expected, worst int64 }{
		"FR": {35_976, 79_800},
		"US": {4_492, 12_500},
	} {
		wa := b.Quote(Query{Channel: "whatsapp", Country: country, Category: "utility", At: at(2026, 11, 22)})
		sms := b.Quote(Query{Channel: "sms", Country: country, Purpose: "utility", Segments: 1, At: at(2026, 11, 22)})
		got := Route([]Step{{wa, .88, .88}, {sms, .95, .95}})
		if diff := cmp.Diff(RoutePrice{Money{want.expected, "USD"}, Money{want.worst, "USD"}, 0, true, ""}, got); diff != "" {
			t.Errorf("%s: %s", country, diff)
		}
		late := Route([]Step{{wa, .88, .98}, {sms, .95, .95}})
		if late.Worst.Micro != wa.Money.Micro+sms.Money.Micro || math.Abs(late.Duplicates-.1) > 1e-9 || late.Expected.Micro <= got.Expected.Micro {
			t.Errorf("%s: late %+v", country, late)
		}
	}
	unknown := b.Quote(Query{Channel: "rcs", At: at(2026, 11, 22)})
	if got := Route([]Step{{unknown, .5, .5}}); got.Known || got.Reason != NoRate {
		t.Errorf("%+v", got)
	}
	euros := Quote{State: Priced, Money: Money{1, "EUR"}}
	dollars := Quote{State: Priced, Money: Money{1, "USD"}}
	if got := Route([]Step{{euros, .5, .5}, {dollars, .5, .5}}); got.Known || got.Reason != NoExchange {
		t.Errorf("%+v", got)
	}
	if got := Route([]Step{{Quote{State: Forbidden}, 1, 1}, {euros, 1, 1}}); got.Expected != (Money{1, "EUR"}) {
		t.Errorf("a step that cannot go was counted: %+v", got)
	}
}

func TestRouteNeverExpectsMoreThanTheWorst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Step {
			return Step{
				Quote: Quote{
					State: Priced, Money: Money{rapid.Int64Range(0, 1e9).Draw(t, "micro"), "EUR"},
					ChargedOn: rapid.SampledFrom([]string{"send", "delivery"}).Draw(t, "on"),
				},
				InTime: rapid.Float64Range(-.1, 1.1).Draw(t, "in time"), Ever: rapid.Float64Range(-.1, 1.1).Draw(t, "ever"),
			}
		}), 0, 5).Draw(t, "steps")
		got := Route(steps)
		if !got.Known || got.Expected.Micro > got.Worst.Micro || got.Expected.Micro < 0 || got.Duplicates < 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestMoneyText(t *testing.T) {
	for text, micro := range map[string]int64{"0.03": 30_000, "0": 0, "0.000001": 1, "-1.5": -1_500_000, "9223372036853": 9223372036853_000000} {
		m, err := ParseMoney(text, "EUR")
		if err != nil || m.Micro != micro || m.Amount() != text {
			t.Errorf("%s: %v %v", text, m, err)
		}
		b, err := json.Marshal(m)
		if want := `{"amount":"` + text + `","currency":"EUR"}`; err != nil || string(b) != want {
			t.Errorf("%s %v", b, err)
		}
	}
	for _, bad := range []string{"", "x", "0.0000001", "99999999999999", "1e30", "NaN"} {
		if m, err := ParseMoney(bad, "EUR"); err == nil {
			t.Errorf("%q became %v", bad, m)
		}
	}
	for _, bad := range []string{"", "eur", "EURO", "E1R"} {
		if _, err := ParseMoney("1", bad); err == nil {
			t.Errorf("took the currency %q", bad)
		}
	}
	if _, err := (Money{1, "EUR"}).Add(Money{1, "USD"}); err == nil {
		t.Error("added euros to dollars")
	}
	if _, err := (Money{math.MaxInt64, "EUR"}).Add(Money{1, "EUR"}); err == nil {
		t.Error("overflowed")
	}
}

func TestMoneySurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Money{rapid.Int64Range(-9e18, 9e18).Draw(t, "micro"), "EUR"}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Money
		if err := json.Unmarshal(b, &back); err != nil || back != m {
			t.Fatalf("%s: %v %v", b, back, err)
		}
	})
	var zero Money
	if err := json.Unmarshal([]byte(`{"amount":"0","currency":""}`), &zero); err != nil || zero != (Money{}) {
		t.Error(zero, err)
	}
}

func FuzzMoney(f *testing.F) {
	f.Add("0.03", "EUR")
	f.Add("-1e3", "USD")
	f.Fuzz(func(t *testing.T, amount, currency string) {
		m, err := ParseMoney(amount, currency)
		if err != nil {
			return
		}
		back, err := ParseMoney(m.Amount(), m.Currency)
		if err != nil || back != m {
			t.Fatalf("%q: %v, then %v %v", amount, m, back, err)
		}
	})
}

func TestSegmentsCostAlike(t *testing.T) {
	b := book(t, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1000).Draw(t, "segments")
		country := rapid.SampledFrom([]string{"FR", "US", "DE", "BR"}).Draw(t, "country")
		q := Query{Channel: "sms", Country: country, Segments: 1, At: at(2026, 11, 22)}
		one := b.Quote(q)
		q.Segments = n
		if all := b.Quote(q); all.Money.Micro != int64(n)*one.Money.Micro || all.Unit != one.Money || all.Units != n {
			t.Fatalf("%+v", all)
		}
	})
}

func BenchmarkQuote(b *testing.B) {
	plain := book(b, nil, nil)
	own := book(b, []Card{{ID: "a", Channel: "whatsapp", Country: "FR", Sender: "sd_01hzzzzzzzzzzzzzzzzzzzzzzz", Price: Money{1, "EUR"}}},
		[]Exchange{{From: "USD", To: "EUR", Rate: "0.9"}})
	q := Query{Channel: "whatsapp", Country: "FR", Category: "utility", At: at(2026, 11, 22)}
	run := func(name string, bk *Book, q Query) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bk.Quote(q)
			}
		})
	}
	run("card", plain, q)
	q.Currency, q.Sender = "EUR", "sd_other"
	run("own and exchange", own, q)
	run("sms", plain, Query{Channel: "sms", Country: "FR", Purpose: "utility", Segments: 3, At: at(2026, 11, 22)})
}
