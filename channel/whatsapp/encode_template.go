package whatsapp

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// appendTemplate appends the template object: wire 2.4. Components with
// nothing variable are left out.
func appendTemplate(b []byte, t *message.TemplateUse) ([]byte, error) {
	if t.Name == "" || t.Language == "" {
		return nil, unfit("a template needs a name and a language")
	}
	b = append(b, `{"name":`...)
	b = graph.AppendString(b, t.Name)
	b = append(b, `,"language":{"code":`...)
	b = graph.AppendString(b, t.Language)
	b = append(b, `},"components":[`...)
	start := len(b)
	var registered shape
	if t.Header != nil || t.HeaderText != "" || len(t.Cards) > 0 {
		registered = shapeOf(t.Components)
	}
	b, err := appendTemplateHeader(b, t, &registered)
	if err != nil {
		return nil, err
	}
	if !t.Offer.IsZero() {
		b = append(b, `{"type":"limited_time_offer","parameters":[{"type":"limited_time_offer","limited_time_offer":{"expiration_time_ms":`...)
		b = strconv.AppendInt(b, t.Offer.UnixMilli(), 10)
		b = append(b, `}}]},`...)
	}
	order, named := channel.ParameterOrder(t)
	if b, err = appendTemplateBody(b, order, named, t.Parameters); err != nil {
		return nil, err
	}
	// The code of an authentication template goes twice: in the body and in
	// its one button.
	if len(t.Buttons) == 0 && t.Category == message.Authentication && len(t.Parameters) == 1 {
		for _, code := range t.Parameters {
			b = appendButton(b, 0, "url", "text", "text", code)
		}
	} else if b, err = appendTemplateButtons(b, t.Buttons); err != nil {
		return nil, err
	}
	if b, err = appendCarousel(b, t, &registered); err != nil {
		return nil, err
	}
	if len(b) == start {
		b = b[:start-len(`,"components":[`)]
		return append(b, '}'), nil
	}
	b[len(b)-1] = ']' // over the last comma
	return append(b, '}'), nil
}

const openHeader = `{"type":"header","parameters":[{"type":"`

func appendTemplateHeader(b []byte, t *message.TemplateUse, registered *shape) ([]byte, error) {
	switch {
	case t.Header != nil:
		return appendMediaHeader(b, t.Header, registered.header == "GIF")
	case t.Product != nil:
		return appendProductHeader(b, t.Product), nil
	case t.Place != nil:
		b = append(b, openHeader...)
		b = append(b, `location","location":`...)
		b = appendLocation(b, t.Place)
		return append(b, `}]},`...), nil
	case t.HeaderText != "":
		b = append(b, openHeader...)
		b = append(b, `text"`...)
		if name := registered.headerName; t.Named && name != "" {
			b = append(b, `,"parameter_name":`...)
			b = graph.AppendString(b, name)
		}
		b = append(b, `,"text":`...)
		b = appendParameter(b, t.HeaderText)
		return append(b, `}]},`...), nil
	}
	return b, nil
}

func appendMediaHeader(b []byte, m *message.Media, gif bool) ([]byte, error) {
	if m.Type != message.Image && m.Type != message.Video && m.Type != message.Document {
		return nil, unfit("a template's header takes an image, a video or a document")
	}
	kind := string(m.Type)
	if gif && m.Type == message.Video {
		kind = "gif"
	}
	b = append(b, openHeader...)
	b = append(b, kind...)
	b = append(b, `","`...)
	b = append(b, kind...)
	b, err := appendSource(append(b, `":`...), m)
	if err != nil {
		return nil, err
	}
	if m.Type == message.Document {
		b = appendField(b, "filename", m.Filename)
	}
	return append(b, `}}]},`...), nil
}

func appendProductHeader(b []byte, p *message.Product) []byte {
	b = append(b, openHeader...)
	b = append(b, `product","product":{"product_retailer_id":`...)
	b = graph.AppendString(b, p.ID)
	b = appendField(b, "catalog_id", p.Catalog)
	return append(b, `}}]},`...)
}

