package whatsapp

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Template is one entry of the sandbox's own template table.
type Template struct {
	ID       string `json:"id"`
	WABA     string `json:"waba,omitempty"` // the business account; empty means the first
	Name     string `json:"name"`
	Language string `json:"language"`
	Category string `json:"category"` // MARKETING, UTILITY or AUTHENTICATION
	Status   string `json:"status"`   // APPROVED, PENDING, PAUSED, DISABLED, REJECTED ...
	Named    bool   `json:"named,omitempty"`
	// TTL is message_send_ttl_seconds; 0 means the default (600 for
	// authentication, else 30 days), -1 means 30 days.
	TTL        int             `json:"message_send_ttl_seconds,omitempty"`
	Components json.RawMessage `json:"components"` // as the API lists them

	shape shape
}

// shape is what a send needs to know of the components.
type shape struct {
	header     string // "", TEXT, IMAGE, VIDEO, GIF, DOCUMENT, LOCATION, PRODUCT
	headerText string
	headerVars []string
	body       string
	bodyVars   []string
	footer     string
	offer      string // text of a limited-time offer
	offerEnds  bool   // a send must say when
	buttons    []templateButton
	cards      []shape // of a carousel
}

type templateButton struct {
	kind     string // QUICK_REPLY, URL, OTP, COPY_CODE ...
	text     string
	variable bool // a send must fill it
	fixed    bool // a send cannot fill it
}

const (
	approved     = "APPROVED"
	monthSeconds = 30 * 24 * 3600
)

// variables finds {{1}} and {{name}}.
var variables = regexp.MustCompile(`\{\{\s*([a-z0-9_]+)\s*\}\}`)

