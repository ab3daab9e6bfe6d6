package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/gate"
	"github.com/parley-messaging/parley/engine/route"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// defaultExpiry is how long a message may take when its request does not say.
func defaultExpiry(p message.Purpose) time.Duration {
	if p == message.Authentication {
		return 15 * time.Minute
	}
	return 48 * time.Hour
}

const (
	maxExpiry = 30 * 24 * time.Hour
	maxAhead  = 366 * 24 * time.Hour
	maxSteps  = 8
)

// prepared is a request with everything the decision was made with.
type prepared struct {
	ws         message.WorkspaceID
	cfg        *workspace.Config
	person     *contact.Person
	index      [16]byte
	body       *body // apart from the rest: it is kept until the message has left
	cands      []route.Candidate
	renderings []channel.Rendering
	planned    []route.Planned
	delivery   *message.Delivery
	turn       *turn // that makes its rows
	warnings   []Warning
	now        time.Time
}

// candidates are used while a request is planned only.
var candidates = sync.Pool{New: func() any { return new([]route.Candidate) }}

// prepare plans a request. It fails with *Refusal when the request makes no
// sense or nothing of it may go.
func (e *Engine) prepare(ctx context.Context, ws message.WorkspaceID, r *Request, known *contact.Person) (*prepared, error) {
	cfg, err := e.o.Workspaces.Config(ctx, ws)
	if err != nil {
		return nil, err
	}
	now := e.now()
	if err := check(r, now); err != nil {
		return nil, err
	}
	if err := e.mentioned(ctx, ws, cfg, r); err != nil {
		return nil, err
	}
	p := &prepared{ws: ws, cfg: cfg, now: now}
	person, rc, err := e.person(ctx, ws, cfg, r, known)
	if err != nil {
		return nil, err
	}
	p.person = person
	if r, err = e.kept(ctx, ws, person, r); err != nil {
		return nil, err
	}
	p.body = &body{To: rc.addr, Content: r.Content, Template: r.Template, ReplyTo: r.ReplyTo, Metadata: r.Metadata}
	begin := now
	if r.SendAt.After(now) {
		begin = r.SendAt
	}
	expires := r.Expires
	if expires == 0 {
		expires = defaultExpiry(r.Purpose)
	}
	steps, defaulted, err := e.steps(cfg, r, rc.country, now)
	if err != nil {
		return nil, err
	}
	room := candidates.Get().(*[]route.Candidate)
	p.cands, p.renderings = slices.Grow(*room, len(steps)), make([]channel.Rendering, 0, len(steps))
	defer func() {
		clear(p.cands)
		*room, p.cands = p.cands[:0], nil
		candidates.Put(room)
	}()
	for i := range steps {
		if err := e.candidate(p, r, i, &steps[i], rc); err != nil {
			return nil, err
		}
	}
	if f := route.Check(p.cands, expires); f != nil {
		if !defaulted {
			return nil, &Refusal{Code: CodeTrigger, Field: fmt.Sprintf("route[%d].%s", f.Step, f.Field), Detail: f.Detail, Remedy: f.Remedy}
		}
		for i := range p.cands { // our own default must not refuse a short-lived message
			p.cands[i].Next = message.Trigger{}
		}
	}
	p.planned = route.Plan(p.cands, begin, begin.Add(expires))
	d := &message.Delivery{
		Workspace: ws, Contact: person.ID, Purpose: r.Purpose, CreatedAt: now,
		ExpiresAt: begin.Add(expires), Country: rc.country, Labelled: len(r.Metadata) > 0, Steps: make([]message.Step, len(p.planned)),
	}
	if r.SendAt.After(now) {
		d.SendAt = r.SendAt
	}
	if r.MaxPrice != nil {
		d.Limit = *r.MaxPrice
	}
	possible := false
	for i := range p.planned {
		d.Steps[i] = p.planned[i].Step
		possible = possible || p.planned[i].Step.State == message.StepPending
		e.warn(p, i)
	}
	if r.Purpose == message.Marketing {
		for i := range p.planned {
			if p.planned[i].Decision.Word == gate.Refuse {
				return nil, refused(&p.planned[i], i)
			}
		}
	}
	if !possible {
		return nil, refused(&p.planned[0], 0)
	}
	p.delivery = d
	return p, nil
}

