package message

import "time"

// An Event is something a provider tells us: a [Receipt], an [Inbound], a
// [TemplateUpdate], an [AccountUpdate], a [Preference] or an [IdentityChange].
type Event interface{ isEvent() }

// A ReceiptStatus is what a provider says became of a message.
type ReceiptStatus uint8

// The statuses, in the order of a good life. ReceiptUnknown is a provider's
// final "we do not know".
const (
	ReceiptSent ReceiptStatus = iota + 1
	ReceiptDelivered
	ReceiptRead
	ReceiptFailed
	ReceiptExpired
	ReceiptUnknown
)

var receiptNames = [...]string{"", "sent", "delivered", "read", "failed", "expired", "unknown"}

// String gives the word of the status.
func (s ReceiptStatus) String() string {
	if int(s) < len(receiptNames) {
		return receiptNames[s]
	}
	return "unknown"
}

// A Receipt is what a provider says later about one part of one attempt.
type Receipt struct {
	ID     string   // the provider's id of the part; may embed a phone number: personal
	Alt    []string // other spellings of ID (hex for decimal …)
	Echo   string   // our own id, where the provider echoes it
	Status ReceiptStatus
	At     time.Time // the provider's time; zero = it gave none
	Fault  *Fault    // why, when Status is ReceiptFailed or ReceiptExpired
	Price  *ProviderPrice
	To     Address // who it is about, when told; personal
	From   string  // the brand's end it is about, when told
	Text   string  // first characters of the text, when told; personal
}

// A ProviderPrice is the provider's own word on money; it wins over ours.
type ProviderPrice struct {
	Billable bool   `json:"billable"`
	Model    string `json:"model,omitempty"`    // CBP, PMP …
	Category string `json:"category,omitempty"` // marketing, utility …
	Type     string `json:"type,omitempty"`     // regular, free_customer_service, free_entry_point
	Amount   *Money `json:"-"`                  // nil = no amount given
}

// An Inbound is a message a person sent us (MO). All of it is personal.
type Inbound struct {
	ID         string    // the provider's id: with the connector, the key of deduplication
	From       Address   // the address to answer to
	Also       []Address // further addresses of the same person (phone beside a business-scoped id)
	To         string    // the brand's end it came to
	At         time.Time // the provider's time
	Type       InboundType
	Content    Content
	Payload    string // payload of the button or row that was chosen
	Choice     string // its title
	ReplyTo    string // provider's id of our message it answers; "" = none
	Name       string // profile name, when told
	Username   string
	EntryPoint bool   // came from an advertisement: opens the free entry point
	Referral   []byte // JSON as the provider gave it; nil = none
	Raw        []byte // JSON of what has no place above; nil = none
}

// An InboundType says what kind of thing was said.
type InboundType string

// The kinds of inbound messages.
const (
	InText        InboundType = "text"
	InMedia       InboundType = "media"
	InLocation    InboundType = "location"
	InContacts    InboundType = "contacts"
	InReply       InboundType = "reply" // a button or row was chosen
	InReaction    InboundType = "reaction"
	InOrder       InboundType = "order"
	InEdit        InboundType = "edit"   // ReplyTo names the message edited
	InRevoke      InboundType = "revoke" // ReplyTo names the message taken back
	InFlow        InboundType = "flow"
	InUnsupported InboundType = "unsupported"
)

// A TemplateUpdate is news about a template: state, category or quality.
type TemplateUpdate struct {
	Account  string // provider's account id
	Provider string // provider's template id
	Name     string
	Language string
	State    TemplateState // "" = unchanged
	Category Purpose       // "" = unchanged
	Quality  string        // "" = unchanged
	Reason   string
	At       time.Time
}

// TemplateEdited is the Reason of news that a template's components changed.
const TemplateEdited = "components_changed"

// A TemplateState is a provider's review state; only approved ones are sent.
type TemplateState string

// The states of wire.md 2.9.
const (
	TemplateDraft    TemplateState = "draft"
	TemplatePending  TemplateState = "pending"
	TemplateApproved TemplateState = "approved"
	TemplateRejected TemplateState = "rejected"
	TemplatePaused   TemplateState = "paused"
	TemplateDisabled TemplateState = "disabled"
	TemplateDeleted  TemplateState = "deleted"
)

// An AccountUpdate is news about a sender or connector account.
type AccountUpdate struct {
	Account string // provider's id of the account or number
	Field   string // the provider's word for what changed
	Word    string // the provider's word for how; never personal
	Fault   *Fault // not nil: treat like this fault (ban, restriction)
	At      time.Time
}

// A Preference is a person's wish told by the provider, such as "no more
// marketing from this business".
type Preference struct {
	From  Address
	To    string // the brand's end
	Scope Scope  // ScopeMarketing or ScopeSender
	Allow bool   // true: they came back
	At    time.Time
}

// An IdentityChange says that a person has a new address.
type IdentityChange struct {
	Old, New Address
	At       time.Time
}

func (*Receipt) isEvent()        {}
func (*Inbound) isEvent()        {}
func (*TemplateUpdate) isEvent() {}
func (*AccountUpdate) isEvent()  {}
func (*Preference) isEvent()     {}
func (*IdentityChange) isEvent() {}
