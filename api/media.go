package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// File is a file kept here: uploaded by you, or sent by a person.
type File struct {
	ID        message.MediaID   `json:"id" doc:"Give it as id of a media in content."`
	Type      message.MediaType `json:"type" doc:"image, video, audio, voice, document or sticker."`
	State     string            `json:"state" doc:"ready, waiting (to be fetched from the provider) or lost."`
	MIME      string            `json:"mime_type,omitempty"`
	Size      int64             `json:"size,omitempty" doc:"Bytes."`
	SHA256    string            `json:"sha256,omitempty" doc:"Hexadecimal."`
	Name      string            `json:"filename,omitempty"`
	Contact   message.ContactID `json:"contact,omitzero" doc:"Whose it is; left out for your own files."`
	Message   message.MessageID `json:"message,omitzero" doc:"The message it came with."`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt time.Time         `json:"expires_at,omitzero" doc:"From then on it is gone, and its links with it."`
}

func fileOf(f *media.File) *File {
	return &File{
		ID: f.ID, Type: f.Type, State: f.State.String(), MIME: f.MIME, Size: f.Size, SHA256: f.SHA256, Name: f.Name,
		Contact: f.Contact, Message: f.Message, CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt,
	}
}

type oneFile struct {
	ID string `path:"id" doc:"The file's id." example:"md_01jd8x0k3m5q7s9v1x3z5b7d9f"`
}

const (
	uploadBody = media.Largest + 1<<20 // the fields of a form beside the file
	uploadIn   = 15 * time.Minute      // for the whole of it
	formField  = 4 << 10
)

func (s *Server) media() {
	if s.o.Media == nil {
		return
	}
	text := &huma.Schema{Type: huma.TypeString}
	query := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: text}
	}
	s.raw(op{
		method: http.MethodPost, path: "/v1/media", id: "uploadMedia", tag: "Files", summary: "Keep a file to be sent", scope: auth.MessagesWrite, status: http.StatusCreated,
		doc: "Send the file itself with its Content-Type, or a form (multipart/form-data) with the fields below and then `file`. It is read as a stream, sealed, and given to each channel as that takes it: uploaded to WhatsApp, as a short link on your own domain in SMS.",
	},
		nil, File{}, []*huma.Param{
			query("filename", "What it is called; people see it."),
			query("type", "What it is to be shown as: image, video, audio, voice, document (the default) or sticker. Decides which sizes and types are taken."),
			query("contact", "The contact it belongs to: sealed under their key, sent to nobody else, erased with them."),
			query("keep_for", "How long it is kept, such as 48h or 10d; 30 days when left out, 366 days at most."),
		}, s.uploadMedia)
	post := s.spec.OpenAPI().Paths["/v1/media"].Post
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: binary},
		"multipart/form-data": {Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"file"}, Properties: map[string]*huma.Schema{
			"filename": text, "type": text, "contact": text, "keep_for": text, "file": binary,
		}}},
	}}
	handle(s, op{method: http.MethodGet, path: "/v1/media/{id}", id: "getMedia", tag: "Files", summary: "What is known of a file", scope: auth.MessagesRead},
		func(ctx context.Context, who caller, in *oneFile) (*File, error) {
			id, err := pathID[message.MediaID](in.ID)
			if err != nil {
				return nil, err
			}
			f, err := s.o.Media.File(ctx, who.Workspace, id)
			if err != nil {
				return nil, err
			}
			return fileOf(f), nil
		})
	param := &huma.Param{Name: "id", In: "path", Required: true, Description: "The file's id.", Schema: text}
	s.raw(op{
		method: http.MethodGet, path: "/v1/media/{id}/content", id: "downloadMedia", tag: "Files", summary: "Read a file", scope: auth.MessagesRead, status: http.StatusOK,
		doc: "The file itself, as a stream; ranges are served. 404 while it is not here yet.",
	}, nil, nil, []*huma.Param{param}, s.downloadMedia)
	get := s.spec.OpenAPI().Paths["/v1/media/{id}/content"].Get
	get.Responses["200"].Content["application/octet-stream"] = &huma.MediaType{Schema: binary}
	handleNone(s, op{
		method: http.MethodDelete, path: "/v1/media/{id}", id: "deleteMedia", tag: "Files", summary: "Delete a file", scope: auth.MessagesWrite,
		doc: "Links to it open nothing any more. Copies that providers took are theirs to forget.",
	},
		func(ctx context.Context, who caller, in *oneFile) error {
			id, err := pathID[message.MediaID](in.ID)
			if err != nil {
				return err
			}
			return s.o.Media.Delete(ctx, who.Workspace, id)
		})
}

func (s *Server) uploadMedia(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	if r.ContentLength > uploadBody {
		tooLarge(media.Largest).write(w)
		return
	}
	rc := http.NewResponseController(w)
	// The server's limits are for small bodies; where they cannot be lifted they
	// hold.
	_, _ = rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})
	stop := time.AfterFunc(uploadIn, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop.Stop()
	r.Body = http.MaxBytesReader(w, r.Body, uploadBody)
	u, err := uploadOf(r)
	if err == nil {
		var f *media.File
		if f, err = s.o.Media.Put(r.Context(), who.Workspace, u); err == nil {
			w.Header().Set("Location", "/v1/media/"+f.ID.String())
			writeJSON(w, http.StatusCreated, fileOf(f))
			return
		}
	}
	s.explain(r.Context(), w.Header(), uploadFault(err, u)).write(w)
}

