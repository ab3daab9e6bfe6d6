// Package event shows the log's events as clients see them: in webhooks, in
// GET /v1/events and in the live stream. It names every type of event and
// joins the open and the sealed half of one into its JSON form.
//
// It reads no log and sends nothing; it does not know how people's keys are
// kept either: an [Opener] does.
//
// Start with [Render].
package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/internal/plainjson"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// The types of event: a promise to clients.
const (
	MessageAccepted    = "message.accepted"
	MessageSent        = "message.sent"
	MessageDelivered   = "message.delivered"
	MessageRead        = "message.read"
	MessageFailed      = "message.failed"
	MessageExpired     = "message.expired"
	MessageCancelled   = "message.cancelled"
	MessageUnconfirmed = "message.unconfirmed"
	MessageStep        = "message.step" // a step moved; data.reason says why
	MessageReceived    = "message.received"
	WindowOpened       = "window.opened"
	WindowClosed       = "window.closed"
	ContactCreated     = "contact.created"
	ContactUpdated     = "contact.updated"
	ContactOptedOut    = "contact.opted_out"
	ContactOptedIn     = "contact.opted_in"
	ContactErased      = "contact.erased"
	IdentityChanged    = "contact.identity_changed"
	ConnectorPaused    = "connector.paused"
	ConnectorResumed   = "connector.resumed"
	TemplateUpdated    = "template.updated"
	AccountUpdated     = "account.updated" // the provider told of the number or account: quality, limits, restrictions
	PriceDiffers       = "price.differs"
	WebhookDisabled    = "webhook.disabled"
	MediaReady         = "media.ready"  // what a person sent is here
	MediaLost          = "media.lost"   // the provider does not give it to us
	MediaOpened        = "media.opened" // a person opened a link for the first time
)

// Types lists every type of event.
var Types = [...]string{
	MessageAccepted, MessageSent, MessageDelivered, MessageRead, MessageFailed, MessageExpired, MessageCancelled,
	MessageUnconfirmed, MessageStep, MessageReceived, WindowOpened, WindowClosed, ContactCreated, ContactUpdated,
	ContactOptedOut, ContactOptedIn, ContactErased, IdentityChanged, ConnectorPaused, ConnectorResumed,
	TemplateUpdated, AccountUpdated, PriceDiffers, WebhookDisabled, MediaReady, MediaLost, MediaOpened,
}

// Valid reports whether name is a type of event.
func Valid(name string) bool {
	for _, t := range Types {
		if t == name {
			return true
		}
	}
	return false
}

// SealPurpose is the purpose under which store.Event.Sealed is sealed with the
// contact's key; the row is the event's id.
const SealPurpose = "events.personal"

// ErrNotObject is returned for an event whose data is no JSON object.
var ErrNotObject = errors.New("the data of an event is not a JSON object")

// An Opener opens the personal half of events; *contact.Book is one.
type Opener interface {
	// OpenEvent gives Sealed in the clear. erased is true when the contact's
	// key is gone: nobody can read it any more.
	OpenEvent(ctx context.Context, e *store.Event) (plain []byte, erased bool, err error)
}

// Render gives an event of the log as clients see it:
//
//	{"id":"evt_…","type":"message.delivered","timestamp":"…","workspace":"ws_…","data":{…}}
//
// data holds the ids of message and contact, the version of the delivery, then
// the members of Data and of the unsealed Sealed. Where the contact was erased
// the personal members are missing and data.erased is true.
func Render(ctx context.Context, o Opener, e *store.LogEvent) ([]byte, error) {
	return RenderEvent(ctx, o, &e.Event)
}

// RenderEvent is Render for an event that does not come with its place in the
// log, such as that of a webhook delivery.
func RenderEvent(ctx context.Context, o Opener, e *store.Event) ([]byte, error) {
	return AppendEvent(ctx, make([]byte, 0, 256+len(e.Data)+len(e.Sealed)), o, e)
}

// AppendEvent is RenderEvent at the end of b. With an error it gives nil.
func AppendEvent(ctx context.Context, b []byte, o Opener, e *store.Event) ([]byte, error) {
	var personal []byte
	var erased bool
	if len(e.Sealed) > 0 {
		var err error
		if personal, erased, err = o.OpenEvent(ctx, e); err != nil {
			return nil, fmt.Errorf("opening event %s: %w", e.ID, err)
		}
	}
	b = append(b, `{"id":"`...)
	b = e.ID.Append(b)
	b = append(b, `","type":`...)
	b = plainjson.AppendText(b, e.Type)
	b = append(b, `,"timestamp":"`...)
	b = e.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","workspace":"`...)
	b = e.Workspace.Append(b)
	b = append(b, `","data":{`...)
	b, err := appendData(b, e, personal, erased)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return append(b, "}}"...), nil
}

func appendData(b []byte, e *store.Event, personal []byte, erased bool) (_ []byte, err error) {
	seen := make(map[string]bool, 8)
	b = appendID(b, seen, "message", e.Message)
	b = appendID(b, seen, "contact", e.Contact)
	if e.Version > 0 {
		b = fmt.Appendf(comma(b), `"version":%d`, e.Version)
		seen["version"] = true
	}
	if erased {
		b = append(comma(b), `"erased":true`...)
		seen["erased"] = true
	}
	if b, err = splice(b, seen, e.Data, ours, len(personal) > 0); err != nil {
		return nil, err
	}
	return splice(b, seen, personal, func(name []byte) bool { return seen[string(name)] }, false)
}

// ours reports whether a name may be one that appendData writes itself.
func ours(name []byte) bool {
	switch string(name) {
	case "message", "contact", "version", "erased":
		return true
	default:
		return false
	}
}

// splice takes a JSON object over as it stands when it is plain and taken says of
// none of its names that it is there. Nearly every event passes; any other is
// merged. more says that its names are to be known afterwards.
func splice(b []byte, seen map[string]bool, object []byte, taken func(name []byte) bool, more bool) ([]byte, error) {
	if !plainjson.Walk(object, func(name, _ []byte) bool { return !taken(name) }) {
		return merge(b, seen, object)
	}
	if more {
		plainjson.Walk(object, func(name, _ []byte) bool {
			seen[string(name)] = true
			return true
		})
	}
	if len(object) > len("{}") {
		b = append(comma(b), object[1:len(object)-1]...)
	}
	return b, nil
}

func appendID[K message.Kind](b []byte, seen map[string]bool, name string, id message.ID[K]) []byte {
	if id.IsZero() {
		return b
	}
	seen[name] = true
	b = append(comma(b), '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	b = id.Append(b)
	return append(b, '"')
}

// merge appends the members of a JSON object that are not there yet, in their
// order, compact. Nothing at all is an empty object.
func merge(b []byte, seen map[string]bool, object []byte) ([]byte, error) {
	if len(object) == 0 {
		return b, nil
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrNotObject
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, ErrNotObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, ErrNotObject
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		buf := bytes.NewBuffer(append(plainjson.AppendText(comma(b), name), ':'))
		if err := json.Compact(buf, value); err != nil {
			return nil, ErrNotObject
		}
		b = buf.Bytes()
	}
	if _, err := d.Token(); err != nil {
		return nil, ErrNotObject
	}
	return b, nil
}

func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}
