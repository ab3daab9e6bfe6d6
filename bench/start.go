package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// A database is the PostgreSQL under measurement.
type database struct {
	url        string
	postmaster int // process id
}

// startIn is how long a process may take until it answers.
const startIn = 60 * time.Second

func (r *run) start(ctx context.Context) error {
	r.requests.run = rand.Text()[:12]
	if r.o.URL != "" {
		return r.join(ctx)
	}
	if r.o.Webhook > 0 {
		s, err := newSink()
		if err != nil {
			return err
		}
		r.sink = s
		r.undo = append(r.undo, s.stop)
	}
	if err := r.startSandbox(ctx); err != nil {
		return err
	}
	if r.o.Store == "postgres" {
		if err := r.startPostgres(ctx); err != nil {
			return err
		}
	}
	for i := range r.o.Nodes {
		if err := r.startServer(ctx, i); err != nil {
			return err
		}
	}
	if err := r.configure(ctx); err != nil {
		return err
	}
	return r.zero(ctx)
}

// zero notes where counters stand.
func (r *run) zero(ctx context.Context) error {
	b, err := r.books(ctx)
	if err != nil {
		return err
	}
	r.ended = b.ended()
	r.began, err = r.told(ctx)
	return err
}

// join measures a server that runs already, with what it is configured with.
func (r *run) join(ctx context.Context) error {
	host, err := hostOf(r.o.URL)
	if err != nil {
		return err
	}
	r.key = r.o.APIKey
	r.servers = []*server{{address: host, host: host, base: strings.TrimSuffix(r.o.URL, "/"), admin: strings.TrimSuffix(r.o.Admin, "/")}}
	r.routes = []string{`[{"channel":"` + r.o.Channel + `"}]`}
	return r.zero(ctx)
}

func (r *run) startSandbox(ctx context.Context) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	r.whatsapp, r.smpp, r.control = "http://"+ports[0], ports[1], "http://"+ports[2]
	r.sandbox, err = r.spawn("sandbox", "sandbox", "start", "--whatsapp", ports[0], "--smpp", ports[1], "--control", ports[2],
		"--no-auto-read", "--log-level", "error", "--log-format", "json")
	if err != nil {
		return err
	}
	return r.answers(ctx, r.sandbox, r.control+"/stats")
}

// answers waits until a child answers a URL with 200.
func (r *run) answers(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	for {
		err := r.call(ctx, http.MethodGet, url, nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s does not start; it says:\n%s", p.name, p.tail())
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); it says:\n%s", p.name, err, p.tail())
		}
	}
}

// startPostgres starts a private PostgreSQL, or finds the given one's
// processes, which must be on this machine for their times to be read.
func (r *run) startPostgres(ctx context.Context) error {
	r.database = &database{url: r.o.DatabaseURL}
	if r.o.DatabaseURL == "" {
		s, err := pgtest.New()
		if err != nil {
			return err
		}
		r.undo = append(r.undo, func() error { s.Close(); return nil })
		r.database.url = s.URL("postgres")
	}
	c, err := pgx.Connect(ctx, r.database.url)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // only read from
	var backend int
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return err
	}
	s, err := readStat(backend)
	if err != nil || !strings.HasPrefix(s.name, "postgres") {
		return errors.Join(errors.New("PostgreSQL does not run on this machine: its processor time cannot be read"), err)
	}
	r.database.postmaster = s.parent
	return nil
}

// keyFile keeps the API key of a folder that is used again.
const keyFile = "bench-api-key"

func (r *run) startServer(ctx context.Context, i int) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	name := "server-" + strconv.Itoa(i+1)
	args := []string{
		"serve", "--listen", ports[0], "--admin-listen", ports[1], "--data-dir", r.o.Dir, "--node", name,
		"--webhook-allow", "127.0.0.0/8", "--log-level", "warn", "--log-format", "json",
		"--journal", filepath.Join(r.o.Dir, name+".erasures.journal"),
	}
	if r.database != nil {
		args = append(args, "--database-url", r.database.url)
	}
	p, err := r.spawn(name, args...)
	if err != nil {
		return err
	}
	s := &server{process: p, address: ports[0], host: ports[0], base: "http://" + ports[0], admin: "http://" + ports[1]}
	if err := r.answers(ctx, p, s.base+"/readyz"); err != nil {
		return err
	}
	r.servers = append(r.servers, s)
	if r.key != "" {
		return nil
	}
	path := filepath.Join(r.o.Dir, keyFile)
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	for {
		if key, ok := p.out.after("PARLEY_API_KEY="); ok {
			r.key = key
			return os.WriteFile(path, []byte(key), 0o600)
		}
		if raw, err := os.ReadFile(path); err == nil {
			r.key = string(raw)
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s printed no API key, and %s is not there: is the database used by another installation?", name, path)
		}
	}
}

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
	return map[string]any{
		"host": host, "port": n, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword, "binds": r.o.Binds, "window": r.o.Window,
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
	return r.call(ctx, "PUT", r.control+"/callback", map[string]string{"url": base + "/callbacks/" + connector, "verify_token": whatsapp.DefaultVerifyToken}, nil)
}

// awaitLinks waits until every SMPP link is bound.
func (r *run) awaitLinks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	want := r.o.Nodes * max(r.o.Binds, 1)
	for {
		var in struct {
			SMS struct {
				Sessions int `json:"sessions"`
			} `json:"sms"`
		}
		if err := r.call(ctx, "GET", r.control+"/stats", nil, &in); err != nil {
			return err
		}
		if in.SMS.Sessions >= want {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d SMPP links are bound, not %d", in.SMS.Sessions, want)
		}
	}
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
	in := map[string]any{"url": r.sink.url}
	if r.o.Webhook > 1 {
		in["batch"] = r.o.Webhook
	}
	if len(have.Data) > 0 {
		return r.call(ctx, "PUT", base+"/v1/webhooks/"+have.Data[0].ID, in, nil)
	}
	return r.call(ctx, "POST", base+"/v1/webhooks", in, nil)
}
