package media

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
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
		farewell(w, r, http.StatusNotFound)
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
		farewell(w, r, http.StatusGone)
		return
	case err != nil:
		k.o.Log.Error("a link does not open", "error", err)
		h.Set("Retry-After", "5")
		farewell(w, r, http.StatusServiceUnavailable)
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

// words are what a person reads when there is nothing to open.
var words = map[string][2]string{
	"en": {"This link is no longer open", "Links are good for a limited time. Ask the sender for a new one."},
	"fr": {"Ce lien n’est plus ouvert", "Les liens sont valables un temps limité. Demandez-en un nouveau à l’expéditeur."},
	"es": {"Este enlace ya no está abierto", "Los enlaces valen por un tiempo limitado. Pida uno nuevo al remitente."},
	"de": {"Dieser Link ist nicht mehr offen", "Links gelten eine begrenzte Zeit. Bitten Sie den Absender um einen neuen."},
	"it": {"Questo link non è più aperto", "I link valgono per un tempo limitato. Chiedine uno nuovo al mittente."},
	"pt": {"Este link já não está aberto", "Os links valem por um tempo limitado. Peça um novo ao remetente."},
}

var page = template.Must(template.New("gone").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{{.Title}}</title>
<style>body{font:18px/1.5 system-ui,sans-serif;max-width:30em;margin:20vh auto;padding:0 1.5em;color:#222;background:#fff}h1{font-size:1.3em}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}</style></head><body><h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`))

// farewell is the page of a link that opens nothing.
func farewell(w http.ResponseWriter, r *http.Request, status int) {
	lang := "en"
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		if _, ok := words[tag]; ok {
			lang = tag
			break
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// The phone may be gone.
		_ = page.Execute(w, struct{ Lang, Title, Text string }{lang, words[lang][0], words[lang][1]})
	}
}
