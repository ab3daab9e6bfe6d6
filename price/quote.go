package price

import (
	"time"

	"github.com/parley-messaging/parley/rules"
)

// A State is what a quote or charge amounts to.
type State string

// The states. Only Priced and Free carry a usable amount.
const (
	Priced    State = "priced"
	Free      State = "free"
	Forbidden State = "forbidden" // may not be sent like this, so it has no price
	Unknown   State = "unknown"   // it costs something and nobody told us what
)

// A Reason says in one word why a price is what it is.
type Reason string

// The reasons.
const (
	ByRate          Reason = "rate"             // the published card
	ByOperator      Reason = "operator_card"    // the operator's own card
	ByProvider      Reason = "provider"         // the provider named the amount
	FreeChannel     Reason = "free_channel"     // the channel charges nothing for this
	FreeWindow      Reason = "free_window"      // the customer service window is open
	FreeEntryPoint  Reason = "free_entry_point" // the entry-point window is open
	FreeAllowance   Reason = "free_allowance"   // within the month's free messages
	FreeProvider    Reason = "free_provider"    // the provider says it charged nothing
	WindowClosed    Reason = "window_closed"    // free-form is forbidden now
	NoRate          Reason = "no_rate"          // no card in force has this market and category
	NoExchange      Reason = "no_exchange_rate" // priced, but not in the currency asked for
	UnknownChannel  Reason = "unknown_channel"  // no rule on how it charges at that time
	UnknownCategory Reason = "unknown_category" // the category or purpose is no word we know
	NoSegments      Reason = "no_segments"      // charged per segment and their number is not above zero
	TooLarge        Reason = "too_large"        // the product does not fit
)

// A Query describes one message to one person.
type Query struct {
	Channel  string // whatsapp, sms, …
	Country  string // of the recipient, ISO 3166 alpha-2, upper case; empty: unknown
	Sender   string // our sender's id, for the operator's cards
	Purpose  string // authentication, utility, marketing, service
	Category string // the template's category; empty for free-form content

	WindowOpen     bool // the customer service window
	EntryPointOpen bool // the free entry-point window
	International  bool // the provider told the business that the authentication-international rate applies

	Segments     int // SMS: parts; elsewhere the messages that one is sent as; 0 = 1
	ServiceCount int // service messages already charged or counted for this sender in At's month

	At       time.Time      // when it will be delivered
	Zone     *time.Location // of the provider's account, where its days begin; nil: UTC
	Currency string         // wanted; empty: the card's own
}

// A Quote is our estimate for a Query. The provider's word wins over it.
type Quote struct {
	State      State
	Reason     Reason
	Money      Money            // of the whole message; zero unless Priced
	Unit       Money            // of one segment or message, before exchange; zero unless known
	Units      int              // segments, or messages
	Billable   bool             // it will be charged, be the price known or not
	Rate       string           // the card: "meta-usd@2026-10-01", or the operator's card id
	Market     string           // the card's row: "FR", "Rest of Africa"
	Category   rules.Category   // what it is charged as
	Confidence rules.Confidence // of the row; empty for the operator's own cards
	ChargedOn  string           // send or delivery
}

// Quote estimates what a message costs. It allocates nothing.
func (b *Book) Quote(q Query) Quote {
	c := b.channels[q.Channel]
	if c == nil {
		return Quote{State: Unknown, Reason: UnknownChannel}
	}
	regime, day := c.regime(q.At, q.Zone)
	if regime == nil {
		return Quote{State: Unknown, Reason: UnknownChannel}
	}
	category, ok := q.category(regime)
	if !ok {
		return Quote{State: Unknown, Reason: UnknownCategory, ChargedOn: regime.ChargedOn}
	}
	out := Quote{Units: 1, Category: category, ChargedOn: regime.ChargedOn}
	switch charging := regime.Charging(category, q.WindowOpen); {
	case charging == rules.Forbidden:
		out.State, out.Reason = Forbidden, WindowClosed
		return out
	case q.EntryPointOpen && regime.Entry == rules.Free:
		out.State, out.Reason = Free, FreeEntryPoint
		return out
	case charging == rules.Free && regime.Templates:
		out.State, out.Reason = Free, FreeWindow
		return out
	case charging == rules.Free:
		out.State, out.Reason = Free, FreeChannel
		return out
	case charging == rules.Allowance && q.ServiceCount < regime.Allowance:
		out.State, out.Reason = Free, FreeAllowance
		return out
	}
	b.charge(&out, c, regime, day, &q)
	return out
}

// category is what the message is charged as by the channel's rule: its
// template's category, free-form's own, or its purpose where templates do not
// matter.
func (q *Query) category(r *rules.Regime) (rules.Category, bool) {
	if !r.Templates {
		if q.Purpose == "" {
			return rules.Service, true
		}
		return rules.ParseCategory(q.Purpose)
	}
	if q.Category == "" {
		return rules.Service, true
	}
	k, ok := r.Category(q.Category)
	if ok && k == rules.Authentication && q.International {
		k = rules.AuthenticationInternational
	}
	return k, ok
}

// charge fills in the price of a message that is charged.
func (b *Book) charge(out *Quote, c *channelBook, regime *rules.Regime, day time.Time, q *Query) {
	out.State, out.Billable = Unknown, true
	if regime.Unit == "segment" {
		if q.Segments < 1 {
			out.Reason = NoSegments
			return
		}
		out.Units = q.Segments
	} else if q.Segments > 1 {
		out.Units = q.Segments
	}
	if own := c.ownCard(q.Country, q.Sender, out.Category.String(), q.At); own != nil {
		out.Unit, out.Reason, out.Rate = own.Price, ByOperator, own.ID
	} else {
		card := c.card(day)
		if card == nil {
			out.Reason = NoRate
			return
		}
		rate, ok := card.Rate(q.Country, out.Category)
		if !ok {
			out.Reason, out.Rate = NoRate, card.Label
			return
		}
		out.Unit, out.Reason, out.Rate = Money{rate.Micro, card.Currency}, ByRate, card.Label
		out.Market, out.Confidence = rate.Market, rate.Confidence
	}
	whole, ok := out.Unit.times(out.Units)
	if !ok {
		out.Reason = TooLarge
		return
	}
	if q.Currency != "" && q.Currency != whole.Currency {
		if whole, ok = b.Convert(whole, q.Currency, q.At); !ok {
			out.Reason = NoExchange
			return
		}
	}
	out.State, out.Money = Priced, whole
}
