package whatsapp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a template send beyond its text (wire facts, sections 2.3, 2.4 and
// 2.9; Meta's pages on commerce and coupon templates).
const (
	maxCardBody     = 160
	maxCoupon       = 20
	maxCode         = 15
	maxSections     = 10
	maxSectionTitle = 24
	maxProducts     = 30
)

// fill checks the components of a send, or of one card of it, against what is
// registered and renders the text. where is put before what an error names.
func (t *Template) fill(sh *shape, where string, components *value, now time.Time) (string, *refusal) {
	var header, body, offer, cards *value = &none, &none, &none, &none
	filled := make([]bool, len(sh.buttons))
	for i := range components.vals {
		part := &components.vals[i]
		switch strings.ToLower(part.text("type")) {
		case "header":
			header = part.get("parameters")
		case "body":
			body = part.get("parameters")
		case "button":
			if bad := sh.fillButton(where, part, filled); bad != nil {
				return "", bad
			}
		case "carousel":
			cards = part.get("cards")
		case "limited_time_offer":
			offer = part.get("parameters")
		case "order_status":
		default:
			return "", refuse(131009, "template['components'] has an unknown type.")
		}
	}
	head, bad := t.fillHeader(sh, where, header)
	if bad != nil {
		return "", bad
	}
	if bad := sh.fillOffer(offer, now); bad != nil {
		return "", bad
	}
	text, bad := t.fillText(where+"body", sh.body, sh.bodyVars, body)
	if bad != nil {
		return "", bad
	}
	limit := maxBody
	if where != "" {
		limit = maxCardBody
	}
	switch {
	case sh.header == "TEXT" && runes(head) > maxHeaderText, len(text) > limit && runes(text) > limit:
		return "", refuse(132005, "The text is too long after its parameters are filled in.")
	case t.Category == "AUTHENTICATION" && len(body.vals) > 0 && runes(body.vals[0].text("text")) > maxCode:
		return "", refuse(100, fmt.Sprintf("The code must be at most %d characters long.", maxCode))
	}
	for i, b := range sh.buttons {
		if b.variable && !filled[i] {
			return "", refuse(131008, fmt.Sprintf("%sbuttons: Button at index %d of type %s requires a parameter", where, i, b.kind))
		}
	}
	shown, bad := t.fillCards(sh, cards, now)
	if bad != nil {
		return "", bad
	}
	return sh.compose(head, text, shown), nil
}

// compose gives what the person reads.
func (sh *shape) compose(head, text string, cards []string) string {
	var lines []string
	for _, s := range []string{head, sh.offer, text, sh.footer} {
		if s != "" {
			lines = append(lines, s)
		}
	}
	for _, b := range sh.buttons {
		label := b.text
		if label == "" {
			label = strings.ToLower(strings.ReplaceAll(b.kind, "_", " "))
		}
		lines = append(lines, "["+label+"]")
	}
	for _, c := range cards {
		lines = append(lines, "| "+strings.ReplaceAll(c, "\n", " "))
	}
	return strings.Join(lines, "\n")
}

func (t *Template) fillHeader(sh *shape, where string, parameters *value) (string, *refusal) {
	if sh.header == "TEXT" || sh.header == "" {
		return t.fillText(where+"header", sh.headerText, sh.headerVars, parameters)
	}
	if len(parameters.vals) != 1 {
		return "", refuse(132012, where+"header: Format mismatch, expected "+sh.header+", received UNKNOWN")
	}
	p := &parameters.vals[0]
	kind := p.text("type")
	if strings.ToUpper(kind) != sh.header {
		return "", refuse(132012, where+"header: Format mismatch, expected "+sh.header+", received "+strings.ToUpper(kind))
	}
	switch kind {
	case "location":
		var c content
		bad := readLocation(p.get(kind), &c)
		return "[location] " + c.text, bad
	case "product":
		product := p.get(kind)
		if product.text("product_retailer_id") == "" || where != "" && product.text("catalog_id") == "" {
			return "", refuse(131008, where+"header: the product needs product_retailer_id and catalog_id.")
		}
		return "[product " + product.text("product_retailer_id") + "]", nil
	case "gif":
		return "[gif]", checkMedia("video", p.get(kind))
	}
	return "[" + kind + "]", checkMedia(kind, p.get(kind))
}

// fillOffer checks when a limited-time offer ends.
func (sh *shape) fillOffer(parameters *value, now time.Time) *refusal {
	if len(parameters.vals) == 0 {
		if sh.offerEnds {
			return refuse(131008, "limited_time_offer: expiration_time_ms is required by this template.")
		}
		return nil
	}
	p := &parameters.vals[0]
	ends, err := strconv.ParseInt(p.get("limited_time_offer").get("expiration_time_ms").str, 10, 64)
	switch {
	case sh.offer == "":
		return refuse(132018, "limited_time_offer: the template has no offer.")
	case p.text("type") != "limited_time_offer" || err != nil:
		return refuse(132012, "limited_time_offer: expiration_time_ms must be a UNIX time in milliseconds.")
	case !time.UnixMilli(ends).After(now):
		return refuse(131009, "limited_time_offer: expiration_time_ms must be in the future.")
	}
	return nil
}

func (t *Template) fillCards(sh *shape, cards *value, now time.Time) (texts []string, bad *refusal) {
	products := len(sh.cards) > 0 && sh.cards[0].header == "PRODUCT"
	n := len(cards.vals)
	switch {
	case n == 0 && len(sh.cards) == 0:
		return nil, nil
	case len(sh.cards) == 0:
		return nil, refuse(132018, "carousel: the template is no carousel.")
	case !products && n != len(sh.cards) || n < 2 || n > 10:
		return nil, refuse(132000, fmt.Sprintf("carousel: number of cards (%d) does not match the expected number of cards (%d)", n, len(sh.cards)))
	}
	seen := make([]bool, n)
	texts = make([]string, n)
	for i := range cards.vals {
		card := &cards.vals[i]
		at, err := strconv.Atoi(card.get("card_index").str)
		if err != nil || at < 0 || at >= n || seen[at] {
			return nil, refuse(131009, "carousel: card_index must count the cards from 0.")
		}
		seen[at] = true
		where := fmt.Sprintf("carousel: card %d: ", at)
		if texts[at], bad = t.fill(&sh.cards[min(at, len(sh.cards)-1)], where, card.get("components"), now); bad != nil {
			return nil, bad
		}
	}
	return texts, nil
}

func (sh *shape) fillButton(where string, part *value, filled []bool) *refusal {
	index, err := strconv.Atoi(part.get("index").str)
	if err != nil || index < 0 {
		return refuse(131008, "template['components'] of type button needs an index.")
	}
	if index >= len(filled) {
		return refuse(132018, fmt.Sprintf("%sbuttons: there is no button at index %d", where, index))
	}
	kind := strings.ToUpper(part.text("sub_type"))
	button := sh.buttons[index]
	want := button.kind
	if kind != want && !(want == "OTP" && (kind == "URL" || kind == "COPY_CODE")) && !(want == "URL" && kind == "OTP") {
		return refuse(132018, fmt.Sprintf("%sbuttons: Button at index %d is of type %s, not %s", where, index, want, kind))
	}
	parameters := part.get("parameters")
	switch {
	case button.fixed:
		return refuse(132018, fmt.Sprintf("%sbuttons: Button at index %d of type %s takes no parameter", where, index, want))
	case button.variable && len(parameters.vals) != 1:
		return refuse(132000, fmt.Sprintf("%sbuttons: Button at index %d takes one parameter", where, index))
	case filled[index]:
		return refuse(131009, fmt.Sprintf("%sbuttons: Button at index %d is filled twice", where, index))
	}
	filled[index] = true
	for i := range parameters.vals {
		if bad := checkButton(kind, &parameters.vals[i]); bad != nil {
			return bad
		}
	}
	return nil
}

// buttonParameters is the type of parameter each kind of button takes.
var buttonParameters = map[string][]string{
	"QUICK_REPLY": {"payload", "text"}, "URL": {"text"}, "OTP": {"text"}, "COPY_CODE": {"coupon_code", "text"}, "FLOW": {"action"},
	"CATALOG": {"action"}, "MPM": {"action"}, "ORDER_DETAILS": {"action"}, "VOICE_CALL": {"payload"},
}

func checkButton(kind string, p *value) *refusal {
	given := p.text("type")
	if !slices.Contains(buttonParameters[kind], given) {
		return refuse(132012, "buttons: a button of type "+kind+" takes a parameter of type "+strings.Join(buttonParameters[kind], " or ")+", not "+given)
	}
	action := p.get("action")
	switch {
	case given != "action" && p.get(given).kind == absent, given != "action" && p.get(given).kind == isString && p.text(given) == "":
		return refuse(131008, "buttons: a parameter of type "+given+" has no value.")
	case given == "coupon_code":
		return atMost("coupon_code", p.text(given), maxCoupon)
	case given == "action" && action.kind != isObject:
		return refuse(131008, "buttons: the parameter action is required.")
	case kind == "FLOW" && action.has("flow_action_data") && action.get("flow_action_data").kind != isObject:
		return refuse(131009, "buttons: flow_action_data must be an object.")
	case kind == "MPM":
		return checkProducts(action.get("sections"))
	case kind == "ORDER_DETAILS" && action.get("order_details").text("reference_id") == "":
		return refuse(131008, "buttons: order_details['reference_id'] is required.")
	}
	return nil
}

func checkProducts(sections *value) *refusal {
	if n := len(sections.vals); n == 0 || n > maxSections {
		return refuse(131009, fmt.Sprintf("sections must hold 1 to %d elements.", maxSections))
	}
	all := 0
	for i := range sections.vals {
		s := &sections.vals[i]
		items := s.get("product_items")
		if bad := atMost("sections['title']", s.text("title"), maxSectionTitle); bad != nil {
			return bad
		}
		if s.text("title") == "" && len(sections.vals) > 1 || len(items.vals) == 0 {
			return refuse(131008, "Every section needs a title and products.")
		}
		for j := range items.vals {
			if items.vals[j].text("product_retailer_id") == "" {
				return refuse(131008, "The parameter product_retailer_id is required.")
			}
		}
		all += len(items.vals)
	}
	if all > maxProducts {
		return refuse(131009, fmt.Sprintf("At most %d products may be given.", maxProducts))
	}
	return nil
}
