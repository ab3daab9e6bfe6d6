package whatsapp

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
)

// Inbound is something a person does on WhatsApp.
type Inbound struct {
	From string // the person's number, digits
	To   string // phone number id or display number; empty means who wrote last, else the first number
	// Type is text, button, button_reply, list_reply, nfm_reply, image, video,
	// audio, document, sticker, location, contacts, reaction, order, edit,
	// revoke, user_changed_number, unsupported, or marketing (Text "stop" or
	// "resume"). Empty means text, or the fitting reply when Payload is set.
	Type        string
	Text        string // text, caption, emoji of a reaction
	Payload     string // id of the chosen button or row
	Title       string // its label
	Description string // of a row
	Context     string // id of the message replied to, reacted to, edited or revoked
	Content     string // JSON of the type's own object, instead of the fields above
	Referral    string // JSON: the ad or post that brought the person
	MIME        string
	Filename    string
	Data        []byte // of media; empty means a small sample
	NewNumber   string // of user_changed_number
	At          time.Time

	quoted bool // Context was given
}

var (
	// ErrOffline says that the handset cannot send now.
	ErrOffline = errors.New("the handset is off, offline or without WhatsApp")
	// ErrInbound says that an Inbound lacks something or is not understood.
	ErrInbound = errors.New("unusable inbound message")
)

// Write makes a person write, react or press a button. It returns the id of
// the message; the webhook follows.
func (s *Server) Write(in Inbound) (string, error) {
	number, ok := digitsOf(in.From)
	if !ok {
		return "", fmt.Errorf("%w: from is not a number", ErrInbound)
	}
	set := s.parts.Fleet.Get(number)
	if !set.Phone || !set.Internet || !set.WhatsApp {
		return "", ErrOffline
	}
	n, last := s.peer(number, in.To)
	if n == nil {
		return "", fmt.Errorf("%w: no business number %q", ErrInbound, in.To)
	}
	if in.At.IsZero() {
		in.At = s.parts.Clock.Now()
	}
	if in.Type == "marketing" {
		return "", s.preference(n, number, &in)
	}
	if in.quoted = in.Context != ""; !in.quoted {
		in.Context = last.ID
	}
	if in.Type == "" {
		in.Type = replyType(&in, last.Type)
	}
	id := s.ids.wamid(waID(number), true)
	var b []byte
	b = append(b, `{"value":{"messaging_product":"whatsapp",`...)
	b = n.appendMetadata(b)
	if in.Type != "user_changed_number" {
		b = append(b, `,"contacts":[{"profile":{`...)
		b = appendMember(b, "name", set.Name)
		b = append(b, '}')
		if !set.HideNumber {
			b = appendMember(b, "wa_id", waID(number))
		}
		b = appendMember(b, "user_id", userID(number))
		b = append(b, `}]`...)
	}
	b = append(b, `,"messages":[{`...)
	if !set.HideNumber {
		b = appendMember(b, "from", waID(number))
	}
	if in.Type != "user_changed_number" {
		b = appendMember(b, "from_user_id", userID(number))
	}
	b = appendMember(b, "id", id)
	b = appendMember(b, "timestamp", unixText(in.At))
	b, err := s.appendInbound(b, n, number, &in)
	if err != nil {
		return "", err
	}
	b = append(b, `}]},"field":"messages"}`...)
	s.wrote(n, number, id, &in, b)
	return id, nil
}

// wrote records and queues what a person did.
func (s *Server) wrote(n *number, person, id string, in *Inbound, change []byte) {
	it := handset.Item{ID: id, Channel: fault.WhatsApp, From: n.ID, Type: in.Type, Text: in.seen(), At: in.At}
	s.parts.Fleet.Wrote(person, n.ID, it)
	if in.Referral != "" {
		s.parts.Fleet.Wrote(person, n.ID+adSuffix, handset.Item{Channel: fault.WhatsApp, From: n.ID, Type: "referral", At: in.At})
	}
	s.parts.Journal.Add(journal.Entry{
		Time: s.parts.Clock.Now(), Channel: string(fault.WhatsApp), Direction: "mo", ID: id,
		From: person, To: n.ID, Type: in.Type, Text: in.seen(), Fate: "sent",
	})
	s.count.inbound.Add(1)
	s.lane(person).add(update{n: n, raw: change})
}

func (in *Inbound) seen() string {
	if in.Text == "" {
		return in.Title
	}
	return in.Text
}

// replyType chooses the type of a reply from what it answers.
func replyType(in *Inbound, answered string) string {
	switch {
	case in.Payload == "":
		return "text"
	case answered == "template":
		return "button"
	case in.Description != "":
		return "list_reply"
	}
	return "button_reply"
}

// peer finds the business number a person writes to, and the last message
// received from it.
func (s *Server) peer(person, to string) (*number, handset.Item) {
	var last handset.Item
	for _, it := range s.parts.Fleet.Inbox(person) {
		n := s.numbers[it.From]
		if it.Channel == fault.WhatsApp && !it.Outgoing && n != nil && (to == "" || to == n.ID || to == n.Display) {
			last = it
		}
	}
	if last.ID != "" {
		return s.numbers[last.From], last
	}
	for _, n := range s.numbers {
		if to == n.ID || to != "" && to == n.Display {
			return n, last
		}
	}
	if to == "" {
		return s.first.numbers[0], last
	}
	return nil, last
}

