package engine

import (
	"testing"

	"github.com/parley-messaging/parley/message"
)

// TestTornGivesACopy: receipts change the parts of a delivery; what was answered
// must be the same should it be acted on again.
func TestTornGivesACopy(t *testing.T) {
	for _, f := range []*message.Fault{nil, {Kind: message.Transient}} {
		answered := make([]message.Part, 2, 8)
		got := torn(answered, f, 3)
		if want := 2 + map[bool]int{true: 1}[f != nil]; len(got) != want {
			t.Errorf("%d parts, want %d", len(got), want)
		}
		got[0].State = message.ReceiptDelivered
		if answered[0].State != 0 {
			t.Error("what was answered has changed")
		}
	}
}
