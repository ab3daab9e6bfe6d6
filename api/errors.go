package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// The codes of errors that are not the engine's: a promise to clients.
const (
	codeMalformed   = "malformed_json"
	codeUnknown     = "unknown_field"
	codeType        = "wrong_type"
	codeTwice       = "duplicate_field"
	codeTooLarge    = "body_too_large"
	codeMedia       = "unsupported_media_type"
	codeKeyMissing  = "api_key_missing"
	codeKeyBad      = "api_key_invalid"
	codeScope       = "scope_missing"
	codeExists      = "already_exists"
	codeNoRoom      = "no_such_path"
	codeMethod      = "method_not_allowed"
	codeLimited     = "rate_limited"
	codeUnavailable = "temporarily_unavailable"
	codeStopping    = "stopping"
	codeTimeout     = "request_timeout"
	codeURL         = "url_refused"
	codeConfig      = "invalid_configuration"
	codeProvider    = "provider_refused"
	codeInternal    = "internal"
)

// An entry of the catalogue: what a code means, in words for people.
type entry struct {
	Status int
	Title  string
}

// catalogue is every code there is: the one table from code to status.
var catalogue = map[string]entry{
	engine.CodeInvalid:        {422, "The request is not valid"},
	engine.CodeBadNumber:      {422, "Not a phone number that can be reached"},
	engine.CodeBadRecipient:   {422, "The recipient is not valid"},
	engine.CodeNoContact:      {404, "There is no such contact"},
	engine.CodeErased:         {410, "The contact was erased"},
	engine.CodePurpose:        {422, "A purpose is required"},
	engine.CodeEmpty:          {422, "There is nothing to say"},
	engine.CodeTooLong:        {422, "Too long"},
	engine.CodeContent:        {422, "The content is not supported"},
	engine.CodeMedia:          {422, "There is no such file"},
	engine.CodeTemplate:       {422, "There is no such template"},
	engine.CodeTemplateState:  {422, "The template is not approved"},
	engine.CodeTemplateParams: {422, "The template's parameters do not fit"},
	engine.CodePast:           {422, "send_at is in the past"},
	engine.CodeTooFar:         {422, "send_at is too far ahead"},
	engine.CodeTrigger:        {422, "A trigger of the route can never fire"},
	engine.CodeNoSender:       {422, "There is no such sender"},
	engine.CodeNoChannel:      {422, "There is no such channel"},
	engine.CodeNoRoute:        {422, "No route leads to this person"},
	engine.CodeWindow:         {422, "The conversation window is closed"},
	engine.CodeOptedOut:       {422, "The person wants no such messages"},
	engine.CodePrice:          {422, "Every step costs more than the limit"},
	engine.CodeExpired:        {422, "The message would expire before it is sent"},
	engine.CodeIdempotency:    {422, "The idempotency key was used for another request"},
	engine.CodeNotCancellable: {409, "The message cannot be cancelled any more"},
	engine.CodeNotFound:       {404, "Not found"},
	engine.CodeBusy:           {429, "Too much work is waiting"},
	codeMalformed:             {400, "The body is not valid JSON"},
	codeUnknown:               {422, "Unknown field"},
	codeType:                  {422, "Wrong type"},
	codeTwice:                 {422, "A field is given twice"},
	codeTooLarge:              {413, "The body is too large"},
	codeMedia:                 {415, "The body is of a type that is not taken here"},
	codeKeyMissing:            {401, "An API key is needed"},
	codeKeyBad:                {401, "The API key is not in force"},
	codeScope:                 {403, "The API key lacks a scope"},
	codeExists:                {409, "It exists already"},
	codeNoRoom:                {404, "There is nothing at this path"},
	codeMethod:                {405, "This method is not allowed here"},
	codeLimited:               {429, "Too many requests"},
	codeUnavailable:           {503, "Nothing can be stored now"},
	codeStopping:              {503, "The server is stopping"},
	codeTimeout:               {408, "The request took too long to arrive"},
	codeURL:                   {422, "The address is refused"},
	codeConfig:                {422, "The configuration is not valid"},
	codeProvider:              {502, "The provider does not do as it was asked"},
	codeInternal:              {500, "Something went wrong on our side"},
}

