package contact

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// What is held of a person in memory is all of them.
func TestPackedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := func(name string) (v [16]byte) {
			copy(v[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
			return v
		}
		at := func(name string) time.Time {
			if us := rapid.Int64Range(0, 4e15).Draw(t, name); us > 0 {
				return time.UnixMicro(us).UTC()
			}
			return time.Time{}
		}
		word := func(name string) string { return rapid.StringN(0, 20, 40).Draw(t, name) }
		bytes := func(name string) []byte { return rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, name) }
		channel := func() message.Channel {
			return rapid.SampledFrom([]message.Channel{message.Phone, message.SMS, message.WhatsApp, "viber", ""}).Draw(t, "channel")
		}
		p := &Person{wrapped: bytes("wrapped")}
		p.ID, p.Workspace, p.Version = message.ContactID(id("contact")), message.WorkspaceID(id("workspace")), rapid.Int64Range(0, 1<<62).Draw(t, "version")
		p.KeyVersion, p.CreatedAt = rapid.Int32Range(0, 1<<30).Draw(t, "key version"), at("created")
		if rapid.Bool().Draw(t, "described") {
			p.Profile = bytes("profile")
		}
		p.Identities = make([]store.Identity, rapid.IntRange(0, 3).Draw(t, "identities"))
		for i := range p.Identities {
			p.Identities[i] = store.Identity{Index: id("index"), Channel: channel(), Sealed: bytes("sealed"), CreatedAt: at("since")}
		}
		for range rapid.IntRange(0, 2).Draw(t, "windows") {
			p.Windows = append(p.Windows, store.Window{Identity: id("of"), Sender: message.SenderID(id("sender")), Kind: word("kind"), OpenedBy: message.MessageID(id("by")), OpenedAt: at("opened"), ClosesAt: at("closes")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "suppressed") {
			p.Suppressed = append(p.Suppressed, store.Suppression{Workspace: p.Workspace, Index: id("of"), Scope: word("scope"), Reason: word("reason"), At: at("at")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "reach") {
			p.Reach = append(p.Reach, store.Reach{Index: id("of"), Channel: channel(), Code: word("code"), Until: at("until")})
		}
		b := p.pack()
		back := b.unpack()
		if diff := cmp.Diff(p.Person, back.Person); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(p.wrapped, back.wrapped); diff != "" {
			t.Fatal(diff)
		}
		if b.workspace() != p.Workspace || b.contact() != p.ID || b.version() != p.Version {
			t.Fatal("the head of a packed person is not theirs")
		}
		for i := range p.Identities {
			if !b.has(p.Identities[i].Index) {
				t.Fatal("a packed person is not found by an index of theirs")
			}
		}
		if b.has([16]byte{1, 2, 3}) {
			t.Fatal("a packed person is found by an index that is not theirs")
		}
	})
}

// Whoever is forgotten leaves no opened key and no address in the clear behind,
// and no more than hotSealers others keep theirs.
func TestForgetShuts(t *testing.T) {
	b := &Book{cache: newCache(64)}
	people := make([]*Person, hotSealers+10)
	for i := range people {
		p := new(Person)
		p.ID = message.ContactID{byte(i), byte(i >> 8), 1}
		p.sealer.Store(new(vault.Sealer))
		p.address.Store(&opened{})
		b.keepSealer(p)
		people[i] = p
	}
	last := people[len(people)-1]
	b.Forget(message.WorkspaceID{}, last.ID)
	held := 0
	for _, p := range people {
		if (p.sealer.Load() == nil) != (p.address.Load() == nil) {
			t.Fatal("half shut")
		}
		if p.sealer.Load() != nil {
			held++
		}
	}
	if last.sealer.Load() != nil || held != hotSealers-1 {
		t.Errorf("%d keep their keys, the forgotten one too: %v", held, last.sealer.Load() != nil)
	}
}
