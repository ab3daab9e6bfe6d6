package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// Usage is what messages cost in a span.
type Usage struct {
	From time.Time   `json:"from"`
	To   time.Time   `json:"to"`
	Data []UsageLine `json:"data"`
}

// UsageLine is a sum of charges.
type UsageLine struct {
	Channel message.Channel `json:"channel"`
	Purpose message.Purpose `json:"purpose"`
	Count   int64           `json:"count" doc:"How many attempts were charged."`
	Amount  *Amount         `json:"amount" doc:"Null where no rate is known."`
}

type readUsage struct {
	From string `query:"from" doc:"RFC 3339; left out: the first of this month, UTC."`
	To   string `query:"to" doc:"RFC 3339; left out: now."`
}

func (s *Server) usage() {
	handle(s, op{
		method: http.MethodGet, path: "/v1/usage", id: "getUsage", tag: "Workspace", summary: "What it cost", scope: auth.UsageRead,
		doc: "Charges by channel, purpose and currency.",
	},
		func(ctx context.Context, who caller, in *readUsage) (*Usage, error) {
			now := s.o.Now().UTC()
			from, err := queryTime("from", in.From)
			if err != nil {
				return nil, err
			}
			to, err := queryTime("to", in.To)
			if err != nil {
				return nil, err
			}
			if from.IsZero() {
				from = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
			}
			if to.IsZero() {
				to = now
			}
			if to.Before(from) {
				return nil, problem(engine.CodeInvalid, "to", "is before from", "")
			}
			costs, err := s.o.Store.Costs(ctx, who.Workspace, from, to)
			if err != nil {
				return nil, err
			}
			out := &Usage{From: from, To: to, Data: make([]UsageLine, len(costs))}
			for i, c := range costs {
				out.Data[i] = UsageLine{Channel: c.Channel, Purpose: c.Purpose, Count: c.Count, Amount: amount(c.Amount)}
			}
			return out, nil
		})
}
