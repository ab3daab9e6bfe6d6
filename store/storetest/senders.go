package storetest

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func (k *kit) configuration() *store.Configuration {
	k.Helper()
	c, err := k.s.Configuration(k.ctx, k.ws)
	k.ok(err)
	return c
}

func (k *kit) account() *store.Connector {
	return &store.Connector{
		ID: k.id(), Workspace: k.ws, Kind: "smpp", Name: "SMSC", Sealed: []byte("secret"), KeyVersion: 1,
		Health: store.Health{State: "ok", At: k.now}, CreatedAt: k.now,
	}
}

func sendersTests() []test {
	return []test{
		{"configuration is read whole, at one version", func(k *kit) {
			account := k.account()
			sender := &store.Sender{
				ID: k.id(), Workspace: k.ws, Channel: message.SMS, Address: "36000", Display: "Brand",
				Connectors: []message.ConnectorID{account.ID}, Settings: json.RawMessage(`{"a":1}`), CreatedAt: k.now,
			}
			template := &store.Template{
				ID: k.id(), Workspace: k.ws, Sender: sender.ID, Provider: "17", Name: "boarding", Language: "fr", Category: message.Utility,
				State: message.TemplateApproved, TTL: time.Minute, Body: "Vol {{1}}", Named: true, Components: json.RawMessage(`[{"type":"BODY"}]`), Reason: "r", UpdatedAt: k.now,
			}
			e := k.event("connector.created", message.MessageID{}, message.ContactID{})
			k.ok(k.s.PutConnector(k.ctx, account, []store.Event{e}))
			k.ok(k.s.PutSender(k.ctx, sender, nil))
			k.ok(k.s.PutTemplate(k.ctx, template, nil))
			k.ok(k.s.SetSettings(k.ctx, k.ws, json.RawMessage(`{"route":[]}`)))
			c := k.configuration()
			k.same("configuration", c, &store.Configuration{
				Workspace: k.ws, Version: c.Version, Settings: json.RawMessage(`{"route":[]}`),
				Senders: []*store.Sender{sender}, Connectors: []*store.Connector{account}, Templates: []*store.Template{template},
			})
			versions, err := k.s.ConfigVersions(k.ctx)
			k.ok(err)
			k.same("version", versions[k.ws], c.Version)
			if n := len(k.logged()); n != 1 {
				k.Errorf("%d events", n)
			}
		}},
		{"every write raises the version", func(k *kit) {
			account := k.account()
			sender := &store.Sender{ID: k.id(), Workspace: k.ws, Channel: message.SMS, CreatedAt: k.now}
			template := &store.Template{ID: k.id(), Workspace: k.ws, Sender: sender.ID, Name: "a", Language: "fr", UpdatedAt: k.now}
			last := k.configuration().Version
			for i, write := range []func() error{
				func() error { return k.s.PutConnector(k.ctx, account, nil) },
				func() error { return k.s.PutConnector(k.ctx, account, nil) },
				func() error { return k.s.PutSender(k.ctx, sender, nil) },
				func() error { return k.s.PutTemplate(k.ctx, template, nil) },
				func() error {
					return k.s.SetHealth(k.ctx, k.ws, account.ID, store.Health{State: "misconfigured", Code: "190", Reason: "token", At: k.now}, nil)
				},
				func() error { return k.s.SetSettings(k.ctx, k.ws, json.RawMessage(`{}`)) },
				func() error { return k.s.DeleteTemplate(k.ctx, k.ws, template.ID) },
				func() error { return k.s.DeleteSender(k.ctx, k.ws, sender.ID) },
				func() error { return k.s.DeleteConnector(k.ctx, k.ws, account.ID) },
			} {
				k.ok(write())
				v := k.configuration().Version
				if v <= last {
					k.Errorf("write %d: version %d after %d", i, v, last)
				}
				last = v
				if i == 4 {
					c := k.configuration().Connectors[0]
					if c.Health.State != "misconfigured" || c.Health.Code != "190" || string(c.Sealed) != "secret" {
						k.Errorf("health %+v", c.Health)
					}
				}
			}
			c := k.configuration()
			if len(c.Senders)+len(c.Connectors)+len(c.Templates) != 0 {
				k.Errorf("left: %+v", c)
			}
		}},
		{"a template is replaced by sender, name and language", func(k *kit) {
			t := &store.Template{ID: k.id(), Workspace: k.ws, Sender: k.sender, Name: "a", Language: "fr", State: message.TemplatePending, UpdatedAt: k.now}
			k.ok(k.s.PutTemplate(k.ctx, t, nil))
			again := *t
			again.ID, again.State = k.id(), message.TemplateApproved
			k.ok(k.s.PutTemplate(k.ctx, &again, nil))
			other := *t
			other.ID, other.Language = k.id(), "en"
			k.ok(k.s.PutTemplate(k.ctx, &other, nil))
			c := k.configuration()
			if len(c.Templates) != 2 {
				k.Fatalf("%d templates, want 2", len(c.Templates))
			}
			for _, x := range c.Templates {
				if x.Language == "fr" && x.State != message.TemplateApproved {
					k.Errorf("state %s", x.State)
				}
			}
		}},
		{"what is not there cannot be changed", func(k *kit) {
			for i, err := range []error{
				k.s.SetHealth(k.ctx, k.ws, k.id(), store.Health{State: "ok"}, nil),
				k.s.DeleteSender(k.ctx, k.ws, k.id()),
				k.s.DeleteConnector(k.ctx, k.ws, k.id()),
				k.s.DeleteTemplate(k.ctx, k.ws, k.id()),
			} {
				if !errors.Is(err, store.ErrNotFound) {
					k.Errorf("%d: %v", i, err)
				}
			}
		}},
	}
}
