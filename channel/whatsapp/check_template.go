package whatsapp

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// The limits of a template's parts in a send: developers.facebook.com,
// template components and commerce templates, November 2026, and wire 2.9.
const (
	maxTemplateBody = 1024 // filled
	maxCardBody     = 160
	maxHeader       = 60
	maxCoupon       = 20 // the pages say 15 or 20
	maxOneTimeCode  = 15
	minCards        = 2
	maxCards        = 10
	maxSections     = 10
	maxSectionTitle = 24
	maxProducts     = 30 // in all sections together
)

// checkTemplate holds a use against what is registered, so that what the
// provider would refuse is refused before it is taken in.
func checkTemplate(t *message.TemplateUse, registered *shape) error {
	c := checker{named: t.Named}
	c.header("template", t.Header, registered)
	c.other(t, registered)
	c.filled("template.parameters", registered.body, t.Parameters, maxTemplateBody)
	if c.fault == nil && t.Category == message.Authentication {
		c.code(t)
	}
	if t.Category != message.Authentication || len(t.Buttons) > 0 {
		c.buttons("template", t.Buttons, registered)
	}
	c.carousel(t, registered)
	if c.fault != nil {
		return c.fault
	}
	return nil
}

// A checker keeps the first misfit.
type checker struct {
	named bool
	fault *channel.Misfit
}

func (c *checker) bad(field, detail, remedy string) {
	if c.fault == nil {
		c.fault = &channel.Misfit{Field: field, Detail: detail, Remedy: remedy}
	}
}

// headerMedia gives the kind of file a registered header takes.
var headerMedia = map[string]message.MediaType{
	"IMAGE": message.Image, "VIDEO": message.Video, "GIF": message.Video, "DOCUMENT": message.Document,
}

// header checks the file above a template or a card.
func (c *checker) header(at string, m *message.Media, registered *shape) {
	field := at + ".header_media"
	if m == nil {
		if want := headerMedia[registered.header]; registered.known && want != "" {
			c.bad(field, "the template's header needs "+article(want), "give the file as header_media")
		}
		return
	}
	ability, ok := Capabilities().Media[m.Type]
	switch {
	case m.Type != message.Image && m.Type != message.Video && m.Type != message.Document:
		c.bad(field+".type", "a header takes an image, a video or a document", "give one of these")
	case registered.known && headerMedia[registered.header] == "":
		c.bad(field, "the template's header takes no file", "leave header_media out")
	case registered.known && headerMedia[registered.header] != m.Type:
		c.bad(field+".type", "the template's header needs "+article(headerMedia[registered.header]), "give a file of that kind")
	case ok && ability.Bytes > 0 && m.Size > ability.Bytes:
		c.bad(field, fmt.Sprintf("the file is larger than the %d bytes WhatsApp takes", ability.Bytes), "give a smaller file")
	case ok && m.MIME != "" && len(ability.MIME) > 0 && !slices.Contains(ability.MIME, mimeOf(m.MIME)):
		c.bad(field, "WhatsApp does not show files of this type here", "give one of "+strings.Join(ability.MIME, ", "))
	}
}

func mimeOf(s string) string {
	s, _, _ = strings.Cut(strings.ToLower(s), ";")
	return strings.TrimSpace(s)
}

func article(t message.MediaType) string {
	if t == message.Image {
		return "an image"
	}
	return "a " + string(t)
}

