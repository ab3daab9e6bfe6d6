package engine

import (
	"testing"

	"github.com/parley-messaging/parley/message"
)

func TestTotals(t *testing.T) {
	step := func(micros int64, currency string) PlanStep {
		return PlanStep{Estimate: message.Money{Micros: micros, Currency: currency}}
	}
	left := step(90, "EUR")
	left.Skipped = true
	none := message.Money{}
	for name, tt := range map[string]struct {
		plan            []PlanStep
		worst, expected message.Money
	}{
		"nothing":          {nil, none, none},
		"all are charged":  {[]PlanStep{left, step(30, "EUR"), step(70, "EUR")}, message.Money{Micros: 100, Currency: "EUR"}, message.Money{Micros: 30, Currency: "EUR"}},
		"first not known":  {[]PlanStep{step(0, ""), step(70, "EUR")}, none, none},
		"second not known": {[]PlanStep{step(30, "EUR"), step(0, "")}, none, message.Money{Micros: 30, Currency: "EUR"}},
		"free, then not":   {[]PlanStep{step(0, "EUR"), step(70, "EUR")}, message.Money{Micros: 70, Currency: "EUR"}, message.Money{Currency: "EUR"}},
		"two currencies":   {[]PlanStep{step(30, "EUR"), step(70, "USD")}, message.Money{Micros: 30, Currency: "EUR"}, message.Money{Micros: 30, Currency: "EUR"}},
		"all are left out": {[]PlanStep{left}, none, none},
	} {
		a := Answer{Plan: tt.plan}
		if worst, expected := a.Totals(); worst != tt.worst || expected != tt.expected {
			t.Errorf("%s: at worst %v, expected %v", name, worst, expected)
		}
	}
}
