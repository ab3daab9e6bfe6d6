package contact

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const maxProfile = 16 << 10

// A Profile is what a brand notes about a person. All of it is personal.
type Profile struct {
	Name     string            `json:"name,omitempty"`
	Language string            `json:"language,omitempty"` // BCP 47
	Country  string            `json:"country,omitempty"`  // ISO 3166-1 alpha-2
	Metadata map[string]string `json:"metadata,omitempty"`
}

// An Identity is an address of a person, in the clear.
type Identity struct {
	message.Address
	Index     [16]byte
	CreatedAt time.Time
}

// OpenWindow opens or renews a window and drops what is held of the person.
func (b *Book) OpenWindow(ctx context.Context, p *Person, w store.Window, events ...store.Event) error {
	defer b.Forget(p.Workspace, p.ID)
	return b.store.OpenWindow(ctx, p.Workspace, p.ID, w, events)
}

// CloseWindow ends the windows between an address and a sender at once.
func (b *Book) CloseWindow(ctx context.Context, p *Person, index [16]byte, sender message.SenderID, at time.Time, events ...store.Event) error {
	defer b.Forget(p.Workspace, p.ID)
	for i := range p.Windows {
		// The window may stand under another address of the same account.
		if w := &p.Windows[i]; w.Sender == sender && w.Identity != index && p.sameAccount(w.Identity, index) {
			if err := b.store.CloseWindow(ctx, p.Workspace, p.ID, w.Identity, sender, at, nil); err != nil {
				return err
			}
		}
	}
	return b.store.CloseWindow(ctx, p.Workspace, p.ID, index, sender, at, events)
}

// Suppress notes that the person wants nothing of a scope: ScopeAll,
// ScopeMarketing, ChannelScope or SenderScope. reason says why and is shown to
// clients; see SuppressedFor for what it means.
func (b *Book) Suppress(ctx context.Context, p *Person, index [16]byte, scope, reason string, events ...store.Event) error {
	defer b.Forget(p.Workspace, p.ID)
	return b.store.Suppress(ctx, store.Suppression{Workspace: p.Workspace, Index: index, Scope: scope, Reason: reason, At: b.now()}, events)
}

// Allow takes a suppression back, under every address of the person.
func (b *Book) Allow(ctx context.Context, p *Person, scope, reason string, events ...store.Event) error {
	defer b.Forget(p.Workspace, p.ID)
	for i := range p.Suppressed {
		s := p.Suppressed[i]
		if s.Scope != scope {
			continue
		}
		s.Workspace, s.Reason, s.At = p.Workspace, reason, b.now()
		if err := b.store.Allow(ctx, s, events); err != nil {
			return err
		}
		events = nil
	}
	return nil
}

// Remember notes that a channel does not reach an address until a time; the
// zero time forgets it.
func (b *Book) Remember(ctx context.Context, p *Person, r store.Reach) error {
	if err := b.store.Remember(ctx, p.Workspace, r.Index, r); err != nil {
		b.Forget(p.Workspace, p.ID)
		return err
	}
	q := p.copy()
	q.Reach = slices.DeleteFunc(slices.Clone(p.Reach), func(old store.Reach) bool {
		return old.Index == r.Index && old.Channel == r.Channel
	})
	if !r.Until.IsZero() {
		q.Reach = append(q.Reach, r)
	}
	b.cache.replace(p.pack(), q.pack())
	return nil
}

func (p *Person) copy() *Person {
	q := &Person{Person: p.Person, New: p.New, key: p.key, wrapped: p.wrapped, home: p.home}
	q.sealer.Store(p.sealer.Load())
	return q
}

// Create stores a new contact. It fails with store.ErrExists when an address
// belongs to someone already, ErrNoAddress or ErrProfile.
func (b *Book) Create(ctx context.Context, ws message.WorkspaceID, profile Profile, as ...message.Address) (*Person, error) {
	p, err := b.Draft(ctx, ws, as...)
	if err != nil {
		return nil, err
	}
	if p.New == nil {
		return nil, store.ErrExists
	}
	if p.New.Profile, err = p.sealProfile(profile); err != nil {
		return nil, err
	}
	if err := b.store.CreateContact(ctx, p.New, b.events(p, event.ContactCreated, nil)); err != nil {
		return nil, err
	}
	b.Stored(p)
	return b.ByID(ctx, ws, p.ID)
}

