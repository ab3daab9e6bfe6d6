package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/parley-messaging/parley/app"
)

type doctorCmd struct {
	options
	adminFlag
	URL     string     `name:"url" help:"The running server's API, asked where it holds the database." default:"http://127.0.0.1:8080" env:"PARLEY_URL"`
	APIKey  app.Secret `name:"api-key" help:"API key for that." env:"PARLEY_API_KEY"`
	Offline bool       `help:"Ask no provider and no public address."`
	JSON    bool       `name:"json" help:"Print JSON."`
}

// A checkup gathers findings.
type checkup struct {
	opts     app.Options
	offline  bool
	findings []app.Finding
	tell     func(app.Finding)
}

func (k *checkup) add(f app.Finding) {
	k.findings = append(k.findings, f)
	if k.tell != nil {
		k.tell(f)
	}
}

func (k *checkup) ok(area, name, detail string) {
	k.add(app.Finding{Area: area, Name: name, Grade: app.Fine, Detail: detail})
}

func (k *checkup) warn(area, name, detail, remedy string) {
	k.add(app.Finding{Area: area, Name: name, Grade: app.Warned, Detail: detail, Remedy: remedy})
}

func (k *checkup) bad(area, name, detail, remedy string) {
	k.add(app.Finding{Area: area, Name: name, Grade: app.Broken, Detail: detail, Remedy: remedy})
}

// Validate keeps kong from judging options that are themselves to be checked.
func (c *doctorCmd) Validate() error { return nil }

// Run checks; the exit status is 1 where something does not work.
func (c *doctorCmd) Run(ctx context.Context) error {
	k := &checkup{opts: c.WithDefaults(), offline: c.Offline}
	p := colours()
	if !c.JSON {
		k.tell = func(f app.Finding) { show(f, p) }
	}
	c.check(ctx, k)
	problems, warnings := 0, 0
	for _, f := range k.findings {
		switch f.Grade {
		case app.Broken:
			problems++
		case app.Warned:
			warnings++
		}
	}
	if c.JSON {
		if err := printJSON(map[string]any{"ok": problems == 0, "findings": k.findings}); err != nil {
			return err
		}
	} else {
		fmt.Printf("\n%s, %s\n", plural(int64(problems), "problem"), plural(int64(warnings), "warning"))
	}
	if problems > 0 {
		return exit(1)
	}
	return nil
}

func show(f app.Finding, p palette) {
	sign := p.good("✓")
	switch f.Grade {
	case app.Warned:
		sign = p.warn("!")
	case app.Broken:
		sign = p.bad("✗")
	}
	line := sign + " " + f.Area + ": " + f.Name
	if f.Detail != "" {
		line += " " + p.dim("– ") + f.Detail
	}
	fmt.Println(line)
	if f.Remedy != "" {
		fmt.Println("    → " + f.Remedy)
	}
}

func (c *doctorCmd) check(ctx context.Context, k *checkup) {
	o := &k.opts
	if err := o.Validate(); err != nil {
		var oe *app.OptionError
		if errors.As(err, &oe) {
			k.bad("configuration", oe.Option, oe.Problem, oe.Remedy)
		} else {
			k.bad("configuration", "options", err.Error(), "parley serve --print-config shows what is in force")
		}
		return // nothing else would make sense
	}
	k.ok("configuration", "options", "valid")
	k.masterKey()
	k.databaseFile()
	k.disk()
	running := k.server(ctx, c.adminFlag.inner())
	a, err := openNode(ctx, *o)
	switch {
	case err == nil:
		defer func() {
			if err := a.Stop(context.WithoutCancel(ctx)); err != nil {
				k.warn("database", "close", err.Error(), "read the database's log")
			}
		}()
		k.opened(ctx, a)
		if _, embedded := file(o); running && !embedded {
			// It has links up: another bind could be one too many.
			c.askServer(ctx, k)
			return
		}
		for _, f := range a.Check(ctx, k.offline) {
			k.add(f)
		}
	case held(err):
		k.ok("database", "open", "a running server holds it: it checked durability and schema when it started")
		c.askServer(ctx, k)
	default:
		k.closed(err, running)
	}
}

// masterKey checks the file of the master key.
func (k *checkup) masterKey() {
	o := &k.opts
	if o.MasterKey != "" {
		k.warn("master key", "place", "given in the environment: it is seen in process listings and dumps of the environment", "put it in a file of mode 0600 and name it with --master-key-file")
		return
	}
	info, err := os.Stat(o.MasterKeyFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.bad("master key", "file", o.MasterKeyFile+" is not there", "restore it from your safe copy; only for a new installation: parley keys init")
	case err != nil:
		k.bad("master key", "file", err.Error(), "let the user that runs parley read it")
	case info.Mode().Perm()&0o077 != 0:
		k.bad("master key", "file", fmt.Sprintf("%s has mode %#o: others can read it", o.MasterKeyFile, info.Mode().Perm()), "chmod 600 "+o.MasterKeyFile)
	default:
		k.ok("master key", "file", fmt.Sprintf("%s, mode %#o", o.MasterKeyFile, info.Mode().Perm()))
	}
}

// databaseFile checks who may read an embedded database, before it is opened:
// that sets the mode right.
func (k *checkup) databaseFile() {
	path, embedded := file(&k.opts)
	if !embedded {
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		k.warn("database", "file", fmt.Sprintf("%s has mode %#o: others can read it", path, info.Mode().Perm()), "chmod 600 "+path)
	}
}

// Less free space than this is told.
const (
	diskLow  = 5 << 30
	diskLast = 500 << 20
)

func (k *checkup) disk() {
	path, embedded := file(&k.opts)
	if !embedded {
		path = k.opts.DataDir
	}
	free, err := diskFree(path)
	k.space(free, err)
}

// space judges what is left on a disk.
func (k *checkup) space(free uint64, err error) {
	switch {
	case err != nil:
		k.warn("disk", "space", "cannot be told: "+err.Error(), "look at it by your own means")
	case free < diskLast:
		k.bad("disk", "space", fmt.Sprintf("%d MB free", free>>20), "make room: without it nothing is accepted")
	case free < diskLow:
		k.warn("disk", "space", fmt.Sprintf("%.1f GB free", float64(free)/(1<<30)), "make room soon, or shorten retention")
	default:
		k.ok("disk", "space", fmt.Sprintf("%.0f GB free", float64(free)/(1<<30)))
	}
}

// server asks whether one runs and could store a message now.
func (k *checkup) server(ctx context.Context, cl *inner) (running bool) {
	var state struct {
		Status  string `json:"status"`
		Waiting int    `json:"writes_waiting"`
		Limit   int    `json:"writes_limit"`
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := cl.call(ctx, "GET", "/readyz", nil, &state)
	switch {
	case errors.As(err, new(*unreachableError)):
		k.warn("server", "running", "nothing answers at "+cl.base, "parley serve starts one; if it runs elsewhere, give --admin")
		return false
	case err != nil:
		k.bad("server", "ready", err.Error(), "read the server's log: it cannot store messages now")
	case state.Limit > 0 && state.Waiting > state.Limit/2:
		k.warn("server", "ready", fmt.Sprintf("%d of %d writes wait for a commit", state.Waiting, state.Limit), "the disk is slower than the traffic: send slower, or move to faster storage")
	default:
		k.ok("server", "ready", fmt.Sprintf("%d writes wait", state.Waiting))
	}
	return true
}
