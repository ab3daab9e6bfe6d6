package workspace

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func TestTemplatesGroupsVariantsByTimeToLive(t *testing.T) {
	one, two := message.SenderID{1}, message.SenderID{2}
	template := func(sender message.SenderID, name, language string, ttl time.Duration) *store.Template {
		return &store.Template{Sender: sender, Name: name, Language: language, TTL: ttl}
	}
	c, err := newConfig(&store.Configuration{
		Settings: json.RawMessage(`{"template_variants": {"boarding": ["boarding", "pass_quick"]}, "of_the_future": 1}`),
		Templates: []*store.Template{
			template(one, "boarding", "fr", 0),
			template(one, "boarding_ttl3600", "fr", time.Hour),
			template(one, "boarding_ttl60", "fr", time.Minute),
			template(one, "boarding_ttl60", "en", time.Minute),
			template(one, "boarding_ttlx", "fr", time.Minute),
			template(one, "pass_quick", "fr", 10*time.Minute),
			template(two, "boarding_ttl60", "fr", time.Minute),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	names := func(list []*store.Template) (out []string) {
		for _, one := range list {
			out = append(out, one.Name)
		}
		return out
	}
	for _, tt := range []struct {
		name, language string
		want           []string
	}{
		{"boarding", "fr", []string{"boarding_ttl60", "pass_quick", "boarding_ttl3600", "boarding"}},
		{"boarding", "en", []string{"boarding_ttl60"}},
		{"boarding_ttl60", "fr", []string{"boarding_ttl60"}},
		{"boarding", "de", nil},
		{"boarding_ttlx", "fr", []string{"boarding_ttlx"}},
		{"pass_quick", "fr", []string{"pass_quick"}},
	} {
		if diff := cmp.Diff(tt.want, names(c.Templates(one, tt.name, tt.language))); diff != "" {
			t.Errorf("%s/%s: %s", tt.name, tt.language, diff)
		}
	}
}

func TestConfigLooksUp(t *testing.T) {
	older := &store.Sender{ID: message.SenderID{1}, Channel: message.SMS, Address: "36180"}
	newer := &store.Sender{ID: message.SenderID{2}, Channel: message.SMS, Address: "36180"}
	other := &store.Sender{ID: message.SenderID{3}, Channel: message.WhatsApp, Address: "36180"}
	account := &store.Connector{ID: message.ConnectorID{9}}
	c, err := newConfig(&store.Configuration{Senders: []*store.Sender{other, newer, older}, Connectors: []*store.Connector{account}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.SendersOf(message.SMS); len(got) != 2 || got[0] != older || got[1] != newer {
		t.Error("senders of a channel are not oldest first")
	}
	if c.SenderByAddress(message.SMS, "36180") != older || c.SenderByAddress(message.WhatsApp, "36180") != other || c.SenderByAddress(message.SMS, "1") != nil {
		t.Error("a sender is not found by its address")
	}
	if c.Sender(newer.ID) != newer || c.Sender(message.SenderID{7}) != nil || c.Connector(account.ID) != account || c.Connector(message.ConnectorID{8}) != nil {
		t.Error("a row is not found by its id")
	}
}
