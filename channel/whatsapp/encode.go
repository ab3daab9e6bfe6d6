package whatsapp

import (
	"strconv"
	"strings"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// encode appends the body of POST /{number}/messages for m: wire 2.2 to 2.4.
// It fails with a certain *message.Fault for what has no form on WhatsApp.
func encode(b []byte, m *message.Outbound) ([]byte, error) {
	b = append(b, `{"messaging_product":"whatsapp","recipient_type":"individual",`...)
	b, err := appendRecipient(b, m)
	if err != nil {
		return nil, err
	}
	if m.Template != nil {
		b = append(b, `,"type":"template","template":`...)
		b, err = appendTemplate(b, m.Template)
	} else {
		b, err = appendContent(b, &m.Content)
	}
	if err != nil {
		return nil, err
	}
	// A reaction names its message itself and cannot be a reply.
	if m.ReplyTo != "" && (m.Template != nil || m.Content.Reaction == nil) {
		b = append(b, `,"context":{"message_id":`...)
		b = graph.AppendString(b, m.ReplyTo)
		b = append(b, '}')
	}
	if m.Echo != "" {
		b = append(b, `,"biz_opaque_callback_data":`...)
		b = graph.AppendString(b, m.Echo)
	}
	return append(b, '}'), nil
}

// unfit is the fault of content that should have been fitted before.
func unfit(title string) error {
	return &message.Fault{Kind: message.Refused, Certain: true, Code: "content", Title: title}
}

// appendRecipient addresses by phone number (to) or by business-scoped user id
// (recipient).
func appendRecipient(b []byte, m *message.Outbound) ([]byte, error) {
	id := m.To.ID
	switch m.To.Channel {
	case message.Phone, message.WhatsApp:
	default:
		return nil, &message.Fault{Kind: message.Unreachable, Scope: message.ScopeRecipient, Certain: true, Code: "address", Title: "not a WhatsApp address"}
	}
	if businessScoped(id) {
		if m.Template != nil && m.Template.Category == message.Authentication {
			return nil, &message.Fault{Kind: message.Refused, Scope: message.ScopeRecipient, Certain: true, Code: "131062", Title: "authentication template needs a phone number"}
		}
		b = append(b, `"recipient":`...)
		return graph.AppendString(b, id), nil
	}
	number := strings.TrimPrefix(id, "+")
	if !digits(number) || len(number) > 20 {
		return nil, &message.Fault{Kind: message.Unreachable, Scope: message.ScopeRecipient, Certain: true, Code: "address", Title: "neither a phone number nor a business-scoped user id"}
	}
	b = append(b, `"to":"`...)
	b = append(b, number...)
	return append(b, '"'), nil
}

// businessScoped reports whether s has the shape of a business-scoped user id:
// a country code, a dot, perhaps "ENT." and letters and digits (wire 2.14).
// Shape, not the field it came in, tells what an id is.
func businessScoped(s string) bool {
	if len(s) < 4 || len(s) > 140 || s[2] != '.' || !upper(s[0]) || !upper(s[1]) {
		return false
	}
	rest := strings.TrimPrefix(s[3:], "ENT.")
	for i := range len(rest) {
		c := rest[i]
		if !upper(c) && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return rest != ""
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

// appendContent appends `,"type":…,"…":…` for free-form content that Fit has
// fitted: one thing to show, with what may stand beside it.
func appendContent(b []byte, c *message.Content) ([]byte, error) {
	switch {
	case c.Reaction != nil:
		return appendReaction(b, c.Reaction)
	case c.List != nil:
		return appendList(b, c)
	case len(c.Actions) > 0:
		return appendActions(b, c)
	case c.Request != "":
		return appendRequest(b, c)
	case c.Location != nil:
		return appendLocation(append(b, `,"type":"location","location":`...), c.Location), nil
	case len(c.Cards) > 0:
		return appendCards(b, c.Cards)
	case len(c.Media) > 0:
		return appendMedia(b, c)
	case c.Text != "":
		b = append(b, `,"type":"text","text":{"body":`...)
		b = graph.AppendString(b, c.Text)
		if c.Preview {
			b = append(b, `,"preview_url":true`...)
		}
		return append(b, '}'), nil
	}
	return nil, unfit("nothing to say")
}

func appendReaction(b []byte, r *message.Reaction) ([]byte, error) {
	if r.Target == "" {
		return nil, unfit("the message reacted to has no provider id")
	}
	b = append(b, `,"type":"reaction","reaction":{"message_id":`...)
	b = graph.AppendString(b, r.Target)
	b = append(b, `,"emoji":`...)
	b = graph.AppendString(b, r.Emoji)
	return append(b, '}'), nil
}

func appendLocation(b []byte, l *message.Location) []byte {
	b = append(b, `{"latitude":`...)
	b = graph.AppendFloat(b, l.Latitude)
	b = append(b, `,"longitude":`...)
	b = graph.AppendFloat(b, l.Longitude)
	b = appendField(b, "name", l.Name)
	b = appendField(b, "address", l.Address)
	return append(b, '}')
}

// appendField appends `,"name":"value"` unless the value is empty. The name is
// ours and needs no escapes.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return graph.AppendString(b, value)
}

// mediaKind gives Meta's word for a kind of file.
func mediaKind(t message.MediaType) string {
	switch t {
	case message.Image, message.Video, message.Audio, message.Document, message.Sticker:
		return string(t)
	case message.Voice:
		return "audio"
	}
	return ""
}

// appendSource appends `{"id":…` or `{"link":…`, unclosed.
func appendSource(b []byte, m *message.Media) ([]byte, error) {
	switch {
	case m.Provider != "":
		b = append(b, `{"id":`...)
		return graph.AppendString(b, m.Provider), nil
	case m.URL != "":
		b = append(b, `{"link":`...)
		return graph.AppendString(b, m.URL), nil
	}
	return nil, unfit("an attachment has neither a link nor a provider id")
}

func appendMedia(b []byte, c *message.Content) ([]byte, error) {
	m := &c.Media[0]
	kind := mediaKind(m.Type)
	if kind == "" || len(c.Media) > 1 {
		return nil, unfit("a WhatsApp message carries one attachment of a known type")
	}
	caption := m.Caption
	if c.Text != "" {
		if caption != "" {
			return nil, unfit("an attachment has one caption")
		}
		caption = c.Text
	}
	if caption != "" && (kind == "audio" || kind == "sticker") {
		return nil, unfit("audio and stickers have no caption")
	}
	b = append(b, `,"type":"`...)
	b = append(b, kind...)
	b = append(b, `","`...)
	b = append(b, kind...)
	b, err := appendSource(append(b, `":`...), m)
	if err != nil {
		return nil, err
	}
	b = appendField(b, "caption", caption)
	if m.Type == message.Document {
		b = appendField(b, "filename", m.Filename)
	}
	if m.Type == message.Voice {
		b = append(b, `,"voice":true`...)
	}
	return append(b, '}'), nil
}

func appendCards(b []byte, cards []message.Card) ([]byte, error) {
	b = append(b, `,"type":"contacts","contacts":[`...)
	for i := range cards {
		c := &cards[i]
		name := c.Name
		if name == "" {
			name = strings.TrimSpace(c.First + " " + c.Last)
		}
		if name == "" {
			name = c.Company
		}
		if name == "" {
			return nil, unfit("an address-book entry has no name")
		}
		// Meta wants one more part of the name beside the formatted one.
		first := c.First
		if first == "" && c.Last == "" {
			first = name
		}
		b = append(b, `{"name":{"formatted_name":`...)
		b = graph.AppendString(b, name)
		b = appendField(b, "first_name", first)
		b = appendField(b, "last_name", c.Last)
		b = append(b, '}')
		if c.Company != "" {
			b = append(b, `,"org":{"company":`...)
			b = graph.AppendString(b, c.Company)
			b = append(b, '}')
		}
		b = appendField(b, "birthday", c.Birthday)
		b = appendValues(b, "phones", "phone", c.Phones)
		b = appendValues(b, "emails", "email", c.Emails)
		b = appendValues(b, "urls", "url", c.URLs)
		b = appendValues(b, "addresses", "street", c.Addresses)
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return b, nil
}

func appendValues(b []byte, list, name string, values []message.CardValue) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, list...)
	b = append(b, `":[`...)
	for i := range values {
		v := &values[i]
		b = append(b, '{', '"')
		b = append(b, name...)
		b = append(b, '"', ':')
		b = graph.AppendString(b, v.Value)
		b = appendField(b, "type", v.Type)
		b = appendField(b, "wa_id", v.WaID)
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return b
}

// appendIndex appends a button index as Meta's examples write it.
func appendIndex(b []byte, n int) []byte {
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '"')
}
