package whatsapp

import (
	"encoding/json"
	"strings"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// appendTemplate appends the template object: wire 2.4. Components with
// nothing variable are left out.
func appendTemplate(b []byte, t *message.TemplateUse) ([]byte, error) {
	if t.Name == "" || t.Language == "" {
		return nil, unfit("a template needs a name and a language")
	}
	b = append(b, `{"name":`...)
	b = graph.AppendString(b, t.Name)
	b = append(b, `,"language":{"code":`...)
	b = graph.AppendString(b, t.Language)
	b = append(b, `},"components":[`...)
	start := len(b)
	b, err := appendTemplateHeader(b, t)
	if err != nil {
		return nil, err
	}
	if b, err = appendTemplateBody(b, t); err != nil {
		return nil, err
	}
	if b, err = appendTemplateButtons(b, t); err != nil {
		return nil, err
	}
	if len(b) == start {
		b = b[:start-len(`,"components":[`)]
		return append(b, '}'), nil
	}
	b[len(b)-1] = ']' // over the last comma
	return append(b, '}'), nil
}

func appendTemplateHeader(b []byte, t *message.TemplateUse) ([]byte, error) {
	const open = `{"type":"header","parameters":[{"type":"`
	switch {
	case t.Header != nil:
		m := t.Header
		if m.Type != message.Image && m.Type != message.Video && m.Type != message.Document {
			return nil, unfit("a template's header takes an image, a video or a document")
		}
		b = append(b, open...)
		b = append(b, m.Type...)
		b = append(b, `","`...)
		b = append(b, m.Type...)
		b, err := appendSource(append(b, `":`...), m)
		if err != nil {
			return nil, err
		}
		if m.Type == message.Document {
			b = appendField(b, "filename", m.Filename)
		}
		return append(b, `}}]},`...), nil
	case t.Place != nil:
		b = append(b, open...)
		b = append(b, `location","location":`...)
		b = appendLocation(b, t.Place)
		return append(b, `}]},`...), nil
	case t.HeaderText != "":
		b = append(b, open...)
		b = append(b, `text","text":`...)
		b = appendParameter(b, t.HeaderText)
		return append(b, `}]},`...), nil
	}
	return b, nil
}

func appendTemplateBody(b []byte, t *message.TemplateUse) ([]byte, error) {
	if len(t.Parameters) == 0 && len(t.Order) == 0 {
		return b, nil
	}
	order, named := channel.ParameterOrder(t)
	b = append(b, `{"type":"body","parameters":[`...)
	for _, name := range order {
		value, ok := t.Parameters[name]
		if !ok || value == "" {
			return nil, &message.Fault{Kind: message.Refused, Certain: true, Code: "132000", Title: "template parameter count mismatch"}
		}
		b = append(b, `{"type":"text",`...)
		if named {
			b = append(b, `"parameter_name":`...)
			b = graph.AppendString(b, name)
			b = append(b, ',')
		}
		b = append(b, `"text":`...)
		b = appendParameter(b, value)
		b = append(b, '}', ',')
	}
	b[len(b)-1] = ']'
	return append(b, '}', ','), nil
}

// appendParameter appends a value as a template takes it: newlines, tabs and
// more than four spaces in a row are refused by the provider (132018), so they
// become what a person reads the same.
func appendParameter(b []byte, s string) []byte { return graph.AppendString(b, flat(s)) }

func flat(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") && !strings.Contains(s, "     ") {
		return s
	}
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s)
	for strings.Contains(s, "     ") {
		s = strings.ReplaceAll(s, "     ", "    ")
	}
	return s
}

func appendTemplateButtons(b []byte, t *message.TemplateUse) ([]byte, error) {
	// The code of an authentication template goes twice: in the body and in
	// its one button.
	if len(t.Buttons) == 0 && t.Category == message.Authentication && len(t.Parameters) == 1 {
		for _, code := range t.Parameters {
			return appendButton(b, 0, "url", "text", "text", code), nil
		}
	}
	for i := range t.Buttons {
		p := &t.Buttons[i]
		if p.Index < 0 || p.Index > 9 {
			return nil, unfit("a template has buttons 0 to 9")
		}
		switch kind := strings.ToLower(p.Type); kind {
		case "quick_reply":
			b = appendButton(b, p.Index, kind, "payload", "payload", p.Value)
		case "url":
			b = appendButton(b, p.Index, kind, "text", "text", p.Value)
		case "copy_code":
			b = appendButton(b, p.Index, kind, "coupon_code", "coupon_code", p.Value)
		case "flow":
			b = openButton(b, p.Index, kind, "action")
			b = append(b, `"action":{`...)
			b = append(b, `"flow_token":`...)
			b = graph.AppendString(b, p.Value)
			if p.Payload != "" {
				if !json.Valid([]byte(p.Payload)) {
					return nil, unfit("the data of a flow button is not JSON")
				}
				b = append(b, `,"flow_action_data":`...)
				b = append(b, p.Payload...)
			}
			b = append(b, `}}]},`...)
		default:
			return nil, unfit("a template's button has an unknown type")
		}
	}
	return b, nil
}

func openButton(b []byte, index int, kind, parameter string) []byte {
	b = append(b, `{"type":"button","sub_type":"`...)
	b = append(b, kind...)
	b = append(b, `","index":`...)
	b = appendIndex(b, index)
	b = append(b, `,"parameters":[{"type":"`...)
	b = append(b, parameter...)
	return append(b, '"', ',')
}

func appendButton(b []byte, index int, kind, parameter, field, value string) []byte {
	b = openButton(b, index, kind, parameter)
	b = append(b, '"')
	b = append(b, field...)
	b = append(b, '"', ':')
	b = graph.AppendString(b, value)
	return append(b, `}]},`...)
}