// other checks the headers that are no file, and the offer.
func (c *checker) other(t *message.TemplateUse, registered *shape) {
	if t.Product != nil && t.Product.ID == "" {
		c.bad("template.header_product.id", "the product has no number", "give its content id in the catalogue")
	}
	if utf8.RuneCountInString(t.HeaderText) > maxHeader {
		c.bad("template.header_text", fmt.Sprintf("the header is longer than %d characters", maxHeader), "shorten it")
	}
	if !registered.known {
		return
	}
	if text, _ := channel.Fill(registered.headerText, map[string]string{registered.headerName: t.HeaderText}); utf8.RuneCountInString(text) > maxHeader {
		c.bad("template.header_text", fmt.Sprintf("with it, the header is longer than %d characters", maxHeader), "shorten it")
	}
	has := func(field string, given, wanted bool, what string) {
		switch {
		case wanted && !given:
			c.bad(field, "the template needs "+what, "give it")
		case given && !wanted:
			c.bad(field, "the template takes no such thing here", "leave it out")
		}
	}
	has("template.header_text", t.HeaderText != "", registered.headerName != "", "the parameter of its header")
	has("template.header_location", t.Place != nil, registered.header == "LOCATION", "a place in its header")
	has("template.header_product", t.Product != nil, registered.header == "PRODUCT", "a product in its header")
	has("template.offer_expires_at", !t.Offer.IsZero(), registered.offerEnds, "the end of its offer")
}

// filled checks a text with its parameters put in.
func (c *checker) filled(field, text string, values map[string]string, limit int) {
	flattened := make(map[string]string, len(values))
	for name, v := range values {
		flattened[name] = flat(v)
	}
	if text, _ = channel.Fill(text, flattened); utf8.RuneCountInString(text) > limit {
		c.bad(field, fmt.Sprintf("with its parameters, the text is longer than %d characters", limit), "shorten the parameters")
	}
}

func (c *checker) code(t *message.TemplateUse) {
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		if utf8.RuneCountInString(t.Parameters[name]) > maxOneTimeCode {
			c.bad("template.parameters."+name, fmt.Sprintf("a one-time code has at most %d characters", maxOneTimeCode), "shorten it")
		}
	}
}

// wants says what a registered button takes with a send: the type of its
// parameter, and whether it must be there.
func (b *shapeButton) wants() (types []string, must bool) {
	switch b.kind {
	case "QUICK_REPLY", "CATALOG", "FLOW", "VOICE_CALL":
		return []string{strings.ToLower(b.kind)}, false
	case "COPY_CODE", "MPM", "ORDER_DETAILS":
		return []string{strings.ToLower(b.kind)}, true
	case "OTP":
		return []string{"url", "copy_code"}, true
	case "URL":
		if b.variable {
			return []string{"url"}, true
		}
	}
	return nil, false
}

func (c *checker) buttons(at string, given []message.ButtonParameter, registered *shape) {
	filled := map[int]bool{}
	for i := range given {
		p := &given[i]
		field := fmt.Sprintf("%s.buttons[%d]", at, i)
		if filled[p.Index] {
			c.bad(field+".index", "the button is filled twice", "fill it once")
		}
		filled[p.Index] = true
		c.button(field, p)
		if !registered.known {
			continue
		}
		if p.Index < 0 || p.Index >= len(registered.buttons) {
			c.bad(field+".index", fmt.Sprintf("the template has %d buttons", len(registered.buttons)), "count them from 0")
			continue
		}
		types, _ := registered.buttons[p.Index].wants()
		switch {
		case len(types) == 0:
			c.bad(field, "this button of the template takes no parameter", "leave it out")
		case !slices.Contains(types, strings.ToLower(p.Type)):
			c.bad(field+".type", "the template's button is of another type", "give "+types[0])
		}
	}
	for i := range registered.buttons {
		if types, must := registered.buttons[i].wants(); must && !filled[i] {
			c.bad(at+".buttons", fmt.Sprintf("button %d of the template needs its %s parameter", i, types[0]), fmt.Sprintf(`add {"index": %d, "type": %q, …}`, i, types[0]))
		}
	}
}

