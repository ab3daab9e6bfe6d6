package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// DemoOptions configure a demo: a node and the sandbox in one process.
type DemoOptions struct {
	Options
	SandboxWhatsApp string `name:"sandbox-whatsapp" help:"Address of the pretend WhatsApp Cloud API." default:"127.0.0.1:8090" env:"PARLEY_SANDBOX_WHATSAPP"`
	SandboxSMPP     string `name:"sandbox-smpp" help:"Address of the pretend SMSC." default:"127.0.0.1:2775" env:"PARLEY_SANDBOX_SMPP"`
	SandboxControl  string `help:"Address of the sandbox's control API." default:"127.0.0.1:8091" env:"PARLEY_SANDBOX_CONTROL"`
	Seed            uint64 `help:"Seed of the sandbox." default:"1" env:"PARLEY_SANDBOX_SEED"`
	JournalFile     string `help:"Where the sandbox writes down all it received." env:"PARLEY_SANDBOX_JOURNAL"`
}

// A Demo is a running demo.
type Demo struct {
	App       *App
	Sandbox   *sandbox.Sandbox
	Workspace message.WorkspaceID
	Key       string // an API key with every scope
	WhatsApp  message.SenderID
	SMS       message.SenderID
}

// The demo's senders, as the sandbox knows them.
const (
	demoShortCode = "38123"
	demoBrand     = "Aéroparley"
)

// DemoTemplates are added to the sandbox's own: the same boarding pass with
// times-to-live that fit common waits, so that a late delivery cannot happen.
func DemoTemplates() []whatsapp.Template {
	var out []whatsapp.Template
	for _, ttl := range []int{30, 60, 300} {
		for lang, text := range map[string]string{"en": "Your boarding pass for flight {{flight}} is ready.", "fr": "Votre carte d'embarquement du vol {{flight}} est prête."} {
			out = append(out, whatsapp.Template{
				Name: "boarding_pass_ttl" + strconv.Itoa(ttl), Language: lang, Category: "UTILITY", Status: "APPROVED", Named: true, TTL: ttl,
				Components: json.RawMessage(`[{"type":"BODY","text":` + strconv.Quote(text) + `,"example":{"body_text_named_params":[{"param_name":"flight","example":"AF1234"}]}}]`),
			})
		}
	}
	return out
}

