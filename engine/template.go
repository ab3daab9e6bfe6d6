package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/engine/route"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// templates finds the variants of the template a step may use, and renders it.
func (e *Engine) templates(p *prepared, r *Request, c *route.Candidate, typ *channel.Type, sender *store.Sender, content *message.Content, use *message.TemplateUse, field func(string) string) (channel.Rendering, error) {
	var rows []*store.Template
	var filled *message.TemplateUse
	if typ.Window || typ.Caps.Templates.Level == channel.Full {
		name, language := "", ""
		if use != nil {
			name, language = use.Name, use.Language
		} else if mapped := p.cfg.Settings.TemplateMap[r.Purpose]; mapped != "" {
			name, language, _ = strings.Cut(mapped, "/")
			c.Mapped = true
		}
		if name != "" {
			rows = p.cfg.Templates(sender.ID, name, language)
			if len(rows) == 0 && use != nil {
				return channel.Rendering{}, &Refusal{Code: CodeTemplate, Field: field("template.name"), Detail: "the sender has no template of this name and language", Remedy: "register it, or use one that GET /v1/templates lists"}
			}
		}
		for _, t := range rows {
			c.Variants = append(c.Variants, route.Variant{Name: t.Name, Language: t.Language, Category: t.Category, State: t.State, TTL: t.TTL})
		}
		if len(rows) > 0 {
			filled = fill(p.cfg, sender.ID, rows[0].Name, rows[0].Language, use, content.Text)
			if use != nil {
				if f := parameters(filled, field); f != nil {
					return channel.Rendering{}, f
				}
				if rows[0].Category == message.Marketing && r.Purpose != message.Marketing {
					return channel.Rendering{}, &Refusal{Code: CodeTemplate, Field: "purpose", Detail: "the template's category is marketing", Remedy: "send it with purpose marketing, or use a template of another category"}
				}
			}
		}
	} else if content.IsZero() && use != nil {
		// The channel has no templates: it says the same in plain text.
		if text := e.plain(p.cfg, use); text != "" {
			content = &message.Content{Text: text}
			c.FreeForm = true
			i := len(p.cands) - 1 // this step's
			for len(p.body.Steps) <= i {
				p.body.Steps = append(p.body.Steps, stepBody{})
			}
			p.body.Steps[i].Content = content
		}
	}
	if !c.FreeForm && filled == nil {
		return channel.Rendering{Segments: 1}, nil
	}
	t := filled
	if c.FreeForm && (c.Mapped || use == nil) {
		t = nil
	}
	out, err := e.rendering(c.Connector, typ, e.linked(e.ctx, p.ws, message.MessageID{}, content), t, r.Purpose)
	if err != nil {
		return out, contentRefusal(err, field)
	}
	for _, change := range out.Changes {
		if change.Level == channel.No && c.FreeForm {
			code := CodeContent
			if change.Field == "text" {
				code = CodeTooLong
			}
			return out, &Refusal{Code: code, Field: field("content." + change.Field), Detail: string(typ.Channel) + ": " + change.Detail, Remedy: "shorten or simplify it, or give this step content of its own"}
		}
	}
	return out, nil
}

// rendering shows content as an account will, by its own settings where it has
// some; one that is not open here is taken to be as its type.
func (e *Engine) rendering(id message.ConnectorID, typ *channel.Type, c *message.Content, t *message.TemplateUse, purpose message.Purpose) (channel.Rendering, error) {
	if a := e.owner.account(id); a != nil {
		if own, ok := a.conn.(channel.Previewer); ok {
			return own.Preview(c, t, purpose)
		}
	}
	return typ.Render(c, t)
}

// plain gives a template's text, filled, wherever it is registered; "" when it
// is registered nowhere.
func (e *Engine) plain(cfg *workspace.Config, use *message.TemplateUse) string {
	for _, s := range cfg.Senders {
		for _, t := range cfg.Templates(s.ID, use.Name, use.Language) {
			if t.Body != "" {
				text, _ := channel.Fill(t.Body, use.Parameters)
				return text
			}
		}
	}
	return ""
}

// parameters refuses a use that leaves placeholders empty or fills ones that
// are not there.
func parameters(use *message.TemplateUse, field func(string) string) error {
	if use.Body == "" {
		return nil // registered without its text: the provider will judge
	}
	var missing []string
	for _, name := range use.Order {
		if v, ok := use.Parameters[name]; !ok || v == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return &Refusal{Code: CodeTemplateParams, Field: field("template.parameters"), Detail: "the template needs values for: " + strings.Join(missing, ", "), Remedy: "give every parameter of the template a text"}
	}
	if len(use.Parameters) > len(use.Order) {
		return &Refusal{Code: CodeTemplateParams, Field: field("template.parameters"), Detail: fmt.Sprintf("the template has %d parameters, more were given", len(use.Order)), Remedy: "remove the parameters the template does not have"}
	}
	if at := broken(use); at != "" {
		return &Refusal{Code: CodeTemplateParams, Field: field(at), Detail: "a parameter may not hold line breaks, tabs or more than four spaces in a row", Remedy: "put the text on one line"}
	}
	return nil
}

