package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
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
	tuneHeap(ctx)
	log := logger(level(o.LogLevel), o.LogFormat)
	a, err := app.New(ctx, o, func() time.Time { return time.Now().Add(c.ClockSkew) }, log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	if err := a.Start(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	if err = firstSteps(ctx, a); err == nil {
		<-ctx.Done()
	}
	log.Info("stopping", "within", o.StopIn)
	stopCtx, cancel := context.WithTimeout(context.Background(), o.StopIn)
	defer cancel()
	return errors.Join(unlessStopped(ctx, err), a.Stop(stopCtx))
}

// unlessStopped forgets an error that only says that we were told to stop while
// we still started.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// firstSteps makes a workspace and a key in an empty database, and prints what
// to do next. Where an earlier start was cut off in the middle it goes on: the
// key is stored after it was shown, so that an installation with a key has one
// that somebody saw.
func firstSteps(ctx context.Context, a *app.App) error {
	ws, err := keyless(ctx, a)
	if err != nil || ws == nil {
		return err
	}
	// Nodes that start together make one workspace and one key; who finds the
	// turn taken looks again, for its taker may have died.
	sum := sha256.Sum256([]byte("parley/first start"))
	turn := []message.ConnectorID{message.ConnectorID(sum[:16])}
	done := context.WithoutCancel(ctx)
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		held, err := a.Store.Lease(ctx, a.Options.Node, turn, 5*time.Second)
		if err != nil {
			return err
		}
		if ws, err = keyless(ctx, a); err != nil || ws == nil {
			return err
		}
		if len(held) == 1 {
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { _ = a.Store.Release(done, a.Options.Node, turn) }() // it ends by itself
	id := ws.ID
	if id.IsZero() {
		made, err := a.Workspaces.Create(ctx, "My brand")
		if err != nil {
			return err
		}
		id = made.ID
	}
	_, err = a.Workspaces.CreateAPIKeyShown(done, id, "first key", []string{"admin"}, func(key string) error {
		_, err := fmt.Printf(`
This is a new installation. A workspace and an API key were made for you; the
key is shown only this once:

  PARLEY_URL=%s
  PARLEY_API_KEY=%s
`, a.URL(), key)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf(`
Next:
  1. keep a copy of the master key (%s) apart from the database;
  2. connect an account: POST /v1/connectors, then POST /v1/senders (see %s/docs);
  3. parley doctor checks what is missing.

`, a.Options.MasterKeyFile, a.URL())
	return nil
}

// keyless gives the workspace of an installation that never had an API key, one
// without an id where there is none yet, and nil for every other installation.
func keyless(ctx context.Context, a *app.App) (*store.Workspace, error) {
	rooms, err := a.Store.WorkspaceList(ctx)
	if err != nil {
		return nil, err
	}
	switch len(rooms) {
	case 0:
		return &store.Workspace{}, nil
	case 1:
		keys, err := a.Store.APIKeys(ctx, rooms[0].ID)
		if err != nil || len(keys) > 0 {
			return nil, err
		}
		return rooms[0], nil
	default:
		return nil, nil
	}
}

func level(s string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return slog.LevelInfo
	}
	return l
}
