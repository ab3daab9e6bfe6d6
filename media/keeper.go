package media

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// How long things live.
const (
	defaultKeep    = 30 * 24 * time.Hour  // uploads whose request does not say
	longestKeep    = 366 * 24 * time.Hour // of an upload
	defaultInbound = 90 * 24 * time.Hour  // what people send
	defaultLink    = 30 * 24 * time.Hour
	openFor        = time.Hour           // a file whose upload was cut off
	copyFor        = 29 * 24 * time.Hour // at a provider: Meta keeps uploads 30 days (Cloud API, Media, November 2026)
)

// The purposes under which files are sealed; the row is the file's id.
const (
	sealFacts = "media.facts"
	sealChunk = "media_chunks.sealed:" // and the chunk's number
	sealCopy  = "media_copies.sealed"
)

// Options are what a Keeper stands on. Store, Workspaces, People, IDs, Now and
// Log are needed.
type Options struct {
	Store      store.Media
	Workspaces *workspace.Registry
	People     *contact.Book
	Types      []channel.Type // whose capabilities bound size and type
	IDs        *id.Maker
	Now        func() time.Time
	Log        *slog.Logger  // ids only
	Public     string        // our base URL as phones see it; "" = there are no links
	LinkFor    time.Duration // life of links; 0 = 30 days
	InboundFor time.Duration // life of what people send; 0 = 90 days
}

// A Keeper keeps files. Make it with New; it is safe for concurrent use.
type Keeper struct {
	o      Options
	known  shelf[fileKey, *File]
	copies shelf[copyKey, copyAt]
	locks  sync.Map // copyKey → *sync.Mutex: one upload of a file at a time
}

type fileKey struct {
	ws message.WorkspaceID
	id message.MediaID
}

// New makes a Keeper.
func New(o Options) (*Keeper, error) {
	if o.Store == nil || o.Workspaces == nil || o.People == nil || o.IDs == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("media: Store, Workspaces, People, IDs, Now and Log are needed")
	}
	if o.LinkFor <= 0 {
		o.LinkFor = defaultLink
	}
	if o.InboundFor <= 0 {
		o.InboundFor = defaultInbound
	}
	o.Public = strings.TrimRight(o.Public, "/")
	return &Keeper{o: o}, nil
}

// A File is what is told of a file. Name is personal.
type File struct {
	ID        message.MediaID
	Workspace message.WorkspaceID
	Contact   message.ContactID // zero = the brand's own
	Message   message.MessageID // the message it came with; zero = uploaded
	Type      message.MediaType
	MIME      string
	Name      string // as it was given, without folders; may be empty
	Size      int64  // bytes
	SHA256    string // hex
	State     store.MediaState
	CreatedAt time.Time
	ExpiresAt time.Time // zero = kept until deleted
}

// facts are the sealed part of a File.
type facts struct {
	Name     string `json:"name,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Size     int64  `json:"size,omitempty"` // again: chunks cannot be cut off unseen
	Provider string `json:"provider,omitempty"`
}

// seal seals a value under the key of who a file belongs to.
func (k *Keeper) seal(ctx context.Context, m *store.MediaFile, purpose string, plain []byte) ([]byte, error) {
	if m.Contact.IsZero() {
		return k.o.Workspaces.SealWorkspace(ctx, m.Workspace, purpose, m.ID, plain)
	}
	p, err := k.o.People.ByID(ctx, m.Workspace, m.Contact)
	if err != nil {
		return nil, err
	}
	return p.Seal(purpose, m.ID, plain)
}

// open opens what seal sealed.
func (k *Keeper) open(ctx context.Context, m *store.MediaFile, purpose string, sealed []byte) ([]byte, error) {
	if m.Contact.IsZero() {
		return k.o.Workspaces.OpenWorkspace(ctx, m.Workspace, purpose, m.ID, sealed)
	}
	p, err := k.o.People.ByID(ctx, m.Workspace, m.Contact)
	if err != nil {
		return nil, err
	}
	return p.Open(purpose, m.ID, sealed)
}

func (k *Keeper) facts(ctx context.Context, m *store.MediaFile) (facts, error) {
	var f facts
	raw, err := k.open(ctx, m, sealFacts, m.Sealed)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(raw, &f)
}

func (k *Keeper) setFacts(ctx context.Context, m *store.MediaFile, f *facts) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	m.Sealed, err = k.seal(ctx, m, sealFacts, raw)
	return err
}

// expired reports whether a file may not be read any more, though the purge
// has not come yet.
func (k *Keeper) expired(m *store.MediaFile) bool {
	return !m.ExpiresAt.IsZero() && !k.o.Now().Before(m.ExpiresAt)
}

// File tells of a file that is not being uploaded. It fails with
// store.ErrNotFound, also when it expired.
func (k *Keeper) File(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*File, error) {
	_, f, err := k.file(ctx, ws, id)
	return f, err
}

func (k *Keeper) file(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*store.MediaFile, *File, error) {
	m, err := k.o.Store.MediaFile(ctx, ws, id)
	if err != nil {
		return nil, nil, err
	}
	if k.expired(m) || m.State == store.MediaOpen {
		return nil, nil, store.ErrNotFound
	}
	f, err := k.facts(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	return m, &File{
		ID: m.ID, Workspace: m.Workspace, Contact: m.Contact, Message: m.Message, Type: m.Type, MIME: m.MIME, Name: f.Name,
		Size: m.Size, SHA256: f.SHA256, State: m.State, CreatedAt: m.CreatedAt, ExpiresAt: m.ExpiresAt,
	}, nil
}

// rememberFor bounds how late another node's deletion is seen by Known.
const rememberFor = time.Minute

// Known is File for a file that is here whole, from memory for a minute: what a
// campaign attaches is asked for with every message.
func (k *Keeper) Known(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*File, error) {
	now := k.o.Now()
	if f, ok := k.known.get(fileKey{ws, id}, now); ok {
		return f, nil
	}
	f, err := k.File(ctx, ws, id)
	if err != nil {
		return nil, err
	}
	if f.State != store.MediaReady {
		return nil, store.ErrNotFound
	}
	until := now.Add(rememberFor)
	if !f.ExpiresAt.IsZero() && f.ExpiresAt.Before(until) {
		until = f.ExpiresAt
	}
	if f.Contact.IsZero() { // of a person nothing is remembered past their erasure
		k.known.put(fileKey{ws, id}, f, until)
	}
	return f, nil
}

// Delete deletes a file: its links open nothing any more. It fails with
// store.ErrNotFound.
func (k *Keeper) Delete(ctx context.Context, ws message.WorkspaceID, id message.MediaID) error {
	k.known.drop(fileKey{ws, id})
	return k.o.Store.DeleteMedia(ctx, ws, id)
}

// A shelf is a small memory whose entries end by time.
type shelf[K comparable, V any] struct {
	mu   sync.Mutex
	rows map[K]shelved[V]
}

type shelved[V any] struct {
	v     V
	until time.Time
}

const shelfSize = 1024

func (s *shelf[K, V]) get(key K, now time.Time) (v V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[key]
	if !ok || !now.Before(row.until) {
		return v, false
	}
	return row.v, true
}

func (s *shelf[K, V]) put(key K, v V, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil || len(s.rows) >= shelfSize {
		s.rows = make(map[K]shelved[V])
	}
	s.rows[key] = shelved[V]{v, until}
}

func (s *shelf[K, V]) drop(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, key)
}
