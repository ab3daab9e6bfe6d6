package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
)

func recorder(sampler sdk.Sampler) (*tracetest.SpanRecorder, *sdk.TracerProvider) {
	r := tracetest.NewSpanRecorder()
	return r, sdk.NewTracerProvider(sdk.WithSpanProcessor(r), sdk.WithIDGenerator(spanIDs{}), sdk.WithSampler(sampler))
}

// A request's span tells the route, and nothing of who asked for what.
func TestRequestSpans(t *testing.T) {
	r, provider := recorder(sdk.AlwaysSample())
	inner := http.NewServeMux()
	inner.HandleFunc("GET /v1/contacts/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "request-1")
		w.WriteHeader(http.StatusInternalServerError)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("a stream cannot flush: %v", err)
		}
	})
	outer := http.NewServeMux()
	outer.Handle("/", inner)
	q := httptest.NewRequest("GET", "/v1/contacts/CANARY?phone=CANARY", nil)
	for _, h := range []string{"X-Forwarded-For", "User-Agent", "Authorization", "Baggage"} {
		q.Header.Set(h, "CANARY")
	}
	q.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	requestSpans(provider, outer).ServeHTTP(httptest.NewRecorder(), q)
	spans := r.Ended()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	s := spans[0]
	told := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status())
	if strings.Contains(told, "CANARY") {
		t.Errorf("the canary sings: %s", told)
	}
	if s.Name() != "GET /v1/contacts/{id}" || s.Status().Code != codes.Error || s.Parent().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || s.SpanKind() != trace.SpanKindServer {
		t.Errorf("%s %v %v", s.Name(), s.Status(), s.Parent())
	}
	for _, want := range []string{`{"http.response.status_code":500}`, `{"http.route":"/v1/contacts/{id}"}`, "request-1"} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is not told: %s", want, told)
		}
	}
}

// All that is done for a message stands in one trace, whose id is the
// message's, below the accepting, which links to the request.
func TestMessageSpans(t *testing.T) {
	r, provider := recorder(sdk.AlwaysSample())
	told := messageSpans(provider)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	msg := id.NewMaker().Message(now)
	ctx, request := provider.Tracer("").Start(t.Context(), "request")
	told(ctx, engine.Span{Name: engine.SpanAccept, Message: msg, Step: -1, From: now, To: now.Add(time.Millisecond), Result: "queued"})
	told(context.Background(), engine.Span{Name: engine.SpanAttempt, Message: msg, Channel: message.WhatsApp, From: now.Add(time.Second), To: now.Add(2 * time.Second), Result: "unreachable", Code: "131026", Failed: true})
	told(context.Background(), engine.Span{Name: engine.SpanReceipt, Message: msg, Step: 1, Channel: message.SMS, From: now, To: now, Result: "delivered"})
	spans := r.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans", len(spans))
	}
	root := spans[0]
	for i, s := range spans {
		if s.SpanContext().TraceID().String() != hex.EncodeToString(msg[:]) {
			t.Errorf("%s is in trace %v", s.Name(), s.SpanContext().TraceID())
		}
		if i > 0 && s.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is below %v", s.Name(), s.Parent().SpanID())
		}
	}
	if root.Parent().IsValid() || len(root.Links()) != 1 || root.Links()[0].SpanContext.SpanID() != request.SpanContext().SpanID() {
		t.Errorf("the root is below %v and links to %v", root.Parent(), root.Links())
	}
	if a := spans[1]; a.Status().Code != codes.Error || a.EndTime().Sub(a.StartTime()) != time.Second || a.SpanKind() != trace.SpanKindClient {
		t.Errorf("the attempt: %v, %v to %v", a.Status(), a.StartTime(), a.EndTime())
	}
}

// A trace is kept whole or not at all.
func TestMessageSpansAreSampledTogether(t *testing.T) {
	r, provider := recorder(sdk.ParentBased(sdk.TraceIDRatioBased(0.5)))
	told := messageSpans(provider)
	ids, kept := id.NewMaker(), make(map[trace.TraceID]int)
	const many = 200
	for i := range many {
		msg := ids.Message(time.Now().Add(time.Duration(i) * time.Millisecond)) // ids of one millisecond are near each other
		for _, name := range []string{engine.SpanAccept, engine.SpanAttempt, engine.SpanReceipt} {
			told(t.Context(), engine.Span{Name: name, Message: msg, From: time.Now(), To: time.Now()})
		}
	}
	for _, s := range r.Ended() {
		kept[s.SpanContext().TraceID()]++
	}
	for trace, n := range kept {
		if n != 3 {
			t.Errorf("of %v %d spans were kept", trace, n)
		}
	}
	if len(kept) < many/10 || len(kept) > many*9/10 {
		t.Errorf("%d of %d traces were kept", len(kept), many)
	}
}

// Nothing is traced unless an endpoint is configured; then spans go there.
func TestTracingEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	h := http.NewServeMux()
	if stop, err := StartTracing(t.Context()); err != nil || stop(t.Context()) != nil || messageTracer() != nil || traced(h) != http.Handler(h) {
		t.Error("something is traced without an endpoint")
	}
	got := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		got <- body
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	stop, err := StartTracing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	msg := id.NewMaker().Message(time.Now())
	messageTracer()(t.Context(), engine.Span{Name: engine.SpanAccept, Message: msg, From: time.Now(), To: time.Now(), Result: "queued"})
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-got:
		if !bytes.Contains(body, msg[:]) || !bytes.Contains(body, []byte(msg.String())) || !bytes.Contains(body, []byte("parley")) || bytes.Contains(body, []byte("unknown_service")) {
			t.Errorf("the collector got %q", body)
		}
	default:
		t.Error("the collector got nothing")
	}
}
