package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/rules"
	"github.com/parley-messaging/parley/store"
)

// attachIn bounds how long a file may take to reach a provider before the send
// itself; both stay below the policy's AnswerIn.
const attachIn = 30 * time.Second

// hasKept reports whether content names files that we keep.
func hasKept(c *message.Content) bool {
	for i := range c.Media {
		if !c.Media[i].ID.IsZero() {
			return true
		}
	}
	return false
}

// headed reports whether a use of a template names files that we keep.
func headed(t *message.TemplateUse) bool {
	for _, m := range t.Files() {
		if !m.ID.IsZero() {
			return true
		}
	}
	return false
}

// kept completes what a request tells of files that we keep: their type, size
// and name decide what a channel does with them. It refuses files that are not
// there or another person's, and does not touch r.
func (e *Engine) kept(ctx context.Context, ws message.WorkspaceID, p *contact.Person, r *Request) (*Request, error) {
	some := hasKept(&r.Content) || headed(r.Template)
	for i := range r.Route {
		s := &r.Route[i]
		some = some || s.Content != nil && hasKept(s.Content) || headed(s.Template)
	}
	if !some {
		return r, nil
	}
	out := *r
	out.Route = append([]RouteStep(nil), r.Route...)
	if err := e.complete(ctx, ws, p, &out.Content, "content"); err != nil {
		return nil, err
	}
	var err error
	if out.Template, err = e.completeHeader(ctx, ws, p, out.Template, "template"); err != nil {
		return nil, err
	}
	for i := range out.Route {
		s := &out.Route[i]
		field := fmt.Sprintf("route[%d].", i)
		if s.Content != nil {
			c := *s.Content
			if err := e.complete(ctx, ws, p, &c, field+"content"); err != nil {
				return nil, err
			}
			s.Content = &c
		}
		if s.Template, err = e.completeHeader(ctx, ws, p, s.Template, field+"template"); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

func (e *Engine) complete(ctx context.Context, ws message.WorkspaceID, p *contact.Person, c *message.Content, field string) error {
	if !hasKept(c) {
		return nil
	}
	c.Media = append([]message.Media(nil), c.Media...)
	for i := range c.Media {
		if err := e.completeOne(ctx, ws, p, &c.Media[i], fmt.Sprintf("%s.media[%d].id", field, i)); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) completeHeader(ctx context.Context, ws message.WorkspaceID, p *contact.Person, t *message.TemplateUse, field string) (*message.TemplateUse, error) {
	if !headed(t) {
		return t, nil
	}
	out := t.OwnFiles()
	if h := out.Header; h != nil {
		if err := e.completeOne(ctx, ws, p, h, field+".header_media.id"); err != nil {
			return nil, err
		}
	}
	for i := range out.Cards {
		if h := out.Cards[i].Header; h != nil {
			if err := e.completeOne(ctx, ws, p, h, fmt.Sprintf("%s.cards[%d].header_media.id", field, i)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (e *Engine) completeOne(ctx context.Context, ws message.WorkspaceID, p *contact.Person, m *message.Media, field string) error {
	if m.ID.IsZero() {
		return nil
	}
	missing := &Refusal{Code: CodeMedia, Field: field, Detail: "there is no such file, or it expired", Remedy: "upload it with POST /v1/media"}
	if e.o.Media == nil {
		return missing
	}
	f, err := e.o.Media.Known(ctx, ws, m.ID)
	if errors.Is(err, store.ErrNotFound) {
		return missing
	}
	if err != nil {
		return err
	}
	if !f.Contact.IsZero() && f.Contact != p.ID {
		return &Refusal{Code: CodeMedia, Field: field, Detail: "this file belongs to another contact", Remedy: "upload it for this contact, or for nobody"}
	}
	m.MIME, m.Size = f.MIME, f.Size
	if m.Filename == "" {
		m.Filename = f.Name
	}
	return nil
}

// linked gives content in which every file we keep has its link: what a channel
// shows of a file it cannot show. Content without such files is given back.
func (e *Engine) linked(ctx context.Context, ws message.WorkspaceID, msg message.MessageID, c *message.Content) *message.Content {
	if e.o.Media == nil || !hasKept(c) {
		return c
	}
	out := *c
	out.Media = append([]message.Media(nil), c.Media...)
	for i := range out.Media {
		m := &out.Media[i]
		if m.ID.IsZero() {
			continue
		}
		link, err := e.o.Media.Link(ctx, ws, msg, m.ID)
		if err != nil {
			e.log.Warn("a file has no link", "media", m.ID, "error", err)
		}
		m.URL = link
	}
	return &out
}

// links lists the files of content that went out of it as links.
func links(before, after *message.Content) (list []message.MediaID) {
	for i := range before.Media {
		id := before.Media[i].ID
		stays := id.IsZero()
		for j := range after.Media {
			stays = stays || after.Media[j].ID == id
		}
		if !stays {
			list = append(list, id)
		}
	}
	return list
}

// attach makes the files of a message reachable before it is sent: uploaded
// where the provider keeps files, else by a link that opens. Its faults are
// certain: nothing has left.
func (e *Engine) attach(a *account, p *contact.Person, out *message.Outbound, minted []message.MediaID) *message.Fault {
	if e.o.Media == nil || len(minted) == 0 && !hasKept(&out.Content) && !headed(out.Template) {
		return nil
	}
	ctx, cancel := context.WithTimeout(e.wire, attachIn)
	defer cancel()
	up, can := a.conn.(channel.Uploader)
	give := func(m *message.Media) (err error) {
		if m.ID.IsZero() || m.Provider != "" {
			return nil
		}
		if can {
			m.URL = ""
			m.Provider, err = e.o.Media.Copy(ctx, out.Workspace, m.ID, a.id, up)
			return err
		}
		if m.URL, err = e.o.Media.Link(ctx, out.Workspace, out.Message, m.ID); err != nil {
			return err
		}
		return e.o.Media.Mint(ctx, out.Workspace, p.ID, out.Message, m.ID)
	}
	var err error
	for i := range out.Content.Media {
		if err == nil {
			err = give(&out.Content.Media[i])
		}
	}
	if headed(out.Template) {
		out.Template = out.Template.OwnFiles()
		for _, m := range out.Template.Files() {
			if err == nil {
				err = give(m)
			}
		}
	}
	for _, id := range minted {
		if err == nil {
			err = e.o.Media.Mint(ctx, out.Workspace, p.ID, out.Message, id)
		}
	}
	var f *message.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		sure := *f
		sure.Certain = true
		return &sure
	case errors.Is(err, store.ErrNotFound):
		return &message.Fault{Kind: message.Refused, Certain: true, Code: "media_gone", Title: "the file is not kept any more"}
	}
	return &message.Fault{Kind: message.Transient, Certain: true, Code: "media", Title: "the file could not be made ready", Cause: err}
}

// expect notes the files of a message a person sent, to be fetched once the
// message is stored.
func (e *Engine) expect(rec *store.Reception, a *account, p *contact.Person, in *message.Inbound) error {
	if _, can := a.conn.(channel.Fetcher); !can || e.o.Media == nil {
		return nil
	}
	for i := range in.Content.Media {
		m := &in.Content.Media[i]
		if m.Provider == "" {
			continue
		}
		row, err := e.o.Media.Expect(p, rec.Message.ID, a.id, m)
		if err != nil {
			return err
		}
		rec.Media = append(rec.Media, row)
	}
	return nil
}

const (
	fetchesAtOnce = 8
	fetchPoll     = 5 * time.Second
)

// fetchMedia brings over what people sent, at once when a message came, and
// what is left from before, until the engine stops.
func (e *Engine) fetchMedia() {
	if e.o.Media == nil {
		return
	}
	tick := time.NewTicker(fetchPoll)
	defer tick.Stop()
	for {
		for e.fetchSome() {
		}
		select {
		case <-e.quit:
			return
		case <-e.fetch:
		case <-tick.C:
		}
	}
}

// fetchSome fetches a few files and reports whether there may be more.
func (e *Engine) fetchSome() bool {
	select {
	case <-e.quit:
		return false
	default:
	}
	list, err := e.o.Media.Claim(e.ctx, fetchesAtOnce)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Warn("files to fetch not readable", "error", err)
		}
		return false
	}
	var all sync.WaitGroup
	for _, m := range list {
		all.Go(func() {
			var from channel.Fetcher
			if a := e.owner.account(m.Connector); a != nil {
				from, _ = a.conn.(channel.Fetcher)
			}
			if err := e.o.Media.Fetch(e.ctx, m, from); err != nil && e.ctx.Err() == nil {
				e.log.Warn("a fetched file was not stored", "media", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return len(list) == fetchesAtOnce
}

// wakeFetch tells that there are files to fetch.
func (e *Engine) wakeFetch() {
	select {
	case e.fetch <- struct{}{}:
	default:
	}
}

// answerFor is how long a typed number is taken as the choice of a button.
const answerFor = 7 * 24 * time.Hour

// choose reads a typed answer as the choice it stands for, where the last thing
// we said to this person on the channel went out with numbered choices.
func (e *Engine) choose(ctx context.Context, a *account, sender *store.Sender, p *contact.Person, in *message.Inbound, now time.Time) {
	if in.Type != message.InText || p.New != nil || in.Payload != "" || rules.FoldKeyword(in.Content.Text) == "" {
		return
	}
	list, err := e.store.List(ctx, a.ws, store.Filter{Contact: p.ID, Direction: store.MT, Since: now.Add(-answerFor), Limit: 20})
	if err != nil {
		e.log.Warn("what was said before is not readable: a typed choice stays text", "error", err)
		return
	}
	var last *store.Stored
	var at time.Time
	var which int
	for _, m := range list {
		if m.Delivery == nil || len(m.Sealed) == 0 {
			continue
		}
		for i := range m.Delivery.Steps {
			s := &m.Delivery.Steps[i]
			said := s.Last()
			if s.Channel != a.typ.Channel || said == nil || s.State == message.StepFailed || sender != nil && s.Sender != sender.ID {
				continue
			}
			if said.StartedAt.After(at) {
				last, at, which = m, said.StartedAt, i
			}
		}
	}
	if last == nil || last.Delivery.Steps[which].Mode == message.Template {
		return
	}
	b, err := openBody(p, last.ID, last.Sealed)
	if err != nil {
		return
	}
	content, _ := b.step(which)
	rendered, err := a.typ.Render(e.linked(ctx, a.ws, last.ID, content), nil)
	if err != nil {
		return
	}
	if c := chosen(rendered.Choices, in.Content.Text); c != nil {
		in.Type, in.Payload, in.Choice = message.InReply, c.Payload, c.Title
	}
}

// chosen finds the choice a typed text stands for: its number, however it is
// dotted, or its title in any case and with or without accents.
func chosen(list []channel.Choice, text string) *channel.Choice {
	typed := rules.FoldKeyword(text)
	if typed == "" {
		return nil
	}
	for i := range list {
		if typed == rules.FoldKeyword(list[i].Key) {
			return &list[i]
		}
	}
	for i := range list {
		if typed == rules.FoldKeyword(list[i].Title) {
			return &list[i]
		}
	}
	return nil
}
