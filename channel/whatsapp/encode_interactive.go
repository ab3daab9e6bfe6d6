package whatsapp

import (
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// openInteractive appends the type and what stands above and below the body,
// up to `"action":`.
func openInteractive(b []byte, kind string, c *message.Content) ([]byte, error) {
	if c.Text == "" {
		return nil, unfit("an interactive message needs a text")
	}
	b = append(b, `,"type":"interactive","interactive":{"type":"`...)
	b = append(b, kind...)
	b = append(b, '"')
	switch {
	case len(c.Media) > 1 || len(c.Media) == 1 && kind != "button" && kind != "cta_url":
		return nil, unfit("this kind of message has no place for the attachments")
	case len(c.Media) == 1:
		m := &c.Media[0]
		if m.Type != message.Image && m.Type != message.Video && m.Type != message.Document {
			return nil, unfit("only an image, a video or a document can stand above buttons")
		}
		b = append(b, `,"header":{"type":"`...)
		b = append(b, m.Type...)
		b = append(b, `","`...)
		b = append(b, m.Type...)
		var err error
		if b, err = appendSource(append(b, `":`...), m); err != nil {
			return nil, err
		}
		if m.Type == message.Document {
			b = appendField(b, "filename", m.Filename)
		}
		b = append(b, `}}`...)
	case c.Header != "":
		b = append(b, `,"header":{"type":"text","text":`...)
		b = graph.AppendString(b, c.Header)
		b = append(b, '}')
	}
	b = append(b, `,"body":{"text":`...)
	b = graph.AppendString(b, c.Text)
	b = append(b, '}')
	if c.Footer != "" {
		b = append(b, `,"footer":{"text":`...)
		b = graph.AppendString(b, c.Footer)
		b = append(b, '}')
	}
	return append(b, `,"action":`...), nil
}

// appendActions appends reply buttons, or one link button.
func appendActions(b []byte, c *message.Content) ([]byte, error) {
	if c.Actions[0].Type == message.URL {
		a := &c.Actions[0]
		if len(c.Actions) > 1 {
			return nil, unfit("WhatsApp shows one link button, alone")
		}
		b, err := openInteractive(b, "cta_url", c)
		if err != nil {
			return nil, err
		}
		b = append(b, `{"name":"cta_url","parameters":{"display_text":`...)
		b = graph.AppendString(b, a.Title)
		b = append(b, `,"url":`...)
		b = graph.AppendString(b, a.URL)
		return append(b, `}}}`...), nil
	}
	b, err := openInteractive(b, "button", c)
	if err != nil {
		return nil, err
	}
	b = append(b, `{"buttons":[`...)
	for i := range c.Actions {
		a := &c.Actions[i]
		if a.Type != message.Reply {
			return nil, unfit("this kind of button is not shown by WhatsApp here")
		}
		b = append(b, `{"type":"reply","reply":{"id":`...)
		b = graph.AppendString(b, payloadOf(a.Payload, a.Title))
		b = append(b, `,"title":`...)
		b = graph.AppendString(b, a.Title)
		b = append(b, `}},`...)
	}
	b[len(b)-1] = ']'
	return append(b, `}}`...), nil
}

// payloadOf gives the id of a button: without a payload its title comes back.
func payloadOf(payload, title string) string {
	if payload == "" {
		return title
	}
	return payload
}

func appendList(b []byte, c *message.Content) ([]byte, error) {
	b, err := openInteractive(b, "list", c)
	if err != nil {
		return nil, err
	}
	if len(c.List.Sections) == 0 || c.List.Button == "" {
		return nil, unfit("a list needs a button and a section")
	}
	b = append(b, `{"button":`...)
	b = graph.AppendString(b, c.List.Button)
	b = append(b, `,"sections":[`...)
	for i := range c.List.Sections {
		s := &c.List.Sections[i]
		if len(s.Rows) == 0 {
			return nil, unfit("a section of a list has no rows")
		}
		b = append(b, '{')
		if s.Title != "" {
			b = append(b, `"title":`...)
			b = graph.AppendString(b, s.Title)
			b = append(b, ',')
		}
		b = append(b, `"rows":[`...)
		for j := range s.Rows {
			r := &s.Rows[j]
			b = append(b, `{"id":`...)
			b = graph.AppendString(b, payloadOf(r.Payload, r.Title))
			b = append(b, `,"title":`...)
			b = graph.AppendString(b, r.Title)
			b = appendField(b, "description", r.Description)
			b = append(b, '}', ',')
		}
		b[len(b)-1] = ']'
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return append(b, `}}`...), nil
}

func appendRequest(b []byte, c *message.Content) ([]byte, error) {
	if c.Request != "location" {
		return nil, unfit("WhatsApp can ask for a location only")
	}
	b, err := openInteractive(b, "location_request_message", c)
	if err != nil {
		return nil, err
	}
	return append(b, `{"name":"send_location"}}`...), nil
}
