package ledger

import (
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// ChargeOf lets the fuzzer reach the decoder.
func ChargeOf(data []byte) (*store.Charge, error) {
	channelOf(data)
	return chargeOf(&store.LogEvent{Event: store.Event{Message: message.MessageID{1}, Data: data}})
}
