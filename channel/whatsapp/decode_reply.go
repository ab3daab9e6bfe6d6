package whatsapp

import (
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

func (m *spoken) readInteractive(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		if d.Null() {
			continue
		}
		switch string(d.Key()) {
		case "button_reply", "list_reply":
			m.set(message.InReply)
			if d.Object() {
				for d.Next() {
					switch string(d.Key()) {
					case "id":
						m.payload = d.Text()
					case "title":
						m.choice = d.Text()
					}
				}
			}
		case "nfm_reply":
			m.set(message.InFlow)
			if d.Object() {
				for d.Next() {
					switch string(d.Key()) {
					case "response_json":
						m.payload = d.Text()
					case "name":
						m.choice = d.Text()
					case "body":
						m.content.Text = d.Text()
					}
				}
			}
		case "call_permission_reply":
			m.set(message.InUnsupported)
		}
	}
}

func (m *spoken) readReaction(d *graph.Decoder) {
	r := &message.Reaction{}
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "message_id":
				r.Target = d.Text()
			case "emoji":
				r.Emoji = d.Text()
			}
		}
	}
	m.content.Reaction = r
	m.replyTo = r.Target
}

func (m *spoken) readEdit(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	var original string
	for d.Next() {
		switch string(d.Key()) {
		case "original_message_id":
			original = d.Text()
		case "message":
			m.readEdited(d)
		}
	}
	m.inType, m.replyTo = message.InEdit, original
}

// readEdited reads the new content of an edited message, which is a message
// in small.
func (m *spoken) readEdited(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		switch string(d.Key()) {
		case "text", "image", "video", "document", "sticker", "audio", "location", "contacts":
			m.readBody(d)
		}
	}
}

func (m *spoken) readSystem(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		switch string(d.Key()) {
		case "type":
			m.system.kind = d.Text()
		case "wa_id", "new_wa_id":
			m.system.waID = d.Text()
		case "user_id":
			m.system.user = d.Text()
		case "previous_user_id":
			m.system.previous = d.Text()
		}
	}
}

// system tells of a person's new address. customer_identity_changed names no
// new address and is no event.
func (r *reader) system(m *spoken) {
	var was, is string
	switch m.system.kind {
	case "user_changed_number", "customer_changed_number":
		was, is = m.from, m.system.waID
		if is == "" {
			is = m.system.user
		}
	case "user_changed_user_id":
		was, is = m.system.previous, m.system.user
		if was == "" {
			was = m.user
		}
		if was == "" {
			was = m.from
		}
	}
	before, _, ok := r.addresses(was)
	after, _, ok2 := r.addresses(is)
	if ok && ok2 && before != after {
		r.events = append(r.events, &message.IdentityChange{Old: before, New: after, At: m.at})
	}
}
