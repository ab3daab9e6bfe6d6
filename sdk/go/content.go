package parley

import "time"

// Content is what is to be said, independent of any channel.
type Content struct {
	Text     string    `json:"text,omitempty"`
	Header   string    `json:"header,omitempty"`
	Footer   string    `json:"footer,omitempty"`
	Media    []Media   `json:"media,omitempty"`
	Actions  []Action  `json:"actions,omitempty"`
	List     *List     `json:"list,omitempty"`
	Location *Location `json:"location,omitempty"`
	Cards    []Card    `json:"contacts,omitempty"`
	Reaction *Reaction `json:"reaction,omitempty"`
	Request  string    `json:"request,omitempty"` // "location"
	Preview  bool      `json:"preview_url,omitempty"`

	// Transliterate replaces characters outside the GSM alphabet by near ones
	// where an SMS thereby takes fewer parts; nil: as the account is set.
	Transliterate *bool `json:"transliterate,omitempty"`
}

// Media is one attachment: exactly one of URL, ID and Provider.
type Media struct {
	Type     string `json:"type"` // image, video, audio, voice, document, sticker
	URL      string `json:"url,omitempty"`
	ID       string `json:"id,omitempty"`
	Provider string `json:"provider_id,omitempty"`
	MIME     string `json:"mime_type,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Size     int64  `json:"size,omitempty"`
	Filename string `json:"filename,omitempty"`
	Caption  string `json:"caption,omitempty"`
	Animated bool   `json:"animated,omitempty"`
}

// An Action is a button under a message: reply, url or dial.
type Action struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
	Phone   string `json:"phone,omitempty"`
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

// A Location is a point on the map, in degrees of WGS 84.
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
	Birthday  string      `json:"birthday,omitempty"`
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
	Message string `json:"message,omitempty"`
	Emoji   string `json:"emoji"`
}

// A TemplateUse fills a registered template. Parameters are by name, or by
// place as "1", "2" ….
type TemplateUse struct {
	Name       string            `json:"name"`
	Language   string            `json:"language"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Header     *Media            `json:"header_media,omitempty"`
	HeaderText string            `json:"header_text,omitempty"`
	Place      *Location         `json:"header_location,omitempty"`
	Product    *Product          `json:"header_product,omitempty"`
	Offer      *time.Time        `json:"offer_expires_at,omitempty"` // when a limited-time offer ends
	Buttons    []ButtonParameter `json:"buttons,omitempty"`
	Cards      []TemplateCard    `json:"cards,omitempty"` // of a carousel, in their order
}

// A TemplateCard fills one card of a carousel.
type TemplateCard struct {
	Parameters map[string]string `json:"parameters,omitempty"`
	Header     *Media            `json:"header_media,omitempty"`
	Product    *Product          `json:"header_product,omitempty"`
	Buttons    []ButtonParameter `json:"buttons,omitempty"`
}

// A Product is one article of a catalogue kept at the provider.
type Product struct {
	ID      string `json:"id"` // your own number of it
	Catalog string `json:"catalog,omitempty"`
}

// A ButtonParameter fills one button of a template.
type ButtonParameter struct {
	Index    int              `json:"index"`
	Type     string           `json:"type"`               // quick_reply, url, copy_code, flow, catalog, mpm, order_details, voice_call
	Value    string           `json:"value,omitempty"`    // payload, end of the address, code, flow token, or the product on the picture of a catalogue
	Payload  string           `json:"payload,omitempty"`  // JSON: the data of a flow, the order to be paid
	Sections []ProductSection `json:"sections,omitempty"` // what an mpm button opens
}

// A ProductSection is one titled group of products.
type ProductSection struct {
	Title    string   `json:"title"`
	Products []string `json:"products"` // your own numbers
}
