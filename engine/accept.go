package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine/flow"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// Idempotency is a client's Idempotency-Key with the request it stands for.
// The zero Idempotency asks for nothing.
type Idempotency struct {
	Key  string
	Body []byte // the request's raw bytes
}

// idempotencyLife is how long a key gives the same answer.
const idempotencyLife = 24 * time.Hour

// What idempotent answers are sealed for.
const sealAnswer = "answer"

// A BatchResult is the verdict on one item of a batch: an Answer or an error.
type BatchResult struct {
	Answer *Answer
	Err    error
}

// Accept takes one message in. When it returns without error the message is
// durable. It fails with *Refusal for what the client must mend, ErrBusy,
// ErrStopped, and the store's errors.
func (e *Engine) Accept(ctx context.Context, ws message.WorkspaceID, r *Request, idem Idempotency) (*Answer, error) {
	out, err := e.AcceptBatch(ctx, ws, []*Request{r}, idem)
	if err != nil {
		return nil, err
	}
	return out[0].Answer, out[0].Err
}

// AcceptBatch takes many messages in with one commit. Every item gets its own
// verdict; a bad one spoils no other. The answers of more than one have no plan:
// nobody reads ten thousand, and each would be kept for its repetition. The
// error is for the batch as a whole.
func (e *Engine) AcceptBatch(ctx context.Context, ws message.WorkspaceID, rs []*Request, idem Idempotency) ([]BatchResult, error) {
	if !e.intake.Load() {
		return nil, ErrStopped
	}
	room, err := e.o.Workspaces.Get(ctx, ws)
	if err != nil {
		return nil, err
	}
	out := make([]BatchResult, len(rs))
	var keys *idemKeys
	if idem.Key != "" {
		keys = &idemKeys{
			base: room.Keys.Fingerprint("idempotency", []byte(idem.Key)), many: len(rs) > 1,
			body: room.Keys.Fingerprint("idempotent-body", idem.Body),
		}
	}
	// In pieces, so that one client's ten thousand leave room in each commit
	// for the others. A piece waits for its workspace's turn.
	for from := 0; from < len(rs); from += acceptPiece {
		todo := make([]int, 0, acceptPiece)
		for i := from; i < min(from+acceptPiece, len(rs)); i++ {
			todo = append(todo, i)
		}
		if err := e.piece(ctx, room, rs, todo, keys, out); err != nil {
			if from == 0 {
				return nil, err
			}
			for i := from; i < len(rs); i++ {
				out[i].Err = err // what was taken in before stays
			}
			break
		}
	}
	return out, nil
}

// acceptPiece is how many items of a batch share one commit.
const acceptPiece = 250

func (e *Engine) piece(ctx context.Context, room *workspace.Workspace, rs []*Request, todo []int, keys *idemKeys, out []BatchResult) error {
	ws := room.ID
	if err := e.door.enter(ctx, ws, rs[todo[0]].Purpose.Priority(), len(todo)); err != nil {
		return err
	}
	defer e.door.leave(len(todo))
	for try := 0; len(todo) > 0; try++ {
		items := make([]*store.Acceptance, 0, len(todo))
		plans := make([]*prepared, 0, len(todo))
		which := make([]int, 0, len(todo))
		people := e.together(ctx, ws, rs, todo)
		for _, i := range todo {
			p, err := e.prepare(ctx, ws, rs[i], people[i])
			if err != nil {
				if keys != nil {
					// The same key must give the same answer, also when the world
					// has changed since: a replay is found by its key alone.
					if a := e.replay(ctx, ws, keys.item(i), keys.body); a != nil {
						out[i] = *a
						continue
					}
				}
				out[i].Err = err
				continue
			}
			item, err := e.acceptance(p)
			if err != nil {
				out[i].Err = err
				continue
			}
			answer := e.answer(p, len(rs) == 1)
			if keys != nil {
				item.Idempotency, err = e.idempotency(ctx, p, keys.item(i), keys.body, answer)
				if err != nil {
					out[i].Err = err
					continue
				}
			}
			out[i].Answer = answer
			items, plans, which = append(items, item), append(plans, p), append(which, i)
		}
		if len(items) == 0 {
			break
		}
		var at []direct
		if try == 0 {
			at = e.directly(plans, items)
		}
		crashpoint.At(crashpoint.Accept)
		results, err := e.store.Accept(ctx, items)
		if err != nil {
			for n := range at {
				at[n].failed(err)
			}
			return err
		}
		crashpoint.At(crashpoint.Accepted)
		todo = todo[:0]
		for n, res := range results {
			i := which[n]
			again := e.accepted(ctx, plans[n], items[n], res, &out[i])
			if n < len(at) {
				at[n].stored(res.Verdict)
			}
			if again && try < 5 {
				todo = append(todo, i)
			} else if again {
				out[i] = BatchResult{Err: store.ErrUnavailable}
			}
		}
	}
	return nil
}

