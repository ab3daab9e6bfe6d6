package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/bench"
)

type benchCmd struct {
	Store       string        `help:"sqlite or postgres." default:"sqlite" enum:"sqlite,postgres"`
	DatabaseURL string        `help:"PostgreSQL on this machine to use, empty or used by bench before; default: a private one is started."`
	Channel     string        `help:"sms or whatsapp." default:"sms" enum:"sms,whatsapp"`
	Batch       int           `help:"Messages in one request; 1 uses POST /v1/messages." default:"1"`
	Concurrency int           `help:"Connections, each with one request at a time." default:"64"`
	Duration    time.Duration `help:"How long the load lasts." default:"10s"`
	Warmup      time.Duration `help:"Load before that, which does not count." default:"3s"`
	Messages    int64         `help:"Measure this many messages instead of a duration."`
	Recipients  int           `help:"Different people; every fifth message goes to somebody new." default:"100000"`
	Preload     int64         `help:"Messages that go through the store before." default:"0"`
	Backlog     int64         `help:"Afterwards, measure with this many messages queued."`
	Nodes       int           `help:"Servers on one database; more than one needs --store postgres." default:"1"`
	Webhook     int           `help:"Events in one request to the webhook endpoint at most; 0 = no endpoint." default:"100"`
	Binds       int           `help:"SMPP links of each connector." default:"1"`
	Window      int           `help:"Submits, and receipts likewise, that wait for their answer on one SMPP link." default:"500"`
	Latency     time.Duration `help:"How long messages take to phones: receipts come that much after the provider's answer." default:"0s"`
	Dir         string        `help:"Folder to work in; kept, and used again with what it holds. Default: a temporary one." type:"path"`
	Profile     string        `help:"Write profiles of the first server: FILE, FILE.2 … of the processor, FILE.heap and FILE.allocs of memory." type:"path"`
	JSON        bool          `name:"json" help:"Print one JSON object on one line."`

	URL    string     `name:"url" help:"Measure this running server with what it is configured with, instead of starting one." env:"PARLEY_BENCH_URL"`
	APIKey app.Secret `name:"api-key" help:"With --url: an API key." env:"PARLEY_API_KEY"`
	Admin  string     `help:"With --url: its admin address." default:"http://127.0.0.1:8081" env:"PARLEY_ADMIN"`
}

// Help is printed below the flags.
func (*benchCmd) Help() string {
	return `Starts a server, the sandbox in place of the provider, and a load generator, and measures
whole lives: accepted with an idempotency key, sent, receipted, delivered, told to a webhook.
It waits for the last message and compares with the books: exit status 1 when one is missing.`
}

// Run measures and prints.
func (c *benchCmd) Run(ctx context.Context) (err error) {
	o := bench.Options{
		Now: time.Now, Store: c.Store, DatabaseURL: c.DatabaseURL, Channel: c.Channel, Batch: c.Batch, Concurrency: c.Concurrency,
		Nodes: c.Nodes, Warmup: c.Warmup, Duration: c.Duration, Messages: c.Messages, Recipients: c.Recipients,
		Preload: c.Preload, Backlog: c.Backlog, Webhook: c.Webhook, Binds: c.Binds, Window: c.Window, Latency: c.Latency, Dir: c.Dir, Profile: c.Profile,
		URL: c.URL, APIKey: string(c.APIKey), Admin: c.Admin,
	}
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "parley-bench"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Dir) //nolint:errcheck // the system clears it one day
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	o.Progress = shown()
	res, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		line, err := json.Marshal(res)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	} else {
		fmt.Printf("%s, %d processors, %s\n", processor(), runtime.NumCPU(), runtime.Version())
		if err := res.Show(os.Stdout); err != nil {
			return err
		}
	}
	if res.Undelivered > 0 || len(res.Problems) > 0 {
		return exit(1)
	}
	return nil
}

// shown gives a progress function that draws bars on a terminal.
func shown() func(phase string, done, total int64) {
	var bar *progressbar.ProgressBar
	var now string
	return func(phase string, done, total int64) {
		if !onTerminal(os.Stderr) {
			return
		}
		if phase != now {
			if bar != nil {
				_ = bar.Finish() // a bar that cannot be drawn is no loss
			}
			bar, now = progress(int(total), phase), phase
		}
		_ = bar.Set64(done) // the same
	}
}

// processor names the machine's processor where the system tells.
func processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				return strings.TrimLeft(strings.TrimSpace(name), ": \t")
			}
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
