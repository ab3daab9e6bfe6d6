package contact

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// PurposeContent is the purpose under which a message's content is sealed; the
// row is the message's id.
const PurposeContent = "messages.content"

// The purposes under which this package seals with a contact's key.
const (
	purposeAddress = "identities.address" // the row is the blind index
	purposeProfile = "contacts.profile"   // the row is the contact's id
)

// A Person is a contact at one version, with its key opened. It never changes:
// methods of Book give or cache another one. Key is left out: Erased tells
// whether there is one.
type Person struct {
	store.Person
	// New is set on a draft: what to store with the first message.
	New *store.NewContact

	key     vault.ContactKey
	wrapped []byte // the key as it is stored
	sealer  atomic.Pointer[vault.Sealer]
	address atomic.Pointer[opened] // given last
	home    *home
}

// opened is the address of one of a person's identities.
type opened struct {
	identity int
	message.Address
}

// home is what all persons of a workspace share.
type home struct {
	book  *Book
	keys  *vault.Workspace
	looks looks
}

// Erased reports whether the person was erased: nothing of them can be read.
func (p *Person) Erased() bool { return !p.ErasedAt.IsZero() }

// Index gives the blind index of an address in the person's workspace.
func (p *Person) Index(a message.Address) [16]byte { return index(p.home.keys, a) }

// index is the one place that says how an address becomes a blind index:
// "phone" for numbers, "channel:scope" for ids that a channel gave.
func index(keys *vault.Workspace, a message.Address) [16]byte {
	if a.Scope == "" {
		return keys.Index(string(a.Channel), a.ID)
	}
	return keys.Index(string(a.Channel)+":"+a.Scope, a.ID)
}

// Seal seals a value under the person's key. purpose names table and column,
// id the row; both must be the same at Open. It fails with ErrErased.
func (p *Person) Seal(purpose string, id [16]byte, plain []byte) ([]byte, error) {
	s, err := p.ready()
	if err != nil {
		return nil, err
	}
	var aad [64]byte
	return s.Seal(nil, vault.AppendAAD(aad[:0], purpose, id[:]), plain), nil
}

// Open opens what Seal sealed. It fails with ErrErased, vault.ErrFormat or
// vault.ErrOpen.
func (p *Person) Open(purpose string, id [16]byte, sealed []byte) ([]byte, error) {
	s, err := p.ready()
	if err != nil {
		return nil, err
	}
	var aad [64]byte
	return s.Open(nil, vault.AppendAAD(aad[:0], purpose, id[:]), sealed)
}

// ready gives the person's expanded key. The Book keeps only the latest few
// thousand of them.
func (p *Person) ready() (*vault.Sealer, error) {
	if s := p.sealer.Load(); s != nil {
		return s, nil
	}
	if p.Erased() {
		return nil, ErrErased
	}
	s, err := p.key.Sealer()
	if err != nil {
		return nil, err
	}
	p.sealer.Store(s)
	p.home.book.keepSealer(p)
	return s, nil
}

// Address gives the address that reaches the person on a channel and its
// index. addressed is channel.Type.Addressed: the sorts of identity the
// channel can use, the preferred one first; of several of a sort the newest is
// taken. When scopes are given, an identity that belongs to another business
// portfolio, page or app is passed over. ok is false when there is none.
func (p *Person) Address(addressed []message.Channel, scopes ...string) (a message.Address, index [16]byte, ok bool) {
	for _, sort := range addressed {
		for i := len(p.Identities) - 1; i >= 0; i-- {
			if p.Identities[i].Channel != sort {
				continue
			}
			a, err := p.open(i)
			if err == nil && (a.Scope == "" || len(scopes) == 0 || contains(scopes, a.Scope)) {
				return a, p.Identities[i].Index, true
			}
		}
	}
	return message.Address{}, [16]byte{}, false
}

// AddressOf gives the address behind an index of the person.
func (p *Person) AddressOf(index [16]byte) (message.Address, bool) {
	for i := range p.Identities {
		if p.Identities[i].Index == index {
			a, err := p.open(i)
			return a, err == nil
		}
	}
	return message.Address{}, false
}

// open is OpenIdentity for one of the person's own, which it remembers.
func (p *Person) open(i int) (message.Address, error) {
	if o := p.address.Load(); o != nil && o.identity == i {
		return o.Address, nil
	}
	a, err := p.OpenIdentity(&p.Identities[i])
	if err == nil {
		p.address.Store(&opened{i, a})
	}
	return a, err
}

// OpenIdentity gives the address of one of the person's identities.
func (p *Person) OpenIdentity(i *store.Identity) (message.Address, error) {
	plain, err := p.Open(purposeAddress, i.Index, i.Sealed)
	if err != nil {
		return message.Address{}, err
	}
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) {
		return message.Address{}, vault.ErrFormat
	}
	rest := string(plain[size:])
	return message.Address{Channel: i.Channel, Scope: rest[:n], ID: rest[n:]}, nil
}

