package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

type sandboxCmd struct {
	Start    sandboxStart    `cmd:"" default:"withargs" help:"Run the sandbox as a program: what 'parley sandbox' alone does."`
	Handset  sandboxHandset  `cmd:"" help:"Look at a person's phone, or change it."`
	Reply    sandboxReply    `cmd:"" help:"Let a person write to the brand."`
	Advance  sandboxAdvance  `cmd:"" help:"Push the clock forward: windows close, messages expire."`
	Fault    sandboxFault    `cmd:"" help:"Order a fault for the next messages to a number, or list what is ordered."`
	Journal  sandboxJournal  `cmd:"" help:"What the pretend providers received, and what became of it."`
	Magic    sandboxMagic    `cmd:"" help:"Numbers that play a fault by themselves."`
	Stats    sandboxStats    `cmd:"" help:"Counts since the start."`
	Template sandboxTemplate `cmd:"" help:"Change the review state of a template, as the provider would."`
}

// sandboxFlags say which sandbox to steer.
type sandboxFlags struct {
	Sandbox string `help:"The sandbox's control API." default:"http://127.0.0.1:8091" env:"PARLEY_SANDBOX"`
	JSON    bool   `name:"json" help:"Print what the sandbox answers as JSON."`
}

func (f *sandboxFlags) inner() *inner {
	return innerOf(f.Sandbox)
}

type sandboxStart struct {
	WhatsApp string `name:"whatsapp" help:"Address of the pretend WhatsApp Cloud API." default:"127.0.0.1:8090" env:"PARLEY_SANDBOX_WHATSAPP"`
	SMPP     string `name:"smpp" help:"Address of the pretend SMSC." default:"127.0.0.1:2775" env:"PARLEY_SANDBOX_SMPP"`
	Control  string `help:"Address of the control API; whoever reaches it can do anything." default:"127.0.0.1:8091" env:"PARLEY_SANDBOX_CONTROL"`

	Seed        uint64        `help:"The same seed gives the same latencies and ids." default:"1" env:"PARLEY_SANDBOX_SEED"`
	Journal     string        `help:"File to write down all that is received, as JSON lines." type:"path" env:"PARLEY_SANDBOX_JOURNAL"`
	Callback    string        `help:"Where WhatsApp's webhooks go; it is verified by the handshake, again and again until it answers." env:"PARLEY_SANDBOX_CALLBACK"`
	VerifyToken string        `help:"Verify token of that handshake." default:"sandbox-verify"`
	Token       string        `help:"Access token of the pretend Cloud API." default:"sandbox-token"`
	AppSecret   string        `help:"What signs the webhooks." default:"sandbox-secret"`
	Throughput  int           `help:"WhatsApp messages a second and number before 130429; 0 = no limit."`
	Review      span          `help:"How long a new template stays in review." default:"0s"`
	Account     []smppAccount `help:"SMPP account as SYSTEM_ID:PASSWORD or SYSTEM_ID:PASSWORD:SENDER+SENDER; may be repeated. Default: parley:sandbox." placeholder:"ID:PASSWORD"`
	SMPPWindow  int           `name:"smpp-window" help:"Receipts and people's texts that wait for their answer on one SMPP link." default:"100"`
	SMPPQueue   int           `name:"smpp-queue" help:"Receipts and texts kept for an SMPP account; beyond it the oldest are lost." default:"500000"`
	Latency     string        `help:"How long messages take to phones: instant, drawn, or a duration." default:"instant"`
	AutoRead    bool          `help:"People read what arrives, after --read-after." default:"true" negatable:""`
	ReadAfter   span          `help:"How long people take to read." default:"2s"`
	LogLevel    string        `help:"debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"PARLEY_LOG_LEVEL"`
	LogFormat   string        `help:"text or json; default: text on a terminal." default:"" enum:",text,json" env:"PARLEY_LOG_FORMAT"`
}

// A smppAccount is a customer of the pretend SMSC.
type smppAccount smsc.Account