// A Problem is an error as clients see it (RFC 9457).
type Problem struct {
	Type    string       `json:"type" doc:"Where the code is explained, relative to this server." example:"/docs#error-unknown_field"`
	Title   string       `json:"title" doc:"The code in words."`
	Status  int          `json:"status" doc:"The HTTP status."`
	Code    string       `json:"code" doc:"A stable word to act on."`
	Detail  string       `json:"detail,omitempty" doc:"What is wrong in this request. Never repeats a value that was sent."`
	Field   string       `json:"field,omitempty" doc:"Where, as a path such as route[1].next_if."`
	Remedy  string       `json:"remedy,omitempty" doc:"What to do about it."`
	Request string       `json:"request_id,omitempty" doc:"Tell it to support."`
	Errors  []FieldFault `json:"errors,omitempty" doc:"All faults, where more than one was found."`

	retryAfter int // seconds; 0 = none
}

// A FieldFault is one of several faults of a request.
type FieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	if p.retryAfter == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.retryAfter)}}
}

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(code, field, detail, remedy string) *Problem {
	e, ok := catalogue[code]
	if !ok {
		e = entry{422, "The request was refused"}
	}
	return &Problem{Type: "/docs#error-" + code, Title: e.Title, Status: e.Status, Code: code, Field: field, Detail: detail, Remedy: remedy}
}

func refused(r *engine.Refusal) *Problem {
	p := problem(r.Code, r.Field, r.Detail, r.Remedy)
	if r.Code == engine.CodeBusy {
		p.retryAfter = 1
	}
	return p
}

// problemOf shows any error. What it does not know is "internal" with an empty
// detail; the caller logs the cause.
func problemOf(err error) *Problem {
	var (
		p       *Problem
		refusal *engine.Refusal
		fault   *strict.Fault
		invalid *workspace.InvalidError
		config  *channel.ConfigError
		large   *http.MaxBytesError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &fault):
		return decoding(fault)
	case errors.As(err, &invalid):
		return problem(engine.CodeInvalid, invalid.Field, invalid.Problem, invalid.Remedy)
	case errors.As(err, &config):
		return problem(codeConfig, "config."+config.Field, config.Problem, config.Remedy)
	case errors.Is(err, store.ErrNotFound):
		return problem(engine.CodeNotFound, "", "there is none with this id in this workspace", "check the id and the API key's workspace")
	case errors.Is(err, store.ErrExists):
		return problem(codeExists, "", "another one has this name or address", "change that one, or choose another name or address")
	case errors.Is(err, contact.ErrErased):
		return problem(engine.CodeErased, "", "nothing of the contact is left", "")
	case errors.Is(err, contact.ErrProfile):
		return problem(engine.CodeTooLong, "metadata", "the profile is larger than 16 KiB", "leave something out")
	case errors.Is(err, contact.ErrNoAddress):
		return problem(engine.CodeInvalid, "identities", "an address needs a channel and an id", "give both")
	case errors.Is(err, engine.ErrBusy):
		p = problem(engine.CodeBusy, "", "the backlog is as long as it may get; nothing was stored", "try again after the time in Retry-After")
		p.retryAfter = 1
		return p
	case errors.Is(err, engine.ErrStopped):
		p = problem(codeStopping, "", "nothing was stored", "try again after the time in Retry-After, with the same Idempotency-Key")
		p.retryAfter = 1
		return p
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrUncertain):
		p = problem(codeUnavailable, "", "it is not certain that anything was stored", "try again after the time in Retry-After, with the same Idempotency-Key")
		p.retryAfter = 2
		return p
	case errors.Is(err, auth.ErrNoKey):
		return problem(codeKeyMissing, "Authorization", "no API key was given", `send "Authorization: Bearer pk_…"`)
	case errors.Is(err, auth.ErrBadKey):
		return problem(codeKeyBad, "Authorization", "the key is unknown, malformed or revoked", "make a new key and use that")
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return problem(codeTimeout, "", "the body did not arrive in time", "send it faster or in smaller pieces")
	}
	return problem(codeInternal, "", "", "try again later; if it stays, tell support the request id")
}

