package callback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

type fake struct {
	answer channel.Answer
	err    error
	got    *channel.Callback
	id     message.ConnectorID
	ctx    error
}

func (f *fake) Callback(ctx context.Context, id message.ConnectorID, c *channel.Callback) (channel.Answer, error) {
	f.id, f.got, f.ctx = id, c, ctx.Err()
	return f.answer, f.err
}

const canary = "+33699999999 secret text"

func TestHandler(t *testing.T) {
	id := message.ConnectorID{1, 2, 3}
	good := "/callbacks/" + id.String()
	tests := []struct {
		name   string
		method string
		path   string
		body   io.Reader
		fake   fake
		status int
		answer string
	}{
		{"handshake", "GET", good + "?hub.challenge=42", nil, fake{answer: channel.Answer{Status: 200, Body: "42"}}, 200, "42"},
		{"event", "POST", good, strings.NewReader(canary), fake{answer: channel.Answer{Status: 200, Keep: true}}, 200, ""},
		{"status left out", "POST", good, strings.NewReader(canary), fake{}, 200, ""},
		{"bad signature", "POST", good, strings.NewReader(canary), fake{answer: channel.Answer{Status: 401}}, 401, ""},
		{"bad signature with an error", "POST", good, strings.NewReader(canary), fake{answer: channel.Answer{Status: 401}, err: errors.New("no " + canary)}, 401, ""},
		{"refused", "POST", good, strings.NewReader(canary), fake{err: &message.Fault{Kind: message.Refused, Certain: true}}, 403, ""},
		{"no such connector", "POST", good, strings.NewReader(canary), fake{err: store.ErrNotFound}, 404, ""},
		{"not an id", "POST", "/callbacks/nothing", strings.NewReader(canary), fake{}, 404, ""},
		{"another kind of id", "POST", "/callbacks/" + message.SenderID(id).String(), strings.NewReader(canary), fake{}, 404, ""},
		{"store down", "POST", good, strings.NewReader(canary), fake{err: store.ErrUnavailable}, 503, ""},
		{"uncertain", "POST", good, strings.NewReader(canary), fake{err: store.ErrUncertain}, 503, ""},
		{"stopping", "POST", good, strings.NewReader(canary), fake{err: engine.ErrStopped}, 503, ""},
		{"unknown error", "POST", good, strings.NewReader(canary), fake{err: errors.New("cannot read " + canary)}, 500, ""},
		{"too large", "POST", good, bytes.NewReader(make([]byte, MaxBody+1)), fake{}, 413, ""},
		{"too large, length not told", "POST", good, io.MultiReader(bytes.NewReader(make([]byte, MaxBody+1))), fake{}, 413, ""},
		{"largest", "POST", good, bytes.NewReader(make([]byte, MaxBody)), fake{answer: channel.Answer{Status: 200}}, 200, ""},
		{"method", "PUT", good, nil, fake{}, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			mux := http.NewServeMux()
			mux.Handle("/callbacks/{connector}", Handler(&tt.fake, slog.New(slog.NewTextHandler(&logged, nil))))
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, tt.body))
			if w.Code != tt.status || w.Body.String() != tt.answer {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.answer)
			}
			if tt.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			for _, secret := range []string{"33699999999", "secret text"} {
				if strings.Contains(logged.String(), secret) || strings.Contains(w.Body.String(), secret) {
					t.Errorf("the body is repeated: %s", logged.String())
				}
			}
		})
	}
}

// What a provider handed over is kept although it hung up.
func TestHangUp(t *testing.T) {
	f := fake{answer: channel.Answer{Status: 200}}
	mux := http.NewServeMux()
	mux.Handle("/callbacks/{connector}", Handler(&f, slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest("POST", "/callbacks/"+message.ConnectorID{7}.String()+"?a=b", strings.NewReader("raw"))
	r.Header.Set("X-Signature", "s")
	cancel()
	mux.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	if f.got == nil || f.ctx != nil || string(f.got.Body) != "raw" || f.got.Query.Get("a") != "b" || f.got.Header.Get("X-Signature") != "s" || f.got.Method != "POST" {
		t.Errorf("the engine got %+v (%v)", f.got, f.ctx)
	}
}
