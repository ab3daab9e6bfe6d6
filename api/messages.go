package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Accepted is what a 202 tells about one message.
type Accepted struct {
	ID       message.MessageID `json:"id" doc:"The message."`
	Contact  message.ContactID `json:"contact" doc:"Who it goes to; made on the way when the person was new."`
	State    message.State     `json:"state" doc:"scheduled or queued."`
	Plan     []PlanStep        `json:"plan" doc:"The steps considered, in order."`
	Warnings []Warning         `json:"warnings" doc:"What will not be as you may think."`

	WorstCase *Amount `json:"worst_case" doc:"The sum of all steps that may be charged; null when a rate is not known."`
	Expected  *Amount `json:"expected" doc:"What it costs when the first step does the job; null when its rate is not known."`
}

// A PlanStep is one step of the plan, taken or left out, and why.
type PlanStep struct {
	Step     int              `json:"step" doc:"Its place in the route, from 0."`
	Channel  message.Channel  `json:"channel"`
	Sender   message.SenderID `json:"sender,omitzero"`
	Mode     message.Mode     `json:"mode,omitempty" doc:"freeform or template."`
	Template string           `json:"template,omitempty" doc:"Name and language of the chosen variant."`
	Skipped  bool             `json:"skipped,omitempty" doc:"It will not be tried; reason says why."`
	Reason   string           `json:"reason" doc:"A stable word."`
	Detail   string           `json:"detail,omitempty" doc:"The rule or datum behind the reason."`
	Wait     Duration         `json:"wait,omitempty" doc:"How long until the next step, unless it works."`
	Trigger  string           `json:"trigger,omitempty" doc:"Which trigger of next_if that is."`
	ValidFor Duration         `json:"valid_for,omitempty" doc:"How long the provider keeps trying."`
	LateRisk bool             `json:"late_risk,omitempty" doc:"It may still arrive after the next step went out."`
	Segments int              `json:"segments,omitempty" doc:"Billable parts."`
	Encoding string           `json:"encoding,omitempty" doc:"gsm7 or ucs2, for SMS."`
	Estimate *Amount          `json:"estimate" doc:"What it would cost; null when no rate is known."`
	Rule     string           `json:"rule,omitempty" doc:"Rate card and row of the estimate."`
	Free     bool             `json:"free,omitempty"`
	Rendered *Rendered        `json:"rendered,omitempty" doc:"As the channel will show it; previews only."`
}

// A Warning tells of something that will not be as the client may think.
type Warning struct {
	Code   string `json:"code" doc:"A stable word."`
	Step   *int   `json:"step,omitempty" doc:"The step it is about; left out for the whole message."`
	Detail string `json:"detail"`
}

// Rendered is content as one channel will show it.
type Rendered struct {
	Text     string          `json:"text" doc:"What a person would read."`
	Content  message.Content `json:"content" doc:"The content fitted to the channel."`
	Encoding string          `json:"encoding,omitempty"`
	Segments int             `json:"segments"`
	Changes  []Change        `json:"changes" doc:"What was adapted or left out."`
	Choices  []Choice        `json:"choices,omitempty" doc:"Numbered choices whose answer comes back as a payload."`
	Saving   *Saving         `json:"saving,omitempty" doc:"What content.transliterate would save; left out where it saves nothing."`
}

// A Saving is the same text in fewer billable parts, for the price of some
// characters.
type Saving struct {
	Text     string `json:"text"`
	Encoding string `json:"encoding"`
	Segments int    `json:"segments"`
	Detail   string `json:"detail" doc:"Which character costs, and how to save."`
}

// A Change is one adaptation of content to a channel.
type Change struct {
	Field  string `json:"field"`
	Level  string `json:"level" doc:"full, partial, dropped or refused."`
	Detail string `json:"detail"`
}

