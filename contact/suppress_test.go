package contact_test

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func TestSuppressedFor(t *testing.T) {
	sender, other := message.SenderID{1}, message.SenderID{2}
	const all, none = "asum", ""
	for _, tt := range []struct {
		scope, reason string
		channel       message.Channel
		sender        message.SenderID
		stops         string // first letters of the purposes
	}{
		{contact.ScopeAll, "api", message.SMS, sender, all},
		{contact.ScopeMarketing, "provider:131050", message.SMS, other, "m"},
		{contact.SenderScope(sender), "keyword:STOP", message.SMS, sender, "um"},
		{contact.SenderScope(sender), "keyword:STOP", message.SMS, other, none},
		{contact.SenderScope(sender), "api", message.SMS, sender, all},
		{contact.ChannelScope(message.SMS), "keyword:STOP", message.SMS, other, "um"},
		{contact.ChannelScope(message.SMS), "keyword:STOP", message.WhatsApp, sender, none},
		{contact.ChannelScope(message.WhatsApp), "provider:131031", message.WhatsApp, sender, all},
		{"something newer", "api", message.SMS, sender, none},
	} {
		p := &contact.Person{Person: store.Person{Suppressed: []store.Suppression{{Scope: tt.scope, Reason: tt.reason}}}}
		got := ""
		for _, purpose := range message.Purposes {
			reason, yes := p.SuppressedFor([16]byte{}, tt.channel, tt.sender, purpose)
			if yes {
				got += string(purpose[0])
			}
			if yes != (reason == tt.reason) {
				t.Errorf("%+v: reason %q", tt, reason)
			}
		}
		if got != tt.stops {
			t.Errorf("%s by %s on %s stops %q, want %q", tt.scope, tt.reason, tt.channel, got, tt.stops)
		}
	}
}

func TestWindowOfAnAccount(t *testing.T) {
	sender := message.SenderID{1}
	phoneA, phoneB, scoped := [16]byte{1}, [16]byte{2}, [16]byte{3}
	person := func(identities ...store.Identity) *contact.Person {
		return &contact.Person{Person: store.Person{Identities: identities, Windows: []store.Window{
			{Identity: scoped, Sender: sender, Kind: "service", ClosesAt: noon.Add(24 * time.Hour)},
			{Identity: scoped, Sender: sender, Kind: "entry_point", ClosesAt: noon.Add(time.Hour)},
			{Identity: phoneA, Sender: sender, Kind: "service", ClosesAt: noon.Add(-time.Hour)},
		}}}
	}
	a := store.Identity{Index: phoneA, Channel: message.Phone}
	b := store.Identity{Index: phoneB, Channel: message.Phone}
	s := store.Identity{Index: scoped, Channel: message.WhatsApp}
	for _, tt := range []struct {
		name  string
		of    *contact.Person
		index [16]byte
		want  bool
	}{
		{"its own", person(a, s), scoped, true},
		{"the only number of the account", person(a, s), phoneA, true},
		{"one of two numbers", person(a, b, s), phoneB, false},
		{"an address taken away", person(s), phoneA, false},
	} {
		closes, kind, open := tt.of.Window(tt.index, sender, noon)
		if open != tt.want {
			t.Errorf("%s: open %v", tt.name, open)
		}
		if open && (kind != "entry_point" || !closes.Equal(noon.Add(24*time.Hour))) {
			t.Errorf("%s: %s until %v", tt.name, kind, closes)
		}
	}
}
