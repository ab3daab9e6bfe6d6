package message

import (
	"encoding/json"
	"time"
)

// A TemplateUse fills a registered template.
type TemplateUse struct {
	Name       string            `json:"name"`
	Language   string            `json:"language"`
	Category   Purpose           `json:"-"`
	Parameters map[string]string `json:"parameters,omitempty"` // by name, or "1", "2" … by place
	Order      []string          `json:"-"`                    // the placeholders of the body in order
	Named      bool              `json:"-"`                    // the registered text uses names
	Header     *Media            `json:"header_media,omitempty"`
	HeaderText string            `json:"header_text,omitempty"`     // parameter of a text header
	Place      *Location         `json:"header_location,omitempty"` // parameter of a location header
	Product    *Product          `json:"header_product,omitempty"`  // parameter of a product header
	Offer      time.Time         `json:"offer_expires_at,omitzero"` // when a limited-time offer ends
	Buttons    []ButtonParameter `json:"buttons,omitempty"`
	Cards      []TemplateCard    `json:"cards,omitempty"` // of a carousel, in their order
	Body       string            `json:"-"`               // the registered body, for rendering elsewhere
	Components json.RawMessage   `json:"-"`               // all that is registered, in the provider's form; nil = not known
}

// A TemplateCard fills one card of a carousel.
type TemplateCard struct {
	Parameters map[string]string `json:"parameters,omitempty"` // of the card's own text
	Header     *Media            `json:"header_media,omitempty"`
	Product    *Product          `json:"header_product,omitempty"`
	Buttons    []ButtonParameter `json:"buttons,omitempty"`
}

// A Product is one article of a catalogue kept at the provider.
type Product struct {
	ID      string `json:"id"`                // the seller's own number of it
	Catalog string `json:"catalog,omitempty"` // the provider's id of the catalogue
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
	Products []string `json:"products"` // the seller's own numbers
}

// Files gives every file a use of a template names, to be read or changed.
func (t *TemplateUse) Files() (list []*Media) {
	if t == nil {
		return nil
	}
	if t.Header != nil {
		list = append(list, t.Header)
	}
	for i := range t.Cards {
		if h := t.Cards[i].Header; h != nil {
			list = append(list, h)
		}
	}
	return list
}

// OwnFiles gives a copy whose files may be changed without changing t's.
func (t *TemplateUse) OwnFiles() *TemplateUse {
	out := *t
	own := func(m *Media) *Media {
		if m == nil {
			return nil
		}
		one := *m
		return &one
	}
	out.Header = own(t.Header)
	out.Cards = append([]TemplateCard(nil), t.Cards...)
	for i := range out.Cards {
		out.Cards[i].Header = own(out.Cards[i].Header)
	}
	return &out
}
