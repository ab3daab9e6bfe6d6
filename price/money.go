// Package price says what a message will cost, what it did cost, and what a
// route of several steps may cost. It is pure: rules give it the published
// prices, the operator gives it own prices and exchange rates, and it invents
// neither: what nobody told it is unknown, never zero.
//
// It keeps no ledger and knows no store. Start with New and Book.Quote.
package price

import (
	"encoding/json"
	"errors"
	"math"
	"math/bits"

	"github.com/govalues/decimal"
)

// Money is an amount in millionths of a currency (ISO 4217).
type Money struct {
	Micro    int64
	Currency string
}

var (
	// ErrAmount is returned for text that is no decimal of at most six
	// decimals, or too large for millionths in 64 bits.
	ErrAmount = errors.New("price: not an amount of at most six decimals")
	// ErrCurrency is returned for a currency that is not three capital
	// letters, and where two currencies meet that may not be added.
	ErrCurrency = errors.New("price: wrong currency")
)

// ParseMoney reads a decimal amount ("0.15") and a currency.
func ParseMoney(amount, currency string) (Money, error) {
	if !currencyCode(currency) {
		return Money{}, ErrCurrency
	}
	micro, err := scaled(amount, 6)
	if err != nil {
		return Money{}, err
	}
	return Money{micro, currency}, nil
}

func currencyCode(s string) bool {
	return len(s) == 3 && s[0]-'A' < 26 && s[1]-'A' < 26 && s[2]-'A' < 26
}

// scaled reads a decimal as a whole number of 10^-places.
func scaled(s string, places int) (int64, error) {
	d, err := decimal.Parse(s)
	if err != nil || d.MinScale() > places {
		return 0, ErrAmount
	}
	whole, frac, ok := d.Int64(places)
	pow := int64(math.Pow10(places))
	if !ok || whole > math.MaxInt64/pow-1 || whole < math.MinInt64/pow+1 {
		return 0, ErrAmount
	}
	return whole*pow + frac, nil
}

// Amount is the decimal text of the amount, without trailing zeros: "0.03".
func (m Money) Amount() string {
	d, err := decimal.New(m.Micro, 6)
	if err != nil { // cannot be: six is a valid scale
		return ""
	}
	return d.Trim(0).String()
}

// String is the amount and its currency, for people and logs.
func (m Money) String() string { return m.Amount() + " " + m.Currency }

type moneyJSON struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// MarshalJSON writes {"amount":"0.03","currency":"EUR"}: a text, because
// floating point loses money.
func (m Money) MarshalJSON() ([]byte, error) {
	return json.Marshal(moneyJSON{m.Amount(), m.Currency})
}

// UnmarshalJSON reads what MarshalJSON writes; the errors are ErrAmount and
// ErrCurrency.
func (m *Money) UnmarshalJSON(b []byte) error {
	var in moneyJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in == (moneyJSON{"0", ""}) { // nothing at all, as for what is free
		*m = Money{}
		return nil
	}
	got, err := ParseMoney(in.Amount, in.Currency)
	if err != nil {
		return err
	}
	*m = got
	return nil
}

// Add gives the sum; ErrCurrency if the currencies differ, ErrAmount if it
// does not fit. The zero Money may be added to any.
func (m Money) Add(o Money) (Money, error) {
	switch {
	case m == Money{}:
		return o, nil
	case o == Money{}:
		return m, nil
	case m.Currency != o.Currency:
		return Money{}, ErrCurrency
	}
	sum := m.Micro + o.Micro
	if (sum > m.Micro) != (o.Micro > 0) {
		return Money{}, ErrAmount
	}
	return Money{sum, m.Currency}, nil
}

// times multiplies, false if the product does not fit.
func (m Money) times(n int) (Money, bool) {
	micro, ok := mulDiv(m.Micro, int64(n), 1)
	return Money{micro, m.Currency}, ok
}

// mulDiv is a*b/c rounded half away from zero, for b >= 0 and c > 0; false if
// it does not fit.
func mulDiv(a, b, c int64) (int64, bool) {
	if a == math.MinInt64 || b < 0 || c <= 0 {
		return 0, false
	}
	negative := a < 0
	if negative {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c)/2, 0)
	hi += carry
	if hi >= uint64(c) {
		return 0, false
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	if q > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(q), true
	}
	return int64(q), true
}