// idemKeys are the stored forms of one request's key and body.
type idemKeys struct {
	base, body [16]byte
	many       bool // a batch: each item has a key of its own
}

// item gives the key of one item. Those of a batch differ in their last four
// bytes, so that a store keeps them side by side; twelve tell requests apart.
func (k *idemKeys) item(i int) [16]byte {
	key := k.base
	if k.many {
		binary.BigEndian.PutUint32(key[12:], uint32(i))
	}
	return key
}

// accepted acts on the store's verdict; again is true when the item must be
// planned anew.
func (e *Engine) accepted(ctx context.Context, p *prepared, item *store.Acceptance, res store.AcceptResult, out *BatchResult) (again bool) {
	switch res.Verdict {
	case store.Done:
		if p.person.New != nil {
			e.o.People.Stored(p.person)
		}
		e.traceAccepted(ctx, p, out.Answer.State)
		if item.Ready {
			if p.person.New == nil {
				p.turn.r.person = p.person
			}
			e.owner.hand(item.Connector, p.turn.r)
		} else if !p.delivery.Due.IsZero() {
			e.sched.kick(p.delivery.Due)
		}
		return false
	case store.Replayed:
		*out = e.answered(ctx, p.ws, res)
		return false
	case store.Mismatch:
		*out = BatchResult{Err: &Refusal{Code: CodeIdempotency, Field: "Idempotency-Key", Detail: "this key was used for another request", Remedy: "use a new key for each request"}}
		return false
	case store.StaleContact, store.IdentityTaken:
		e.o.People.Forget(p.ws, p.person.ID)
		return true
	case store.Guarded:
		e.o.Workspaces.Stale(p.ws)
		e.o.People.Forget(p.ws, p.person.ID)
		return true
	case store.Fenced:
		return true
	}
	*out = BatchResult{Err: errors.New("engine: the store gave no verdict on an acceptance")}
	return false
}

// answered opens the answer a key was given the first time.
func (e *Engine) answered(ctx context.Context, ws message.WorkspaceID, res store.AcceptResult) BatchResult {
	raw, err := e.o.Workspaces.OpenDay(ctx, ws, res.Day, sealAnswer, res.Message, res.Answer)
	if err != nil {
		return BatchResult{Err: err}
	}
	a, err := unpackAnswer(res.Message, raw)
	if err != nil {
		return BatchResult{Err: err}
	}
	a.Replayed = true
	return BatchResult{Answer: a}
}

// replay looks a key up without storing anything.
func (e *Engine) replay(ctx context.Context, ws message.WorkspaceID, key, bodyHash [16]byte) *BatchResult {
	res, err := e.store.Recall(ctx, ws, key, bodyHash, e.now())
	if err != nil {
		return nil
	}
	var out BatchResult
	switch res.Verdict {
	case store.Replayed:
		out = e.answered(ctx, ws, res)
	case store.Mismatch:
		e.accepted(ctx, &prepared{ws: ws}, nil, res, &out)
	default:
		return nil
	}
	return &out
}

// acceptance makes the rows of a planned message.
func (e *Engine) acceptance(p *prepared) (*store.Acceptance, error) {
	d := p.delivery
	d.ID = e.o.IDs.Message(p.now)
	mv := flow.Begin(&e.policy, d, p.now)
	d.Version = 1
	sealed, err := p.body.seal(p.person, d.ID)
	if err != nil {
		return nil, err
	}
	t := &turn{e: e, now: p.now, person: p.person, r: &record{ws: p.ws, d: d, identity: p.index, sealed: sealed, body: p.body, base: d.Version}}
	p.turn = t
	item := &store.Acceptance{
		Message: &store.Message{
			ID: d.ID, Workspace: p.ws, Contact: p.person.ID, Direction: store.MT, Purpose: d.Purpose,
			Identity: p.index, CreatedAt: p.now, Sealed: sealed,
		},
		Delivery: d, Connector: flow.Connector(d), Ready: flow.Ready(d), NewContact: p.person.New,
	}
	item.Events = make([]store.Event, 0, len(mv.Events)+2) // of an attempt and a new contact
	for i := range mv.Events {
		ev := t.event(&mv.Events[i])
		ev.Version = 1
		item.Events = append(item.Events, ev)
	}
	if p.person.New != nil {
		item.Events = append(item.Events, store.Event{
			ID: message.EventID(e.o.IDs.Next(p.now)), Workspace: p.ws, Type: event.ContactCreated,
			Contact: p.person.ID, At: p.now, Data: []byte("{}"),
		})
	}
	return item, nil
}