func varsOf(text string) []string {
	var names []string
	for _, m := range variables.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// learn derives the shape from the components.
func (t *Template) learn() error {
	v, err := parse(string(t.Components))
	if err != nil || v.kind != isArray {
		return fmt.Errorf("template %s: components are not a JSON array", t.Name)
	}
	t.shape = t.learnShape(&v)
	return nil
}

func (t *Template) learnShape(components *value) (s shape) {
	for i := range components.vals {
		c := &components.vals[i]
		text := c.text("text")
		switch strings.ToUpper(c.text("type")) {
		case "HEADER":
			s.header = strings.ToUpper(c.text("format"))
			s.headerText, s.headerVars = text, varsOf(text)
		case "BODY":
			s.body, s.bodyVars = text, varsOf(text)
			if text == "" && t.Category == "AUTHENTICATION" {
				s.body, s.bodyVars = "{{1}} is your verification code.", []string{"1"}
			}
		case "FOOTER":
			s.footer = text
		case "BUTTONS":
			s.buttons = readTemplateButtons(c.get("buttons"))
		case "LIMITED_TIME_OFFER":
			offer := c.get("limited_time_offer")
			s.offer, s.offerEnds = offer.text("text"), offer.get("has_expiration").str == "true"
		case "CAROUSEL":
			cards := c.get("cards")
			for j := range cards.vals {
				s.cards = append(s.cards, t.learnShape(cards.vals[j].get("components")))
			}
		}
	}
	return s
}

func readTemplateButtons(list *value) []templateButton {
	var buttons []templateButton
	for i := range list.vals {
		b := &list.vals[i]
		kind := strings.ToUpper(b.text("type"))
		buttons = append(buttons, templateButton{
			kind: kind, text: b.text("text"),
			variable: kind == "URL" && strings.Contains(b.text("url"), "{{") || slices.Contains([]string{"OTP", "COPY_CODE", "MPM", "ORDER_DETAILS"}, kind),
			fixed:    kind == "URL" && !strings.Contains(b.text("url"), "{{") || kind == "PHONE_NUMBER" || kind == "SPM",
		})
	}
	return buttons
}

func (t *Template) ttl() time.Duration {
	seconds := t.TTL
	switch {
	case seconds == 0 && t.Category == "AUTHENTICATION":
		seconds = 600
	case seconds <= 0:
		seconds = monthSeconds
	}
	return time.Duration(seconds) * time.Second
}

// templateTable is the templates of all business accounts.
type templateTable struct {
	mu   sync.RWMutex
	list []*Template // replaced, never changed, so that readers may keep one
	next uint64
}

func (t *templateTable) find(waba, name, language string) (found *Template, named bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, e := range t.list {
		if e.WABA == waba && e.Name == name {
			named = true
			if e.Language == language {
				return e, true
			}
		}
	}
	return nil, named
}

// put adds or replaces a template and gives it an id if it has none.
func (t *templateTable) put(e Template) (*Template, error) {
	if err := e.learn(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.ID == "" {
		t.next++
		e.ID = strconv.FormatUint(1_100_000_000_000_000+t.next*7919, 10)
	}
	for i, old := range t.list {
		if old.WABA == e.WABA && old.Name == e.Name && old.Language == e.Language {
			e.ID = old.ID
			t.list[i] = &e
			return &e, nil
		}
	}
	t.list = append(t.list, &e)
	return &e, nil
}

// readTemplate checks a template send against the table and renders what the
// person sees (wire facts, sections 2.4 and 2.13).
func (s *Server) readTemplate(n *number, body, message *value, c *content) *refusal {
	name, language := body.text("name"), body.get("language").text("code")
	if name == "" || language == "" {
		return refuse(131008, "The parameters template['name'] and template['language']['code'] are required.")
	}
	t, named := s.templates.find(n.waba.ID, name, language)
	switch {
	case t == nil && named:
		return refuse(132001, fmt.Sprintf("template name (%s) does not exist in %s", name, language))
	case t == nil:
		return refuse(132001, fmt.Sprintf("template name (%s) does not exist", name))
	case t.Status == "PAUSED":
		return refuse(132015, "template "+name+" is paused")
	case t.Status == "DISABLED":
		return refuse(132016, "template "+name+" is disabled")
	case t.Status != approved:
		return refuse(132001, fmt.Sprintf("template name (%s) is not approved", name))
	case t.Category == "AUTHENTICATION" && !message.has("to"):
		return refuse(131062, "Authentication templates need a phone number.")
	}
	c.template = t
	text, bad := t.fill(&t.shape, "", body.get("components"), s.parts.Clock.Now())
	c.text = text
	return bad
}

func (t *Template) fillText(where, text string, names []string, parameters *value) (string, *refusal) {
	if len(parameters.vals) != len(names) {
		return "", refuse(132000, fmt.Sprintf("%s: number of localizable_params (%d) does not match the expected number of params (%d)",
			where, len(parameters.vals), len(names)))
	}
	for i := range parameters.vals {
		p := &parameters.vals[i]
		name := strconv.Itoa(i + 1)
		if t.Named {
			name = p.text("parameter_name")
			if name == "" {
				return "", refuse(100, "Parameter name is missing or empty")
			}
		}
		if !slices.Contains(names, name) {
			return "", refuse(132000, where+": parameter "+name+" is not in the template")
		}
		filling, err := parameterText(where, p)
		if err != nil {
			return "", err
		}
		text = replaceVariable(text, name, filling)
	}
	return text, nil
}

func replaceVariable(text, name, filling string) string {
	if plain := "{{" + name + "}}"; strings.Contains(text, plain) {
		return strings.ReplaceAll(text, plain, filling)
	}
	return variables.ReplaceAllStringFunc(text, func(m string) string {
		if strings.TrimSpace(strings.Trim(m, "{}")) == name {
			return filling
		}
		return m
	})
}

func parameterText(where string, p *value) (string, *refusal) {
	var text string
	switch p.text("type") {
	case "text":
		text = p.text("text")
	case "currency":
		text = p.get("currency").text("fallback_value")
	case "date_time":
		text = p.get("date_time").text("fallback_value")
	default:
		return "", refuse(132012, where+": Format mismatch, expected TEXT")
	}
	if text == "" {
		return "", refuse(131008, where+": a parameter of type text is missing text value")
	}
	if strings.ContainsAny(text, "\n\t") || strings.Contains(text, "     ") {
		return "", refuse(132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
	}
	return text, nil
}
