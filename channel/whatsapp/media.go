package whatsapp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// maxUpload is the largest file the Cloud API takes: a document (wire 2.3).
const maxUpload = 100 << 20

// call makes one API call that must answer 200, for everything but sending.
func (w *Connector) call(ctx context.Context, method, path, contentType string, body []byte) (graph.Reply, error) {
	if !w.enter() {
		return graph.Reply{}, ErrClosed
	}
	defer w.running.Done()
	u, err := w.client.URL(path)
	if err != nil {
		return graph.Reply{}, &message.Fault{Kind: message.Refused, Certain: true, Code: "address", Title: "not an id of the provider's"}
	}
	reply, err := w.client.Do(ctx, method, u, contentType, body)
	if err != nil {
		return graph.Reply{}, callFault(err)
	}
	if reply.Status != http.StatusOK {
		return graph.Reply{}, answerFault(reply)
	}
	return reply, nil
}

// MarkRead marks a message and all before it as read; with typing, it also
// shows that an answer is coming, for at most 25 seconds (wire 2.3).
func (w *Connector) MarkRead(ctx context.Context, to message.Sender, providerID string, typing bool) error {
	number := to.Address
	if number == "" {
		number = w.config.PhoneNumberID
	}
	if !digits(number) {
		return &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "sender", Title: "the sender's address is not a phone number id"}
	}
	b := append(make([]byte, 0, 256), `{"messaging_product":"whatsapp","status":"read","message_id":`...)
	b = graph.AppendString(b, providerID)
	if typing {
		b = append(b, `,"typing_indicator":{"type":"text"}`...)
	}
	_, err := w.call(ctx, http.MethodPost, "/"+number+"/messages", "application/json", append(b, '}'))
	return err
}

// Upload keeps a file at Meta for 30 days and gives its id. The file goes out as
// it is read and is never held whole; above 100 MB it is refused, before
// anything leaves where its size can be asked for.
func (w *Connector) Upload(ctx context.Context, mime, filename string, body io.Reader) (string, error) {
	if !w.enter() {
		return "", ErrClosed
	}
	defer w.running.Done()
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	if filename == "" {
		filename = "file"
	}
	for _, f := range [...][2]string{{"messaging_product", "whatsapp"}, {"type", mime}} {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return "", err
		}
	}
	if _, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="` + quoteName(filename) + `"`},
		"Content-Type":        {headerValue(mime)},
	}); err != nil {
		return "", err
	}
	before := frame.Len()
	if err := form.Close(); err != nil {
		return "", err
	}
	file := &bounded{r: body, left: maxUpload}
	defer file.stop()
	size := sizeOf(body)
	if size > maxUpload {
		return "", errLarge()
	}
	if size >= 0 {
		size += int64(frame.Len())
	}
	u, err := w.client.URL("/" + w.config.PhoneNumberID + "/media")
	if err != nil {
		return "", err
	}
	framed := frame.Bytes()
	reply, err := w.client.Stream(ctx, http.MethodPost, u, form.FormDataContentType(),
		io.MultiReader(bytes.NewReader(framed[:before]), file, bytes.NewReader(framed[before:])), size)
	switch broken := file.broken(); {
	case errors.Is(broken, errTooLarge):
		return "", errLarge()
	case broken != nil:
		return "", fmt.Errorf("read the file to upload: %w", broken)
	case err != nil:
		return "", callFault(err)
	case reply.Status != http.StatusOK:
		return "", answerFault(reply)
	}
	d := graph.NewDecoder(reply.Body)
	if id := textField(&d, "id"); id != "" {
		return id, nil
	}
	return "", &message.Fault{Kind: message.Transient, Certain: true, Code: "answer", Title: "uploaded without a media id"}
}

func errLarge() error {
	return &message.Fault{Kind: message.Refused, Certain: true, Code: "131053", Title: "file too large"}
}

// sizeOf gives how much is left to read where that can be known, else -1.
func sizeOf(r io.Reader) int64 {
	s, ok := r.(io.Seeker)
	if !ok {
		return -1
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return -1
	}
	if _, err := s.Seek(at, io.SeekStart); err != nil {
		return -1
	}
	return end - at
}

var errTooLarge = errors.New("the file is too large")

// bounded reads at most left bytes and remembers why it ended early. The
// transport may go on reading after the call has ended: then there is nothing.
type bounded struct {
	mu   sync.Mutex
	r    io.Reader // nil once stopped
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		n, err = 0, errTooLarge
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *bounded) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}

func (b *bounded) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func quoteName(s string) string {
	return strings.NewReplacer(`\`, "_", `"`, "_", "\r", "_", "\n", "_").Replace(s)
}

