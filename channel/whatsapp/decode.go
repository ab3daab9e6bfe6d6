package whatsapp

import (
	"errors"
	"time"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// ErrNotCallback is returned for a body that is no callback of Meta's.
var ErrNotCallback = errors.New("the body is not a WhatsApp callback")

// Decode reads the body of a callback: wire 2.6 to 2.8. portfolio is the scope
// of business-scoped user ids. It is lenient: unknown fields, fields of other
// types and nulls are as absent, and what it does not know becomes no event.
// It fails with ErrNotCallback.
func Decode(body []byte, portfolio string) ([]message.Event, error) {
	d := graph.NewDecoder(body)
	r := reader{portfolio: portfolio}
	whatsapp := false
	if !d.Object() {
		return nil, ErrNotCallback
	}
	for d.Next() {
		switch string(d.Key()) {
		case "object":
			whatsapp = string(d.Bytes()) == "whatsapp_business_account"
		case "entry":
			if d.Array() {
				for d.Item() {
					r.entry(&d)
				}
			}
		}
	}
	if d.End() != nil || r.bad || !whatsapp {
		return nil, ErrNotCallback
	}
	return r.events, nil
}

// A reader gathers the events of one callback.
type reader struct {
	portfolio string
	events    []message.Event
	bad       bool
}

// A change is one `changes[]` element: a field name and its value, which is
// read once the name is known.
type change struct {
	account string // entry id: the WhatsApp Business Account
	at      time.Time
	field   string
	value   []byte
}

func (r *reader) entry(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	var c change
	var first change
	var more []change
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			c.account = d.Text()
		case "time":
			c.at = instant(d.Int())
		case "changes":
			if d.Array() {
				for d.Item() {
					one := readChange(d)
					if first.value == nil {
						first = one
					} else {
						more = append(more, one)
					}
				}
			}
		}
	}
	if first.value != nil {
		first.account, first.at = c.account, c.at
		r.change(&first)
	}
	for i := range more {
		more[i].account, more[i].at = c.account, c.at
		r.change(&more[i])
	}
}

func readChange(d *graph.Decoder) (c change) {
	if !d.Object() {
		return c
	}
	for d.Next() {
		switch string(d.Key()) {
		case "field":
			c.field = d.Text()
		case "value":
			c.value = d.Span()
		}
	}
	return c
}

func (r *reader) change(c *change) {
	if c.value == nil {
		return // null or absent: nothing is told, and its neighbours still are
	}
	switch c.field {
	case "messages":
		r.messages(c)
	case "user_preferences":
		r.preferences(c)
	default:
		r.news(c)
	}
}

// value is what stands beside the messages and statuses of one change.
type value struct {
	number   string // phone_number_id
	contacts []person
	one      [1]person // room for the usual case
	statuses []status
	first    [1]status
	messages [][]byte
	errors   []graph.Error
}

// A person is one entry of contacts[].
type person struct {
	waID, userID   string
	name, username string
}

func (r *reader) messages(c *change) {
	var v value
	v.contacts, v.statuses = v.one[:0], v.first[:0]
	d := graph.NewDecoder(c.value)
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "metadata":
				v.number = readNumber(&d)
			case "contacts":
				if d.Array() {
					for d.Item() {
						v.contacts = append(v.contacts, readPerson(&d))
					}
				}
			case "statuses":
				if d.Array() {
					for d.Item() {
						v.statuses = append(v.statuses, readStatus(&d))
					}
				}
			case "messages":
				if d.Array() {
					for d.Item() {
						if m := d.Span(); m != nil {
							v.messages = append(v.messages, m)
						}
					}
				}
			case "errors":
				v.errors = readErrors(&d)
			}
		}
	}
	if d.End() != nil {
		r.bad = true
		return
	}
	for i := range v.statuses {
		r.status(&v.statuses[i], v.number)
	}
	for _, m := range v.messages {
		r.inbound(m, &v)
	}
	if len(v.statuses) == 0 && len(v.messages) == 0 {
		r.trouble(c, &v)
	}
}

// trouble tells of errors that are about the account, not about a message.
func (r *reader) trouble(c *change, v *value) {
	account := v.number
	if account == "" {
		account = c.account
	}
	for _, e := range v.errors {
		fault := faultFrom(e, 0)
		r.events = append(r.events, &message.AccountUpdate{Account: account, Field: "errors", Word: fault.Title, Fault: fault, At: c.at})
	}
}

func readNumber(d *graph.Decoder) (number string) {
	if d.Object() {
		for d.Next() {
			if string(d.Key()) == "phone_number_id" {
				number = d.Text()
			}
		}
	}
	return number
}

func readPerson(d *graph.Decoder) (p person) {
	if !d.Object() {
		return p
	}
	for d.Next() {
		switch string(d.Key()) {
		case "wa_id":
			p.waID = d.Text()
		case "user_id":
			p.userID = d.Text()
		case "profile":
			if d.Object() {
				for d.Next() {
					switch string(d.Key()) {
					case "name":
						p.name = d.Text()
					case "username":
						p.username = d.Text()
					}
				}
			}
		}
	}
	return p
}

func readErrors(d *graph.Decoder) (list []graph.Error) {
	if d.Array() {
		for d.Item() {
			if e, ok := graph.ReadError(d); ok {
				list = append(list, e)
			}
		}
	}
	return list
}

// instant reads Meta's times: seconds, in some captures milliseconds.
func instant(n int64) time.Time {
	switch {
	case n <= 0:
		return time.Time{}
	case n > 1e14:
		return time.Time{}
	case n > 1e11:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// addresses turns ids of one person into addresses, by shape: fields that are
// named for phone numbers have been seen to hold business-scoped ids (wire
// 2.14). The phone number comes first; ok is false when no id is usable.
func (r *reader) addresses(ids ...string) (first message.Address, also []message.Address, ok bool) {
	var phone, scoped string
	for _, id := range ids {
		switch {
		case businessScoped(id):
			if scoped == "" {
				scoped = id
			}
		case phoneDigits(id) != "":
			if phone == "" {
				phone = phoneDigits(id)
			}
		}
	}
	switch {
	case phone != "":
		first = message.Address{Channel: message.Phone, ID: "+" + phone}
		if scoped != "" {
			also = []message.Address{{Channel: message.WhatsApp, Scope: r.portfolio, ID: scoped}}
		}
	case scoped != "":
		first = message.Address{Channel: message.WhatsApp, Scope: r.portfolio, ID: scoped}
	default:
		return first, nil, false
	}
	return first, also, true
}

// phoneDigits gives the digits of a phone number, or "" for anything else.
func phoneDigits(s string) string {
	if len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	if len(s) < 5 || len(s) > 20 || !digits(s) {
		return ""
	}
	return s
}
