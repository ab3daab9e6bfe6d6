package whatsapp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Templates returns the templates of a business account; empty means the
// first.
func (s *Server) Templates(account string) []Template {
	if account == "" {
		account = s.first.ID
	}
	s.templates.mu.RLock()
	defer s.templates.mu.RUnlock()
	var list []Template
	for _, t := range s.templates.list {
		if t.WABA == account {
			list = append(list, *t)
		}
	}
	return list
}

// SetTemplateStatus changes the review state of a template and tells it by
// webhook, as when Meta approves, rejects, pauses or disables one. Status is
// the word of the API: APPROVED, REJECTED, PENDING, PAUSED, DISABLED ...
func (s *Server) SetTemplateStatus(account, name, language, status string) error {
	if account == "" {
		account = s.first.ID
	}
	t, _ := s.templates.find(account, name, language)
	if t == nil {
		return fmt.Errorf("sandbox whatsapp: no template %s in %s", name, language)
	}
	changed := *t
	changed.Status = status
	if _, err := s.templates.put(changed); err != nil {
		return err
	}
	s.tellStatus(&changed)
	return nil
}

func (s *Server) tellStatus(t *Template) {
	b := append([]byte(nil), `{"value":{`...)
	b = appendMember(b, "event", t.Status)
	b = append(b, `,"message_template_id":`+t.ID...)
	b = appendMember(b, "message_template_name", t.Name)
	b = appendMember(b, "message_template_language", strings.ReplaceAll(t.Language, "_", "-"))
	b = appendMember(b, "message_template_category", t.Category)
	reason := "NONE"
	if t.Status == "REJECTED" {
		reason = "INVALID_FORMAT"
	}
	b = appendMember(b, "reason", reason)
	if t.Status == "PAUSED" {
		b = append(b, `,"other_info":{`...)
		b = appendMember(b, "title", "FIRST_PAUSE")
		b = appendMember(b, "description", "Your WhatsApp message template has been paused for 3 hours.")
		b = append(b, '}')
	}
	b = append(b, `},"field":"message_template_status_update"}`...)
	s.lanes[0].add(update{w: s.wabas[t.WABA], raw: b})
}

// serveTemplates answers W/message_templates.
func (s *Server) serveTemplates(w http.ResponseWriter, r *http.Request, a *waba) {
	switch r.Method {
	case http.MethodGet:
		s.listTemplates(w, r, a)
	case http.MethodPost:
		s.createTemplate(w, r, a)
	case http.MethodDelete:
		s.deleteTemplates(w, r, a)
	default:
		s.unsupported(w, r)
	}
}

func (t *Template) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendMember(b, "name", t.Name)
	format := "POSITIONAL"
	if t.Named {
		format = "NAMED"
	}
	b = appendMember(b, "parameter_format", format)
	if v, err := parse(string(t.Components)); err == nil {
		b = append(b, `,"components":`...)
		b = appendValue(b, &v)
	}
	b = appendMember(b, "language", t.Language)
	b = appendMember(b, "status", t.Status)
	b = appendMember(b, "category", t.Category)
	if t.TTL != 0 {
		b = append(b, `,"message_send_ttl_seconds":`...)
		b = strconv.AppendInt(b, int64(t.TTL), 10)
	}
	b = append(b, `,"quality_score":{"score":"UNKNOWN"}`...)
	b = appendMember(b, "id", t.ID)
	return append(b, '}')
}

func (s *Server) listTemplates(w http.ResponseWriter, r *http.Request, a *waba) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit <= 0 {
		limit = 25
	}
	after := 0
	if c := q.Get("after"); c != "" {
		if after, err = strconv.Atoi(c); err != nil || after < 0 {
			s.fail(w, refuse(131059, "The cursor is not valid."))
			return
		}
	}
	list := slices.DeleteFunc(s.Templates(a.ID), func(t Template) bool {
		return q.Has("name") && !strings.Contains(t.Name, q.Get("name")) || q.Has("status") && t.Status != q.Get("status") ||
			q.Has("language") && t.Language != q.Get("language") || q.Has("category") && t.Category != q.Get("category")
	})
	end := min(len(list), after+limit)
	after = min(after, end)
	b := []byte(`{"data":[`)
	for i := range list[after:end] {
		b = list[after+i].appendJSON(comma(b))
	}
	b = append(b, `]`...)
	if end > after {
		b = append(b, `,"paging":{"cursors":{`...)
		b = appendMember(b, "before", strconv.Itoa(after))
		b = appendMember(b, "after", strconv.Itoa(end))
		b = append(b, '}')
		if end < len(list) {
			q.Set("after", strconv.Itoa(end))
			b = appendMember(b, "next", "http://"+r.Host+r.URL.Path+"?"+q.Encode())
		}
		b = append(b, '}')
	}
	reply(w, http.StatusOK, append(b, '}'))
}

var templateName = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)

