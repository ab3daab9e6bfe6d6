package price

import "github.com/parley-messaging/parley/rules"

// A Word is what the provider said about the price of a message it took.
type Word struct {
	Billable string // "yes", "no", or empty where it said nothing
	Type     string // WhatsApp: regular, free_customer_service, free_entry_point …
	Category string // WhatsApp: marketing, utility, authentication-international …
	Amount   Money  // other providers; the zero Money where none was named
}

// A Difference says how the provider's word differs from our estimate.
type Difference string

// The differences; the first that holds is told.
const (
	Agreed           Difference = ""
	DiffersBillable  Difference = "billable" // one says charged, the other free or forbidden
	DiffersCategory  Difference = "category" // charged as something else
	DiffersCurrency  Difference = "currency" // and no exchange rate to compare with
	DiffersAmount    Difference = "amount"
	DiffersUnpriced  Difference = "unpriced"  // one of the two has no price
	DiffersUnmatched Difference = "unmatched" // a category of the provider that we do not know
)

// A Charge is what one attempt cost.
type Charge struct {
	State      State
	Reason     Reason
	Money      Money
	Billable   bool
	Rate       string // the card used; empty where the provider named the amount
	Category   rules.Category
	Estimate   Money      // what we had quoted, zero unless it was priced
	Difference Difference // a reconciliation event is due unless Agreed
	Over       Money      // charge less estimate, in the charge's currency; zero unless comparable
}

// Reconcile turns an estimate into a charge: the provider's word wins, and a
// difference is flagged. q is the query of the estimate with At set to the
// time of the charge. Where the provider names a category without an amount,
// the charge is that category's price, without free rules: the provider has
// already applied its own.
func (b *Book) Reconcile(q Query, estimate Quote, w Word) Charge {
	out := Charge{
		State: estimate.State, Reason: estimate.Reason, Money: estimate.Money, Billable: estimate.Billable,
		Rate: estimate.Rate, Category: estimate.Category, Estimate: estimate.Money,
	}
	free := w.Billable == "no" || len(w.Type) > 5 && w.Type[:5] == "free_"
	switch {
	case w.Amount != Money{}:
		out.State, out.Reason, out.Money, out.Rate = Priced, ByProvider, w.Amount, ""
		out.Billable = w.Amount.Micro != 0
		if !out.Billable {
			out.State, out.Reason = Free, FreeProvider
		}
	case free:
		out.State, out.Reason, out.Money, out.Billable, out.Rate = Free, FreeProvider, Money{}, false, ""
		if k, ok := rules.ParseCategory(w.Category); ok {
			out.Category = k
		}
	case w.Billable == "yes" || w.Type == "regular" || w.Category != "":
		b.asCharged(&out, q, w)
	default:
		return out
	}
	b.compare(&out, q, estimate, w)
	return out
}

// asCharged prices a message that the provider says it charged.
func (b *Book) asCharged(out *Charge, q Query, w Word) {
	out.State, out.Reason, out.Money, out.Billable, out.Rate = Unknown, UnknownChannel, Money{}, true, ""
	c := b.channels[q.Channel]
	if c == nil {
		return
	}
	regime, day := c.regime(q.At, q.Zone)
	if regime == nil {
		return
	}
	priced := Quote{Units: 1, Category: out.Category}
	if w.Category != "" {
		k, ok := regime.Category(w.Category)
		if !ok {
			out.Reason = UnknownCategory
			return
		}
		priced.Category = k
	}
	b.charge(&priced, c, regime, day, &q)
	out.State, out.Reason, out.Money = priced.State, priced.Reason, priced.Money
	out.Rate, out.Category = priced.Rate, priced.Category
}

func (b *Book) compare(out *Charge, q Query, estimate Quote, w Word) {
	estimated := estimate.Money
	comparable := estimate.State != Unknown && out.State != Unknown
	if comparable && out.State == Priced && estimate.State == Priced && out.Money.Currency != estimated.Currency {
		estimated, comparable = b.Convert(estimated, out.Money.Currency, q.At)
	}
	if comparable {
		currency := out.Money.Currency
		if currency == "" {
			currency = estimated.Currency
		}
		if over := out.Money.Micro - estimated.Micro; over != 0 {
			out.Over = Money{over, currency}
		}
	}
	switch {
	case out.State == Unknown && out.Reason == UnknownCategory:
		out.Difference = DiffersUnmatched
	case out.Billable != estimate.Billable:
		out.Difference = DiffersBillable
	case out.Category != estimate.Category:
		out.Difference = DiffersCategory
	case out.State == Unknown != (estimate.State == Unknown):
		out.Difference = DiffersUnpriced
	case !comparable && out.State == Priced:
		out.Difference = DiffersCurrency
	case out.Over.Micro != 0:
		out.Difference = DiffersAmount
	}
}
