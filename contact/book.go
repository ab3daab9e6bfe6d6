package contact

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

const (
	// A person with one number takes about 310 bytes: 31 MB in all.
	defaultSize = 100_000
	// hotSealers bounds the expanded keys held: 800 bytes each.
	hotSealers = 1024
)

// Options are what a Book stands on.
type Options struct {
	Store      store.Contacts
	Workspaces *workspace.Registry
	Now        func() time.Time
	IDs        *id.Maker
	Size       int // persons held in memory; 0 = 100,000
}

// A Book finds people by address or id and keeps those asked for lately in
// memory. It is safe for concurrent use.
type Book struct {
	store      store.Contacts
	workspaces *workspace.Registry
	now        func() time.Time
	ids        *id.Maker
	cache      *cache
	homes      sync.Map // message.WorkspaceID → *home
	sealers    [hotSealers]atomic.Pointer[Person]
	sealerNext atomic.Uint32
}

// New makes an empty Book.
func New(o Options) *Book {
	if o.Size <= 0 {
		o.Size = defaultSize
	}
	return &Book{store: o.Store, workspaces: o.Workspaces, now: o.Now, ids: o.IDs, cache: newCache(o.Size)}
}

func (b *Book) home(ctx context.Context, ws message.WorkspaceID) (*home, error) {
	if h, ok := b.homes.Load(ws); ok {
		return h.(*home), nil
	}
	w, err := b.workspaces.Get(ctx, ws)
	if err != nil {
		return nil, err
	}
	h, _ := b.homes.LoadOrStore(ws, &home{book: b, keys: w.Keys})
	return h.(*home), nil
}

// Index gives the blind index of an address.
func (b *Book) Index(ctx context.Context, ws message.WorkspaceID, a message.Address) ([16]byte, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return [16]byte{}, err
	}
	return index(h.keys, a), nil
}

// Resolve gives the person behind an address, or nil when nobody is known by
// it. A person asked for lately costs no reading.
func (b *Book) Resolve(ctx context.Context, ws message.WorkspaceID, a message.Address) (*Person, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	at := index(h.keys, a)
	if p := b.held(ctx, h, b.cache.find(ws, at)); p != nil {
		return p, nil
	}
	people, _, err := b.read(ctx, h, ws, [][16]byte{at})
	if err != nil {
		return nil, err
	}
	return people[0], nil
}

// ResolveAll is Resolve for many, with one reading for all who are not in
// memory; nil where nobody is known.
func (b *Book) ResolveAll(ctx context.Context, ws message.WorkspaceID, as []message.Address) ([]*Person, error) {
	out, _, err := b.resolveAll(ctx, ws, as)
	return out, err
}

// Find is ResolveAll that gives a draft (see Draft) where nobody is known: one
// reading answers both questions. An address given twice gives the same
// person.
func (b *Book) Find(ctx context.Context, ws message.WorkspaceID, as []message.Address) ([]*Person, error) {
	out, unknown, err := b.resolveAll(ctx, ws, as)
	if err != nil {
		return nil, err
	}
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	drafts := make(map[[16]byte]*Person)
	for i, p := range out {
		if p != nil {
			continue
		}
		at := index(h.keys, as[i])
		if drafts[at] == nil {
			if drafts[at], err = b.draft(h, ws, as[i:i+1], unknown[at]); err != nil {
				return nil, err
			}
		}
		out[i] = drafts[at]
	}
	return out, nil
}

func (b *Book) resolveAll(ctx context.Context, ws message.WorkspaceID, as []message.Address) ([]*Person, map[[16]byte][]store.Suppression, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, nil, err
	}
	indexes := make([][16]byte, len(as))
	for i, a := range as {
		indexes[i] = index(h.keys, a)
	}
	return b.behind(ctx, h, ws, indexes)
}

// Behind gives the people behind blind indexes, nil where there is none: those
// not in memory with one reading.
func (b *Book) Behind(ctx context.Context, ws message.WorkspaceID, indexes [][16]byte) ([]*Person, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	people, _, err := b.behind(ctx, h, ws, indexes)
	return people, err
}

func (b *Book) behind(ctx context.Context, h *home, ws message.WorkspaceID, indexes [][16]byte) ([]*Person, map[[16]byte][]store.Suppression, error) {
	out := make([]*Person, len(indexes))
	var missing [][16]byte
	var places []int
	for i, at := range indexes {
		if out[i] = b.held(ctx, h, b.cache.find(ws, at)); out[i] == nil {
			missing = append(missing, at)
			places = append(places, i)
		}
	}
	if len(missing) == 0 {
		return out, nil, nil
	}
	people, unknown, err := b.read(ctx, h, ws, missing)
	if err != nil {
		return nil, nil, err
	}
	for i, place := range places {
		out[place] = people[i]
	}
	return out, unknown, nil
}

// read asks the store for indexes. Suppressions of those without a contact
// come apart.
func (b *Book) read(ctx context.Context, h *home, ws message.WorkspaceID, indexes [][16]byte) ([]*Person, map[[16]byte][]store.Suppression, error) {
	var f found
	var err error
	if len(indexes) == 1 {
		f, err = b.look(ctx, h, ws, indexes[0])
	} else {
		f, err = b.rows(ctx, ws, indexes)
	}
	if err != nil {
		return nil, nil, err
	}
	out := make([]*Person, len(f.rows))
	var unknown map[[16]byte][]store.Suppression
	for i, row := range f.rows {
		switch {
		case row == nil:
		case row.ID.IsZero():
			if unknown == nil {
				unknown = make(map[[16]byte][]store.Suppression)
			}
			unknown[indexes[i]] = row.Suppressed
		default:
			if out[i], err = b.admit(ctx, h, row, f.seen); err != nil {
				return nil, nil, err
			}
		}
	}
	return out, unknown, nil
}