// A Choice maps a typed answer to the payload of a button.
type Choice struct {
	Key     string `json:"key" doc:"What the person types."`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// Preview is what would happen to a message, with nothing sent.
type Preview struct {
	State     message.State `json:"state"`
	Plan      []PlanStep    `json:"plan"`
	Warnings  []Warning     `json:"warnings"`
	WorstCase *Amount       `json:"worst_case" doc:"The sum of all steps that may be charged; null when a rate is not known."`
	Expected  *Amount       `json:"expected" doc:"What it costs when the first step does the job; null when its rate is not known."`
}

// BatchAnswer is the verdict on every item of a batch.
type BatchAnswer struct {
	Accepted int            `json:"accepted"`
	Refused  int            `json:"refused"`
	Data     []BatchVerdict `json:"data" doc:"In the order of the items."`
}

// A BatchVerdict is what became of one item: an id, or an error.
type BatchVerdict struct {
	Index    int               `json:"index"`
	ID       message.MessageID `json:"id,omitzero"`
	Contact  message.ContactID `json:"contact,omitzero"`
	State    string            `json:"state,omitempty"`
	Warnings []Warning         `json:"warnings,omitempty"`
	Error    *Problem          `json:"error,omitempty"`
}

type listMessages struct {
	Limit     int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many at most."`
	After     string `query:"after" doc:"The next of the page before."`
	Contact   string `query:"contact" doc:"Only with this contact."`
	Phone     string `query:"phone" doc:"Only with the person of this number." maxLength:"64"`
	State     string `query:"state" enum:"scheduled,queued,sending,sent,delivered,read,failed,expired,cancelled,unconfirmed" doc:"Only in this state."`
	Direction string `query:"direction" enum:"outbound,inbound" doc:"Only what you sent, or what was sent to you."`
	Since     string `query:"since" doc:"Only made at or after this time, RFC 3339."`
	Until     string `query:"until" doc:"Only made before this time, RFC 3339."`
}

type oneMessage struct {
	ID string `path:"id" doc:"The message's id." example:"msg_01jd8x0k3m5q7s9v1x3z5b7d9f"`
}

// ReadRequest says what to show besides that a message was read.
type ReadRequest struct {
	Typing bool `json:"typing,omitempty" doc:"Also show that an answer is coming: for at most 25 seconds on WhatsApp."`
}

type markRead struct {
	ID   string `path:"id" doc:"The message's id." example:"msg_01jd8x0k3m5q7s9v1x3z5b7d9f"`
	Body *ReadRequest
}

func (s *Server) messages() {
	idempotency := []*huma.Param{{
		Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
		Description: "Up to 255 printable characters. The same key gives the same answer for 24 hours; another body under it is a 422.",
	}}
	s.raw(op{
		method: http.MethodPost, path: "/v1/messages", id: "sendMessage", tag: "Messages", summary: "Send a message", scope: auth.MessagesWrite, status: 202,
		doc: "Takes a message in. When the answer is 202 it is durable: it will be sent, or its failure told. A 503 means try again with the same Idempotency-Key.",
	}, SendRequest{}, Accepted{}, idempotency, s.sendMessage)
	s.raw(op{
		method: http.MethodPost, path: "/v1/messages/batch", id: "sendBatch", tag: "Messages", summary: "Send to many", scope: auth.MessagesWrite, status: 202,
		doc: "Takes up to 10,000 messages with shared content and per-recipient parameters. Every item gets its own verdict; a bad one spoils no other. The body may have 16 MiB.",
	}, BatchRequest{}, BatchAnswer{}, idempotency, s.sendBatch)
	s.raw(op{
		method: http.MethodPost, path: "/v1/messages/preview", id: "previewMessage", tag: "Messages", summary: "See what would happen", scope: auth.MessagesRead, status: 200,
		doc: "Plans a message without sending it: which channels, what each would show, and the worst-case price.",
	}, SendRequest{}, Preview{}, nil, s.previewMessage)
	handle(s, op{
		method: http.MethodGet, path: "/v1/messages/{id}", id: "getMessage", tag: "Messages", summary: "The whole story of a message", scope: auth.MessagesRead,
		doc: "Every step considered, every attempt made, what the provider said and when, why each choice was made, and what it cost.",
	}, func(ctx context.Context, who caller, in *oneMessage) (*Message, error) {
		id, err := pathID[message.MessageID](in.ID)
		if err != nil {
			return nil, err
		}
		v, err := s.o.Engine.View(ctx, who.Workspace, id)
		return shown(v, err)
	})
	handle(s, op{
		method: http.MethodPost, path: "/v1/messages/{id}/cancel", id: "cancelMessage", tag: "Messages", summary: "Take a message back", scope: auth.MessagesWrite,
		doc: "Succeeds only before the first attempt; after that it is a 409.",
	}, func(ctx context.Context, who caller, in *oneMessage) (*Message, error) {
		id, err := pathID[message.MessageID](in.ID)
		if err != nil {
			return nil, err
		}
		v, err := s.o.Engine.Cancel(ctx, who.Workspace, id)
		return shown(v, err)
	})
	handleNone(s, op{
		method: http.MethodPost, path: "/v1/messages/{id}/read", id: "markMessageRead", tag: "Messages", summary: "Show that a message was read", scope: auth.MessagesWrite,
		doc: "For a message a person sent: they see that it, and all they wrote before, was read. One call to the provider, which changes nothing here and may be repeated. Channels without read receipts answer 422.",
	}, func(ctx context.Context, who caller, in *markRead) error {
		id, err := pathID[message.MessageID](in.ID)
		if err != nil {
			return err
		}
		return s.o.Engine.MarkRead(ctx, who.Workspace, id, in.Body != nil && in.Body.Typing)
	})
	handle(s, op{
		method: http.MethodGet, path: "/v1/messages", id: "listMessages", tag: "Messages", summary: "List messages", scope: auth.MessagesRead,
		doc: "Newest first, both ways.",
	}, s.listMessages)
}

func shown(v *engine.View, err error) (*Message, error) {
	if err != nil {
		return nil, err
	}
	return view(v), nil
}

func (s *Server) listMessages(ctx context.Context, who caller, in *listMessages) (*Page[Message], error) {
	f := store.Filter{Limit: in.Limit + 1}
	var err error
	if f.Contact, err = queryID[message.ContactID]("contact", in.Contact); err != nil {
		return nil, err
	}
	if in.Phone != "" {
		if in.Contact != "" {
			return nil, problem(engine.CodeInvalid, "phone", "is given beside contact", "give one of them")
		}
		p, err := s.byPhone(ctx, who, in.Phone)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return &Page[Message]{Data: []*Message{}}, nil
		}
		f.Contact = p.ID
	}
	if f.Before, err = queryID[message.MessageID]("after", in.After); err != nil {
		return nil, err
	}
	if in.State != "" {
		if err := f.State.UnmarshalText([]byte(in.State)); err != nil {
			return nil, problem(engine.CodeInvalid, "state", "is not a state", "")
		}
	}
	switch in.Direction {
	case "outbound":
		f.Direction = store.MT
	case "inbound":
		f.Direction = store.MO
	}
	if f.Since, err = queryTime("since", in.Since); err != nil {
		return nil, err
	}
	if f.Until, err = queryTime("until", in.Until); err != nil {
		return nil, err
	}
	views, err := s.o.Engine.List(ctx, who.Workspace, f)
	if err != nil {
		return nil, err
	}
	return page(views, in.Limit, view, func(m *Message) string { return m.ID.String() }), nil
}

