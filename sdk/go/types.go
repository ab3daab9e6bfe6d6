package parley

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A Channel is a medium a person can be reached on.
type Channel string

// Channels of this version; a server may have more.
const (
	WhatsApp     Channel = "whatsapp"
	SMS          Channel = "sms"
	PhoneChannel Channel = "phone" // identities that are telephone numbers
)

// A Purpose says why you write.
type Purpose string

// The purposes, most urgent first.
const (
	Authentication Purpose = "authentication"
	Service        Purpose = "service"
	Utility        Purpose = "utility"
	Marketing      Purpose = "marketing"
)

// A Recipient is who a message goes to: make it with [Phone], [ContactID] or
// [ChannelID].
type Recipient struct {
	Phone   string  `json:"phone,omitempty"`
	Contact string  `json:"contact,omitempty"`
	Channel Channel `json:"channel,omitempty"`
	Sender  string  `json:"sender,omitempty"`
	ID      string  `json:"id,omitempty"`
}

// Phone is the person with a telephone number.
func Phone(number string) Recipient { return Recipient{Phone: number} }

// ContactID is a contact of the workspace.
func ContactID(id string) Recipient { return Recipient{Contact: id} }

// ChannelID is the person with an id that a channel gave; sender names the
// page, portfolio or app it belongs to and may be "".
func ChannelID(channel Channel, id, sender string) Recipient {
	return Recipient{Channel: channel, ID: id, Sender: sender}
}

// A Route is the channels to try in order, or [AutoRoute].
type Route []RouteStep

// AutoRoute lets the planner order what can reach the person.
func AutoRoute() Route { return Route{{auto: true}} }

// MarshalJSON writes the steps, or "auto".
func (r Route) MarshalJSON() ([]byte, error) {
	if len(r) == 1 && r[0].auto {
		return []byte(`"auto"`), nil
	}
	return json.Marshal([]RouteStep(r))
}

// A RouteStep is one channel of a route.
type RouteStep struct {
	Channel  Channel      `json:"channel"`
	Sender   string       `json:"sender,omitempty"`
	Next     *NextIf      `json:"next_if,omitempty"`
	Content  *Content     `json:"content,omitempty"`
	Template *TemplateUse `json:"template,omitempty"`

	auto bool
}

// A NextIf says when a route goes on, besides a failure.
type NextIf struct {
	Failed       bool     `json:"failed,omitempty"`
	NotDelivered Duration `json:"not_delivered_in,omitempty"`
	NotRead      Duration `json:"not_read_in,omitempty"`
	NotReplied   Duration `json:"not_replied_in,omitempty"`
}

// A Duration is a span of time in its JSON form: "60s", "2d".
type Duration time.Duration