// uploadOf reads what is told of a file; its body is read by whoever keeps it.
func uploadOf(r *http.Request) (*media.Upload, error) {
	q := r.URL.Query()
	if p := unknownQuery(q, "filename", "type", "contact", "keep_for"); p != nil {
		return nil, p
	}
	u := &media.Upload{MIME: r.Header.Get("Content-Type"), Body: r.Body}
	for _, name := range [...]string{"filename", "type", "contact", "keep_for"} {
		if err := setUpload(u, name, q.Get(name)); err != nil {
			return nil, err
		}
	}
	kind, _, err := mime.ParseMediaType(u.MIME)
	switch {
	case u.MIME == "" || err != nil:
		return nil, problem(codeMedia, "Content-Type", "is missing or not a type", "send the type of the file, or multipart/form-data")
	case kind == "multipart/form-data":
		return u, formOf(r, u)
	case strings.HasPrefix(kind, "multipart/"):
		return nil, problem(codeMedia, "Content-Type", "is a multipart type other than form-data", "send multipart/form-data, or the file itself")
	}
	return u, nil
}

// formOf reads the fields of a form up to its file.
func formOf(r *http.Request, u *media.Upload) error {
	form, err := r.MultipartReader()
	if err != nil {
		return problem(codeMalformed, "", "the form has no boundary", "send multipart/form-data as RFC 7578 says")
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return problem(engine.CodeInvalid, "file", "is missing", "send the file as the field file, after the other fields")
		}
		if err != nil {
			return formFault(err)
		}
		if part.FormName() == "file" {
			return fileOfForm(part, u)
		}
		value, err := io.ReadAll(io.LimitReader(part, formField))
		if err != nil {
			return formFault(err)
		}
		if err := setUpload(u, part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

func fileOfForm(part *multipart.Part, u *media.Upload) error {
	u.MIME, u.Body = part.Header.Get("Content-Type"), part
	if u.Name == "" {
		u.Name = part.FileName()
	}
	return nil
}

func formFault(err error) error {
	var large *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	if errors.As(err, &large) || errors.As(err, &timeout) {
		return err
	}
	return problem(codeMalformed, "", "the form cannot be read", "send multipart/form-data as RFC 7578 says")
}

// setUpload takes one field of a query or a form over.
func setUpload(u *media.Upload, name, value string) error {
	if value == "" {
		return nil
	}
	switch name {
	case "filename":
		u.Name = value
	case "type":
		switch u.Type = message.MediaType(value); u.Type {
		case message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker:
		default:
			return problem(engine.CodeInvalid, "type", "is not a kind of media", "give one of image, video, audio, voice, document, sticker")
		}
	case "contact":
		id, err := queryID[message.ContactID]("contact", value)
		if err != nil {
			return err
		}
		u.Contact = id
	case "keep_for":
		var d Duration
		if err := d.UnmarshalText([]byte(value)); err != nil || d <= 0 {
			return problem(engine.CodeInvalid, "keep_for", "is not a span of time", `write such as "48h" or "10d"`)
		}
		u.Keep = time.Duration(d)
	default:
		return problem(codeUnknown, fieldPath(name), "is not a field of this form", "check its spelling against /docs")
	}
	return nil
}

// uploadFault says why a file was not taken.
func uploadFault(err error, u *media.Upload) error {
	var refused *media.RefusedError
	switch {
	case errors.As(err, &refused):
		switch refused.Reason {
		case media.ReasonTooLarge:
			return problem(codeTooLarge, "file", "has more bytes than any channel takes of this type", "make it smaller, or upload it as a document")
		case media.ReasonType:
			return problem(codeMedia, "type", "no channel shows "+refused.MIME+" as this type", "give another type, such as document, or another format")
		case media.ReasonMismatch:
			return problem(engine.CodeContent, "Content-Type", "is not what the file looks like", "give the type of the file, or application/octet-stream")
		case media.ReasonKeep:
			return problem(engine.CodeInvalid, "keep_for", "is longer than 366 days", "shorten it")
		}
		return problem(engine.CodeEmpty, "file", "is empty", "send the file")
	case errors.Is(err, store.ErrNotFound) && u != nil && !u.Contact.IsZero():
		return problem(engine.CodeNoContact, "contact", "there is no such contact, or it was erased", "check its id")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem(codeMalformed, "file", "ended before its end", "send it again")
	}
	return err
}

func (s *Server) downloadMedia(w http.ResponseWriter, r *http.Request, who auth.Principal) {
	id, err := pathID[message.MediaID](r.PathValue("id"))
	if err == nil {
		var f *media.File
		var content *media.Content
		if f, content, err = s.o.Media.Open(r.Context(), who.Workspace, id); err == nil {
			media.Serve(w, r, f, content)
			return
		}
	}
	s.explain(r.Context(), w.Header(), err).write(w)
}
