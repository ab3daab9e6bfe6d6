package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Event is one thing that happened, as webhooks tell it.
type Event struct {
	ID        message.EventID     `json:"id"`
	Type      string              `json:"type" doc:"Such as message.delivered."`
	Timestamp time.Time           `json:"timestamp"`
	Workspace message.WorkspaceID `json:"workspace"`
	Data      map[string]any      `json:"data" doc:"Ids of message and contact, version, and what the type tells."`
}

// Events is a page of the log, oldest first.
type Events struct {
	Data []json.RawMessage `json:"data"`
	Next string            `json:"next" doc:"Where to read on; always given, so that you can poll."`
	More bool              `json:"more" doc:"There is more to read at once."`
}

// eventsDoc documents Events, whose data are Event.
type eventsDoc struct {
	Data []Event `json:"data"`
	Next string  `json:"next" doc:"Give it as after to read on; always given, so that you can poll."`
	More bool    `json:"more" doc:"There is more to read at once."`
}

// fetched is how many rows of the log are read at once.
const fetched = 200

func (s *Server) events() {
	query := func(name, doc string, schema *huma.Schema) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: schema}
	}
	text := &huma.Schema{Type: huma.TypeString}
	params := []*huma.Param{
		query("after", "A next, or an id of the stream. Left out: from the start of the log; \"now\": only what comes.", text),
		query("types", "Only these types, separated by commas.", text),
	}
	one, most := 1.0, float64(fetched)
	s.raw(op{
		method: http.MethodGet, path: "/v1/events", id: "listEvents", tag: "Events", summary: "Read the log", scope: auth.EventsRead, status: 200,
		doc: "Oldest first: what webhooks tell, as often as you like. Keep next and come back with it.",
	},
		nil, eventsDoc{}, append(params[:2:2], query("limit", "How many at most.", &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Maximum: &most, Default: 50})), s.listEvents)
	s.raw(op{
		method: http.MethodGet, path: "/v1/events/stream", id: "streamEvents", tag: "Events", summary: "Follow the log live", scope: auth.EventsRead, status: 200,
		doc: "Server-sent events: `event` is the type, `data` the event, `id` where to go on. A stream that broke is resumed with the Last-Event-ID header and misses nothing. Without after or Last-Event-ID it begins now.",
	},
		nil, nil, params, s.streamEvents)
	path := s.spec.OpenAPI().Paths["/v1/events/stream"]
	path.Get.Responses["200"].Content["text/event-stream"] = &huma.MediaType{Schema: text}
}

// opener opens the personal half of events.
func (s *Server) opener() event.Opener { return s.o.People }

// wanted reads the types of a query; nil = all.
func wanted(list string) (map[string]bool, *Problem) {
	if list == "" {
		return nil, nil
	}
	out := map[string]bool{}
	for t := range strings.SplitSeq(list, ",") {
		if !event.Valid(t) {
			return nil, problem(engine.CodeInvalid, "types", "holds a type of event that does not exist", "see /docs for the types")
		}
		out[t] = true
	}
	return out, nil
}

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	q := r.URL.Query()
	types, bad := wanted(q.Get("types"))
	limit := 50
	if text := q.Get("limit"); text != "" && bad == nil {
		var n int
		if json.Unmarshal([]byte(text), &n) != nil || n < 1 || n > fetched {
			bad = problem(engine.CodeInvalid, "limit", "is not a number from 1 to 200", "")
		}
		limit = n
	}
	if bad == nil {
		bad = unknownQuery(q, "after", "types", "limit")
	}
	if bad != nil {
		bad.write(w)
		return
	}
	after, err := s.start(r.Context(), q.Get("after"), "")
	if err != nil {
		s.explain(r.Context(), w.Header(), s.blame(r.Context(), who.Workspace, after, err)).write(w)
		return
	}
	out := Events{Data: []json.RawMessage{}}
	// Events that are not wanted are passed over, but not without end.
	for read := 0; read < 10*fetched && len(out.Data) < limit; {
		rows, next, err := s.o.Store.Read(r.Context(), who.Workspace, after, limit-len(out.Data))
		if err != nil {
			s.explain(r.Context(), w.Header(), s.blame(r.Context(), who.Workspace, after, err)).write(w)
			return
		}
		out.More = len(rows) > 0 && len(rows) == limit-len(out.Data)
		for _, row := range rows {
			if types != nil && !types[row.Type] {
				continue
			}
			b, err := event.Render(r.Context(), s.opener(), row)
			if err != nil {
				s.explain(r.Context(), w.Header(), err).write(w)
				return
			}
			out.Data = append(out.Data, b)
		}
		read += max(len(rows), 1)
		after = next
		if !out.More {
			break
		}
	}
	out.Next = string(after)
	writeJSON(w, http.StatusOK, out)
}

