package main

import (
	"context"
	"errors"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// closed tells why the database cannot be opened.
func (k *checkup) closed(err error, running bool) {
	var missing *vault.MissingKeyError
	var master *vault.MasterError
	switch {
	case errors.Is(err, errNoMasterKey):
		// masterKey told it.
	case errors.Is(err, errNoDatabase):
		remedy := "parley serve or parley migrate makes one"
		if running {
			remedy = "the server that answers uses another: give the same --data-dir or --database-url as it"
		}
		k.bad("database", "open", err.Error(), remedy)
	case errors.As(err, &missing):
		k.bad("master key", "match", "it is not the one this database was written with: "+err.Error(), "give the right one; if it was rotated, the old one must still be in the file")
	case errors.As(err, &master):
		k.bad("master key", "read", err.Error(), "put the whole file back as it was, readable by the user that runs parley alone")
	case errors.Is(err, store.ErrWeak):
		k.bad("database", "durability", err.Error(), "a power cut would lose what was acknowledged: set it back")
	case errors.Is(err, store.ErrSchema):
		k.bad("database", "schema", err.Error(), "an older one: parley migrate; a newer one: use the program that made it")
	default:
		k.bad("database", "open", err.Error(), "check that it runs, its address, its user and password")
	}
}

// opened looks at a database from within.
func (k *checkup) opened(ctx context.Context, a *app.App) {
	k.ok("database", "durability", "an acknowledged write survives a power cut")
	k.ok("database", "schema", "is this program's")
	k.ok("master key", "match", "opens the keys of this database")
	k.masters(ctx, a)
}

// masters checks that every master key that wraps something is given.
func (k *checkup) masters(ctx context.Context, a *app.App) {
	given, err := vault.LoadMaster(string(k.opts.MasterKey), k.opts.MasterKeyFile)
	if err != nil {
		return // masterKey told it
	}
	defer given.Close()
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		return // the caller meets it too
	}
	ids := []message.WorkspaceID{{}}
	for _, w := range rooms {
		ids = append(ids, w.ID)
	}
	old := 0
	for _, id := range ids {
		keys, err := a.Store.Keys(ctx, id)
		if err != nil {
			k.bad("master key", "keys", err.Error(), "read the database's log")
			return
		}
		for _, key := range keys {
			switch {
			case key.Master == "":
			case !given.Holds(key.Master):
				k.bad("master key", "match", "a "+key.Kind+" key is wrapped by master "+key.Master+", which was not given", "put that master key back, below the current one")
				return
			case key.Master != given.CurrentID():
				old++
			}
		}
	}
	if old > 0 {
		k.warn("master key", "rotation", plural(int64(old), "key")+" still wrapped by an earlier master key", "parley keys rotate master finishes it")
	}
}
