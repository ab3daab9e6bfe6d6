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
	header     string // "", TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION
	headerText string
	headerVars []string
	body       string
	bodyVars   []string
	footer     string
	buttons    []templateButton
}

type templateButton struct {
	kind     string // QUICK_REPLY, URL, OTP, COPY_CODE ...
	text     string
	variable bool // a send must fill it
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
	t.shape = shape{}
	for i := range v.vals {
		c := &v.vals[i]
		text := c.text("text")
		switch strings.ToUpper(c.text("type")) {
		case "HEADER":
			t.shape.header = strings.ToUpper(c.text("format"))
			t.shape.headerText, t.shape.headerVars = text, varsOf(text)
		case "BODY":
			t.shape.body, t.shape.bodyVars = text, varsOf(text)
			if text == "" && t.Category == "AUTHENTICATION" {
				t.shape.body, t.shape.bodyVars = "{{1}} is your verification code.", []string{"1"}
			}
		case "FOOTER":
			t.shape.footer = text
		case "BUTTONS":
			t.shape.buttons = readTemplateButtons(c.get("buttons"))
		}
	}
	return nil
}

func readTemplateButtons(list *value) []templateButton {
	var buttons []templateButton
	for i := range list.vals {
		b := &list.vals[i]
		kind := strings.ToUpper(b.text("type"))
		buttons = append(buttons, templateButton{
			kind: kind, text: b.text("text"),
			variable: kind == "URL" && strings.Contains(b.text("url"), "{{") || kind == "OTP" || kind == "COPY_CODE",
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
	return t.fill(body.get("components"), c)
}

// fill checks the components of a send and renders the text.
func (t *Template) fill(components *value, c *content) *refusal {
	sh := &t.shape
	var header, body *value = &none, &none
	filled := make([]bool, len(sh.buttons))
	for i := range components.vals {
		part := &components.vals[i]
		switch strings.ToLower(part.text("type")) {
		case "header":
			header = part.get("parameters")
		case "body":
			body = part.get("parameters")
		case "button":
			if err := t.fillButton(part, filled); err != nil {
				return err
			}
		case "carousel", "limited_time_offer", "order_status":
		default:
			return refuse(131009, "template['components'] has an unknown type.")
		}
	}
	head, err := t.fillHeader(header)
	if err != nil {
		return err
	}
	text, err := t.fillText("body", sh.body, sh.bodyVars, body)
	if err != nil {
		return err
	}
	if len(text) > maxBody && runes(text) > maxBody {
		return refuse(132005, "The text is too long after its parameters are filled in.")
	}
	for i, b := range sh.buttons {
		if b.variable && !filled[i] {
			return refuse(131008, fmt.Sprintf("buttons: Button at index %d of type %s requires a parameter", i, b.kind))
		}
	}
	c.text = t.compose(head, text)
	return nil
}

func (t *Template) compose(head, text string) string {
	if head != "" {
		text = head + "\n" + text
	}
	if t.shape.footer != "" {
		text += "\n" + t.shape.footer
	}
	for _, b := range t.shape.buttons {
		text += "\n[" + b.text + "]"
	}
	return text
}

func (t *Template) fillHeader(parameters *value) (string, *refusal) {
	sh := &t.shape
	if sh.header == "TEXT" || sh.header == "" {
		return t.fillText("header", sh.headerText, sh.headerVars, parameters)
	}
	if len(parameters.vals) != 1 {
		return "", refuse(132012, "header: Format mismatch, expected "+sh.header+", received UNKNOWN")
	}
	p := &parameters.vals[0]
	kind := p.text("type")
	if strings.ToUpper(kind) != sh.header {
		return "", refuse(132012, "header: Format mismatch, expected "+sh.header+", received "+strings.ToUpper(kind))
	}
	if kind == "location" {
		return "", nil
	}
	return "", checkMedia(kind, p.get(kind))
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

func (t *Template) fillButton(part *value, filled []bool) *refusal {
	index, err := strconv.Atoi(part.get("index").str)
	if err != nil || index < 0 {
		return refuse(131008, "template['components'] of type button needs an index.")
	}
	if index >= len(filled) {
		return refuse(132018, fmt.Sprintf("buttons: there is no button at index %d", index))
	}
	kind := strings.ToUpper(part.text("sub_type"))
	want := t.shape.buttons[index].kind
	if kind != want && !(want == "OTP" && (kind == "URL" || kind == "COPY_CODE")) && !(want == "URL" && kind == "OTP") {
		return refuse(132018, fmt.Sprintf("buttons: Button at index %d is of type %s, not %s", index, want, kind))
	}
	parameters := part.get("parameters")
	if t.shape.buttons[index].variable && len(parameters.vals) != 1 {
		return refuse(132000, fmt.Sprintf("buttons: Button at index %d takes one parameter", index))
	}
	filled[index] = true
	return nil
}
