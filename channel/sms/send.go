package sms

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// Send submits the parts of one message over one link, all at once, and waits
// for every answer.
//
// Accepted.Parts are the ids of the parts that were taken and were asked to
// have a receipt, in order. When some parts were taken and others not, they
// come with a fault that is not certain: the person may get a torn text. When
// every part was refused or none left, the fault is certain.
func (c *Connector) Send(ctx context.Context, m *message.Outbound) (message.Accepted, error) {
	if !c.enter() {
		return message.Accepted{}, &message.Fault{Kind: message.Transient, Scope: message.ScopeConnector, Certain: true, Title: "the connector is closed", Cause: ErrClosed}
	}
	defer c.sending.Done()
	if err := ctx.Err(); err != nil {
		return message.Accepted{}, sendFault(&smpp.UnansweredError{Cause: err})
	}
	parts, err := c.encode(m)
	if err != nil {
		return message.Accepted{}, err
	}
	b := c.pick(m.To.ID)
	if b == nil {
		return message.Accepted{}, notReady()
	}
	if err := c.wait(ctx, len(parts)); err != nil {
		return message.Accepted{}, err
	}
	var ref uint16
	if c.s.Reference && len(parts) == 1 && m.Echo != "" {
		ref = c.unsure.keep(parts[0].Destination.Addr, m.Echo)
		parts[0].TLVs = append(parts[0].TLVs, smpp.TagUserMessageReference.Uint16(ref))
	}
	begun := c.now()
	a := &attempt{c: c, b: b, echo: m.Echo, waiting: len(parts), done: make(chan struct{}), answers: make([]answer, len(parts))}
	for i := range parts {
		if err := b.session.Submit(ctx, &parts[i], a.part(i)); err != nil {
			// A torn text helps nobody: the rest stays here.
			for ; i < len(parts); i++ {
				a.settle(i, smpp.Response{}, err)
			}
			break
		}
	}
	select {
	case <-a.done:
		c.timed(c.now().Sub(begun))
	case <-ctx.Done():
		a.leave(ctx.Err())
	}
	accepted, err := a.result(parts)
	if ref != 0 {
		c.unsure.settle(ref, err)
	}
	return accepted, err
}

// wait keeps parts to the pace of the account.
func (c *Connector) wait(ctx context.Context, parts int) error {
	err := c.pace.wait(ctx, parts, c.now())
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return sendFault(&smpp.UnansweredError{Cause: ended})
	}
	return &message.Fault{Kind: message.Throttled, Scope: message.ScopeConnector, Certain: true, Code: "pace", Title: "no room in the throughput of the account", Cause: err}
}

// tooFast slows the account down: the SMSC said so.
func (c *Connector) tooFast() {
	if pace := c.pace.slow(c.now()); pace > 0 {
		c.log.Info("slowed down", "connector", c.id, "parts_per_second", pace)
	}
}

// An answer is what is known about one part.
type answer struct {
	known bool
	r     smpp.Response
	err   error
}

// An attempt waits for the answers to the parts of one message.
type attempt struct {
	c       *Connector
	b       *bind
	echo    string
	done    chan struct{}
	mu      sync.Mutex
	answers []answer
	waiting int
	gone    bool // nobody waits any more
}

func (a *attempt) part(i int) func(smpp.Response, error) {
	return func(r smpp.Response, err error) { a.settle(i, r, err) }
}

// settle notes the answer to a part. It runs in the session's reader.
//
// The answer to a message of one part can still settle what the engine holds
// for unknown, so one that came too late is told as a receipt.
func (a *attempt) settle(i int, r smpp.Response, err error) {
	lone := len(a.answers) == 1 && a.echo != ""
	var unanswered *smpp.UnansweredError
	if lone && errors.As(err, &unanswered) && unanswered.Left && unanswered.Sequence != 0 {
		a.b.remember(unanswered.Sequence, a.echo)
	}
	a.mu.Lock()
	gone := a.gone
	if !gone {
		a.answers[i] = answer{known: true, r: r, err: err}
		if a.waiting--; a.waiting == 0 {
			close(a.done)
		}
	}
	a.mu.Unlock()
	if lone && gone && err == nil {
		a.c.tellLate(a.echo, r)
	}
}

// leave ends the wait: parts without an answer may have left.
func (a *attempt) leave(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	for i := range a.answers {
		if !a.answers[i].known {
			a.answers[i].err = &smpp.UnansweredError{Left: true, Cause: cause}
		}
	}
}

// result sums the parts up.
func (a *attempt) result(parts []smpp.SubmitSM) (message.Accepted, error) {
	var accepted message.Accepted
	var fault *message.Fault
	taken, unknown, doubtful := 0, false, false
	for i := range a.answers {
		one := &a.answers[i]
		if state, said := one.r.TLVs.Uint(smpp.TagCongestionState); said && state >= congested {
			a.c.tooFast()
		}
		var f *message.Fault
		switch {
		case one.err != nil:
			f = sendFault(one.err)
		case one.r.Command == smpp.GenericNack:
			f = nackFault(one.r.Status)
		case one.r.Status != smpp.StatusOK:
			f = statusFault(one.r.Status, a.c.s.statuses)
			if info, ok := one.r.Status.Info(); ok && info.Action == smpp.ActionRebind {
				a.c.retire(a.b)
			}
			if f.Kind == message.Throttled {
				a.c.tooFast()
			}
			if f.Unmapped {
				a.c.log.Warn("unmapped status", "connector", a.c.id, "code", f.Code)
			}
		default:
			taken++
			a.c.learn(one.r.MessageID)
			if one.r.MessageID != "" && a.c.tracked(parts[i].RegisteredDelivery) {
				accepted.Parts = append(accepted.Parts, one.r.MessageID)
			}
			continue
		}
		unknown, doubtful = unknown || !f.Certain, doubtful || f.Doubtful
		if fault == nil {
			fault = f
		}
	}
	if fault == nil {
		return accepted, nil
	}
	fault.Certain = taken == 0 && !unknown
	fault.Doubtful = doubtful && fault.Certain
	if taken > 0 {
		fault.Title = "only some parts were taken: " + fault.Title
	}
	return accepted, fault
}

// tracked reports whether a part's id will be heard of again. When no part
// asks for a receipt, every id is told.
func (c *Connector) tracked(registered uint8) bool {
	return registered != smpp.ReceiptNever || c.s.Receipts == "none"
}

func (b *bind) remember(sequence uint32, echo string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late == nil {
		b.late = map[uint32]string{}
	}
	if len(b.late) < lateMax {
		b.late[sequence] = echo
	}
}

// stray takes an answer that came after its submit had timed out.
func (c *Connector) stray(b *bind, r smpp.Response) {
	b.mu.Lock()
	echo, ok := b.late[r.Sequence]
	delete(b.late, r.Sequence)
	b.mu.Unlock()
	if ok && r.Command == smpp.SubmitSMResp {
		c.tellLate(echo, r)
	}
}

// tellLate turns a late answer into a receipt under our own id.
func (c *Connector) tellLate(echo string, r smpp.Response) {
	c.health.Lock()
	sink := c.sink
	c.health.Unlock()
	if sink == nil {
		return
	}
	receipt := &message.Receipt{ID: r.MessageID, Echo: echo, Status: message.ReceiptSent}
	if r.Status != smpp.StatusOK {
		receipt.Status, receipt.Fault = message.ReceiptFailed, statusFault(r.Status, c.s.statuses)
	}
	sink.Events([]message.Event{receipt}, func(err error) {
		if err != nil {
			c.log.Warn("a late answer was not stored", "connector", c.id)
		}
	})
}