func appendTemplateBody(b []byte, order []string, named bool, values map[string]string) ([]byte, error) {
	if len(order) == 0 {
		return b, nil
	}
	b = append(b, `{"type":"body","parameters":[`...)
	for _, name := range order {
		value, ok := values[name]
		if !ok || value == "" {
			return nil, &message.Fault{Kind: message.Refused, Certain: true, Code: "132000", Title: "template parameter count mismatch"}
		}
		b = append(b, `{"type":"text",`...)
		if named {
			b = append(b, `"parameter_name":`...)
			b = graph.AppendString(b, name)
			b = append(b, ',')
		}
		b = append(b, `"text":`...)
		b = appendParameter(b, value)
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return append(b, '}', ','), nil
}

// appendCarousel appends the cards of a carousel.
func appendCarousel(b []byte, t *message.TemplateUse, registered *shape) (_ []byte, err error) {
	if len(t.Cards) == 0 {
		return b, nil
	}
	b = append(b, `{"type":"carousel","cards":[`...)
	for i := range t.Cards {
		card, known := &t.Cards[i], registered.at(i)
		b = append(b, `{"card_index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"components":[`...)
		start := len(b)
		switch {
		case card.Header != nil:
			if b, err = appendMediaHeader(b, card.Header, false); err != nil {
				return nil, err
			}
		case card.Product != nil:
			b = appendProductHeader(b, card.Product)
		}
		order, named := channel.ParameterOrder(&message.TemplateUse{Parameters: card.Parameters, Order: channel.Placeholders(known.body), Named: t.Named})
		if b, err = appendTemplateBody(b, order, named, card.Parameters); err != nil {
			return nil, err
		}
		if b, err = appendTemplateButtons(b, card.Buttons); err != nil {
			return nil, err
		}
		if len(b) == start {
			return nil, unfit("a card of a carousel has nothing in it")
		}
		b[len(b)-1] = ']'
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return append(b, '}', ','), nil
}

// appendParameter appends a value as a template takes it: newlines, tabs and
// more than four spaces in a row are refused by the provider (132018), so they
// become what a person reads the same.
func appendParameter(b []byte, s string) []byte { return graph.AppendString(b, flat(s)) }

func flat(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") && !strings.Contains(s, "     ") {
		return s
	}
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s)
	for strings.Contains(s, "     ") {
		s = strings.ReplaceAll(s, "     ", "    ")
	}
	return s
}

func appendTemplateButtons(b []byte, buttons []message.ButtonParameter) (_ []byte, err error) {
	for i := range buttons {
		p := &buttons[i]
		if p.Index < 0 || p.Index > 9 {
			return nil, unfit("a template has buttons 0 to 9")
		}
		switch kind := strings.ToLower(p.Type); kind {
		case "quick_reply", "voice_call":
			b = appendButton(b, p.Index, kind, "payload", "payload", p.Value)
		case "url":
			b = appendButton(b, p.Index, kind, "text", "text", p.Value)
		case "copy_code":
			b = appendButton(b, p.Index, kind, "coupon_code", "coupon_code", p.Value)
		case "flow", "catalog", "mpm", "order_details":
			b = openButton(b, p.Index, kind, "action")
			if b, err = appendAction(append(b, `"action":{`...), kind, p); err != nil {
				return nil, err
			}
			b = append(b, `}}]},`...)
		default:
			return nil, unfit("a template's button has an unknown type")
		}
	}
	return b, nil
}

// appendAction appends the members of a button's action.
func appendAction(b []byte, kind string, p *message.ButtonParameter) ([]byte, error) {
	start := len(b)
	member := func(name string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, '"', ':')
	}
	if p.Payload != "" && !json.Valid([]byte(p.Payload)) {
		return nil, unfit("the payload of a button is not JSON")
	}
	switch kind {
	case "flow":
		if p.Value != "" {
			member("flow_token")
			b = graph.AppendString(b, p.Value)
		}
		if p.Payload != "" {
			member("flow_action_data")
			b = append(b, p.Payload...)
		}
	case "order_details":
		if p.Payload == "" {
			return nil, unfit("an order button has no order")
		}
		member("order_details")
		b = append(b, p.Payload...)
	default:
		if p.Value != "" {
			member("thumbnail_product_retailer_id")
			b = graph.AppendString(b, p.Value)
		}
		if len(p.Sections) > 0 {
			member("sections")
			b = appendProducts(b, p.Sections)
		}
	}
	return b, nil
}

func appendProducts(b []byte, sections []message.ProductSection) []byte {
	b = append(b, '[')
	for i := range sections {
		b = append(b, `{"title":`...)
		b = graph.AppendString(b, sections[i].Title)
		b = append(b, `,"product_items":[`...)
		for j, id := range sections[i].Products {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"product_retailer_id":`...)
			b = graph.AppendString(b, id)
			b = append(b, '}')
		}
		b = append(b, `]},`...)
	}
	b[len(b)-1] = ']'
	return b
}

func openButton(b []byte, index int, kind, parameter string) []byte {
	b = append(b, `{"type":"button","sub_type":"`...)
	b = append(b, kind...)
	b = append(b, `","index":`...)
	b = appendIndex(b, index)
	b = append(b, `,"parameters":[{"type":"`...)
	b = append(b, parameter...)
	return append(b, '"', ',')
}

func appendButton(b []byte, index int, kind, parameter, field, value string) []byte {
	b = openButton(b, index, kind, parameter)
	b = append(b, '"')
	b = append(b, field...)
	b = append(b, '"', ':')
	b = graph.AppendString(b, value)
	return append(b, `}]},`...)
}