// MarshalText writes whole days as days.
func (d Duration) MarshalText() ([]byte, error) {
	const day = 24 * time.Hour
	if v := time.Duration(d); v >= day && v%day == 0 {
		return []byte(strconv.FormatInt(int64(v/day), 10) + "d"), nil
	}
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what the server writes.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		*d = Duration(n) * Duration(24*time.Hour)
		return err
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// An Amount is money: a decimal text and a currency of ISO 4217.
type Amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// String gives "0.15 EUR".
func (a Amount) String() string { return a.Amount + " " + a.Currency }

// A SendRequest is one message to send.
type SendRequest struct {
	To       Recipient         `json:"to"`
	Purpose  Purpose           `json:"purpose"`
	Content  *Content          `json:"content,omitempty"`
	Template *TemplateUse      `json:"template,omitempty"`
	Route    Route             `json:"route,omitempty"` // nil: the workspace's default
	SendAt   *time.Time        `json:"send_at,omitempty"`
	Expires  Duration          `json:"expires_in,omitempty"`
	MaxPrice *Amount           `json:"max_price,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	ReplyTo  string            `json:"reply_to,omitempty"`

	// IdempotencyKey makes repeated calls one; "" = a new one for each call.
	IdempotencyKey string `json:"-"`
}

// A BatchRequest is shared content and who gets it.
type BatchRequest struct {
	Purpose  Purpose           `json:"purpose"`
	Content  *Content          `json:"content,omitempty"`
	Template *TemplateUse      `json:"template,omitempty"`
	Route    Route             `json:"route,omitempty"`
	SendAt   *time.Time        `json:"send_at,omitempty"`
	Expires  Duration          `json:"expires_in,omitempty"`
	MaxPrice *Amount           `json:"max_price,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Messages []BatchItem       `json:"messages"`

	// IdempotencyKey makes repeated calls one; "" = a new one for each call.
	IdempotencyKey string `json:"-"`
}

// A BatchItem is one recipient of a batch.
type BatchItem struct {
	To         Recipient         `json:"to"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Content    *Content          `json:"content,omitempty"`
	Template   *TemplateUse      `json:"template,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

// Accepted is the server's promise to send a message, and its plan.
type Accepted struct {
	ID       string     `json:"id"`
	Contact  string     `json:"contact"`
	State    string     `json:"state"`
	Plan     []PlanStep `json:"plan"`
	Warnings []Warning  `json:"warnings"`

	WorstCase *Amount `json:"worst_case"` // all steps charged; nil: a rate is not known
	Expected  *Amount `json:"expected"`   // the first step does the job

	// Replayed says that the idempotency key was used before: this is the
	// answer of then.
	Replayed bool `json:"-"`
}

// A PlanStep is one step of the plan, taken or left out, and why.
type PlanStep struct {
	Step     int       `json:"step"`
	Channel  Channel   `json:"channel"`
	Sender   string    `json:"sender,omitempty"`
	Mode     string    `json:"mode,omitempty"`
	Template string    `json:"template,omitempty"`
	Skipped  bool      `json:"skipped,omitempty"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail,omitempty"`
	Wait     Duration  `json:"wait,omitempty"`
	Trigger  string    `json:"trigger,omitempty"`
	ValidFor Duration  `json:"valid_for,omitempty"`
	LateRisk bool      `json:"late_risk,omitempty"`
	Segments int       `json:"segments,omitempty"`
	Encoding string    `json:"encoding,omitempty"`
	Estimate *Amount   `json:"estimate"`
	Rule     string    `json:"rule,omitempty"`
	Free     bool      `json:"free,omitempty"`
	Rendered *Rendered `json:"rendered,omitempty"`
}

// A Warning tells of something that will not be as you may think.
type Warning struct {
	Code   string `json:"code"`
	Step   *int   `json:"step,omitempty"`
	Detail string `json:"detail"`
}

// Rendered is content as one channel will show it.
type Rendered struct {
	Text     string   `json:"text"`
	Content  Content  `json:"content"`
	Encoding string   `json:"encoding,omitempty"`
	Segments int      `json:"segments"`
	Changes  []Change `json:"changes"`
	Choices  []Choice `json:"choices,omitempty"`
	Saving   *Saving  `json:"saving,omitempty"`
}

// A Saving is the same text in fewer billable parts, for the price of some
// characters: Content.Transliterate takes it.
type Saving struct {
	Text     string `json:"text"`
	Encoding string `json:"encoding"`
	Segments int    `json:"segments"`
	Detail   string `json:"detail"`
}

// A Change is one adaptation of content to a channel.
type Change struct {
	Field  string `json:"field"`
	Level  string `json:"level"`
	Detail string `json:"detail"`
}

// A Choice maps a typed answer to the payload of a button.
type Choice struct {
	Key     string `json:"key"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// A Preview is what would happen to a message, with nothing sent.
type Preview struct {
	State     string     `json:"state"`
	Plan      []PlanStep `json:"plan"`
	Warnings  []Warning  `json:"warnings"`
	WorstCase *Amount    `json:"worst_case"`
	Expected  *Amount    `json:"expected"`
}

// A BatchAnswer is the verdict on every item of a batch.
type BatchAnswer struct {
	Accepted int            `json:"accepted"`
	Refused  int            `json:"refused"`
	Data     []BatchVerdict `json:"data"`
}

// A BatchVerdict is what became of one item.
type BatchVerdict struct {
	Index    int       `json:"index"`
	ID       string    `json:"id,omitempty"`
	Contact  string    `json:"contact,omitempty"`
	State    string    `json:"state,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	Error    *Error    `json:"error,omitempty"`
}