func tooLarge(limit int64) *Problem {
	return problem(codeTooLarge, "", "the limit here is "+strconv.FormatInt(limit, 10)+" bytes", "send less at once")
}

func decoding(f *strict.Fault) *Problem {
	switch f.Class {
	case strict.Malformed:
		return problem(codeMalformed, "", f.Want, "send one JSON value, UTF-8")
	case strict.Unknown:
		return problem(codeUnknown, f.Path, f.Want, "check its spelling and case against /docs")
	case strict.Twice:
		return problem(codeTwice, f.Path, f.Want, "give it once")
	case strict.Type:
		return problem(codeType, f.Path, f.Want, "")
	}
	return problem(engine.CodeInvalid, f.Path, f.Want, "")
}

// soften turns huma's own errors into problems. Their values are dropped: they
// would repeat what the client sent (a GDPR matter), and so are messages that
// quote it.
func soften(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if m, is := v.(*huma.ErrorModel); is {
		p, ok = softened(m), true
	}
	if !ok {
		return v, nil
	}
	_, w := humago.Unwrap(ctx)
	p.Request = w.Header().Get(headerRequest)
	return p, nil
}

func softened(m *huma.ErrorModel) *Problem {
	code := engine.CodeInvalid
	switch m.Status {
	case http.StatusBadRequest:
		code = codeMalformed
	case http.StatusRequestEntityTooLarge:
		code = codeTooLarge
	case http.StatusUnsupportedMediaType, http.StatusNotAcceptable:
		code = codeMedia
	case http.StatusRequestTimeout:
		code = codeTimeout
	case http.StatusInternalServerError:
		code = codeInternal
	}
	p := problem(code, "", "", "")
	if m.Status != http.StatusUnprocessableEntity {
		p.Status = m.Status
		return p
	}
	for _, e := range m.Errors {
		if e != nil {
			p.Errors = append(p.Errors, FieldFault{fieldPath(e.Location), harmless(e.Message)})
		}
	}
	if len(p.Errors) > 0 {
		p.Field, p.Detail = p.Errors[0].Field, p.Errors[0].Detail
		switch {
		case p.Detail == "unexpected property":
			q := problem(codeUnknown, p.Field, "is not a field of this request", "check its spelling and case against /docs")
			q.Errors, p = p.Errors, q
		case strings.HasPrefix(p.Detail, "expected ") && wrongType[p.Detail]:
			q := problem(codeType, p.Field, p.Detail, "")
			q.Errors, p = p.Errors, q
		}
	}
	if len(p.Errors) == 1 {
		p.Errors = nil
	}
	return p
}

// wrongType holds huma's messages for values of another JSON type.
var wrongType = map[string]bool{
	"expected boolean": true, "expected number": true, "expected integer": true,
	"expected string": true, "expected array": true, "expected object": true,
}

// fieldPath turns huma's location into ours.
func fieldPath(location string) string {
	for _, room := range [...]string{"body.", "query.", "path.", "header."} {
		if rest, ok := strings.CutPrefix(location, room); ok {
			location = rest
		}
	}
	out := make([]byte, 0, len(location))
	for i := 0; i < len(location) && len(out) < 200; i++ {
		c := location[i]
		if c < 0x20 || c > 0x7e || c == '<' || c == '>' || c == '"' {
			c = '?'
		}
		out = append(out, c)
	}
	if string(out) == "body" {
		return ""
	}
	return string(out)
}

// harmless lets messages through that cannot hold a value.
func harmless(message string) string {
	if strings.HasPrefix(message, "expected required property ") || strings.HasPrefix(message, "required ") {
		return message
	}
	if strings.HasPrefix(message, "expected ") && !strings.Contains(message, ": ") && !strings.Contains(message, "matched") {
		return message
	}
	if message == "unexpected property" || message == "unknown query parameter" {
		return message
	}
	if strings.Contains(message, "not a valid id: want ") {
		return message[strings.Index(message, "want "):]
	}
	return "is not valid"
}

// write answers with a problem.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	p.Request = h.Get(headerRequest)
	w.WriteHeader(p.Status)
	b, err := json.Marshal(p)
	if err == nil {
		// The client may be gone; there is nobody left to tell.
		_, _ = w.Write(append(b, '\n'))
	}
}
