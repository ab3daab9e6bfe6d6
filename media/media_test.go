package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/store/sqlite"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// A rig is a Keeper over a real store with a clock of its own.
type rig struct {
	*testing.T
	k      *Keeper
	store  *sqlite.Store
	rooms  *workspace.Registry
	people *contact.Book
	ids    *id.Maker
	ws     message.WorkspaceID
	mu     sync.Mutex
	at     time.Time
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(d)
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, ids: id.NewMaker(), at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "parley.db"), sqlite.Options{Now: time.Now, Migrate: true})
	r.ok(err)
	r.store = s
	t.Cleanup(func() { r.ok(s.Close()) })
	keys, err := vault.ParseMasters("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	r.ok(err)
	quiet := slog.New(slog.DiscardHandler)
	r.rooms, err = workspace.Open(t.Context(), workspace.Options{Store: s, Keys: keys, Now: r.now, IDs: r.ids, Log: quiet})
	r.ok(err)
	r.people = contact.New(contact.Options{Store: s, Workspaces: r.rooms, Now: r.now, IDs: r.ids})
	r.k, err = New(Options{
		Store: s, Workspaces: r.rooms, People: r.people, IDs: r.ids, Now: r.now, Log: quiet, Public: "https://brand.example/",
		Types: []channel.Type{{Channel: message.WhatsApp, Caps: channel.Capabilities{Media: map[message.MediaType]channel.MediaAbility{
			message.Image:    {Level: channel.Full, Bytes: 300 << 10, MIME: []string{"image/png"}},
			message.Document: {Level: channel.Full, Bytes: 4 << 20},
		}}}},
	})
	r.ok(err)
	w, err := r.rooms.Create(t.Context(), "brand")
	r.ok(err)
	r.ws = w.ID
	return r
}

// person makes a contact.
func (r *rig) person() *contact.Person {
	r.Helper()
	number := r.ids.Contact(r.now()).String()
	p, err := r.people.Draft(r.Context(), r.ws, message.Address{Channel: message.Phone, ID: number})
	r.ok(err)
	r.ok(r.store.CreateContact(r.Context(), p.New, nil))
	r.people.Stored(p)
	return p
}

func (r *rig) put(u Upload) *File {
	r.Helper()
	f, err := r.k.Put(r.Context(), r.ws, &u)
	r.ok(err)
	return f
}

func (r *rig) read(id message.MediaID) []byte {
	r.Helper()
	_, c, err := r.k.Open(r.Context(), r.ws, id)
	r.ok(err)
	b, err := io.ReadAll(c)
	r.ok(err)
	return b
}

func (r *rig) logged(kind string) (n int, last *store.LogEvent) {
	r.Helper()
	list, _, err := r.store.Read(r.Context(), r.ws, "", 1000)
	r.ok(err)
	for _, e := range list {
		if e.Type == kind {
			n, last = n+1, e
		}
	}
	return n, last
}

func noise(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b)
	return b
}