// UnmarshalText reads ID:PASSWORD[:SENDER+SENDER].
func (a *smppAccount) UnmarshalText(b []byte) error {
	parts := strings.SplitN(string(b), ":", 3)
	if len(parts) < 2 || parts[0] == "" {
		return fmt.Errorf("an account is written SYSTEM_ID:PASSWORD, or SYSTEM_ID:PASSWORD:SENDER+SENDER")
	}
	a.SystemID, a.Password = parts[0], parts[1]
	if len(parts) == 3 {
		a.Senders = strings.Split(parts[2], "+")
	}
	return nil
}

// Run runs the sandbox until it is told to stop.
func (c *sandboxStart) Run(ctx context.Context) error {
	if err := handset.CheckLatency(c.Latency); err != nil {
		return err
	}
	log := logger(level(c.LogLevel), c.LogFormat)
	after := handset.Duration(c.ReadAfter)
	o := sandbox.Options{
		Seed: c.Seed, Now: time.Now, Log: log, JournalFile: c.Journal, Callback: c.Callback,
		WhatsAppAddr: c.WhatsApp, SMPPAddr: c.SMPP, ControlAddr: c.Control,
		WhatsApp: whatsapp.Options{Token: c.Token, AppSecret: c.AppSecret, VerifyToken: c.VerifyToken, Throughput: c.Throughput, Review: time.Duration(c.Review)},
		SMSC:     smsc.Options{Window: c.SMPPWindow, Queue: c.SMPPQueue},
		Handsets: handset.Options{Defaults: handset.Change{AutoRead: &c.AutoRead, ReadAfter: &after, Latency: &c.Latency}},
	}
	for _, a := range c.Account {
		o.SMSC.Accounts = append(o.SMSC.Accounts, smsc.Account(a))
	}
	s, err := sandbox.New(o)
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("%w; stop what uses the address, or give another with --whatsapp, --smpp or --control", err)
	}
	fmt.Fprintf(os.Stdout, `
The sandbox plays WhatsApp and an SMS operator.

  WhatsApp Cloud API  %[1]s   token %[4]s, phone number id %[5]s
  SMSC                %[2]s          %[6]s
  Control             %[3]s

As a connector's config ("whatsapp_cloud", "smpp"):

  %[7]s
  %[8]s

  export PARLEY_SANDBOX=%[3]s
  parley sandbox handset +33612345678 --internet off
  parley sandbox magic

Stop with Ctrl-C.

`, s.WhatsAppURL(), s.SMPPAddr(), s.ControlURL(), c.Token, whatsapp.DefaultNumber, c.accounts(), c.cloudConfig(s.WhatsAppURL()), c.smscConfig(s.SMPPAddr()))
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.Stop(stop)
}

// cloudConfig is the configuration of a connector to the pretend Cloud API.
func (c *sandboxStart) cloudConfig(base string) string {
	return fmt.Sprintf(`{"base_url":%q,"phone_number_id":%q,"waba_id":%q,"token":%q,"app_secret":%q,"verify_token":%q}`,
		base, whatsapp.DefaultNumber, whatsapp.DefaultWABA, c.Token, c.AppSecret, c.VerifyToken)
}

// smscConfig is that of one to the pretend SMSC.
func (c *sandboxStart) smscConfig(address string) string {
	a := smsc.Account{SystemID: smsc.DefaultSystemID, Password: smsc.DefaultPassword}
	if len(c.Account) > 0 {
		a = smsc.Account(c.Account[0])
	}
	host, port, _ := net.SplitHostPort(address) // it is listened on
	return fmt.Sprintf(`{"host":%q,"port":%s,"system_id":%q,"password":%q}`, host, port, a.SystemID, a.Password)
}

func (c *sandboxStart) accounts() string {
	if len(c.Account) == 0 {
		return "system id " + smsc.DefaultSystemID
	}
	var ids []string
	for _, a := range c.Account {
		ids = append(ids, a.SystemID)
	}
	return "system ids " + strings.Join(ids, ", ")
}
