package message

// Content is what is to be said, independent of any channel. Every field is
// optional; what a channel cannot show is adapted by channel.Fit.
type Content struct {
	Text     string    `json:"text,omitempty"`
	Header   string    `json:"header,omitempty"` // short title above the text
	Footer   string    `json:"footer,omitempty"`
	Media    []Media   `json:"media,omitempty"`
	Actions  []Action  `json:"actions,omitempty"` // buttons
	List     *List     `json:"list,omitempty"`
	Location *Location `json:"location,omitempty"`
	Cards    []Card    `json:"contacts,omitempty"` // address-book entries
	Reaction *Reaction `json:"reaction,omitempty"`
	Request  string    `json:"request,omitempty"` // "location": ask the person to share it
	Preview  bool      `json:"preview_url,omitempty"`

	// Transliterate replaces characters outside the GSM alphabet by near ones
	// where an SMS thereby takes fewer parts; nil: as the account is set.
	Transliterate *bool `json:"transliterate,omitempty"`
}

// IsZero reports whether there is nothing to say.
func (c *Content) IsZero() bool {
	return c.Text == "" && c.Header == "" && c.Footer == "" && len(c.Media) == 0 && len(c.Actions) == 0 &&
		c.List == nil && c.Location == nil && len(c.Cards) == 0 && c.Reaction == nil && c.Request == ""
}

// A MediaType says what kind of file a Media is.
type MediaType string

// The kinds of media.
const (
	Image    MediaType = "image"
	Video    MediaType = "video"
	Audio    MediaType = "audio"
	Voice    MediaType = "voice" // an audio shown as a voice note
	Document MediaType = "document"
	Sticker  MediaType = "sticker"
)

// Media is one attachment: a public URL, a stored file, or a provider's id.
type Media struct {
	Type     MediaType `json:"type"`
	URL      string    `json:"url,omitempty"`
	ID       MediaID   `json:"id,omitzero"`           // a file kept by Parley
	Provider string    `json:"provider_id,omitempty"` // the provider's own id
	MIME     string    `json:"mime_type,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	Size     int64     `json:"size,omitempty"` // bytes
	Filename string    `json:"filename,omitempty"`
	Caption  string    `json:"caption,omitempty"`
	Animated bool      `json:"animated,omitempty"`
}

// An ActionType says what a button does.
type ActionType string

// The kinds of action.
const (
	Reply ActionType = "reply" // sends Payload back to the brand
	URL   ActionType = "url"   // opens URL
	Dial  ActionType = "dial"  // calls Phone
)

// An Action is a button under a message.
type Action struct {
	Type    ActionType `json:"type"`
	Title   string     `json:"title"`
	Payload string     `json:"payload,omitempty"`
	URL     string     `json:"url,omitempty"`
	Phone   string     `json:"phone,omitempty"`
}

// A List is a menu of rows in sections.
type List struct {
	Button   string    `json:"button"`
	Sections []Section `json:"sections"`
}

// A Section groups rows of a List.
type Section struct {
	Title string `json:"title,omitempty"`
	Rows  []Row  `json:"rows"`
}

// A Row is one choice of a List.
type Row struct {
	Payload     string `json:"payload"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// A Location is a point on the map. Degrees, WGS 84.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// A Card is one address-book entry.
type Card struct {
	Name      string      `json:"name"`
	First     string      `json:"first_name,omitempty"`
	Last      string      `json:"last_name,omitempty"`
	Company   string      `json:"company,omitempty"`
	Birthday  string      `json:"birthday,omitempty"` // YYYY-MM-DD
	Phones    []CardValue `json:"phones,omitempty"`
	Emails    []CardValue `json:"emails,omitempty"`
	URLs      []CardValue `json:"urls,omitempty"`
	Addresses []CardValue `json:"addresses,omitempty"`
}

// A CardValue is one labelled value of a Card.
type CardValue struct {
	Value string `json:"value"`
	Type  string `json:"type,omitempty"`
	WaID  string `json:"wa_id,omitempty"`
}

// A Reaction is an emoji on an earlier message; the empty emoji takes it back.
type Reaction struct {
	Message MessageID `json:"message,omitzero"` // the message reacted to
	Target  string    `json:"-"`                // the provider's id of it
	Emoji   string    `json:"emoji"`
}
