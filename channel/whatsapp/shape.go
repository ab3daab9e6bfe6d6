package whatsapp

import (
	"strings"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
)

// A shape is what the registered components of a template, or of one card of
// its carousel, ask of a send (wire 2.9). The zero shape is of a template whose
// components are not known.
type shape struct {
	known      bool
	header     string // "", TEXT, IMAGE, VIDEO, GIF, DOCUMENT, LOCATION or PRODUCT
	headerText string
	headerName string // the one placeholder of a text header, "" = none
	body       string
	footer     string
	offer      string // text of a limited-time offer
	offerEnds  bool   // it shows when it ends
	buttons    []shapeButton
	cards      []shape
}

type shapeButton struct {
	kind     string // QUICK_REPLY, URL, PHONE_NUMBER, COPY_CODE, OTP, FLOW, CATALOG, MPM, SPM, ORDER_DETAILS, VOICE_CALL
	title    string
	variable bool // of a URL: its end is given with each send
}

// shapeOf reads registered components. What it does not know it leaves out.
func shapeOf(components []byte) shape {
	if len(components) == 0 {
		return shape{}
	}
	d := graph.NewDecoder(components)
	s := readShape(&d)
	s.known = s.known && d.End() == nil
	return s
}

func readShape(d *graph.Decoder) (s shape) {
	if !d.Array() {
		return s
	}
	s.known = true
	for d.Item() {
		s.component(d)
	}
	return s
}

func (s *shape) component(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	var kind, format, text string
	for d.Next() {
		switch string(d.Key()) {
		case "type":
			kind = strings.ToUpper(d.Text())
		case "format":
			format = strings.ToUpper(d.Text())
		case "text":
			text = d.Text()
		case "limited_time_offer":
			if d.Object() {
				for d.Next() {
					switch string(d.Key()) {
					case "text":
						s.offer = d.Text()
					case "has_expiration":
						s.offerEnds = d.Bool()
					}
				}
			}
		case "buttons":
			if d.Array() {
				for d.Item() {
					s.buttons = append(s.buttons, readButton(d))
				}
			}
		case "cards":
			if d.Array() {
				for d.Item() {
					s.card(d)
				}
			}
		}
	}
	switch kind {
	case "HEADER":
		s.header = format
		if format == "TEXT" {
			s.headerText = text
			if names := channel.Placeholders(text); len(names) > 0 {
				s.headerName = names[0]
			}
		}
	case "BODY":
		s.body = text
	case "FOOTER":
		s.footer = text
	}
}

func (s *shape) card(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		if string(d.Key()) == "components" {
			s.cards = append(s.cards, readShape(d))
		}
	}
}

func readButton(d *graph.Decoder) (b shapeButton) {
	if !d.Object() {
		return b
	}
	for d.Next() {
		switch string(d.Key()) {
		case "type":
			b.kind = strings.ToUpper(d.Text())
		case "text":
			b.title = d.Text()
		case "url":
			b.variable = strings.Contains(d.Text(), "{{")
		}
	}
	return b
}

// products tells whether the carousel shows products: then a send may have
// another number of cards than was registered.
func (s *shape) products() bool { return len(s.cards) > 0 && s.cards[0].header == "PRODUCT" }

// at gives the shape of a card of a send.
func (s *shape) at(i int) *shape {
	if len(s.cards) == 0 {
		return &shape{}
	}
	return &s.cards[min(i, len(s.cards)-1)]
}
