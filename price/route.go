package price

import "math"

// A Step is one step of a route with what is believed about it.
type Step struct {
	Quote Quote
	// InTime is the probability that the step is delivered before its wait
	// ends, so that no later step goes.
	InTime float64
	// Ever is the probability that it is delivered at all, InTime included.
	// Above InTime it may arrive after the next step went: a duplicate, and
	// both are paid. A time to live no longer than the wait makes them equal.
	Ever float64
}

// A RoutePrice is what a route of steps costs.
type RoutePrice struct {
	Expected   Money   // mean over what may happen
	Worst      Money   // most that can be owed
	Duplicates float64 // mean number of copies delivered late, after a later step went
	Known      bool    // false: some step that may cost something has no price, or currencies differ
	Reason     Reason  // why it is not known
}

// Route prices a route: each step goes if none before it was delivered in
// time. A step charged on delivery costs nothing if it never arrives; one
// charged on send is owed as soon as it went. Forbidden steps are skipped.
// Probabilities outside 0 to 1 are brought inside. The quotes must be in one
// currency, which Query.Currency arranges.
func Route(steps []Step) RoutePrice {
	out := RoutePrice{Known: true}
	reach, expected := 1.0, 0.0
	currency := ""
	for _, s := range steps {
		switch {
		case s.Quote.State == Forbidden:
			continue
		case s.Quote.State == Unknown:
			return RoutePrice{Reason: s.Quote.Reason}
		case s.Quote.State == Priced && currency == "":
			currency = s.Quote.Money.Currency
		case s.Quote.State == Priced && s.Quote.Money.Currency != currency:
			return RoutePrice{Reason: NoExchange}
		}
	}
	worst := int64(0)
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if s.Quote.State == Forbidden {
			continue
		}
		inTime, ever := s.chances()
		if s.Quote.ChargedOn == "delivery" && ever <= inTime {
			worst = max(worst, s.Quote.Money.Micro) // delivered, then nothing follows
		} else if sum := worst + s.Quote.Money.Micro; sum >= worst {
			worst = sum
		} else {
			return RoutePrice{Reason: TooLarge}
		}
	}
	last := lastSendable(steps)
	for i, s := range steps {
		if s.Quote.State == Forbidden {
			continue
		}
		inTime, ever := s.chances()
		owed := 1.0
		if s.Quote.ChargedOn == "delivery" {
			owed = ever
		}
		expected += reach * owed * float64(s.Quote.Money.Micro)
		if i != last {
			out.Duplicates += reach * (ever - inTime)
		}
		reach *= 1 - inTime
	}
	out.Expected = Money{int64(math.Round(expected)), currency}
	out.Worst = Money{worst, currency}
	return out
}

func (s Step) chances() (inTime, ever float64) {
	inTime = min(max(s.InTime, 0), 1)
	return inTime, max(inTime, min(max(s.Ever, 0), 1))
}

func lastSendable(steps []Step) int {
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Quote.State != Forbidden {
			return i
		}
	}
	return -1
}
