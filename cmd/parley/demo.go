package main

import (
	"context"
	"os"

	"github.com/parley-messaging/parley/app"
)

type demoCmd struct{ app.DemoOptions }

// Run runs the demo until it is told to stop.
func (c *demoCmd) Run(ctx context.Context) error {
	o := c.DemoOptions
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
