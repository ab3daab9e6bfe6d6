package price

import (
	"fmt"
	"sort"
	"time"

	"github.com/parley-messaging/parley/rules"
)

// A Card is a price the operator agreed on, which replaces the published one.
// Empty fields mean "any"; the card that names most wins, in the order sender,
// country, category, and among equals the one that began last. It changes what
// a charged message costs, not whether it is charged.
type Card struct {
	ID       string // kept on every charge it made
	Channel  string // mandatory
	Country  string // ISO 3166 alpha-2
	Sender   string // sender id
	Category string // service, utility, authentication, marketing, authentication-international
	Price    Money  // per unit of the channel: segment for SMS, else message
	From     time.Time
	Until    time.Time // zero: without end; not included
}

// An Exchange is an exchange rate the operator gives. It is used in the given
// direction only: nothing is inverted or chained.
type Exchange struct {
	From, To string // ISO 4217
	Rate     string // units of To for one of From, decimal, at most nine decimals
	Since    time.Time
}

// A Book holds all prices, published and own. It never changes once made and
// may be shared.
type Book struct {
	channels map[string]*channelBook
	exchange map[[2]string][]exchangeRate // oldest first
}

type channelBook struct {
	regimes []*rules.Regime
	cards   []*rules.RateCard
	own     []ownLevel // most specific first
}

type ownKey struct{ country, sender, category string }

// An ownLevel holds the cards that name the same fields.
type ownLevel struct {
	names uint8 // 4 sender, 2 country, 1 category
	cards map[ownKey][]Card
}

type exchangeRate struct {
	since time.Time
	nano  int64
}

const nanos = 1_000_000_000

// New makes a book of the published prices with the operator's own cards and
// exchange rates on top. It fails on a card without channel, on negative
// prices, and on rates that are not above zero.
func New(set *rules.Set, own []Card, exchange []Exchange) (*Book, error) {
	b := &Book{channels: map[string]*channelBook{}, exchange: map[[2]string][]exchangeRate{}}
	for _, c := range set.Channels() {
		b.channels[c] = &channelBook{regimes: set.Regimes(c), cards: set.Cards(c)}
	}
	for i, card := range own {
		if err := b.add(card); err != nil {
			return nil, fmt.Errorf("price: card %d %q: %w", i, card.ID, err)
		}
	}
	for _, c := range b.channels {
		sort.Slice(c.own, func(i, j int) bool { return c.own[i].names > c.own[j].names })
		for _, level := range c.own {
			for _, list := range level.cards {
				sort.SliceStable(list, func(i, j int) bool { return list[i].From.Before(list[j].From) })
			}
		}
	}
	for i, x := range exchange {
		nano, err := scaled(x.Rate, 9)
		if err != nil || nano <= 0 || !currencyCode(x.From) || !currencyCode(x.To) {
			return nil, fmt.Errorf("price: exchange rate %d (%s to %s) is not a decimal above zero between two currencies", i, x.From, x.To)
		}
		k := [2]string{x.From, x.To}
		b.exchange[k] = append(b.exchange[k], exchangeRate{x.Since, nano})
	}
	for _, list := range b.exchange {
		sort.SliceStable(list, func(i, j int) bool { return list[i].since.Before(list[j].since) })
	}
	return b, nil
}

func (b *Book) add(card Card) error {
	c := b.channels[card.Channel]
	switch {
	case c == nil:
		return fmt.Errorf("channel %q is not known to the rules", card.Channel)
	case card.Price.Micro < 0:
		return ErrAmount
	case !currencyCode(card.Price.Currency):
		return ErrCurrency
	case card.ID == "":
		return fmt.Errorf("it has no id to put on charges")
	}
	var names uint8
	if card.Sender != "" {
		names |= 4
	}
	if card.Country != "" {
		names |= 2
	}
	if card.Category != "" {
		k, ok := rules.ParseCategory(card.Category)
		if !ok {
			return fmt.Errorf("category %q", card.Category)
		}
		card.Category, names = k.String(), names|1
	}
	key := ownKey{card.Country, card.Sender, card.Category}
	for i := range c.own {
		if c.own[i].names == names {
			c.own[i].cards[key] = append(c.own[i].cards[key], card)
			return nil
		}
	}
	c.own = append(c.own, ownLevel{names, map[ownKey][]Card{key: {card}}})
	return nil
}

// ownCard finds the operator's price, nil if there is none.
func (c *channelBook) ownCard(country, sender, category string, at time.Time) *Card {
	for i := range c.own {
		level := &c.own[i]
		var key ownKey
		if level.names&4 != 0 {
			key.sender = sender
		}
		if level.names&2 != 0 {
			key.country = country
		}
		if level.names&1 != 0 {
			key.category = category
		}
		list := level.cards[key]
		for j := len(list) - 1; j >= 0; j-- {
			card := &list[j]
			if !card.From.After(at) && (card.Until.IsZero() || at.Before(card.Until)) {
				return card
			}
		}
	}
	return nil
}

// Convert changes money into another currency at the operator's rate of that
// time, rounding half away from zero to a millionth; false if the operator
// gave none.
func (b *Book) Convert(m Money, currency string, at time.Time) (Money, bool) {
	if m.Currency == currency {
		return m, true
	}
	list := b.exchange[[2]string{m.Currency, currency}]
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].since.After(at) {
			micro, ok := mulDiv(m.Micro, list[i].nano, nanos)
			return Money{micro, currency}, ok
		}
	}
	return Money{}, false
}

// accountDay is t as if its civil time in the account's zone were UTC, since
// the data's days are written in UTC. A nil zone is UTC.
func accountDay(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		return t
	}
	_, offset := t.In(zone).Zone()
	return t.Add(time.Duration(offset) * time.Second)
}

func (c *channelBook) regime(at time.Time, zone *time.Location) (*rules.Regime, time.Time) {
	local := accountDay(at, zone)
	for i := len(c.regimes) - 1; i >= 0; i-- {
		day := at
		if c.regimes[i].AccountZone {
			day = local
		}
		if !c.regimes[i].From.After(day) {
			return c.regimes[i], day
		}
	}
	return nil, at
}

func (c *channelBook) card(day time.Time) *rules.RateCard {
	for i := len(c.cards) - 1; i >= 0; i-- {
		if !c.cards[i].From.After(day) {
			return c.cards[i]
		}
	}
	return nil
}