// SealIdentity makes an identity of an address, to be stored with the person.
//
// Format of the plaintext: uvarint length of the scope, scope, id.
func (p *Person) SealIdentity(a message.Address, now time.Time) (store.Identity, error) {
	if a.Channel == "" || a.ID == "" {
		return store.Identity{}, ErrNoAddress
	}
	out := store.Identity{Index: p.Index(a), Channel: a.Channel, CreatedAt: now}
	plain := binary.AppendUvarint(make([]byte, 0, 96), uint64(len(a.Scope)))
	plain = append(append(plain, a.Scope...), a.ID...)
	var err error
	out.Sealed, err = p.Seal(purposeAddress, out.Index, plain)
	return out, err
}

// Window tells whether free-form content is allowed between an address and a
// sender: when that ends, and whether a "service" or an "entry_point" window
// is open. Of two open ones the later end counts, and the kind is entry_point,
// which is free. A window that was opened through another address of the same
// account counts too: an id that a channel gave and the person's only number
// are one account.
func (p *Person) Window(index [16]byte, sender message.SenderID, now time.Time) (closes time.Time, kind string, open bool) {
	for i := range p.Windows {
		w := &p.Windows[i]
		if w.Sender != sender || !now.Before(w.ClosesAt) || !p.sameAccount(w.Identity, index) {
			continue
		}
		if w.ClosesAt.After(closes) {
			closes = w.ClosesAt
		}
		if kind != "entry_point" {
			kind = w.Kind
		}
		open = true
	}
	return closes, kind, open
}

func (p *Person) sameAccount(a, b [16]byte) bool {
	if a == b {
		return true
	}
	var phones, known, scoped int
	for i := range p.Identities {
		one := &p.Identities[i]
		ours := one.Index == a || one.Index == b
		if ours {
			known++
		}
		if one.Channel == message.Phone {
			phones++
		} else if ours {
			scoped++
		}
	}
	return known == 2 && scoped > 0 && phones <= 1
}

// The scopes of store.Suppression.
const (
	ScopeAll       = "all"
	ScopeMarketing = "marketing"
	scopeChannel   = "channel:"
	scopeSender    = "sender:"
)

// ChannelScope gives the suppression scope of a channel.
func ChannelScope(ch message.Channel) string { return scopeChannel + string(ch) }

// SenderScope gives the suppression scope of one sender.
func SenderScope(id message.SenderID) string { return scopeSender + id.String() }

// SuppressedFor tells whether the person's own word stops a message, and the
// reason they are on the list for. A wish counts whichever of their addresses
// it came from, so index only tells the address meant.
//
// What a scope stops (facts/rules.md 3.4 and 5: a stop word stops that sender,
// an objection to marketing stops all marketing):
//
//	all        everything, one-time codes too
//	marketing  marketing, on every channel and sender
//	channel:…  marketing and utility on that channel
//	sender:…   marketing and utility from that sender
//
// So a STOP leaves what the person asks for themselves: authentication, and
// service, which answers them. A channel or sender scope whose reason begins
// with "api" or "provider:" stops everything there: the brand or the provider
// meant the address, not the subject.
func (p *Person) SuppressedFor(_ [16]byte, ch message.Channel, sender message.SenderID, purpose message.Purpose) (reason string, yes bool) {
	for i := range p.Suppressed {
		s := &p.Suppressed[i]
		if stops(s, ch, sender, purpose) {
			return s.Reason, true
		}
	}
	return "", false
}

func stops(s *store.Suppression, ch message.Channel, sender message.SenderID, purpose message.Purpose) bool {
	var here bool
	switch {
	case s.Scope == ScopeAll:
		return true
	case s.Scope == ScopeMarketing:
		return purpose == message.Marketing
	case strings.HasPrefix(s.Scope, scopeChannel):
		here = s.Scope[len(scopeChannel):] == string(ch)
	case strings.HasPrefix(s.Scope, scopeSender):
		here = s.Scope[len(scopeSender):] == sender.String()
	}
	if !here {
		return false
	}
	return purpose == message.Marketing || purpose == message.Utility ||
		strings.HasPrefix(s.Reason, "api") || strings.HasPrefix(s.Reason, "provider:")
}

// Unreachable tells whether a channel is known not to reach an address now,
// with the provider's code.
func (p *Person) Unreachable(index [16]byte, ch message.Channel, now time.Time) (code string, yes bool) {
	for i := range p.Reach {
		r := &p.Reach[i]
		if r.Index == index && r.Channel == ch && now.Before(r.Until) {
			return r.Code, true
		}
	}
	return "", false
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}