// take reads and decodes a request body; what is wrong with it was answered
// when ok is false.
func take[T any](s *Server, w http.ResponseWriter, r *http.Request, d *strict.Decoder[T], limit int64) (in T, body []byte, ok bool) {
	body, err := readBody(w, r, limit)
	if err != nil {
		s.explain(r.Context(), w.Header(), err).write(w)
		return in, nil, false
	}
	if err := d.Decode(body, &in); err != nil {
		asked(err).write(w)
		return in, nil, false
	}
	return in, body, true
}

func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	in, body, ok := take(s, w, r, s.send, maxBody)
	if !ok {
		return
	}
	idem, bad := idempotency(r.Header, body)
	if bad != nil {
		bad.write(w)
		return
	}
	req, fault := in.request(path{})
	if fault != nil {
		refused(fault).write(w)
		return
	}
	answer, err := s.o.Engine.Accept(r.Context(), who.Workspace, req, idem)
	if err != nil {
		s.explain(r.Context(), w.Header(), err).write(w)
		return
	}
	if answer.Replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	s.writeAccepted(w, func(b []byte) []byte { return appendAccepted(b, answer) })
}

func (s *Server) previewMessage(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	in, _, ok := take(s, w, r, s.send, maxBody)
	if !ok {
		return
	}
	req, fault := in.request(path{})
	if fault != nil {
		refused(fault).write(w)
		return
	}
	p, err := s.o.Engine.Preview(r.Context(), who.Workspace, req)
	if err != nil {
		s.explain(r.Context(), w.Header(), err).write(w)
		return
	}
	writeJSON(w, http.StatusOK, &Preview{
		State: p.State, Plan: planSteps(p.Plan), Warnings: warnings(p.Warnings),
		WorstCase: amount(p.WorstCase), Expected: amount(p.Expected),
	})
}

