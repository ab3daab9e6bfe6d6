package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/parley-messaging/parley/app"
)

type auditCmd struct {
	databaseFlags
	adminFlag
	Sandbox string     `help:"Compare with what this sandbox received too (its control API)."`
	URL     string     `name:"url" help:"With --sandbox: the API of the running server." default:"http://127.0.0.1:8080" env:"PARLEY_URL"`
	APIKey  app.Secret `name:"api-key" help:"With --sandbox: an API key; without one the database is opened, which a running server on SQLite does not allow." env:"PARLEY_API_KEY"`
	JSON    bool       `name:"json" help:"Print JSON."`
}

// auditOut is what audit tells.
type auditOut struct {
	Workspaces []app.WorkspaceAudit `json:"workspaces"`
	Sandbox    *sandboxAudit        `json:"sandbox,omitempty"`
}

// Run balances the books; the exit status is 1 where they do not.
func (c *auditCmd) Run(ctx context.Context) (err error) {
	var out auditOut
	o := c.options()
	if err := o.Validate(); err != nil {
		return err
	}
	a, err := openNode(ctx, o)
	switch {
	case err == nil:
		defer stopNode(ctx, a, &err)
		out.Workspaces, err = app.AuditAll(ctx, a.Store)
	case held(err), errors.Is(err, errNoDatabase):
		first := err
		err = c.inner().call(ctx, "GET", "/audit", nil, &out)
		if errors.As(err, new(*unreachableError)) {
			if held(first) {
				return fmt.Errorf("a running server holds the database, and %w (see its --admin-listen)", err)
			}
			return fmt.Errorf("%w; and no server answers at %s", first, c.Admin)
		}
		if err == nil && errors.Is(first, errNoDatabase) {
			fmt.Fprintln(os.Stderr, "asked the running server at", c.Admin)
		}
	}
	if err != nil {
		return err
	}
	if c.Sandbox != "" {
		if out.Sandbox, err = c.compare(ctx, a); err != nil {
			return err
		}
	}
	good := out.good()
	if c.JSON {
		err = printJSON(out)
	} else {
		err = out.show(colours())
	}
	if err == nil && !good {
		err = exit(1)
	}
	return err
}

func (a *auditOut) good() bool {
	for _, w := range a.Workspaces {
		if len(w.Problems) > 0 {
			return false
		}
	}
	return a.Sandbox == nil || len(a.Sandbox.Problems) == 0
}

// show prints the books for people.
func (a *auditOut) show(p palette) error {
	if len(a.Workspaces) == 0 {
		fmt.Println("there is no workspace: nothing to balance")
	}
	for _, w := range a.Workspaces {
		b := &w.Books
		fmt.Printf("%s %s\n", p.bold(w.Name), p.dim(w.ID.String()))
		rows := [][]string{{"  accepted", fmt.Sprint(b.Accepted)}}
		for _, state := range [...]string{"scheduled", "queued", "sending", "sent", "delivered", "read", "failed", "expired", "cancelled", "unconfirmed"} {
			if n := b.States[state]; n > 0 {
				rows = append(rows, []string{"    " + state, fmt.Sprint(n)})
			}
		}
		rows = append(rows, []string{"  in flight", fmt.Sprintf("%d in lanes, %d waiting for a receipt or a time", b.Ready, b.Waiting)},
			[]string{"  open receipts", fmt.Sprintf("%d expected, %d parked", b.OpenRefs, b.Parked)},
			[]string{"  received", fmt.Sprint(b.Received)},
			[]string{"  callbacks", fmt.Sprintf("%d to do, %d set aside", b.Callbacks, b.SetAside)},
			[]string{"  charges", fmt.Sprint(b.Charges)},
			[]string{"  events", fmt.Sprintf("%d, readers have %d to tell and %d to book", b.Events, b.Untold, b.Unbooked)})
		var hooks []string
		for state, n := range b.Webhooks {
			hooks = append(hooks, fmt.Sprintf("%d %s", n, state))
		}
		slices.Sort(hooks)
		rows = append(rows, []string{"  webhooks", or(strings.Join(hooks, ", "), "0")})
		if err := table(os.Stdout, rows); err != nil {
			return err
		}
		verdict(p, w.Problems, "the books balance")
	}
	if a.Sandbox != nil {
		s := a.Sandbox
		fmt.Printf("%s %s compared with %s of the sandbox\n", p.bold("Sandbox"), plural(int64(s.Messages), "message"), plural(int64(s.Entries), "delivery"))
		for _, n := range s.Notes {
			fmt.Println("  " + p.warn("!") + " " + n)
		}
		verdict(p, s.Problems, "what was told is what happened")
	}
	return nil
}

func verdict(p palette, problems []string, good string) {
	if len(problems) == 0 {
		fmt.Println("  " + p.good("✓") + " " + good)
	}
	for _, problem := range problems {
		fmt.Println("  " + p.bad("✗") + " " + problem)
	}
}
