package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A fetcher is a provider that may fail first.
type fetcher struct {
	faults []error
	file   channel.File
	body   []byte
	asked  int
}

func (f *fetcher) Fetch(context.Context, string) (channel.File, error) {
	f.asked++
	if len(f.faults) > 0 {
		err := f.faults[0]
		f.faults = f.faults[1:]
		if err != nil {
			return channel.File{}, err
		}
	}
	file := f.file
	file.Body = io.NopCloser(bytes.NewReader(f.body))
	return file, nil
}

// expect stores a message with a file to fetch.
func (r *rig) expect(p *contact.Person) *store.MediaFile {
	r.Helper()
	msg := r.ids.Message(r.now())
	m, err := r.k.Expect(p, msg, r.ids.Next(r.now()), &message.Media{Type: message.Image, Provider: "123", MIME: "image/png", Filename: "../bag.png"})
	r.ok(err)
	v, err := r.store.Receive(r.Context(), []*store.Reception{{
		Dedup: msg, Forget: r.now(), Media: []*store.MediaFile{m},
		Message: &store.Message{ID: msg, Workspace: r.ws, Contact: p.ID, Direction: store.MO, Channel: message.WhatsApp, CreatedAt: r.now(), Sealed: []byte("x")},
	}})
	r.ok(err)
	if v[0] != store.Done {
		r.Fatal(v)
	}
	return m
}

func (r *rig) fetch(f channel.Fetcher) int {
	r.Helper()
	list, err := r.k.Claim(r.Context(), 10)
	r.ok(err)
	for _, m := range list {
		r.ok(r.k.Fetch(r.Context(), m, f))
	}
	return len(list)
}

// A fetch that fails is tried again, later and later; the file then is whole.
func TestFetchRetries(t *testing.T) {
	r := newRig(t)
	p := r.person()
	m := r.expect(p)
	body := noise(chunkSize + 9)
	sum := sha256.Sum256(body)
	f := &fetcher{
		body: body, file: channel.File{MIME: "image/png", Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])},
		faults: []error{&message.Fault{Kind: message.Transient, Certain: true}, errors.New("the line broke")},
	}
	if r.fetch(f) != 1 || r.fetch(f) != 0 {
		t.Error("it was not put off")
	}
	r.pass(20 * time.Second)
	r.fetch(f)
	r.pass(time.Minute)
	short := &fetcher{body: body[:9], file: f.file}
	r.fetch(short) // a body cut off does not count
	if n, _ := r.logged(event.MediaReady); n != 0 || short.asked != 1 {
		t.Errorf("ready with a part of it: %d, asked %d times", n, short.asked)
	}
	r.pass(5 * time.Minute)
	if r.fetch(nil); f.asked != 2 { // the account is not open
		t.Errorf("asked %d times", f.asked)
	}
	r.pass(15 * time.Minute)
	r.fetch(f)
	n, e := r.logged(event.MediaReady)
	if n != 1 || e.Contact != p.ID || e.Message != m.Message {
		t.Fatalf("%d events: %+v", n, e)
	}
	if !bytes.Equal(r.read(m.ID), body) {
		t.Error("it came otherwise")
	}
	got, err := r.k.File(t.Context(), r.ws, m.ID)
	r.ok(err)
	if got.Name != "bag.png" || got.State != store.MediaReady || got.MIME != "application/octet-stream" {
		t.Errorf("file %+v", got)
	}
	if r.fetch(f) != 0 {
		t.Error("fetched again")
	}
}

func TestFetchLost(t *testing.T) {
	r := newRig(t)
	m := r.expect(r.person())
	r.fetch(&fetcher{faults: []error{&message.Fault{Kind: message.Refused, Certain: true, Code: "http_404"}}})
	f, err := r.k.File(t.Context(), r.ws, m.ID)
	r.ok(err)
	n, _ := r.logged(event.MediaLost)
	if _, _, err := r.k.Open(t.Context(), r.ws, m.ID); f.State != store.MediaLost || n != 1 || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%+v, %d events, %v", f, n, err)
	}
	// One whose person is erased meanwhile is nobody's any more.
	p := r.person()
	r.expect(p)
	list, err := r.k.Claim(t.Context(), 10)
	r.ok(err)
	_, err = r.store.Erase(t.Context(), r.ws, p.ID, r.now(), nil)
	r.ok(err)
	r.people.Forget(r.ws, p.ID)
	for _, one := range list {
		r.ok(r.k.Fetch(t.Context(), one, &fetcher{body: []byte("a")}))
	}
	if n, _ := r.logged(event.MediaReady); n != 0 {
		t.Error("an erased person's file is ready")
	}
}

