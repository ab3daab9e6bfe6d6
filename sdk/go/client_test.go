package parley

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// server answers call after call from a list and notes what it was asked.
type server struct {
	answers []answer
	keys    []string
	bodies  []string
	waits   []time.Duration
}

type answer struct {
	status int
	body   string
	retry  string
	drop   bool
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.keys, s.bodies = append(s.keys, r.Header.Get("Idempotency-Key")), append(s.bodies, string(b))
	a := s.answers[min(len(s.keys), len(s.answers))-1]
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	if a.retry != "" {
		w.Header().Set("Retry-After", a.retry)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func start(t *testing.T, answers ...answer) (*server, *Client) {
	t.Helper()
	s := &server{answers: answers}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	c := New(web.URL+"/", "pk_x")
	c.wait = func(_ context.Context, d time.Duration) error { s.waits = append(s.waits, d); return nil }
	return s, c
}

var hello = &SendRequest{To: Phone("+331"), Purpose: Utility, Content: &Content{Text: "hi"}}

func TestRetries(t *testing.T) {
	busy := `{"code":"busy","status":429,"detail":"d"}`
	tests := []struct {
		name    string
		answers []answer
		send    bool // Messages.Send, else Contacts.Create
		calls   int
		code    string
	}{
		{"at once", []answer{{status: 202, body: `{"id":"m"}`}}, true, 1, ""},
		{"503 then good", []answer{{status: 503, body: busy}, {status: 202, body: `{"id":"m"}`}}, true, 2, ""},
		{"connection lost", []answer{{drop: true}, {status: 202, body: `{"id":"m"}`}}, true, 2, ""},
		{"never good", []answer{{status: 500, body: `{"code":"internal"}`}}, true, 5, "internal"},
		{"bad request", []answer{{status: 422, body: `{"code":"invalid_request","field":"to"}`}}, true, 1, "invalid_request"},
		{"not idempotent, 503", []answer{{status: 503, body: `{"code":"temporarily_unavailable"}`}}, false, 1, "temporarily_unavailable"},
		{"not idempotent, 429", []answer{{status: 429, body: busy}, {status: 201, body: `{"id":"c"}`}}, false, 2, ""},
		{"a proxy's page", []answer{{status: 404, body: "<html>"}}, true, 1, "http_404"},
		{"an hour is too long", []answer{{status: 503, body: busy, retry: "3600"}}, true, 1, "busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := start(t, tt.answers...)
			var err error
			if tt.send {
				_, err = c.Messages.Send(t.Context(), hello)
			} else {
				_, err = c.Contacts.Create(t.Context(), &ContactRequest{})
			}
			if len(s.keys) != tt.calls || tt.code == "" && err != nil || tt.code != "" && !IsCode(err, tt.code) {
				t.Errorf("%d calls, %v", len(s.keys), err)
			}
			for _, key := range s.keys {
				if tt.send && (key == "" || key != s.keys[0]) {
					t.Errorf("keys %q: a repeated call must carry the same", s.keys)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	s, c := start(t, answer{status: 429, body: `{"code":"rate_limited"}`, retry: "7"}, answer{status: 202, body: `{}`})
	if _, err := c.Messages.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	if len(s.waits) != 1 || s.waits[0] < 7*time.Second || s.waits[0] > 8*time.Second {
		t.Errorf("waited %v", s.waits)
	}
}

func TestWire(t *testing.T) {
	tests := []struct {
		give any
		want string
	}{
		{hello, `{"to":{"phone":"+331"},"purpose":"utility","content":{"text":"hi"}}`},
		{&SendRequest{To: ContactID("ct_1"), Route: AutoRoute(), Expires: Duration(48 * time.Hour)}, `{"to":{"contact":"ct_1"},"purpose":"","route":"auto","expires_in":"2d"}`},
		{Route{{Channel: SMS, Next: &NextIf{NotRead: Duration(90 * time.Second)}}}, `[{"channel":"sms","next_if":{"not_read_in":"1m30s"}}]`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.give)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %v, want %s", got, err, tt.want)
		}
	}
}

// The example of the Standard Webhooks libraries (their test suites all hold
// it): secret, id, timestamp, body, signature.
func TestVerifyWebhook(t *testing.T) {
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		body   = `{"test": 2432232314}`
		good   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	at := time.Unix(1614265330, 0)
	header := func(id, stamp, signature string) http.Header {
		h := http.Header{}
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", stamp)
		h.Set("webhook-signature", signature)
		return h
	}
	tests := []struct {
		name   string
		secret string
		header http.Header
		body   string
		now    time.Time
		want   error
	}{
		{"good", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", good), body, at, nil},
		{"second signature", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,AAAA v2,x "+good), body, at, nil},
		{"another body", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", good), body + " ", at, ErrSignature},
		{"another id", secret, header("msg_x", "1614265330", good), body, at, ErrSignature},
		{"another time", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265331", good), body, at, ErrSignature},
		{"no signature", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", ""), body, at, ErrSignature},
		{"no headers", secret, http.Header{}, body, at, ErrSignature},
		{"old", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", good), body, at.Add(Tolerance + time.Second), ErrTimestamp},
		{"of the future", secret, header("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", good), body, at.Add(-Tolerance - time.Second), ErrTimestamp},
		{"no secret", "MfKQ", header("a", "1", good), body, at, ErrSecret},
	}
	for _, tt := range tests {
		if err := VerifyWebhookAt(tt.secret, tt.header, []byte(tt.body), tt.now); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A stream goes on where it broke; an error that will not pass ends it.
func TestStreamResumes(t *testing.T) {
	var from []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.Header.Get("Last-Event-ID"))
		switch len(from) {
		case 1:
			fmt.Fprint(w, "retry: 2000\n\nid: 1\nevent: a\ndata: {\"id\":\"evt_1\"}\n\n: still here\n\nid: 2\ndata: {\"id\":\"evt_2\"}\n\nid: 3\ndata: {\"id\":\"half")
		case 2:
			w.WriteHeader(503)
		case 3:
			fmt.Fprint(w, "id: 3\ndata: {\"id\":\"evt_3\"}\n\n")
		default:
			w.WriteHeader(401)
			fmt.Fprint(w, `{"code":"api_key_invalid"}`)
		}
	}))
	defer web.Close()
	c := New(web.URL, "pk_x")
	c.wait = func(context.Context, time.Duration) error { return nil }
	var ids []string
	var last error
	for e, err := range c.Events.Stream(t.Context(), EventOptions{After: "0"}) {
		if last = err; err == nil {
			ids = append(ids, e.ID+"@"+e.Cursor)
		}
	}
	if !slices.Equal(ids, []string{"evt_1@1", "evt_2@2", "evt_3@3"}) || !slices.Equal(from, []string{"0", "2", "2", "3"}) || !IsCode(last, "api_key_invalid") {
		t.Errorf("%v from %v, %v", ids, from, last)
	}
}
