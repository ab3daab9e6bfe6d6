package engine

import (
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/engine/route"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/price"
	"github.com/parley-messaging/parley/store"
)

// quote estimates what a step costs, in one mode.
func (e *Engine) quote(now time.Time, typ *channel.Type, s *store.Sender, country string, purpose message.Purpose, mode message.Mode, category message.Purpose, f gate.Facts, segments int) route.Price {
	q := price.Query{
		Channel: string(typ.Channel), Country: country, Sender: s.ID.String(), Purpose: string(purpose),
		WindowOpen: !f.WindowEnds.IsZero(), Segments: max(segments, 1), At: now, Currency: f.Limit.Currency,
	}
	if mode == message.Template {
		q.Category = string(category)
	}
	quote := e.o.Prices.Quote(q)
	out := route.Price{Rule: quote.Rate, Free: quote.State == price.Free}
	if quote.Market != "" {
		out.Rule += " " + quote.Market
	}
	switch quote.State {
	case price.Priced:
		out.Amount = message.Money{Micros: quote.Money.Micro, Currency: quote.Money.Currency}
	case price.Free:
		out.Amount = message.Money{Currency: "USD"}
		if f.Limit.Currency != "" {
			out.Amount.Currency = f.Limit.Currency
		}
		out.Rule = string(quote.Reason)
	}
	return out
}

// messages counts what free-form content is sent as, where a template was
// rendered in its place.
func messages(typ *channel.Type, content *message.Content, use *message.TemplateUse, rendered int) int {
	if use == nil || typ.Caps.Series <= 1 || len(content.Media) == 0 {
		return rendered
	}
	if out, err := typ.Render(content, nil); err == nil {
		return out.Segments
	}
	return rendered
}