// An uploader counts the files it took.
type uploader struct {
	mu   sync.Mutex
	got  [][]byte
	fail error
}

func (u *uploader) Upload(_ context.Context, _, _ string, body io.Reader) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail != nil {
		return "", u.fail
	}
	b, err := io.ReadAll(body)
	u.got = append(u.got, b)
	return "id" + string(rune('0'+len(u.got))), err
}

func TestCopies(t *testing.T) {
	r := newRig(t)
	connector := message.ConnectorID(r.ids.Next(r.now()))
	body := noise(3 * chunkSize)
	for _, owner := range []message.ContactID{{}, r.person().ID} {
		f := r.put(Upload{Contact: owner, Keep: 300 * 24 * time.Hour, Body: bytes.NewReader(body)})
		u := &uploader{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if id, err := r.k.Copy(t.Context(), r.ws, f.ID, connector, u); err != nil || id != "id1" {
					t.Errorf("%q, %v", id, err)
				}
			})
		}
		wg.Wait()
		if len(u.got) != 1 || !bytes.Equal(u.got[0], body) {
			t.Fatalf("%d uploads", len(u.got))
		}
		r.pass(copyFor - copyMargin)
		if id, err := r.k.Copy(t.Context(), r.ws, f.ID, connector, u); err != nil || id != "id2" {
			t.Errorf("after a month: %q, %v", id, err)
		}
		u.fail = &message.Fault{Kind: message.Transient}
		other := message.ConnectorID(r.ids.Next(r.now()))
		if _, err := r.k.Copy(t.Context(), r.ws, f.ID, other, u); !errors.Is(err, u.fail) {
			t.Errorf("a fault: %v", err)
		}
		r.ok(r.k.Delete(t.Context(), r.ws, f.ID))
		if _, err := r.k.Copy(t.Context(), r.ws, f.ID, connector, u); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a deleted file: %v", err)
		}
	}
}

// A file of a person is nobody's once they are erased, and no other key opens
// its chunks.
func TestErased(t *testing.T) {
	r := newRig(t)
	p := r.person()
	f := r.put(Upload{Contact: p.ID, Body: bytes.NewReader(noise(chunkSize + 1))})
	brand := r.put(Upload{Body: bytes.NewReader(noise(chunkSize + 1))})
	chunks, err := r.store.Chunks(t.Context(), r.ws, f.ID, 0, 9)
	r.ok(err)
	// Chunks that change places, or files, do not open.
	r.ok(r.store.PutChunks(t.Context(), r.ws, brand.ID, 0, chunks))
	_, c, err := r.k.Open(t.Context(), r.ws, brand.ID)
	r.ok(err)
	if _, err := io.ReadAll(c); err == nil {
		t.Error("another file's chunks opened")
	}
	r.ok(r.store.PutChunks(t.Context(), r.ws, f.ID, 0, [][]byte{chunks[1], chunks[0]}))
	_, c, err = r.k.Open(t.Context(), r.ws, f.ID)
	r.ok(err)
	if _, err := io.ReadAll(c); err == nil {
		t.Error("chunks in another order opened")
	}
	_, err = r.store.Erase(t.Context(), r.ws, p.ID, r.now(), nil)
	r.ok(err)
	r.people.Forget(r.ws, p.ID)
	if _, err := r.k.File(t.Context(), r.ws, f.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the erasure: %v", err)
	}
	if _, err := r.k.Put(t.Context(), r.ws, &Upload{Contact: p.ID, Body: strings.NewReader("a")}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a new one: %v", err)
	}
}
