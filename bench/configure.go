package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// configure makes connectors and senders, one of each per node, and the
// customer's webhook, through the API. What a folder that is used again has is
// deleted first, since ports differ.
func (r *run) configure(ctx context.Context) error {
	base := r.servers[0].base
	for i := range r.o.Nodes {
		config, address, err := r.account(i)
		if err != nil {
			return err
		}
		kind := map[string]string{"sms": "smpp", "whatsapp": "whatsapp_cloud"}[r.o.Channel]
		var connector, sender struct {
			ID string `json:"id"`
		}
		name := fmt.Sprintf("bench %s %d", r.o.Channel, i+1)
		if connector.ID, err = r.existing(ctx, "connectors", "name", name); err != nil {
			return err
		}
		body := map[string]any{"name": name, "config": config}
		if connector.ID != "" {
			err = r.call(ctx, "PUT", base+"/v1/connectors/"+connector.ID, body, nil)
		} else {
			body["kind"] = kind
			err = r.call(ctx, "POST", base+"/v1/connectors", body, &connector)
		}
		if err != nil {
			return err
		}
		r.connectors = append(r.connectors, connector.ID)
		if sender.ID, err = r.existing(ctx, "senders", "address", address); err != nil {
			return err
		}
		if sender.ID == "" {
			in := map[string]any{"channel": r.o.Channel, "address": address, "display": "Bench", "connectors": []string{connector.ID}}
			if err := r.call(ctx, "POST", base+"/v1/senders", in, &sender); err != nil {
				return err
			}
		}
		r.routes = append(r.routes, `[{"channel":"`+r.o.Channel+`","sender":"`+sender.ID+`"}]`)
		if r.o.Channel == "whatsapp" {
			if err := r.configureWhatsApp(ctx, connector.ID, sender.ID); err != nil {
				return err
			}
		}
	}
	if err := r.awaitConfiguration(ctx); err != nil {
		return err
	}
	if r.o.Channel == "sms" {
		if err := r.awaitLinks(ctx); err != nil {
			return err
		}
	}
	return r.configureWebhook(ctx)
}

// existing finds the id of a thing by one of its members; "" = none.
func (r *run) existing(ctx context.Context, things, member, value string) (string, error) {
	var in struct {
		Data []map[string]any `json:"data"`
	}
	if err := r.call(ctx, "GET", r.servers[0].base+"/v1/"+things, nil, &in); err != nil {
		return "", err
	}
	for _, one := range in.Data {
		if one[member] == value {
			id, _ := one["id"].(string)
			return id, nil
		}
	}
	return "", nil
}

// account is the configuration of a connector to the sandbox, and the sender's
// address on it.
func (r *run) account(i int) (config map[string]any, address string, err error) {
	if r.o.Channel == "whatsapp" {
		if i > 0 {
			return nil, "", &OptionError{"nodes", "above 1 is measured with --channel sms: the sandbox has one WhatsApp number"}
		}
		return map[string]any{
			"base_url": r.whatsapp, "phone_number_id": whatsapp.DefaultNumber, "waba_id": whatsapp.DefaultWABA,
			"token": whatsapp.DefaultToken, "app_secret": whatsapp.DefaultAppSecret, "verify_token": whatsapp.DefaultVerifyToken, "throughput": 100_000,
		}, whatsapp.DefaultNumber, nil
	}
	host, port, err := net.SplitHostPort(r.smpp)
	if err != nil {
		return nil, "", err
	}
	n, err := strconv.Atoi(port)
	receipts := "final"
	if r.o.NoReceipts {
		receipts = "none"
	}
	return map[string]any{
		"receipts": receipts, "host": host, "port": n, "system_id": smppAccount(i), "password": smsc.DefaultPassword, "binds": r.o.Binds, "window": r.o.Window,
	}, strconv.Itoa(38100 + i), err
}

func (r *run) configureWhatsApp(ctx context.Context, connector, sender string) error {
	base := r.servers[0].base
	err := r.call(ctx, "PUT", base+"/v1/templates", map[string]any{
		"sender": sender, "name": "boarding_pass", "language": "en", "category": "utility", "state": "approved", "named": true,
		"body": "Your boarding pass for flight {{flight}} is ready.",
		"components": json.RawMessage(`[{"type":"BODY","text":"Your boarding pass for flight {{flight}} is ready."},` +
			`{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Change seat"}]}]`),
	}, nil)
	if err != nil {
		return err
	}
	in := map[string]string{"url": base + "/callbacks/" + connector, "verify_token": whatsapp.DefaultVerifyToken}
	return r.until(ctx, "the sandbox cannot call back", func(ctx context.Context) error {
		return r.call(ctx, "PUT", r.control+"/callback", in, nil) // refused until the server has opened the connector
	})
}

// until tries again until something works, as long as a start may take.
func (r *run) until(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// awaitConfiguration waits until every node knows every sender.
func (r *run) awaitConfiguration(ctx context.Context) error {
	for _, s := range r.servers {
		err := r.until(ctx, "a node does not learn of the senders", func(ctx context.Context) error {
			var in struct {
				Data []json.RawMessage `json:"data"`
			}
			if err := r.call(ctx, "GET", s.base+"/v1/senders", nil, &in); err != nil {
				return err
			}
			if len(in.Data) < len(r.routes) {
				return fmt.Errorf("%d senders are known, not %d", len(in.Data), len(r.routes))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitLinks waits until every SMPP link is bound.
func (r *run) awaitLinks(ctx context.Context) error {
	want := r.o.Nodes * max(r.o.Binds, 1)
	return r.until(ctx, "the links to the sandbox's SMSC", func(ctx context.Context) error {
		st, err := r.smsc(ctx)
		if err == nil && st.Sessions < want {
			err = fmt.Errorf("%d are bound, not %d", st.Sessions, want)
		}
		return err
	})
}

// smscStats are what the sandbox's SMSC counted.
type smscStats struct {
	Sessions int   `json:"sessions"`
	Accepted int64 `json:"accepted"`
}

func (r *run) smsc(ctx context.Context) (smscStats, error) {
	var in struct {
		SMS smscStats `json:"sms"`
	}
	err := r.call(ctx, "GET", r.control+"/stats", nil, &in)
	return in.SMS, err
}

func (r *run) configureWebhook(ctx context.Context) error {
	if r.o.Webhook == 0 {
		return nil
	}
	base := r.servers[0].base
	var have struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := r.call(ctx, "GET", base+"/v1/webhooks", nil, &have); err != nil {
		return err
	}
	in := map[string]any{"url": r.sink.url + "/events"}
	if len(r.o.Types) > 0 {
		in["types"] = r.o.Types
	}
	if r.o.Webhook > 1 {
		in["batch"] = r.o.Webhook
	}
	if len(have.Data) > 0 {
		return r.call(ctx, "PUT", base+"/v1/webhooks/"+have.Data[0].ID, in, nil)
	}
	return r.call(ctx, "POST", base+"/v1/webhooks", in, nil)
}
