package whatsapp

import (
	"net/http"
	"strings"
)

var success = []byte(`{"success":true}`)

// serveNumber answers the calls on a phone number id.
func (s *Server) serveNumber(w http.ResponseWriter, r *http.Request, n *number, edge string, version int) {
	if r.Method == http.MethodPost {
		switch edge {
		case "messages":
			s.messages(w, r, n, version, false)
			return
		case "marketing_messages":
			s.messages(w, r, n, version, true)
			return
		case "messages_encrypted":
			s.encrypted(w, r, n, version)
			return
		case "settings":
			s.setSettings(w, r, n)
			return
		case "media":
			s.upload(w, r)
			return
		case "":
			s.override(w, r, func(c *callback) { n.callback.Store(c) }, true)
			return
		case "register", "deregister", "request_code", "verify_code", "whatsapp_business_profile":
			reply(w, http.StatusOK, success)
			return
		}
	}
	if r.Method == http.MethodGet {
		switch edge {
		case "":
			reply(w, http.StatusOK, n.appendInfo(nil, fieldsOf(r)))
			return
		case "settings":
			s.settings(w, n)
			return
		case "whatsapp_business_profile":
			b := append([]byte(nil), `{"data":[{"messaging_product":"whatsapp"`...)
			b = appendMember(b, "about", n.Name)
			reply(w, http.StatusOK, append(b, `}]}`...))
			return
		}
	}
	s.unsupported(w, r)
}

func (s *Server) unsupported(w http.ResponseWriter, r *http.Request) {
	s.fail(w, &refusal{code: 100, subcode: 33, details: "Unsupported " + strings.ToLower(r.Method) + " request."})
}

func fieldsOf(r *http.Request) []string {
	fields := r.URL.Query().Get("fields")
	if fields == "" {
		return []string{"verified_name", "display_phone_number", "quality_rating", "code_verification_status", "platform_type", "throughput"}
	}
	return strings.Split(fields, ",")
}

// A Standing is what the provider thinks of a number.
type Standing struct {
	Quality    string // GREEN, YELLOW, RED
	Throughput string // STANDARD, HIGH
	Status     string // CONNECTED, FLAGGED, RESTRICTED …
}

// goodStanding is a number's until it is set.
var goodStanding = Standing{"GREEN", "STANDARD", "CONNECTED"}

// SetStanding makes the provider think otherwise of a number.
func (s *Server) SetStanding(number string, st Standing) {
	if n := s.numbers[number]; n != nil {
		n.standing.Store(&st)
	}
}

// appendInfo appends what GET P tells (wire facts, section 2.10).
func (n *number) appendInfo(b []byte, fields []string) []byte {
	st := n.standing.Load()
	if st == nil {
		st = &goodStanding
	}
	b = append(b, '{')
	for _, f := range fields {
		f, _, _ = strings.Cut(strings.TrimSpace(f), "{")
		switch f {
		case "display_phone_number":
			b = appendMember(b, f, "+"+n.Display)
		case "verified_name":
			b = appendMember(b, f, n.Name)
		case "quality_rating":
			b = appendMember(b, f, st.Quality)
		case "code_verification_status":
			b = appendMember(b, f, "VERIFIED")
		case "name_status":
			b = appendMember(b, f, "APPROVED")
		case "status":
			b = appendMember(b, f, st.Status)
		case "platform_type":
			b = appendMember(b, f, "CLOUD_API")
		case "messaging_limit_tier", "whatsapp_business_manager_messaging_limit":
			b = appendMember(b, f, "TIER_UNLIMITED")
		case "throughput":
			b = comma(b)
			b = append(b, `"throughput":{`...)
			b = append(appendMember(b, "level", st.Throughput), '}')
		case "is_official_business_account":
			b = comma(b)
			b = append(b, `"is_official_business_account":false`...)
		case "health_status":
			b = comma(b)
			b = append(b, `"health_status":{"can_send_message":"AVAILABLE","entities":[{"entity_type":"PHONE_NUMBER","id":"`+n.ID+`","can_send_message":"AVAILABLE"}]}`...)
		case "webhook_configuration":
			b = comma(b)
			b = append(b, `"webhook_configuration":{`...)
			if c := n.callback.Load(); c != nil {
				b = appendMember(b, "phone_number", c.url)
			}
			b = append(b, '}')
		}
	}
	b = appendMember(b, "id", n.ID)
	return append(b, '}')
}

func comma(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' && b[n-1] != '[' {
		return append(b, ',')
	}
	return b
}

// serveWABA answers the calls on a business account id.
func (s *Server) serveWABA(w http.ResponseWriter, r *http.Request, a *waba, edge string) {
	switch {
	case edge == "" && r.Method == http.MethodGet:
		b := appendMember([]byte{'{'}, "id", a.ID)
		b = appendMember(b, "name", "Parley Sandbox")
		b = appendMember(b, "currency", "EUR")
		reply(w, http.StatusOK, append(b, '}'))
	case edge == "phone_numbers" && r.Method == http.MethodGet:
		b := []byte(`{"data":[`)
		for _, n := range a.numbers {
			b = n.appendInfo(comma(b), append(fieldsOf(r), "status"))
		}
		reply(w, http.StatusOK, append(b, `],"paging":{"cursors":{"before":"QVFI","after":"QVFI"}}}`...))
	case edge == "subscribed_apps":
		s.subscriptions(w, r, a)
	case edge == "message_templates":
		s.serveTemplates(w, r, a)
	default:
		s.unsupported(w, r)
	}
}

// subscriptions answers W/subscribed_apps. Every account is subscribed from
// the start; DELETE ends its webhooks, POST begins them again.
func (s *Server) subscriptions(w http.ResponseWriter, r *http.Request, a *waba) {
	switch r.Method {
	case http.MethodGet:
		b := []byte(`{"data":[`)
		if !a.silent.Load() {
			b = append(b, `{"whatsapp_business_api_data":{"id":"67084829086","name":"Parley"`...)
			b = appendMember(b, "link", "https://www.facebook.com/games/?app_id=67084829086")
			b = append(b, '}')
			if c := a.callback.Load(); c != nil {
				b = appendMember(b, "override_callback_uri", c.url)
			}
			b = append(b, '}')
		}
		reply(w, http.StatusOK, append(b, `]}`...))
	case http.MethodPost:
		s.override(w, r, func(c *callback) {
			a.callback.Store(c)
			a.silent.Store(false)
		}, false)
	case http.MethodDelete:
		a.callback.Store(nil)
		a.silent.Store(true)
		reply(w, http.StatusOK, success)
	default:
		s.unsupported(w, r)
	}
}

// override reads a callback override from a body, verifies it by the
// handshake and stores it; no override takes one away.
func (s *Server) override(w http.ResponseWriter, r *http.Request, store func(*callback), nested bool) {
	doc, bad := readBody(r, maxRequest)
	if bad != nil {
		s.fail(w, bad)
		return
	}
	var v value
	if doc != "" {
		var err error
		if v, err = parse(doc); err != nil {
			s.fail(w, refuse(100, "Invalid JSON in the request body."))
			return
		}
	}
	at := &v
	if nested {
		at = v.get("webhook_configuration")
	}
	to := at.text("override_callback_uri")
	var c *callback
	if to != "" {
		var err error
		if c, err = s.handshake(r.Context(), to, at.text("verify_token")); err != nil || len(to) > 200 {
			s.fail(w, refuse(100, "Override Callback verification failed: the callback did not return the challenge."))
			return
		}
	}
	store(c)
	s.pokeAll()
	reply(w, http.StatusOK, success)
}
