// Package handset plays the people: each has a phone number, a phone that is
// on or off, internet or none, WhatsApp or not, and reads what arrives.
//
// A handset appears when its number is first used. It knows no wire format:
// the pretend providers hand it deliveries and hear through a Sink what became
// of them. Start with Fleet and Delivery.
package handset

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
)

// Settings is what a tester can see and set of one handset.
type Settings struct {
	Number   string `json:"number"` // digits with country code
	Name     string `json:"name"`   // the WhatsApp profile name
	WhatsApp bool   `json:"whatsapp"`
	Internet bool   `json:"internet"`
	Phone    bool   `json:"phone"` // switched on; off also cuts the internet
	// Latency is "instant", "drawn" (from the distributions of the project's
	// rules, section 5.5) or a fixed duration such as "3s".
	Latency string `json:"latency"`
	// AutoRead says whether the person reads what arrives after ReadAfter.
	AutoRead  bool     `json:"auto_read"`
	ReadAfter Duration `json:"read_after"`
	// OptedOut says that the person stopped marketing messages on WhatsApp.
	OptedOut bool `json:"opted_out"`
	// HideNumber makes WhatsApp show the business only the business-scoped
	// user id, as for people with a username.
	HideNumber bool `json:"hide_number"`
}

// A Change sets some of the Settings; nil fields stay as they are.
type Change struct {
	Name       *string   `json:"name,omitempty"`
	WhatsApp   *bool     `json:"whatsapp,omitempty"`
	Internet   *bool     `json:"internet,omitempty"`
	Phone      *bool     `json:"phone,omitempty"`
	Latency    *string   `json:"latency,omitempty"`
	AutoRead   *bool     `json:"auto_read,omitempty"`
	ReadAfter  *Duration `json:"read_after,omitempty"`
	OptedOut   *bool     `json:"opted_out,omitempty"`
	HideNumber *bool     `json:"hide_number,omitempty"`
}

// Duration is a time.Duration that JSON carries as "1m30s".
type Duration time.Duration

// MarshalJSON writes d as Go writes durations.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what Go's time.ParseDuration reads.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// Raw is a JSON document kept as it came.
type Raw string

// MarshalJSON returns the document itself.
func (r Raw) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return []byte(r), nil
}

// UnmarshalJSON keeps the document.
func (r *Raw) UnmarshalJSON(b []byte) error {
	*r = Raw(b)
	return nil
}

// An Item is one message in the inbox of a handset, or one it wrote.
type Item struct {
	ID       string        `json:"id"` // the provider's id
	Channel  fault.Channel `json:"channel"`
	Outgoing bool          `json:"outgoing"`          // written by this person
	From     string        `json:"from"`              // the brand's sender
	Type     string        `json:"type"`              // text, image, template ...
	Text     string        `json:"text,omitempty"`    // what the person sees
	Content  Raw           `json:"content,omitempty"` // as it was on the wire, when JSON
	At       time.Time     `json:"at"`
	Read     bool          `json:"read"`
	Seen     bool          `json:"seen,omitempty"` // written by this person, and the brand showed that it read it
}

// A Delivery is one message on its way to a handset.
type Delivery struct {
	Item  Item
	To    string        // digits
	Until time.Time     // when the provider gives up; zero means never
	Extra time.Duration // added to the latency
	Sink  Sink
	Quiet bool // a part of something: it arrives, but is not shown in the inbox

	over bool // arrived or expired; guarded by the handset's shard
}

// A Sink hears what became of a delivery. Its methods may be called from any
// goroutine, also before Deliver returns, and must not block.
type Sink interface {
	Delivered(d *Delivery, at time.Time)
	Read(d *Delivery, at time.Time)
	Expired(d *Delivery, at time.Time)
}

// record is an inbox entry with the delivery to mark read.
type record struct {
	item Item
	d    *Delivery // nil once read or when the person wrote it
}

// handset is one person; its shard's lock guards it.
type handset struct {
	set     Settings
	pinned  bool // configured or wrote: not forgotten to save memory
	inbox   []record
	waiting []*Delivery
	wrote   map[string]time.Time // last message to a sender, per "channel sender"
	typing  map[string]time.Time // until when a sender shows that it is typing
	random  *rand.Rand
}

func (h *handset) reachable(ch fault.Channel) bool {
	if ch == fault.WhatsApp {
		return h.set.Phone && h.set.Internet && h.set.WhatsApp
	}
	return h.set.Phone
}

func (h *handset) apply(c Change) {
	set(&h.set.Name, c.Name)
	set(&h.set.WhatsApp, c.WhatsApp)
	set(&h.set.Internet, c.Internet)
	set(&h.set.Phone, c.Phone)
	set(&h.set.Latency, c.Latency)
	set(&h.set.AutoRead, c.AutoRead)
	set(&h.set.ReadAfter, c.ReadAfter)
	set(&h.set.OptedOut, c.OptedOut)
	set(&h.set.HideNumber, c.HideNumber)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (s *Settings) trait(t fault.Trait) {
	switch t {
	case fault.NoWhatsApp:
		s.WhatsApp = false
	case fault.Offline:
		s.Internet = false
	case fault.PhoneOff:
		s.Phone = false
	case fault.OptedOut:
		s.OptedOut = true
	case fault.Plain:
	}
}