// button checks one parameter by itself.
func (c *checker) button(field string, p *message.ButtonParameter) {
	kind := strings.ToLower(p.Type)
	if p.Index < 0 || p.Index > 9 {
		c.bad(field+".index", "a template has buttons 0 to 9", "count them from 0")
	}
	switch kind {
	case "url", "copy_code", "quick_reply", "voice_call":
		if p.Value == "" {
			c.bad(field+".value", "is missing", "give what the button carries")
		}
		if kind == "copy_code" && utf8.RuneCountInString(p.Value) > maxCoupon {
			c.bad(field+".value", fmt.Sprintf("a code has at most %d characters", maxCoupon), "shorten it")
		}
	case "order_details":
		if p.Payload == "" {
			c.bad(field+".payload", "is missing", "give the order as JSON, as the provider describes it")
		}
	case "mpm":
		c.sections(field, p)
	}
	if p.Payload != "" && (kind == "flow" || kind == "order_details") {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(p.Payload), &object) != nil {
			c.bad(field+".payload", "is not a JSON object", "give an object as text")
		}
	}
}

func (c *checker) sections(field string, p *message.ButtonParameter) {
	field += ".sections"
	if len(p.Sections) == 0 || len(p.Sections) > maxSections {
		c.bad(field, fmt.Sprintf("a list of products has 1 to %d sections", maxSections), "give the products in sections")
	}
	all := 0
	for i := range p.Sections {
		s := &p.Sections[i]
		all += len(s.Products)
		switch {
		case s.Title == "" && len(p.Sections) > 1, utf8.RuneCountInString(s.Title) > maxSectionTitle:
			c.bad(fmt.Sprintf("%s[%d].title", field, i), fmt.Sprintf("a section has a title of 1 to %d characters", maxSectionTitle), "change it")
		case len(s.Products) == 0 || slices.Contains(s.Products, ""):
			c.bad(fmt.Sprintf("%s[%d].products", field, i), "a product is missing", "give the products' content ids in the catalogue")
		}
	}
	if all > maxProducts {
		c.bad(field, fmt.Sprintf("all sections together have more than %d products", maxProducts), "leave some out")
	}
}

func (c *checker) carousel(t *message.TemplateUse, registered *shape) {
	n := len(t.Cards)
	switch {
	case registered.known && n > 0 && len(registered.cards) == 0:
		c.bad("template.cards", "the template is no carousel", "leave cards out")
	case registered.known && !registered.products() && n != len(registered.cards):
		c.bad("template.cards", fmt.Sprintf("the template's carousel has %d cards", len(registered.cards)), "fill every one of them, in order")
	case (n > 0 || len(registered.cards) > 0) && (n < minCards || n > maxCards):
		c.bad("template.cards", fmt.Sprintf("a carousel has %d to %d cards", minCards, maxCards), "give that many")
	}
	for i := range t.Cards {
		if c.fault != nil {
			return
		}
		c.card(fmt.Sprintf("template.cards[%d]", i), &t.Cards[i], registered.at(i))
	}
}

func (c *checker) card(at string, card *message.TemplateCard, registered *shape) {
	switch {
	case card.Header == nil && card.Product == nil:
		c.bad(at, "the card has neither a file nor a product", "give header_media or header_product")
	case card.Header != nil && card.Product != nil:
		c.bad(at, "the card has both a file and a product", "give one of them")
	case card.Header != nil && card.Header.Type == message.Document:
		c.bad(at+".header_media.type", "a card takes an image or a video", "give one of these")
	case card.Product != nil && (card.Product.ID == "" || card.Product.Catalog == ""):
		c.bad(at+".header_product", "the product needs its number and its catalogue", "give id and catalog")
	case card.Product != nil && registered.known && registered.header != "PRODUCT":
		c.bad(at+".header_product", "the template's card shows no product", "give header_media")
	case card.Product == nil:
		c.header(at, card.Header, registered)
	}
	if registered.known {
		c.parameters(at+".parameters", card.Parameters, channel.Placeholders(registered.body))
	}
	c.filled(at+".parameters", registered.body, card.Parameters, maxCardBody)
	c.buttons(at, card.Buttons, registered)
}

// parameters refuses what is missing and what is not there.
func (c *checker) parameters(field string, given map[string]string, wanted []string) {
	for _, name := range wanted {
		if given[name] == "" {
			c.bad(field+"."+name, "the card of the template needs this parameter", "give it a text")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(wanted, name) {
			c.bad(field+"."+name, "the card of the template has no such parameter", "leave it out")
		}
	}
}
