package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// cleanups are what has to be undone, named, last in first out.
type cleanups struct {
	log  *slog.Logger
	list []cleanup
}

type cleanup struct {
	name string
	do   func(context.Context) error
}

func (c *cleanups) add(name string, do func(context.Context) error) {
	c.list = append(c.list, cleanup{name, do})
}

// run undoes everything, also when some of it fails.
func (c *cleanups) run(ctx context.Context) error {
	var errs []error
	for i := len(c.list) - 1; i >= 0; i-- {
		c.log.Debug("stopping", "part", c.list[i].name)
		if err := c.list[i].do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.list[i].name, err))
		}
	}
	c.list = nil
	return errors.Join(errs...)
}
