package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	sdk "github.com/parley-messaging/parley/sdk/go"
)

const pdf = "%PDF-1.7\n1 0 obj"

func png(size int) string { return "\x89PNG\r\n\x1a\n" + strings.Repeat("x", size-8) }

func TestMediaBySDK(t *testing.T) {
	r := newRig(t, nil)
	c := r.client()
	want := pdf + strings.Repeat("0123456789", 30_000)
	f, err := c.Files.Upload(t.Context(), strings.NewReader(want), sdk.Upload{Name: "dossier/Été.pdf", Keep: 48 * time.Hour})
	r.check(err)
	sum := sha256.Sum256([]byte(want))
	if f.MIME != "application/pdf" || f.Size != int64(len(want)) || f.Name != "Été.pdf" || f.State != "ready" || f.Type != "document" ||
		f.SHA256 != hex.EncodeToString(sum[:]) || !f.ExpiresAt.Equal(noon.Add(48*time.Hour)) || f.Contact != "" {
		t.Errorf("uploaded %+v", f)
	}
	again, err := c.Files.Get(t.Context(), f.ID)
	r.check(err)
	if *again != *f {
		t.Errorf("read %+v", again)
	}
	body, err := c.Files.Download(t.Context(), f.ID)
	r.check(err)
	got, err := io.ReadAll(body)
	r.check(err)
	r.check(body.Close())
	if string(got) != want {
		t.Errorf("%d bytes came back", len(got))
	}
	w := r.call("GET", "/v1/media/"+f.ID+"/content", "", "Range", "bytes=65530-65549")
	if w.Code != http.StatusPartialContent || w.Body.String() != want[65530:65550] {
		t.Errorf("range: %d %q", w.Code, w.Body)
	}
	if d := w.Header().Get("Content-Disposition"); !strings.HasPrefix(d, "inline; filename*=utf-8''") {
		t.Errorf("disposition %q", d)
	}
	r.check(c.Files.Delete(t.Context(), f.ID))
	if _, err := c.Files.Get(t.Context(), f.ID); !sdk.IsCode(err, engine.CodeNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if _, err := c.Files.Download(t.Context(), f.ID); !sdk.IsCode(err, engine.CodeNotFound) {
		t.Errorf("content of a deleted: %v", err)
	}
}

// form writes a form with fields and a file.
func form(t *testing.T, fields [][2]string, kind, name, content string) (string, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if content != "" {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {kind}})
		if err == nil {
			_, err = part.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func TestMediaForm(t *testing.T) {
	r := newRig(t, nil)
	who, err := r.client().Contacts.Create(t.Context(), &sdk.ContactRequest{Name: "Ada", Identities: []sdk.NewIdentity{{Channel: "phone", Address: "+33612345678"}}})
	r.check(err)
	body, kind := form(t, [][2]string{{"type", "image"}, {"contact", who.ID}, {"keep_for", "2d"}}, "image/png", "pass.png", png(900))
	w := r.call("POST", "/v1/media", body, "Content-Type", "", "Content-Type", kind)
	var f File
	r.check(json.Unmarshal(w.Body.Bytes(), &f))
	if w.Code != 201 || f.Type != message.Image || f.MIME != "image/png" || f.Size != 900 || f.Contact.String() != who.ID || f.Name != "pass.png" || w.Header().Get("Location") != "/v1/media/"+f.ID.String() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, err = r.client().Contacts.Erase(t.Context(), who.ID)
	r.check(err)
	if w := r.call("GET", "/v1/media/"+f.ID.String()+"/content", ""); w.Code != 404 {
		t.Errorf("after the erasure: %d %s", w.Code, w.Body)
	}
	body, kind = form(t, [][2]string{{"contact", who.ID}}, "image/png", "pass.png", png(900))
	judge(t, r, r.call("POST", "/v1/media", body, "Content-Type", "", "Content-Type", kind), 404, engine.CodeNoContact, "contact")
}

func TestBadMedia(t *testing.T) {
	r := newRig(t, nil)
	noFile, noFileKind := form(t, [][2]string{{"type", "image"}}, "", "", "")
	unknown, unknownKind := form(t, [][2]string{{canary, "x"}}, "image/png", "a.png", png(9))
	whole, wholeKind := form(t, nil, "application/pdf", "a.pdf", pdf+strings.Repeat("x", 200_000))
	for _, tt := range []struct {
		name, path, kind, body string
		status                 int
		code, field            string
	}{
		{"no type", "/v1/media", "", pdf, 415, codeMedia, "Content-Type"},
		{"another multipart", "/v1/media", "multipart/mixed; boundary=x", pdf, 415, codeMedia, "Content-Type"},
		{"empty", "/v1/media", "application/pdf", "", 422, engine.CodeEmpty, "file"},
		{"no picture", "/v1/media?type=image", "image/png", canary, 422, engine.CodeContent, "Content-Type"},
		{"a script as a picture", "/v1/media", "image/jpeg", "<html><script>" + canary, 422, engine.CodeContent, "Content-Type"},
		{"a type no channel shows", "/v1/media?type=image", "image/gif", "GIF89a" + canary, 415, codeMedia, "type"},
		{"too large a picture", "/v1/media?type=image", "image/png", png(200<<10 + 1), 413, codeTooLarge, "file"},
		{"too large a document", "/v1/media", "application/pdf", pdf + strings.Repeat("x", 2<<20), 413, codeTooLarge, "file"},
		{"kind", "/v1/media?type=" + canary, "application/pdf", pdf, 422, engine.CodeInvalid, "type"},
		{"contact", "/v1/media?contact=" + canary, "application/pdf", pdf, 422, engine.CodeInvalid, "contact"},
		{"span", "/v1/media?keep_for=" + canary, "application/pdf", pdf, 422, engine.CodeInvalid, "keep_for"},
		{"too long", "/v1/media?keep_for=367d", "application/pdf", pdf, 422, engine.CodeInvalid, "keep_for"},
		{"unknown parameter", "/v1/media?name=" + canary, "application/pdf", pdf, 422, codeUnknown, "name"},
		{"form without file", "/v1/media", noFileKind, noFile, 422, engine.CodeInvalid, "file"},
		{"form with more", "/v1/media", unknownKind, unknown, 422, codeUnknown, canary},
		{"form cut off", "/v1/media", wholeKind, whole[:150_000], 400, codeMalformed, "file"},
		{"form without boundary", "/v1/media", "multipart/form-data", pdf, 400, codeMalformed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := r.call("POST", tt.path, tt.body, "Content-Type", "", "Content-Type", tt.kind)
			if tt.field == canary { // a field's name is told, as for JSON
				if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			judge(t, r, w, tt.status, tt.code, tt.field)
		})
	}
}