// check judges what needs no look-up.
func check(r *Request, now time.Time) error {
	if !r.Purpose.Valid() {
		return &Refusal{Code: CodePurpose, Field: "purpose", Detail: "a purpose is needed on every message", Remedy: "give authentication, utility, marketing or service"}
	}
	if r.Content.IsZero() && r.Template == nil {
		some := false
		for i := range r.Route {
			some = some || r.Route[i].Content != nil && !r.Route[i].Content.IsZero() || r.Route[i].Template != nil
		}
		if !some {
			return &Refusal{Code: CodeEmpty, Field: "content", Detail: "there is nothing to say", Remedy: "give content, a template, or both"}
		}
	}
	if !r.SendAt.IsZero() && r.SendAt.Before(now.Add(-time.Minute)) {
		return &Refusal{Code: CodePast, Field: "send_at", Detail: "send_at is in the past", Remedy: "leave it out to send at once, or give a time to come"}
	}
	if r.SendAt.After(now.Add(maxAhead)) {
		return &Refusal{Code: CodeTooFar, Field: "send_at", Detail: "send_at is more than a year away", Remedy: "give a nearer time"}
	}
	if field := ended(r, now); field != "" {
		return &Refusal{Code: CodePast, Field: field, Detail: "the offer ended already", Remedy: "give a time to come"}
	}
	if r.Expires < 0 || r.Expires > maxExpiry {
		return &Refusal{Code: CodeInvalid, Field: "expires_in", Detail: "expires_in must be above zero and at most 30 days", Remedy: "give a span such as \"1h\""}
	}
	if len(r.Route) > maxSteps {
		return &Refusal{Code: CodeInvalid, Field: "route", Detail: fmt.Sprintf("a route has at most %d steps", maxSteps), Remedy: "shorten the route"}
	}
	return nil
}

// steps gives the route asked for, the workspace's, or the house's: each
// channel with a sender in the order of the list of channels, with the waits
// of the rules.
func (e *Engine) steps(cfg *workspace.Config, r *Request, country string, now time.Time) (steps []RouteStep, defaulted bool, err error) {
	if r.Auto {
		return nil, false, &Refusal{Code: CodeNoRoute, Field: "route", Detail: "\"auto\" is not built yet", Remedy: "give the channels in order, or leave route out for the workspace's default"}
	}
	if len(r.Route) > 0 {
		return r.Route, false, nil
	}
	for _, s := range cfg.Settings.DefaultRoute {
		steps = append(steps, RouteStep{Channel: s.Channel, Sender: s.Sender, Next: s.Next})
	}
	if len(steps) == 0 {
		view := e.o.Rules.As(now)
		for i := range e.o.Types {
			t := &e.o.Types[i]
			if len(cfg.SendersOf(t.Channel)) == 0 {
				continue
			}
			s := RouteStep{Channel: t.Channel}
			if w, ok := view.Wait(string(r.Purpose), string(t.Channel), country); ok && t.Receipts.Delivered {
				s.Next.NotDelivered = w.Patience()
			}
			steps = append(steps, s)
		}
		if len(steps) > 0 {
			steps[len(steps)-1].Next = message.Trigger{}
		}
	}
	if len(steps) == 0 {
		return nil, true, &Refusal{Code: CodeNoRoute, Field: "route", Detail: "the workspace has no sender on any channel", Remedy: "add a sender and a connector first"}
	}
	return steps, true, nil
}

// candidate gathers what is known about one step.
func (e *Engine) candidate(p *prepared, r *Request, i int, s *RouteStep, rc recipient) error {
	field := func(name string) string { return fmt.Sprintf("route[%d].%s", i, name) }
	if len(r.Route) == 0 {
		field = func(name string) string { return name }
	}
	sender := p.cfg.Sender(s.Sender)
	if s.Sender.IsZero() && !r.To.Sender.IsZero() && p.cfg.Sender(r.To.Sender).Channel == s.Channel {
		sender = p.cfg.Sender(r.To.Sender) // the end this address belongs to
	} else if s.Sender.IsZero() {
		if of := p.cfg.SendersOf(s.Channel); len(of) > 0 {
			sender = of[0]
		}
	}
	typ, conn := e.carrier(p.cfg, sender)
	switch {
	case !e.knows(s.Channel):
		return &Refusal{Code: CodeNoChannel, Field: field("channel"), Detail: "this channel is not known here", Remedy: "use one of: " + e.channelNames()}
	case sender == nil || sender.Channel != s.Channel:
		return &Refusal{Code: CodeNoSender, Field: field("sender"), Detail: fmt.Sprintf("the workspace has no such sender on %s", s.Channel), Remedy: "add a sender for the channel, or leave it out of the route"}
	case typ == nil:
		return &Refusal{Code: CodeNoSender, Field: field("sender"), Detail: "the sender has no connector", Remedy: "connect an account to the sender"}
	}
	if s.Content != nil || s.Template != nil {
		for len(p.body.Steps) <= i {
			p.body.Steps = append(p.body.Steps, stepBody{})
		}
		p.body.Steps[i] = stepBody{s.Content, s.Template}
	}
	content, use := p.body.step(i)
	receipts := e.receipts(conn.ID, typ)
	p.cands = append(p.cands, route.Candidate{
		Channel: s.Channel, Sender: sender.ID, Connector: conn.ID, Next: s.Next,
		Delivered: receipts.Delivered, Read: receipts.Read, Expect: receipts.Horizon,
		FreeForm: !content.IsZero(),
	})
	c := &p.cands[i]
	if !receipts.Delivered {
		c.Expect = 0
	}
	view := e.o.Rules.As(p.now)
	ttl, _ := view.TTL(string(s.Channel), "any")
	c.DefaultTTL = func(category message.Purpose) time.Duration {
		if category != "" {
			if t, ok := view.TTL(string(s.Channel), string(category)); ok {
				return t.DefaultTTL()
			}
		}
		return ttl.DefaultTTL()
	}
	if !typ.Window {
		c.MaxValid = 48 * time.Hour
	}
	c.Facts = e.facts(p.person, typ, sender, r.Purpose, p.now)
	if r.MaxPrice != nil {
		c.Facts.Limit = *r.MaxPrice
	}
	if i == 0 || c.Facts.HasAddress && p.index == ([16]byte{}) {
		_, p.index, _ = p.person.Address(typ.Addressed)
	}
	rendered, fault := e.templates(p, r, c, typ, sender, content, use, field)
	if fault != nil {
		return fault
	}
	c.Segments = rendered.Segments
	free := messages(typ, content, use, c.Segments)
	c.Quote = func(mode message.Mode, category message.Purpose) route.Price {
		segments := c.Segments
		if mode == message.FreeForm {
			segments = free
		}
		return e.quote(p.now, typ, sender, rc.country, r.Purpose, mode, category, c.Facts, segments)
	}
	p.renderings = append(p.renderings, rendered)
	return nil
}