func (e *Engine) idempotency(ctx context.Context, p *prepared, key, bodyHash [16]byte, a *Answer) (*store.Idempotency, error) {
	day, sealed, err := e.o.Workspaces.SealDay(ctx, p.ws, p.now, sealAnswer, p.delivery.ID, a.pack())
	if err != nil {
		return nil, err
	}
	return &store.Idempotency{Key: key, Body: bodyHash, Answer: sealed, Day: day, Created: p.now, Expires: p.now.Add(idempotencyLife)}, nil
}

// answer tells what was decided, with the plan if it is asked for.
func (e *Engine) answer(p *prepared, plan bool) *Answer {
	a := &Answer{ID: p.delivery.ID, Contact: p.person.ID, State: p.delivery.State, Warnings: p.warnings}
	if !plan {
		return a
	}
	a.Plan = make([]PlanStep, len(p.planned))
	for i := range p.planned {
		pl := &p.planned[i]
		s := &pl.Step
		wait, trigger := s.Next.Wait(message.StepQueued)
		a.Plan[i] = PlanStep{
			Step: i, Channel: s.Channel, Sender: s.Sender, Mode: s.Mode, Template: s.Template,
			Skipped: s.State == message.StepSkipped, Reason: s.Reason, Detail: s.Detail,
			Wait: wait, Trigger: trigger, ValidFor: s.ValidFor, LateRisk: pl.LateRisk,
			Segments: s.Segments, Encoding: p.renderings[i].Encoding,
			Estimate: pl.Price.Amount, Rule: pl.Price.Rule, Free: pl.Price.Free,
		}
	}
	return a
}

// Preview plans a request, shows each channel's rendering and the price, and
// sends and stores nothing.
func (e *Engine) Preview(ctx context.Context, ws message.WorkspaceID, r *Request) (*Preview, error) {
	p, err := e.prepare(ctx, ws, r, nil)
	if err != nil {
		return nil, err
	}
	flow.Begin(&e.policy, p.delivery, p.now)
	out := &Preview{Answer: *e.answer(p, true)}
	if p.person.New != nil {
		out.Contact = message.ContactID{}
	}
	out.WorstCase, out.Expected = out.Totals()
	for i := range out.Plan {
		s := &out.Plan[i]
		s.Rendered = &p.renderings[i]
		if c := s.Estimate.Currency; !s.Skipped && c != "" && out.WorstCase.Currency != "" && c != out.WorstCase.Currency {
			out.Warnings = append(out.Warnings, Warning{Code: "mixed_currencies", Step: i, Detail: "this step is priced in " + c + " and is not in the worst case"})
		}
	}
	return out, nil
}

// Cancel takes a message back. It fails with a Refusal (not_cancellable) once
// an attempt was made, and store.ErrNotFound.
func (e *Engine) Cancel(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (*View, error) {
	result := make(chan error, 1)
	e.tell(input{
		ws: ws, id: id,
		act: func(t *turn) {
			if t.r.ws != ws {
				t.after(func() { result <- store.ErrNotFound })
				return
			}
			if t.r.d.State == message.Cancelled {
				t.after(func() { result <- nil })
				return
			}
			ok, mv := flow.Cancel(&e.policy, t.r.d, t.now)
			t.moved(mv)
			t.after(func() {
				if ok {
					result <- nil
					return
				}
				result <- &Refusal{Code: CodeNotCancellable, Detail: "an attempt was already made: the message is " + t.r.d.State.String(), Remedy: "a message can be cancelled only before its first attempt"}
			})
		},
		gone: func() { result <- store.ErrNotFound },
	})
	select {
	case err := <-result:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return e.View(ctx, ws, id)
}

// person reads who a delivery goes to, from memory when it can.
func (t *turn) who() (*contact.Person, error) {
	if t.person == nil && t.r.person != nil {
		t.person, t.r.person = t.r.person, nil
	}
	if t.person == nil {
		p, err := t.e.o.People.ByID(t.e.ctx, t.r.ws, t.r.d.Contact)
		if err != nil {
			return nil, err
		}
		t.person = p
	}
	return t.person, nil
}
