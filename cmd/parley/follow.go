package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	parley "github.com/parley-messaging/parley/sdk/go"
)

// follow prints each event of a message until its end.
func (c *sendCmd) follow(ctx context.Context, cl *parley.Client, from, id string, p palette) error {
	if c.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.Within))
		defer cancel()
	}
	last := ""
	booked := costs{}
	err := stream(ctx, cl, from, nil, func(e *logEvent) error {
		if e.Data.Message != id {
			return nil
		}
		if !c.JSON {
			fmt.Println(e.line(p))
		}
		booked.add(e)
		if e.Data.State != "" {
			last = e.Data.State
		}
		switch last {
		case "read", "failed", "expired", "cancelled", "unconfirmed":
			return errEnough
		case "delivered":
			if c.Until == "delivered" {
				return errEnough
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	story, err := cl.Messages.Get(after, id)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(story); err != nil {
			return err
		}
	} else if err := showStory(story, booked, p); err != nil {
		return err
	}
	switch {
	case last == "read", last == "delivered" && c.Until == "delivered":
		return nil
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, p.warn("not at its end yet; parley tail --since start --message "+id+" follows it"))
	}
	return exit(1)
}

// costs are charges by step and attempt: a provider's word replaces ours.
type costs map[[2]int]struct {
	micros   int64
	currency string
}

func (c costs) add(e *logEvent) {
	d := &e.Data
	if d.Charge == nil || d.Step == nil {
		return
	}
	at := [2]int{*d.Step}
	if d.Attempt != nil {
		at[1] = *d.Attempt
	}
	one := c[at]
	one.micros, one.currency = d.Charge.Micros, d.Charge.Currency
	c[at] = one
}

// String sums by currency.
func (c costs) String() string {
	sums := map[string]int64{}
	for _, one := range c {
		sums[one.currency] += one.micros
	}
	var out []string
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, money(sums[currency], currency))
	}
	return strings.Join(out, " + ")
}

// showStory prints where each step ended and what it cost so far.
func showStory(m *parley.Message, booked costs, p palette) error {
	rows := [][]string{}
	for i, s := range m.Steps {
		rows = append(rows, []string{fmt.Sprintf("  %d %s", i+1, s.Channel), s.State, plural(int64(len(s.Attempts)), "attempt"), s.Reason})
	}
	if err := table(os.Stdout, rows); err != nil {
		return err
	}
	words := []string{p.state(m.State)}
	for _, w := range []string{m.Reason, p.warn(booked.String())} {
		if w != "" {
			words = append(words, w)
		}
	}
	fmt.Println(strings.Join(words, "  "))
	return nil
}