// facts gathers what the gates judge a step by, from memory.
func (e *Engine) facts(p *contact.Person, typ *channel.Type, s *store.Sender, purpose message.Purpose, now time.Time) gate.Facts {
	f := gate.Facts{Now: now, Purpose: purpose, NeedsWindow: typ.Window}
	_, index, ok := p.Address(typ.Addressed)
	f.HasAddress = ok
	if !ok {
		return f
	}
	if reason, yes := p.SuppressedFor(index, typ.Channel, s.ID, purpose); yes {
		f.Suppressed = reason
	}
	if code, yes := p.Unreachable(index, typ.Channel, now); yes {
		f.Unreached = code
		if code == "" {
			f.Unreached = "unreachable"
		}
	}
	if typ.Window {
		if closes, _, open := p.Window(index, s.ID, now); open {
			f.WindowEnds = closes
		}
	}
	return f
}

// carrier gives the type and the account that carries a sender: its first
// connector that is not known to be broken, else its first.
func (e *Engine) carrier(cfg *workspace.Config, s *store.Sender) (*channel.Type, *store.Connector) {
	if s == nil {
		return nil, nil
	}
	var first *store.Connector
	for _, id := range s.Connectors {
		c := cfg.Connector(id)
		if c == nil || e.types[c.Kind] == nil {
			continue
		}
		if first == nil {
			first = c
		}
		if !c.Paused && c.Health.State != Misconfigured {
			return e.types[c.Kind], c
		}
	}
	if first == nil {
		return nil, nil
	}
	return e.types[first.Kind], first
}

func (e *Engine) knows(c message.Channel) bool {
	for i := range e.o.Types {
		if e.o.Types[i].Channel == c {
			return true
		}
	}
	return false
}

func (e *Engine) channelNames() string {
	var names []string
	for i := range e.o.Types {
		names = append(names, string(e.o.Types[i].Channel))
	}
	return strings.Join(names, ", ")
}

// refused turns "no step possible" into words.
func refused(p *route.Planned, i int) *Refusal {
	r := &Refusal{Field: fmt.Sprintf("route[%d]", i), Detail: string(p.Step.Channel) + ": " + p.Decision.Reason}
	switch p.Decision.Reason {
	case gate.WindowClosed:
		r.Code, r.Detail = CodeWindow, "the conversation window is closed: free-form content may not be sent now"
		r.Remedy = "send an approved template, add a channel without windows to the route, or wait until the person writes"
	case gate.OptedOut:
		r.Code, r.Detail, r.Remedy = CodeOptedOut, "the person opted out", "do not write; they can come back with START"
	case gate.PriceAboveLimit:
		r.Code, r.Field, r.Detail, r.Remedy = CodePrice, "max_price", "every step costs more than max_price", "raise max_price or choose a cheaper route"
	case gate.TemplateState:
		r.Code, r.Detail, r.Remedy = CodeTemplateState, "the template is not approved: "+p.Decision.Detail, "use an approved template"
	case gate.TemplateUnknown, gate.NoContent:
		r.Code, r.Detail, r.Remedy = CodeWindow, "there is no content this step could send now", "give a template for this channel"
	case gate.NoAddress:
		r.Code, r.Field, r.Detail, r.Remedy = CodeBadRecipient, "to", "the person has no address on any channel of the route", "add an identity, or choose other channels"
	case gate.Unreachable:
		r.Code, r.Detail, r.Remedy = "unreachable", "the person was not reachable on this channel lately", "add another channel to the route"
	case gate.Expired:
		r.Code, r.Field, r.Detail, r.Remedy = CodeExpired, "expires_in", "the message would expire before it is sent", "lengthen expires_in"
	default:
		r.Code, r.Remedy = CodeNoRoute, "change the route"
	}
	return r
}
