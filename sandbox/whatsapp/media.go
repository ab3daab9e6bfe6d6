package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mediaKind says what a media type takes (wire facts, section 2.3).
type mediaKind struct {
	limit int
	types []string
}

var mediaKinds = map[string]mediaKind{
	"image":   {5 << 20, []string{"image/jpeg", "image/png"}},
	"video":   {16 << 20, []string{"video/mp4", "video/3gpp"}},
	"audio":   {16 << 20, []string{"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}},
	"sticker": {500 << 10, []string{"image/webp"}},
}

const (
	documentLimit = 100 << 20
	mediaTotal    = 64 << 20 // kept in memory; the oldest go
	uploadLife    = 30 * 24 * time.Hour
	inboundLife   = 7 * 24 * time.Hour
	linkLife      = 5 * time.Minute
)

type mediaObject struct {
	mime  string
	data  []byte
	sum   [sha256.Size]byte
	until time.Time
}

type mediaStore struct {
	mu    sync.Mutex
	all   map[string]*mediaObject
	order []string
	total int
}

func (m *mediaStore) put(id string, o *mediaObject) {
	o.sum = sha256.Sum256(o.data)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]*mediaObject{}
	}
	m.all[id] = o
	m.order = append(m.order, id)
	m.total += len(o.data)
	for m.total > mediaTotal && len(m.order) > 1 {
		m.drop(m.order[0])
	}
}

// drop must be called with the lock held.
func (m *mediaStore) drop(id string) bool {
	o := m.all[id]
	if o == nil {
		return false
	}
	m.total -= len(o.data)
	delete(m.all, id)
	m.order = slices.DeleteFunc(m.order, func(other string) bool { return other == id })
	return true
}

func (m *mediaStore) get(id string) *mediaObject {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id]
}

func (m *mediaStore) has(id string) bool { return m.get(id) != nil }

func (m *mediaStore) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all, m.order, m.total = nil, nil, 0
}

// upload answers POST P/media.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, documentLimit+maxRequest)
	if err := r.ParseMultipartForm(8 << 20); err != nil {
		s.fail(w, refuse(100, "The body is not multipart/form-data or too large."))
		return
	}
	defer func() {
		if err := r.MultipartForm.RemoveAll(); err != nil {
			s.parts.Log.Debug("upload leftovers", "error", err)
		}
	}()
	if r.FormValue("messaging_product") != "whatsapp" {
		s.fail(w, refuse(100, "The parameter messaging_product is required."))
		return
	}
	file, header, err := r.FormFile("file")
	if err != nil {
		s.fail(w, refuse(131008, "The parameter file is required."))
		return
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		s.fail(w, refuse(131053, "The file could not be read."))
		return
	}
	kind := r.FormValue("type")
	if kind == "" {
		kind = header.Header.Get("Content-Type")
	}
	if bad := checkUpload(kind, len(data)); bad != nil {
		s.fail(w, bad)
		return
	}
	id := s.ids.object()
	s.media.put(id, &mediaObject{mime: kind, data: data, until: s.parts.Clock.Now().Add(uploadLife)})
	reply(w, http.StatusOK, append(appendMember([]byte{'{'}, "id", id), '}'))
}

func checkUpload(contentType string, size int) *refusal {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return refuse(100, "Param type must be a media type.")
	}
	limit := documentLimit
	family, _, _ := strings.Cut(kind, "/")
	if kind == "image/webp" {
		family = "sticker"
	}
	if k, ok := mediaKinds[family]; ok {
		limit = k.limit
		if !slices.Contains(k.types, kind) {
			return refuse(100, "Param file must be a file with one of the following types: "+strings.Join(k.types, ", ")+".")
		}
	}
	if size > limit {
		return refuse(131053, "The file is larger than "+strconv.Itoa(limit)+" bytes.")
	}
	return nil
}

// serveMedia answers GET and DELETE of a media id; false when there is none.
func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request, id string) bool {
	o := s.media.get(id)
	if o == nil || s.parts.Clock.Now().After(o.until) {
		return false
	}
	switch r.Method {
	case http.MethodGet:
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		b := []byte{'{'}
		b = appendMember(b, "url", scheme+r.Host+s.mediaPath(id))
		b = appendMember(b, "mime_type", o.mime)
		b = appendMember(b, "sha256", hex.EncodeToString(o.sum[:]))
		b = appendMember(b, "file_size", strconv.Itoa(len(o.data)))
		b = appendMember(b, "id", id)
		b = appendMember(b, "messaging_product", "whatsapp")
		reply(w, http.StatusOK, append(b, '}'))
	case http.MethodDelete:
		s.media.mu.Lock()
		s.media.drop(id)
		s.media.mu.Unlock()
		reply(w, http.StatusOK, []byte(`{"success":true}`))
	default:
		return false
	}
	return true
}

// mediaPath is the path of a link that works for five minutes.
func (s *Server) mediaPath(id string) string {
	until := strconv.FormatInt(s.parts.Clock.Now().Add(linkLife).Unix(), 10)
	return "/sandbox-media/" + id + "/" + until + "/" + s.linkMark(id, until)
}

func (s *Server) linkMark(id, until string) string {
	return strings.TrimPrefix(sign(s.opts.AppSecret, []byte(id+until)), "sha256=")[:24]
}

// download answers a media link; an expired one is a 404.
func (s *Server) download(w http.ResponseWriter, r *http.Request, rest string) {
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || !hmac.Equal([]byte(parts[2]), []byte(s.linkMark(parts[0], parts[1]))) {
		http.NotFound(w, r)
		return
	}
	until, err := strconv.ParseInt(parts[1], 10, 64)
	o := s.media.get(parts[0])
	if err != nil || o == nil || s.parts.Clock.Now().Unix() > until {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", o.mime)
	if _, err := w.Write(o.data); err != nil {
		s.parts.Log.Debug("media download", "error", err)
	}
}

var sampleTypes = map[string]string{
	"image": "image/png", "video": "video/mp4", "audio": "audio/ogg; codecs=opus",
	"document": "application/pdf", "sticker": "image/webp",
}

// samplePNG is one transparent pixel.
const samplePNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

// appendMedia stores the media of a person and appends its object.
func (s *Server) appendMedia(b []byte, in *Inbound) []byte {
	kind, data := in.MIME, in.Data
	if kind == "" {
		kind = sampleTypes[in.Type]
	}
	if len(data) == 0 {
		data = []byte("sample " + in.Type)
		if png, err := base64.StdEncoding.DecodeString(samplePNG); err == nil && in.Type == "image" {
			data = png
		}
	}
	id := s.ids.object()
	o := &mediaObject{mime: kind, data: data, until: s.parts.Clock.Now().Add(inboundLife)}
	s.media.put(id, o)
	b = append(b, `,"`+in.Type+`":{`...)
	b = appendMember(b, "mime_type", kind)
	b = appendMember(b, "sha256", base64.StdEncoding.EncodeToString(o.sum[:]))
	b = appendMember(b, "id", id)
	switch in.Type {
	case "audio":
		b = append(b, `,"voice":true`...)
	case "sticker":
		b = append(b, `,"animated":false`...)
	case "document":
		name := in.Filename
		if name == "" {
			name = "document.pdf"
		}
		b = appendMember(b, "filename", name)
	}
	if in.Text != "" && in.Type != "audio" && in.Type != "sticker" {
		b = appendMember(b, "caption", in.Text)
	}
	return append(b, '}')
}
