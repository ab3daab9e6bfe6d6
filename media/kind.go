package media

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// Largest is the most bytes any file may have: what the channel that takes the
// largest ones takes (WhatsApp documents, wire 2.3).
const Largest = 100 << 20

const unknownType = "application/octet-stream"

// limit gives the most bytes of a file of a kind and type that some channel
// shows; ok is false when every channel that shows the kind refuses the type.
func (k *Keeper) limit(t message.MediaType, mimeType string) (most int64, ok bool) {
	shown := false
	for i := range k.o.Types {
		a, known := k.o.Types[i].Caps.Media[t]
		if !known || a.Level != channel.Full {
			continue
		}
		shown = true
		if len(a.MIME) > 0 && !slices.Contains(a.MIME, mimeType) {
			continue
		}
		ok = true
		if a.Bytes == 0 {
			most = Largest
		}
		most = max(most, a.Bytes)
	}
	if !shown { // it can only go as a link
		return Largest, true
	}
	return min(most, Largest), ok
}

// baseType gives a MIME type without its parameters, lower case; "" when it is
// none.
func baseType(s string) string {
	base, _, err := mime.ParseMediaType(s)
	if err != nil || len(base) > 127 || !strings.Contains(base, "/") {
		return ""
	}
	if base == "image/jpg" {
		return "image/jpeg"
	}
	return base
}

// signatures are first bytes that net/http does not know.
var signatures = []struct {
	at   int
	mark string
	mime string
}{
	{0, "#!AMR", "audio/amr"},
	{0, "\xff\xf1", "audio/aac"},
	{0, "\xff\xf9", "audio/aac"},
	{0, "\xff\xfb", "audio/mpeg"},
	{4, "ftyp3g", "video/3gpp"},
	{4, "ftypM4A", "audio/mp4"},
	{4, "ftypqt", "video/quicktime"},
	{4, "ftypavif", "image/avif"},
	{4, "ftyphei", "image/heic"},
	{4, "ftypmif1", "image/heic"},
	{4, "ftyp", "video/mp4"},
}

// sniff says what the first bytes of a file look like.
func sniff(head []byte) string {
	for _, s := range signatures {
		if len(head) >= s.at && bytes.HasPrefix(head[s.at:], []byte(s.mark)) {
			return s.mime
		}
	}
	seen, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if seen == "application/ogg" {
		return "audio/ogg"
	}
	return seen
}

// plain are types whose first bytes are always known: a file that claims to be
// one and does not look like it is something else.
var plain = []string{"image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"}

// agree settles the type of a file from what it is said to be and what its
// first bytes look like; ok is false when the two cannot both be true.
func agree(said string, head []byte) (mimeType string, ok bool) {
	seen := sniff(head)
	said = baseType(said)
	top := func(s string) string { t, _, _ := strings.Cut(s, "/"); return t }
	switch {
	case said == "" || said == unknownType:
		return seen, true
	case said == seen:
		return said, true
	case slices.Contains(plain, said) || slices.Contains(plain, seen):
		return "", false
	case seen == unknownType:
		return said, true
	case seen == "text/plain", seen == "text/html", seen == "text/xml":
		// Text may be called by many names, but not sound or pictures.
		return said, top(said) == "text" || top(said) == "application" || said == "image/svg+xml"
	case seen == "application/zip", seen == "application/x-gzip":
		return said, top(said) == "application"
	case top(seen) == "image":
		return said, top(said) == "image"
	case top(seen) == "video" || top(seen) == "audio":
		// Containers hold either.
		return said, top(said) == "video" || top(said) == "audio"
	}
	return "", false
}

// showable are the types that a phone may show in our name: none of them runs
// anything.
var showable = []string{
	"image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "text/plain",
	"video/mp4", "video/3gpp", "video/webm", "audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/wave", "audio/webm",
}

// served gives the type a file is served as, and whether it is shown or only
// offered to be kept.
func served(mimeType string) (string, bool) {
	switch {
	case mimeType == "text/plain":
		return "text/plain; charset=utf-8", true
	case slices.Contains(showable, mimeType):
		return mimeType, true
	case strings.Contains(mimeType, "html"), strings.Contains(mimeType, "xml") && !strings.Contains(mimeType, "openxml"), strings.Contains(mimeType, "script"):
		return unknownType, false
	}
	return mimeType, false
}

// fileName makes a name harmless: no folders, nothing that cannot be seen, at
// most 255 bytes.
func fileName(s string) string {
	if s == "" {
		return ""
	}
	s = path.Base(strings.ReplaceAll(s, `\`, "/"))
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	for len(s) > 255 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s == "." || s == "/" || s == ".." {
		return ""
	}
	return s
}