// broken names a parameter that is not on one line, "" when all are.
func broken(use *message.TemplateUse) string {
	find := func(at string, values map[string]string) string {
		for name, v := range values {
			if strings.ContainsAny(v, "\n\r\t") || strings.Contains(v, "     ") {
				return at + name
			}
		}
		return ""
	}
	if at := find("template.parameters.", use.Parameters); at != "" {
		return at
	}
	if at := find("template.", map[string]string{"header_text": use.HeaderText}); at != "" {
		return at
	}
	for i := range use.Cards {
		if at := find(fmt.Sprintf("template.cards[%d].parameters.", i), use.Cards[i].Parameters); at != "" {
			return at
		}
	}
	return ""
}

// templateState gives the review state of the template a step uses.
func templateState(cfg *workspace.Config, s *message.Step) message.TemplateState {
	if t := templateOf(cfg, s); t != nil {
		return t.State
	}
	if s.Template == "" {
		return ""
	}
	return message.TemplateDeleted
}

// templateOf gives the registered template a step uses; nil when there is none.
func templateOf(cfg *workspace.Config, s *message.Step) *store.Template {
	name, language := cutTemplate(s.Template)
	for _, t := range cfg.Templates(s.Sender, name, language) {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// requote prices a template step as it is about to go out, and takes over how
// long its provider will try.
func (e *Engine) requote(t *turn, cfg *workspace.Config, sender *store.Sender, typ *channel.Type, s *message.Step, f *gate.Facts) {
	tpl := templateOf(cfg, s)
	if tpl == nil {
		return
	}
	s.ValidFor = tpl.TTL
	if s.ValidFor == 0 {
		if ttl, ok := e.o.Rules.As(t.now).TTL(string(typ.Channel), string(tpl.Category)); ok {
			s.ValidFor = ttl.DefaultTTL()
		}
	}
	p := e.quote(t.now, typ, sender, e.country(t), t.r.d.Purpose, message.Template, tpl.Category, *f, s.Segments)
	if p.Amount.Currency != "" {
		s.Estimate, f.Estimate = p.Amount, p.Amount
	}
}

func cutTemplate(s string) (name, language string) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// fill completes a use of a template with what is registered: category, body,
// order of its parameters.
func fill(cfg *workspace.Config, sender message.SenderID, name, language string, use *message.TemplateUse, text string) *message.TemplateUse {
	out := message.TemplateUse{Name: name, Language: language}
	if use != nil {
		out = *use
		out.Name, out.Language = name, language
	}
	for _, t := range cfg.Templates(sender, name, language) {
		if t.Name != name {
			continue
		}
		out.Category, out.Body, out.Named = t.Category, t.Body, t.Named
		out.Order, out.Components = channel.Placeholders(t.Body), t.Components
		break
	}
	if use == nil && text != "" && len(out.Order) == 1 {
		// A mapped template with one parameter carries the text.
		out.Parameters = map[string]string{out.Order[0]: text}
	}
	return &out
}

// ended names an offer that is over before its message goes, "" when none is.
func ended(r *Request, now time.Time) string {
	over := func(t *message.TemplateUse) bool {
		return t != nil && !t.Offer.IsZero() && (t.Offer.Before(now) || t.Offer.Before(r.SendAt))
	}
	if over(r.Template) {
		return "template.offer_expires_at"
	}
	for i := range r.Route {
		if over(r.Route[i].Template) {
			return fmt.Sprintf("route[%d].template.offer_expires_at", i)
		}
	}
	return ""
}

func contentRefusal(err error, field func(string) string) error {
	var misfit *channel.Misfit
	if errors.As(err, &misfit) {
		return &Refusal{Code: CodeTemplateParams, Field: field(misfit.Field), Detail: misfit.Detail, Remedy: misfit.Remedy}
	}
	var f *message.Fault
	r := &Refusal{Code: CodeContent, Field: field("content"), Detail: "the channel cannot carry this content", Remedy: "shorten or simplify it, or leave the channel out of the route"}
	if errors.As(err, &f) && f.Title != "" {
		r.Detail = f.Title
		return r
	}
	return r
}