func (s *Server) createTemplate(w http.ResponseWriter, r *http.Request, a *waba) {
	doc, bad := readBody(r, maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	v, err := parse(doc)
	if err != nil {
		s.fail(w, refuse(100, "Invalid JSON in the request body."))
		return
	}
	t := Template{
		WABA: a.ID, Name: v.text("name"), Language: v.text("language"), Category: strings.ToUpper(v.text("category")),
		Status: "PENDING", Named: strings.EqualFold(v.text("parameter_format"), "NAMED"), Components: json.RawMessage(v.get("components").raw),
	}
	if ttl := v.get("message_send_ttl_seconds"); ttl.kind == isNumber {
		if t.TTL, err = strconv.Atoi(ttl.str); err != nil {
			s.fail(w, refuse(100, "message_send_ttl_seconds must be an integer."))
			return
		}
	}
	if bad := checkTemplate(&t, &v); bad != nil {
		s.fail(w, bad)
		return
	}
	if old, _ := s.templates.find(a.ID, t.Name, t.Language); old != nil {
		s.fail(w, &refusal{code: 100, subcode: 2388024, details: "There is already content in this language for this template."})
		return
	}
	made, err := s.templates.put(t)
	if err != nil {
		s.fail(w, refuse(100, "Invalid components."))
		return
	}
	b := appendMember([]byte{'{'}, "id", made.ID)
	b = appendMember(b, "status", made.Status)
	b = appendMember(b, "category", made.Category)
	reply(w, http.StatusOK, append(b, '}'))
	s.review(*made)
}

// review approves a new template after the review time.
func (s *Server) review(t Template) {
	s.parts.Clock.After(s.opts.Review, func(time.Time) {
		now, _ := s.templates.find(t.WABA, t.Name, t.Language)
		if now == nil || now.Status != "PENDING" {
			return
		}
		if err := s.SetTemplateStatus(t.WABA, t.Name, t.Language, approved); err != nil {
			s.parts.Log.Debug("review", "error", err)
		}
	})
}

// checkTemplate judges a new template (wire facts, section 2.9).
func checkTemplate(t *Template, v *value) *refusal {
	switch {
	case !templateName.MatchString(t.Name):
		return refuse(100, "The name may hold lower-case letters, digits and underscores only.")
	case t.Language == "":
		return refuse(100, "The parameter language is required.")
	case !slices.Contains([]string{"MARKETING", "UTILITY", "AUTHENTICATION"}, t.Category):
		return refuse(100, "The category must be MARKETING, UTILITY or AUTHENTICATION.")
	case v.get("components").kind != isArray || len(v.get("components").vals) == 0:
		return refuse(100, "The parameter components is required.")
	}
	for i := range v.get("components").vals {
		c := &v.get("components").vals[i]
		text := c.text("text")
		kind := strings.ToUpper(c.text("type"))
		limit, sub := 1024, 2388072
		switch kind {
		case "HEADER":
			limit, sub = 60, 2388047
		case "FOOTER":
			limit, sub = 60, 2388073
		}
		if runes(text) > limit {
			return &refusal{code: 100, subcode: sub, details: kind + " is too long."}
		}
		if found := variables.FindAllStringIndex(text, -1); kind == "BODY" && len(found) > 0 {
			if found[0][0] == 0 || found[len(found)-1][1] == len(text) {
				return &refusal{code: 100, subcode: 2388299, details: "Variables can't be at the start or end of the template."}
			}
			if !c.has("example") {
				return &refusal{code: 100, subcode: 2388043, details: "The body needs an example of its variables."}
			}
		}
		buttons := c.get("buttons")
		if len(buttons.vals) > 10 {
			return refuse(100, "A template has at most 10 buttons.")
		}
		for j := range buttons.vals {
			if bad := atMost("buttons['text']", buttons.vals[j].text("text"), 25); bad != nil {
				return bad
			}
		}
		if n := len(c.get("cards").vals); kind == "CAROUSEL" && (n < 2 || n > 10) {
			return refuse(100, "A carousel has 2 to 10 cards.")
		}
	}
	return nil
}

func (s *Server) deleteTemplates(w http.ResponseWriter, r *http.Request, a *waba) {
	q := r.URL.Query()
	removed := s.templates.remove(func(t *Template) bool {
		return t.WABA == a.ID && t.Name == q.Get("name") && (!q.Has("hsm_id") || t.ID == q.Get("hsm_id"))
	})
	if removed == 0 {
		s.fail(w, &refusal{code: 100, subcode: 2593002, details: "The message template was not found."})
		return
	}
	reply(w, http.StatusOK, success)
}

func (t *templateTable) remove(gone func(*Template) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.list)
	t.list = slices.DeleteFunc(t.list, gone)
	return before - len(t.list)
}

// serveTemplate answers GET, POST and DELETE of a template id; false when
// there is none.
func (s *Server) serveTemplate(w http.ResponseWriter, r *http.Request, id string) bool {
	s.templates.mu.RLock()
	i := slices.IndexFunc(s.templates.list, func(t *Template) bool { return t.ID == id })
	var t Template
	if i >= 0 {
		t = *s.templates.list[i]
	}
	s.templates.mu.RUnlock()
	switch {
	case i < 0:
		return false
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, t.appendJSON(nil))
	case r.Method == http.MethodPost:
		s.editTemplate(w, r, t)
	default:
		s.unsupported(w, r)
	}
	return true
}

// editTemplate replaces all components, as the API does; it goes back to
// review.
func (s *Server) editTemplate(w http.ResponseWriter, r *http.Request, t Template) {
	doc, bad := readBody(r, maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	v, err := parse(doc)
	if err != nil || !slices.Contains([]string{approved, "REJECTED", "PAUSED"}, t.Status) {
		s.fail(w, refuse(100, "Only approved, rejected or paused templates can be edited."))
		return
	}
	if c := v.get("components"); c.kind == isArray {
		t.Components = json.RawMessage(c.raw)
		if bad := checkTemplate(&t, &v); bad != nil {
			s.fail(w, bad)
			return
		}
	}
	t.Status = "PENDING"
	made, err := s.templates.put(t)
	if err != nil {
		s.fail(w, refuse(100, "Invalid components."))
		return
	}
	reply(w, http.StatusOK, success)
	s.review(*made)
}
