package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/parley-messaging/parley/engine"
)

// readBody reads a JSON body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if ct := r.Header.Get("Content-Type"); ct != "" && ct != "application/json" {
		if kind, _, err := mime.ParseMediaType(ct); err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
			return nil, problem(codeMedia, "Content-Type", "is not a kind of JSON", `send "Content-Type: application/json"`)
		}
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return nil, problem(codeMalformed, "", "the body is shorter than Content-Length says", "send all of it")
		}
		return nil, err
	}
	return body, nil
}

// idempotency is what the header asks for a request's body.
func idempotency(h http.Header, body []byte) (engine.Idempotency, *Problem) {
	key, bad := idempotencyKey(h)
	if bad != nil || key == "" {
		return engine.Idempotency{}, bad
	}
	return engine.Idempotency{Key: key, Body: body}, nil
}

// idempotencyKey reads the header, with or without the quotes of the IETF
// draft; "" = none given.
func idempotencyKey(h http.Header) (string, *Problem) {
	given := h["Idempotency-Key"]
	if len(given) == 0 {
		return "", nil
	}
	bad := func(detail string) (string, *Problem) {
		p := problem(engine.CodeInvalid, "Idempotency-Key", detail, "send one key of 1 to 255 printable ASCII characters, such as a UUID")
		p.Status = http.StatusBadRequest
		return "", p
	}
	if len(given) > 1 {
		return bad("is given more than once")
	}
	key := strings.TrimSpace(given[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if key == "" {
		return bad("is empty")
	}
	if len(key) > 255 {
		return bad("is longer than 255 characters")
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] > 0x7e {
			return bad("holds a character that is not printable ASCII")
		}
	}
	return key, nil
}

// encode is v as JSON in a line of its own.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := encode(v)
	if err != nil {
		problem(codeInternal, "", "", "").write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone; there is nobody left to tell.
	_, _ = w.Write(b)
}

// answerKept is the largest memory of an answer that is used again.
const answerKept = 64 << 10

// writeAccepted answers 202 with what appendTo appends.
func (s *Server) writeAccepted(w http.ResponseWriter, appendTo func([]byte) []byte) {
	out, _ := s.answers.Get().(*[]byte)
	if out == nil {
		out = new([]byte)
	}
	*out = appendTo((*out)[:0])
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusAccepted)
	// The client may be gone; the messages are kept all the same.
	_, _ = w.Write(*out)
	if cap(*out) <= answerKept {
		s.answers.Put(out)
	}
}

// queryTime reads a time of the query; "" is none.
func queryTime(field, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, problem(engine.CodeInvalid, field, "is not a time", `write RFC 3339, such as "2026-11-22T10:00:00Z"`)
	}
	return t.UTC(), nil
}
