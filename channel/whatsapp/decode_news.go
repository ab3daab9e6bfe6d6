package whatsapp

import (
	"slices"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// preferences reads user_preferences: a person stops or resumes marketing.
func (r *reader) preferences(c *change) {
	d := graph.NewDecoder(c.value)
	if !d.Object() {
		return
	}
	var number string
	start := len(r.events)
	for d.Next() {
		switch string(d.Key()) {
		case "metadata":
			number = readNumber(&d)
		case "user_preferences":
			if d.Array() {
				for d.Item() {
					r.preference(&d, c)
				}
			}
		}
	}
	for _, e := range r.events[start:] {
		if p, ok := e.(*message.Preference); ok {
			p.To = number
		}
	}
}

func (r *reader) preference(d *graph.Decoder, c *change) {
	if !d.Object() {
		return
	}
	var waID, user, wish, category string
	at := c.at
	for d.Next() {
		switch string(d.Key()) {
		case "wa_id":
			waID = d.Text()
		case "user_id":
			user = d.Text()
		case "value":
			wish = d.Text()
		case "category":
			category = d.Text()
		case "timestamp":
			at = instant(d.Int())
		}
	}
	from, _, ok := r.addresses(waID, user)
	if !ok || category != "" && category != "marketing_messages" {
		return
	}
	p := &message.Preference{From: from, Scope: message.ScopeMarketing, At: at}
	switch wish {
	case "stop":
	case "resume", "signup":
		p.Allow = true
	default:
		return
	}
	r.events = append(r.events, p)
}

// news is what the other fields say, flattened: every one of them uses a few
// of these members (wire 2.8).
type news struct {
	event, number              string
	id, name, language         string
	category, was, is, correct string
	quality, reason, decision  string
	limit                      string
	ban                        string
	restrictions               []string
	until                      time.Time
	violation                  string
}

func (r *reader) news(c *change) {
	n := readNews(c.value)
	switch c.field {
	case "message_template_status_update":
		r.template(c, &n, message.TemplateUpdate{State: templateState(n.event), Category: purposeOf(n.category), Reason: n.why()})
	case "message_template_quality_update":
		r.template(c, &n, message.TemplateUpdate{Quality: n.quality})
	case "template_category_update":
		// A notice names the category to come as correct_category; new_category
		// is then still the present one.
		if n.correct != "" && n.was == "" {
			r.template(c, &n, message.TemplateUpdate{Reason: "category_will_change:" + strings.ToLower(n.correct)})
			return
		}
		r.template(c, &n, message.TemplateUpdate{Category: purposeOf(n.is), Reason: "category_changed"})
	case "message_template_components_update":
		r.template(c, &n, message.TemplateUpdate{Reason: message.TemplateEdited})
	case "account_update", "account_alerts", "account_review_update", "business_capability_update", "security",
		"phone_number_quality_update", "phone_number_name_update", "phone_number_username_update":
		u := &message.AccountUpdate{Account: c.account, Field: c.field, Word: n.word(), At: c.at, Fault: n.fault(c)}
		if n.number != "" {
			u.Account = n.number
		}
		r.events = append(r.events, u)
	}
}

func (r *reader) template(c *change, n *news, u message.TemplateUpdate) {
	u.Account, u.Provider, u.Name, u.At = c.account, n.id, n.name, c.at
	// Webhooks write en-US where the API writes en_US.
	u.Language = strings.ReplaceAll(n.language, "-", "_")
	r.events = append(r.events, &u)
}

func readNews(b []byte) (n news) {
	d := graph.NewDecoder(b)
	if !d.Object() {
		return n
	}
	for d.Next() {
		switch string(d.Key()) {
		case "event":
			n.event = d.Text()
		case "metadata":
			n.number = readNumber(&d)
		case "message_template_id":
			n.id = d.Text()
		case "message_template_name":
			n.name = d.Text()
		case "message_template_language":
			n.language = d.Text()
		case "message_template_category":
			n.category = d.Text()
		case "new_quality_score":
			n.quality = d.Text()
		case "previous_category":
			n.was = d.Text()
		case "new_category":
			n.is = d.Text()
		case "correct_category":
			n.correct = d.Text()
		case "reason":
			n.reason = d.Text()
		case "decision":
			n.decision = d.Text()
		case "current_limit", "max_daily_conversations_per_business", "max_daily_conversation_per_phone":
			if limit := d.Text(); n.limit == "" {
				n.limit = limit
			}
		case "other_info":
			if title := textField(&d, "title"); title != "" {
				n.decision = title
			}
		case "ban_info":
			n.ban = textField(&d, "waba_ban_state")
		case "violation_info":
			n.violation = textField(&d, "violation_type")
		case "restriction_info":
			n.readRestrictions(&d)
		}
	}
	return n
}

func (n *news) readRestrictions(d *graph.Decoder) {
	if !d.Array() {
		return
	}
	for d.Item() {
		if !d.Object() {
			continue
		}
		for d.Next() {
			switch string(d.Key()) {
			case "restriction_type":
				n.restrictions = append(n.restrictions, d.Text())
			case "expiration":
				if t := instant(d.Int()); t.After(n.until) {
					n.until = t
				}
			}
		}
	}
}

// why gives the reason of a template's state, or "".
func (n *news) why() string {
	if n.reason != "" && n.reason != "NONE" {
		return n.reason
	}
	return n.decision
}

// word joins the provider's enumerated words; free text is left out.
func (n *news) word() string {
	words := []string{n.event, n.decision, n.ban, n.violation, n.limit}
	words = append(words, n.restrictions...)
	words = slices.DeleteFunc(words, func(s string) bool { return !enumerated(s) })
	return strings.Join(words, " ")
}

// enumerated reports whether s looks like a constant of an API.
func enumerated(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !upper(c) && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// fault tells whether the account can no longer send.
func (n *news) fault(c *change) *message.Fault {
	if c.field != "account_update" {
		return nil
	}
	f := &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeConnector, Certain: true, Code: n.event}
	switch n.event {
	case "ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED":
		f.Title = "account no longer usable"
	case "DISABLED_UPDATE":
		if n.ban != "DISABLE" {
			return nil // REINSTATE, SCHEDULE_FOR_DISABLE
		}
		f.Title = "account disabled"
	case "ACCOUNT_RESTRICTION":
		if !slices.ContainsFunc(n.restrictions, func(s string) bool { return strings.HasSuffix(s, "_INITIATED_MESSAGING") }) {
			return nil
		}
		f.Title = "account may not send"
		if !c.at.IsZero() && n.until.After(c.at) {
			f.RetryAfter = n.until.Sub(c.at)
		}
	default:
		return nil
	}
	return f
}

// templateState maps the events of wire 2.8 and the states of wire 2.9; ""
// leaves the state as it is.
func templateState(s string) message.TemplateState {
	switch s {
	case "APPROVED", "REINSTATED", "UNARCHIVED":
		return message.TemplateApproved
	case "PENDING", "IN_APPEAL":
		return message.TemplatePending
	case "REJECTED", "LIMIT_EXCEEDED":
		return message.TemplateRejected
	case "PAUSED":
		return message.TemplatePaused
	case "DISABLED", "ARCHIVED", "LOCKED":
		return message.TemplateDisabled
	case "DELETED", "PENDING_DELETION":
		return message.TemplateDeleted
	}
	return "" // FLAGGED still sends
}

func purposeOf(category string) message.Purpose {
	switch strings.ToUpper(category) {
	case "MARKETING":
		return message.Marketing
	case "UTILITY":
		return message.Utility
	case "AUTHENTICATION":
		return message.Authentication
	}
	return ""
}
