package main

import (
	"context"
	"os"

	"github.com/parley-messaging/parley/app"
)

type demoCmd struct{ demoOptions }

// demoOptions is embedded under a lower-case name so that kong does not judge
// the options before defaults fill them in; app.New does.
type demoOptions = app.DemoOptions

// Validate leaves it to app.New.
func (c *demoCmd) Validate() error { return nil }

// Run runs the demo until it is told to stop.
func (c *demoCmd) Run(ctx context.Context) error {
	o := c.demoOptions
	if o.DataDir == "data" {
		o.DataDir = "data/demo"
	}
	o.Options = o.WithDefaults()
	log := logger(level(o.LogLevel), o.LogFormat)
	d, err := app.StartDemo(ctx, o, log)
	if err != nil {
		return err
	}
	d.Greet(os.Stdout)
	<-ctx.Done()
	log.Info("stopping")
	stopCtx, cancel := context.WithTimeout(context.Background(), o.StopIn)
	defer cancel()
	return d.Stop(stopCtx)
}