func headerValue(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }

// Fetch opens a file a person sent: first its link, which lives five minutes,
// then the file. A link that is gone is asked for once more.
func (w *Connector) Fetch(ctx context.Context, providerID string) (channel.File, error) {
	if providerID == "" || strings.ContainsAny(providerID, "/?#%\\") || strings.Contains(providerID, "..") {
		return channel.File{}, &message.Fault{Kind: message.Refused, Certain: true, Code: "media", Title: "not a media id"}
	}
	var fault error
	for range 2 {
		link, file, err := w.media(ctx, providerID)
		if err != nil {
			return channel.File{}, err
		}
		var expired bool
		file.Body, expired, fault = w.download(ctx, link, &file)
		if fault == nil {
			return file, nil
		}
		if !expired {
			break
		}
	}
	return channel.File{}, fault
}

// media asks for the link and the facts of a file.
func (w *Connector) media(ctx context.Context, id string) (*url.URL, channel.File, error) {
	reply, err := w.call(ctx, http.MethodGet, "/"+id+"?phone_number_id="+w.config.PhoneNumberID, "", nil)
	if err != nil {
		return nil, channel.File{}, err
	}
	file := channel.File{Size: -1}
	var link string
	d := graph.NewDecoder(reply.Body)
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "url":
				link = d.Text()
			case "mime_type":
				file.MIME = d.Text()
			case "sha256":
				file.SHA256 = d.Text()
			case "file_size":
				file.Size = d.Int()
			}
		}
	}
	u, err := url.Parse(link)
	if err != nil || !w.trusted(u) {
		return nil, file, &message.Fault{Kind: message.Refused, Certain: true, Code: "media", Title: "the link of the file is not the provider's"}
	}
	return u, file, nil
}

// trusted tells whether our token may go with a request for u: to the API's
// own host or to Meta's, over TLS.
func (w *Connector) trusted(u *url.URL) bool {
	if u.Host != "" && u.Host == w.messages.Host && u.Scheme == w.messages.Scheme {
		return true
	}
	if u.Scheme != "https" || u.Port() != "" && u.Port() != "443" {
		return false
	}
	for _, domain := range [...]string{"facebook.com", "fbsbx.com", "fbcdn.net", "whatsapp.net"} {
		if host := u.Hostname(); host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

// download opens the file itself; expired means that a fresh link may help.
func (w *Connector) download(ctx context.Context, u *url.URL, file *channel.File) (body io.ReadCloser, expired bool, err error) {
	if !w.enter() {
		return nil, false, ErrClosed
	}
	defer w.running.Done()
	resp, err := w.client.Open(ctx, u)
	if err != nil {
		return nil, false, callFault(err)
	}
	if resp.StatusCode == http.StatusOK {
		if file.MIME == "" {
			file.MIME = resp.Header.Get("Content-Type")
		}
		if file.Size <= 0 {
			file.Size = resp.ContentLength
		}
		return resp.Body, false, nil
	}
	_ = resp.Body.Close()
	kind, _ := kindOf(resp.StatusCode)
	expired = resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusGone
	if expired {
		kind = message.Refused
	}
	return nil, expired, &message.Fault{Kind: kind, Certain: true, Code: fmt.Sprintf("http_%d", resp.StatusCode), Title: "the file could not be fetched"}
}
