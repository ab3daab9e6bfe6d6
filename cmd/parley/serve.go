package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
)

var lookupEnv = os.LookupEnv

// options are embedded under a lower-case name so that kong does not judge them
// before defaults fill them in; app.New does.
type options = app.Options

type serveCmd struct {
	options
	PrintConfig bool          `help:"Show the configuration, secrets hidden, and stop."`
	ClockSkew   time.Duration `hidden:"" help:"Set this node's clock wrong by this much, to test what that does."`
}

// Validate leaves it to app.New.
func (c *serveCmd) Validate() error { return nil }

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context) error {
	o := c.WithDefaults()
	if c.PrintConfig {
		fmt.Print(o.Print())
		return nil
	}
	log := logger(level(o.LogLevel), o.LogFormat)
	a, err := app.New(ctx, o, func() time.Time { return time.Now().Add(c.ClockSkew) }, log)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	if err := firstSteps(ctx, a); err != nil {
		return err
	}
	<-ctx.Done()
	log.Info("stopping", "within", o.StopIn)
	stopCtx, cancel := context.WithTimeout(context.Background(), o.StopIn)
	defer cancel()
	return a.Stop(stopCtx)
}

// firstSteps makes a workspace and a key in an empty database, and prints what
// to do next.
func firstSteps(ctx context.Context, a *app.App) error {
	rooms, err := a.Workspaces.List(ctx)
	if err != nil || len(rooms) > 0 {
		return err
	}
	w, err := a.Workspaces.Create(ctx, "My brand")
	if err != nil {
		return err
	}
	key, _, err := a.Workspaces.CreateAPIKey(ctx, message.WorkspaceID(w.ID), "first key", []string{"admin"})
	if err != nil {
		return err
	}
	fmt.Printf(`
This is a new installation. A workspace and an API key were made for you; the
key is shown only this once:

  PARLEY_URL=%s
  PARLEY_API_KEY=%s

Next:
  1. keep a copy of the master key (%s) apart from the database;
  2. connect an account: POST /v1/connectors, then POST /v1/senders (see %s/docs);
  3. parley doctor checks what is missing.

`, a.URL(), key, a.Options.MasterKeyFile, a.URL())
	return nil
}

func level(s string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return slog.LevelInfo
	}
	return l
}
