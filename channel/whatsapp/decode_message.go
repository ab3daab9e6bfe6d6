package whatsapp

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// inbound reads one entry of messages[].
func (r *reader) inbound(raw []byte, v *value) {
	var m spoken
	d := graph.NewDecoder(raw)
	m.read(&d)
	if d.Err() != nil {
		r.bad = true
		return
	}
	if m.kind == "system" {
		r.system(&m)
		return
	}
	p := v.person(m.from, m.user)
	from, also, ok := r.addresses(m.from, m.user, p.waID, p.userID)
	if m.id == "" || !ok && m.from == "" && m.user == "" {
		return
	}
	if !ok {
		// An id of a shape we do not know yet: still the one to answer to.
		from = message.Address{Channel: message.WhatsApp, Scope: r.portfolio, ID: m.from}
		if m.from == "" {
			from.ID = m.user
		}
	}
	in := &message.Inbound{
		ID: m.id, From: from, Also: also, To: v.number, At: m.at,
		Name: p.name, Username: p.username,
		Type: m.inType, Content: m.content, Payload: m.payload, Choice: m.choice, ReplyTo: m.replyTo,
		EntryPoint: m.referral != nil, Referral: m.referral,
	}
	if m.keep != nil {
		in.Raw = m.keep
	} else if in.Type == "" || in.Type == message.InUnsupported || m.group {
		in.Raw = rawOf(raw)
	}
	if in.Type == "" {
		in.Type = message.InUnsupported
	}
	r.events = append(r.events, in)
}

func rawOf(b []byte) []byte {
	if !json.Valid(b) {
		return nil
	}
	return bytes.Clone(b)
}

// person finds who wrote among contacts[]; with one contact it is that one
// unless its ids contradict.
func (v *value) person(from, user string) person {
	for _, p := range v.contacts {
		if from != "" && p.waID == from || user != "" && p.userID == user {
			return p
		}
	}
	if len(v.contacts) == 1 {
		p := v.contacts[0]
		if phoneDigits(from) != "" && p.waID != "" && p.waID != from {
			return person{name: p.name, username: p.username}
		}
		return p
	}
	return person{}
}

// spoken is a message as it is read, before it becomes an Inbound.
type spoken struct {
	id, from, user, kind string
	at                   time.Time
	group                bool

	inType   message.InboundType
	content  message.Content
	payload  string
	choice   string
	replyTo  string
	referral []byte
	keep     []byte // JSON of what has no place elsewhere

	system renaming
}

// renaming is a system message: who became whom.
type renaming struct {
	kind, waID, user, previous string
}

func (m *spoken) read(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			m.id = d.Text()
		case "from":
			m.from = d.Text()
		case "from_user_id":
			m.user = d.Text()
		case "timestamp":
			m.at = instant(d.Int())
		case "type":
			m.kind = d.Text()
		case "group_id":
			m.group = d.Text() != ""
		case "context":
			m.readContext(d)
		case "referral":
			m.referral = d.Raw()
		default:
			m.readBody(d)
		}
	}
}

func (m *spoken) readContext(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		if string(d.Key()) == "id" && m.replyTo == "" {
			m.replyTo = d.Text()
		}
	}
}

// readBody reads the member that carries the content, named like the type.
func (m *spoken) readBody(d *graph.Decoder) {
	if d.Null() {
		return
	}
	switch key := string(d.Key()); key {
	case "text":
		m.set(message.InText)
		m.content.Text = textField(d, "body")
	case "image", "video", "document", "sticker", "audio":
		m.set(message.InMedia)
		m.readMedia(d, message.MediaType(key))
	case "location":
		m.set(message.InLocation)
		m.content.Location = readLocation(d)
	case "contacts":
		m.set(message.InContacts)
		if d.Array() {
			for d.Item() {
				m.content.Cards = append(m.content.Cards, readCard(d))
			}
		}
	case "button":
		m.set(message.InReply)
		if d.Object() {
			for d.Next() {
				switch string(d.Key()) {
				case "payload":
					m.payload = d.Text()
				case "text":
					m.choice = d.Text()
				}
			}
		}
	case "interactive":
		m.readInteractive(d)
	case "reaction":
		m.set(message.InReaction)
		m.readReaction(d)
	case "order":
		m.set(message.InOrder)
		m.keep = d.Raw()
		o := graph.NewDecoder(m.keep)
		m.content.Text = textField(&o, "text")
	case "edit":
		m.readEdit(d)
	case "revoke":
		m.inType = message.InRevoke
		m.replyTo = textField(d, "original_message_id")
	case "system":
		m.readSystem(d)
	case "errors", "unsupported":
		m.set(message.InUnsupported)
	}
}

// set names the type unless something has: of an edit or a message with
// errors the first word stays.
func (m *spoken) set(t message.InboundType) {
	if m.inType == "" {
		m.inType = t
	}
}

// textField reads one text member of an object.
func textField(d *graph.Decoder, name string) (text string) {
	if d.Object() {
		for d.Next() {
			if string(d.Key()) == name {
				text = d.Text()
			}
		}
	}
	return text
}

func (m *spoken) readMedia(d *graph.Decoder, t message.MediaType) {
	file := message.Media{Type: t}
	if !d.Object() {
		return
	}
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			file.Provider = d.Text()
		case "mime_type":
			file.MIME = d.Text()
		case "sha256":
			file.SHA256 = d.Text()
		case "filename":
			file.Filename = d.Text()
		case "caption":
			m.content.Text = d.Text()
		case "animated":
			file.Animated = d.Bool()
		case "voice":
			if d.Bool() {
				file.Type = message.Voice
			}
		}
	}
	m.content.Media = append(m.content.Media, file)
}
