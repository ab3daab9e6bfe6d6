package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/parley-messaging/parley/internal/plainjson"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// facts are the members of an event's data that the ledger reads; the engine
// writes them.
type facts struct {
	Step    *uint8          `json:"step"`
	Attempt *uint16         `json:"attempt"`
	Channel message.Channel `json:"channel"`
	Purpose message.Purpose `json:"purpose"`
	Charge  *amount         `json:"charge"`
}

type amount struct {
	Micros   int64  `json:"micros"`
	Currency string `json:"currency"`
	By       string `json:"by"`
	Rule     string `json:"rule"`
	Country  string `json:"country"`
}

// errCharge says nothing of what was read.
var errCharge = errors.New("the charge of the event lacks its message, step, attempt, currency or origin")

var (
	chargeMember  = []byte(`"charge":`)
	channelMember = []byte(`"channel":"`)
)

// chargeOf gives the charge an event carries, or nil. Most carry none: they
// are told by a search, which a text inside the data cannot deceive for long,
// since the decoder has the last word.
func chargeOf(e *store.LogEvent) (*store.Charge, error) {
	if !bytes.Contains(e.Data, chargeMember) {
		return nil, nil
	}
	f, ok := plainFacts(e.Data)
	if !ok {
		f = facts{}
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return nil, errCharge
		}
	}
	if f.Charge == nil {
		return nil, nil
	}
	if f.Step == nil || f.Attempt == nil || f.Charge.Currency == "" || e.Message.IsZero() ||
		f.Charge.By != "estimate" && f.Charge.By != "provider" {
		return nil, errCharge
	}
	return &store.Charge{
		Workspace: e.Workspace, Message: e.Message, Step: *f.Step, Attempt: *f.Attempt, Channel: f.Channel, Purpose: f.Purpose,
		Country: f.Charge.Country, Amount: message.Money{Micros: f.Charge.Micros, Currency: f.Charge.Currency},
		By: f.Charge.By, Rule: f.Charge.Rule, At: e.At,
	}, nil
}

// plainFacts reads what encoding/json would; ok is false for what it does not
// understand, such as an escape.
func plainFacts(data []byte) (f facts, ok bool) {
	ok = plainjson.Walk(data, func(name, value []byte) bool {
		switch string(name) {
		case "step":
			n, err := strconv.ParseUint(string(value), 10, 8)
			step := uint8(n)
			f.Step = &step
			return err == nil
		case "attempt":
			n, err := strconv.ParseUint(string(value), 10, 16)
			attempt := uint16(n)
			f.Attempt = &attempt
			return err == nil
		case "channel":
			return text(value, (*string)(&f.Channel))
		case "purpose":
			return text(value, (*string)(&f.Purpose))
		case "charge":
			f.Charge = new(amount)
			return f.Charge.plain(value)
		default:
			return true
		}
	})
	return f, ok
}

func (a *amount) plain(object []byte) bool {
	return plainjson.Walk(object, func(name, value []byte) bool {
		switch string(name) {
		case "micros":
			n, err := strconv.ParseInt(string(value), 10, 64)
			a.Micros = n
			return err == nil
		case "currency":
			return text(value, &a.Currency)
		case "by":
			return text(value, &a.By)
		case "rule":
			return text(value, &a.Rule)
		case "country":
			return text(value, &a.Country)
		default:
			return true
		}
	})
}

// text reads a string of printable ASCII.
func text(value []byte, into *string) bool {
	b, ok := plainjson.Text(value)
	*into = string(b)
	return ok
}

// channelOf finds the channel without decoding: within a JSON text the
// unescaped quotes of the pattern can only be a member of that name.
func channelOf(data []byte) []byte {
	_, rest, ok := bytes.Cut(data, channelMember)
	if !ok {
		return nil
	}
	name, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok || len(name) > 32 {
		return nil
	}
	return name
}