// events makes one event about a person that holds nothing personal.
func (b *Book) events(p *Person, kind string, data []byte) []store.Event {
	now := b.now()
	return []store.Event{{ID: message.EventID(b.ids.Next(now)), Workspace: p.Workspace, Type: kind, Contact: p.ID, At: now, Data: data}}
}

func (p *Person) sealProfile(profile Profile) ([]byte, error) {
	plain, err := json.Marshal(profile)
	if err != nil {
		return nil, err
	}
	if len(plain) > maxProfile {
		return nil, ErrProfile
	}
	return p.Seal(purposeProfile, p.ID, plain)
}

// OpenProfile gives what is noted about the person; the zero Profile when
// nothing is. It fails with ErrErased.
func (p *Person) OpenProfile() (Profile, error) {
	var out Profile
	if p.Erased() {
		return out, ErrErased
	}
	if len(p.Person.Profile) == 0 {
		return out, nil
	}
	plain, err := p.Open(purposeProfile, p.ID, p.Person.Profile)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(plain, &out)
}

// Profile is OpenProfile.
func (b *Book) Profile(p *Person) (Profile, error) { return p.OpenProfile() }

// SetProfile replaces what is noted about the person and gives them anew.
func (b *Book) SetProfile(ctx context.Context, p *Person, profile Profile) (*Person, error) {
	sealed, err := p.sealProfile(profile)
	if err != nil {
		return nil, err
	}
	err = b.store.SetProfile(ctx, p.Workspace, p.ID, sealed, b.events(p, event.ContactUpdated, nil))
	return b.again(ctx, p, err)
}

// AddIdentity gives the person a further address. It fails with
// store.ErrExists when it is someone else's.
func (b *Book) AddIdentity(ctx context.Context, p *Person, a message.Address) (*Person, error) {
	one, err := p.SealIdentity(a, b.now())
	if err != nil {
		return nil, err
	}
	err = b.store.AddIdentity(ctx, p.Workspace, p.ID, one, b.events(p, event.IdentityChanged, []byte(`{"change":"added"}`)))
	return b.again(ctx, p, err)
}

// RemoveIdentity takes an address from the person.
func (b *Book) RemoveIdentity(ctx context.Context, p *Person, index [16]byte) (*Person, error) {
	err := b.store.RemoveIdentity(ctx, p.Workspace, p.ID, index, b.events(p, event.IdentityChanged, []byte(`{"change":"removed"}`)))
	return b.again(ctx, p, err)
}

// again reads a person after a write, whether it worked or not known.
func (b *Book) again(ctx context.Context, p *Person, err error) (*Person, error) {
	b.Forget(p.Workspace, p.ID)
	if err != nil {
		return nil, err
	}
	return b.ByID(ctx, p.Workspace, p.ID)
}

// List pages through the contacts, newest first; the zero id begins.
func (b *Book) List(ctx context.Context, ws message.WorkspaceID, before message.ContactID, limit int) ([]*Person, error) {
	h, err := b.home(ctx, ws)
	if err != nil {
		return nil, err
	}
	rows, err := b.store.ContactList(ctx, ws, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]*Person, 0, len(rows))
	for _, row := range rows {
		// A page is leafed through once: it must not push out who is written to.
		p, err := b.admit(ctx, h, row, notHeld)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Identities gives the person's addresses in the clear; none of someone
// erased.
func (b *Book) Identities(p *Person) ([]Identity, error) {
	out := make([]Identity, 0, len(p.Identities))
	for i := range p.Identities {
		one := &p.Identities[i]
		a, err := p.OpenIdentity(one)
		if err != nil {
			return nil, err
		}
		out = append(out, Identity{Address: a, Index: one.Index, CreatedAt: one.CreatedAt})
	}
	return out, nil
}
