package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// tracerName is the instrumentation scope of our spans.
const tracerName = "github.com/parley-messaging/parley"

// tracing reports whether an OpenTelemetry endpoint is configured, by the
// standard environment variables of its specification.
func tracing() bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// StartTracing sends spans to the configured endpoint; stop flushes them. It
// does nothing where none is configured. New calls it.
func StartTracing(ctx context.Context) (stop func(context.Context) error, err error) {
	if !tracing() {
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	about, err := resource.Merge(resource.NewSchemaless(attribute.String("service.name", "parley")), resource.Environment())
	if err != nil {
		return nil, err
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithIDGenerator(spanIDs{}), sdk.WithResource(about))
	otel.SetTracerProvider(provider)
	return provider.Shutdown, nil
}

// traced adds a span to each request where an endpoint is configured.
func traced(h http.Handler) http.Handler {
	if !tracing() {
		return h
	}
	return requestSpans(otel.GetTracerProvider(), h)
}

// messageTracer is the engine's tracer; nil where no endpoint is configured.
func messageTracer() engine.Tracer {
	if !tracing() {
		return nil
	}
	return messageSpans(otel.GetTracerProvider())
}

// requestSpans tells of each request its method, route and status. Paths,
// queries, addresses and user agents are left out: they are personal, or open a
// file.
func requestSpans(provider trace.TracerProvider, h http.Handler) http.Handler {
	tracer := provider.Tracer(tracerName)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", r.Method)))
		defer span.End()
		r = r.WithContext(ctx)
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(seen, r)
		route := r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:]
		if route != "/" && route != "" { // else nothing is there
			span.SetName(r.Method + " " + route)
			span.SetAttributes(attribute.String("http.route", route))
		}
		span.SetAttributes(attribute.Int("http.response.status_code", seen.status), attribute.String("parley.request", w.Header().Get("X-Request-Id")))
		if seen.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// A statusWriter remembers the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what it controls.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// messageSpans makes one trace of each message, whichever nodes and lives of
// the program work at it: the trace's id is the message's, and its root is the
// accepting, which links to the request.
func messageSpans(provider trace.TracerProvider) engine.Tracer {
	tracer := provider.Tracer(tracerName)
	return func(ctx context.Context, s engine.Span) {
		options := []trace.SpanStartOption{trace.WithTimestamp(s.From), trace.WithAttributes(spanAttributes(s)...)}
		at := rootOf(s.Message)
		if s.Name == engine.SpanAccept {
			if request := trace.SpanContextFromContext(ctx); request.IsValid() {
				options = append(options, trace.WithLinks(trace.Link{SpanContext: request}))
			}
			options = append(options, trace.WithNewRoot())
		} else {
			// Whether the trace is kept is a function of its id: the root's
			// decision is asked for again, by a span that is never ended.
			_, root := tracer.Start(at, engine.SpanAccept, trace.WithNewRoot())
			at = trace.ContextWithRemoteSpanContext(context.Background(), root.SpanContext())
			if s.Name == engine.SpanAttempt {
				options = append(options, trace.WithSpanKind(trace.SpanKindClient))
			}
		}
		_, span := tracer.Start(at, s.Name, options...)
		if s.Failed {
			span.SetStatus(codes.Error, s.Result)
		}
		span.End(trace.WithTimestamp(s.To))
	}
}

func spanAttributes(s engine.Span) []attribute.KeyValue {
	out := []attribute.KeyValue{
		attribute.String("parley.message", s.Message.String()), attribute.String("parley.workspace", s.Workspace.String()),
		attribute.String("parley.purpose", string(s.Purpose)), attribute.String("parley.result", s.Result),
	}
	if s.Step >= 0 {
		out = append(out, attribute.Int("parley.step", s.Step), attribute.Int("parley.attempt", s.Attempt),
			attribute.String("parley.channel", string(s.Channel)), attribute.String("parley.connector", s.Connector.String()))
	}
	if s.Code != "" {
		out = append(out, attribute.String("parley.code", s.Code))
	}
	return out
}

type rootKey struct{}

// rootOf is the context in which a message's root span is begun.
func rootOf(id message.MessageID) context.Context {
	return context.WithValue(context.Background(), rootKey{}, id)
}

// spanIDs gives the root span of a message the message's id, and random ids to
// all others.
type spanIDs struct{}

// NewIDs implements sdk.IDGenerator.
func (spanIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if id, ok := ctx.Value(rootKey{}).(message.MessageID); ok {
		return trace.TraceID(id), trace.SpanID(id[8:])
	}
	var t trace.TraceID
	_, _ = rand.Read(t[:]) // never fails
	return t, spanIDs{}.NewSpanID(ctx, t)
}

// NewSpanID implements sdk.IDGenerator.
func (spanIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var s trace.SpanID
	_, _ = rand.Read(s[:]) // never fails
	return s
}