// StartDemo starts the sandbox, a node beside it, and seeds a brand with
// senders, connectors and approved templates the first time.
func StartDemo(ctx context.Context, o DemoOptions, log *slog.Logger) (started *Demo, err error) {
	yes := true
	after := handset.Duration(2 * time.Second)
	sb, err := sandbox.New(sandbox.Options{
		Seed: o.Seed, Now: time.Now, Log: log.With("part", "sandbox"), JournalFile: o.JournalFile,
		WhatsAppAddr: o.SandboxWhatsApp, SMPPAddr: o.SandboxSMPP, ControlAddr: o.SandboxControl,
		WhatsApp: whatsapp.Options{Templates: DemoTemplates()},
		SMSC:     smsc.Options{Accounts: []smsc.Account{{SystemID: smsc.DefaultSystemID, Password: smsc.DefaultPassword, Senders: []string{demoShortCode}}}},
		Handsets: handset.Options{Defaults: handset.Change{AutoRead: &yes, ReadAfter: &after}},
	})
	if err != nil {
		return nil, err
	}
	sb.WhatsApp.SetStanding(whatsapp.DefaultNumber, whatsapp.Standing{Quality: "GREEN", Throughput: "HIGH", Status: "CONNECTED"})
	d := &Demo{Sandbox: sb}
	defer func() {
		if err != nil {
			started = nil
			err = errors.Join(err, d.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := sb.Start(); err != nil {
		return nil, fmt.Errorf("the sandbox does not start: %w", err)
	}
	o.Options.Sandbox = true
	o.WebhookAllow = append(o.WebhookAllow, "127.0.0.0/8", "::1/128")
	if o.Public == "" && !strings.HasSuffix(o.Listen, ":0") {
		o.Public = "http://" + o.WithDefaults().Listen // links to files open on this machine
	}
	a, err := New(ctx, o.Options, sb.Clock.Now, log)
	if err != nil {
		return nil, err
	}
	d.App = a
	connector, err := d.seed(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Start(ctx); err != nil {
		return nil, err
	}
	if _, err := a.Engine.SyncTemplates(ctx, d.Workspace, connector); err != nil {
		return nil, err
	}
	if err := sb.SetCallback(ctx, a.URL()+"/callbacks/"+connector.String(), whatsapp.DefaultVerifyToken); err != nil {
		return nil, fmt.Errorf("the sandbox cannot call back: %w", err)
	}
	return d, d.await(ctx)
}

// await waits until every link of the demo is up, so that the first message
// goes out at once.
func (d *Demo) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		down := false
		for _, l := range d.App.Engine.Lanes() {
			down = down || l.Down
		}
		if !down {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the link to the sandbox's SMSC does not come up")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop stops the node, then the sandbox.
func (d *Demo) Stop(ctx context.Context) error {
	var errs []error
	if d.App != nil {
		errs = append(errs, d.App.Stop(ctx))
	}
	return errors.Join(append(errs, d.Sandbox.Stop(ctx))...)
}

// seed makes the brand the first time, and points its connectors at this
// sandbox every time. It gives the WhatsApp connector.
func (d *Demo) seed(ctx context.Context) (message.ConnectorID, error) {
	r := d.App.Workspaces
	rooms, err := r.List(ctx)
	if err != nil {
		return message.ConnectorID{}, err
	}
	if len(rooms) == 0 {
		w, err := r.Create(ctx, demoBrand)
		if err != nil {
			return message.ConnectorID{}, err
		}
		d.Workspace = w.ID
	} else {
		d.Workspace = rooms[0].ID
	}
	cfg, err := r.Config(ctx, d.Workspace)
	if err != nil {
		return message.ConnectorID{}, err
	}
	host, port, err := net.SplitHostPort(d.Sandbox.SMPPAddr())
	if err != nil {
		return message.ConnectorID{}, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return message.ConnectorID{}, err
	}
	wa, err := d.connector(ctx, cfg, "whatsapp_cloud", "Sandbox WhatsApp", map[string]any{
		"base_url": d.Sandbox.WhatsAppURL(), "phone_number_id": whatsapp.DefaultNumber, "waba_id": whatsapp.DefaultWABA,
		"token": whatsapp.DefaultToken, "app_secret": whatsapp.DefaultAppSecret, "verify_token": whatsapp.DefaultVerifyToken, "throughput": 1000,
	})
	if err != nil {
		return message.ConnectorID{}, err
	}
	smpp, err := d.connector(ctx, cfg, "smpp", "Sandbox SMSC", map[string]any{
		"host": host, "port": n, "system_id": smsc.DefaultSystemID, "password": smsc.DefaultPassword, "window": 100,
	})
	if err != nil {
		return message.ConnectorID{}, err
	}
	if d.WhatsApp, err = d.sender(ctx, cfg, message.WhatsApp, whatsapp.DefaultNumber, demoBrand, wa); err != nil {
		return wa, err
	}
	if d.SMS, err = d.sender(ctx, cfg, message.SMS, demoShortCode, demoShortCode, smpp); err != nil {
		return wa, err
	}
	return wa, d.key(ctx)
}

func (d *Demo) connector(ctx context.Context, cfg *workspace.Config, kind, name string, config map[string]any) (message.ConnectorID, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return message.ConnectorID{}, err
	}
	in := workspace.ConnectorInput{Kind: kind, Name: name, Config: raw}
	for _, c := range cfg.Connectors {
		if c.Kind == kind && c.Name == name {
			in.ID = c.ID
		}
	}
	c, err := d.App.Workspaces.PutConnector(ctx, d.Workspace, in)
	if err != nil {
		return message.ConnectorID{}, err
	}
	return c.ID, nil
}

func (d *Demo) sender(ctx context.Context, cfg *workspace.Config, ch message.Channel, address, display string, c message.ConnectorID) (message.SenderID, error) {
	if of := cfg.SendersOf(ch); len(of) > 0 {
		return of[0].ID, nil
	}
	s, err := d.App.Workspaces.PutSender(ctx, &store.Sender{
		Workspace: d.Workspace, Channel: ch, Address: address, Display: display, Connectors: []message.ConnectorID{c}, CreatedAt: d.App.Now(),
	})
	if err != nil {
		return message.SenderID{}, err
	}
	return s.ID, nil
}

// key makes an API key the first time and keeps it in the demo's data folder:
// a demo's key is worth nothing.
func (d *Demo) key(ctx context.Context) error {
	path := filepath.Join(d.App.Options.DataDir, "demo-api-key")
	raw, err := os.ReadFile(path)
	if err == nil {
		d.Key = strings.TrimSpace(string(raw))
		if _, err := d.App.Workspaces.Authenticate(ctx, d.Key); err == nil {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.Key, _, err = d.App.Workspaces.CreateAPIKey(ctx, d.Workspace, "demo", []string{"admin"})
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(d.Key+"\n"), 0o600)
}

// Greet tells a newcomer what runs and what to paste.
func (d *Demo) Greet(w io.Writer) {
	fmt.Fprintf(w, `
Parley is running with a sandbox in place of WhatsApp and of an SMS operator.

  API            %[1]s          documents: %[1]s/docs
  API key        %[2]s
  Sandbox        %[3]s          handsets, faults, the clock

Send a boarding pass by WhatsApp, by SMS if it is not delivered within 5 seconds:

  curl -s %[1]s/v1/messages -H 'Authorization: Bearer %[2]s' \
    -H 'Content-Type: application/json' -d '{
      "to": "+33612345678", "purpose": "utility",
      "template": {"name": "boarding_pass", "language": "en", "parameters": {"flight": "AF1234"}},
      "content": {"text": "Your boarding pass for AF1234: https://aeroparley.example/b/X7K2"},
      "route": [{"channel": "whatsapp", "next_if": {"not_delivered_in": "5s"}}, {"channel": "sms"}]}'

Then, in another terminal:

  export PARLEY_URL=%[1]s PARLEY_API_KEY=%[2]s PARLEY_SANDBOX=%[3]s
  bin/parley tail                                        # watch the events
  bin/parley sandbox handset +33612345678 --internet off # send again: the SMS arrives
  bin/parley sandbox reply +33612345678 "Thank you"      # opens the 24-hour window
  bin/parley sandbox advance 24h                         # … and closes it

Stop with Ctrl-C. Everything is kept in %[4]s.

`, d.App.URL(), d.Key, d.Sandbox.ControlURL(), d.App.Options.DataDir)
}
