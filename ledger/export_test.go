package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// ChargeOf lets the fuzzer reach the decoder.
func ChargeOf(data []byte) (*store.Charge, error) {
	channelOf(data)
	return chargeOf(&store.LogEvent{Event: store.Event{Message: message.MessageID{1}, Data: data}})
}

// ReadsPlainly reads facts in the quick way and fails when that is not possible
// or encoding/json reads others.
func ReadsPlainly(data []byte) error {
	quick, ok := plainFacts(data)
	if !ok {
		return errors.New("they are not read in the quick way")
	}
	var f facts
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if !reflect.DeepEqual(quick, f) {
		return fmt.Errorf("got %+v, encoding/json reads %+v", quick, f)
	}
	return nil
}
