package media

import (
	"html/template"
	"net/http"
	"strings"
)

// A reason is why a link opens nothing.
type reason int

const (
	over   reason = iota // it ended, or its file is gone
	broken               // it is no link of ours: perhaps cut short
	later                // we cannot open it now
)

// words are what a person reads when there is nothing to open: by language, a
// title and a text for each reason.
var words = map[string][3][2]string{
	"en": {
		{"This link is no longer open", "Links are good for a limited time. Ask the sender for a new one."},
		{"This link is not complete", "A part of it may be missing. Open it from the message itself."},
		{"This cannot be opened just now", "Please try again in a moment."},
	},
	"fr": {
		{"Ce lien n’est plus valable", "Les liens ne sont valables qu’un temps. Demandez-en un nouveau à l’expéditeur."},
		{"Ce lien n’est pas complet", "Il en manque peut-être une partie. Ouvrez-le depuis le message."},
		{"Impossible d’ouvrir ce lien pour l’instant", "Veuillez réessayer dans un instant."},
	},
	"es": {
		{"Este enlace ya no está disponible", "Los enlaces valen por un tiempo limitado. Pida uno nuevo al remitente."},
		{"Este enlace no está completo", "Puede que falte una parte. Ábralo desde el propio mensaje."},
		{"No se puede abrir en este momento", "Vuelva a intentarlo dentro de un momento."},
	},
	"de": {
		{"Dieser Link ist nicht mehr gültig", "Links gelten eine begrenzte Zeit. Bitten Sie den Absender um einen neuen."},
		{"Dieser Link ist nicht vollständig", "Vielleicht fehlt ein Stück. Öffnen Sie ihn aus der Nachricht selbst."},
		{"Das lässt sich gerade nicht öffnen", "Bitte versuchen Sie es gleich noch einmal."},
	},
	"it": {
		{"Questo link non è più valido", "I link valgono per un tempo limitato. Chiedine uno nuovo al mittente."},
		{"Questo link non è completo", "Forse ne manca una parte. Aprilo dal messaggio stesso."},
		{"Al momento non si può aprire", "Riprova tra un istante."},
	},
	"pt": {
		{"Este link já não está disponível", "Os links valem por um tempo limitado. Peça um novo ao remetente."},
		{"Este link não está completo", "Talvez falte uma parte. Abra-o a partir da própria mensagem."},
		{"Não é possível abrir neste momento", "Tente novamente daqui a pouco."},
	},
}

var page = template.Must(template.New("farewell").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>{{.Title}}</title>
<style>
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:1.5rem;font:1.0625rem/1.5 system-ui,sans-serif;color:#1c2024;background:#f3f4f6}
main{width:100%;max-width:26rem;padding:2.5rem 1.75rem;text-align:center;background:#fff;border-radius:1rem;box-shadow:0 1px 3px rgba(0,0,0,.12)}
svg{width:3.5rem;height:3.5rem;color:#5b6570}
h1{margin:1rem 0 .5rem;font-size:1.375rem;line-height:1.25;text-wrap:balance;overflow-wrap:break-word}
p{margin:0;color:#4a525b;text-wrap:balance}
@media(prefers-color-scheme:dark){body{color:#eceef0;background:#111315}main{background:#1d2023;box-shadow:none}svg{color:#9aa4ae}p{color:#b6bec6}}
</style></head><body><main>
<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{{if .Later}}<path d="M20 12a8 8 0 1 1-2.3-5.7M20 3.5v4h-4"/>{{else if .Broken}}<path d="M9 17H7A5 5 0 0 1 7 7h2M15 7h2a5 5 0 0 1 0 10h-2M9 12h.5M14.5 12h.5"/>{{else}}<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.25 2"/>{{end}}</svg>
<h1>{{.Title}}</h1><p>{{.Text}}</p></main></body></html>
`))

// farewell is the page of a link that opens nothing, in the language of the
// phone where we have it.
func farewell(w http.ResponseWriter, r *http.Request, status int, why reason) {
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
	if r.Method == http.MethodHead {
		return
	}
	said := words[lang][why]
	// The phone may be gone.
	_ = page.Execute(w, struct {
		Lang, Title, Text string
		Later, Broken     bool
	}{lang, said[0], said[1], why == later, why == broken})
}