// admit opens the key of a person that was read and holds them in memory.
func (b *Book) admit(ctx context.Context, h *home, row *store.Person, seen uint64) (*Person, error) {
	p := &Person{Person: *row, wrapped: row.Key, home: h}
	p.Key = nil
	if p.Erased() {
		return p, nil
	}
	if err := b.unlock(ctx, p); err != nil {
		return nil, err
	}
	if seen != notHeld {
		b.cache.put(p.pack(), seen)
	}
	return p, nil
}

// unlock opens the key of a person.
func (b *Book) unlock(ctx context.Context, p *Person) error {
	return b.workspaces.Retry(ctx, p.Workspace, func() (err error) {
		p.key, err = p.home.keys.OpenContactKey(p.ID, p.wrapped)
		return err
	})
}

// held makes a person of what memory holds; nil of nothing, and where the key is
// wrapped under one that was retired since.
func (b *Book) held(ctx context.Context, h *home, from packed) *Person {
	if from == nil {
		return nil
	}
	p := from.unpack()
	p.home = h
	if b.unlock(ctx, p) != nil {
		return nil
	}
	return p
}

// ByID gives a person by id. It fails with store.ErrNotFound; someone who was
// erased is found, with Erased true.
func (b *Book) ByID(ctx context.Context, ws message.WorkspaceID, contact message.ContactID) (*Person, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	if p := b.held(ctx, h, b.cache.get(ws, contact)); p != nil {
		return p, nil
	}
	seen := b.cache.seen()
	row, err := b.store.Contact(ctx, ws, contact)
	if err != nil {
		return nil, err
	}
	return b.admit(ctx, h, row, seen)
}

// Draft makes a person who is not stored yet, known by the given addresses:
// New holds what to store, and suppressions that were kept for an address are
// filled in. If someone is known by one of the addresses after all, it gives
// them, without New.
func (b *Book) Draft(ctx context.Context, ws message.WorkspaceID, as ...message.Address) (*Person, error) {
	people, unknown, err := b.resolveAll(ctx, ws, as)
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		if p != nil {
			return p, nil
		}
	}
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	var kept []store.Suppression
	for _, list := range unknown {
		kept = append(kept, list...)
	}
	return b.draft(h, ws, as, kept)
}

func (b *Book) draft(h *home, ws message.WorkspaceID, as []message.Address, kept []store.Suppression) (*Person, error) {
	if len(as) == 0 {
		return nil, ErrNoAddress
	}
	now := b.now()
	p := &Person{home: h}
	p.ID, p.Workspace, p.CreatedAt = b.ids.Contact(now), ws, now
	key, wrapped := h.keys.NewContactKey(p.ID)
	p.key, p.wrapped, p.KeyVersion = key, wrapped, int32(vault.WrappedVersion(wrapped))
	p.Suppressed = kept
	for _, a := range as {
		one, err := p.SealIdentity(a, now)
		if err != nil {
			return nil, err
		}
		p.Identities = append(p.Identities, one)
	}
	p.New = &store.NewContact{
		ID: p.ID, Workspace: ws, Key: wrapped, KeyVersion: p.KeyVersion,
		CreatedAt: now, Identities: p.Identities,
	}
	return p, nil
}

// Stored says that a draft was committed: the next Resolve finds them in
// memory. A version that the store counted further is found out by the guard.
func (b *Book) Stored(p *Person) {
	if p.New == nil {
		return
	}
	q := &Person{Person: p.Person, wrapped: p.wrapped}
	q.Profile = p.New.Profile
	q.Version = max(q.Version, 1)
	b.cache.put(q.pack(), b.cache.seen())
}

// Forget drops a person from memory: something about them changed, or a
// verdict said that what is held is old.
func (b *Book) Forget(ws message.WorkspaceID, contact message.ContactID) {
	b.cache.forget(ws, contact)
	// Nor does what is opened of them stay: they may have been erased.
	for i := range b.sealers {
		if p := b.sealers[i].Load(); p != nil && p.ID == contact && p.Workspace == ws && b.sealers[i].CompareAndSwap(p, nil) {
			p.shut()
		}
	}
}

// keepSealer lets at most hotSealers persons keep an expanded key.
func (b *Book) keepSealer(p *Person) {
	at := b.sealerNext.Add(1) % hotSealers
	if old := b.sealers[at].Swap(p); old != nil && old != p {
		old.shut()
	}
}

// shut lets go of what is opened of a person.
func (p *Person) shut() {
	p.sealer.Store(nil)
	p.address.Store(nil)
}

// OpenEvent implements event.Opener.
func (b *Book) OpenEvent(ctx context.Context, e *store.Event) (plain []byte, erased bool, err error) {
	p, err := b.ByID(ctx, e.Workspace, e.Contact)
	if errors.Is(err, store.ErrNotFound) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if p.Erased() {
		return nil, true, nil
	}
	plain, err = p.Open(event.SealPurpose, e.ID, e.Sealed)
	return plain, false, err
}

// SealEvent seals the personal half of an event, a JSON object.
func (p *Person) SealEvent(id message.EventID, personal []byte) ([]byte, error) {
	return p.Seal(event.SealPurpose, id, personal)
}