func (s *Server) sendBatch(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	in, body, ok := take(s, w, r, s.batch, maxBatchBody)
	if !ok {
		return
	}
	idem, bad := idempotency(r.Header, body)
	if bad != nil {
		bad.write(w)
		return
	}
	requests, faults, all := in.requests()
	if all != nil {
		refused(all).write(w)
		return
	}
	s.meter.charge(who.Workspace, len(requests)-1)
	answer, err := s.acceptBatch(r.Context(), who.Workspace, requests, faults, idem)
	if err != nil {
		s.explain(r.Context(), w.Header(), err).write(w)
		return
	}
	s.writeAccepted(w, func(b []byte) []byte { return appendBatch(b, answer) })
}

// acceptBatch hands the good items to the engine and puts the verdicts of all
// in order.
func (s *Server) acceptBatch(ctx context.Context, ws message.WorkspaceID, requests []*engine.Request, faults []*engine.Refusal, idem engine.Idempotency) (*BatchAnswer, error) {
	good := make([]*engine.Request, 0, len(requests))
	for i := range requests {
		if faults[i] == nil {
			good = append(good, requests[i])
		}
	}
	var results []engine.BatchResult
	if len(good) > 0 {
		var err error
		if results, err = s.o.Engine.AcceptBatch(ctx, ws, good, idem); err != nil {
			return nil, err
		}
		if len(results) != len(good) {
			return nil, errors.New("the engine answered another number of messages than given")
		}
	}
	out := &BatchAnswer{Data: make([]BatchVerdict, len(requests))}
	next := 0
	for i := range requests {
		v := &out.Data[i]
		v.Index = i
		if faults[i] != nil {
			v.Error = refused(faults[i])
			out.Refused++
			continue
		}
		res := results[next]
		next++
		if res.Err != nil {
			v.Error = s.explain(ctx, http.Header{}, res.Err)
			prefix := "messages[" + strconv.Itoa(i) + "]"
			var refusal *engine.Refusal
			if errors.As(res.Err, &refusal) && refusal.Field != "" && !strings.HasPrefix(refusal.Field, "Idempotency") {
				v.Error.Field = prefix + "." + refusal.Field
			}
			out.Refused++
			continue
		}
		out.Accepted++
		v.ID, v.Contact, v.State = res.Answer.ID, res.Answer.Contact, res.Answer.State.String()
		if len(res.Answer.Warnings) > 0 {
			v.Warnings = warnings(res.Answer.Warnings)
		}
	}
	return out, nil
}