// appendInbound appends type, context and the type's own object.
func (s *Server) appendInbound(b []byte, n *number, person string, in *Inbound) ([]byte, error) {
	kind := in.Type
	switch kind {
	case "button_reply", "list_reply", "nfm_reply":
		kind = "interactive"
	case "user_changed_number":
		kind = "system"
	}
	b = appendMember(b, "type", kind)
	if kind == "button" || kind == "interactive" || in.quoted && kind != "reaction" && kind != "edit" && kind != "revoke" && kind != "system" {
		b = s.appendContext(b, n, person, in)
	}
	if in.Referral != "" {
		v, err := parse(in.Referral)
		if err != nil || v.kind != isObject {
			return nil, fmt.Errorf("%w: referral is not a JSON object", ErrInbound)
		}
		b = append(b, `,"referral":`...)
		b = appendValue(b, &v)
	}
	if in.Content != "" {
		v, err := parse(in.Content)
		if err != nil {
			return nil, fmt.Errorf("%w: content is not JSON", ErrInbound)
		}
		b = append(b, `,"`+kind+`":`...)
		return appendValue(b, &v), nil
	}
	return s.appendContent(b, n, person, in)
}

func (s *Server) appendContext(b []byte, n *number, person string, in *Inbound) []byte {
	context := in.Context
	if context == "" {
		context = s.ids.wamid(waID(person), false)
	}
	b = append(b, `,"context":{`...)
	b = appendMember(b, "from", n.Display)
	b = appendMember(b, "id", context)
	return append(b, '}')
}

func (s *Server) appendContent(b []byte, n *number, person string, in *Inbound) ([]byte, error) {
	title := in.Title
	if title == "" {
		title = in.Text
	}
	if title == "" {
		title = in.Payload
	}
	switch in.Type {
	case "text":
		b = append(b, `,"text":{`...)
		b = appendMember(b, "body", in.Text)
	case "button":
		b = append(b, `,"button":{`...)
		b = appendMember(b, "payload", in.Payload)
		b = appendMember(b, "text", title)
	case "button_reply", "list_reply":
		b = append(b, `,"interactive":{"type":"`+in.Type+`","`+in.Type+`":{`...)
		b = appendMember(b, "id", in.Payload)
		b = appendMember(b, "title", title)
		if in.Description != "" {
			b = appendMember(b, "description", in.Description)
		}
		b = append(b, '}')
	case "nfm_reply":
		b = append(b, `,"interactive":{"type":"nfm_reply","nfm_reply":{`...)
		b = appendMember(b, "name", "flow")
		b = appendMember(b, "body", "Sent")
		b = appendMember(b, "response_json", in.Text)
		b = append(b, '}')
	case "reaction":
		b = append(b, `,"reaction":{`...)
		b = appendMember(b, "message_id", in.Context)
		b = appendMember(b, "emoji", in.Text)
	case "image", "video", "audio", "document", "sticker":
		return s.appendMedia(b, in), nil
	case "edit":
		b = append(b, `,"edit":{`...)
		b = appendMember(b, "original_message_id", in.Context)
		b = append(b, `,"message":{"context":{"id":"M0"},"type":"text","text":{`...)
		b = appendMember(b, "body", in.Text)
		b = append(b, `}}`...)
	case "revoke":
		b = append(b, `,"revoke":{`...)
		b = appendMember(b, "original_message_id", in.Context)
	case "user_changed_number":
		number, ok := digitsOf(in.NewNumber)
		if !ok {
			return nil, fmt.Errorf("%w: new_number is not a number", ErrInbound)
		}
		b = append(b, `,"system":{`...)
		b = appendMember(b, "body", "User changed from "+waID(person)+" to "+waID(number))
		b = appendMember(b, "wa_id", waID(number))
		b = appendMember(b, "type", "user_changed_number")
	case "unsupported":
		b = append(b, `,"errors":[{"code":131051,"title":"Message type unknown","message":"Message type unknown","error_data":{"details":"Message type is currently not supported."}}]`...)
		return b, nil
	case "location":
		b = append(b, `,"location":{"latitude":48.8566,"longitude":2.3522,"name":"Paris"`...)
	case "contacts":
		b = append(b, `,"contacts":[{"name":{"formatted_name":"Ada Lovelace","first_name":"Ada","last_name":"Lovelace"},"phones":[{"phone":"+44 7700 900123","wa_id":"447700900123","type":"MOBILE"}]}]`...)
		return b, nil
	case "order":
		b = append(b, `,"order":{"catalog_id":"194836987003835","text":"","product_items":[{"product_retailer_id":"di9ozbzfi4","quantity":2,"item_price":30,"currency":"USD"}]`...)
	default:
		return nil, fmt.Errorf("%w: type %q", ErrInbound, in.Type)
	}
	return append(b, '}'), nil
}

// preference tells that a person stopped or resumed marketing messages.
func (s *Server) preference(n *number, person string, in *Inbound) error {
	if in.Text != "stop" && in.Text != "resume" {
		return fmt.Errorf("%w: marketing takes the text stop or resume", ErrInbound)
	}
	out := in.Text == "stop"
	if _, err := s.parts.Fleet.Put(person, handset.Change{OptedOut: &out}); err != nil {
		return err
	}
	b := append([]byte(nil), `{"value":{"messaging_product":"whatsapp",`...)
	b = n.appendMetadata(b)
	b = append(b, `,"user_preferences":[{`...)
	b = appendMember(b, "wa_id", waID(person))
	b = appendMember(b, "user_id", userID(person))
	b = appendMember(b, "detail", "User requested to "+in.Text+" marketing messages")
	b = appendMember(b, "category", "marketing_messages")
	b = appendMember(b, "value", in.Text)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, in.At.Unix(), 10)
	b = append(b, `}]},"field":"user_preferences"}`...)
	s.lane(person).add(update{n: n, raw: b})
	return nil
}
