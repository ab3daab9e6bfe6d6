package storetest

import (
	"bytes"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// file makes a file of a contact; the zero contact makes a brand's.
func (k *kit) file(who message.ContactID) *store.MediaFile {
	k.Helper()
	m := &store.MediaFile{
		ID: k.id(), Workspace: k.ws, Contact: who, Message: k.id(), Connector: k.connector, Type: message.Document, MIME: "application/pdf",
		State: store.MediaOpen, CreatedAt: k.now, ExpiresAt: k.now.Add(time.Hour), Sealed: []byte("facts"),
	}
	k.ok(k.s.PutMedia(k.ctx, m))
	return m
}

func (k *kit) link(m *store.MediaFile, who message.ContactID) *store.Link {
	k.Helper()
	l := &store.Link{Key: k.id(), Workspace: k.ws, Contact: who, Message: k.id(), Media: m.ID, CreatedAt: k.now, ExpiresAt: k.now.Add(time.Hour)}
	k.ok(k.s.PutLink(k.ctx, l))
	return l
}

func (k *kit) gone(what string, err error) {
	k.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		k.Errorf("%s: %v, want not found", what, err)
	}
}

func mediaTests() []test {
	return []test{
		{"a file is read as it was made and as it became", func(k *kit) {
			who, _ := k.contact()
			for _, owner := range []message.ContactID{who, {}} {
				m := k.file(owner)
				got, err := k.s.MediaFile(k.ctx, k.ws, m.ID)
				k.ok(err)
				k.same("made", got, m)
				if err := k.s.PutMedia(k.ctx, m); !errors.Is(err, store.ErrExists) {
					k.Errorf("made twice: %v", err)
				}
				m.Type, m.MIME, m.Size, m.State, m.Tries, m.NextAt, m.ExpiresAt, m.Sealed = message.Image, "image/png", 9, store.MediaReady, 3, k.now, time.Time{}, []byte("anew")
				e := k.event("media.ready", m.Message, owner)
				k.ok(k.s.SetMedia(k.ctx, m, []store.Event{e}))
				got, err = k.s.MediaFile(k.ctx, k.ws, m.ID)
				k.ok(err)
				k.same("became", got, m)
				list := k.logged()
				k.same("event", list[len(list)-1].Event, e)
			}
			_, err := k.s.MediaFile(k.ctx, k.ws, k.id())
			k.gone("unknown", err)
			k.gone("set unknown", k.s.SetMedia(k.ctx, &store.MediaFile{ID: k.id(), Workspace: k.ws}, []store.Event{k.event("x", message.MessageID{}, who)}))
			k.gone("of nobody", k.s.PutMedia(k.ctx, &store.MediaFile{ID: k.id(), Workspace: k.ws, Contact: k.id(), CreatedAt: k.now}))
			if n := len(k.logged()); n != 2 {
				k.Errorf("%d events", n)
			}
		}},
		{"chunks are read in order from any place", func(k *kit) {
			m := k.file(message.ContactID{})
			big := bytes.Repeat([]byte{7}, 64<<10+28)
			k.ok(k.s.PutChunks(k.ctx, k.ws, m.ID, 0, [][]byte{[]byte("a"), []byte("b")}))
			k.ok(k.s.PutChunks(k.ctx, k.ws, m.ID, 2, [][]byte{[]byte("old"), big}))
			k.ok(k.s.PutChunks(k.ctx, k.ws, m.ID, 2, [][]byte{[]byte("c")}))
			list, err := k.s.Chunks(k.ctx, k.ws, m.ID, 1, 2)
			k.ok(err)
			k.same("middle", list, [][]byte{[]byte("b"), []byte("c")})
			list, err = k.s.Chunks(k.ctx, k.ws, m.ID, 3, 9)
			k.ok(err)
			if len(list) != 1 || !bytes.Equal(list[0], big) {
				k.Error("the last chunk is another")
			}
			list, err = k.s.Chunks(k.ctx, k.ws, m.ID, 4, 9)
			k.ok(err)
			k.same("after the end", list, [][]byte(nil))
			k.gone("chunks of nothing", k.s.PutChunks(k.ctx, k.ws, k.id(), 0, [][]byte{[]byte("a")}))
		}},
		{"files of a contact are listed newest first, apart from the brand's", func(k *kit) {
			who, _ := k.contact()
			other, _ := k.contact()
			var mine, brand []message.MediaID
			for range 3 {
				mine = append([]message.MediaID{k.file(who).ID}, mine...)
				brand = append([]message.MediaID{k.file(message.ContactID{}).ID}, brand...)
				k.file(other)
			}
			for owner, want := range map[message.ContactID][]message.MediaID{who: mine, {}: brand} {
				var got []message.MediaID
				var before message.MediaID
				for {
					page, err := k.s.MediaList(k.ctx, k.ws, owner, before, 2)
					k.ok(err)
					if len(page) == 0 {
						break
					}
					for _, m := range page {
						got, before = append(got, m.ID), m.ID
					}
				}
				k.same("files", got, want)
			}
		}},
		{"a deleted file takes its chunks and copies along", func(k *kit) {
			m, stays := k.file(message.ContactID{}), k.file(message.ContactID{})
			for _, one := range []*store.MediaFile{m, stays} {
				k.ok(k.s.PutChunks(k.ctx, k.ws, one.ID, 0, [][]byte{[]byte("a")}))
				c := &store.MediaCopy{Workspace: k.ws, Media: one.ID, Connector: k.connector, ExpiresAt: k.now, Sealed: []byte("old")}
				k.ok(k.s.PutCopy(k.ctx, c))
				c.ExpiresAt, c.Sealed = k.now.Add(time.Hour), []byte("id")
				k.ok(k.s.PutCopy(k.ctx, c))
				got, err := k.s.MediaCopy(k.ctx, k.ws, one.ID, k.connector)
				k.ok(err)
				k.same("copy", got, c)
			}
			_, err := k.s.MediaCopy(k.ctx, k.ws, m.ID, k.id())
			k.gone("copy elsewhere", err)
			k.ok(k.s.DeleteMedia(k.ctx, k.ws, m.ID))
			k.gone("twice", k.s.DeleteMedia(k.ctx, k.ws, m.ID))
			_, err = k.s.MediaFile(k.ctx, k.ws, m.ID)
			k.gone("file", err)
			_, err = k.s.MediaCopy(k.ctx, k.ws, m.ID, k.connector)
			k.gone("copy", err)
			k.gone("copy of nothing", k.s.PutCopy(k.ctx, &store.MediaCopy{Workspace: k.ws, Media: m.ID, Connector: k.connector, Sealed: []byte("x")}))
			for id, want := range map[message.MediaID]int{m.ID: 0, stays.ID: 1} {
				list, err := k.s.Chunks(k.ctx, k.ws, id, 0, 9)
				k.ok(err)
				k.same("chunks", len(list), want)
			}
		}},
		{"files that come with a message wait to be fetched, one node at a time", func(k *kit) {
			who, index := k.contact()
			r := k.reception(who, index)
			file := func(next time.Time) *store.MediaFile {
				return &store.MediaFile{
					ID: k.id(), Workspace: k.ws, Contact: who, Message: r.Message.ID, Connector: k.connector,
					Type: message.Image, State: store.MediaWaiting, NextAt: next, CreatedAt: k.now, ExpiresAt: k.now.Add(time.Hour), Sealed: []byte("facts"),
				}
			}
			first, second, later := file(k.now.Add(-time.Minute)), file(k.now), file(k.now.Add(time.Minute))
			r.Media = []*store.MediaFile{first, second, later}
			k.received(store.Done, r)
			got, err := k.s.MediaFile(k.ctx, k.ws, first.ID)
			k.ok(err)
			k.same("stored", got, first)
			again := k.reception(who, index)
			again.Dedup, again.Media = r.Dedup, []*store.MediaFile{file(k.now)}
			k.received(store.Duplicate, again)
			until := k.now.Add(30 * time.Second)
			claim := func(now time.Time) (out []message.MediaID) {
				list, err := k.s.ClaimMedia(k.ctx, now, until, 10)
				k.ok(err)
				for _, m := range list {
					out = append(out, m.ID)
					if m.Tries == 0 || !m.NextAt.Equal(until) || string(m.Sealed) != "facts" {
						k.Errorf("claimed %+v", m)
					}
				}
				return out
			}
			if ids := claim(k.now); len(ids) != 2 {
				k.Errorf("%d files claimed, want 2", len(ids))
			}
			k.same("claimed twice", claim(k.now), []message.MediaID(nil))
			first.State, first.Tries = store.MediaReady, 1
			k.ok(k.s.SetMedia(k.ctx, first, nil))
			if ids := claim(until); len(ids) != 1 || ids[0] != second.ID {
				k.Errorf("claimed again: %v", ids)
			}
			until = k.now.Add(time.Hour)
			if ids := claim(k.now.Add(2 * time.Minute)); len(ids) != 2 {
				k.Errorf("%d files claimed, want 2", len(ids))
			}
		}},
		{"a link tells of its first opening only", func(k *kit) {
			who, _ := k.contact()
			l := k.link(k.file(message.ContactID{}), who)
			got, err := k.s.Link(k.ctx, l.Key)
			k.ok(err)
			k.same("made", got, l)
			for i, want := range []bool{true, false, false} {
				first, err := k.s.OpenLink(k.ctx, l.Key, k.now.Add(time.Duration(i)*time.Second), []store.Event{k.event("media.opened", l.Message, who)})
				k.ok(err)
				k.same("first", first, want)
			}
			l.ExpiresAt = k.now.Add(2 * time.Hour)
			k.ok(k.s.PutLink(k.ctx, l))
			got, err = k.s.Link(k.ctx, l.Key)
			k.ok(err)
			l.OpenedAt, l.Opens = k.now, 3
			k.same("opened", got, l)
			if n := len(k.logged()); n != 1 {
				k.Errorf("%d events, want 1", n)
			}
			_, err = k.s.Link(k.ctx, k.id())
			k.gone("link", err)
			_, err = k.s.OpenLink(k.ctx, k.id(), k.now, []store.Event{k.event("media.opened", l.Message, who)})
			k.gone("opened", err)
		}},
		{"erasing a contact takes its files and every link to it", func(k *kit) {
			who, _ := k.contact()
			m, brand := k.file(who), k.file(message.ContactID{})
			k.ok(k.s.PutChunks(k.ctx, k.ws, m.ID, 0, [][]byte{[]byte("a")}))
			k.ok(k.s.PutChunks(k.ctx, k.ws, brand.ID, 0, [][]byte{[]byte("a")}))
			other, _ := k.contact()
			mine, theirs := k.link(brand, who), k.link(brand, other)
			v, err := k.s.Erase(k.ctx, k.ws, who, k.now, nil)
			k.ok(err)
			k.same("verdict", v, store.Done)
			_, err = k.s.MediaFile(k.ctx, k.ws, m.ID)
			k.gone("file", err)
			list, err := k.s.Chunks(k.ctx, k.ws, m.ID, 0, 1)
			k.ok(err)
			k.same("chunks", len(list), 0)
			k.gone("more chunks", k.s.PutChunks(k.ctx, k.ws, m.ID, 1, [][]byte{[]byte("b")}))
			k.gone("another file", k.s.PutMedia(k.ctx, &store.MediaFile{ID: k.id(), Workspace: k.ws, Contact: who, CreatedAt: k.now}))
			_, err = k.s.Link(k.ctx, mine.Key)
			k.gone("link", err)
			_, err = k.s.Link(k.ctx, theirs.Key)
			k.ok(err)
			list, err = k.s.Chunks(k.ctx, k.ws, brand.ID, 0, 1)
			k.ok(err)
			k.same("the brand's", len(list), 1)
		}},
		{"files and links are purged when they expired", func(k *kit) {
			who, _ := k.contact()
			old, live, kept := k.file(who), k.file(who), k.file(who)
			kept.ExpiresAt = time.Time{}
			k.ok(k.s.SetMedia(k.ctx, kept, nil))
			live.ExpiresAt = k.now.Add(3 * time.Hour)
			k.ok(k.s.SetMedia(k.ctx, live, nil))
			k.ok(k.s.PutChunks(k.ctx, k.ws, old.ID, 0, [][]byte{[]byte("a")}))
			l := k.link(old, who)
			n, err := k.s.Purge(k.ctx, store.Purge{Media: k.now})
			k.ok(err)
			k.same("nothing yet", n, 0)
			n, err = k.s.Purge(k.ctx, store.Purge{Media: k.now.Add(2 * time.Hour)})
			k.ok(err)
			k.same("file and link", n, 2)
			_, err = k.s.MediaFile(k.ctx, k.ws, old.ID)
			k.gone("file", err)
			list, err := k.s.Chunks(k.ctx, k.ws, old.ID, 0, 1)
			k.ok(err)
			k.same("chunks", len(list), 0)
			_, err = k.s.Link(k.ctx, l.Key)
			k.gone("link", err)
			for _, m := range []*store.MediaFile{live, kept} {
				_, err = k.s.MediaFile(k.ctx, k.ws, m.ID)
				k.ok(err)
			}
		}},
		{"files are another workspace's to nobody", func(k *kit) {
			m := k.file(message.ContactID{})
			k.ok(k.s.PutChunks(k.ctx, k.ws, m.ID, 0, [][]byte{[]byte("a")}))
			k.ok(k.s.PutCopy(k.ctx, &store.MediaCopy{Workspace: k.ws, Media: m.ID, Connector: k.connector, Sealed: []byte("id")}))
			for _, ws := range []message.WorkspaceID{k.workspace(), k.id()} {
				_, err := k.s.MediaFile(k.ctx, ws, m.ID)
				k.gone("file", err)
				_, err = k.s.MediaCopy(k.ctx, ws, m.ID, k.connector)
				k.gone("copy", err)
				list, err := k.s.Chunks(k.ctx, ws, m.ID, 0, 1)
				k.ok(err)
				k.same("chunks", len(list), 0)
				files, err := k.s.MediaList(k.ctx, ws, message.ContactID{}, message.MediaID{}, 9)
				k.ok(err)
				k.same("files", len(files), 0)
				theirs := *m
				theirs.Workspace = ws
				k.gone("set", k.s.SetMedia(k.ctx, &theirs, nil))
				k.gone("write", k.s.PutChunks(k.ctx, ws, m.ID, 0, [][]byte{[]byte("b")}))
				k.gone("note", k.s.PutCopy(k.ctx, &store.MediaCopy{Workspace: ws, Media: m.ID, Connector: k.connector, Sealed: []byte("x")}))
				k.gone("delete", k.s.DeleteMedia(k.ctx, ws, m.ID))
			}
			list, err := k.s.Chunks(k.ctx, k.ws, m.ID, 0, 1)
			k.ok(err)
			k.same("mine", list, [][]byte{[]byte("a")})
		}},
		{"events are logged by themselves", func(k *kit) {
			changed := k.s.Changed()
			a, b := k.event("webhook.disabled", message.MessageID{}, message.ContactID{}), k.event("a.b", message.MessageID{}, message.ContactID{})
			k.ok(k.s.Append(k.ctx, []store.Event{a, b}))
			<-changed
			k.ok(k.s.Append(k.ctx, nil))
			list := k.logged()
			if len(list) != 2 {
				k.Fatalf("%d events", len(list))
			}
			k.same("first", list[0].Event, a)
			k.same("second", list[1].Event, b)
		}},
	}
}
