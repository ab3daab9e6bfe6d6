package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/message"
	parley "github.com/parley-messaging/parley/sdk/go"
)

type keysAPI struct {
	Create apiCreate `cmd:"" help:"Make an API key; it is shown once."`
	List   apiList   `cmd:"" help:"List API keys."`
	Revoke apiRevoke `cmd:"" help:"End an API key."`
}

// apiFlags are how to get at API keys: through a running server with a key of
// scope admin, else in the database.
type apiFlags struct {
	databaseFlags
	URL       string     `name:"url" help:"A running server, used when an API key is given." default:"http://127.0.0.1:8080" env:"PARLEY_URL"`
	APIKey    app.Secret `name:"api-key" help:"API key of scope admin; left out: the database is opened." env:"PARLEY_API_KEY"`
	Workspace string     `help:"Workspace (ws_… or name), in the database; may be left out where there is one."`
	JSON      bool       `name:"json" help:"Print JSON."`
}

// with calls remote with a client, or local with an opened database.
func (f *apiFlags) with(ctx context.Context, remote func(*parley.Client) error, local func(*app.App, message.WorkspaceID) error) (err error) {
	if f.APIKey != "" {
		cl, err := (&serverFlags{URL: f.URL, APIKey: f.APIKey}).client()
		if err != nil {
			return err
		}
		return remote(cl)
	}
	a, err := openNode(ctx, f.options())
	if held(err) {
		return fmt.Errorf("%w; or ask it: set PARLEY_URL and PARLEY_API_KEY (of scope admin)", err)
	}
	if err != nil {
		return err
	}
	defer stopNode(ctx, a, &err)
	ws, err := pick(ctx, a, f.Workspace)
	if err != nil {
		return err
	}
	return local(a, ws)
}

type apiCreate struct {
	apiFlags
	Name   string   `arg:"" help:"What it is for."`
	Scopes []string `help:"What it may do, such as messages:write,messages:read." required:"" name:"scope"`
}

// Run makes a key.
func (c *apiCreate) Run(ctx context.Context) error {
	var out *parley.APIKey
	err := c.with(ctx, func(cl *parley.Client) (err error) {
		out, err = cl.Workspace.CreateKey(ctx, &parley.APIKeyRequest{Name: c.Name, Scopes: c.Scopes})
		return err
	}, func(a *app.App, ws message.WorkspaceID) error {
		for _, s := range c.Scopes {
			if !auth.Known(s) {
				return fmt.Errorf("%q is not a scope; there are %v", s, auth.Scopes)
			}
		}
		secret, k, err := a.Workspaces.CreateAPIKey(ctx, ws, c.Name, c.Scopes)
		if err != nil {
			return err
		}
		out = &parley.APIKey{ID: k.ID.String(), Name: k.Name, Hint: k.Hint, Scopes: k.Scopes, Secret: secret, CreatedAt: k.CreatedAt}
		return nil
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	fmt.Printf("PARLEY_API_KEY=%s\n", out.Secret)
	fmt.Fprintf(os.Stderr, "%s may %s. It is shown only this once.\n", out.ID, strings.Join(out.Scopes, ", "))
	return nil
}

type apiList struct{ apiFlags }

// Run lists keys.
func (c *apiList) Run(ctx context.Context) error {
	var out struct {
		Data []*parley.APIKey `json:"data"`
	}
	err := c.with(ctx, func(cl *parley.Client) (err error) {
		out.Data, err = cl.Workspace.Keys(ctx)
		return err
	}, func(a *app.App, ws message.WorkspaceID) error {
		keys, err := a.Workspaces.APIKeys(ctx, ws)
		for _, k := range keys {
			one := &parley.APIKey{ID: k.ID.String(), Name: k.Name, Hint: k.Hint, Scopes: k.Scopes, CreatedAt: k.CreatedAt}
			if !k.RevokedAt.IsZero() {
				one.RevokedAt = &k.RevokedAt
			}
			out.Data = append(out.Data, one)
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	rows := [][]string{{"ID", "NAME", "ENDS IN", "SCOPES", "MADE", "REVOKED"}}
	for _, k := range out.Data {
		revoked := ""
		if k.RevokedAt != nil {
			revoked = k.RevokedAt.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{k.ID, k.Name, k.Hint, strings.Join(k.Scopes, ","), k.CreatedAt.Local().Format(time.DateTime), revoked})
	}
	return table(os.Stdout, rows)
}

type apiRevoke struct {
	apiFlags
	ID string `arg:"" help:"The key's id (key_…), not its secret."`
}

// Run ends a key.
func (c *apiRevoke) Run(ctx context.Context) error {
	err := c.with(ctx, func(cl *parley.Client) error {
		return cl.Workspace.RevokeKey(ctx, c.ID)
	}, func(a *app.App, ws message.WorkspaceID) error {
		var id message.APIKeyID
		if err := id.UnmarshalText([]byte(c.ID)); err != nil {
			return fmt.Errorf("%q is not the id of a key: parley keys api list shows them", c.ID)
		}
		return a.Workspaces.RevokeAPIKey(ctx, ws, id)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]string{"revoked": c.ID})
	}
	fmt.Println(c.ID, "is revoked; every node knows within five seconds")
	return nil
}
