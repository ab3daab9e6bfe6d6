package media

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// serveFor bounds how long one file is served to one phone.
const serveFor = 10 * time.Minute

// Handler serves links: mount it at "GET /m/{token}". What a link opens is
// shown or offered to be kept, never run; the first opening is the event
// media.opened.
func (k *Keeper) Handler() http.Handler { return http.HandlerFunc(k.serve) }

func (k *Keeper) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	token := r.PathValue("token")
	if !isToken(token) {
		farewell(w, r, http.StatusNotFound, broken)
		return
	}
	key := keyOf(token)
	l, err := k.o.Store.Link(r.Context(), key)
	if err == nil && !k.o.Now().Before(l.ExpiresAt) {
		err = store.ErrNotFound
	}
	var f *File
	var content *Content
	if err == nil {
		f, content, err = k.Open(r.Context(), l.Workspace, l.Media)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		// Whether it ever was a link is nobody's business.
		farewell(w, r, http.StatusGone, over)
		return
	case err != nil:
		k.o.Log.Error("a link does not open", "error", err)
		h.Set("Retry-After", "5")
		farewell(w, r, http.StatusServiceUnavailable, later)
		return
	}
	if r.Method == http.MethodGet && begins(r.Header.Get("Range")) && !robot(r.UserAgent()) {
		k.opened(r.Context(), key, l, f)
	}
	Serve(w, r, f, content)
}

// Serve answers a request with a file: its type, its name, ranges; shown where
// that is harmless, else offered to be kept. It lifts the server's limit on
// writing for ten minutes.
func Serve(w http.ResponseWriter, r *http.Request, f *File, content *Content) {
	rc := http.NewResponseController(w)
	// Not every ResponseWriter can: then the server's own limit holds.
	_ = rc.SetWriteDeadline(time.Time{})
	stop := time.AfterFunc(serveFor, func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop.Stop()
	h := w.Header()
	contentType, show := served(f.MIME)
	disposition := "attachment"
	if show {
		disposition = "inline"
	}
	if f.Name != "" {
		disposition = mime.FormatMediaType(disposition, map[string]string{"filename": f.Name})
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", disposition)
	h.Set("X-Content-Type-Options", "nosniff")
	if f.MIME != "application/pdf" {
		// Browsers do not show a PDF in a sandbox; it runs in their own.
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	} else {
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
	}
	http.ServeContent(w, r, "", f.CreatedAt, content)
}

// opened counts an opening. That it cannot be counted keeps nobody from their
// file.
func (k *Keeper) opened(ctx context.Context, key [16]byte, l *store.Link, f *File) {
	now := k.o.Now()
	data, err := json.Marshal(map[string]any{"media": l.Media, "mime_type": f.MIME, "after_seconds": int64(now.Sub(l.CreatedAt).Seconds())})
	if err == nil {
		_, err = k.o.Store.OpenLink(ctx, key, now, []store.Event{{
			ID: message.EventID(k.o.IDs.Next(now)), Workspace: l.Workspace, Type: event.MediaOpened,
			Message: l.Message, Contact: l.Contact, At: now, Data: data,
		}})
	}
	if err != nil && ctx.Err() == nil {
		k.o.Log.Warn("an opening was not counted", "media", l.Media, "error", err)
	}
}

// begins reports whether a request reads a file from its begin: players ask
// for the same film many times.
func begins(ranges string) bool {
	return ranges == "" || strings.HasPrefix(ranges, "bytes=0-")
}

// robot tells the programs that look at every link before a person does.
func robot(agent string) bool {
	agent = strings.ToLower(agent)
	for _, mark := range [...]string{"bot", "facebookexternalhit", "whatsapp/", "preview", "crawler", "spider"} {
		if strings.Contains(agent, mark) {
			return true
		}
	}
	return false
}
