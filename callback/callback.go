// Package callback is where providers call us: it reads the raw body, hands it
// to the engine, which verifies and keeps it, and answers only after that is
// durable, so that a provider that hears nothing tries again.
//
// It decodes nothing, knows no provider, and never logs a body, a header or an
// address: they are personal.
//
// Start with [Handler].
package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// MaxBody is the largest callback taken, in bytes: Meta sends up to 3 MB
// (Graph API webhooks, "payloads can be up to 3 MB").
const MaxBody = 3 << 20

// An Engine takes callbacks in; *engine.Engine is one.
type Engine interface {
	// Callback verifies and keeps one callback and tells what to answer. It
	// fails with store.ErrNotFound for a connector that takes none, and with a
	// *message.Fault or a status of 400 or more for what is not the provider's.
	Callback(ctx context.Context, id message.ConnectorID, c *channel.Callback) (channel.Answer, error)
}

// Handler answers GET and POST /callbacks/{connector}; mount it at
// "/callbacks/{connector}".
func Handler(e Engine, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			answer(w, http.StatusMethodNotAllowed, "")
			return
		}
		var id message.ConnectorID
		if err := id.UnmarshalText([]byte(r.PathValue("connector"))); err != nil || id.IsZero() {
			answer(w, http.StatusNotFound, "")
			return
		}
		if r.ContentLength > MaxBody {
			answer(w, http.StatusRequestEntityTooLarge, "")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		if err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				answer(w, http.StatusRequestEntityTooLarge, "")
				return
			}
			answer(w, http.StatusBadRequest, "")
			return
		}
		// A provider that hangs up must not undo what it has handed over.
		out, err := e.Callback(context.WithoutCancel(r.Context()), id, &channel.Callback{
			Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body,
		})
		var fault *message.Fault
		switch {
		case err == nil:
			answer(w, out.Status, out.Body)
		case out.Status >= 400: // refused by the connector, which says how
			log.Warn("callback refused", "connector", id, "status", out.Status)
			answer(w, out.Status, out.Body)
		case errors.As(err, &fault):
			log.Warn("callback refused", "connector", id, "fault", fault.Kind.String())
			answer(w, http.StatusForbidden, "")
		case errors.Is(err, store.ErrNotFound):
			answer(w, http.StatusNotFound, "")
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrUncertain), errors.Is(err, engine.ErrBusy), errors.Is(err, engine.ErrStopped):
			log.Warn("callback not kept", "connector", id, "error", err)
			w.Header().Set("Retry-After", "5")
			answer(w, http.StatusServiceUnavailable, "")
		default:
			// The cause may quote the body: its type says enough, and the
			// provider comes again.
			log.Error("callback failed", "connector", id, "error", fmt.Sprintf("%T", err))
			answer(w, http.StatusInternalServerError, "")
		}
	})
}

func answer(w http.ResponseWriter, status int, body string) {
	if status == 0 {
		status = http.StatusOK
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The provider may be gone; there is nobody left to tell.
	_, _ = io.WriteString(w, body)
}
