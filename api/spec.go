package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/message"
)

// An op describes one operation: where it is, what it is called in the
// documents and SDKs, and who may call it.
type op struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	doc          string
	scope        auth.Scope
	status       int // 0 = 200, or 204 without a body
	limit        int64
}

// caller is who calls and under which request id; it rides in the context from
// the gate to the handler, through huma, and no further.
type caller struct {
	auth.Principal
	header http.Header // of the answer: the request id stands there
}

type callerKey struct{}

// none is the input of operations without parameters.
type none struct{}

type output[T any] struct{ Body *T }

// newSpec sets up huma: strict JSON in, no links in answers, no pages of its
// own (they load scripts from elsewhere).
func newSpec(s *Server) huma.API {
	jsonFormat := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: json.Unmarshal}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Parley", Version: "1",
				Description: "One door to every channel a person uses. Send with POST /v1/messages; follow with webhooks or GET /v1/events.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"key": {Type: "http", Scheme: "bearer", Description: "An API key: Authorization: Bearer pk_…"},
				},
			},
			Security: []map[string][]string{{"key": {}}},
			Tags:     tags,
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{soften},
	}
	if s.o.Public != "" {
		config.Servers = []*huma.Server{{URL: s.o.Public}}
	}
	return humago.New(gated{s}, config)
}

// tags is the order of the documents.
var tags = []*huma.Tag{
	{Name: "Messages", Description: "Say something to somebody, on whatever channel reaches them."},
	{Name: "Files", Description: "Attachments that Parley keeps, sealed, and gives to each channel as it takes them."},
	{Name: "Contacts", Description: "People, their addresses, their wishes, and their rights."},
	{Name: "Conversations", Description: "The thread with a contact across channels, and the windows in which free-form text is allowed."},
	{Name: "Channels", Description: "Your own ends (senders), the accounts that carry them (connectors), and templates."},
	{Name: "Events", Description: "What happened: webhooks, the log, and the live stream."},
	{Name: "Workspace", Description: "Settings, API keys and costs."},
}

// schemaName names schemas by their Go type, without generics' brackets. A
// template or card as it was filled is another type than the one requests write.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[message.TemplateUse]() || t == reflect.TypeFor[*message.TemplateUse]() {
		return "FilledTemplate"
	}
	if t == reflect.TypeFor[message.TemplateCard]() || t == reflect.TypeFor[*message.TemplateCard]() {
		return "FilledTemplateCard"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// named gives a reference to the schema of T.
func named[T any](reg huma.Registry, hint string) *huma.Schema {
	return reg.Schema(reflect.TypeFor[T](), true, hint)
}

// gated is the mux as huma sees it: what it registers stands behind the gate.
type gated struct{ s *Server }

// ServeHTTP implements humago.Mux.
func (g gated) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.s.mux.ServeHTTP(w, r) }

// HandleFunc implements humago.Mux.
func (g gated) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	scope := g.s.scopes[pattern]
	g.s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, p := g.s.enter(w, r, scope)
		if p != nil {
			p.write(w)
			return
		}
		h(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{who, w.Header()})))
	})
}

func (o op) operation(reg huma.Registry) huma.Operation {
	description := o.doc
	if o.scope != auth.Any {
		description = strings.TrimSpace(description + "\n\nNeeds the scope `" + string(o.scope) + "`.")
	}
	return huma.Operation{
		Method: o.method, Path: o.path, OperationID: o.id, Tags: []string{o.tag}, Summary: o.summary, Description: description,
		DefaultStatus: o.status, MaxBodyBytes: o.limit,
		Responses: map[string]*huma.Response{"default": {
			Description: "Why it did not work",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: named[Problem](reg, "Problem")}},
		}},
	}
}

// handle registers an operation with an answer.
func handle[I, O any](s *Server, o op, f func(context.Context, caller, *I) (*O, error)) {
	s.scopes[o.method+" "+o.path] = o.scope
	huma.Register(s.spec, o.operation(s.spec.OpenAPI().Components.Schemas), func(ctx context.Context, in *I) (*output[O], error) {
		who, _ := ctx.Value(callerKey{}).(caller)
		out, err := f(ctx, who, in)
		if err != nil {
			return nil, s.explain(ctx, who.header, err)
		}
		return &output[O]{out}, nil
	})
}

// handleNone registers an operation that answers 204.
func handleNone[I any](s *Server, o op, f func(context.Context, caller, *I) error) {
	s.scopes[o.method+" "+o.path] = o.scope
	huma.Register(s.spec, o.operation(s.spec.OpenAPI().Components.Schemas), func(ctx context.Context, in *I) (*struct{}, error) {
		who, _ := ctx.Value(callerKey{}).(caller)
		if err := f(ctx, who, in); err != nil {
			return nil, s.explain(ctx, who.header, err)
		}
		return &struct{}{}, nil
	})
}

// raw registers an operation whose handler reads and writes HTTP itself, and
// documents it like the others. in and out are zero values of the bodies; nil
// where there is none.
func (s *Server) raw(o op, in, out any, params []*huma.Param, f func(http.ResponseWriter, *http.Request, auth.Principal)) {
	s.mux.HandleFunc(o.method+" "+o.path, func(w http.ResponseWriter, r *http.Request) {
		who, p := s.enter(w, r, o.scope)
		if p != nil {
			p.write(w)
			return
		}
		f(w, r, who)
	})
	reg := s.spec.OpenAPI().Components.Schemas
	doc := o.operation(reg)
	doc.Parameters = params
	if in != nil {
		doc.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: reg.Schema(reflect.TypeOf(in), true, "")},
		}}
	}
	content := map[string]*huma.MediaType{}
	if out != nil {
		content["application/json"] = &huma.MediaType{Schema: reg.Schema(reflect.TypeOf(out), true, "")}
	}
	doc.Responses[statusText(o.status)] = &huma.Response{Description: http.StatusText(max(o.status, 200)), Content: content}
	s.spec.OpenAPI().AddOperation(&doc)
}

func statusText(status int) string {
	switch status {
	case http.StatusAccepted:
		return "202"
	case http.StatusCreated:
		return "201"
	}
	return "200"
}

// words are fields whose values are a closed list, by schema and field.
var words = map[string][]any{
	"SendRequest.purpose":  purposes(),
	"BatchRequest.purpose": purposes(),
	"Media.type":           {message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker},
	"Action.type":          {message.Reply, message.URL, message.Dial},
	"ButtonParameter.type": {"quick_reply", "url", "copy_code", "flow"},
}

func purposes() []any {
	out := make([]any, 0, len(message.Purposes))
	for _, p := range message.Purposes {
		out = append(out, p)
	}
	return out
}

// finish completes the document: closed lists, arrays that are never null, no
// schema of huma's own errors. It gives the text that is served and committed.
func (s *Server) finish() ([]byte, error) {
	all := s.spec.OpenAPI().Components.Schemas.Map()
	delete(all, "ErrorModel")
	delete(all, "ErrorDetail")
	for name, schema := range all {
		never(schema)
		for field, prop := range schema.Properties {
			if list := words[name+"."+field]; list != nil {
				prop.Enum = list
			}
		}
	}
	b, err := json.Marshal(s.spec.OpenAPI())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", " "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// never takes "or null" from arrays.
func never(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	never(s.Items)
	for _, p := range s.Properties {
		never(p)
	}
	for _, p := range s.OneOf {
		never(p)
	}
	if p, ok := s.AdditionalProperties.(*huma.Schema); ok {
		never(p)
	}
}
