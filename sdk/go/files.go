package parley

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Files keeps files to be sent, and reads those people sent.
type Files struct{ c *Client }

// A File is a file kept by Parley: give its ID as ID of a Media.
type File struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	State     string    `json:"state"` // ready, waiting or lost
	MIME      string    `json:"mime_type,omitempty"`
	Size      int64     `json:"size,omitempty"`   // bytes
	SHA256    string    `json:"sha256,omitempty"` // hexadecimal
	Name      string    `json:"filename,omitempty"`
	Contact   string    `json:"contact,omitempty"` // whose it is; "" = your own
	Message   string    `json:"message,omitempty"` // the message it came with
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// An Upload says what a file is. The zero value works.
type Upload struct {
	Name    string        // people see it
	MIME    string        // "" = what its first bytes look like
	Type    string        // image, video, audio, voice, document or sticker; "" = document
	Contact string        // sealed under their key and erased with them; "" = your own
	Keep    time.Duration // 0 = 30 days
}

// Upload sends a file as a stream. It is not repeated when it fails: body was
// read then.
func (s *Files) Upload(ctx context.Context, body io.Reader, u Upload) (*File, error) {
	q := url.Values{}
	set(q, "filename", u.Name)
	set(q, "type", u.Type)
	set(q, "contact", u.Contact)
	if u.Keep > 0 {
		q.Set("keep_for", u.Keep.String())
	}
	req, err := s.c.request(ctx, call{method: http.MethodPost, path: "/v1/media", query: q}, nil)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(body)
	req.Header.Set("Content-Type", "application/octet-stream")
	if u.MIME != "" {
		req.Header.Set("Content-Type", u.MIME)
	}
	resp, err := s.unhurried().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return nil, problem(resp)
	}
	out := &File{}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("parley: reading the answer: %w", err)
	}
	return out, nil
}

// unhurried gives a client without a timeout: ctx bounds the transfer.
func (s *Files) unhurried() *http.Client {
	h := *s.c.http
	h.Timeout = 0
	return &h
}

// Get tells what is known of a file.
func (s *Files) Get(ctx context.Context, id string) (*File, error) {
	out := &File{}
	return done(out, s.c.do(ctx, call{method: http.MethodGet, path: "/v1/media/" + url.PathEscape(id)}, out))
}

// Download opens the content of a file; the caller closes it.
func (s *Files) Download(ctx context.Context, id string) (io.ReadCloser, error) {
	req, err := s.c.request(ctx, call{method: http.MethodGet, path: "/v1/media/" + url.PathEscape(id) + "/content"}, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.unhurried().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp.Body, nil
}

// Delete deletes a file; links to it open nothing any more.
func (s *Files) Delete(ctx context.Context, id string) error {
	return s.c.do(ctx, call{method: http.MethodDelete, path: "/v1/media/" + url.PathEscape(id)}, nil)
}
