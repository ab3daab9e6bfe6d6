package soak

import (
	"math/rand/v2"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const gsmText = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà\n"

// clusters are what must not be torn, lost or reordered.
func clusters() []string {
	return []string{
		"👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷", "👨🏿‍🚒", "e\u0301", "กำ", "한국어", "क्षि", "שָׁלוֹם", "\u202bمرحبا\u202c", "日本語", "\u200d", "\ufeff", "𝄞", "𠜎", "\U0010FFFD",
		"€", "[", "]", "{", "}", "\\", "~", "^", "|", "\f", "\r\n", "\t", "  ", "'", "“”", "…", "\u00a0", "\u2028",
	}
}

// A writer makes random texts; each worker has its own.
type writer struct {
	*rand.Rand
	gsm      []rune
	clusters []string
}

func newWriter(seed uint64) *writer {
	return &writer{rand.New(rand.NewPCG(seed, 7)), []rune(gsmText), clusters()}
}

// text makes one of at most septets GSM septets, or units UTF-16 units where a
// character outside the GSM alphabet makes it UCS-2.
func (w *writer) text(septets, units int) string {
	kind, limit := w.IntN(5), units
	if kind == 0 {
		limit = septets
	}
	switch w.IntN(4) { // mostly short, sometimes at the limit
	case 0:
		limit = max(1, limit-w.IntN(3))
	case 1:
		limit = 1 + w.IntN(limit)
	default:
		limit = 1 + w.IntN(min(limit, 160))
	}
	var b strings.Builder
	for n := 0; ; {
		next := w.next(kind)
		size := len(utf16.Encode([]rune(next)))
		if kind == 0 && strings.ContainsAny(next, "€[]{}\\~^|\f") {
			size++ // an escape pair
		}
		if n += size; n > limit {
			break
		}
		b.WriteString(next)
	}
	if strings.TrimSpace(b.String()) == "" {
		return "x"
	}
	return b.String()
}

func (w *writer) next(kind int) string {
	switch kind {
	case 0: // the GSM alphabet with its extension
		if w.IntN(8) == 0 {
			return string([]rune("€[]{}\\~^|\f")[w.IntN(10)])
		}
		return string(w.gsm[w.IntN(len(w.gsm))])
	case 1: // words with clusters between them
		if w.IntN(3) == 0 {
			return w.clusters[w.IntN(len(w.clusters))]
		}
		return string(w.gsm[w.IntN(len(w.gsm))])
	case 2: // any plane
		return w.scalar(w.IntN(17))
	case 3: // the basic plane
		return w.scalar(0)
	}
	return w.clusters[w.IntN(len(w.clusters))]
}

// scalar gives any character of a plane but NUL, which no provider carries.
func (w *writer) scalar(plane int) string {
	for {
		r := rune(plane<<16 | w.IntN(1<<16))
		if r != 0 && utf8.ValidRune(r) {
			return string(r)
		}
	}
}