// Whatever its length and however its body arrives, a file comes back as it
// was, from any place.
func TestRoundTrip(t *testing.T) {
	r := newRig(t)
	who := r.person()
	all := noise(3*atOnce*chunkSize/2 + 77)
	for _, n := range []int{1, 511, chunkSize - 1, chunkSize, chunkSize + 1, atOnce * chunkSize, len(all)} {
		for _, owner := range []message.ContactID{{}, who.ID} {
			want := all[:n]
			f := r.put(Upload{Contact: owner, Name: "a.bin", Body: iotest.HalfReader(bytes.NewReader(want))})
			sum := sha256.Sum256(want)
			if f.Size != int64(n) || f.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes: %+v", n, f)
			}
			if !bytes.Equal(r.read(f.ID), want) {
				t.Errorf("%d bytes come back otherwise", n)
			}
			_, c, err := r.k.Open(t.Context(), r.ws, f.ID)
			r.ok(err)
			if err := iotest.TestReader(c, want); err != nil && n < 2000 {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	png := "\x89PNG\r\n\x1a\n"
	broken := errors.New("the line broke")
	for _, c := range []struct {
		name   string
		u      Upload
		reason string
		err    error
	}{
		{"empty", Upload{Body: strings.NewReader("")}, ReasonEmpty, nil},
		{"no picture", Upload{MIME: "image/png", Body: strings.NewReader("hello")}, ReasonMismatch, nil},
		{"gif where png is shown", Upload{Type: message.Image, Body: strings.NewReader("GIF89a")}, ReasonType, nil},
		{"large picture", Upload{Type: message.Image, Body: io.MultiReader(strings.NewReader(png), bytes.NewReader(noise(300<<10)))}, ReasonTooLarge, nil},
		{"large document", Upload{Body: bytes.NewReader(noise(4<<20 + 1))}, ReasonTooLarge, nil},
		{"a video no channel shows goes as a link", Upload{Type: message.Video, MIME: "video/mp4", Body: strings.NewReader("....ftypmp42....")}, "", nil},
		{"for ever", Upload{Keep: 367 * 24 * time.Hour, Body: strings.NewReader("a")}, ReasonKeep, nil},
		{"cut off", Upload{Body: io.MultiReader(bytes.NewReader(noise(3*chunkSize)), iotest.ErrReader(io.ErrUnexpectedEOF))}, "", io.ErrUnexpectedEOF},
		{"cut off at once", Upload{Body: io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken))}, "", broken},
		{"of nobody", Upload{Contact: r.ids.Contact(r.now()), Body: strings.NewReader("a")}, "", store.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.k.Put(t.Context(), r.ws, &c.u)
			var refused *RefusedError
			switch {
			case c.reason != "":
				if !errors.As(err, &refused) || refused.Reason != c.reason || refused.Error() == "" {
					t.Errorf("%v, want %s", err, c.reason)
				}
			case !errors.Is(err, c.err):
				t.Errorf("%v, want %v", err, c.err)
			}
		})
	}
	list, err := r.store.MediaList(t.Context(), r.ws, message.ContactID{}, message.MediaID{}, 100)
	r.ok(err)
	if len(list) != 1 {
		t.Errorf("%d files are left, want the video alone", len(list))
	}
}