// start gives the cursor to begin at. A live stream that names none begins now.
func (s *Server) start(ctx context.Context, after, otherwise string) (store.Cursor, error) {
	if after == "" {
		after = otherwise
	}
	if after == "now" {
		return s.o.Store.Head(ctx)
	}
	if len(after) > 200 {
		return "", errCursor
	}
	return store.Cursor(after), nil
}

var errCursor = errors.New("not a cursor")

// blame tells a cursor that a client made up from a store that does not work:
// the log can be read from its start.
func (s *Server) blame(ctx context.Context, ws message.WorkspaceID, after store.Cursor, err error) error {
	if !errors.Is(err, errCursor) {
		if after == "" || ctx.Err() != nil {
			return err
		}
		if _, _, again := s.o.Store.Read(ctx, ws, "", 1); again != nil {
			return err
		}
	}
	return problem(engine.CodeInvalid, "after", "is not a place in the log", "give the next of an earlier answer")
}

func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	q := r.URL.Query()
	types, bad := wanted(q.Get("types"))
	if bad == nil {
		bad = unknownQuery(q, "after", "types")
	}
	if bad != nil {
		bad.write(w)
		return
	}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = q.Get("after")
	}
	ctx := r.Context()
	after, err := s.start(ctx, from, "now")
	if err == nil {
		// A cursor that cannot be read is told as a status, not in the stream.
		_, _, err = s.o.Store.Read(ctx, who.Workspace, after, 1)
	}
	if err != nil {
		s.explain(ctx, w.Header(), s.blame(ctx, who.Workspace, after, err)).write(w)
		return
	}
	control := http.NewResponseController(w)
	// The server's limits are for requests that end; each write has its own.
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.explain(ctx, w.Header(), err).write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s.follow(ctx, w, control, who.Workspace, after, types)
}

// follow writes events until the client goes or the server stops.
func (s *Server) follow(ctx context.Context, w http.ResponseWriter, control *http.ResponseController, ws message.WorkspaceID, after store.Cursor, types map[string]bool) {
	poll := time.NewTicker(s.o.Poll)
	defer poll.Stop()
	heart := time.NewTicker(s.o.Heartbeat)
	defer heart.Stop()
	buf := append(make([]byte, 0, 4096), "retry: 2000\n\n"...)
	for {
		changed := s.o.Store.Changed() // before reading, so that no commit is missed
		rows, next, err := s.o.Store.Read(ctx, ws, after, fetched)
		if err != nil {
			s.explain(ctx, w.Header(), err)
			return // the client comes back with the last id it saw
		}
		for _, row := range rows {
			if types == nil || types[row.Type] {
				b, err := event.Render(ctx, s.opener(), row)
				if err != nil {
					s.explain(ctx, w.Header(), err)
					return
				}
				buf = append(append(append(buf, "id: "...), row.Cursor...), "\nevent: "...)
				buf = append(append(append(buf, row.Type...), "\ndata: "...), b...)
				buf = append(buf, "\n\n"...)
			}
		}
		after = next
		if len(buf) > 0 {
			if !push(w, control, buf) {
				return
			}
			buf = buf[:0]
		}
		if len(rows) == fetched {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.quit:
			return
		case <-changed:
		case <-poll.C:
		case <-heart.C:
			buf = append(buf, ": still here\n\n"...)
		}
	}
}

// push writes and flushes. A client that does not read for ten seconds is cut
// off.
func push(w http.ResponseWriter, control *http.ResponseController, b []byte) bool {
	// A deadline long past ends the write; there is no clock to ask for a
	// coming one. Writers without deadlines do not mind.
	late := time.AfterFunc(10*time.Second, func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) })
	defer late.Stop()
	if _, err := w.Write(b); err != nil {
		return false
	}
	return control.Flush() == nil
}

// unknownQuery refuses query parameters that do not exist.
func unknownQuery(q map[string][]string, known ...string) *Problem {
next:
	for name := range q {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		return problem(codeUnknown, fieldPath(name), "is not a parameter of this path", "check its spelling against /docs")
	}
	return nil
}
