package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/webhook"
)

type keysRotate struct {
	Master    rotateMaster    `cmd:"" help:"Put a new master key before the old one and wrap every key anew. Servers must be stopped."`
	Workspace rotateWorkspace `cmd:"" help:"Make a new key for a workspace and bring everything under it."`
}

type rotateMaster struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run rotates the master key. Cut off at any point, it may be run again.
func (c *rotateMaster) Run(ctx context.Context) error {
	o := c.options()
	if err := c.quiet(ctx, o); err != nil {
		return err
	}
	if o.MasterKey == "" {
		m, err := vault.RotateMaster(o.MasterKeyFile)
		if err != nil {
			return err
		}
		m.Close()
	}
	a, err := openNode(ctx, o)
	if err != nil {
		return stopFirst(err)
	}
	n, err := a.Workspaces.RotateMaster(ctx)
	if serr := a.Stop(context.WithoutCancel(ctx)); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]int{"rewrapped": n})
	}
	if o.MasterKey != "" && n == 0 {
		fmt.Println("nothing to do: put a new key before the old one in PARLEY_MASTER_KEY first")
		return nil
	}
	where := o.MasterKeyFile
	if o.MasterKey != "" {
		where = "PARLEY_MASTER_KEY"
	}
	fmt.Printf("%s wrapped anew. The keys before are still in %s: take them out when no backup needs them any more, and keep a copy of the new one apart from the database.\n", plural(int64(n), "key"), where)
	return nil
}

// quiet fails where a server runs: it would meet keys it cannot open.
func (c *rotateMaster) quiet(ctx context.Context, o app.Options) (err error) {
	a, err := openNode(ctx, o)
	if err != nil {
		return stopFirst(err)
	}
	defer stopNode(ctx, a, &err)
	leases, err := a.Store.LeaseList(ctx)
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.TTL > 0 {
			return fmt.Errorf("node %s runs on this database and would not know the new key: stop all servers first", l.Owner)
		}
	}
	return nil
}

type rotateWorkspace struct {
	databaseFlags
	ID   string `arg:"" optional:"" help:"The workspace (ws_…); may be left out where there is one."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run rotates the key of a workspace. Cut off at any point, it may be run
// again.
func (c *rotateWorkspace) Run(ctx context.Context) (err error) {
	a, err := openNode(ctx, c.options())
	if err != nil {
		return stopFirst(err)
	}
	defer stopNode(ctx, a, &err)
	ws, err := pick(ctx, a, c.ID)
	if err != nil {
		return err
	}
	if err := a.Workspaces.RotateKEK(ctx, ws); err != nil {
		return err
	}
	done := spin("wrapping the keys of contacts anew")
	contacts, err := a.Workspaces.RewrapContacts(ctx, a.Store, ws, 500)
	done()
	if err != nil {
		return err
	}
	endpoints, err := a.Store.Endpoints(ctx, ws)
	if err != nil {
		return err
	}
	secrets := 0
	for _, e := range endpoints {
		sealed, changed, err := a.Workspaces.Reseal(ctx, ws, webhook.SealPurpose, e.ID, e.Sealed)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		e.Sealed = sealed
		if err := a.Store.PutEndpoint(ctx, e); err != nil {
			return err
		}
		secrets++
	}
	if c.JSON {
		return printJSON(map[string]int{"contacts": contacts, "webhook_secrets": secrets})
	}
	fmt.Printf("%s has a new key; %s and %s follow it, and the credentials of its connectors\n", ws, plural(int64(contacts), "contact"), plural(int64(secrets), "webhook secret"))
	return nil
}

// pick gives the workspace that is meant.
func pick(ctx context.Context, a *app.App, id string) (message.WorkspaceID, error) {
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		return message.WorkspaceID{}, err
	}
	if id == "" {
		switch len(rooms) {
		case 0:
			return message.WorkspaceID{}, errors.New("there is no workspace yet: parley serve makes the first")
		case 1:
			return rooms[0].ID, nil
		}
	}
	list := ""
	for _, w := range rooms {
		if id != "" && (w.ID.String() == id || w.Name == id) {
			return w.ID, nil
		}
		list += "\n  " + w.ID.String() + "  " + w.Name
	}
	return message.WorkspaceID{}, fmt.Errorf("say which workspace, one of:%s", list)
}
