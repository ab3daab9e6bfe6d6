package engine

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/message"
)

// A Span is one thing that was done for a message, for whoever traces. It holds
// ids and stable words: no text, no address, nothing the provider wrote.
type Span struct {
	Name      string // one of the Span constants
	Message   message.MessageID
	Workspace message.WorkspaceID
	Purpose   message.Purpose
	Step      int // of the route; -1: the whole message
	Attempt   int
	Channel   message.Channel
	Connector message.ConnectorID
	From, To  time.Time
	Result    string // a state, a fault's kind, a receipt's status
	Code      string // the provider's code, where there is one
	Failed    bool
}

// The names of Spans.
const (
	SpanAccept  = "accept"  // from the request to the commit
	SpanAttempt = "attempt" // from its commit to the provider's answer
	SpanReceipt = "receipt" // a receipt that was joined; it takes no time
)

// A Tracer is told of Spans once what they tell is stored, or, of an attempt,
// answered. It must return at once. ctx is that of the request, where there is
// one.
type Tracer func(ctx context.Context, s Span)

func (e *Engine) traceAccepted(ctx context.Context, p *prepared, as message.State) {
	if e.o.Trace == nil {
		return
	}
	d := p.delivery
	e.o.Trace(ctx, Span{
		Name: SpanAccept, Message: d.ID, Workspace: d.Workspace, Purpose: d.Purpose, Step: -1,
		From: p.now, To: e.now(), Result: as.String(),
	})
}

func (e *Engine) traceAttempt(l *lane, j *job, w flow.Which, out *message.Outbound, f *message.Fault) {
	if e.o.Trace == nil {
		return
	}
	s := Span{
		Name: SpanAttempt, Message: j.id, Workspace: j.ws, Purpose: out.Purpose, Step: w.Step, Attempt: w.Attempt,
		Channel: l.acc.typ.Channel, Connector: l.acc.id, From: j.begun, To: e.now(), Result: "accepted",
	}
	if f != nil {
		s.Failed, s.Result, s.Code = true, f.Kind.String(), f.Code
		if !f.Certain {
			s.Result = "unknown"
		}
	}
	e.o.Trace(e.ctx, s)
}

func (t *turn) traceReceipt(a *account, w flow.Which, r *message.Receipt) {
	if t.e.o.Trace == nil {
		return
	}
	s := Span{
		Name: SpanReceipt, Message: t.r.d.ID, Workspace: t.r.ws, Purpose: t.r.d.Purpose, Step: w.Step, Attempt: w.Attempt,
		Channel: a.typ.Channel, Connector: a.id, From: t.now, To: t.now, Result: r.Status.String(),
	}
	if r.Fault != nil {
		s.Failed, s.Code = true, r.Fault.Code
	}
	t.after(func() { t.e.o.Trace(t.e.ctx, s) })
}
