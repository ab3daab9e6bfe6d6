package api

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/event"
)

//go:embed docs.html docs.css
var pages embed.FS

// documents makes the OpenAPI document and the page for people, and serves
// both. Everything else must be registered before.
func (s *Server) documents() error {
	doc, err := s.finish()
	if err != nil {
		return err
	}
	s.doc = doc
	html, err := s.page()
	if err != nil {
		return err
	}
	serve := func(kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=300")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			// The reader may be gone; there is nobody left to tell.
			_, _ = w.Write(body)
		}
	}
	s.mux.HandleFunc("GET /openapi.json", serve("application/openapi+json", doc))
	// Who opens the address in a browser wants to read.
	s.mux.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))
	s.mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		serve("text/html; charset=utf-8", html)(w, r)
	})
	return nil
}

// What docs.html is filled with.
type (
	docPage struct {
		Title, About string
		CSS          template.CSS
		Tags         []docTag
		Schemas      []docSchema
		Errors       []docError
		Scopes       []string
		Events       []string
	}
	docTag struct {
		Name, About string
		Ops         []docOp
	}
	docOp struct {
		ID, Method, Path, Summary string
		About                     []string
		Params                    []docField
		Body                      template.HTML // link to the schema of the request
		Answers                   []docAnswer
		Example                   string
	}
	docAnswer struct {
		Status string
		Type   template.HTML
	}
	docSchema struct {
		Name, About string
		Fields      []docField
	}
	docField struct {
		Name     string
		Type     template.HTML
		Required bool
		About    string
	}
	docError struct {
		Code, Title string
		Status      int
	}
)

func (s *Server) page() ([]byte, error) {
	api := s.spec.OpenAPI()
	css, err := pages.ReadFile("docs.css")
	if err != nil {
		return nil, err
	}
	p := docPage{Title: api.Info.Title, About: api.Info.Description, CSS: template.CSS(css), Events: event.Types[:]}
	for _, scope := range auth.Scopes {
		p.Scopes = append(p.Scopes, string(scope))
	}
	for code, e := range catalogue {
		p.Errors = append(p.Errors, docError{code, e.Title, e.Status})
	}
	slices.SortFunc(p.Errors, func(a, b docError) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.Code, b.Code))
	})
	for _, t := range tags {
		p.Tags = append(p.Tags, docTag{Name: t.Name, About: t.Description, Ops: operations(api, t.Name)})
	}
	all := api.Components.Schemas.Map()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		schema := all[name]
		one := docSchema{Name: name, About: schema.Description}
		fields := make([]string, 0, len(schema.Properties))
		for field := range schema.Properties {
			fields = append(fields, field)
		}
		slices.SortFunc(fields, func(a, b string) int {
			ra, rb := slices.Contains(schema.Required, a), slices.Contains(schema.Required, b)
			if ra != rb {
				if ra {
					return -1
				}
				return 1
			}
			return cmp.Compare(a, b)
		})
		for _, field := range fields {
			prop := schema.Properties[field]
			one.Fields = append(one.Fields, docField{Name: field, Type: typeOf(prop), Required: slices.Contains(schema.Required, field), About: prop.Description})
		}
		p.Schemas = append(p.Schemas, one)
	}
	text, err := pages.ReadFile("docs.html")
	if err != nil {
		return nil, err
	}
	t, err := template.New("docs").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// operations lists those of a tag by path, then by the order people work in.
func operations(api *huma.OpenAPI, tag string) []docOp {
	var out []docOp
	for path, item := range api.Paths {
		for _, o := range [...]*huma.Operation{item.Post, item.Get, item.Put, item.Patch, item.Delete} {
			if o == nil || !slices.Contains(o.Tags, tag) {
				continue
			}
			one := docOp{ID: o.OperationID, Method: o.Method, Path: path, Summary: o.Summary, Example: example(o)}
			for part := range strings.SplitSeq(o.Description, "\n\n") {
				if part != "" {
					one.About = append(one.About, strings.ReplaceAll(part, "`", ""))
				}
			}
			for _, param := range o.Parameters {
				one.Params = append(one.Params, docField{Name: param.Name, Type: typeOf(param.Schema), Required: param.Required, About: strings.TrimSpace(param.Description + " (" + param.In + ")")})
			}
			if o.RequestBody != nil {
				for _, media := range o.RequestBody.Content {
					one.Body = typeOf(media.Schema)
				}
			}
			for status, answer := range o.Responses {
				if status == "default" {
					continue
				}
				a := docAnswer{Status: status}
				for kind, media := range answer.Content {
					if a.Type = typeOf(media.Schema); kind != "application/json" {
						a.Type = template.HTML(template.HTMLEscapeString(kind))
					}
				}
				one.Answers = append(one.Answers, a)
			}
			out = append(out, one)
		}
	}
	order := map[string]int{"POST": 0, "GET": 1, "PUT": 2, "PATCH": 3, "DELETE": 4}
	slices.SortFunc(out, func(a, b docOp) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(order[a.Method], order[b.Method]))
	})
	return out
}

// typeOf shows a schema in a few words, linked to the schema it names. All of
// it is made from our own types, names included.
func typeOf(s *huma.Schema) template.HTML {
	if s == nil {
		return ""
	}
	if s.Ref != "" {
		name := template.HTMLEscapeString(s.Ref[strings.LastIndex(s.Ref, "/")+1:])
		return template.HTML(fmt.Sprintf(`<a href="#schema-%s">%s</a>`, name, name))
	}
	var text string
	switch {
	case len(s.OneOf) > 0:
		parts := make([]string, len(s.OneOf))
		for i, one := range s.OneOf {
			parts[i] = string(typeOf(one))
		}
		return template.HTML(strings.Join(parts, " or "))
	case s.Type == huma.TypeArray:
		return "array of " + typeOf(s.Items)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, w := range s.Enum {
			words[i] = fmt.Sprint(w)
		}
		text = strings.Join(words, " | ")
	case s.Type == huma.TypeObject:
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return "map of " + typeOf(values)
		}
		text = "object"
	case s.Type == "":
		text = "any JSON"
	case s.Format != "" && s.Type == huma.TypeString:
		text = s.Format
	default:
		text = s.Type
	}
	return template.HTML(template.HTMLEscapeString(text))
}

// example gives a command to try, for operations with a body worth showing.
func example(o *huma.Operation) string {
	bodies := map[string]any{
		"sendMessage": json.RawMessage(`{
  "to": "+33612345678",
  "purpose": "utility",
  "content": {"text": "Your boarding pass is ready."},
  "route": [
    {"channel": "whatsapp", "next_if": {"not_delivered_in": "60s"}},
    {"channel": "sms"}
  ]
}`),
		"createWebhook": json.RawMessage(`{"url": "https://example.com/parley", "types": ["message.delivered", "message.received"]}`),
	}
	body, ok := bodies[o.OperationID].(json.RawMessage)
	if !ok {
		return ""
	}
	return "curl $PARLEY" + o.Path + " -H \"Authorization: Bearer $KEY\" \\\n  -H \"Content-Type: application/json\" -d '" + string(body) + "'"
}
