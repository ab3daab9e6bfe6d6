package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// clockSkew is how far clocks may be apart: webhooks are signed and windows
// are judged by them.
const clockSkew = 5 * time.Second

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
		k.bad("master key", "read", err.Error(), "")
	case errors.Is(err, store.ErrWeak):
		k.bad("database", "durability", err.Error(), "a power cut would lose what was acknowledged: set it back")
	case errors.Is(err, store.ErrSchema):
		k.bad("database", "schema", err.Error(), "")
	default:
		k.bad("database", "open", err.Error(), "check that it runs, its address, its user and password")
	}
}

// opened looks at a database from within.
func (k *checkup) opened(ctx context.Context, a *app.App) {
	k.ok("database", "durability", "an acknowledged write survives a power cut")
	k.ok("database", "schema", "is this program's")
	k.ok("master key", "match", "opens the keys of this database")
	if path, embedded := file(&k.opts); embedded {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			k.warn("database", "file", fmt.Sprintf("%s has mode %#o", path, info.Mode().Perm()), "chmod 600 "+path)
		}
	} else {
		k.databaseClock(ctx, a.Store)
	}
	if err := a.Store.Ping(ctx); err != nil {
		k.bad("database", "write", err.Error(), "read the database's log: is it read-only, or its disk full?")
	}
	k.masters(ctx, a)
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		k.bad("workspaces", "read", err.Error(), "")
		return
	}
	if len(rooms) == 0 {
		k.warn("workspaces", "any", "there is none yet", "parley serve makes the first, with an API key")
	}
	for _, w := range rooms {
		cfg, err := a.Workspaces.Config(ctx, w.ID)
		if err != nil {
			k.bad("workspace "+w.Name, "configuration", err.Error(), "")
			continue
		}
		in := inventory{name: w.Name}
		for _, c := range cfg.Connectors {
			in.connectors = append(in.connectors, connectorInfo{ID: c.ID.String(), Kind: c.Kind, Name: c.Name, Paused: c.Paused, Health: healthInfo{c.Health.State, c.Health.Code, c.Health.Reason}})
		}
		for _, s := range cfg.Senders {
			one := senderInfo{ID: s.ID.String(), Channel: string(s.Channel), Address: s.Address}
			for _, id := range s.Connectors {
				one.Connectors = append(one.Connectors, id.String())
			}
			in.senders = append(in.senders, one)
		}
		for _, t := range cfg.Configuration.Templates {
			in.templates = append(in.templates, templateInfo{t.Name, t.Language, string(t.State), t.Reason})
		}
		endpoints, err := a.Store.Endpoints(ctx, w.ID)
		if err != nil {
			k.bad("workspace "+w.Name, "webhooks", err.Error(), "")
		}
		for _, e := range endpoints {
			one := endpointInfo{ID: e.ID.String(), Disabled: e.Disabled}
			if !e.FailingAt.IsZero() {
				one.FailingAt = &e.FailingAt
			}
			in.endpoints = append(in.endpoints, one)
		}
		k.inventory(&in)
		for _, c := range cfg.Connectors {
			k.probe(ctx, a, c)
		}
	}
}

func (k *checkup) databaseClock(ctx context.Context, s store.Store) {
	before := time.Now()
	there, err := s.Now(ctx)
	if err != nil {
		k.bad("clock", "database", err.Error(), "")
		return
	}
	k.skew("the database", there.Sub(before.Add(time.Since(before)/2)))
}

// skew judges how far a clock is ahead of ours.
func (k *checkup) skew(whose string, off time.Duration) {
	detail := fmt.Sprintf("ours and that of %s are %s apart", whose, off.Abs().Round(time.Millisecond))
	if off.Abs() > clockSkew {
		k.bad("clock", whose, detail, "run a time service (chrony, systemd-timesyncd) on both")
		return
	}
	k.ok("clock", whose, detail)
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
			k.bad("master key", "keys", err.Error(), "")
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

// probe asks a provider through the connector itself.
func (k *checkup) probe(ctx context.Context, a *app.App, c *store.Connector) {
	area := "connector " + c.Name
	types := a.Engine.Types()
	i := slices.IndexFunc(types, func(t channel.Type) bool { return t.Kind == c.Kind })
	if i < 0 {
		k.bad(area, "kind", c.Kind+" is not known to this program", "use the version it was made with, or delete it")
		return
	}
	config, err := a.Workspaces.OpenConfig(ctx, c)
	if err != nil {
		k.bad(area, "configuration", "cannot be opened: "+err.Error(), "give its configuration again: PUT /v1/connectors/"+c.ID.String())
		return
	}
	if err := types[i].Check(config); err != nil {
		k.bad(area, "configuration", err.Error(), "change it: PUT /v1/connectors/"+c.ID.String())
		return
	}
	k.ok(area, "configuration", "valid")
	if k.offline {
		return
	}
	one, err := types[i].Open(config, channel.Env{
		ID: c.ID, Now: time.Now, Log: slog.New(slog.DiscardHandler), Public: k.opts.Public,
		Dial: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	})
	if err != nil {
		k.bad(area, "open", err.Error(), "")
		return
	}
	defer func() { _ = one.Close() }() // it carried nothing
	if _, calledBack := one.(channel.Receiver); calledBack && k.opts.Public == "" {
		k.warn(area, "callbacks", "no public address is configured: the provider cannot tell of deliveries and replies", "set --public to the address providers reach, and register "+"/callbacks/"+c.ID.String()+" under it")
	}
	k.providerClock(ctx, c.Kind, config)
	prober, ok := one.(channel.Prober)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, f := range prober.Probe(ctx) {
		switch {
		case f.OK:
			k.ok(area, f.Name, f.Detail)
		case f.Name == "secrecy" || f.Name == "quality":
			k.warn(area, f.Name, f.Detail, f.Remedy)
		default:
			k.bad(area, f.Name, f.Detail, f.Remedy)
		}
	}
}
