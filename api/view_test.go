package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// What a story costs is told by step and in all, by currency; and which step
// first reached the person, whatever came later.
func TestWhatItCostAndWhoDelivered(t *testing.T) {
	r := newRig(t, nil)
	id := r.ids.Message(noon)
	eur := func(micros int64) message.Money { return message.Money{Micros: micros, Currency: "EUR"} }
	m := view(&engine.View{
		Message: store.Message{ID: id, Direction: store.MT, CreatedAt: noon},
		Delivery: &message.Delivery{ID: id, State: message.Read, Steps: []message.Step{
			{Channel: message.WhatsApp, State: message.StepSuperseded, Attempts: []message.Attempt{{DeliveredAt: noon}}},
			{Channel: message.SMS, State: message.StepRead, Attempts: []message.Attempt{{FailedAt: noon}, {ReadAt: noon.Add(time.Minute)}}},
			{Channel: message.SMS, State: message.StepDelivered, Attempts: []message.Attempt{{DeliveredAt: noon.Add(time.Hour)}}},
		}},
		Charges: []*store.Charge{
			{Step: 0, Amount: message.Money{Micros: 30_000, Currency: "USD"}},
			{Step: 1, Amount: eur(50_000)},
			{Step: 1, Attempt: 1, Amount: eur(25_000)},
			{Step: 2}, // no rate known
		},
	})
	type costs = [][]Amount
	want := costs{{{"0.03", "USD"}, {"0.075", "EUR"}}, {{"0.03", "USD"}}, {{"0.075", "EUR"}}, nil}
	if diff := cmp.Diff(want, costs{m.Cost, m.Steps[0].Cost, m.Steps[1].Cost, m.Steps[2].Cost}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&DeliveredBy{Step: 1, Channel: message.SMS, At: noon.Add(time.Minute)}, m.Delivered); diff != "" {
		t.Error(diff)
	}
}