func TestTypes(t *testing.T) {
	for _, c := range []struct{ said, head, want string }{
		{"", "%PDF-1.7", "application/pdf"},
		{"application/octet-stream", "\xff\xd8\xff\xe0", "image/jpeg"},
		{"image/jpg", "\xff\xd8\xff\xe0", "image/jpeg"},
		{"IMAGE/PNG; x=1", "\x89PNG\r\n\x1a\n", "image/png"},
		{"image/png", "\xff\xd8\xff\xe0", ""},
		{"application/pdf", "hello", ""},
		{"text/html", "%PDF-1.7", ""},
		{"", "#!AMR\n", "audio/amr"},
		{"audio/ogg", "OggS\x00", "audio/ogg"},
		{"audio/mp4", "\x00\x00\x00\x20ftypM4A ", "audio/mp4"},
		{"video/3gpp", "\x00\x00\x00\x20ftyp3gp4", "video/3gpp"},
		{"audio/mpeg", "hello", ""},
		{"application/vnd.apple.pkpass", "PK\x03\x04", "application/vnd.apple.pkpass"},
		{"image/webp", "PK\x03\x04", ""},
		{"text/calendar", "BEGIN:VCALENDAR", "text/calendar"},
		{"image/svg+xml", "<?xml version", "image/svg+xml"},
		{"application/x-own", "\x00\x01\x02", "application/x-own"},
		{"no type", "hello", "text/plain"},
	} {
		got, ok := agree(c.said, []byte(c.head))
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q that looks like %q: %q, %v", c.said, c.head, got, ok)
		}
	}
	for mime, show := range map[string]bool{"image/png": true, "application/pdf": true, "text/html": false, "image/svg+xml": false, "text/javascript": false, "application/vnd.apple.pkpass": false} {
		as, shown := served(mime)
		if shown != show || !show && strings.ContainsAny(as, "<") || (mime == "text/html" || mime == "image/svg+xml" || mime == "text/javascript") && as != unknownType {
			t.Errorf("%s is served as %s, shown %v", mime, as, shown)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("a/../b\x00.pdf")
	f.Add("..")
	f.Add("Été\u202Egpj.exe")
	f.Fuzz(func(t *testing.T, s string) {
		got := fileName(s)
		if len(got) > 255 || strings.ContainsAny(got, "/\\\r\n\x00\u202e") || got == ".." {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzAgree(f *testing.F) {
	f.Add("image/png", []byte("\x89PNG"))
	f.Fuzz(func(t *testing.T, said string, head []byte) {
		if got, ok := agree(said, head); ok && (baseType(got) == "" || len(got) > 127) {
			t.Errorf("%q became %q", said, got)
		}
	})
}

func TestTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "a"), rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "b")
		x, y := spell([16]byte(a)), spell([16]byte(b))
		if !isToken(x) || bytes.Equal(a, b) != (x == y) || bytes.Compare(a, b) < 0 != (x < y) {
			t.Errorf("%x is %s, %x is %s", a, x, b, y)
		}
	})
	for _, s := range []string{"", "abc", strings.Repeat("a", 21) + "-", strings.Repeat("a", 23)} {
		if isToken(s) {
			t.Errorf("%q is a token", s)
		}
	}
}

func TestLinks(t *testing.T) {
	r := newRig(t)
	who, msg := r.person(), r.ids.Message(r.now())
	f := r.put(Upload{Name: "a\"b.html", MIME: "text/html", Keep: 72 * time.Hour, Body: strings.NewReader("<html><script>alert(1)</script>")})
	link, err := r.k.Link(t.Context(), r.ws, msg, f.ID)
	r.ok(err)
	path, ok := strings.CutPrefix(link, "https://brand.example")
	if !ok || len(path) != len(Path)+tokenSize {
		t.Fatal(link)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path+"{token}", r.k.Handler())
	ask := func(method string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		return w
	}
	if w := ask("GET"); w.Code != http.StatusGone {
		t.Errorf("before it is minted: %d", w.Code)
	}
	r.ok(r.k.Mint(t.Context(), r.ws, who.ID, msg, f.ID))
	ask("HEAD")
	ask("GET", "User-Agent", "facebookexternalhit/1.1 Facebot Twitterbot/1.0")
	ask("GET", "Range", "bytes=5-9")
	if n, _ := r.logged(event.MediaOpened); n != 0 {
		t.Errorf("%d clicks by nobody", n)
	}
	w := ask("GET")
	h := w.Header()
	if w.Code != 200 || !strings.Contains(w.Body.String(), "alert") || h.Get("Content-Type") != unknownType || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") ||
		h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, h)
	}
	r.pass(time.Hour)
	ask("GET")
	n, e := r.logged(event.MediaOpened)
	if n != 1 || e.Message != msg || e.Contact != who.ID || !strings.Contains(string(e.Data), f.ID.String()) {
		t.Errorf("%d clicks: %+v", n, e)
	}
	r.pass(72 * time.Hour)
	if w := ask("GET", "Accept-Language", "xx, fr-CA;q=0.8"); w.Code != http.StatusGone || !strings.Contains(w.Body.String(), "lien") || w.Header().Get("Content-Language") != "fr" {
		t.Errorf("expired: %d %s", w.Code, w.Body)
	}
	path = Path + "x"
	if w := ask("GET"); w.Code != http.StatusNotFound {
		t.Errorf("no token: %d", w.Code)
	}
}
